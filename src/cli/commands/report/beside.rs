//! Other models beside the one of a report, on the same boxes: other starts, other trainings, the network before it was tuned.

use std::path::Path;

use cinetomo_host::Evaluation;
use serde_json::Value;

use super::{
    findings::{Answers, Findings},
    history,
    map::Map,
};
use crate::{
    failure::{Failure, Result},
    session::Session,
    truth::Labelled,
};

/// Another model, and what it is worth on the same boxes.
#[derive(Debug)]
pub struct Other {
    /// Its file's name.
    pub name: String,
    /// What its file says of it.
    pub metadata: Value,
    /// None if it was never tuned: its classes are names alone.
    pub evaluation: Option<Evaluation>,
    /// None where boxes are too few.
    pub map: Option<Map>,
}

impl Other {
    /// Measures.
    ///
    /// # Errors
    /// The model cannot be read, has other classes, or a call of the plugin fails.
    pub fn of(session: &Session, path: &Path, data: &Labelled) -> Result<Other> {
        let model = session.context.model_load(path)?;
        let info = model.info()?;
        let metadata: Value = serde_json::from_str(&info.metadata_json).unwrap_or(Value::Null);
        let is_tuned = !history::trainings(&metadata).is_empty();
        if is_tuned && info.class_names != data.class_names {
            return Err(Failure::Error(format!(
                "--beside {}: its classes are {}, those of the report {}; expected the same in the same order",
                path.display(),
                info.class_names.join(", "),
                data.class_names.join(", ")
            )));
        }
        let answers = is_tuned.then(|| Answers::ask(session, &model, data)).transpose()?;
        let evaluation = answers.as_ref().map(|answers| answers.evaluate(session)).transpose()?;
        let indices = data.labelled();
        let is_right = answers.map_or_else(|| vec![true; indices.len()], |found| found.is_right());
        Ok(Other {
            name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            metadata,
            evaluation,
            map: Map::of(session, &model, data, &indices, &is_right)?,
        })
    }
}

/// A model of the comparison: that of the report, or another.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    pub name: &'a str,
    pub metadata: &'a Value,
    pub evaluation: Option<&'a Evaluation>,
    pub map: Option<&'a Map>,
}

/// The model of the report, then the others.
pub fn entries(findings: &Findings) -> Vec<Entry<'_>> {
    let first = Entry {
        name: findings.name(),
        metadata: &findings.metadata,
        evaluation: Some(&findings.evaluation),
        map: findings.map.as_ref(),
    };
    let others = findings.others.iter().map(|other| Entry {
        name: &other.name,
        metadata: &other.metadata,
        evaluation: other.evaluation.as_ref(),
        map: other.map.as_ref(),
    });
    std::iter::once(first).chain(others).collect()
}

impl Entry<'_> {
    /// Epochs of the last training that had any.
    pub fn epochs(&self) -> &[Value] {
        history::epochs(self.metadata)
    }
}
