//! Finds the tables, labels and rows of a STAR file.

use std::{collections::HashSet, path::Path};

use super::{Label, Layout};
use crate::{
    cells::{Cell, Cells, OpenQuote, line_at, line_number, shown, text_start},
    error::{Error, ErrorKind, Result},
};

/// Where the tables are, and what is odd but no error.
pub(super) fn parse(bytes: &[u8], path: &Path) -> Result<(Vec<Layout>, Vec<String>)> {
    let start = text_start(bytes);
    if let Some(at) = bytes.iter().position(|&byte| byte == 0) {
        let message = "a zero byte: this is no STAR file, or one in UTF-16 or compressed; \
                       expected text in UTF-8";
        return Err(Error::format(path, format!("byte {at}: {message}")));
    }
    let mut parser = Parser {
        bytes,
        path,
        line: start,
        tables: Vec::new(),
        notes: Vec::new(),
        is_misnumbered: false,
        state: State::Outside,
    };
    while parser.line < bytes.len() {
        let line = line_at(bytes, parser.line);
        parser.read_line(line)?;
        parser.line += line.len();
    }
    parser.finish()
}

/// What may come next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Only `data_`.
    Outside,
    /// A pair or `loop_`; what comes belongs to this block.
    Block,
    /// Another pair of the last table.
    Pairs,
    /// Labels of the last table, or its first row.
    Labels,
    /// Rows of the last table.
    Rows,
}

struct Parser<'a> {
    bytes: &'a [u8],
    path: &'a Path,
    /// The byte where the present line begins.
    line: usize,
    /// Those after the last `data_` have its name; a block without tables leaves one without labels.
    tables: Vec<Layout>,
    notes: Vec<String>,
    is_misnumbered: bool,
    state: State,
}

impl<'a> Parser<'a> {
    fn read_line(&mut self, line: &'a [u8]) -> Result<()> {
        let mut cells = Cells::new(line);
        let Some(first) = self.cell(cells.next())? else { return Ok(()) };
        let mut n_cells = 1;
        while self.cell(cells.next())?.is_some() {
            n_cells += 1;
        }
        if line[0] == b';' {
            let message =
                "a text over several lines (;); RELION and its kin write values on one line";
            return Err(self.error_of(ErrorKind::Unsupported, message));
        }
        let word = if first.is_quoted() { &[][..] } else { first.text };
        if n_cells == 1 && starts_with(word, b"data_") {
            return self.block(&word[5..]);
        }
        if n_cells == 1 && word.eq_ignore_ascii_case(b"loop_") {
            return self.begin_loop();
        }
        if word.first() == Some(&b'_') {
            let rest = &line[first.span.end..];
            return match (self.state, n_cells) {
                (State::Labels, 1) => self.label(&word[1..], number_after(rest)),
                (State::Labels, _) => {
                    let label = shown(word);
                    Err(self.error(format!("{label}: a label of a loop must be alone on its line")))
                }
                _ => self.pair(&word[1..], n_cells),
            };
        }
        self.row(first.text, n_cells)
    }

    fn block(&mut self, name: &[u8]) -> Result<()> {
        self.end_labels()?;
        let Ok(name) = std::str::from_utf8(name) else {
            return Err(self.error(format!("the block's name {} is not UTF-8", shown(name))));
        };
        self.tables.push(self.layout(name.to_owned(), false));
        self.state = State::Block;
        Ok(())
    }

    fn begin_loop(&mut self) -> Result<()> {
        self.end_labels()?;
        self.begin_table("loop_", true)?;
        self.state = State::Labels;
        Ok(())
    }

    /// Begins a table of the present block, or makes the block's empty one into it.
    fn begin_table(&mut self, what: &str, is_loop: bool) -> Result<()> {
        match self.tables.last() {
            None => Err(self.error(format!("{what} before any data_ block"))),
            Some(block) => {
                let layout = self.layout(block.block.clone(), is_loop);
                if self.state == State::Block {
                    self.tables.pop();
                }
                self.tables.push(layout);
                Ok(())
            }
        }
    }

    fn layout(&self, block: String, is_loop: bool) -> Layout {
        Layout { block, is_loop, start: self.line, labels: Vec::new(), rows: Vec::new() }
    }

