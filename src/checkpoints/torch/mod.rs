//! What `torch.save` writes: a pickle in which tensors refer to storages outside of it.
//!
//! Since PyTorch 1.6 pickle and storages are members of a zip archive (`zip.rs`); before, they followed each other in a
//! plain file (`legacy.rs`). The functions that tensors are rebuilt by: `torch/_utils.py`.

mod legacy;
mod names;
mod tree;
mod zip;

pub(crate) use self::{
    legacy::read as read_legacy,
    zip::{read as read_zip, root as zip_root},
};

use std::{cell::Cell, collections::HashMap};

use crate::{
    dtype::Dtype,
    error::Result,
    pickle::{Id, Pickle, Rules, Value},
    tensor::{Layout, Storage},
};

/// What the pickles may contain.
static RULES: Rules = Rules {
    names: names::NAMES,
    allowed: "what checkpoints of weights are made of is read and nothing in a file is ever run, so no other name is \
              (of a whole model saved with torch.save(model), save model.state_dict() instead); such names are",
    persistent: true,
};

/// How tensors refer to storages, and where these are.
struct Tensors<'a> {
    pickle: &'a Pickle,
    /// The storages that exist, by their keys.
    storages: &'a HashMap<String, usize>,
    list: &'a [Storage],
    /// How many entries of dicts may still be looked at.
    n_left: Cell<usize>,
}

/// Most entries of dicts that are looked at. Training checkpoints of video networks have some thousand, met a few times each.
const MAX_ENTRIES: usize = 1 << 20;

/// A storage as tensors refer to it: the tuple `("storage", type, key, device, number of values)`, in the format before 1.6
/// with `None` or `(key of the view, first value, number of values)` at the end.
struct StorageRef<'p> {
    key: &'p str,
    /// `None` if tensors say it themselves.
    dtype: Option<Dtype>,
    n_values: u64,
    /// First value and number of values of the part that is meant.
    view: Option<[u64; 2]>,
}

impl<'p> StorageRef<'p> {
    /// The storage that a persistent id names; `None` if it names something else.
    fn read(pickle: &'p Pickle, name: Id) -> Result<Option<StorageRef<'p>>> {
        let parts = pickle.tuple(name, "a reference to outside")?;
        let Some(&kind) = parts.first() else {
            return Err(pickle.damage(name, "a reference to nothing"));
        };
        match (pickle.text(kind, "the kind of a reference")?, parts) {
            // The source code of a class, kept beside its objects.
            ("module", _) => Ok(None),
            ("storage", &[_, kind, key, _device, n_values, ref view @ ..]) if view.len() <= 1 => {
                let dtype = match pickle.value(kind) {
                    &Value::Global(global) => names::of_storage(pickle.global(global)),
                    _ => None,
                };
                let dtype = dtype
                    .ok_or_else(|| pickle.damage(kind, "the type of a storage is not known"))?;
                let view = match view.first().map(|view| (*view, pickle.value(*view))) {
                    None | Some((_, Value::None)) => None,
                    Some((view, _)) => match pickle.tuple(view, "the view of a storage")? {
                        &[_key, start, n_values] => Some([
                            pickle.count(start, "the start of a view")?,
                            pickle.count(n_values, "the size of a view")?,
                        ]),
                        _ => {
                            return Err(
                                pickle.damage(view, "the view of a storage has not 3 parts")
                            );
                        }
                    },
                };
                let key = pickle.text(key, "the key of a storage")?;
                let n_values = pickle.count(n_values, "the size of a storage")?;
                Ok(Some(StorageRef { key, dtype: dtype.known(), n_values, view }))
            }
            (kind, _) => {
                let kind: String = kind.chars().take(40).collect();
                Err(pickle.damage(name, format!("a reference of kind {kind:?} to outside")))
            }
        }
    }

    /// Size in bytes; `None` if there is no such number.
    fn n_bytes(&self) -> Option<u64> {
        self.n_values.checked_mul(self.dtype.map_or(1, Dtype::n_bytes))
    }
}

impl<'a> Tensors<'a> {
    fn new(
        pickle: &'a Pickle,
        storages: &'a HashMap<String, usize>,
        list: &'a [Storage],
    ) -> Tensors<'a> {
        Tensors { pickle, storages, list, n_left: Cell::new(MAX_ENTRIES) }
    }

    /// Counts entries that are about to be looked at.
    fn count(&self, id: Id, n: usize) -> Result<()> {
        match self.n_left.get().checked_sub(n + 1) {
            Some(left) => {
                self.n_left.set(left);
                Ok(())
            }
            None => Err(self.pickle.damage(id, "dicts within dicts without end")),
        }
    }

