//! Which of the dicts in a checkpoint holds the network, and the tensors in it.

use std::collections::HashSet;

use super::Tensors;
use crate::{
    checkpoint::Contents,
    error::{Error, Result},
    pickle::{Id, Pickle, Value},
    tensor::{MAX_TENSORS, is_sound_name},
};

/// Keys under which training scripts keep a network, those first that are preferred.
const NETWORK: &[&str] = &[
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "module",
    "net",
    "network",
    "net_state_dict",
    "params",
    "weights",
];

/// Keys under which they keep what belongs to the training, and parts of such keys.
const TRAINING: &[&str] = &["amp", "callbacks", "loops", "opt", "rng", "scaler"];
const TRAINING_PARTS: &[&str] = &["optim", "opt_state", "sched", "grad_scaler", "rng_state"];

/// How deep the dict of the network may be in others.
const MAX_DEPTH: usize = 4;

/// Most entries of metadata, and most characters of a value.
const MAX_METADATA: usize = 64;
const MAX_TEXT: usize = 200;

/// The tensors of the network, and the plain values beside the dicts that hold it.
pub(super) fn contents(tensors: &Tensors<'_>) -> Result<Contents> {
    let pickle = tensors.pickle;
    let mut contents = Contents { storages: tensors.list.to_vec(), ..Contents::default() };
    let mut root = pickle.root();
    for _ in 0..MAX_DEPTH {
        let items = items(tensors, root, "the file holds")?;
        if is_optimizer(pickle, &items) {
            return Err(only_training());
        }
        describe(pickle, &items, &mut contents.metadata);
        match inner(tensors, &items)? {
            Some(inner) => root = inner,
            None => break,
        }
    }
    let leaves = leaves(tensors, root)?;
    if leaves.is_empty() {
        let items = items(tensors, root, "the file holds")?;
        let keys: Vec<String> = items
            .iter()
            .take(8)
            .map(|(key, value)| format!("{key:.40?}: {}", pickle.value(*value)))
            .collect();
        let keys = keys.join(", ");
        let message = format!("a PyTorch file without tensors: a dict of {} ({keys})", items.len());
        return Err(Error::format(message));
    }
    let mut seen = HashSet::new();
    for (name, id) in leaves {
        let Some((layout, storage)) = tensors.read(id)? else { continue };
        if !seen.insert(name.clone()) {
            return Err(pickle.damage(id, format!("two tensors are named {name}")));
        }
        let tensor = layout.named(name, storage, &tensors.list[storage]);
        contents.tensors.push(tensor?);
    }
    Ok(contents)
}

/// Keys and values of a dict or of an object that works like one. Keys that are no text are left out.
fn items<'p>(tensors: &Tensors<'p>, id: Id, what: &str) -> Result<Vec<(&'p str, Id)>> {
    let pickle = tensors.pickle;
    let pairs = dict(tensors, id)?
        .ok_or_else(|| pickle.damage(id, format!("{what} {}, not a dict", pickle.value(id))))?;
    Ok(pairs
        .into_iter()
        .filter_map(|(key, value)| Some((pickle.text(key, "a key").ok()?, value)))
        .collect())
}

/// Whether the object is a dict or works like one.
fn is_dict(pickle: &Pickle, id: Id) -> bool {
    match pickle.value(id) {
        Value::Dict(_) => true,
        Value::Call { global, .. } => {
            matches!(pickle.global(*global).1, "OrderedDict" | "defaultdict" | "Counter" | "dict")
        }
        _ => false,
    }
}

/// The pairs of a dict or of an object that works like one. Fails if more have been asked for than any honest file has: a
/// small file can refer to one large dict from many places.
fn dict(tensors: &Tensors<'_>, id: Id) -> Result<Option<Vec<(Id, Id)>>> {
    let pickle = tensors.pickle;
    if !is_dict(pickle, id) {
        return Ok(None);
    }
    let mut pairs = Vec::new();
    match pickle.value(id) {
        Value::Dict(items) => pairs.extend_from_slice(items),
        Value::Call { arguments, items, .. } => {
            pairs.extend_from_slice(items);
            // Python 2 gives an OrderedDict its pairs as the argument: a list of lists of two.
            if let Some(&argument) = pickle.tuple(*arguments, "arguments")?.last()
                && let Value::List(list) = pickle.value(argument)
            {
                tensors.count(id, list.len())?;
                for pair in list {
                    match pickle.sequence(*pair, "a pair of key and value")? {
                        &[key, value] => pairs.push((key, value)),
                        _ => return Err(pickle.damage(*pair, "a pair has not two parts")),
                    }
                }
            }
        }
        _ => {}
    }
    tensors.count(id, pairs.len())?;
    Ok(Some(pairs))
}

