//! Run files: a whole run as TOML, read with `--config` and written beside the output of every run.
//!
//! A run file has the member `command`, maybe `directory`, and the long names of the command's options:
//!
//! ```toml
//! command = "classify"
//! directory = ".."              # what relative paths below start from; itself relative to this file, which is the default
//! model = "tuned.safetensors"
//! input = ["particles.star"]
//! output = ["classes.star", "classes.csv"]
//! contrast = "bright"
//! ```

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Component, Path, PathBuf},
};

use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint};
use toml::{Table, Value};

use crate::failure::{Failure, Result};

/// Options that say how a run is shown, not what it does.
const NOT_KEPT: [&str; 7] = ["config", "json", "quiet", "verbose", "force", "help", "version"];

/// The command line with what a `--config` file says put in, as if the user had typed it. Options that are on the
/// command line win.
///
/// # Errors
/// The file is not there, is no TOML, or names a command or option that does not exist.
pub fn expand(arguments: Vec<OsString>, definition: &Command) -> Result<Vec<OsString>> {
    let Some((path, mut typed)) = take_config(arguments) else {
        return Err(Failure::Usage("--config needs a file".to_owned()));
    };
    let Some(path) = path else { return Ok(typed) };
    let text = fs::read_to_string(&path).map_err(|error| Failure::at(&path, error))?;
    let mut table: Table = text
        .parse()
        .map_err(|error: toml::de::Error| Failure::at(&path, error.to_string().trim_end()))?;
    let text_of = |table: &mut Table, key: &str| match table.remove(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(Failure::at(&path, format_args!("{key} is {other}; expected a text"))),
    };
    let named = text_of(&mut table, "command")?;
    let base = path.parent().unwrap_or(Path::new(""));
    let base = base.join(text_of(&mut table, "directory")?.unwrap_or_default());

    let (mut at, mut words) = typed_command(&typed, definition);
    if words.is_empty() {
        let Some(named) = named else {
            return Err(Failure::at(&path, "no member command, and none on the command line"));
        };
        words = named.split_whitespace().map(str::to_owned).collect();
        for (offset, word) in words.iter().enumerate() {
            typed.insert(1 + offset, word.into());
        }
        at = 1 + words.len();
    } else if let Some(named) = named.filter(|named| *named != words.join(" ")) {
        let message = format!("is of the command {named}, not {}", words.join(" "));
        return Err(Failure::at(&path, message));
    }
    let mut command = definition;
    for word in &words {
        command = command.find_subcommand(word).ok_or_else(|| {
            let known = command.get_subcommands().map(Command::get_name);
            let known: Vec<&str> = known.filter(|name| *name != "help").collect();
            Failure::at(&path, format_args!("no command {word}; there are {}", known.join(", ")))
        })?;
    }
    let mentioned = mentioned(&typed, command);
    let mut inserted = Vec::new();
    for (key, value) in &table {
        let name = key.replace('_', "-");
        let argument = command.get_arguments().find(|argument| argument.get_long() == Some(&name));
        let Some(argument) = argument.filter(|argument| argument.get_id() != "config") else {
            let known = command.get_arguments().filter_map(Arg::get_long);
            let known =
                known.filter(|name| !NOT_KEPT.contains(name)).collect::<Vec<_>>().join(", ");
            let message = format!("{} has no option {key}; there are {known}", words.join(" "));
            return Err(Failure::at(&path, message));
        };
        if !mentioned.contains(&name) {
            inserted.extend(
                typed_option(argument, value, &base)
                    .map_err(|reason| Failure::at(&path, format_args!("{key}: {reason}")))?,
            );
        }
    }
    typed.splice(at..at, inserted);
    Ok(typed)
}

