//! Changes to one table, written with every other byte as it was.

use std::{
    borrow::Cow,
    fmt::{self, Display},
    io::Write,
    iter,
    ops::Range,
    path::Path,
};

use super::{Table, invalid, quoted};
use crate::{
    cells::{Cells, line_at, shown, splice},
    error::{Error, Result},
    whole,
};

/// Changes to one table of a STAR file: columns that are set or appended, rows that are left out. The file itself
/// changes only when they are saved.
pub struct Edit<'a> {
    table: Table<'a>,
    columns: Vec<Column<'a>>,
    keep: Option<Box<dyn Fn(usize) -> bool + 'a>>,
}

struct Column<'a> {
    label: String,
    /// Which column of the file it replaces, if any.
    replaces: Option<usize>,
    value: Box<dyn Fn(usize) -> String + 'a>,
}

impl<'a> Edit<'a> {
    pub(super) fn new(table: Table<'a>) -> Edit<'a> {
        Edit { table, columns: Vec::new(), keep: None }
    }

    /// Gives the column with that label (written without the leading underscore) the value `value(row)` in each row;
    /// `row` counts the rows of the file from 0 on. A label that the table does not have is appended.
    ///
    /// # Errors
    /// The label is not one or has been set already, or the table has no columns: there is no row to hold a value.
    pub fn set<T: Display>(
        mut self,
        label: &str,
        value: impl Fn(usize) -> T + 'a,
    ) -> Result<Edit<'a>> {
        let path = &self.table.star.path;
        let odd = |c: char| c.is_whitespace() || c.is_control() || c == '#';
        if label.is_empty() || label.starts_with('_') || label.contains(odd) {
            let message = format!("{label:?} is no label; expected a word without _ before it");
            return Err(invalid(path, message));
        }
        if self.table.layout.labels.is_empty() {
            let message =
                format!("data_{} has no columns to set {label} beside", self.table.name());
            return Err(invalid(path, message));
        }
        if self.columns.iter().any(|column| column.label == label) {
            return Err(invalid(path, format!("{label} is set twice")));
        }
        let replaces = self.table.column(label);
        let value = Box::new(move |row| value(row).to_string());
        self.columns.push(Column { label: label.to_owned(), replaces, value });
        Ok(self)
    }

    /// Leaves out the rows for which `keep(row)` is false, with their whole line. Only loops have rows to leave out.
    pub fn keep(self, keep: impl Fn(usize) -> bool + 'a) -> Edit<'a> {
        Edit { keep: Some(Box::new(keep)), ..self }
    }

    /// The whole file, changed.
    ///
    /// # Errors
    /// A value cannot be written: it has line breaks, or quotes of both kinds.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(self.table.star.bytes.len());
        self.write(&mut bytes, &self.table.star.path)?;
        Ok(bytes)
    }

    /// Writes the whole file, changed, to `path`, which it replaces as a whole or not at all. It may be the file
    /// that was read.
    ///
    /// # Errors
    /// A value cannot be written, or the file cannot.
    pub fn save(&self, path: &Path) -> Result<()> {
        whole::replace(path, |out| self.write(out, path))
    }

    fn write(&self, out: &mut impl Write, path: &Path) -> Result<()> {
        let mut copy = Copy { from: &self.table.star.bytes, done: 0, out, path };
        if self.table.layout.is_loop {
            self.write_loop(&mut copy)?;
        } else {
            self.write_pairs(&mut copy)?;
        }
        copy.up_to(copy.from.len())
    }

    fn write_loop(&self, copy: &mut Copy<'_, impl Write>) -> Result<()> {
        let layout = self.table.layout;
        let Some(last) = layout.labels.last() else { return Ok(()) };
        copy.past_line(last.line)?;
        for (number, column) in (layout.labels.len() + 1..).zip(self.appended()) {
            let label = &column.label;
            let number = if last.is_numbered { format!(" #{number}") } else { String::new() };
            copy.put_line(&format!("_{label}{number}"), last.line)?;
        }
        let mut changed = Vec::new();
        for (index, &start) in layout.rows.iter().enumerate() {
            copy.up_to(start)?;
            let line = line_at(copy.from, start);
            if self.keep.as_ref().is_none_or(|keep| keep(index)) {
                changed.clear();
                let values = self.values(index, copy.path)?;
                let value_of = |column| {
                    self.columns.iter().zip(&values).find(|(c, _)| c.replaces == Some(column))
                };
                let appended =
                    self.columns.iter().zip(&values).filter(|(c, _)| c.replaces.is_none());
                splice(
                    &mut changed,
                    line,
                    spans(line),
                    |column| value_of(column).map(|(_, value)| value.clone()),
                    appended.map(|(_, value)| value.clone()),
                );
                copy.put(&changed)?;
            }
            copy.done = start + line.len();
        }
        Ok(())
    }

