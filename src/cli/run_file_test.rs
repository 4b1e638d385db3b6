//! Run files become command lines, and command lines run files.

use std::{ffi::OsString, fs};

use clap::CommandFactory;

use super::*;
use crate::args::Cli;

fn definition() -> Command {
    let mut definition = Cli::command();
    definition.build();
    definition
}

fn arguments(text: &str) -> Vec<OsString> {
    text.split(' ').map(OsString::from).collect()
}

/// The command line that a run file of this text and these arguments become, with the file's directory as `DIR`.
fn expanded(text: &str, more: &str) -> Result<String, String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("run.toml");
    fs::write(&path, text).unwrap();
    let line = more.replace("CONFIG", &format!("--config {}", path.display()));
    let place = directory.path().display().to_string();
    match expand(arguments(&line), &definition()) {
        Ok(expanded) => {
            let words: Vec<_> = expanded.iter().map(|word| word.to_string_lossy()).collect();
            Ok(words.join(" ").replace(&place, "DIR"))
        }
        Err(failure) => Err(failure.to_string()),
    }
}

#[test]
fn a_file_is_a_command_line() {
    let text = "command = \"classify\"\nmodel = \"m.safetensors\"\ninput = [\"a.star\", \"/b.star\"]\n\
                min_probability = 0.5\ncontrast = \"dark\"\nthreads = 2\n";
    let expected = "cinetomo classify --contrast=dark --input=DIR/a.star --input=/b.star --min-probability=0.5 \
                    --model=DIR/m.safetensors --threads=2";
    assert_eq!(expanded(text, "cinetomo CONFIG").unwrap(), expected);
    // What is typed wins, wherever it stands.
    let expected = "cinetomo -j 4 classify --contrast=dark --min-probability=0.5 --model=DIR/m.safetensors -i c.star -o x.csv";
    let typed = "cinetomo -j 4 classify -i c.star CONFIG -o x.csv";
    assert_eq!(expanded(text, typed).unwrap(), expected);
    let with_directory = format!("directory = \"up\"\n{text}");
    assert!(
        expanded(&with_directory, "cinetomo CONFIG").unwrap().contains("--input=DIR/up/a.star")
    );
}

#[test]
fn what_is_wrong_is_named() {
    for (text, expected) in [
        ("model = \"m\"", "no member command"),
        ("command = \"dance\"", "no command dance; there are info, weights,"),
        ("command = 1", "command is 1; expected a text"),
        ("command = \"classify\"\nmodle = \"m\"", "classify has no option modle; there are model,"),
        ("command = \"finetune\"\nrandom = 1", "random: 1; expected true or false"),
        ("command = \"classify\"\nmodel = { a = 1 }", "expected a text or a number"),
        ("command = ", "TOML parse error at line 1"),
    ] {
        let message = expanded(text, "cinetomo CONFIG").unwrap_err();
        assert!(message.contains("run.toml: ") && message.contains(expected), "{message}");
    }
    let message = expanded("command = \"init\"", "cinetomo classify CONFIG").unwrap_err();
    assert!(message.ends_with("is of the command init, not classify"), "{message}");
}

#[test]
fn what_a_run_writes_repeats_it() {
    let line = "cinetomo -j 3 classify -m m.safetensors -i a.star b.star -o x.csv --voxel-size 13.50 --keep 007 1 \
                --force --device cpu";
    let definition = definition();
    let matches = definition.clone().try_get_matches_from(arguments(line)).unwrap();
    let run_file = RunFile::new(&definition, &matches);
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("x.csv");
    run_file.write(&output).unwrap();
    let text = fs::read_to_string(RunFile::path(&output)).unwrap();
    assert!(text.contains("keep = [\"007\", 1]") && !text.contains("force ="), "{text}");

    let path = RunFile::path(&output).display().to_string();
    let again = expand(arguments(&format!("cinetomo --config {path}")), &definition).unwrap();
    let again = definition.clone().try_get_matches_from(again).unwrap();
    let (name, again) = again.subcommand().unwrap();
    assert_eq!(name, "classify");
    let values = |id: &str| -> Vec<String> {
        let raw = again.get_raw(id).unwrap();
        raw.map(|value| value.to_string_lossy().into_owned()).collect()
    };
    let here = std::env::current_dir().unwrap();
    let at = |name: &str| here.join(name).display().to_string();
    assert_eq!(values("input"), [at("a.star"), at("b.star")]);
    assert_eq!(values("keep"), ["007", "1"]);
    assert_eq!(values("voxel_size"), ["13.50"]);
    assert_eq!(
        (values("threads"), values("device")),
        (vec!["3".to_owned()], vec!["cpu".to_owned()])
    );
}

#[test]
fn projects_may_be_moved() {
    assert_eq!(way_up(Path::new("/a/b/c"), Path::new("/a")), Some("../..".into()));
    assert_eq!(way_up(Path::new("/a"), Path::new("/a")), Some(".".into()));
    assert_eq!(way_up(Path::new("/x"), Path::new("/a")), None);
    assert_eq!(way_up(Path::new("/a/../x"), Path::new("/a")), None);
}

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}
