//! What the README shows is what works.

use std::{fs, process::Command};

use cinetomo_tests::root;

/// The fenced blocks of that language in the README.
fn blocks(language: &str) -> Vec<String> {
    let readme = fs::read_to_string(root().join("README.md")).expect("README.md");
    readme
        .split(&format!("```{language}\n"))
        .skip(1)
        .map(|rest| rest.split("```").next().expect("a block").to_owned())
        .collect()
}

#[test]
fn the_c_example_is_the_one_that_is_built_and_run() {
    let example = fs::read_to_string(root().join("examples/c/quickstart.c")).expect("the example");
    assert_eq!(blocks("c"), [example]);
}

#[test]
fn the_cpp_examples_compile() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let blocks = blocks("cpp");
    assert!(!blocks.is_empty());
    for block in blocks {
        let source = directory.path().join("readme.cpp");
        fs::write(&source, &block).expect("a source file");
        let output = Command::new("g++")
            .args(["-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"])
            .arg(format!("-I{}", root().join("include").display()))
            .arg(&source)
            .output()
            .expect("g++");
        assert!(output.status.success(), "{block}\n{}", String::from_utf8_lossy(&output.stderr));
    }
}
