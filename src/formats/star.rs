//! STAR files, without loss: what is not edited keeps every byte, down to the blanks between numbers.
//!
//! The file's bytes stay as they are; beside them stands where its tables, labels and rows begin: eight bytes a row.
//! Rows are one line each, as RELION, WarpTools, STOPGAP and pytom-match-pick write them.
//! (Format: Hall, J. Chem. Inf. Comput. Sci. 31 (1991) 326; RELION's use of it: its documentation, "Conventions".)

mod edit;
mod parse;
mod writer;

use std::{
    borrow::Cow,
    fmt,
    path::{Path, PathBuf},
};

pub use self::{edit::Edit, writer::StarWriter};
use crate::{
    cells::{Cells, line_at, line_number, shown},
    error::{Error, ErrorKind, Result},
    whole,
};

/// A STAR file.
pub struct Star {
    path: PathBuf,
    bytes: Vec<u8>,
    tables: Vec<Layout>,
    notes: Vec<String>,
}

/// Where a table is.
#[derive(Debug)]
struct Layout {
    /// Name of its block, without `data_`.
    block: String,
    is_loop: bool,
    /// The byte where `data_` or `loop_` stands.
    start: usize,
    labels: Vec<Label>,
    /// The byte where the line of each row begins. Empty without a loop: there each label's line has its value.
    rows: Vec<usize>,
}

#[derive(Debug)]
struct Label {
    /// Without the leading underscore.
    name: String,
    /// The byte where its line begins.
    line: usize,
    /// Whether `#` and a number follow.
    is_numbered: bool,
}

impl Star {
    /// Reads a file.
    ///
    /// # Errors
    /// The first thing that is wrong with it, with its line.
    pub fn read(path: &Path) -> Result<Star> {
        Star::parse(whole::read(path)?, path)
    }

    /// Understands the bytes of a file; `path` names it in messages.
    ///
    /// # Errors
    /// The first thing that is wrong with it, with its line.
    pub fn parse(bytes: Vec<u8>, path: &Path) -> Result<Star> {
        let (tables, notes) = parse::parse(&bytes, path)?;
        Ok(Star { path: path.to_owned(), bytes, tables, notes })
    }

    /// The file's name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file, byte for byte.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What is odd, but no error: a last line without an end, numbers of labels that are out of order.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The tables, in the order of the file. A block with pairs and loops gives several of one name.
    pub fn tables(&self) -> impl ExactSizeIterator<Item = Table<'_>> {
        self.tables.iter().map(|layout| Table { star: self, layout })
    }

    /// The table of that name (`particles` for `data_particles`), if there is one.
    ///
    /// # Errors
    /// There are several.
    pub fn table(&self, name: &str) -> Result<Option<Table<'_>>> {
        let mut named = self.tables().filter(|table| table.name() == name);
        let first = named.next();
        match (first, named.next()) {
            (Some(first), Some(second)) => Err(Error::format(
                &self.path,
                format!(
                    "lines {} and {}: two tables are named data_{name}",
                    first.line_number(),
                    second.line_number()
                ),
            )),
            _ => Ok(first),
        }
    }
}

impl fmt::Debug for Star {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Star({}, {} tables)", self.path.display(), self.tables.len())
    }
}

/// A table of a STAR file: a loop, or pairs of label and value, which count as one row.
#[derive(Clone, Copy)]
pub struct Table<'a> {
    star: &'a Star,
    layout: &'a Layout,
}

impl<'a> Table<'a> {
    /// Name of the block, without `data_`; empty if it has none.
    pub fn name(&self) -> &'a str {
        &self.layout.block
    }

    /// Whether it is a `loop_`.
    pub fn is_loop(&self) -> bool {
        self.layout.is_loop
    }

    /// The line of the file, from 1 on, where it begins.
    pub fn line_number(&self) -> usize {
        line_number(&self.star.bytes, self.layout.start)
    }

    /// Labels without the leading underscore, in the order of the columns.
    pub fn labels(&self) -> impl ExactSizeIterator<Item = &'a str> {
        self.layout.labels.iter().map(|label| label.name.as_str())
    }

    /// Index of the column with that label, written without the leading underscore.
    pub fn column(&self, label: &str) -> Option<usize> {
        self.labels().position(|other| other == label)
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        if self.layout.is_loop {
            self.layout.rows.len()
        } else {
            usize::from(!self.layout.labels.is_empty())
        }
    }

    /// The row of that index.
    ///
    /// # Panics
    /// There are not so many.
    pub fn row(&self, index: usize) -> Row<'a> {
        assert!(index < self.n_rows(), "row {index} of {}", self.n_rows());
        let values = if self.layout.is_loop {
            self.cells(self.layout.rows[index]).collect()
        } else {
            let lines = self.layout.labels.iter().map(|label| label.line);
            lines.filter_map(|line| self.cells(line).nth(1)).collect()
        };
        Row { table: *self, index, values }
    }

    /// All rows.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = Row<'a>> + use<'a> {
        let table = *self;
        (0..self.n_rows()).map(move |index| table.row(index))
    }

    /// Starts to change this table; everything else of the file stays as it is.
    pub fn edit(&self) -> Edit<'a> {
        Edit::new(*self)
    }

    /// Values of the line that begins there; parsing has shown that all quotes are closed.
    fn cells(&self, line: usize) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        Cells::new(line_at(&self.star.bytes, line)).filter_map(|cell| Some(cell.ok()?.text))
    }
}

