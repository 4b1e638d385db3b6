//! Every host finds plugins alike: in Rust (`cinetomo_host`), C++ (`cinetomo/manifest.hpp`) and Python, by one table of cases,
//! `plugin-manifest/cases.json`, and by the verdicts of JSON Schema on manifests.

use std::{
    env,
    fmt::Display,
    fs,
    os::unix::{
        fs::{PermissionsExt, symlink},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

use cinetomo_host::manifest::{self, Manifest};
use cinetomo_tests::{alone, is_root, python, root, run};
use serde_json::Value;

/// What a search came to.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    found: Option<PathBuf>,
    library: Option<PathBuf>,
    shadowed: Vec<PathBuf>,
    passed_over: Vec<(PathBuf, String)>,
    error: String,
}

/// A host under test.
trait Host {
    fn search_path(&self, environment: &[(String, String)], privileged: bool) -> Vec<String>;
    fn find(&self, places: &[PathBuf]) -> Outcome;
    /// For each manifest what is wrong with it, apart from being of another platform or ABI or without its library; "" = nothing.
    fn judge(&self, manifests: &[PathBuf]) -> Vec<String>;
}

struct Rust;

impl Host for Rust {
    fn search_path(&self, environment: &[(String, String)], privileged: bool) -> Vec<String> {
        let variable = |name: &str| {
            environment.iter().find(|(key, _)| key == name).map(|(_, value)| value.into())
        };
        let places = manifest::search_path(variable, privileged);
        places.iter().map(|place| place.display().to_string()).collect()
    }

    fn find(&self, places: &[PathBuf]) -> Outcome {
        match manifest::find_in(places) {
            Err(error) => Outcome { error: error.message().to_owned(), ..Outcome::default() },
            Ok(found) => Outcome {
                found: Some(found.manifest.path),
                library: Some(found.manifest.library),
                shadowed: found.shadowed.into_iter().map(|manifest| manifest.path).collect(),
                passed_over: found.passed_over,
                error: String::new(),
            },
        }
    }

    fn judge(&self, manifests: &[PathBuf]) -> Vec<String> {
        manifests.iter().map(|path| Manifest::read(path).err().unwrap_or_default()).collect()
    }
}

/// A program that follows the commands `search-path`, `find` and `judge`, see `tests/consumers/discovery.cpp`.
struct Program(Vec<PathBuf>);

impl Program {
    /// Compiled with `cinetomo/manifest.hpp` alone: nothing is linked.
    fn cpp(directory: &Path) -> Program {
        let program = directory.join("discovery");
        run(alone("g++")
            .args([
                "-std=c++17",
                "-Wall",
                "-Wextra",
                "-Wpedantic",
                "-Werror",
                "-Wshadow",
                "-Wconversion",
            ])
            .args(["-fsanitize=address,undefined", "-fno-sanitize-recover", "-o"])
            .args([&program, &root().join("tests/consumers/discovery.cpp")])
            .arg(format!("-I{}", root().join("include").display())));
        Program(vec![program])
    }

    fn python() -> Program {
        Program(vec![python(), root().join("tests/python/discovery.py")])
    }

    fn command(&self) -> Command {
        let mut command = alone(&self.0[0]);
        command.args(&self.0[1..]).env("PYTHONPATH", root().join("examples/python"));
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }
}

impl Host for Program {
    fn search_path(&self, environment: &[(String, String)], privileged: bool) -> Vec<String> {
        let mut command = self.command();
        for name in ["HOME", "XDG_DATA_HOME", "XDG_DATA_DIRS", "CINETOMO_PLUGIN_PATH"] {
            command.env_remove(name);
        }
        let text = run(command
            .arg("search-path")
            .arg(u8::from(privileged).to_string())
            .envs(environment.iter().cloned()));
        text.lines().map(str::to_owned).collect()
    }

    fn find(&self, places: &[PathBuf]) -> Outcome {
        let mut outcome = Outcome::default();
        for line in run(self.command().arg("find").args(places)).lines() {
            let (what, rest) = line.split_once('\t').expect("two parts");
            match what {
                "found" => outcome.found = Some(rest.into()),
                "library" => outcome.library = Some(rest.into()),
                "shadowed" => outcome.shadowed.push(rest.into()),
                "passed_over" => {
                    let (path, reason) = rest.split_once('\t').expect("a reason");
                    outcome.passed_over.push((path.into(), reason.to_owned()));
                }
                _ => outcome.error = rest.replace('\u{1e}', "\n"),
            }
        }
        outcome
    }

    fn judge(&self, manifests: &[PathBuf]) -> Vec<String> {
        let text = run(self.command().arg("judge").args(manifests));
        text.lines().map(str::to_owned).collect()
    }
}

fn check_against_the_table(host: &dyn Host) {
    let text = fs::read_to_string(root().join("plugin-manifest/cases.json")).expect("the cases");
    let table: Value = serde_json::from_str(&text).expect("JSON");

    let searches = table["search_paths"].as_array().expect("search paths");
    for case in searches {
        let environment: Vec<_> = case["environment"]
            .as_object()
            .expect("variables")
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().expect("a text").to_owned()))
            .collect();
        let privileged = case["privileged"].as_bool().unwrap_or_default();
        let places = host.search_path(&environment, privileged);
        assert_eq!(Value::from(places), case["places"], "{}", case["name"]);
    }

    let searches = table["searches"].as_array().expect("searches");
    assert!(searches.len() > 12);
    for case in searches {
        check_search(host, case, &table["manifest"]);
    }
}

