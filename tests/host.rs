//! The Rust host: where it looks for plugins, what it makes of manifests, and when it refuses to load.

use std::{
    env, fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use cinetomo_host::{
    Plugin,
    abi::{CINETOMO_ABI_VERSION, cinetomo_status as Status},
    manifest::{Manifest, find_in, search_path},
};
use cinetomo_tests::{library, root};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A directory with a manifest that this host can use, and the (empty) library that it names.
struct Place {
    directory: TempDir,
}

impl Place {
    fn new() -> Place {
        let directory = tempfile::tempdir().expect("a temporary directory");
        fs::write(directory.path().join("lib.so"), "").expect("a library");
        Place { directory }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().canonicalize().expect("the directory")
    }

    /// Writes a manifest whose members are the usual ones, with `changes`.
    fn write(&self, file: &str, name: &str, changes: Value) -> PathBuf {
        let mut manifest = json!({
            "manifest_version": 1, "name": name, "version": "0.1.0", "library": "lib.so",
            "entry": "cinetomo_get_api", "abi_versions": [CINETOMO_ABI_VERSION]
        });
        for (member, value) in changes.as_object().expect("an object") {
            manifest[member] = value.clone();
        }
        let path = self.path().join(file);
        fs::write(&path, manifest.to_string()).expect("a manifest");
        path
    }
}

#[test]
fn the_search_path_is_the_documented_one() {
    let places = |variables: &[(&str, &str)]| -> Vec<String> {
        let variable = |name: &str| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).into())
        };
        search_path(variable).iter().map(|place| place.display().to_string()).collect()
    };
    assert_eq!(
        places(&[("HOME", "/home/me")]),
        [
            "/home/me/.local/share/cinetomo/plugins",
            "/usr/local/share/cinetomo/plugins",
            "/usr/share/cinetomo/plugins"
        ]
    );
    assert_eq!(
        places(&[
            ("HOME", "/home/me"),
            ("XDG_DATA_HOME", "/data"),
            ("XDG_DATA_DIRS", "/a:relative:/b"),
            ("CINETOMO_PLUGIN_PATH", "/first:/second.json:"),
        ]),
        [
            "/first",
            "/second.json",
            "/data/cinetomo/plugins",
            "/a/cinetomo/plugins",
            "/b/cinetomo/plugins"
        ]
    );
    // An empty variable is an unset one (XDG Base Directory Specification).
    assert_eq!(places(&[("HOME", "/h"), ("XDG_DATA_HOME", ""), ("XDG_DATA_DIRS", "")]).len(), 3);
}

#[test]
fn the_first_usable_manifest_wins_and_the_others_are_explained() {
    let (first, second) = (Place::new(), Place::new());
    let future = first.write("a.json", "future", json!({"abi_versions": [7, 8]}));
    let homeless = first.write("b.json", "homeless", json!({"library": "gone.so"}));
    let foreign = first.write("c.json", "foreign", json!({"platform": "linux-m68k"}));
    let broken = first.path().join("d.json");
    fs::write(&broken, "{\"manifest_version\": 1,").expect("a file");
    fs::write(first.path().join("e.txt"), "not a manifest").expect("a file");
    second.write("late.json", "late", json!({}));
    let early = second.write("early.json", "early", json!({}));
    let missing = first.path().join("nowhere");

    let found = find_in(&[missing.clone(), first.path(), second.path()]).expect("a manifest");
    assert_eq!(found.manifest.name, "early");
    assert_eq!(found.manifest.path, early);
    assert_eq!(found.manifest.library, second.path().join("lib.so"));

    let explained = |path: &Path, word: &str| {
        let found = found.passed_over.iter().find(|(passed, _)| passed == path);
        let reason = &found.unwrap_or_else(|| panic!("{} is not explained", path.display())).1;
        assert!(reason.contains(word), "{}: {reason}", path.display());
    };
    explained(&missing, "not there");
    explained(&future, "[7, 8]");
    explained(&homeless, "gone.so");
    explained(&foreign, "linux-m68k");
    explained(&broken, "EOF");
    assert_eq!(found.passed_over.len(), 5);
}

#[test]
fn a_search_in_vain_names_every_place() {
    let place = Place::new();
    let empty = tempfile::tempdir().expect("a temporary directory");
    let future = place.write("a.json", "future", json!({"abi_versions": [9]}));
    let error = find_in(&[empty.path().to_owned(), place.path()]).expect_err("nothing is usable");
    assert!(error.is(Status::Io));
    for part in [&empty.path().display().to_string(), &future.display().to_string(), "[9]"] {
        assert!(error.message().contains(part), "{part} is not in: {error}");
    }
}

#[test]
fn a_manifest_may_be_a_link_and_its_library_is_beside_the_real_one() {
    let (real, linked) = (Place::new(), tempfile::tempdir().expect("a temporary directory"));
    let target = real.write("plugin.json", "linked", json!({}));
    symlink(target, linked.path().join("plugin.json")).expect("a link");
    let found = find_in(&[linked.path().to_owned()]).expect("a manifest");
    assert_eq!(found.manifest.library, real.path().join("lib.so"));
}