    /// The layout of the tensor that an object is, and its storage; `None` if it is no tensor.
    fn read(&self, mut id: Id) -> Result<Option<(Layout, usize)>> {
        let pickle = self.pickle;
        // Parameters wrap tensors, and tensors of a class wrap parameters.
        for _ in 0..4 {
            let &Value::Call { global, arguments, .. } = pickle.value(id) else { return Ok(None) };
            let (_, function) = pickle.global(global);
            let inner = match function {
                "_rebuild_tensor" | "_rebuild_tensor_v2" | "_rebuild_tensor_v3" => {
                    return self.rebuilt(id, function, arguments).map(Some);
                }
                "_rebuild_parameter" | "_rebuild_parameter_with_state" | "Parameter" => {
                    pickle.tuple(arguments, "arguments")?.first().copied()
                }
                // (function, class, arguments, state)
                "_rebuild_from_type_v2" => match pickle.tuple(arguments, "arguments")? {
                    &[function, _, arguments, _] => match pickle.value(function) {
                        &Value::Global(global) => {
                            let (_, function) = pickle.global(global);
                            if function.starts_with("_rebuild_tensor") {
                                return self.rebuilt(id, function, arguments).map(Some);
                            }
                            pickle.tuple(arguments, "arguments")?.first().copied()
                        }
                        _ => None,
                    },
                    _ => None,
                },
                _ => return Ok(None),
            };
            id = inner.ok_or_else(|| pickle.damage(id, "a parameter without a tensor"))?;
        }
        Err(pickle.damage(id, "a parameter within a parameter"))
    }

    /// `(storage, first value, shape, strides, ...)`.
    fn rebuilt(&self, id: Id, function: &str, arguments: Id) -> Result<(Layout, usize)> {
        let pickle = self.pickle;
        let &[storage, start, shape, strides, ref rest @ ..] =
            pickle.tuple(arguments, "the arguments of a tensor")?
        else {
            return Err(pickle.damage(id, "a tensor without a storage, shape or strides"));
        };
        let &Value::Persistent(name) = pickle.value(storage) else {
            let other = pickle.value(storage);
            return Err(pickle.damage(id, format!("a tensor's storage is {other}")));
        };
        let reference = StorageRef::read(pickle, name)?
            .ok_or_else(|| pickle.damage(id, "a tensor's storage is source code"))?;
        // (requires_grad, hooks, metadata), of version 3 (requires_grad, hooks, type, metadata).
        let (dtype, metadata) = match (function, reference.dtype) {
            ("_rebuild_tensor_v3", _) => {
                let dtype = match rest.get(2).map(|dtype| pickle.value(*dtype)) {
                    Some(&Value::Global(global)) => names::of_dtype(pickle.global(global)),
                    _ => None,
                };
                (dtype, rest.get(3))
            }
            (_, dtype) => (dtype, rest.get(2)),
        };
        let dtype = dtype.ok_or_else(|| pickle.damage(id, "a tensor of no known type"))?;
        if let Some(&metadata) = metadata
            && !matches!(pickle.value(metadata), Value::None)
            && !matches!(pickle.value(metadata), Value::Dict(items) if items.is_empty())
        {
            return Err(pickle.damage(id, "a tensor that is to be conjugated or negated"));
        }
        let [view_start, n_viewed] = reference.view.unwrap_or([0, reference.n_values]);
        let within = view_start.checked_add(n_viewed).is_some_and(|end| end <= reference.n_values);
        let offset = pickle
            .count(start, "the first value of a tensor")?
            .checked_add(view_start)
            .and_then(|start| start.checked_mul(dtype.n_bytes()))
            .filter(|_| within)
            .ok_or_else(|| pickle.damage(id, "a tensor that begins beyond its storage"))?;
        let index = *self.storages.get(reference.key).ok_or_else(|| {
            let key: String = reference.key.chars().take(40).collect();
            pickle.damage(id, format!("the storage {key:?} of a tensor is missing"))
        })?;
        if reference.n_bytes() != Some(self.list[index].n_bytes) {
            let (n, there) = (reference.n_values, self.list[index].n_bytes);
            let message = format!("a storage of {n} values of {} has {there} bytes", dtype.name());
            return Err(pickle.damage(id, message));
        }
        let shape = pickle.counts(shape, "the shape of a tensor")?;
        let strides = pickle.counts(strides, "the strides of a tensor")?;
        Ok((Layout { dtype, shape, strides, offset, big_endian: false }, index))
    }
}
