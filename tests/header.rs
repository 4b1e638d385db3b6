//! `include/cinetomo.h`: fresh, and clean under every compiler setting that hosts use.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the project's root")
}

fn generate() -> String {
    let config = cbindgen::Config::from_file(root().join("src/abi/cbindgen.toml"))
        .expect("cbindgen's configuration");
    let builder = cbindgen::Builder::new()
        .with_src(root().join("src/abi/lib.rs"))
        .with_src(root().join("src/plugin/boundary/mod.rs"))
        .with_config(config);
    let bindings = builder.generate().expect("a header from the sources");
    let mut header = Vec::new();
    bindings.write(&mut header);
    String::from_utf8(header).expect("UTF-8")
}

#[test]
fn the_header_is_what_the_sources_say() {
    let path = root().join("include/cinetomo.h");
    let fresh = generate();
    if env::var_os("CINETOMO_UPDATE_HEADER").is_some() {
        fs::write(&path, &fresh).expect("include/cinetomo.h is written");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == fresh, "include/cinetomo.h is stale: run `make header` and commit it");
}

#[test]
fn the_header_compiles_alone_in_every_dialect() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for (compiler, suffix, standards) in
        [("gcc", "c", ["c99", "c11", "c17"]), ("g++", "cpp", ["c++11", "c++17", "c++20"])]
    {
        for standard in standards {
            let source = directory.path().join(format!("alone.{suffix}"));
            fs::write(&source, "#include \"cinetomo.h\"\n").expect("a source file");
            let output = Command::new(compiler)
                .args([&format!("-std={standard}"), "-Wall", "-Wextra", "-Wpedantic", "-Wpadded"])
                .args(["-Werror", "-fsyntax-only", "-I"])
                .arg(root().join("include"))
                .arg(&source)
                .output()
                .unwrap_or_else(|error| panic!("{compiler}: {error}"));
            assert!(
                output.status.success(),
                "{compiler} -std={standard}:\n{}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
}
