//! Dynamo tables (`.tbl`), without loss: numbers keep the form that they have in the file.
//!
//! One particle a row, values separated by blanks, no header. Columns count from 1, as in Dynamo's documentation
//! ("Table convention"). Values that are not asked for may be anything, such as `NaN` or `0.5+2i`.

mod writer;

pub use self::writer::{DynamoWriter, NewParticle};

use std::{
    fmt,
    io::Write,
    iter,
    ops::Range,
    path::{Path, PathBuf},
};

use crate::{
    cells::{Cells, line_at, line_number, shown, splice, text_start},
    error::{Error, Result},
    star::{parse_integer, parse_number},
    whole,
};

/// A column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its number, from 1 on.
    pub number: usize,
    /// Its name in Dynamo's documentation.
    pub name: &'static str,
}

/// Number of the particle, which its file name has too.
pub const TAG: Column = Column { number: 1, name: "tag" };
/// Refined shift in voxels, to be added to the position.
pub const DX: Column = Column { number: 4, name: "dx" };
/// Refined shift in voxels, to be added to the position.
pub const DY: Column = Column { number: 5, name: "dy" };
/// Refined shift in voxels, to be added to the position.
pub const DZ: Column = Column { number: 6, name: "dz" };
/// Score: the cross correlation.
pub const SCORE: Column = Column { number: 10, name: "cc" };
/// Number of the tomogram.
pub const TOMOGRAM: Column = Column { number: 20, name: "tomo" };
/// Number of the class.
pub const CLASS: Column = Column { number: 22, name: "class" };
/// Position in the tomogram, in voxels; the first voxel is 1.
pub const X: Column = Column { number: 24, name: "x" };
/// Position in the tomogram, in voxels; the first voxel is 1.
pub const Y: Column = Column { number: 25, name: "y" };
/// Position in the tomogram, in voxels; the first voxel is 1.
pub const Z: Column = Column { number: 26, name: "z" };
/// Voxel size in angstrom; 0 where Dynamo does not know it.
pub const APIX: Column = Column { number: 36, name: "apix" };

/// The widths that Dynamo's versions write.
const USUAL_WIDTHS: [usize; 3] = [26, 35, 42];

/// A Dynamo table.
pub struct DynamoTable {
    path: PathBuf,
    bytes: Vec<u8>,
    /// The byte where the line of each row begins.
    rows: Vec<usize>,
    n_columns: usize,
    notes: Vec<String>,
}

impl DynamoTable {
    /// Reads a file.
    ///
    /// # Errors
    /// It has no rows, rows of different lengths, or fewer than 26 columns.
    pub fn read(path: &Path) -> Result<DynamoTable> {
        DynamoTable::parse(whole::read(path)?, path)
    }

    /// Understands the bytes of a file; `path` names it in messages.
    ///
    /// # Errors
    /// As of [`DynamoTable::read`].
    pub fn parse(bytes: Vec<u8>, path: &Path) -> Result<DynamoTable> {
        let mut rows = Vec::new();
        let mut n_columns = 0;
        let mut start = text_start(&bytes);
        while start < bytes.len() {
            let line = line_at(&bytes, start);
            let n = cells(line).count();
            let error = |message: String| {
                let line = line_number(&bytes, start);
                Err(Error::format(path, format!("line {line}: {message}")))
            };
            if n == 0 && Cells::new(line).next().is_some() {
                return error("a quote, which no Dynamo table has".to_owned());
            }
            if n > 0 {
                if rows.is_empty() {
                    n_columns = n;
                }
                if n < Z.number {
                    return error(format!("{n} values; a Dynamo table has at least 26 columns"));
                }
                if n != n_columns {
                    return error(format!("{n} values, but the rows before have {n_columns}"));
                }
                rows.push(start);
            }
            start += line.len();
        }
        let Some(&last) = rows.last() else {
            return Err(Error::format(path, "no rows: this is no Dynamo table"));
        };
        let mut notes = Vec::new();
        if !USUAL_WIDTHS.contains(&n_columns) {
            notes.push(format!("{n_columns} columns; Dynamo writes 26, 35 or 42"));
        }
        if !line_at(&bytes, last).ends_with(b"\n") {
            let line = line_number(&bytes, last);
            notes.push(format!(
                "line {line}: the file ends within a line; its last value may be cut short"
            ));
        }
        Ok(DynamoTable { path: path.to_owned(), bytes, rows, n_columns, notes })
    }

    /// The file's name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file, byte for byte.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What is odd, but no error: an unusual number of columns, a last line without an end.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Number of particles.
    pub fn n_rows(&self) -> usize {
        self.rows.len()
    }

