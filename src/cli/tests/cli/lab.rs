//! A directory to work in, and the real command with the real library.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::OnceLock,
};

use cinetomo_formats::volumes;
use cinetomo_tests::{i3d_checkpoint, library};
use serde_json::Value;
use tempfile::TempDir;

/// A directory with the command in it.
pub struct Lab {
    directory: TempDir,
}

/// What a run of the command came to.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    fn of(output: Output) -> Run {
        Run {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }

    /// What it printed, if it succeeded.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.stdout
    }

    /// The object that it printed, if it succeeded.
    #[track_caller]
    pub fn json(self) -> Value {
        let text = self.ok();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Checks that it failed with this code, for a reason that has these words.
    #[track_caller]
    pub fn fails(self, code: i32, words: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.stderr.contains(words), "expected {words:?} in\n{}", self.stderr);
    }
}

impl Lab {
    pub fn new() -> Lab {
        Lab { directory: tempfile::tempdir().expect("a temporary directory") }
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.at(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.at(name), text).unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    /// The command with these arguments, in which `~` stands for a blank, and with one thread of one CPU.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cinetomo"));
        command
            .current_dir(self.path())
            .args(arguments.split_whitespace().map(|argument| argument.replace('~', " ")))
            .args(["-j", "1", "--device", "cpu"])
            .env_remove("CINETOMO_I3D")
            .env_remove("CINETOMO_PLUGIN_PATH");
        if !arguments.contains("--plugin") {
            command.arg("--plugin").arg(library());
        }
        command
    }

    /// Runs it.
    pub fn cinetomo(&self, arguments: &str) -> Run {
        Run::of(self.command(arguments).output().expect("the command runs"))
    }

    /// Starts it and does not wait.
    pub fn start(&self, arguments: &str) -> Child {
        self.command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command starts")
    }

    /// Waits for it.
    pub fn end(child: Child) -> Run {
        Run::of(child.wait_with_output().expect("the command ends"))
    }

    /// Copies the shared data and the shared model here.
    pub fn with_data(self) -> Lab {
        let data = data();
        for name in ["train.mrc", "train.csv", "test.mrc", "test.csv", "tuned.safetensors"] {
            fs::hard_link(data.at(name), self.at(name))
                .or_else(|_| fs::copy(data.at(name), self.at(name)).map(|_| ()))
                .unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        self
    }

    /// Writes the labels of the first `n` boxes of `train.csv` into `few.csv`.
    pub fn write_few(&self, n: usize) {
        let labels = self.read("train.csv");
        let few: Vec<&str> = labels.lines().take(1 + n).collect();
        self.write("few.csv", few.join("\n") + "\n");
    }

    /// Writes the boxes of `test.mrc` as files of their own, `boxes/box_1.mrc` and so on; returns their classes.
    pub fn split_boxes(&self) -> Vec<String> {
        fs::create_dir(self.at("boxes")).expect("a directory");
        let stack = volumes::open(self.at("test.mrc")).expect("a stack");
        for index in 0..stack.n_volumes() {
            let volume = stack.read(index).expect("a box");
            let path = self.at(&format!("boxes/box_{}.mrc", index + 1));
            cinetomo_formats::mrc::write(path, volume.view(), stack.voxel_size()).expect("a file");
        }
        let labels = self.read("test.csv");
        labels
            .lines()
            .skip(1)
            .map(|line| line.split(',').nth(1).expect("a label").to_owned())
            .collect()
    }
}

/// Simulated boxes of three classes, twelve of each to train and eight to test on, and a model that was made of video
/// weights and the former.
pub fn data() -> &'static Lab {
    static DATA: OnceLock<Lab> = OnceLock::new();
    DATA.get_or_init(|| {
        let lab = Lab::new();
        let simulate = "simulate --phantoms apoferritin T20S~proteasome hemagglutinin --snr 1";
        lab.cinetomo(&format!("{simulate} -o train.mrc --per-class 12")).ok();
        lab.cinetomo(&format!("{simulate} -o test.mrc --per-class 8 --seed 1")).ok();
        let checkpoint = i3d_checkpoint();
        lab.cinetomo(&format!(
            "finetune --checkpoint {} --labels train.csv --contrast dark --preset probe --views 1 \
             --validation 0.33 --calibrate probability,distance -o tuned.safetensors",
            checkpoint.display()
        ))
        .ok();
        lab
    })
}

/// Files in a directory that no run should leave behind.
pub fn leftovers(lab: &Lab) -> Vec<String> {
    let entries = fs::read_dir(lab.path()).expect("a directory");
    let names =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    names.filter(|name| name.contains(".tmp") || name.ends_with(".state")).collect()
}
