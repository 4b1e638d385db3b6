//! C++ hosts against an installation, and nothing else of this project: linked and loading at run time, as C++17 and C++20, by
//! gcc and by clang where it is there. The examples do what they say.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, OnceLock},
    thread,
};

use cinetomo_host::{Hooks, Model, Plugin, Volume};
use cinetomo_tests::{alone, i3d_checkpoint, prefix, root, run};
use tempfile::TempDir;

const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"];

fn manifests() -> PathBuf {
    prefix().join("share/cinetomo/plugins")
}

/// Calls `build` with each compiler of this machine at once: gcc always, clang where it is installed.
fn with_compilers(build: impl Fn(&'static str) + Sync) {
    let is_there = |name: &&str| Command::new(name).arg("--version").output().is_ok();
    let compilers: Vec<&str> = ["g++", "clang++"].into_iter().filter(is_there).collect();
    if compilers.len() < 2 {
        println!("clang++ is not installed: only g++ is tried");
    }
    thread::scope(|scope| {
        for compiler in compilers {
            let build = &build;
            scope.spawn(move || build(compiler));
        }
    });
}

fn cmake(source: &str, build: &Path, more: &[String]) {
    run(alone("cmake")
        .arg("-S")
        .arg(root().join(source))
        .arg("-B")
        .arg(build)
        .arg(format!("-DCMAKE_PREFIX_PATH={}", prefix().display()))
        .args(more));
    let n_jobs = thread::available_parallelism().map_or(1, |n| n.get());
    run(alone("cmake").arg("--build").arg(build).args(["--parallel", &n_jobs.to_string()]));
}

/// A linked program, by CMake, checks the promises of `cinetomo.hpp`, in one dialect a compiler, and compiles in the other.
#[test]
fn cmake_users_link_the_library() {
    with_compilers(|compiler| {
        let (standard, other) = if compiler == "g++" { (17, 20) } else { (20, 17) };
        let build = tempfile::tempdir().expect("a temporary directory");
        let choice = [
            format!("-DCMAKE_CXX_COMPILER={compiler}"),
            format!("-DCMAKE_CXX_STANDARD={standard}"),
        ];
        cmake("tests/consumers", build.path(), &choice);
        let said = run(alone(build.path().join("linked")).arg(manifests()));
        assert_eq!(said, "ok\n", "{compiler}, C++{standard}");
        run(alone(compiler)
            .args([format!("-std=c++{other}").as_str(), "-fsyntax-only", "-I"])
            .arg(prefix().join("include"))
            .args(WARNINGS)
            .arg(root().join("tests/consumers/linked.cpp")));
    });
}

/// Headers, examples and demo are clean in both dialects (one a compiler) and under the stricter warnings of hosts.
#[test]
fn the_cpp_sources_compile_without_warnings() {
    let examples = root().join("examples/cpp");
    let sources: Vec<PathBuf> = [&examples, &examples.join("demo")]
        .into_iter()
        .flat_map(|folder| fs::read_dir(folder).expect("examples"))
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "cpp"))
        .collect();
    assert!(sources.len() > 8, "{sources:?}");
    with_compilers(|compiler| {
        let standard = if compiler == "g++" { "-std=c++20" } else { "-std=c++17" };
        run(alone(compiler)
            .args([standard, "-fsyntax-only", "-Wshadow", "-Wconversion", "-I"])
            .arg(prefix().join("include"))
            .args(WARNINGS)
            .args(&sources));
    });
}

/// The JSON reader agrees with serde_json about a file full of escapes, and refuses what is not JSON.
#[test]
fn the_json_reader_reads_json() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let program = directory.path().join("json");
    run(alone("g++")
        .args(["-std=c++17", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover", "-o"])
        .args([&program, &root().join("tests/consumers/json.cpp")])
        .args(WARNINGS));
    let file = root().join("tests/reference/manifests.json");
    let text = fs::read_to_string(&file).expect("the reference");
    let reference: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(run(alone(&program).arg(file)), reference["template"].as_str().expect("a text"));
}

/// The folder of the examples, built by CMake.
fn built_examples() -> &'static Path {
    static BUILD: OnceLock<TempDir> = OnceLock::new();
    let build = BUILD.get_or_init(|| {
        let build = tempfile::tempdir().expect("a temporary directory");
        cmake("examples/cpp", build.path(), &[]);
        build
    });
    build.path()
}

/// The examples, and what they are tried on.
struct Examples {
    directory: TempDir,
    plugin: Plugin,
}