/// Takes `--config FILE` out of the arguments; `None` if it has no file.
fn take_config(arguments: Vec<OsString>) -> Option<(Option<PathBuf>, Vec<OsString>)> {
    let mut path = None;
    let mut rest = Vec::with_capacity(arguments.len());
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        if argument == "--" {
            rest.push(argument);
            rest.extend(arguments);
            break;
        } else if argument == "--config" {
            path = Some(PathBuf::from(arguments.next()?));
        } else if let Some(file) = argument.to_str().and_then(|text| text.strip_prefix("--config="))
        {
            path = Some(PathBuf::from(file));
        } else {
            rest.push(argument);
        }
    }
    Some((path, rest))
}

/// The command on the command line, and the index behind its last word.
fn typed_command(typed: &[OsString], definition: &Command) -> (usize, Vec<String>) {
    let (mut command, mut words, mut end) = (definition, Vec::new(), 1);
    let mut at = 1;
    while at < typed.len() {
        let text = typed[at].to_string_lossy();
        at += 1;
        if let Some(argument) = option(command, &text) {
            let takes_value = argument.get_action().takes_values() && !text.contains('=');
            at += usize::from(takes_value);
        } else if let Some(sub) = command.find_subcommand(text.as_ref()) {
            words.push(text.into_owned());
            (command, end) = (sub, at);
        } else {
            break;
        }
    }
    (end, words)
}

/// The option that an argument is, if it is one.
fn option<'a>(command: &'a Command, text: &str) -> Option<&'a Arg> {
    let name = text.split('=').next().unwrap_or_default();
    command.get_arguments().find(|argument| match name.strip_prefix("--") {
        Some(long) => argument.get_long() == Some(long),
        None => match name.strip_prefix('-').and_then(|rest| rest.chars().next()) {
            Some(short) => argument.get_short() == Some(short),
            None => false,
        },
    })
}

/// Long names of the options on the command line.
fn mentioned(typed: &[OsString], command: &Command) -> Vec<String> {
    let typed = typed.iter().skip(1).map(|text| text.to_string_lossy());
    typed
        .take_while(|text| text != "--")
        .filter_map(|text| Some(option(command, &text)?.get_long()?.to_owned()))
        .collect()
}

/// An option as it would be typed.
fn typed_option(argument: &Arg, value: &Value, base: &Path) -> Result<Vec<OsString>, String> {
    let long = argument.get_long().unwrap_or_default();
    if !argument.get_action().takes_values() {
        return match value {
            Value::Boolean(true) => Ok(vec![format!("--{long}").into()]),
            Value::Boolean(false) => Ok(Vec::new()),
            other => Err(format!("{other}; expected true or false")),
        };
    }
    let is_path = matches!(
        argument.get_value_hint(),
        ValueHint::AnyPath | ValueHint::FilePath | ValueHint::DirPath | ValueHint::ExecutablePath
    );
    let one = |value: &Value| -> Result<OsString, String> {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::Boolean(flag) => flag.to_string(),
            other => return Err(format!("{other}; expected a text or a number")),
        };
        let mut option = OsString::from(format!("--{long}="));
        if is_path {
            option.push(base.join(text))
        } else {
            option.push(text)
        }
        Ok(option)
    };
    match value {
        Value::Array(values) => values.iter().map(one).collect(),
        value => Ok(vec![one(value)?]),
    }
}

/// What a run was asked for, to be written beside its output.
#[derive(Debug)]
pub struct RunFile {
    command: String,
    options: Table,
}

impl RunFile {
    /// All options of the run, those that the user left at their defaults included.
    pub fn new(definition: &Command, matches: &ArgMatches) -> RunFile {
        let (mut command, mut matches, mut words) = (definition, matches, Vec::new());
        while let Some((word, sub)) = matches.subcommand() {
            let Some(definition) = command.find_subcommand(word) else { break };
            (command, matches) = (definition, sub);
            words.push(word);
        }
        let mut options = Table::new();
        for argument in command.get_arguments() {
            let (id, long) = (argument.get_id().as_str(), argument.get_long());
            let Some(long) = long.filter(|long| !NOT_KEPT.contains(long)) else { continue };
            if let Some(value) = value_of(argument, id, matches) {
                options.insert(long.to_owned(), value);
            }
        }
        RunFile { command: words.join(" "), options }
    }