    fn pair(&mut self, name: &[u8], n_cells: usize) -> Result<()> {
        if n_cells != 2 {
            let message = format!(
                "_{} outside of a loop's labels: expected a label and its value, got {n_cells} of \
                 them (a value that begins with _ must be in quotes)",
                String::from_utf8_lossy(&name[..name.len().min(60)])
            );
            return Err(self.error(message));
        }
        if self.state != State::Pairs {
            self.begin_table("a label", false)?;
            self.state = State::Pairs;
        }
        self.label(name, None)
    }

    /// Adds a label to the last table.
    fn label(&mut self, name: &[u8], number: Option<usize>) -> Result<()> {
        let Ok(name) = std::str::from_utf8(name) else {
            return Err(self.error(format!("the label {} is not UTF-8", shown(name))));
        };
        let label = Label { name: name.to_owned(), line: self.line, is_numbered: number.is_some() };
        let Some(table) = self.tables.last_mut() else {
            return Err(self.error("a label before any data_ block"));
        };
        table.labels.push(label);
        let column = table.labels.len();
        // One such note says it all: after a column that somebody took out by hand, all numbers are off.
        if let Some(number) = number.filter(|&number| number != column && !self.is_misnumbered) {
            self.is_misnumbered = true;
            let line = line_number(self.bytes, self.line);
            self.notes.push(format!(
                "line {line}: column {column} ({name}) is numbered #{number}; the order counts, \
                 not the number"
            ));
        }
        Ok(())
    }

    fn row(&mut self, first: &[u8], n_cells: usize) -> Result<()> {
        if self.state == State::Labels {
            self.end_labels()?;
            self.state = State::Rows;
        }
        let table = match self.tables.last_mut() {
            Some(table) if self.state == State::Rows => table,
            Some(_) => {
                let message = "outside of a loop; expected data_, loop_ or a label with its value";
                return Err(self.error(format!("{} {message}", shown(first))));
            }
            None => {
                let message = "before any data_ block; is this a STAR file?";
                return Err(self.error(format!("{} {message}", shown(first))));
            }
        };
        let n_columns = table.labels.len();
        if n_cells == n_columns {
            table.rows.push(self.line);
            return Ok(());
        }
        let block = &table.block;
        let mut message = format!("{n_cells} values, but data_{block} has {n_columns} columns");
        if let Some(missing) = table.labels.get(n_cells) {
            message += &format!("; nothing for {} and what follows", missing.name);
        }
        Err(self.error(message))
    }

    /// What must hold of a loop's labels when they end.
    fn end_labels(&mut self) -> Result<()> {
        if self.state != State::Labels {
            return Ok(());
        }
        let Some(table) = self.tables.last() else { return Ok(()) };
        match table.labels.is_empty() {
            true => Err(self.error("a loop_ without labels")),
            false => Ok(()),
        }
    }

    fn finish(mut self) -> Result<(Vec<Layout>, Vec<String>)> {
        self.end_labels()?;
        if self.tables.is_empty() {
            return Err(Error::format(self.path, "no data_ block: this is no STAR file"));
        }
        for table in &self.tables {
            let mut names = HashSet::new();
            if let Some(twice) = table.labels.iter().find(|label| !names.insert(&label.name)) {
                let line = line_number(self.bytes, twice.line);
                let message = format!("line {line}: {} is there twice in one table", twice.name);
                return Err(Error::format(self.path, message));
            }
        }
        let last = self.bytes.rsplit(|&byte| byte == b'\n').next().unwrap_or(&[]);
        if Cells::new(last).next().is_some() {
            let line = line_number(self.bytes, self.bytes.len());
            self.notes.push(format!(
                "line {line}: the file ends within a line; its last value may be cut short"
            ));
        }
        Ok((self.tables, self.notes))
    }

    fn cell(&self, cell: Option<Result<Cell<'a>, OpenQuote>>) -> Result<Option<Cell<'a>>> {
        cell.transpose().map_err(|quote| {
            let column = quote.0 + 1;
            self.error(format!("byte {column} of the line: a quote without an end"))
        })
    }

    fn error(&self, message: impl AsRef<str>) -> Error {
        self.error_of(ErrorKind::Format, message)
    }

    fn error_of(&self, kind: ErrorKind, message: impl AsRef<str>) -> Error {
        let line = line_number(self.bytes, self.line);
        Error::new(kind, self.path, format!("line {line}: {}", message.as_ref()))
    }
}

/// Whether `word` begins with `prefix`, in any case of letters.
fn starts_with(word: &[u8], prefix: &[u8]) -> bool {
    word.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// The number in `#12` after a label.
fn number_after(label: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(label).ok()?.trim_ascii();
    text.strip_prefix('#')?.parse().ok()
}