impl Examples {
    fn new() -> Examples {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let plugin = Plugin::find(Some(&manifests())).expect("the plugin");
        Examples { directory, plugin }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn program(&self, name: &str) -> Command {
        let mut command = alone(built_examples().join(name));
        command.env("CINETOMO_PLUGIN_PATH", manifests());
        command
    }

    fn write(&self, name: &str, voxels: &[f32]) -> PathBuf {
        let bytes: Vec<u8> = voxels.iter().flat_map(|voxel| voxel.to_le_bytes()).collect();
        fs::write(self.at(name), bytes).expect("a file of voxels");
        self.at(name)
    }

    /// What an example must print of these boxes, a line each, by the Rust host.
    fn expected(&self, model: &Model, voxels: &[f32], edge: i64, first_words: &[String]) -> String {
        let n = first_words.len() as i64;
        let volume = Volume::new(voxels, [n, edge, edge, edge]).expect("a volume");
        let scores = model.classify(&volume, Hooks::none()).expect("scores");
        let names = model.info().expect("info").class_names;
        let lines = scores.chunks(names.len()).zip(first_words).map(|(row, words)| {
            let best = (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).expect("classes");
            format!("{words} {} {:.4}\n", names[best], row[best])
        });
        lines.collect()
    }
}

/// Fine-tunes in C++, classifies in C++ what is in a file and what is in a mapped tomogram, and asks Rust whether it is right.
#[test]
fn the_examples_do_what_they_say() {
    let examples = Examples::new();
    let context = examples.plugin.context(examples.plugin.context_options()).expect("a context");
    let edge = 16;
    let mut options =
        context.synthetic().and_then(|synthetic| synthetic.options()).expect("options");
    (options.box_size, options.max_shift) = (edge, 0.0);
    let synthetic = context.synthetic().expect("the extension");
    let boxes = synthetic.simulate(None, &[0, 1, 0, 1], &options, Hooks::none()).expect("boxes");
    let file = examples.write("boxes.f32", &boxes);

    fs::write(examples.at("labels.txt"), "ribosome\nferritin\n-\nferritin\n").expect("labels");
    let model_file = examples.at("tuned.safetensors");
    let said = run(examples
        .program("fine_tune")
        .args([&i3d_checkpoint(), &file, Path::new("16"), &examples.at("labels.txt"), &model_file])
        .arg("2"));
    assert!(said.contains("epoch 2 of 2: loss ") && said.ends_with(": 2 classes\n"), "{said}");
    let model = context.model_load(&model_file).expect("the model");
    assert_eq!(model.info().expect("info").class_names, ["ribosome", "ferritin"]);

    let classified =
        run(examples.program("classify").args([&model_file, &file]).arg(edge.to_string()));
    let indices: Vec<String> = (0..4).map(|index| index.to_string()).collect();
    assert_eq!(classified, examples.expected(&model, &boxes, edge, &indices));

    // A tomogram of 24 x 40 x 48 signed 16-bit voxels with an extended header, as MRC2014 lays it out.
    let (nz, ny, nx) = (24i64, 40i64, 48i64);
    let voxel = |z: i64, y: i64, x: i64| ((z * 7919 + y * 104729 + x * 31) % 251) as i16 - 100;
    let mut mrc = vec![0u8; 1024 + 128];
    let mut word = |index: usize, value: i32| {
        mrc[4 * index..4 * index + 4].copy_from_slice(&value.to_le_bytes());
    };
    for (index, value) in [nx, ny, nz, 1].into_iter().enumerate() {
        word(index, value as i32);
    }
    for (index, value) in
        [(7, nx as i32), (8, ny as i32), (9, nz as i32), (16, 1), (17, 2), (18, 3), (23, 128)]
    {
        word(index, value);
    }
    for (index, edge) in [nx, ny, nz].into_iter().enumerate() {
        word(10 + index, (edge as f32 * 10.0).to_bits() as i32);
    }
    mrc[208..214].copy_from_slice(b"MAP \x44\x44");
    for z in 0..nz {
        for y in 0..ny {
            mrc.extend((0..nx).flat_map(|x| voxel(z, y, x).to_le_bytes()));
        }
    }
    fs::write(examples.at("tomogram.mrc"), &mrc).expect("a tomogram");
    let particles = [(20, 20, 12), (30, 18, 10), (12, 28, 14)];
    let words: Vec<String> = particles.iter().map(|(x, y, z)| format!("{x} {y} {z}")).collect();
    fs::write(examples.at("particles.txt"), words.join("\n") + "\n").expect("particles");
    let half = edge / 2;
    let mut cut = Vec::new();
    for (x0, y0, z0) in particles {
        for (z, y) in (0..edge).flat_map(|z| (0..edge).map(move |y| (z, y))) {
            cut.extend(
                (0..edge).map(|x| f32::from(voxel(z0 - half + z, y0 - half + y, x0 - half + x))),
            );
        }
    }
    let mut stream = examples.program("stream_boxes");
    stream.args([&model_file, &examples.at("tomogram.mrc"), &examples.at("particles.txt")]);
    let streamed = run(stream.args(["16", "2"]));
    assert_eq!(streamed, examples.expected(&model, &cut, edge, &words));

    // A file that claims more voxels than it has is refused, not read.
    fs::write(examples.at("tomogram.mrc"), &mrc[..mrc.len() - 2]).expect("a damaged tomogram");
    refused(&mut stream, 1, "bytes");
    refused(examples.program("fine_tune").args(["a", "b", "16", "/nowhere", "c"]), 1, "/nowhere");
    refused(&mut examples.program("classify"), 2, "usage");
}

/// Runs a program that must end with this status and these words.
fn refused(command: &mut Command, status: i32, words: &str) {
    let output = command.output().expect("the program starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{command:?}: {said}");
    assert!(said.contains(words), "{command:?}: {said}");
}

/// Says what there is and brings nothing into the process: it does not even need the library to be whole.
#[test]
fn plugins_are_inspected_without_loading() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let program = built_examples().join("inspect_plugin");
    let said = run(alone(&program).arg(manifests()));
    let library = prefix().join("lib/libcinetomo.so.1");
    for words in [
        &format!("found: cinetomo {}", env!("CARGO_PKG_VERSION")),
        &format!("library {}, entry cinetomo_get_api", library.display()),
        "ABI 1; libtorch 2.13.0; platforms: linux-",
        "cinetomo.synthetic/1",
    ] {
        assert!(said.contains(words), "{words} is not in {said}");
    }