    /// Where it is written: the output's name and `.run.toml`.
    pub fn path(output: &Path) -> PathBuf {
        let mut name = output.as_os_str().to_owned();
        name.push(".run.toml");
        name.into()
    }

    /// The first option that the run file beside `output` has otherwise, but for those in `except`.
    ///
    /// # Errors
    /// There is no such file, or it is damaged.
    pub fn difference(&self, output: &Path, except: &[&str]) -> Result<Option<String>> {
        let path = RunFile::path(output);
        let text = fs::read_to_string(&path).map_err(|error| Failure::at(&path, error))?;
        let mut other: Table = text
            .parse()
            .map_err(|error: toml::de::Error| Failure::at(&path, error.to_string().trim_end()))?;
        other.remove("directory");
        if other.remove("command") != Some(Value::String(self.command.clone())) {
            return Ok(Some("command".to_owned()));
        }
        let mut names: Vec<&String> = self.options.keys().chain(other.keys()).collect();
        names.sort_unstable();
        let differs = |name: &&String| {
            !except.contains(&name.as_str()) && self.options.get(*name) != other.get(*name)
        };
        Ok(names.into_iter().find(differs).cloned())
    }

    /// Writes it beside `output`. Relative paths stay as they were typed; `directory` says what from.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, output: &Path) -> Result<()> {
        let path = RunFile::path(output);
        let here = env::current_dir().map_err(|error| Failure::at(&path, error))?;
        let place = here.join(&path);
        let beside = place.parent().unwrap_or(Path::new("/"));
        let directory = way_up(beside, &here).unwrap_or(here);
        let mut table = Table::new();
        table.insert("command".to_owned(), Value::String(self.command.clone()));
        let directory = directory.to_string_lossy().into_owned();
        table.insert("directory".to_owned(), Value::String(directory));
        // `toml` sorts the members of a table: the two come first in a table of their own.
        let head = toml::to_string(&table).map_err(|error| Failure::at(&path, error))?;
        let options = toml::to_string(&self.options).map_err(|error| Failure::at(&path, error))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let version = env!("CARGO_PKG_VERSION");
        let text = format!(
            "# Written by cinetomo {version}. To repeat the run: cinetomo --config {name} --force\n{head}\n{options}"
        );
        Ok(cinetomo_formats::write(&path, text.as_bytes())?)
    }
}

/// The way from a directory up to one above it, as `..`; `None` if it is not above it.
fn way_up(from: &Path, above: &Path) -> Option<PathBuf> {
    let below = from.strip_prefix(above).ok()?;
    let steps: Vec<Component<'_>> =
        below.components().filter(|step| *step != Component::CurDir).collect();
    if steps.iter().any(|step| !matches!(step, Component::Normal(_))) {
        return None;
    }
    Some(if steps.is_empty() { ".".into() } else { steps.iter().map(|_| "..").collect() })
}

/// What an option was given, or its default.
fn value_of(argument: &Arg, id: &str, matches: &ArgMatches) -> Option<Value> {
    if !argument.get_action().takes_values() {
        return match argument.get_action() {
            ArgAction::SetTrue if matches.get_flag(id) => Some(Value::Boolean(true)),
            _ => None,
        };
    }
    let values = matches.try_get_raw(id).ok()??;
    let mut values: Vec<Value> = values.map(|raw| scalar(&raw.to_string_lossy())).collect();
    if matches!(argument.get_action(), ArgAction::Append) {
        return Some(Value::Array(values));
    }
    values.pop()
}

/// A number if it stays what it is, otherwise text: class names may look like numbers.
fn scalar(text: &str) -> Value {
    if let Ok(number) = text.parse::<i64>()
        && number.to_string() == text
    {
        return Value::Integer(number);
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number.to_string() == text => Value::Float(number),
        _ => Value::String(text.to_owned()),
    }
}

#[cfg(test)]
#[path = "run_file_test.rs"]
mod run_file_test;
