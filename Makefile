# cinetomo: build, try, test, install. `make` alone lists the targets.
# Needs Rust, Python 3 with venv, g++ and make; `make setup` brings the rest, once for all checkouts of a user.

PYTHON ?= python3
PREFIX ?= /usr/local
TARGET := $(or $(CARGO_TARGET_DIR),target)
STAGE := $(abspath $(TARGET))/stage

# Fuzzers of the readers of checkpoints and of data, and how long each runs.
FUZZERS ?= torch_zip torch_legacy torch_pickle safetensors flax npz npy index \
  volumes arrays images star tables structure
FUZZ_SECONDS ?= 60

CACHE := $(or $(CINETOMO_CACHE),$(HOME)/.cache/cinetomo)
DENY := $(CACHE)/tools/bin/cargo-deny

.PHONY: help setup build demo test check header fiji install dist manual clean parity fuzz bench endure sanitize deny reproduce

help: ## list the targets
	@echo "make setup && make demo, or:"
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## fetch libtorch (1.2 GB; 4 GB with an NVIDIA driver) and the video weights (50 MB) into ~/.cache/cinetomo
	@$(PYTHON) src/setup/setup.py

build: setup ## compile the library and the command (5 minutes the first time)
	cargo build --release -p cinetomo -p cinetomo-cli

demo: build ## video weights against random ones on simulated data, and a report (DEMO_ARGS="--help" lists options)
	@src/setup/install.sh $(STAGE)
	@.cargo/with-libtorch $(PYTHON) examples/demo.py --command $(STAGE)/bin/cinetomo --directory $(TARGET)/demo $(DEMO_ARGS)

test: ## run every test (fetches the CUDA part of libtorch and the reference networks too: 4 GB in all)
	@$(PYTHON) src/setup/setup.py --tests
	cargo test --release --workspace

check: setup ## formatting, lints and documentation
	cargo fmt --all --check
	cargo clippy --release --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --release --workspace --no-deps

header: setup ## write include/cinetomo.h anew from the contract in src/abi
	CINETOMO_UPDATE_HEADER=1 cargo test --release -p cinetomo-tests --test header

fiji: ## build the Java API and ImageJ's commands with Maven and install them: make fiji FIJI=/path/to/Fiji.app
	cargo build --release -p cinetomo-jni
	mvn --batch-mode --quiet -f examples/fiji -Dcinetomo.build=$(abspath $(TARGET))/fiji package
	@examples/fiji/install.sh $(abspath $(TARGET))/fiji "$(FIJI)"

install: ## install what `make build` made: make install PREFIX=/usr/local [DESTDIR=...] (does not build: sudo-safe)
	@src/setup/install.sh "$(PREFIX)" "$(DESTDIR)"

dist: build ## pack what `make build` made for other machines: target/dist/cinetomo-<release>-<platform>.tar.gz (without libtorch)
	@src/setup/dist.sh $(TARGET)/dist

manual: ## make the manual of the C and C++ headers in target/manual (needs doxygen)
	@mkdir -p $(TARGET)/manual
	CINETOMO_VERSION=$$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml) CINETOMO_MANUAL=$(TARGET)/manual doxygen docs/Doxyfile

parity: ## compute tests/reference/*.json anew with PyTorch, scikit-learn and others
	$(PYTHON) -m venv $(TARGET)/parity
	$(TARGET)/parity/bin/pip install -q -r tests/reference/requirements.txt
	for script in tests/reference/*.py; do echo "$$script"; $(TARGET)/parity/bin/python "$$script" || exit 1; done

bench: build ## classification and fine-tuning beside PyTorch, torch.compile, ONNX Runtime and OpenVINO, and what calls and loading cost: benches/record (40 minutes, an idle machine)
	@$(PYTHON) src/setup/setup.py --tests
	cargo build --release -p cinetomo-benches --bin speed --bin overheads
	@.cargo/with-libtorch benches/speed.sh $(TARGET) --record benches/record/speed.md $(BENCH_ARGS)
	@.cargo/with-libtorch benches/speed.sh $(TARGET) --train --network resnet3d_34,i3d,r3d_18 --record benches/record/speed.md $(BENCH_ARGS)
	@for train in "" --train; do \
	  .cargo/with-libtorch benches/speed.sh $(TARGET) $$train --network resnet3d_34,i3d,r3d_18 --input-size 32,32,32 --batch 10 \
	    --seconds 40 --record benches/record/speed.md $(BENCH_ARGS) || exit 1; \
	done
	@.cargo/with-libtorch benches/overheads.sh $(TARGET) --record benches/record/overheads.md

fuzz: ## feed all readers of files with broken ones, FUZZ_SECONDS=60 each (needs nightly Rust and cargo-fuzz), and the table with calls
	CINETOMO_CALLS_SECONDS=$(FUZZ_SECONDS) cargo test --release -p cinetomo-tests --test calls -- --nocapture
	@for fuzzer in $(FUZZERS); do \
	  mkdir -p $(TARGET)/fuzz/$$fuzzer && tar -xzf tests/fuzz/corpora/$$fuzzer.tar.gz -C $(TARGET)/fuzz/$$fuzzer && \
	  cargo +nightly fuzz run --fuzz-dir tests/fuzz --target-dir $(abspath $(TARGET))/fuzz/build $$fuzzer \
	    $(abspath $(TARGET))/fuzz/$$fuzzer $(CURDIR)/tests/fuzz/seeds/$$fuzzer -- -max_total_time=$(FUZZ_SECONDS) \
	    -max_len=16384 -timeout=10 -malloc_limit_mb=64 -artifact_prefix=$(abspath $(TARGET))/fuzz/ || exit 1; \
	done

endure: ## long tests: 200 kills, 10,000 calls of each kind, 1,000 cancelled trainings, an hour of random calls
	CINETOMO_KILLS=200 CINETOMO_CALLS=10000 CINETOMO_TRAININGS=1000 cargo test --release -p cinetomo-tests --test hosts -- --nocapture \
	  killed no_call_loses_memory signals want_of_memory
	CINETOMO_CALLS_SECONDS=3600 cargo test --release -p cinetomo-tests --test calls -- --nocapture

sanitize: ## hosts under AddressSanitizer and valgrind, readers and plugin under AddressSanitizer, threads under ThreadSanitizer (needs valgrind and nightly Rust with rust-src)
	@tests/sanitize.sh

deny: ## licences, sources and known defects of the dependencies (installs cargo-deny into the cache the first time)
	@test -x $(DENY) || nice cargo install --locked --root $(CACHE)/tools cargo-deny
	@$(DENY) check bans licenses sources
	@if $(DENY) fetch db; then $(DENY) check advisories; else echo "make deny: known defects were NOT checked: their database, on GitHub, cannot be reached"; fi

reproduce: ## build the library in two folders and compare what would be installed
	@tests/reproduce.sh

clean: ## remove what was built (not the cache)
	cargo clean
