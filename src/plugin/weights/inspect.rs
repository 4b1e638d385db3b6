//! What a checkpoint is, without loading it.

use std::{collections::BTreeMap, path::Path};

use cinetomo_checkpoints::Checkpoint;
use serde::Serialize;

use super::fit::{self, Found};
use crate::error::Result;

/// What is in a checkpoint. As JSON, its fields are those of `cinetomo_weights_inspect`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inspection {
    /// The file.
    pub path: String,
    /// What it is, in words.
    pub container: String,
    /// Number of files with weights.
    pub n_parts: usize,
    /// Size of all its files in bytes.
    pub n_bytes: u64,
    /// SHA-256, 64 hexadecimal digits, of the files one after the other, an index first; `None` if not asked for.
    pub sha256: Option<String>,
    /// Plain values that the file keeps beside the tensors, such as `epoch` and `arch`.
    pub metadata: BTreeMap<String, String>,
    /// The tensors, by name.
    pub tensors: Vec<InspectedTensor>,
    /// The network that it holds, as `Architecture` is written; `None` if none that is known.
    pub network: Option<String>,
    /// Number of classes of its video head; `None` without one.
    pub n_classes: Option<u64>,
    /// The network that it comes nearest to, if it holds none.
    pub nearest: Option<String>,
    /// What keeps it from being the nearest, one line each.
    pub wrong: Vec<String>,
    /// What else it may be, in words; empty if nothing tells.
    pub guess: String,
}

/// A tensor of a checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InspectedTensor {
    /// Name, with PyTorch's leaf names.
    pub name: String,
    /// Type of its values, as PyTorch and numpy call it.
    pub dtype: String,
    /// Extent along each axis.
    pub shape: Vec<u64>,
    /// Size of its values in bytes.
    pub n_bytes: u64,
}

/// Looks into a checkpoint: reads its headers, and all of it only for the hash.
///
/// Fails with `Io`, and with `Format` if the file is no checkpoint that is read. That it holds no known network, or not all of
/// one, is no error.
pub fn inspect(path: &Path, with_hash: bool) -> Result<Inspection> {
    let checkpoint = Checkpoint::open(path)?;
    let found = fit::recognise(&checkpoint).map_err(|error| error.within(path.display()))?;
    let sha256 = if with_hash { checkpoint.sha256(|_| true)? } else { None };
    let mut tensors: Vec<InspectedTensor> = checkpoint
        .tensors()
        .iter()
        .map(|tensor| InspectedTensor {
            name: tensor.name.clone(),
            dtype: tensor.dtype.name().to_owned(),
            shape: tensor.shape.clone(),
            n_bytes: tensor.n_bytes(),
        })
        .collect();
    tensors.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let mut inspection = Inspection {
        path: path.display().to_string(),
        container: fit::container(&checkpoint),
        n_parts: checkpoint.n_parts(),
        n_bytes: checkpoint.n_bytes(),
        sha256,
        metadata: checkpoint.metadata().iter().cloned().collect(),
        tensors,
        network: None,
        n_classes: None,
        nearest: None,
        wrong: Vec::new(),
        guess: String::new(),
    };
    match found {
        Found::Whole(fit) => {
            inspection.network = Some(fit.architecture.to_string());
            inspection.n_classes = fit.head.map(|[_, bias]| checkpoint.tensors()[bias].n_values());
        }
        Found::Nearest(fit) => {
            inspection.nearest = Some(fit.architecture.to_string());
            inspection.wrong = fit.wrong;
            inspection.guess = fit::guess(&checkpoint).to_owned();
        }
        Found::Nothing => inspection.guess = fit::guess(&checkpoint).to_owned(),
    }
    Ok(inspection)
}

impl Inspection {
    /// All of it as JSON.
    pub fn to_json(&self) -> String {
        // Serialisation fails only for maps whose keys are not strings; there are none.
        serde_json::to_string(self).expect("the keys are strings")
    }
}
