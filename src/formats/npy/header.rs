//! The header of a `.npy` file: a Python dict with three keys, which is read as such and not evaluated.

use crate::dtype::{Dtype, Endian};

/// The first bytes of every `.npy` file.
pub(super) const MAGIC: &[u8] = b"\x93NUMPY";

/// What a header says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Header {
    /// Type of an element.
    pub dtype: Dtype,
    /// Order of its bytes.
    pub endian: Endian,
    /// Whether the first axis is the fastest, not the last.
    pub fortran: bool,
    /// Extents.
    pub shape: Vec<usize>,
}

impl Header {
    /// Bytes of all elements, or nothing if that is no number.
    pub fn data_bytes(&self) -> Option<u64> {
        let n = self.shape.iter().try_fold(1u64, |n, &extent| n.checked_mul(extent as u64))?;
        self.dtype.row_bytes(n)
    }
}

/// Reads the header that a file begins with, and its length in bytes.
pub(super) fn parse(head: &[u8]) -> Result<(Header, usize), String> {
    let Some(rest) = head.strip_prefix(MAGIC) else {
        return Err("byte 0: expected a numpy array (\\x93NUMPY)".to_owned());
    };
    let (start, n) = match *rest {
        [1, _, low, high, ..] => (10, u32::from(u16::from_le_bytes([low, high]))),
        [2 | 3, _, a, b, c, d, ..] => (12, u32::from_le_bytes([a, b, c, d])),
        [major, minor, ..] if !(1..=3).contains(&major) => {
            return Err(format!("byte 6: version {major}.{minor}, expected 1, 2 or 3"));
        }
        _ => return Err(format!("the header ends at byte {}", head.len())),
    };
    let end = start + n as usize;
    let Some(text) = head.get(start..end) else {
        let there = head.len();
        return Err(format!("the header's {n} bytes from byte {start} on: found {there} in all"));
    };
    let text = std::str::from_utf8(text)
        .map_err(|error| format!("byte {}: not UTF-8", start + error.valid_up_to()))?;
    let mut scanner = Scanner { text, at: 0 };
    let header = scanner
        .dict()
        .map_err(|expected| format!("byte {}: expected {expected}", start + scanner.at))?;
    Ok((header, end))
}

/// Reads Python literals of the few forms that numpy writes. An error is what was expected where the scanner stands.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn dict(&mut self) -> Result<Header, String> {
        let (mut element, mut fortran, mut shape) = (None, None, None);
        self.expect("{")?;
        while !self.take("}") {
            let key = self.string()?;
            self.expect(":")?;
            let again = match key {
                "descr" => element.replace(self.element()?).is_some(),
                "fortran_order" => fortran.replace(self.boolean()?).is_some(),
                "shape" => shape.replace(self.shape()?).is_some(),
                _ => return Err(format!("descr, fortran_order or shape, not {key:?}")),
            };
            if again {
                return Err(format!("{key:?} once"));
            }
            if !self.take(",") {
                self.expect("}")?;
                break;
            }
        }
        self.skip();
        match (element, fortran, shape) {
            _ if self.at < self.text.len() => Err("the end of the header".to_owned()),
            (Some((dtype, endian)), Some(fortran), Some(shape)) => {
                Ok(Header { dtype, endian, fortran, shape })
            }
            _ => Err("descr, fortran_order and shape".to_owned()),
        }
    }

    /// A type as numpy's array protocol writes it: order of bytes, kind, bytes.
    fn element(&mut self) -> Result<(Dtype, Endian), String> {
        let numbers =
            "a type of plain numbers such as '<f4' (no objects, records, text or complex numbers)";
        let descr = self.string().map_err(|_| numbers.to_owned())?;
        let (order, name) = descr.split_at_checked(1).ok_or(numbers)?;
        let dtype = match name {
            // Booleans are bytes 0 and 1.
            "b1" | "u1" => Dtype::U8,
            "i1" => Dtype::I8,
            "u2" => Dtype::U16,
            "i2" => Dtype::I16,
            "u4" => Dtype::U32,
            "i4" => Dtype::I32,
            "u8" => Dtype::U64,
            "i8" => Dtype::I64,
            "f2" => Dtype::F16,
            "f4" => Dtype::F32,
            "f8" => Dtype::F64,
            _ => return Err(format!("{numbers}, not {descr:?}")),
        };
        match order {
            "<" => Ok((dtype, Endian::Little)),
            ">" => Ok((dtype, Endian::Big)),
            "|" if dtype.row_bytes(1) == Some(1) => Ok((dtype, Endian::Little)),
            _ => Err(format!("an order of bytes < or >, not {order:?}")),
        }
    }

    fn boolean(&mut self) -> Result<bool, String> {
        match (self.take("True"), self.take("False")) {
            (true, _) => Ok(true),
            (_, true) => Ok(false),
            _ => Err("True or False".to_owned()),
        }
    }

    fn shape(&mut self) -> Result<Vec<usize>, String> {
        let mut shape = Vec::new();
        self.expect("(")?;
        while !self.take(")") {
            shape.push(self.number()?);
            if !self.take(",") {
                self.expect(")")?;
                break;
            }
        }
        Ok(shape)
    }

    fn number(&mut self) -> Result<usize, String> {
        self.skip();
        let digits = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        let number = self.rest()[..digits].parse().map_err(|_| "an extent".to_owned())?;
        self.at += digits;
        // Python 2 marked long numbers.
        self.take("L");
        Ok(number)
    }

    fn string(&mut self) -> Result<&'a str, String> {
        let quote = match (self.take("'"), self.take("\"")) {
            (true, false) => '\'',
            (false, true) => '"',
            _ => return Err("a quoted string".to_owned()),
        };
        let rest: &'a str = &self.text[self.at..];
        let end = rest.find(quote).ok_or_else(|| format!("the end of a string: {quote}"))?;
        self.at += end + 1;
        Ok(&rest[..end])
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        if self.take(token) { Ok(()) } else { Err(token.to_owned()) }
    }

    fn take(&mut self, token: &str) -> bool {
        self.skip();
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn skip(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\n', '\t']).len();
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }
}
