//! Arrays in a pickle, as numpy writes them: `ndarray.__reduce__` (`_reconstruct` and a state), `__reduce_ex__(5)`
//! (`_frombuffer`) and scalars. Their values stay in the file.

use crate::{
    dtype::Dtype,
    error::Result,
    pickle::{Id, Pickle, Value},
    tensor::{Encoding, Layout, MAX_AXES, Storage, column_major, row_major},
};

/// What a pickle of arrays may ask for: numpy's names before and since 2.0, and what protocol 2 writes bytes with.
pub(crate) const NAMES: &[(&str, &str)] = &[
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy.core.numeric", "_frombuffer"),
    ("numpy._core.numeric", "_frombuffer"),
    ("_codecs", "encode"),
];

/// The layout and values of the array that an object is; `None` if it is no array.
pub(crate) fn array(pickle: &Pickle, id: Id) -> Result<Option<(Layout, Storage)>> {
    let &Value::Call { global, arguments, state, .. } = pickle.value(id) else { return Ok(None) };
    let arguments = tuple(pickle, arguments)?;
    let array = match (pickle.global(global).1, arguments, state) {
        ("_reconstruct", _, Some(state)) => match tuple(pickle, state)? {
            &[_version, shape, dtype, fortran, data] => {
                let fortran = match pickle.value(fortran) {
                    Value::Bool(fortran) => *fortran,
                    Value::Int(fortran) => *fortran != 0,
                    other => return Err(pickle.damage(id, format!("an array's order is {other}"))),
                };
                of_parts(pickle, id, shape, dtype, fortran, data)?
            }
            other => {
                let n = other.len();
                return Err(pickle.damage(id, format!("an array's state has {n} parts, not 5")));
            }
        },
        ("_frombuffer", &[data, dtype, shape, order], None) => {
            let fortran = match pickle.text(order, "an array's order")? {
                "C" => false,
                "F" => true,
                other => {
                    let other: String = other.chars().take(40).collect();
                    return Err(pickle.damage(id, format!("an array's order is {other:?}")));
                }
            };
            of_parts(pickle, id, shape, dtype, fortran, data)?
        }
        ("scalar", &[dtype, data], None) => checked(
            pickle,
            id,
            Vec::new(),
            read_dtype(pickle, dtype)?,
            false,
            bytes(pickle, data)?,
        )?,
        ("_reconstruct", _, None) => {
            return Err(pickle.damage(id, "an array without shape and values"));
        }
        _ => return Ok(None),
    };
    Ok(Some(array))
}

fn of_parts(
    pickle: &Pickle,
    id: Id,
    shape: Id,
    dtype: Id,
    fortran: bool,
    data: Id,
) -> Result<(Layout, Storage)> {
    let sizes = tuple(pickle, shape)?;
    if sizes.len() > MAX_AXES {
        return Err(pickle.damage(id, format!("an array of {} axes", sizes.len())));
    }
    let sizes = sizes.iter().map(|size| match pickle.value(*size) {
        Value::Int(size) if *size > 0 => Ok(*size as u64),
        other => Err(pickle.damage(id, format!("an array's size along an axis is {other}"))),
    });
    let shape = sizes.collect::<Result<Vec<u64>>>()?;
    let dtype = read_dtype(pickle, dtype)?;
    checked(pickle, id, shape, dtype, fortran, bytes(pickle, data)?)
}

fn checked(
    pickle: &Pickle,
    id: Id,
    shape: Vec<u64>,
    (dtype, big_endian): (Dtype, bool),
    fortran: bool,
    storage: Storage,
) -> Result<(Layout, Storage)> {
    let n_bytes = shape.iter().try_fold(dtype.n_bytes(), |n, size| n.checked_mul(*size));
    let fits = n_bytes.is_some_and(|n| match storage.encoding {
        // The text tells the number of its bytes only when it is read.
        Encoding::Latin1 => n <= storage.n_bytes,
        _ => n == storage.n_bytes,
    });
    if !fits {
        let (kind, n) = (dtype.name(), storage.n_bytes);
        let message = format!("an array of shape {shape:?} and type {kind} comes with {n} bytes");
        return Err(pickle.damage(id, message));
    }
    let strides = if fortran { column_major(&shape) } else { row_major(&shape) };
    Ok((Layout { dtype, shape, strides, offset: 0, big_endian }, storage))
}

