//! Flax checkpoints: a dict of collections (`params`, `batch_stats`), each a tree of dicts with arrays as leaves.

use std::collections::HashSet;

use crate::{
    checkpoint::Contents,
    error::{Error, Result},
    numpy,
    pickle::{Id, Pickle, Rules, Value},
    source::Source,
    tensor::{Layout, MAX_TENSORS, is_sound_name},
};

/// What the pickles may contain.
static RULES: Rules = Rules { names: numpy::NAMES, allowed: "numpy arrays are", persistent: false };

/// The collections that make up a network.
const COLLECTIONS: [&str; 2] = ["params", "batch_stats"];

/// The path below the collection, if the path of keys is in one.
pub(crate) fn below_collection(path: &str) -> Option<&str> {
    let (collection, path) = path.split_once('/')?;
    COLLECTIONS.contains(&collection).then_some(path)
}

/// The tensors of a pickled flax checkpoint, under PyTorch's leaf names and axes. Their names are the paths of keys below the
/// collection, joined by `/`.
pub(crate) fn read(source: &dyn Source) -> Result<Contents> {
    let n_bytes = source.n_bytes();
    let pickle = Pickle::parse(source, 0, n_bytes, &RULES)?;
    if pickle.end() != n_bytes {
        let n = n_bytes - pickle.end();
        let message = format!("byte {}: {n} bytes follow the end of the pickle", pickle.end());
        return Err(Error::format(message));
    }
    let mut contents = Contents::default();
    let mut seen = HashSet::new();
    for (path, id) in leaves(&pickle)? {
        let (layout, storage) = numpy::array(&pickle, id)?.ok_or_else(|| {
            let other = pickle.value(id);
            pickle.damage(id, format!("{path} is {other}, neither a dict nor an array"))
        })?;
        let (name, layout) = to_pytorch(&path, layout);
        if !seen.insert(name.clone()) {
            return Err(Error::format(format!("two arrays are named {name}")));
        }
        contents.tensors.push(layout.named(name, contents.storages.len(), &storage)?);
        contents.storages.push(storage);
    }
    Ok(contents)
}

/// What is below `params` and `batch_stats` and is no dict, with its path of keys.
fn leaves(pickle: &Pickle) -> Result<Vec<(String, Id)>> {
    let root = pickle.root();
    let Value::Dict(collections) = pickle.value(root) else {
        let message = format!("the file holds {}, not a dict of weights", pickle.value(root));
        return Err(pickle.damage(root, message));
    };
    let mut open = Vec::new();
    for (key, value) in collections {
        // Others, such as the state of an optimiser, are no part of the network.
        if COLLECTIONS.contains(&pickle.text(*key, "a key")?) {
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
            if key.is_empty() || !is_sound_name(&name) {
                return Err(pickle.damage(id, "a key that makes no name of a layer or array"));
            }
            open.push((name, *value));
        }
    }
    Ok(found)
}

/// From flax's leaf names and axes to PyTorch's: `kernel` becomes `weight` with the output and input channels moved from the
/// end to the front; `scale` becomes `weight`; `mean` and `var` become `running_mean` and `running_var`; everything but
/// kernels loses leading axes of size 1.
pub(crate) fn to_pytorch(name: &str, mut layout: Layout) -> (String, Layout) {
    let (module, leaf) = match name.rsplit_once('/') {
        Some((module, leaf)) => (format!("{module}/"), leaf),
        None => (String::new(), name),
    };
    let n_axes = layout.shape.len();
    if leaf == "kernel" && n_axes >= 2 {
        for axes in [&mut layout.shape, &mut layout.strides] {
            // (..., in, out) becomes (out, in, ...).
            axes.rotate_right(2);
            axes.swap(0, 1);
        }
        return (format!("{module}weight"), layout);
    }
    let leaf = match leaf {
        "scale" => "weight",
        "mean" => "running_mean",
        "var" => "running_var",
        other => other,
    };
    let n_ones = layout.shape.iter().take_while(|extent| **extent == 1).count();
    let n_ones = n_ones.min(n_axes.max(1) - 1);
    layout.shape.drain(..n_ones);
    layout.strides.drain(..n_ones);
    (format!("{module}{leaf}"), layout)
}
