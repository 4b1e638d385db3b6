//! What the README and the other documents show is what works.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use cinetomo_tests::{alone, i3d_checkpoint, prefix, python, root, run};

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

/// Writes the files of a chapter (a name in backquotes and a colon, then the text) and runs its shell commands, as printed.
fn follow(chapter: &str, folder: &Path) -> String {
    // pip builds in the folder of the package; cargo wants the whole workspace and writes nothing there.
    let checkout = if chapter.starts_with("Rust") { root() } else { folder.to_owned() };
    let mut printed = String::new();
    let mut name = None;
    for (index, part) in chapter.split("```").enumerate() {
        if index % 2 == 0 {
            let words = part.trim_end().rsplit('\n').next().unwrap_or_default();
            name = words.strip_prefix('`').and_then(|words| words.strip_suffix("`:"));
            continue;
        }
        let (language, text) = part.split_once('\n').expect("a language");
        if let Some(name) = name {
            fs::write(folder.join(name), text).expect("a file of the document");
        } else {
            assert_eq!(language, "sh", "a block without a name: {text}");
            let binaries = python().parent().expect("a folder").display().to_string();
            let path = format!("{binaries}:{}", std::env::var("PATH").expect("PATH"));
            printed += &run(alone("sh")
                .args(["-euc", text])
                .env("PATH", path)
                .env("PREFIX", prefix())
                .env("WEIGHTS", i3d_checkpoint())
                .env("CHECKOUT", &checkout)
                // cargo: what this checkout has fetched already.
                .env("CARGO_TARGET_DIR", rust_target())
                .env("CARGO_NET_OFFLINE", "true")
                // pip: beside the document's files, and with what is installed.
                .env("PIP_TARGET", folder.join("site"))
                .env("PYTHONPATH", folder.join("site"))
                .env("PIP_NO_DEPS", "1")
                .env("PIP_NO_BUILD_ISOLATION", "0")
                .env("PIP_QUIET", "2")
                .current_dir(folder));
        }
    }
    printed
}

/// Every chapter of docs/embed.md that has commands; all hosts say the same.
#[test]
fn cinetomo_can_be_embedded_in_ten_minutes() {
    let text = fs::read_to_string(root().join("docs/embed.md")).expect("docs/embed.md");
    let chapters: Vec<&str> = text.split("\n## ").filter(|part| part.contains("```sh")).collect();
    assert_eq!(chapters.len(), 4);
    let said: Vec<String> = chapters
        .iter()
        .map(|chapter| {
            let folder = tempfile::tempdir().expect("a temporary directory");
            let package = folder.path().join("examples/python");
            fs::create_dir_all(package.join("cinetomo")).expect("a folder");
            for file in ["pyproject.toml", "README.md", "cinetomo/__init__.py", "cinetomo/py.typed"]
            {
                fs::copy(root().join("examples/python").join(file), package.join(file))
                    .expect("a copy");
            }
            let printed = follow(chapter, folder.path());
            printed.lines().filter(|line| line.contains(": 0.")).collect::<Vec<_>>().join("\n")
        })
        .collect();
    assert_eq!(said[0].lines().count(), 4, "{}", said[0]);
    assert_eq!(said[1], said[0]);
    assert_eq!(said[2], said[0]);
    assert_eq!(said[3], said[0]);
}

/// The example of a Rust host, its check of layouts included.
#[test]
fn the_rust_host_runs() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let model = folder.path().join("model.safetensors");
    let printed = run(alone("cargo")
        .args(["run", "--quiet", "--offline", "--release", "--features", "layout-check"])
        .arg("--manifest-path")
        .arg(root().join("examples/rust-host/Cargo.toml"))
        .arg("--target-dir")
        .arg(rust_target())
        .arg("--")
        .arg(i3d_checkpoint())
        .arg(&model)
        .env("CINETOMO_PLUGIN_PATH", prefix().join("share/cinetomo/plugins")));
    assert!(printed.starts_with("the layouts agree\ncinetomo "), "{printed}");
    assert!(printed.contains(" on 4 subtomograms"), "{printed}");
    assert!(model.exists());
}

/// Where hosts in Rust are built: their dependencies once for all of them.
fn rust_target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("rust-hosts")
}

/// The manual of the headers: Doxygen takes warnings for errors.
#[test]
fn the_manual_is_complete() {
    let manual = tempfile::tempdir().expect("a temporary directory");
    let output = Command::new("doxygen")
        .arg("docs/Doxyfile")
        .env("CINETOMO_VERSION", env!("CARGO_PKG_VERSION"))
        .env("CINETOMO_MANUAL", manual.path())
        .current_dir(root())
        .output()
        .expect("doxygen is not installed: run `make test`, which brings it");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
    for page in ["index.html", "classcinetomo_1_1Model.html", "structcinetomo__volume.html"] {
        assert!(manual.path().join(page).exists(), "{page} is missing");
    }
}
