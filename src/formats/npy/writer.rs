//! Writing `.npy` files: rows of 32-bit floats.

use std::path::Path;

use super::header::MAGIC;
use crate::{
    error::{Error, ErrorKind, Result},
    whole::Replacement,
};

/// Headers fill a multiple of this many bytes, as `numpy.lib.format` asks for.
const ALIGNMENT: usize = 64;

/// Writes an array `[n, row_len]` of `<f4` row by row. Nothing is at the path before `finish`, or what was there.
#[derive(Debug)]
pub struct Writer {
    file: Replacement,
    n: usize,
    row_len: usize,
    written: usize,
}

impl Writer {
    /// Starts an array of `n` rows of `row_len` numbers.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn create(path: impl AsRef<Path>, n: usize, row_len: usize) -> Result<Writer> {
        let mut file = Replacement::create(path.as_ref())?;
        let mut text =
            format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({n}, {row_len}), }}");
        // Version 1.0: magic, two bytes of version, two of the length of the text, which ends in a line feed.
        let unpadded = MAGIC.len() + 4 + text.len() + 1;
        text.extend(std::iter::repeat_n(' ', unpadded.next_multiple_of(ALIGNMENT) - unpadded));
        text.push('\n');
        file.append(MAGIC)?;
        file.append(&[1, 0])?;
        // Two numbers have at most 40 digits.
        file.append(&(text.len() as u16).to_le_bytes())?;
        file.append(text.as_bytes())?;
        Ok(Writer { file, n, row_len, written: 0 })
    }

    /// Appends rows, one after the other.
    ///
    /// # Errors
    /// The numbers do not fill whole rows, there are more than the array has, or the file cannot be written.
    pub fn push(&mut self, values: &[f32]) -> Result<()> {
        self.written += values.len();
        if self.row_len == 0
            || !values.len().is_multiple_of(self.row_len)
            || self.written > self.n * self.row_len
        {
            let message =
                format!("{} numbers of an array [{}, {}]", self.written, self.n, self.row_len);
            return Err(Error::new(ErrorKind::Invalid, self.file.path(), message));
        }
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.file.append(&bytes)
    }

    /// Completes the file and puts it in its place.
    ///
    /// # Errors
    /// Rows are missing, or the file cannot be written.
    pub fn finish(self) -> Result<()> {
        if self.written != self.n * self.row_len {
            let message =
                format!("{} numbers of an array [{}, {}]", self.written, self.n, self.row_len);
            return Err(Error::new(ErrorKind::Invalid, self.file.path(), message));
        }
        self.file.commit()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The bytes of `numpy.save(path, numpy.array([[1, 2, 3], [-1, 0.5, 0]], "<f4"))` with numpy 2.4.
    #[test]
    fn the_bytes_are_those_of_numpy() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.npy");
        let mut writer = Writer::create(&path, 2, 3).unwrap();
        writer.push(&[1.0, 2.0, 3.0]).unwrap();
        writer.push(&[-1.0, 0.5, 0.0]).unwrap();
        writer.finish().unwrap();
        let mut expected = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
        expected.extend(b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }");
        expected.resize(127, b' ');
        expected.push(b'\n');
        expected.extend([0, 0, 0x80, 0x3f, 0, 0, 0, 0x40, 0, 0, 0x40, 0x40]);
        expected.extend([0, 0, 0x80, 0xbf, 0, 0, 0, 0x3f, 0, 0, 0, 0]);
        assert_eq!(fs::read(&path).unwrap(), expected);
    }

    #[test]
    fn other_numbers_of_rows_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.npy");
        let writer = || Writer::create(&path, 2, 3).unwrap();
        assert!(writer().push(&[0.0; 4]).is_err());
        assert!(writer().push(&[0.0; 9]).is_err());
        let mut short = writer();
        short.push(&[0.0; 3]).unwrap();
        let message = short.finish().unwrap_err().to_string();
        assert!(message.ends_with("3 numbers of an array [2, 3]"), "{message}");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
