//! The Rust host: what it loads, and when it refuses to.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use cinetomo_host::{
    Plugin,
    abi::{CINETOMO_ABI_VERSION, cinetomo_status as Status},
};
use cinetomo_tests::{library, root};
use serde_json::Value;

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
