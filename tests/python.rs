//! The Python binding, installed by pip and run by the Python that the reference networks have: with numpy, torch and tqdm.

use std::{fs, os::unix::fs::symlink, path::PathBuf, process::Command, sync::OnceLock};

use cinetomo_tests::{alone, i3d_checkpoint, prefix, python, root, run};
use tempfile::TempDir;

/// Where pip has put the package, and nothing else.
fn installed() -> PathBuf {
    static INSTALLED: OnceLock<TempDir> = OnceLock::new();
    let directory = INSTALLED.get_or_init(|| {
        let directory = tempfile::tempdir().expect("a temporary directory");
        // pip builds where the sources are.
        let sources = directory.path().join("sources");
        fs::create_dir_all(sources.join("cinetomo")).expect("a folder");
        for file in ["pyproject.toml", "README.md", "cinetomo/__init__.py", "cinetomo/py.typed"] {
            fs::copy(root().join("examples/python").join(file), sources.join(file)).expect(file);
        }
        run(alone(python())
            .args(["-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps"])
            .args(["--no-build-isolation", "--target"])
            .args([directory.path().join("site"), sources]));
        directory
    });
    directory.path().join("site")
}

/// A Python that finds the installed package and the installed plugin.
fn host() -> Command {
    let mut command = alone(python());
    command
        .env("PYTHONPATH", installed())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("CINETOMO_PLUGIN_PATH", prefix().join("share/cinetomo/plugins"))
        .current_dir(root().join("tests/python"));
    command
}

/// Runs the tests of a module; all of them, none may be skipped.
fn unittest(module: &str) {
    let output =
        host().args(["-W", "error", "-m", "unittest", module]).output().expect("Python starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim_end().ends_with("\nOK"), "{module}: {said}");
}

#[test]
fn structs_and_tables_are_those_of_the_header() {
    unittest("test_layout");
}

#[test]
fn the_binding_keeps_its_promises() {
    unittest("test_binding");
}

#[test]
fn hazards_of_whole_processes() {
    unittest("test_hazards");
}

/// The study of the example, small; every figure is drawn.
#[test]
fn the_figures_are_drawn() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let printed = run(host()
        .arg(root().join("examples/python/figures.py"))
        .arg(i3d_checkpoint())
        .args("--per-class 5 --classes 2 --box-size 16 --snr 5 --epochs 1 --out".split(' '))
        .arg(directory.path())
        .env("MPLCONFIGDIR", directory.path().join("matplotlib")));
    assert!(printed.contains("accuracy "), "{printed}");
    for name in ["confusion", "embeddings", "reliability", "roc", "subtomograms", "training"] {
        let file = directory.path().join(format!("{name}.png"));
        let bytes = fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert!(bytes.starts_with(b"\x89PNG") && bytes.len() > 2000, "{name}.png is no picture");
    }
}

/// What the README shows works as printed, where the arrays and the checkpoint that it speaks of are there.
#[test]
fn the_readme_runs() {
    let readme = fs::read_to_string(root().join("examples/python/README.md")).expect("README.md");
    let block = readme.split("```python\n").nth(1).and_then(|rest| rest.split("```").next());
    let directory = tempfile::tempdir().expect("a temporary directory");
    symlink(i3d_checkpoint(), directory.path().join("i3d-kinetics-400.ckpt")).expect("a link");
    let script = format!(
        "import numpy as np\nvoxels = np.random.default_rng(1).random((4, 16, 16, 16), np.float32)\n\
         labels, others = [0, 1, 0, 1], voxels[:2]\n{}\nprint(probabilities.shape)",
        block.expect("a block of Python")
    );
    let printed = run(host().args(["-c", &script]).current_dir(directory.path()));
    assert_eq!(printed, "(2, 2)\n");
    assert!(directory.path().join("tuned.safetensors").exists());
}