fn check_search(host: &dyn Host, case: &Value, usual: &Value) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let root = directory.path().canonicalize().expect("the directory");
    let here = format!("{}-{}", env::consts::OS, env::consts::ARCH);
    let elsewhere =
        if here == "linux-x86_64" { "linux-aarch64" } else { "linux-x86_64" }.to_owned();
    let filled = case
        .to_string()
        .replace("{root}", root.to_str().expect("UTF-8"))
        .replace("{here}", &here)
        .replace("{elsewhere}", &elsewhere);
    let case: Value = serde_json::from_str(&filled).expect("JSON");
    let name = &case["name"];

    for (path, content) in case["files"].as_object().expect("files") {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        match content {
            Value::String(text) => fs::write(path, text).expect("a file"),
            Value::Object(members) if members.contains_key("link") => {
                symlink(members["link"].as_str().expect("a target"), path).expect("a link");
            }
            Value::Object(members) => {
                let mut manifest = usual.clone();
                for (member, value) in members {
                    manifest[member] = value.clone();
                }
                manifest.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
                fs::write(path, manifest.to_string()).expect("a manifest");
            }
            other => panic!("{name}: {other} is no file"),
        }
    }

    let path = |value: &Value| value.as_str().map(PathBuf::from);
    let list = |value: &Value| -> Vec<PathBuf> {
        value.as_array().into_iter().flatten().filter_map(path).collect()
    };
    let outcome = host.find(&list(&case["places"]));
    assert_eq!(outcome.found, path(&case["found"]), "{name}: {outcome:?}");
    let resolved = |library: PathBuf| library.canonicalize().expect("the library");
    let library = outcome.library.clone().map(resolved);
    assert_eq!(library, path(&case["library"]), "{name}: {outcome:?}");
    assert_eq!(outcome.shadowed, list(&case["shadowed"]), "{name}");

    let passed_over = case["passed_over"].as_array().expect("a list");
    if outcome.found.is_some() {
        assert_eq!(outcome.passed_over.len(), passed_over.len(), "{name}: {outcome:?}");
    }
    for (index, expected) in passed_over.iter().enumerate() {
        let (path, words) = (path(&expected[0]).expect("a path"), expected[1].as_str());
        let words = words.expect("words");
        let said = if outcome.found.is_some() {
            assert_eq!(outcome.passed_over[index].0, path, "{name}");
            outcome.passed_over[index].1.as_str()
        } else {
            let start = format!("\n  {}: ", path.display());
            let rest = outcome.error.split(&start).nth(1).unwrap_or_default();
            rest.split("\n  ").next().unwrap_or_default()
        };
        assert!(!said.is_empty() && said.contains(words), "{name}: {words:?} in {outcome:?}");
    }
}

