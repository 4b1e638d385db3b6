//! What `make install` leaves behind: a tree that may be moved, and that C, C++, CMake and pkg-config users can use
//! without any environment variable. The examples are built from it, without warnings, and run.

use std::{fs, path::Path, process::Command};

use cinetomo_host::{Hooks, ModelOptions, Plugin, Volume, abi::CINETOMO_ABI_VERSION, manifest};
use cinetomo_tests::{alone, i3d_checkpoint, prefix, root, run};

const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"];

fn pkg_config(question: &[&str]) -> Vec<String> {
    let text = run(alone("pkg-config")
        .args(question)
        .arg("cinetomo")
        .env("PKG_CONFIG_PATH", prefix().join("lib/pkgconfig")));
    text.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn the_tree_is_complete_and_consistent() {
    let version = env!("CARGO_PKG_VERSION");
    let library = prefix().join("lib/libcinetomo.so").canonicalize().expect("the links lead on");
    let name = format!("libcinetomo.so.{CINETOMO_ABI_VERSION}.{version}");
    assert_eq!(library.file_name().expect("a name"), name.as_str());
    assert_eq!(pkg_config(&["--modversion"]), [version]);
    for header in ["cinetomo.h", "cinetomo.hpp"] {
        let installed = fs::read(prefix().join("include").join(header)).expect(header);
        assert!(installed == fs::read(root().join("include").join(header)).expect(header));
    }

    let found = manifest::find(Some(&prefix().join("share/cinetomo/plugins"))).expect("a manifest");
    assert_eq!(found.manifest.version, version);
    assert_eq!(found.manifest.library.canonicalize().expect("the library"), library);
    assert_eq!(Plugin::load(&found.manifest).expect("the plugin").version(), version);
    for file in ["lib/pkgconfig/cinetomo.pc", "lib/cmake/cinetomo/cinetomo-config.cmake"] {
        let text = fs::read_to_string(prefix().join(file)).expect(file);
        assert!(!text.contains('@') && !text.contains("/opt/lab"), "{file}:\n{text}");
    }
}

#[test]
fn make_install_hands_prefix_and_destdir_on() {
    let recipe = run(Command::new("make")
        .args(["--dry-run", "--no-print-directory", "install", "PREFIX=/a", "DESTDIR=/b"])
        .env_remove("MAKEFLAGS")
        .current_dir(root()));
    assert!(recipe.ends_with("src/setup/install.sh \"/a\" \"/b\"\n"), "{recipe}");
    let output = Command::new(root().join("src/setup/install.sh")).arg("relative").output();
    assert_eq!(output.expect("install.sh runs").status.code(), Some(2));
}

/// The C examples, by pkg-config: a model of the Rust host is used from C, and both say the same.
#[test]
fn the_c_examples_compile_and_classify() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let at = |name: &str| directory.path().join(name);
    let flags = pkg_config(&["--cflags", "--libs"]);
    let source = |name: &str| root().join("examples/c").join(name);
    run(alone("gcc")
        .arg("-std=c99")
        .args(WARNINGS)
        .arg(source("classify.c"))
        .arg("-o")
        .arg(at("classify"))
        .args(&flags)
        .arg(format!("-Wl,-rpath,{}", prefix().join("lib").display())));
    run(alone("gcc")
        .args(["-std=c99", "-c", "-o"])
        .arg(at("quickstart.o"))
        .args(WARNINGS)
        .arg(source("quickstart.c"))
        .args(&flags));

    let plugin = Plugin::find(Some(&prefix().join("share/cinetomo/plugins"))).expect("the plugin");
    let context = plugin.context(plugin.context_options()).expect("a context");
    let synthetic = context.synthetic().expect("the extension");
    let options = synthetic.options().expect("options");
    let voxels =
        synthetic.simulate(None, &[0, 1, 2], &options, Hooks::none()).expect("subtomograms");
    let edge = options.box_size;
    let model = context
        .model_random(&ModelOptions::new(["aldolase", "ferritin", "proteasome"]))
        .expect("a model");
    model.save(at("model.safetensors")).expect("the model is saved");
    let bytes: Vec<u8> = voxels.iter().flat_map(|voxel| voxel.to_le_bytes()).collect();
    fs::write(at("boxes.f32"), bytes).expect("a file of voxels");

    let printed = run(alone(at("classify")).args([
        at("model.safetensors").as_os_str(),
        at("boxes.f32").as_os_str(),
        edge.to_string().as_ref(),
    ]));
    let volume = Volume::new(&voxels, [3, edge, edge, edge]).expect("a volume");
    let scores = model.classify(&volume, Hooks::none()).expect("scores");
    let names = model.info().expect("info").class_names;
    let expected: String = scores
        .chunks(names.len())
        .enumerate()
        .map(|(index, row)| {
            let best = (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).expect("classes");
            format!("{index} {} {:.4}\n", names[best], row[best])
        })
        .collect();
    assert_eq!(printed, expected);

    let usage = alone(at("classify")).output().expect("classify runs");
    assert_eq!(usage.status.code(), Some(2));
    let missing = alone(at("classify"))
        .args([at("none.safetensors").as_os_str(), at("boxes.f32").as_os_str(), "32".as_ref()])
        .output()
        .expect("classify runs");
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("none.safetensors"));
}

