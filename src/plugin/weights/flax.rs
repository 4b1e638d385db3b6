//! Flax checkpoints: a dict of collections (`params`, `batch_stats`), each a tree of dicts with arrays as leaves.

use std::{
    collections::{BTreeMap, HashSet, btree_map::Entry},
    path::Path,
};

use tch::Tensor;

use super::{
    numpy::{Array, NAMES},
    pickle::{Damage, Id, Pickle, Value},
};
use crate::{
    error::{Error, Result},
    monitor::Monitor,
};

/// Longest name of a tensor, in bytes, which also bounds how deep dicts may nest. Those of I3D have up to 50.
const MAX_NAME: usize = 512;

/// Most tensors in a checkpoint. Video networks have some hundreds.
const MAX_TENSORS: usize = 1 << 16;

/// The tensors of a pickled flax checkpoint, under PyTorch's leaf names and axes.
///
/// The name is the path of keys below the collection, joined by `/`. `kernel` becomes `weight` with the output and
/// input channels moved from the end to the front; `scale` becomes `weight`; `mean` and `var` become `running_mean` and
/// `running_var`; everything but kernels loses leading axes of size 1.
pub(super) fn read(
    file: &[u8],
    path: &Path,
    monitor: &Monitor<'_>,
) -> Result<BTreeMap<String, Tensor>> {
    let damaged = |damage: Damage| damage.in_file(path);
    let pickle = Pickle::parse(file, NAMES, "numpy arrays are").map_err(damaged)?;
    let mut tensors = BTreeMap::new();
    let mut n_bytes = 0;
    for (name, id) in leaves(&pickle).map_err(damaged)? {
        monitor.check()?;
        let array = Array::read(&pickle, id).map_err(damaged)?.ok_or_else(|| {
            let other = pickle.value(id);
            damaged(pickle.damage(id, format!("{name} is {other}, neither a dict nor an array")))
        })?;
        n_bytes += array.n_bytes();
        if n_bytes > file.len() {
            let message = "several arrays share the same bytes and together exceed the file";
            return Err(damaged(pickle.damage(id, message)));
        }
        let (name, tensor) = to_pytorch(&name, array.to_tensor()?)?;
        match tensors.entry(name) {
            Entry::Vacant(entry) => entry.insert(tensor),
            Entry::Occupied(entry) => {
                let message = format!("two arrays are named {}", entry.key());
                return Err(Error::format(path, message));
            }
        };
    }
    Ok(tensors)
}

/// What is below `params` and `batch_stats` and is no dict, with its path of keys.
fn leaves(pickle: &Pickle<'_>) -> Result<Vec<(String, Id)>, Damage> {
    let root = pickle.root();
    let Value::Dict(collections) = pickle.value(root) else {
        let message = format!("the file holds {}, not a dict of weights", pickle.value(root));
        return Err(pickle.damage(root, message));
    };
    let mut open = Vec::new();
    for (key, value) in collections {
        // Others, such as the state of an optimiser, are no part of the network.
        if ["params", "batch_stats"].contains(&pickle.text(*key, "a key")?) {
            open.push((String::new(), *value));
        }
    }
    if open.is_empty() {
        let mut keys = Vec::new();
        for (key, _) in collections.iter().take(5) {
            let key: String = pickle.text(*key, "a key")?.chars().take(40).collect();
            keys.push(format!("{key:?}"));
        }
        let message = format!(
            "a dict of {} ({}); a flax checkpoint has \"params\" and \"batch_stats\"",
            collections.len(),
            keys.join(", ")
        );
        return Err(pickle.damage(root, message));
    }
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    while let Some((name, id)) = open.pop() {
        let Value::Dict(items) = pickle.value(id) else {
            found.push((name, id));
            continue;
        };
        // Also what ends the walk: a dict that contains itself is met again.
        if !seen.insert(id) {
            return Err(pickle.damage(id, "a dict occurs twice, or contains itself"));
        }
        if open.len() + found.len() + items.len() > MAX_TENSORS {
            return Err(pickle.damage(id, format!("more than {MAX_TENSORS} arrays")));
        }
        for (key, value) in items {
            let (id, key) = (*key, pickle.text(*key, "a key")?);
            let name = if name.is_empty() { key.to_owned() } else { format!("{name}/{key}") };
            // Names end up in messages.
            if key.is_empty() || name.len() > MAX_NAME || key.chars().any(char::is_control) {
                return Err(pickle.damage(id, "a key that makes no name of a layer or array"));
            }
            open.push((name, *value));
        }
    }
    Ok(found)
}

/// From flax's leaf names and axis order to PyTorch's.
fn to_pytorch(name: &str, tensor: Tensor) -> Result<(String, Tensor)> {
    let (module, leaf) = match name.rsplit_once('/') {
        Some((module, leaf)) => (format!("{module}/"), leaf),
        None => (String::new(), name),
    };
    let size = tensor.size();
    let n_axes = size.len() as i64;
    if leaf == "kernel" && n_axes >= 2 {
        let axes: Vec<i64> = [n_axes - 1, n_axes - 2].into_iter().chain(0..n_axes - 2).collect();
        return Ok((format!("{module}weight"), tensor.f_permute(axes)?.f_contiguous()?));
    }
    let leaf = match leaf {
        "scale" => "weight",
        "mean" => "running_mean",
        "var" => "running_var",
        other => other,
    };
    let n_ones = size.iter().take_while(|size| **size == 1).count().min(size.len().max(1) - 1);
    Ok((format!("{module}{leaf}"), tensor.f_reshape(&size[n_ones..])?))
}