/// `numpy.dtype(name, align, copy)` with the state `(version, byte order, ...)`: the type, and whether it is big-endian.
fn read_dtype(pickle: &Pickle, id: Id) -> Result<(Dtype, bool)> {
    let &Value::Call { global, arguments, state, .. } = pickle.value(id) else {
        let other = pickle.value(id);
        return Err(pickle.damage(id, format!("an array's type is {other}, not a numpy dtype")));
    };
    let (Some(&name), "dtype") = (tuple(pickle, arguments)?.first(), pickle.global(global).1)
    else {
        return Err(pickle.damage(id, "an array's type is not a numpy dtype"));
    };
    let name = pickle.text(name, "a dtype")?;
    let dtype = of_code(name).ok_or_else(|| {
        let name: String = name.chars().take(40).collect();
        pickle.damage(id, format!("an array of dtype {name:?}; floats and integers are read"))
    })?;
    let order = match state {
        Some(state) => match tuple(pickle, state)? {
            [_version, order, ..] => pickle.text(*order, "a byte order")?,
            _ => return Err(pickle.damage(id, "a dtype without a byte order")),
        },
        None => "<",
    };
    match order {
        "<" | "=" | "|" => Ok((dtype, false)),
        ">" => Ok((dtype, true)),
        other => {
            let other: String = other.chars().take(40).collect();
            let message = format!("the byte order {other:?}; '<', '=', '>' and '|' are read");
            Err(pickle.damage(id, message))
        }
    }
}

/// The type that numpy writes as a letter and a number of bytes.
pub(crate) fn of_code(code: &str) -> Option<Dtype> {
    Some(match code {
        "f2" => Dtype::F16,
        "f4" => Dtype::F32,
        "f8" => Dtype::F64,
        "i1" => Dtype::I8,
        "i2" => Dtype::I16,
        "i4" => Dtype::I32,
        "i8" => Dtype::I64,
        "u1" => Dtype::U8,
        "u2" => Dtype::U16,
        "u4" => Dtype::U32,
        "u8" => Dtype::U64,
        "b1" => Dtype::Bool,
        "c8" => Dtype::Other("complex64", 8),
        "c16" => Dtype::Other("complex128", 16),
        _ => return None,
    })
}

fn tuple(pickle: &Pickle, id: Id) -> Result<&[Id]> {
    match pickle.value(id) {
        Value::Tuple(items) => Ok(items),
        other => Err(pickle.damage(id, format!("{other}, where numpy writes a tuple"))),
    }
}

/// Byte strings as such, or as protocol 2 writes them: `_codecs.encode(text, "latin1")`.
fn bytes(pickle: &Pickle, id: Id) -> Result<Storage> {
    match pickle.value(id) {
        Value::Bytes(run) => return Ok(Storage::plain(0, run.offset, run.n_bytes)),
        &Value::Call { global, arguments, state: None, .. }
            if pickle.global(global).1 == "encode" =>
        {
            if let &[text, encoding] = tuple(pickle, arguments)?
                && pickle.text(encoding, "an encoding")? == "latin1"
                && let Value::Text(run) = pickle.value(text)
            {
                let plain = Storage::plain(0, run.offset, run.n_bytes);
                return Ok(Storage { encoding: Encoding::Latin1, ..plain });
            }
        }
        Value::List(_) => {
            return Err(pickle.damage(id, "an array of Python objects; only numbers are read"));
        }
        _ => {}
    }
    Err(pickle.damage(id, format!("{}, where numpy writes bytes", pickle.value(id))))
}