    /// Number of columns, the same in each row.
    pub fn n_columns(&self) -> usize {
        self.n_columns
    }

    /// The value of a column as it stands in the file; `None` if the table is not so wide.
    ///
    /// # Panics
    /// There are not so many rows.
    pub fn value(&self, row: usize, column: Column) -> Option<&[u8]> {
        let line = line_at(&self.bytes, self.rows[row]);
        let span = cells(line).nth(column.number.checked_sub(1)?)?;
        Some(&line[span])
    }

    /// A finite number; `None` if the table is not so wide, or has `NaN` there.
    ///
    /// # Errors
    /// It is something else.
    pub fn number(&self, row: usize, column: Column) -> Result<Option<f64>> {
        self.read_as(row, column, "a number", parse_number)
    }

    /// An integer, however it is written (`3.000000e+00`); `None` if the table is not so wide, or has `NaN` there.
    ///
    /// # Errors
    /// It is something else.
    pub fn integer(&self, row: usize, column: Column) -> Result<Option<i64>> {
        self.read_as(row, column, "an integer", parse_integer)
    }

    fn read_as<T>(
        &self,
        row: usize,
        column: Column,
        what: &str,
        parse: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Option<T>> {
        match self.value(row, column) {
            None => Ok(None),
            Some(value) if value.eq_ignore_ascii_case(b"nan") => Ok(None),
            Some(value) => parse(value)
                .map(Some)
                .ok_or_else(|| self.error(row, column, format!("{} is not {what}", shown(value)))),
        }
    }

    /// An error about a value, which names the file, the line and the column.
    pub fn error(&self, row: usize, column: Column, message: impl fmt::Display) -> Error {
        let line = line_number(&self.bytes, self.rows[row]);
        let Column { number, name } = column;
        Error::format(&self.path, format!("line {line}, column {number} ({name}): {message}"))
    }

    /// The whole file, with new classes (column 22) if they are given, and without the rows for which `keep(row)` is
    /// false. Everything else stays as it is.
    pub fn edited(
        &self,
        class: Option<&dyn Fn(usize) -> u32>,
        keep: impl Fn(usize) -> bool,
    ) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes.len());
        let mut done = 0;
        for (row, &start) in self.rows.iter().enumerate() {
            out.extend_from_slice(&self.bytes[done..start]);
            let line = line_at(&self.bytes, start);
            done = start + line.len();
            if keep(row) {
                let value_of = |cell| {
                    class.filter(|_| cell + 1 == CLASS.number).map(|class| class(row).to_string())
                };
                splice(&mut out, line, cells(line), value_of, iter::empty());
            }
        }
        out.extend_from_slice(&self.bytes[done..]);
        out
    }

    /// Writes what [`DynamoTable::edited`] gives to `path`, which it replaces as a whole or not at all.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(
        &self,
        path: &Path,
        class: Option<&dyn Fn(usize) -> u32>,
        keep: impl Fn(usize) -> bool,
    ) -> Result<()> {
        let bytes = self.edited(class, keep);
        whole::replace(path, |out| out.write_all(&bytes).map_err(|error| Error::io(path, &error)))
    }
}

impl fmt::Debug for DynamoTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, rows) = (self.path.display(), self.rows.len());
        write!(f, "DynamoTable({path}, {} columns, {rows} rows)", self.n_columns)
    }
}