impl fmt::Debug for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, n_columns) = (self.name(), self.layout.labels.len());
        write!(f, "Table(data_{name}, {n_columns} columns, {} rows)", self.n_rows())
    }
}

/// A row of a table.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    table: Table<'a>,
    index: usize,
    values: Vec<&'a [u8]>,
}

impl<'a> Row<'a> {
    /// The value in that column.
    ///
    /// # Panics
    /// There are not so many columns.
    pub fn get(&self, column: usize) -> Value<'a> {
        Value { table: self.table, row: self.index, column, bytes: self.values[column] }
    }
}

/// A value, which knows its place in the file for messages.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a> {
    table: Table<'a>,
    row: usize,
    column: usize,
    bytes: &'a [u8],
}

impl<'a> Value<'a> {
    /// As it stands in the file, without quotes.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// As text.
    ///
    /// # Errors
    /// It is not UTF-8.
    pub fn text(&self) -> Result<&'a str> {
        std::str::from_utf8(self.bytes)
            .map_err(|_| self.error(format_args!("{} is not UTF-8", shown(self.bytes))))
    }

    /// As a finite number.
    ///
    /// # Errors
    /// It is none.
    pub fn number(&self) -> Result<f64> {
        parse_number(self.bytes)
            .ok_or_else(|| self.error(format_args!("{} is not a number", shown(self.bytes))))
    }

    /// As an integer, which may be written `24.000000`.
    ///
    /// # Errors
    /// It is none.
    pub fn integer(&self) -> Result<i64> {
        parse_integer(self.bytes)
            .ok_or_else(|| self.error(format_args!("{} is not an integer", shown(self.bytes))))
    }

    /// The line of the file, from 1 on.
    pub fn line_number(&self) -> usize {
        let layout = self.table.layout;
        let start =
            if layout.is_loop { layout.rows[self.row] } else { layout.labels[self.column].line };
        line_number(&self.table.star.bytes, start)
    }

    /// An error that names the file, the line and the label: this value is wrong.
    pub fn error(&self, message: impl fmt::Display) -> Error {
        self.error_of(ErrorKind::Format, message)
    }

    /// An error that names the file, the line and the label: this value is sound, but of a kind that is not read.
    pub fn refuse(&self, message: impl fmt::Display) -> Error {
        self.error_of(ErrorKind::Unsupported, message)
    }

    fn error_of(&self, kind: ErrorKind, message: impl fmt::Display) -> Error {
        let (line, label) = (self.line_number(), &self.table.layout.labels[self.column].name);
        Error::new(kind, &self.table.star.path, format!("line {line}, {label}: {message}"))
    }
}

/// A finite number.
pub(crate) fn parse_number(text: &[u8]) -> Option<f64> {
    let number: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    number.is_finite().then_some(number)
}

/// An integer, maybe written as a float; up to 2^53, where floats are still exact.
pub(crate) fn parse_integer(text: &[u8]) -> Option<i64> {
    if let Ok(integer) = std::str::from_utf8(text).ok()?.parse() {
        return Some(integer);
    }
    let number = parse_number(text)?;
    (number.fract() == 0.0 && number.abs() <= (1u64 << 53) as f64).then_some(number as i64)
}

/// A value as it must be written: in quotes if it has blanks, or would be taken for something else.
fn quoted(value: &str) -> Option<Cow<'_, str>> {
    if value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
        return None;
    }
    let reads_back = |line: &str| {
        let mut cells = Cells::new(line.as_bytes());
        matches!(cells.next(), Some(Ok(cell)) if cell.text == value.as_bytes())
            && cells.next().is_none()
    };
    let is_keyword = ["data_", "loop_", "save_", "global_", "stop_"]
        .iter()
        .any(|word| value.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word)));
    if !is_keyword && !value.starts_with(['_', ';']) && reads_back(value) {
        return Some(Cow::Borrowed(value));
    }
    ['"', '\'']
        .into_iter()
        .map(|quote| format!("{quote}{value}{quote}"))
        .find_map(|line| reads_back(&line).then_some(Cow::Owned(line)))
}

/// An error about what the caller wants written.
fn invalid(path: &Path, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, path, message)
}

#[cfg(test)]
#[path = "star/star_test.rs"]
mod star_test;
