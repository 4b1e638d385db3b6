//! Arrays in a pickle, as numpy writes them: `ndarray.__reduce__` (`_reconstruct` and a state), `__reduce_ex__(5)`
//! (`_frombuffer`) and scalars.

use std::borrow::Cow;

use tch::{Kind, Tensor};

use super::pickle::{Damage, Id, Pickle, Value};
use crate::error::Result;

/// What a pickle of arrays may ask for: numpy's names before and since 2.0, and what protocol 2 writes bytes with.
pub(super) const NAMES: &[(&str, &str)] = &[
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

/// An array whose shape, type and bytes agree.
#[derive(Debug)]
pub(super) struct Array<'a> {
    shape: Vec<i64>,
    dtype: Dtype,
    /// First axis fastest, instead of the last.
    fortran: bool,
    data: Cow<'a, [u8]>,
}

#[derive(Clone, Copy, Debug)]
struct Dtype {
    kind: Kind,
    big_endian: bool,
}

impl<'a> Array<'a> {
    /// The array that the object describes, or `None` if it is no array.
    pub fn read(pickle: &Pickle<'a>, id: Id) -> Result<Option<Array<'a>>, Damage> {
        let &Value::Call { global, arguments, state } = pickle.value(id) else { return Ok(None) };
        let arguments = tuple(pickle, arguments)?;
        let array = match (pickle.global_name(global), arguments, state) {
            ("_reconstruct", _, Some(state)) => match tuple(pickle, state)? {
                &[_version, shape, dtype, fortran, data] => {
                    let fortran = match pickle.value(fortran) {
                        Value::Bool(fortran) => *fortran,
                        Value::Int(fortran) => *fortran != 0,
                        other => {
                            return Err(pickle.damage(id, format!("an array's order is {other}")));
                        }
                    };
                    Array::new(pickle, id, shape, dtype, fortran, data)?
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
                        return Err(pickle.damage(id, format!("an array's order is {other:?}")));
                    }
                };
                Array::new(pickle, id, shape, dtype, fortran, data)?
            }
            ("scalar", &[dtype, data], None) => {
                let (dtype, data) = (Dtype::read(pickle, dtype)?, bytes(pickle, data)?);
                Array::checked(pickle, id, Vec::new(), dtype, false, data)?
            }
            ("_reconstruct", _, None) => {
                return Err(pickle.damage(id, "an array without shape and values"));
            }
            _ => return Ok(None),
        };
        Ok(Some(array))
    }

    fn new(
        pickle: &Pickle<'a>,
        id: Id,
        shape: Id,
        dtype: Id,
        fortran: bool,
        data: Id,
    ) -> Result<Array<'a>, Damage> {
        let sizes = tuple(pickle, shape)?.iter().map(|size| match pickle.value(*size) {
            Value::Int(size) if *size > 0 => Ok(*size),
            other => Err(pickle.damage(id, format!("an array's size along an axis is {other}"))),
        });
        let shape = sizes.collect::<Result<Vec<i64>, Damage>>()?;
        let dtype = Dtype::read(pickle, dtype)?;
        Array::checked(pickle, id, shape, dtype, fortran, bytes(pickle, data)?)
    }

    fn checked(
        pickle: &Pickle<'a>,
        id: Id,
        shape: Vec<i64>,
        dtype: Dtype,
        fortran: bool,
        data: Cow<'a, [u8]>,
    ) -> Result<Array<'a>, Damage> {
        let n_bytes = shape.iter().try_fold(dtype.kind.elt_size_in_bytes(), |n, size| {
            n.checked_mul(usize::try_from(*size).ok()?)
        });
        if n_bytes != Some(data.len()) {
            let (kind, n) = (dtype.kind, data.len());
            let message =
                format!("an array of shape {shape:?} and type {kind:?} comes with {n} bytes");
            return Err(pickle.damage(id, message));
        }
        Ok(Array { shape, dtype, fortran, data })
    }

    /// Bytes of the file that the values take.
    pub fn n_bytes(&self) -> usize {
        self.data.len()
    }

    /// A copy in f32, C order, on the CPU.
    pub fn to_tensor(&self) -> Result<Tensor> {
        let Dtype { kind, big_endian } = self.dtype;
        let data: Cow<'_, [u8]> = if big_endian {
            let mut swapped = self.data.to_vec();
            swapped.chunks_exact_mut(kind.elt_size_in_bytes()).for_each(<[u8]>::reverse);
            Cow::Owned(swapped)
        } else {
            Cow::Borrowed(&self.data)
        };
        let mut shape: Vec<i64> = self.shape.clone();
        if self.fortran {
            shape.reverse();
        }
        // This call trusts the length of `data`; `checked` has compared it.
        let tensor = Tensor::f_from_data_size(&data, &shape, kind)?.f_to_kind(Kind::Float)?;
        if !self.fortran {
            return Ok(tensor);
        }
        let axes: Vec<i64> = (0..shape.len() as i64).rev().collect();
        Ok(tensor.f_permute(axes)?.f_contiguous()?)
    }
}