    fn write_pairs(&self, copy: &mut Copy<'_, impl Write>) -> Result<()> {
        let labels = &self.table.layout.labels;
        let Some(last) = labels.last() else { return Ok(()) };
        let values = self.values(0, copy.path)?;
        for (index, label) in labels.iter().enumerate() {
            let set = self.columns.iter().zip(&values).find(|(c, _)| c.replaces == Some(index));
            let Some((_, value)) = set else { continue };
            copy.up_to(label.line)?;
            let line = line_at(copy.from, label.line);
            let mut changed = Vec::new();
            // The first cell is the label.
            let value_of = |cell| (cell == 1).then(|| value.clone());
            splice(&mut changed, line, spans(line), value_of, iter::empty());
            copy.put(&changed)?;
            copy.done = label.line + line.len();
        }
        copy.past_line(last.line)?;
        for (column, value) in self.columns.iter().zip(&values) {
            if column.replaces.is_none() {
                copy.put_line(&format!("_{} {value}", column.label), last.line)?;
            }
        }
        Ok(())
    }

    fn appended(&self) -> impl Iterator<Item = &Column<'a>> {
        self.columns.iter().filter(|column| column.replaces.is_none())
    }

    /// The new values of a row, ready to be written, in the order of `columns`.
    fn values(&self, row: usize, path: &Path) -> Result<Vec<String>> {
        let values = self.columns.iter().map(|column| {
            let value = (column.value)(row);
            match quoted(&value) {
                Some(Cow::Borrowed(_)) => Ok(value),
                Some(Cow::Owned(quoted)) => Ok(quoted),
                None => {
                    let value = shown(value.as_bytes());
                    let message = format!(
                        "row {row}, {}: {value} has line breaks or both kinds of quotes, which a \
                         STAR file cannot hold",
                        column.label
                    );
                    Err(invalid(path, message))
                }
            }
        });
        values.collect()
    }
}

impl fmt::Debug for Edit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels: Vec<&str> = self.columns.iter().map(|column| column.label.as_str()).collect();
        write!(f, "Edit({:?}, sets {labels:?})", self.table)
    }
}

/// Copies a file from front to back with changes.
struct Copy<'a, W> {
    from: &'a [u8],
    /// How far `from` has been copied or left out.
    done: usize,
    out: W,
    path: &'a Path,
}

impl<W: Write> Copy<'_, W> {
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(|error| Error::io(self.path, &error))
    }

    fn up_to(&mut self, end: usize) -> Result<()> {
        let from = self.from;
        self.put(&from[self.done..end])?;
        self.done = end;
        Ok(())
    }

    /// Up to the end of the line that begins at `start`.
    fn past_line(&mut self, start: usize) -> Result<()> {
        let end = start + line_at(self.from, start).len();
        if end > self.done { self.up_to(end) } else { Ok(()) }
    }

    /// A line of its own that ends as the line before does, which begins at `before`.
    fn put_line(&mut self, text: &str, before: usize) -> Result<()> {
        let before = line_at(self.from, before);
        if !before.ends_with(b"\n") {
            // The last line of the file: what comes after it is the new one, which then is the last.
            self.put(b"\n")?;
            return self.put(text.as_bytes());
        }
        self.put(text.as_bytes())?;
        self.put(if before.ends_with(b"\r\n") { b"\r\n" } else { b"\n" })
    }
}

/// Where the cells of a line are; parsing has shown that all quotes are closed.
fn spans(line: &[u8]) -> impl Iterator<Item = Range<usize>> {
    Cells::new(line).filter_map(|cell| Some(cell.ok()?.span))
}