/// A linked C++ program, by CMake, checks the promises of `cinetomo.hpp`.
#[test]
fn cmake_users_link_the_library() {
    let build = tempfile::tempdir().expect("a temporary directory");
    cmake(&root().join("tests/consumers"), build.path());
    assert_eq!(run(&mut alone(build.path().join("linked"))), "ok\n");
}

/// The demo, by CMake: finds the plugin through its manifest and ends well.
#[test]
fn the_demo_runs() {
    let build = tempfile::tempdir().expect("a temporary directory");
    cmake(&root().join("examples/cpp"), build.path());
    let demo = build.path().join("cinetomo-demo");
    let saved = build.path().join("model.safetensors");
    let printed = run(alone(&demo)
        .args("--per-class 1 --test 1 --epochs 1 --longer-epochs 0 --device cpu --save".split(' '))
        .args([&saved, &i3d_checkpoint()])
        .env("CINETOMO_PLUGIN_PATH", prefix().join("share/cinetomo/plugins")));
    assert!(printed.contains("the scores are identical"), "{printed}");
    assert!(printed.contains("apoferritin") && saved.exists(), "{printed}");

    // Without a plugin, and beside another libtorch, it says why.
    let failure = |command: &mut Command| {
        let output = command.arg("weights.ckpt").output().expect("the demo runs");
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let none = failure(alone(&demo).arg("--plugin").arg(build.path().join("nowhere")));
    assert!(none.contains("nowhere: not there"), "{none}");
    let other = build.path().join("libtorch_cpu.so");
    run(alone("gcc").args(["-shared", "-x", "c", "/dev/null", "-o"]).arg(&other));
    let conflict = failure(
        alone(&demo)
            .arg("--plugin")
            .arg(prefix().join("share/cinetomo/plugins"))
            .env("LD_PRELOAD", &other),
    );
    assert!(conflict.contains(&format!("already uses {}", other.display())), "{conflict}");
}

/// The C++ loader's JSON reader agrees with serde_json about a file full of escapes, and refuses what is not JSON.
#[test]
fn the_cpp_json_reader_reads_json() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let program = directory.path().join("json");
    let consumers = root().join("tests/consumers");
    run(alone("g++")
        .args(["-std=c++17", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover", "-o"])
        .args([&program, &consumers.join("json.cpp")])
        .args(WARNINGS));
    let file = root().join("tests/reference/manifests.json");
    let text = fs::read_to_string(&file).expect("the reference");
    let reference: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(run(alone(&program).arg(file)), reference["template"].as_str().expect("a text"));
}

/// The header and the demo are clean in both dialects and under the stricter warnings of hosts.
#[test]
fn the_cpp_sources_compile_without_warnings() {
    for standard in ["-std=c++17", "-std=c++20"] {
        for name in ["main", "experiment", "options", "progress_bar", "report"] {
            run(alone("g++")
                .args([standard, "-fsyntax-only", "-Wshadow", "-Wconversion", "-I"])
                .arg(root().join("include"))
                .args(WARNINGS)
                .arg(root().join(format!("examples/cpp/{name}.cpp"))));
        }
    }
}

fn cmake(source: &Path, build: &Path) {
    run(alone("cmake")
        .arg("-S")
        .arg(source)
        .arg("-B")
        .arg(build)
        .arg(format!("-DCMAKE_PREFIX_PATH={}", prefix().display())));
    run(alone("cmake").arg("--build").arg(build));
}