impl Dtype {
    /// `numpy.dtype(name, align, copy)` with the state `(version, byte order, ...)`.
    fn read(pickle: &Pickle<'_>, id: Id) -> Result<Dtype, Damage> {
        let &Value::Call { global, arguments, state } = pickle.value(id) else {
            let other = pickle.value(id);
            return Err(pickle.damage(id, format!("an array's type is {other}, not a numpy dtype")));
        };
        let (Some(&name), "dtype") =
            (tuple(pickle, arguments)?.first(), pickle.global_name(global))
        else {
            return Err(pickle.damage(id, "an array's type is not a numpy dtype"));
        };
        let name = pickle.text(name, "a dtype")?;
        let kind = match name {
            "f2" => Kind::Half,
            "f4" => Kind::Float,
            "f8" => Kind::Double,
            "i4" => Kind::Int,
            "i8" => Kind::Int64,
            other => {
                let message =
                    format!("an array of dtype {other:?}; f2, f4, f8, i4 and i8 are read");
                return Err(pickle.damage(id, message));
            }
        };
        let order = match state {
            Some(state) => match tuple(pickle, state)? {
                [_version, order, ..] => pickle.text(*order, "a byte order")?,
                _ => return Err(pickle.damage(id, "a dtype without a byte order")),
            },
            None => "<",
        };
        match order {
            "<" | "=" | ">" => Ok(Dtype { kind, big_endian: order == ">" }),
            other => {
                Err(pickle.damage(id, format!("the byte order {other:?}; '<' and '>' are read")))
            }
        }
    }
}

fn tuple<'p>(pickle: &'p Pickle<'_>, id: Id) -> Result<&'p [Id], Damage> {
    match pickle.value(id) {
        Value::Tuple(items) => Ok(items),
        other => Err(pickle.damage(id, format!("{other}, where numpy writes a tuple"))),
    }
}

/// Byte strings as such, or as protocol 2 writes them: `_codecs.encode(text, "latin1")`.
fn bytes<'a>(pickle: &Pickle<'a>, id: Id) -> Result<Cow<'a, [u8]>, Damage> {
    match *pickle.value(id) {
        Value::Bytes(bytes) => return Ok(Cow::Borrowed(bytes)),
        Value::Call { global, arguments, state: None }
            if pickle.global_name(global) == "encode" =>
        {
            if let &[text, encoding] = tuple(pickle, arguments)?
                && pickle.text(encoding, "an encoding")? == "latin1"
                && let Ok(bytes) = pickle
                    .text(text, "bytes")?
                    .chars()
                    .map(|c| u8::try_from(u32::from(c)))
                    .collect()
            {
                return Ok(Cow::Owned(bytes));
            }
        }
        Value::List(_) => {
            return Err(pickle.damage(id, "an array of Python objects; only numbers are read"));
        }
        _ => {}
    }
    Err(pickle.damage(id, format!("{}, where numpy writes bytes", pickle.value(id))))
}