/// Whether this is what the `state_dict()` of an optimiser returns.
fn is_optimizer(pickle: &Pickle, items: &[(&str, Id)]) -> bool {
    let has = |wanted: &str| {
        items.iter().any(|(key, id)| {
            *key == wanted && matches!(pickle.value(*id), Value::Dict(_) | Value::List(_))
        })
    };
    has("state") && has("param_groups")
}

fn only_training() -> Error {
    Error::format("holds only the state of an optimiser, not the network")
}

/// The value among `items` to go on with; `None` if the tensors are theirs.
fn inner(tensors: &Tensors<'_>, items: &[(&str, Id)]) -> Result<Option<Id>> {
    for (_, id) in items {
        if tensors.read(*id)?.is_some() {
            return Ok(None);
        }
    }
    let mut networks = Vec::new();
    let mut n_training = 0;
    for &(key, id) in items {
        if !is_dict(tensors.pickle, id) {
            continue;
        }
        let lower = key.to_ascii_lowercase();
        let is_training =
            TRAINING.contains(&&*lower) || TRAINING_PARTS.iter().any(|part| lower.contains(part));
        if is_training {
            n_training += 1;
        } else if !leaves(tensors, id)?.is_empty() {
            networks.push((key, id));
        }
    }
    let preferred =
        NETWORK.iter().find_map(|wanted| networks.iter().find(|(key, _)| key == wanted));
    match (preferred, networks.as_slice()) {
        (Some((_, id)), _) | (None, [(_, id)]) => Ok(Some(*id)),
        (None, []) if n_training > 0 => Err(only_training()),
        // Several dicts, none of them known: parts of one network.
        (None, _) => Ok(None),
    }
}

/// Plain values: the epoch, the name of the architecture.
fn describe(pickle: &Pickle, items: &[(&str, Id)], metadata: &mut Vec<(String, String)>) {
    for (key, id) in items {
        if metadata.len() == MAX_METADATA || !is_sound_name(key) {
            continue;
        }
        let text = match pickle.value(*id) {
            Value::Bool(value) => value.to_string(),
            Value::Int(value) => value.to_string(),
            Value::Float(value) => value.to_string(),
            Value::Text(_) | Value::Bytes(_) => match pickle.text(*id, "a value") {
                Ok(text) => text.chars().take(MAX_TEXT).collect(),
                Err(_) => continue,
            },
            _ => continue,
        };
        if metadata.iter().all(|(known, _)| known != key) {
            metadata.push(((*key).to_owned(), text));
        }
    }
}

/// The tensors in a dict and in the dicts in it, named by their paths of keys, joined by dots.
fn leaves(tensors: &Tensors<'_>, root: Id) -> Result<Vec<(String, Id)>> {
    let pickle = tensors.pickle;
    let mut open = vec![(String::new(), root)];
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    let mut n_seen = 0usize;
    while let Some((path, id)) = open.pop() {
        let Some(pairs) = dict(tensors, id)? else { continue };
        // Also what ends the walk: a dict that contains itself is met again.
        if !seen.insert(id) {
            return Err(pickle.damage(id, "a dict occurs twice, or contains itself"));
        }
        n_seen += pairs.len();
        if n_seen > MAX_TENSORS {
            return Err(pickle.damage(id, format!("more than {MAX_TENSORS} values")));
        }
        for (key, value) in pairs {
            let is_tensor = tensors.read(value)?.is_some();
            if !is_tensor && !is_dict(pickle, value) {
                continue;
            }
            let name = match pickle.value(key) {
                // The state of an optimiser is numbered.
                Value::Int(number) => number.to_string(),
                _ => pickle.text(key, "the name of a tensor")?.to_owned(),
            };
            let name = if path.is_empty() { name } else { format!("{path}.{name}") };
            if !is_sound_name(&name) {
                return Err(pickle.damage(key, "a key that makes no name of a tensor"));
            }
            if is_tensor {
                found.push((name, value));
            } else {
                open.push((name, value));
            }
        }
    }
    Ok(found)
}
