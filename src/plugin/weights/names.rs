//! Names of tensors: from those in a checkpoint to those of a network.

use std::collections::BTreeMap;

use cinetomo_checkpoints::{Checkpoint, TensorInfo};

/// What training scripts and wrappers put before every name.
const PREFIXES: &[&str] = &["module.", "_orig_mod.", "model.", "backbone.", "network.", "net."];

/// Last part of the name of BatchNorm's count of batches, which only matters to training that goes on.
const COUNT: &str = "num_batches_tracked";

/// Most prefixes before each other.
const MAX_PREFIXES: usize = 4;

/// Tensors by the names that a network may know them by: their index in the checkpoint.
pub(super) type Names = BTreeMap<String, usize>;

/// The ways to read a checkpoint's names, the plainest first: as they are, then without each of the known prefixes that most
/// of them share.
pub(super) fn candidates(checkpoint: &Checkpoint) -> Vec<Names> {
    let tensors = checkpoint.tensors().iter().enumerate();
    let names: Names = tensors
        .filter(|(_, tensor)| last_part(&tensor.name) != COUNT)
        .map(|(index, tensor)| (tensor.name.clone(), index))
        .collect();
    let mut candidates = vec![names];
    for depth in 0..MAX_PREFIXES {
        let names = &candidates[depth];
        let shared = PREFIXES.iter().find(|prefix| {
            names.keys().filter(|name| name.starts_with(**prefix)).count() * 2 > names.len()
        });
        let Some(prefix) = shared else { break };
        let stripped: Names = names
            .iter()
            .map(|(name, index)| (name.strip_prefix(prefix).unwrap_or(name).to_owned(), *index))
            .collect();
        // Two tensors must not become one.
        if stripped.len() < names.len() {
            break;
        }
        candidates.push(stripped);
    }
    candidates
}

/// The part of a name after the last dot or slash.
pub(super) fn last_part(name: &str) -> &str {
    name.rsplit(['.', '/']).next().unwrap_or(name)
}

/// The shape of a tensor as libtorch counts.
pub(super) fn shape(tensor: &TensorInfo) -> Vec<i64> {
    // `TensorInfo` holds no more values than an i64 counts, so no extent but one beside a 0 exceeds it.
    tensor.shape.iter().map(|extent| i64::try_from(*extent).unwrap_or(i64::MAX)).collect()
}