/// `manifests.json` holds the verdicts of the Python package jsonschema.
#[test]
fn manifests_are_judged_as_the_schema_judges_them() {
    let read = |path: &str| fs::read_to_string(root().join(path)).expect(path);
    let reference: Value =
        serde_json::from_str(&read("tests/reference/manifests.json")).expect("the reference");
    let stale = "tests/reference/manifests.json is of another version: run `make parity`";
    assert_eq!(reference["schema"], read("plugin-manifest/schema.json"), "{stale}");
    assert_eq!(reference["template"], read("plugin-manifest/cinetomo.json.in"), "{stale}");

    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("manifest.json");
    let cases = reference["cases"].as_array().expect("cases");
    assert!(cases.len() > 50);
    for case in cases {
        fs::write(&path, case["manifest"].to_string()).expect("a manifest");
        let read = Manifest::read(&path);
        assert_eq!(Some(read.is_ok()), case["valid"].as_bool(), "{}: {read:?}", case["name"]);
    }
}

#[test]
fn the_template_says_what_the_library_is() {
    let text = fs::read_to_string(root().join("plugin-manifest/cinetomo.json.in"))
        .expect("the template")
        .replace("@ABI@", &CINETOMO_ABI_VERSION.to_string());
    let template: Value = serde_json::from_str(&text).expect("JSON");
    let plugin = Plugin::open(&library(), "cinetomo_get_api").expect("the plugin");
    assert_eq!(
        plugin.runtime_info().expect("info").libtorch_version,
        template["requires"]["libtorch"].as_str().expect("a version")
    );
    assert_eq!(template["license"], env!("CARGO_PKG_LICENSE"));
    assert_eq!(template["entry"], "cinetomo_get_api");
    for id in template["extensions"].as_array().expect("a list") {
        let id = std::ffi::CString::new(id.as_str().expect("a string")).expect("no NUL");
        // SAFETY: the id is a string.
        assert!(!unsafe { (plugin.api().get_extension)(id.as_ptr()) }.is_null(), "{id:?}");
    }
}

#[test]
fn what_is_no_plugin_is_an_error() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let open = |path: &Path, entry| Plugin::open(path, entry).expect_err("it is no plugin");

    let missing = open(&directory.path().join("none.so"), "cinetomo_get_api");
    assert!(missing.is(Status::Io) && missing.message().contains("none.so"), "{missing}");

    let without_entry = open(&library(), "cinetomo_get_something");
    assert!(without_entry.is(Status::Unsupported), "{without_entry}");
    assert!(without_entry.message().contains("cinetomo_get_something"), "{without_entry}");

    // A library whose ABI is another one, and one whose table is shorter.
    for (body, word) in [
        ("return 0;", "does not speak ABI 1"),
        ("static const unsigned long table[] = {16, 0}; return table;", "16 bytes"),
    ] {
        let name = if body.starts_with("return") { "other" } else { "older" };
        let source = format!("const void *entry(unsigned v) {{ (void)v; {body} }}\n");
        let error = open(&compile(directory.path(), name, &source), "entry");
        assert!(error.is(Status::Unsupported) && error.message().contains(word), "{error}");
    }
}

/// Compiles a shared library.
fn compile(directory: &Path, name: &str, source: &str) -> PathBuf {
    let (c, library) = (directory.join(format!("{name}.c")), directory.join(format!("{name}.so")));
    fs::write(&c, source).expect("a source file");
    let status = Command::new("gcc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &c])
        .status()
        .expect("gcc runs");
    assert!(status.success());
    library
}

/// In a process that has already mapped another `libtorch_cpu.so`, nothing is loaded and both paths are named.
#[test]
fn a_second_libtorch_is_refused_before_loading() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let other = compile(directory.path(), "libtorch_cpu", "int not_libtorch;\n");
    let output = Command::new(env::current_exe().expect("this test"))
        .args(["--exact", "--ignored", "--nocapture", "in_a_process_with_another_libtorch"])
        .env("LD_PRELOAD", &other)
        .output()
        .expect("the test runs again");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let other = other.canonicalize().expect("the library");
    assert!(
        text.contains(&format!("refused: this process already uses {}", other.display())),
        "{text}"
    );
}

#[test]
#[ignore = "run by a_second_libtorch_is_refused_before_loading"]
fn in_a_process_with_another_libtorch() {
    let error = Plugin::open(&library(), "cinetomo_get_api").expect_err("there are two libtorch");
    assert!(error.is(Status::RuntimeConflict), "{error}");
    let maps = fs::read_to_string("/proc/self/maps").expect("this process's files");
    assert!(!maps.contains("libcinetomo"), "the plugin was loaded all the same");
    println!("refused: {error}");
}

/// The same file, already in the process, is no conflict: a host that uses libtorch itself.
#[test]
fn the_same_libtorch_is_shared() {
    let first = Plugin::open(&library(), "cinetomo_get_api").expect("the plugin");
    let second = Plugin::open(&library(), "cinetomo_get_api").expect("the plugin again");
    assert!(std::ptr::eq(first.api(), second.api()));
}