/// `manifests.json` holds the verdicts of the Python package jsonschema.
fn check_against_the_schema(host: &dyn Host) {
    let read = |path: &str| fs::read_to_string(root().join(path)).expect(path);
    let reference: Value =
        serde_json::from_str(&read("tests/reference/manifests.json")).expect("the reference");
    let stale = "tests/reference/manifests.json is of another version: run `make parity`";
    assert_eq!(reference["schema"], read("plugin-manifest/schema.json"), "{stale}");
    assert_eq!(reference["template"], read("plugin-manifest/cinetomo.json.in"), "{stale}");

    let directory = tempfile::tempdir().expect("a temporary directory");
    let cases = reference["cases"].as_array().expect("cases");
    assert!(cases.len() > 60);
    let files: Vec<PathBuf> =
        (0..cases.len()).map(|index| directory.path().join(format!("{index}.json"))).collect();
    for (file, case) in files.iter().zip(cases) {
        fs::write(file, case["manifest"].to_string()).expect("a manifest");
    }
    let verdicts = host.judge(&files);
    assert_eq!(verdicts.len(), cases.len());
    for (verdict, case) in verdicts.iter().zip(cases) {
        let valid = case["valid"].as_bool();
        assert_eq!(Some(verdict.is_empty()), valid, "{}: {verdict}", case["name"]);
    }
}

#[test]
fn the_rust_host_finds_what_the_table_says() {
    check_against_the_table(&Rust);
    check_against_the_schema(&Rust);
}

#[test]
fn the_cpp_host_finds_what_the_table_says() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let host = Program::cpp(directory.path());
    check_against_the_table(&host);
    check_against_the_schema(&host);
}

#[test]
fn the_python_host_finds_what_the_table_says() {
    let host = Program::python();
    check_against_the_table(&host);
    check_against_the_schema(&host);
}

/// Programs that run with more rights than their caller do not let the caller choose what they load. Only root can make
/// such programs: elsewhere the table's case is all that is tested.
#[test]
fn privileged_processes_ignore_the_environment() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let folder = directory.path();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("a folder for all");
    let cpp = Program::cpp(folder).0.remove(0);
    // Address sanitizer refuses set-user-ID programs.
    let rust = folder.join("rust");
    fs::copy(env::current_exe().expect("this test"), &rust).expect("a copy");
    run(alone("g++")
        .args(["-std=c++17", "-o"])
        .args([&cpp, &root().join("tests/consumers/discovery.cpp")])
        .arg(format!("-I{}", root().join("include").display())));
    let child = ["--exact", "--ignored", "--nocapture", "in_a_process_that_may_be_privileged"];

    let is_root = is_root();
    for (program, arguments) in [(&cpp, &["is-privileged"][..]), (&rust, &child[..])] {
        let ask = |nobody: bool| {
            let mut command = alone(program);
            command.args(arguments);
            if nobody {
                command.uid(65534).gid(65534);
            }
            run(&mut command)
        };
        assert!(ask(false).contains("privileged: false"));
        if is_root {
            fs::set_permissions(program, fs::Permissions::from_mode(0o4755)).expect("set-user-ID");
            assert!(ask(true).contains("privileged: true"), "{}", show(program));
        }
    }
}

fn show(path: &Path) -> impl Display {
    format!("{}: is its file system mounted nosuid?", path.display())
}

#[test]
#[ignore = "run by privileged_processes_ignore_the_environment"]
fn in_a_process_that_may_be_privileged() {
    println!("privileged: {}", manifest::is_privileged());
}