/// Where the values of a line are. Those after an open quote are left out.
fn cells(line: &[u8]) -> impl Iterator<Item = Range<usize>> {
    Cells::new(line).map_while(|cell| Some(cell.ok()?.span))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn fixture(n_columns: usize) -> Vec<u8> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/reference/lists");
        fs::read(Path::new(folder).join(format!("dynamo{n_columns}.tbl"))).unwrap()
    }

    fn table(bytes: impl AsRef<[u8]>) -> DynamoTable {
        DynamoTable::parse(bytes.as_ref().to_vec(), Path::new("a.tbl")).unwrap()
    }

    #[test]
    fn what_numpy_wrote_is_read() {
        for n_columns in [26, 35, 42] {
            let table = table(fixture(n_columns));
            assert_eq!((table.n_rows(), table.n_columns()), (4, n_columns));
            assert_eq!(table.notes(), [""; 0]);
            let integers = |column| -> Vec<i64> {
                (0..4).map(|row| table.integer(row, column).unwrap().unwrap()).collect()
            };
            assert_eq!(integers(TAG), [1, 2, 5, 12]);
            assert_eq!(integers(TOMOGRAM), [3, 3, 4, 4]);
            assert_eq!(integers(CLASS), [1, 2, 2, 1]);
            let apix = if n_columns == 42 { Some(13.48) } else { None };
            assert_eq!(table.number(0, APIX).unwrap(), apix);
        }
        let number = |column| table(fixture(35)).number(1, column).unwrap();
        assert_eq!([X, Y, Z].map(number), [219.18, 138.99, 119.67].map(Some));
        let eigenvalue = Column { number: 41, name: "eig1" };
        assert_eq!(table(fixture(42)).number(3, eigenvalue).unwrap(), None);
    }

    #[test]
    fn only_the_class_changes() {
        for n_columns in [26, 35, 42] {
            let bytes = fixture(n_columns);
            let table = table(&bytes);
            assert_eq!(table.edited(None, |_| true), bytes);
            let new = table.edited(Some(&|row| 7 + row as u32), |row| row != 2);
            let lines = |bytes: &[u8]| -> Vec<Vec<String>> {
                let text = String::from_utf8(bytes.to_vec()).unwrap();
                text.lines().map(|line| line.split(' ').map(str::to_owned).collect()).collect()
            };
            let (old, new) = (lines(&bytes), lines(&new));
            assert_eq!(new.len(), 3);
            for (new, row) in new.iter().zip([0, 1, 3]) {
                let mut expected = old[row].clone();
                expected[21] = (7 + row).to_string();
                assert_eq!(*new, expected);
            }
        }
    }

    #[test]
    fn any_other_value_survives() {
        let row = |class: &str| {
            format!("  1\t0 0.5+2i NaN Inf -Inf 1e-300 {} {class} 9 8 NaN 6\r\n", "0 ".repeat(14))
        };
        let text = row("2") + "\r\n" + row("3").trim_end();
        let table = table(&text);
        assert_eq!(
            table.notes(),
            ["line 3: the file ends within a line; its last value may be cut short"]
        );
        assert_eq!(table.edited(None, |_| true), text.as_bytes());
        let expected = row("5") + "\r\n" + row("5").trim_end();
        assert_eq!(table.edited(Some(&|_| 5), |_| true), expected.as_bytes());
        assert_eq!(table.number(0, Y).unwrap(), None);
        let complex = Column { number: 3, name: "averaged" };
        assert_eq!(
            table.number(1, complex).unwrap_err().to_string(),
            "a.tbl: line 3, column 3 (averaged): \"0.5+2i\" is not a number"
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |text: &str| {
            DynamoTable::parse(text.into(), Path::new("a.tbl")).unwrap_err().to_string()
        };
        let row = "0 ".repeat(26);
        assert_eq!(error(" \n\n"), "a.tbl: no rows: this is no Dynamo table");
        assert_eq!(
            error("1 2 3\n"),
            "a.tbl: line 1: 3 values; a Dynamo table has at least 26 columns"
        );
        assert_eq!(
            error(&format!("{row}\n{row}0\n")),
            "a.tbl: line 2: 27 values, but the rows before have 26"
        );
        assert_eq!(error("'a b\n"), "a.tbl: line 1: a quote, which no Dynamo table has");
        assert_eq!(table(format!("{row}0")).notes()[0], "27 columns; Dynamo writes 26, 35 or 42");
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_tag() {
        let whole = [b"\xef\xbb\xbf", &*fixture(26)].concat();
        let marked = DynamoTable::parse(whole.clone(), Path::new("a.tbl")).unwrap();
        assert_eq!(marked.integer(0, TAG).unwrap(), table(fixture(26)).integer(0, TAG).unwrap());
        assert_eq!(marked.edited(None, |_| true), whole);
        assert!(marked.edited(None, |row| row > 0).starts_with(b"\xef\xbb\xbf"));
    }

    #[test]
    fn a_line_of_ten_megabytes_is_a_line() {
        let long = "7".repeat(10 << 20);
        let text = format!("{long} {}\n", "0 ".repeat(25));
        let table = table(&text);
        assert_eq!((table.n_rows(), table.n_columns()), (1, 26));
        assert_eq!(table.value(0, TAG).unwrap(), long.as_bytes());
        assert!(table.integer(0, TAG).unwrap_err().to_string().len() < 200);
        let many = "0 ".repeat(5 << 20);
        let message = DynamoTable::parse(format!("{text}{many}").into(), Path::new("a.tbl"));
        let message = message.unwrap_err().to_string();
        assert!(
            message.contains("line 2: 5242880 values, but the rows before have 26"),
            "{message}"
        );
    }

    #[test]
    fn a_table_that_ends_early_is_an_error_or_says_so() {
        let whole = fixture(26);
        for end in 0..whole.len() {
            if let Ok(part) = DynamoTable::parse(whole[..end].to_vec(), Path::new("part")) {
                assert_eq!(part.notes().is_empty(), whole[end - 1] == b'\n', "{end} bytes");
            }
        }
    }
}
