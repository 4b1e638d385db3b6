//! Which network: a specification and, where its networks differ, the choices made.

use std::{collections::BTreeMap, fmt};

use super::{BACKBONES, BackboneSpec, find};
use crate::error::{Error, ErrorKind, Result};

/// A way in which the networks of a specification differ.
#[derive(Debug)]
pub struct Choice {
    /// Its name, such as `shortcut`.
    pub name: &'static str,
    /// What can be chosen; the first unless the checkpoint or the caller says otherwise.
    pub values: &'static [&'static str],
    /// What it means, for messages and documentation.
    pub about: &'static str,
}

/// Shapes of the tensors of a checkpoint, by name.
pub type Shapes = BTreeMap<String, Vec<i64>>;

/// A specification with every choice made. Written as `name`, or `name(choice=value, ...)` with what is not the default.
#[derive(Clone, Debug, PartialEq)]
pub struct Architecture {
    /// What it is.
    pub spec: &'static BackboneSpec,
    /// The value of each of `spec.choices`.
    values: Vec<&'static str>,
}

impl Architecture {
    /// The specification with its default choices.
    pub fn default_of(spec: &'static BackboneSpec) -> Architecture {
        Architecture { spec, values: spec.choices.iter().map(|choice| choice.values[0]).collect() }
    }

    /// The architecture that `text` names. Fails as `Wanted::parse` does.
    pub fn parse(text: &str) -> Result<Architecture> {
        let wanted = Wanted::parse(text)?;
        Ok(wanted.complete(&[]))
    }

    /// The value of the choice `name`, which must be one of the specification's.
    pub fn choice(&self, name: &str) -> &'static str {
        let place = self.spec.choices.iter().position(|choice| choice.name == name);
        place.map_or("", |place| self.values[place])
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.spec.name)?;
        let chosen: Vec<String> = std::iter::zip(self.spec.choices, &self.values)
            .filter(|(choice, value)| choice.values[0] != **value)
            .map(|(choice, value)| format!("{}={value}", choice.name))
            .collect();
        if chosen.is_empty() { Ok(()) } else { write!(f, "({})", chosen.join(", ")) }
    }
}

/// What a caller asks for: a specification and the choices that are not left to the checkpoint.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What it is.
    pub spec: &'static BackboneSpec,
    /// The value of each of `spec.choices`, where one was asked for.
    values: Vec<Option<&'static str>>,
}

impl Wanted {
    /// Any network of the specification.
    pub fn any(spec: &'static BackboneSpec) -> Wanted {
        Wanted { spec, values: vec![None; spec.choices.len()] }
    }

    /// What `text` asks for: `name`, or `name(choice=value, ...)`. Fails with `Unsupported` if there is no network of that
    /// name, and with `InvalidArgument` if it has no such choice or value; both say what there is.
    pub fn parse(text: &str) -> Result<Wanted> {
        let (name, chosen) = match text.trim().split_once('(') {
            None => (text.trim(), ""),
            Some((name, rest)) => {
                let chosen = rest.strip_suffix(')').ok_or_else(|| {
                    Error::invalid(format!("backbone {text:?}: the bracket is not closed"))
                })?;
                (name.trim(), chosen)
            }
        };
        let spec = find(name).ok_or_else(|| unknown(name))?;
        let mut wanted = Wanted::any(spec);
        for pair in chosen.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (choice, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (choice, value) = (choice.trim(), value.trim());
            let place = spec.choices.iter().position(|known| known.name == choice);
            let place = place.ok_or_else(|| no_such_choice(spec, choice))?;
            let known = &spec.choices[place];
            let value = known.values.iter().find(|known| **known == value).ok_or_else(|| {
                Error::invalid(format!(
                    "backbone {name}: {choice}={value} is not known; {choice} is {} ({})",
                    known.values.join(" or "),
                    known.about
                ))
            })?;
            wanted.values[place] = Some(value);
        }
        Ok(wanted)
    }

    /// The choices asked for; else what the checkpoint tells (`told`: name and value); else the defaults.
    pub fn complete(&self, told: &[(&'static str, &'static str)]) -> Architecture {
        let values = std::iter::zip(self.spec.choices, &self.values).map(|(choice, wanted)| {
            let told =
                || told.iter().find(|(name, _)| *name == choice.name).map(|(_, value)| *value);
            wanted.or_else(told).unwrap_or(choice.values[0])
        });
        Architecture { spec: self.spec, values: values.collect() }
    }
}

fn unknown(name: &str) -> Error {
    let known: Vec<&str> = BACKBONES.iter().map(|spec| spec.name).collect();
    Error::new(
        ErrorKind::Unsupported,
        format!("backbone {name:?} is unknown; this release has {}", known.join(", ")),
    )
}

fn no_such_choice(spec: &BackboneSpec, name: &str) -> Error {
    let known: Vec<String> = spec
        .choices
        .iter()
        .map(|choice| format!("{} ({})", choice.name, choice.values.join(" or ")))
        .collect();
    let known = if known.is_empty() { "nothing".to_owned() } else { known.join(", ") };
    Error::invalid(format!(
        "backbone {}: nothing is called {name:?}; it lets choose {known}",
        spec.name
    ))
}
