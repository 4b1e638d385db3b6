//! PyTorch before 1.6: five pickles (magic number, version of the format, the machine that wrote, the object, the keys of its
//! storages) and then the storages, each a count of values in 8 bytes and the values. Little-endian, whatever the machine.

use std::collections::HashMap;

use super::{RULES, StorageRef, Tensors, tree};
use crate::{
    checkpoint::Contents,
    error::{Error, Result},
    pickle::{Pickle, Value},
    source::Source,
    tensor::{MAX_TENSORS, Storage},
};

/// The version that every PyTorch since 0.1.10 wrote.
const VERSION: i64 = 1001;

/// The tensors of a checkpoint.
pub(crate) fn read(source: &dyn Source) -> Result<Contents> {
    let n_bytes = source.n_bytes();
    // The container was recognised by the magic number.
    let magic = Pickle::parse(source, 0, n_bytes, &RULES)?;
    let version = Pickle::parse(source, magic.end(), n_bytes, &RULES)?;
    match version.value(version.root()) {
        Value::Int(VERSION) => {}
        other => {
            let message = format!("the version of the format is {other}, not {VERSION}");
            return Err(version.damage(version.root(), message));
        }
    }
    let machine = Pickle::parse(source, version.end(), n_bytes, &RULES)?;
    let object = Pickle::parse(source, machine.end(), n_bytes, &RULES)?;
    let keys = Pickle::parse(source, object.end(), n_bytes, &RULES)?;
    let (list, storages) = storages(source, &object, &keys)?;
    tree::contents(&Tensors::new(&object, &storages, &list))
}

/// Where the storages are, and which has which key.
fn storages(
    source: &dyn Source,
    object: &Pickle,
    keys: &Pickle,
) -> Result<(Vec<Storage>, HashMap<String, usize>)> {
    let mut described = HashMap::new();
    for id in object.ids() {
        if let &Value::Persistent(name) = object.value(id)
            && let Some(storage) = StorageRef::read(object, name)?
        {
            described.insert(storage.key, (id, storage));
        }
    }
    let Value::List(order) = keys.value(keys.root()) else {
        let other = keys.value(keys.root());
        return Err(keys.damage(keys.root(), format!("the keys of the storages are {other}")));
    };
    if order.len() > MAX_TENSORS {
        return Err(keys.damage(keys.root(), format!("more than {MAX_TENSORS} storages")));
    }
    let n_bytes = source.n_bytes();
    let mut position = keys.end();
    let mut list = Vec::new();
    let mut index = HashMap::new();
    for key in order {
        let key = keys.text(*key, "the key of a storage")?;
        let short: String = key.chars().take(40).collect();
        let Some((id, storage)) = described.get(key) else {
            return Err(Error::format(format!("no tensor describes the storage {short:?}")));
        };
        let cut = || {
            let n_left = n_bytes - position;
            let n = storage.n_values;
            Error::format(format!(
                "byte {position}: the file is cut short: {n_left} bytes are left for the storage {short:?} of {n} values"
            ))
        };
        let end = storage
            .n_bytes()
            .and_then(|n| n.checked_add(8)?.checked_add(position))
            .filter(|end| *end <= n_bytes)
            .ok_or_else(cut)?;
        let mut word = [0; 8];
        source.read_exact_at(&mut word, position).map_err(|error| Error::io(&error))?;
        let n_values = u64::from_le_bytes(word);
        if n_values != storage.n_values {
            let n = storage.n_values;
            let message =
                format!("the storage {short:?} has {n_values} values, its tensors say {n}");
            return Err(object.damage(*id, message));
        }
        if index.insert(key.to_owned(), list.len()).is_some() {
            return Err(Error::format(format!("the storage {short:?} is there twice")));
        }
        list.push(Storage::plain(0, position + 8, end - position - 8));
        position = end;
    }
    if position != n_bytes {
        let n = n_bytes - position;
        return Err(Error::format(format!("byte {position}: {n} bytes follow the last storage")));
    }
    Ok((list, index))
}