    let copy = directory.path().join("share/cinetomo/plugins");
    fs::create_dir_all(&copy).expect("a folder");
    fs::create_dir(directory.path().join("lib")).expect("a folder");
    fs::write(directory.path().join("lib/libcinetomo.so.1"), "no library").expect("a file");
    fs::copy(manifests().join("cinetomo.json"), copy.join("cinetomo.json")).expect("a manifest");
    fs::write(copy.join("broken.json"), "{").expect("a file");
    let said = run(alone(&program).args([&manifests(), &copy]));
    assert!(said.contains(&format!("shadowed: cinetomo {}", env!("CARGO_PKG_VERSION"))), "{said}");
    assert!(said.contains("passed over: ") && said.contains("broken.json: not JSON"), "{said}");
    refused(alone(&program).arg("/nowhere"), 1, "/nowhere: not there");
}

/// What hosts do to the plugin, each in a process of its own and in an empty environment: see the program.
#[test]
fn hazards_of_whole_processes() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let program = directory.path().join("hazards");
    run(alone("g++")
        .args(["-std=c++17", "-O1", "-fopenmp", "-pthread", "-Wshadow", "-o"])
        .args([&program, &root().join("tests/consumers/hazards.cpp")])
        .args(WARNINGS)
        .arg(format!("-I{}", prefix().join("include").display())));
    let host = |hazard: &str| {
        let mut command = Command::new(&program);
        command.env_clear().arg(hazard).arg(manifests());
        command
    };
    let hazards = run(&mut Command::new(&program));
    assert!(hazards.lines().count() > 10);
    // Two at a time: most of what each does is to load libtorch.
    let left = Mutex::new(hazards.lines());
    let next = || left.lock().expect("the other has not failed").next();
    let provoke = || {
        while let Some(hazard) = next() {
            let output = host(hazard).output().expect("the host starts");
            let [said, complained] = [output.stdout, output.stderr]
                .map(|text| String::from_utf8_lossy(&text).into_owned());
            assert!(output.status.success(), "{hazard}: {}\n{said}{complained}", output.status);
            assert!(
                said.ends_with("ok\n") && complained.is_empty(),
                "{hazard}: {said}{complained}"
            );
        }
    };
    thread::scope(|scope| {
        scope.spawn(provoke);
        scope.spawn(provoke);
    });

    // Other libraries under the names of ours and of libtorch's, where the dynamic linker is told to look.
    let decoys = directory.path().join("decoys");
    fs::create_dir(&decoys).expect("a folder");
    for name in
        ["libcinetomo.so", "libcinetomo.so.1", "libtorch_cpu.so", "libc10.so", "libcudart.so.13"]
    {
        run(alone("gcc").args(["-shared", "-x", "c", "/dev/null", "-o"]).arg(decoys.join(name)));
    }
    let said = run(host("nothing-special").env("LD_LIBRARY_PATH", &decoys));
    let libtorch = prefix().join("lib/libtorch/lib/libtorch_cpu.so");
    let libtorch = libtorch.canonicalize().expect("libtorch").display().to_string();
    assert_eq!(said, format!("{libtorch}\nok\n"));
}

/// The demo, by CMake: finds the plugin through its manifest and ends well.
#[test]
fn the_demo_runs() {
    let build = tempfile::tempdir().expect("a temporary directory");
    let demo = built_examples().join("cinetomo-demo");
    let saved = build.path().join("model.safetensors");
    let printed = run(alone(&demo)
        .args("--per-class 1 --test 1 --epochs 1 --longer-epochs 0 --device cpu --save".split(' '))
        .args([&saved, &i3d_checkpoint()])
        .env("CINETOMO_PLUGIN_PATH", manifests()));
    assert!(printed.contains("the scores are identical"), "{printed}");
    assert!(printed.contains("apoferritin") && saved.exists(), "{printed}");

    // Without a plugin, and beside another libtorch, it says why.
    refused(
        alone(&demo).arg("--plugin").arg(build.path().join("nowhere")).arg("weights.ckpt"),
        2,
        "nowhere: not there",
    );
    let other = build.path().join("libtorch_cpu.so");
    run(alone("gcc").args(["-shared", "-x", "c", "/dev/null", "-o"]).arg(&other));
    refused(
        alone(&demo).arg("--plugin").arg(manifests()).arg("weights.ckpt").env("LD_PRELOAD", &other),
        2,
        &format!("already uses {}", other.display()),
    );
}
