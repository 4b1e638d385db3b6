//! cinetomo in Java: the API, and its commands in a real ImageJ, with a display and without. Maven builds what is tested;
//! the script of `make fiji` installs it. `-Xcheck:jni` watches wherever Java's own windows are not open, as they do
//! not pass it themselves.

mod classify;
mod commands;
mod jvm;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

use cinetomo_host::Plugin;
use cinetomo_tests::{library, root};
use tempfile::TempDir;

/// What is built and installed once for all tests.
struct Installation {
    directory: TempDir,
    build: PathBuf,
}

impl Installation {
    fn get() -> &'static Installation {
        static INSTALLATION: OnceLock<Installation> = OnceLock::new();
        INSTALLATION.get_or_init(|| {
            let directory = tempfile::tempdir().expect("a temporary directory");
            let prefix = directory.path().join("prefix");
            run(Command::new(root().join("src/setup/install.sh"))
                .arg(&prefix)
                .env("CINETOMO_LIBRARY", library()));

            let build = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fiji");
            run(Command::new("mvn")
                .args(["--batch-mode", "--quiet", "-Ptests", "package", "-f"])
                .arg(root().join("examples/fiji"))
                .arg(format!("-Dcinetomo.build={}", build.display())));

            let imagej = directory.path().join("ImageJ");
            fs::create_dir_all(imagej.join("plugins")).expect("ImageJ's folder");
            let jni = library().with_file_name("libcinetomo_jni.so");
            run(Command::new(root().join("examples/fiji/install.sh"))
                .args([&build, &imagej])
                .env("CINETOMO_JNI", jni));
            Installation { directory, build }
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn imagej(&self) -> PathBuf {
        self.path("ImageJ")
    }

    fn api(&self) -> PathBuf {
        only_jar(&self.imagej().join("jars"))
    }

    /// The test programs; their jar knows where ImageJ is.
    fn tests(&self) -> PathBuf {
        only_jar(&self.build.join("cinetomo-tests"))
    }

    /// Java, which finds the plugin through its manifest and knows of no other libtorch. A hanging one ends.
    fn java(&self) -> Command {
        // One stream, so that lines keep their order.
        let mut java = Command::new("sh");
        java.args(["-c", "exec timeout 600 java \"$@\" 2>&1", "java"]);
        java.arg(format!("-Duser.home={}", self.path("home").display()));
        for variable in ["LD_LIBRARY_PATH", "LIBTORCH", "DISPLAY"] {
            java.env_remove(variable);
        }
        // Where tests share the cores with other work, OpenMP's threads would spin while they wait for each other.
        java.env("OMP_WAIT_POLICY", "passive");
        java.env("CINETOMO_PLUGIN_PATH", self.path("prefix/share/cinetomo/plugins"));
        // Java takes the names of files from the locale.
        java.env("LC_ALL", "C.UTF-8");
        java
    }

    /// A test program of the API, under the watch of the JVM.
    fn program(&self, name: &str) -> Command {
        let mut java = self.java();
        java.args(["-Xcheck:jni", "-cp"]).arg(class_path(&[self.tests(), self.api()])).arg(name);
        java
    }

    /// Runs a macro in ImageJ as Fiji has it without a display; returns what it printed.
    fn headless(&self, script: &str, argument: &str) -> String {
        let jars = [self.tests(), self.api(), only_jar(&self.imagej().join("plugins"))];
        let mut java = self.java();
        java.args(["-Xcheck:jni", "-Djava.awt.headless=true"])
            // For the patcher of ImageJ's classes; Fiji's launcher has this, too.
            .arg("--add-opens=java.base/java.lang=ALL-UNNAMED")
            .arg("-cp")
            .arg(class_path(&jars))
            .args(["Headless", "-ijpath"])
            .arg(self.imagej())
            .arg("-batch")
            .arg(root().join("tests/fiji").join(script))
            .arg(argument);
        clean(&mut java)
    }

    fn plugin(&self) -> Plugin {
        Plugin::find(Some(&self.path("prefix/share/cinetomo/plugins"))).expect("the plugin")
    }
}

fn only_jar(folder: &Path) -> PathBuf {
    let jars: Vec<PathBuf> = fs::read_dir(folder)
        .expect("a folder of jars")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jar"))
        .collect();
    assert_eq!(jars.len(), 1, "{}: {jars:?}", folder.display());
    jars[0].clone()
}

fn class_path(jars: &[PathBuf]) -> String {
    env::join_paths(jars).expect("no colon in a path").into_string().expect("UTF-8")
}

fn output(command: &mut Command) -> (Output, String) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    (output, String::from_utf8_lossy(&text).into_owned())
}

/// Runs a command that must succeed and returns what it printed.
fn run(command: &mut Command) -> String {
    let (output, text) = output(command);
    assert!(output.status.success(), "{command:?}: {}\n{text}", output.status);
    text
}

/// Runs a Java program that must succeed, and of which `-Xcheck:jni` has nothing to say.
fn clean(command: &mut Command) -> String {
    let text = run(command);
    assert!(!text.contains("WARNING") && !text.contains("FATAL"), "{text}");
    text
}
