//! Npz: a zip archive of npy files, each a header (a Python dict as text) and the values of an array.
//!
//! Format: `numpy/lib/format.py`, versions 1.0 to 3.0. The header is parsed here: it has three keys, and the crates that read
//! it allocate whatever length it claims.

use crate::{
    archive::{self, Archive},
    checkpoint::Contents,
    dtype::Dtype,
    error::{Error, Result},
    flax, numpy,
    source::Source,
    tensor::{Layout, Storage, column_major, is_sound_name, row_major},
};

/// Longest header that is read; numpy itself stops at 10,000 characters.
const MAX_HEADER: u64 = 1 << 16;

/// Whether this is the archive of numpy.
pub(crate) fn is_npz(archive: &Archive) -> bool {
    !archive.members.is_empty() && archive.members.iter().all(|(name, _)| name.ends_with(".npy"))
}

/// The tensors of an archive: arrays under the names of their members. Flax names, which begin with `params/` and
/// `batch_stats/`, become PyTorch's.
pub(crate) fn read(source: &dyn Source, archive: &Archive) -> Result<Contents> {
    let mut contents = Contents::default();
    let collections = archive.members.iter().filter_map(|(name, _)| flax::below_collection(name));
    let is_flax = collections.count() > 0;
    let mut seen = std::collections::HashSet::new();
    for (member_name, member) in &archive.members {
        let name = member_name.strip_suffix(".npy").unwrap_or(member_name);
        if !is_sound_name(name) {
            let short: String = name.chars().take(200).collect();
            return Err(Error::format(format!("{short:?} is no name of a tensor")));
        }
        let path = match (is_flax, flax::below_collection(name)) {
            (false, _) => None,
            (true, Some(path)) => Some(path),
            // Others, such as the state of an optimiser, are no part of the network.
            (true, None) => continue,
        };
        let layout = array(source, member).map_err(|error| error.within(member_name))?;
        let (name, layout) = match path {
            None => (name.to_owned(), layout),
            Some(path) => flax::to_pytorch(path, layout),
        };
        if !seen.insert(name.clone()) {
            return Err(Error::format(format!("two arrays are named {name}")));
        }
        contents.tensors.push(layout.named(name, contents.storages.len(), member)?);
        contents.storages.push(member.clone());
    }
    Ok(contents)
}

/// The layout of the array that a member holds.
fn array(source: &dyn Source, member: &Storage) -> Result<Layout> {
    let start = archive::beginning(source, member, 12)?;
    let (n_before, n_header) = match start.as_slice() {
        [0x93, b'N', b'U', b'M', b'P', b'Y', 1, _, low, high, ..] => {
            (10, u64::from(u16::from_le_bytes([*low, *high])))
        }
        [0x93, b'N', b'U', b'M', b'P', b'Y', 2 | 3, _, a, b, c, d] => {
            (12, u64::from(u32::from_le_bytes([*a, *b, *c, *d])))
        }
        _ => return Err(Error::format("not an npy file of version 1, 2 or 3")),
    };
    let offset = n_before + n_header;
    if n_header > MAX_HEADER || offset > member.n_bytes {
        let n = member.n_bytes;
        return Err(Error::format(format!("a header of {n_header} bytes in an npy file of {n}")));
    }
    let text = archive::beginning(source, member, offset)?;
    let text = String::from_utf8_lossy(&text[n_before as usize..]);
    let header = Header::parse(&text).ok_or_else(|| {
        Error::format(format!("the npy header {:.200?} is not understood", text.trim_end()))
    })?;
    let (order, code) = header.descr.split_at_checked(1).unwrap_or(("", ""));
    let dtype = numpy::of_code(code).filter(|_| "<>|=".contains(order));
    let dtype: Dtype = dtype.ok_or_else(|| {
        let descr = header.descr;
        Error::format(format!("an array of type {descr:.80?}; floats and integers are read"))
    })?;
    let n_values = header.shape.iter().try_fold(1u64, |n, extent| n.checked_mul(*extent));
    let n_bytes = n_values.and_then(|n| n.checked_mul(dtype.n_bytes())?.checked_add(offset));
    if n_bytes != Some(member.n_bytes) {
        let (shape, name, n) = (header.shape, dtype.name(), member.n_bytes - offset);
        let message = format!("an array of shape {shape:?} and type {name} comes with {n} bytes");
        return Err(Error::format(message));
    }
    let strides =
        if header.fortran { column_major(&header.shape) } else { row_major(&header.shape) };
    Ok(Layout { dtype, shape: header.shape, strides, offset, big_endian: order == ">" })
}

/// What the header of an npy file says.
#[derive(Debug, PartialEq)]
struct Header<'a> {
    descr: &'a str,
    fortran: bool,
    shape: Vec<u64>,
}

impl<'a> Header<'a> {
    /// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`, its keys in any order.
    fn parse(text: &'a str) -> Option<Header<'a>> {
        let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim_start();
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        while !rest.is_empty() {
            let (key, after) = quoted(rest)?;
            let value = after.trim_start().strip_prefix(':')?.trim_start();
            let after = match key {
                "descr" if descr.is_none() => {
                    let (text, after) = quoted(value)?;
                    descr = Some(text);
                    after
                }
                "fortran_order" if fortran.is_none() => {
                    let (is_fortran, after) = match value.strip_prefix("False") {
                        Some(after) => (false, after),
                        None => (true, value.strip_prefix("True")?),
                    };
                    fortran = Some(is_fortran);
                    after
                }
                "shape" if shape.is_none() => {
                    let (extents, after) = value.strip_prefix('(')?.split_once(')')?;
                    shape = Some(tuple(extents)?);
                    after
                }
                _ => return None,
            };
            let after = after.trim_start();
            rest = match after.strip_prefix(',') {
                Some(after) => after.trim_start(),
                None if after.is_empty() => after,
                None => return None,
            };
        }
        Some(Header { descr: descr?, fortran: fortran?, shape: shape? })
    }
}

/// The text in quotes that comes first, and what follows.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
    text[1..].split_once(quote)
}

/// The numbers of a tuple, without its brackets. Python 2 wrote some with an L.
fn tuple(text: &str) -> Option<Vec<u64>> {
    let text = text.trim();
    if text.is_empty() {
        return Some(Vec::new());
    }
    let text = text.strip_suffix(',').unwrap_or(text);
    let number = |text: &str| {
        let digits = text.trim().trim_end_matches('L');
        digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    text.split(',').map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_as_every_numpy_writes_them_are_read() {
        let header =
            |text| Header::parse(text).map(|header| (header.descr, header.fortran, header.shape));
        for (text, expected) in [
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }   \n",
                ("<f4", false, vec![3, 4]),
            ),
            ("{'descr': '|u1', 'fortran_order': True, 'shape': (3,), }\n", ("|u1", true, vec![3])),
            ("{'descr': '>f8', 'fortran_order': False, 'shape': (), }\n", (">f8", false, vec![])),
            (
                "{\"shape\": (2L, 5L), 'fortran_order': False, 'descr': '<f2'}",
                ("<f2", false, vec![2, 5]),
            ),
        ] {
            assert_eq!(header(text), Some(expected), "{text}");
        }
        for text in [
            "",
            "{}",
            "{'descr': '<f4', 'fortran_order': False}",
            "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }",
            "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,), }",
            "{'descr': '<f4', 'fortran_order': 0, 'shape': (3,), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (-3,), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3 4), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (,), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3,) 'more': 1}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), 'more': 1}",
            "{'descr': '\u{e9}', 'fortran_order': False, 'shape': 3}",
        ] {
            assert_eq!(header(text), None, "{text}");
        }
    }
}
