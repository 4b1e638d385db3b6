//! Checkpoints in several files with an index, as the Hugging Face libraries write large ones: a JSON file that names the file
//! of each tensor.

use std::collections::{BTreeSet, HashMap};

use serde::Deserialize;

use crate::{
    checkpoint::Contents,
    error::{Error, Result},
    json::Unique,
    source::Source,
    tensor::MAX_TENSORS,
};

/// Longest index that is read: the name of each of the most tensors and of its file.
const MAX_INDEX: u64 = 64 << 20;

/// Most files. The largest published checkpoints have some hundred.
const MAX_PARTS: usize = 1000;

/// Which file holds which tensor.
pub(crate) struct Index {
    weight_map: Vec<(String, String)>,
    /// The names of the files, in their order.
    pub parts: Vec<String>,
}

/// What is used of the index.
#[derive(Deserialize)]
struct Document {
    weight_map: Option<Unique<String>>,
}

impl Index {
    /// Reads an index.
    pub fn read(source: &dyn Source) -> Result<Index> {
        let n_bytes = source.n_bytes();
        if n_bytes > MAX_INDEX {
            return Err(Error::format(format!(
                "is a JSON file of {n_bytes} bytes, not an index of weights"
            )));
        }
        let mut text = vec![0; n_bytes as usize];
        source.read_exact_at(&mut text, 0).map_err(|error| Error::io(&error))?;
        let document: Document = serde_json::from_slice(&text).map_err(|error| {
            Error::format(format!("is not an index of weights in JSON: {error}"))
        })?;
        let Some(Unique(weight_map)) = document.weight_map else {
            let message = "is a JSON file without a weight_map: not an index of weights";
            return Err(Error::format(message));
        };
        if weight_map.len() > MAX_TENSORS {
            return Err(Error::format(format!("more than {MAX_TENSORS} tensors")));
        }
        let parts: BTreeSet<&String> = weight_map.iter().map(|(_, part)| part).collect();
        if parts.len() > MAX_PARTS {
            return Err(Error::format(format!("more than {MAX_PARTS} files")));
        }
        for part in &parts {
            // A file beside the index, and no other.
            let is_plain = !part.is_empty()
                && part.len() <= 255
                && *part != "."
                && *part != ".."
                && !part.contains(['/', '\\', '\0']);
            if !is_plain {
                let short: String = part.chars().take(200).collect();
                return Err(Error::format(format!(
                    "the index names {short:?}, which is no file beside it"
                )));
            }
        }
        let parts = parts.into_iter().cloned().collect();
        Ok(Index { weight_map, parts })
    }

    /// The contents of all parts as one. The part of index i becomes part i + 1: the index itself comes first.
    pub fn join(&self, parts: Vec<Contents>) -> Result<Contents> {
        let mut all = Contents::default();
        let mut homes = HashMap::new();
        for (index, (part, contents)) in std::iter::zip(&self.parts, parts).enumerate() {
            let n_storages = all.storages.len();
            for tensor in contents.tensors {
                if let Some(other) = homes.insert(tensor.name.clone(), part) {
                    let name = tensor.name;
                    return Err(Error::format(format!("{name} is in {other} and in {part}")));
                }
                let storage = n_storages + tensor.storage;
                all.tensors.push(crate::TensorInfo { storage, ..tensor });
            }
            let storages = contents.storages.into_iter();
            all.storages.extend(
                storages.map(|storage| crate::tensor::Storage { part: index + 1, ..storage }),
            );
            if all.metadata.is_empty() {
                all.metadata = contents.metadata;
            }
        }
        for (name, part) in &self.weight_map {
            if homes.get(name).is_none_or(|home| *home != part) {
                let name: String = name.chars().take(200).collect();
                return Err(Error::format(format!(
                    "{name} is not in {part}, where the index has it"
                )));
            }
        }
        if homes.len() > self.weight_map.len() {
            let named: std::collections::HashSet<&String> =
                self.weight_map.iter().map(|(name, _)| name).collect();
            let extra = homes.iter().find(|(name, _)| !named.contains(name));
            if let Some((name, part)) = extra {
                return Err(Error::format(format!(
                    "{part} holds {name}, which the index does not name"
                )));
            }
        }
        Ok(all)
    }
}
