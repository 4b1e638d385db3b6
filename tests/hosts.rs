//! Small C hosts, each a process of its own: what depends on the state of a whole process.
//!
//! What real hosts do to the library is tried in C++ (`consumers/hazards.cpp`), Python (`python/test_hazards.py`), Java
//! (`fiji/Hostile.java`, `Exit.java`, `Loaders.java`) and here:
//!
//! | hazard | C | C++ | Python | Java |
//! |---|---|---|---|---|
//! | OpenMP thread count | openmp | open-mp | torch's | has none |
//! | unloading | dlclose | unloading | yes | Loaders |
//! | fork | fork, exit child | fork-is-refused | yes | cannot |
//! | threads on one model and on many | exit everything | yes | yes | Hostile; Api |
//! | cancel from another thread | exit | cancelled-by-another-thread | Ctrl-C | Api, by the listener |
//! | end with live handles | exit | end-with-live-handles | yes | Exit |
//! | end during a call | exit | end-during-a-call | yes | Exit |
//! | decoys in LD_LIBRARY_PATH, `env -i` | none | nothing-special, all | yes | Api |

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::{fs::symlink, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use cinetomo_tests::{library, root};

/// A folder laid out like an installation, and hosts that are built against it.
struct Installation {
    directory: tempfile::TempDir,
}

impl Installation {
    /// Library and headers as `make install` leaves them; `libtorch` holds what `keep` keeps of the real one.
    fn new(keep: fn(&str) -> bool) -> Installation {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let lib = directory.path().join("lib");
        let libtorch = lib.join("libtorch/lib");
        fs::create_dir_all(&libtorch).expect("a folder");
        fs::copy(library(), lib.join("libcinetomo.so.1")).expect("a copy of the library");
        let real = root().join(".libtorch/lib");
        let real = fs::canonicalize(
            std::env::var_os("LIBTORCH").map_or(real, |path| PathBuf::from(path).join("lib")),
        )
        .expect("libtorch: run `make setup`");
        let nvidia = real.join("../../nvidia/cu13/lib");
        for folder in [real, nvidia] {
            for entry in fs::read_dir(folder).expect("a folder of libtorch") {
                let path = entry.expect("an entry").path();
                let name = path.file_name().and_then(|name| name.to_str()).expect("UTF-8");
                if keep(name) {
                    // The kernel shows the real path of a symbolic link, and libtorch's real folder has everything.
                    let target = libtorch.join(name);
                    fs::hard_link(&path, &target)
                        .or_else(|_| fs::copy(&path, &target).map(drop))
                        .expect("a file of libtorch");
                }
            }
        }
        Installation { directory }
    }

    /// What the CPU needs, and nothing else.
    fn cpu_only() -> Installation {
        Installation::new(|name| {
            ["libc10.so", "libtorch_cpu.so", "libgomp.so.1", "libcudart.so.13", "libcupti.so.13"]
                .contains(&name)
        })
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Builds the host; the command has nothing in its environment that would help it find libraries.
    fn build(&self, host: &str) -> Command {
        let lib = self.path().join("lib");
        let executable = self.path().join(host);
        let build = Command::new("gcc")
            .args([
                "-std=gnu11",
                "-Wall",
                "-Wextra",
                "-Wno-unused",
                "-Werror",
                "-fopenmp",
                "-rdynamic",
                "-o",
            ])
            .arg(&executable)
            .arg(root().join("tests/hosts").join(format!("{host}.c")))
            .arg(format!("-I{}", root().join("include").display()))
            .arg(format!("-L{}", lib.display()))
            .args(["-Wl,--as-needed", "-l:libcinetomo.so.1", "-ldl", "-lpthread"])
            .arg(format!("-Wl,-rpath,{}", lib.display()))
            // The library finds libtorch by itself; the linker need not.
            .arg("-Wl,--allow-shlib-undefined")
            .output()
            .expect("gcc");
        assert!(build.status.success(), "{}", String::from_utf8_lossy(&build.stderr));
        let mut command = Command::new(&executable);
        command.env_remove("LD_LIBRARY_PATH");
        command
    }

    /// Builds the host and runs it to its end, which must be a good and silent one.
    fn run(&self, host: &str, arguments: &[&Path]) {
        let run = self.build(host).args(arguments).output().expect("the host starts");
        assert!(
            run.status.success(),
            "{host}: {}\n{}{}",
            run.status,
            String::from_utf8_lossy(&run.stdout),
            String::from_utf8_lossy(&run.stderr)
        );
        assert!(
            run.stdout.is_empty() && run.stderr.is_empty(),
            "the library wrote to the terminal"
        );
    }
}

#[test]
fn the_hosts_open_mp_setting_survives() {
    Installation::cpu_only().run("openmp", &[]);
}

#[test]
fn a_forked_child_is_refused() {
    Installation::cpu_only().run("fork", &[]);
}

#[test]
fn exit_waits_for_nobody_long() {
    let installation = Installation::cpu_only();
    let host = installation.build("exit");
    let ways = ["train", "classify", "make", "everything", "callback", "blocked", "child", "quick"];
    for way in ways {
        for milliseconds in ["0", "300"] {
            let start = Instant::now();
            let mut command = Command::new(host.get_program());
            command.args([way, milliseconds]).env_remove("LD_LIBRARY_PATH");
            let run = command.output().expect("the host starts");
            let said = String::from_utf8_lossy(&run.stderr);
            assert_eq!(run.status.code(), Some(7), "{way} {milliseconds}: {} {said}", run.status);
            assert!(said.is_empty(), "{way} {milliseconds}: {said}");
            // Far below what a call that is waited for in vain takes.
            assert!(start.elapsed() < Duration::from_secs(25), "{way} {milliseconds}");
        }
    }
}

#[test]
fn exit_destroys_nothing_that_a_batch_needs() {
    let installation = Installation::cpu_only();
    let host = installation.build("statics");
    for network in ["resnet3d_10", "resnet3d_50", "i3d", "r2plus1d_18", "swin3d_t"] {
        for work in ["classify", "train"] {
            let mut command = Command::new(host.get_program());
            let run = command.args([network, work]).env_remove("LD_LIBRARY_PATH").output();
            let run = run.expect("the host starts");
            let said = String::from_utf8_lossy(&run.stderr);
            assert!(run.status.success(), "{network} {work}: {said}");
        }
    }
}

#[test]
fn a_thread_may_end_after_dlclose() {
    let installation = Installation::cpu_only();
    let library = installation.path().join("lib/libcinetomo.so.1");
    installation.run("dlclose", &[&library]);
}

#[test]
fn a_cpu_only_install_works_and_says_what_it_is() {
    Installation::cpu_only().run("cpu_only", &[]);
}

#[test]
fn a_second_libtorch_is_a_conflict() {
    let installation = Installation::cpu_only();
    let other = installation.path().join("other/libtorch_cpu.so");
    fs::create_dir(installation.path().join("other")).expect("a folder");
    let source = installation.path().join("other.c");
    fs::write(&source, "int other_libtorch;\n").expect("a source file");
    let status = Command::new("gcc")
        .args(["-shared", "-fPIC", "-Wl,-soname,another.so", "-o"])
        .args([&other, &source])
        .status()
        .expect("gcc");
    assert!(status.success());
    installation.run("conflict", &[&other]);
}

/// The whole of libtorch, CUDA included, where it was installed.
fn full() -> Installation {
    let installation = Installation::new(|_| false);
    let libtorch = installation.path().join("lib/libtorch");
    fs::remove_dir_all(&libtorch).expect("an empty folder");
    let real = std::env::var_os("LIBTORCH").map_or(root().join(".libtorch"), PathBuf::from);
    symlink(fs::canonicalize(real).expect("libtorch"), libtorch).expect("a link");
    installation
}

#[test]
fn cuda_is_loaded_on_demand() {
    full().run("cuda", &[]);
}

#[test]
fn cuda_after_a_computation_is_refused() {
    full().run("cuda_late", &[]);
}

#[test]
fn a_killed_save_leaves_a_whole_file() {
    let installation = Installation::cpu_only();
    let [model, started] =
        ["model.safetensors", "started"].map(|name| installation.path().join(name));
    let mut host = installation.build("save_loop");
    host.args([&model, &started]);
    let plugin = cinetomo_host::Plugin::open(&library(), "cinetomo_get_api").expect("the plugin");
    let context = plugin.context(plugin.context_options()).expect("a context");
    for round in 0..number("CINETOMO_KILLS", 8) {
        let mut child = host.spawn().expect("the host starts");
        while !started.exists() {
            assert!(child.try_wait().expect("a child").is_none(), "the host ended by itself");
            std::thread::sleep(Duration::from_millis(2));
        }
        // A save takes some 50 ms: the rounds hit different moments of it.
        std::thread::sleep(Duration::from_millis(13 * round % 104 + round / 8));
        child.kill().expect("SIGKILL");
        child.wait().expect("the end");
        context.model_load(&model).unwrap_or_else(|error| panic!("round {round}: {error}"));
        fs::remove_file(&started).expect("the host says it anew");
    }
}

/// A number of the environment, by which `make endure` makes tests long.
fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

#[test]
fn a_killed_training_goes_on_to_the_same_model() {
    let installation = Installation::cpu_only();
    let at = |name: &str| installation.path().join(name);
    let mut host = installation.build("train_loop");
    let run = |host: &mut Command| host.stdout(Stdio::null()).status().expect("the host starts");
    assert!(run(host.args([at("whole.training"), at("whole.safetensors")])).success());
    let whole = fs::read(at("whole.safetensors")).expect("a model");

    let mut host = Command::new(at("train_loop"));
    host.env_remove("LD_LIBRARY_PATH").stdout(Stdio::piped());
    host.args([at("killed.training"), at("killed.safetensors")]);
    let (n_kills, mut n_midway, mut moment) = (number("CINETOMO_KILLS", 6), 0, 1);
    for _ in 0..n_kills {
        let mut child = host.spawn().expect("the host starts");
        let mut epochs = BufReader::new(child.stdout.take().expect("its output")).lines();
        // At any moment of the epoch after the first that it reports; the next child goes on from there.
        let is_over = epochs.next().is_none();
        moment = moment * 48_271 % 2_147_483_647u64;
        std::thread::sleep(Duration::from_micros(moment % 400_000));
        child.kill().expect("SIGKILL");
        let status = child.wait().expect("the end");
        n_midway += u64::from(status.signal() == Some(9) && !is_over);
        assert!(status.success() || status.signal() == Some(9), "the host failed: {status}");
        if at("killed.safetensors").exists() {
            assert!(fs::read(at("killed.safetensors")).expect("a model") == whole);
            fs::remove_file(at("killed.training")).expect("the state of a training that is over");
            fs::remove_file(at("killed.safetensors")).expect("its model");
        }
    }
    assert!(2 * n_midway > n_kills, "{n_midway} of {n_kills} kills fell into the training");
    assert!(run(&mut host).success());
    assert!(fs::read(at("killed.safetensors")).expect("a model") == whole, "not the same model");
}

#[test]
fn signals_clocks_disks_and_shrinking_files_are_survived() {
    let installation = Installation::cpu_only();
    let [full, read_only] = ["full", "read-only"].map(|name| installation.path().join(name));
    fs::create_dir(&full).expect("a folder");
    fs::create_dir(&read_only).expect("a folder");
    drop(installation.build("faults"));
    let script = "mount -t tmpfs -o size=3m none \"$1\" && mount -t tmpfs -o ro none \"$2\" && \
                  exec \"$0/faults\" \"$0\" \"$1\" \"$2\"";
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", script])
        .args([installation.path(), &full, &read_only])
        .env_remove("LD_LIBRARY_PATH")
        .output()
        .expect("unshare (package util-linux)");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{}: {said}", output.status);
}

#[test]
fn no_call_loses_memory() {
    let installation = Installation::cpu_only();
    let mut host = installation.build("endure");
    let numbers = [number("CINETOMO_CALLS", 100), number("CINETOMO_TRAININGS", 5)];
    let output = host.args(numbers.map(|n| n.to_string())).arg(installation.path()).output();
    let output = output.expect("the host starts");
    println!("{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn want_of_memory_is_an_error_and_the_host_lives() {
    let installation = Installation::cpu_only();
    installation.run("memory_limit", &[installation.path()]);
}
