//! The reference networks: `tests/reference/networks`, a Python program that answers requests.

use std::{
    collections::{HashMap, VecDeque},
    env,
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use cinetomo::backbone::Architecture;
use serde_json::{Map, Value, json};
use tch::Tensor;
use tempfile::TempDir;

const ADVICE: &str = "`python3 src/setup/setup.py --tests` brings a Python with the reference networks; or let CINETOMO_PYTHON name one \
                      that has src/setup/requirements-reference.txt";

/// What is asked of the reference.
pub struct Case {
    pub architecture: Architecture,
    /// One of `CONTAINERS` of the Python program.
    pub container: &'static str,
    /// `eval` and, where it differs, `train`.
    pub modes: &'static [&'static str],
    pub seed: usize,
}

/// Files that the reference wrote; they go with this value.
pub struct Answer {
    /// The weights, as the network's own library writes them.
    pub checkpoint: PathBuf,
    directory: TempDir,
}

impl Answer {
    /// The numbers of the mode `eval` or `train`, by name; the file goes.
    pub fn take_numbers(&self, mode: &str) -> HashMap<String, Tensor> {
        let path = self.directory.path().join(format!("{mode}.safetensors"));
        let numbers = Tensor::read_safetensors(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        numbers.into_iter().collect()
    }
}

/// The running program.
pub struct Reference {
    process: Child,
    requests: Option<ChildStdin>,
    replies: BufReader<ChildStdout>,
    /// Name of the network and where its files go, of requests without an answer.
    asked: VecDeque<(String, TempDir)>,
}

impl Reference {
    pub fn start() -> Reference {
        let python = PathBuf::from(env::var_os("CINETOMO_PYTHON").expect(
            "CINETOMO_PYTHON names no Python: run the tests with `make test`, or plain `cargo test` after it",
        ));
        let mut process = Command::new(&python)
            .arg(cinetomo_tests::root().join("tests/reference/networks"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; {ADVICE}", python.display()));
        let requests = process.stdin.take();
        let replies = BufReader::new(process.stdout.take().unwrap());
        Reference { process, requests, replies, asked: VecDeque::new() }
    }

    /// Asks for the numbers of a case. One request may wait while the answer to another is used.
    pub fn request(&mut self, case: &Case) {
        let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let architecture = &case.architecture;
        let choices: Map<String, Value> = architecture
            .spec
            .choices
            .iter()
            .map(|choice| (choice.name.to_owned(), json!(architecture.choice(choice.name))))
            .collect();
        let request = json!({
            "network": architecture.spec.name,
            "choices": choices,
            "container": case.container,
            "modes": case.modes,
            "seed": case.seed,
            "directory": directory.path(),
        });
        // If the program has ended, so will the wait for its answer, which says why.
        let _ = writeln!(self.requests.as_mut().unwrap(), "{request}");
        self.asked.push_back((architecture.to_string(), directory));
    }

    /// Waits for the answer to the request that waits longest.
    pub fn answer(&mut self) -> Answer {
        let (name, directory) = self.asked.pop_front().expect("a request");
        let mut reply = String::new();
        self.replies.read_line(&mut reply).unwrap();
        let reply: Value = serde_json::from_str(&reply)
            .unwrap_or_else(|_| panic!("{name}: the reference ended, see above; {ADVICE}"));
        let checkpoint = reply["checkpoint"]
            .as_str()
            .unwrap_or_else(|| panic!("{name}: the reference says {}", reply["error"]));
        Answer { checkpoint: checkpoint.into(), directory }
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        // The end of its requests ends the program.
        self.requests = None;
        let _ = self.process.wait();
    }
}
