//! mmCIF files: the loop `_atom_site`. (PDBx/mmCIF dictionary of the wwPDB; grammar: Hall, Allen & Brown, Acta Cryst.
//! A47 (1991) 655.)

use std::path::Path;

use super::{Atom, Element, Place, Reading, is_water, line_at, shown, text_start};
use crate::{cells::Cells, error::Result};

pub(super) fn read(bytes: &[u8], path: &Path) -> Result<Reading> {
    let mut tokens = Tokens::new(bytes, path);
    let mut reading = Reading::default();
    let mut token = tokens.next()?;
    let mut n_blocks = 0;
    while let Some(now) = token {
        token = tokens.next()?;
        if now.begins(b"data_") {
            n_blocks += 1;
            if n_blocks > 1 && !reading.atoms.is_empty() {
                // Another entry.
                break;
            }
        } else if now.begins(b"loop_") {
            let mut tags = Vec::new();
            while let Some(tag) = token.filter(Token::is_tag) {
                tags.push(tag);
                token = tokens.next()?;
            }
            let columns = Columns::find(&tags);
            reading.has_assembly |=
                tags.iter().any(|tag| tag.is_named("_pdbx_struct_oper_list.id"));
            let mut row = Vec::with_capacity(tags.len());
            while let Some(value) = token.filter(Token::is_value) {
                row.push(value);
                token = tokens.next()?;
                if row.len() == tags.len() {
                    if let Some(columns) = &columns {
                        columns.read_atom(&mut reading, &row, tokens.place(row[0].start))?;
                    }
                    row.clear();
                }
            }
            if let Some(first) = row.first() {
                let (n, n_columns) = (row.len(), tags.len());
                let message = format!("a row of {n} values; the loop has {n_columns} columns");
                return Err(tokens.place(first.start).error(message));
            }
            if columns.is_some() && token.is_none() && !has_end(bytes) {
                reading.lacks_end = Some(
                    "the file ends with its atoms and no # or empty line after them: it may be cut short",
                );
            }
        }
    }
    Ok(reading)
}

/// The wwPDB's files end each category with a line `#`, others with an empty one, some with nothing.
fn has_end(bytes: &[u8]) -> bool {
    let mut lines = bytes.rsplit(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    // What comes after the last line feed.
    let rest = lines.next().unwrap_or(&[]);
    rest.is_empty() && lines.next().is_some_and(|last| last.is_empty() || last == b"#")
}

/// Where the loop of the atoms has what is needed.
struct Columns {
    position: [Option<usize>; 3],
    element: Option<usize>,
    occupancy: Option<usize>,
    residue: Option<usize>,
    alternate: Option<usize>,
    model: Option<usize>,
}

impl Columns {
    /// `None` if these are not the tags of the atoms.
    fn find(tags: &[Token<'_>]) -> Option<Columns> {
        let first = tags.first()?;
        if !first.begins(b"_atom_site.") {
            return None;
        }
        let column =
            |name: &str| tags.iter().position(|tag| tag.is_named(&format!("_atom_site.{name}")));
        Some(Columns {
            position: ["Cartn_z", "Cartn_y", "Cartn_x"].map(column),
            element: column("type_symbol"),
            occupancy: column("occupancy"),
            residue: column("label_comp_id").or_else(|| column("auth_comp_id")),
            alternate: column("label_alt_id"),
            model: column("pdbx_PDB_model_num"),
        })
    }

    fn read_atom(&self, reading: &mut Reading, row: &[Token<'_>], place: Place<'_>) -> Result<()> {
        let ([Some(z), Some(y), Some(x)], Some(element)) = (self.position, self.element) else {
            let message = "_atom_site lacks Cartn_x, Cartn_y, Cartn_z or type_symbol";
            return Err(place.error(message));
        };
        let value = |column: Option<usize>| Some(row[column?]).filter(|value| !value.is_unknown());
        if let Some(model) = value(self.model) {
            if reading.model.is_empty() {
                reading.model = model.text.to_vec();
            } else if reading.model != model.text {
                reading.other_models.insert(model.text.to_vec());
                return Ok(());
            }
        }
        if value(self.residue).is_some_and(|residue| is_water(residue.text)) {
            reading.n_waters += 1;
            return Ok(());
        }
        let position = [
            place.coordinate("Cartn_z", row[z].text)?,
            place.coordinate("Cartn_y", row[y].text)?,
            place.coordinate("Cartn_x", row[x].text)?,
        ];
        let occupancy = match value(self.occupancy) {
            None => 1.0,
            Some(value) => place.occupancy(value.text)?,
        };
        let Some(element) = Element::from_symbol(row[element].text) else {
            return Err(place.error(format!("{} is no element", shown(row[element].text))));
        };
        reading.n_alternate += usize::from(value(self.alternate).is_some());
        reading.atoms.push(Atom { position, element, occupancy });
        Ok(())
    }
}

/// A word of the file.
#[derive(Clone, Copy)]
struct Token<'a> {
    text: &'a [u8],
    is_quoted: bool,
    /// The byte of the file where it begins, or one of its line.
    start: usize,
}

impl Token<'_> {
    /// Begins with this keyword, in any case.
    fn begins(&self, word: &[u8]) -> bool {
        !self.is_quoted
            && self.text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
    }

    fn is_tag(&self) -> bool {
        self.begins(b"_")
    }

    fn is_value(&self) -> bool {
        let words = [&b"_"[..], b"data_", b"loop_", b"save_", b"global_", b"stop_"];
        !words.iter().any(|word| self.begins(word))
    }

    fn is_named(&self, tag: &str) -> bool {
        self.is_tag() && self.text.eq_ignore_ascii_case(tag.as_bytes())
    }

    /// `?` and `.`: unknown and not applicable.
    fn is_unknown(&self) -> bool {
        !self.is_quoted && (self.text == b"?" || self.text == b".")
    }
}

/// The words of a file, one after the other; rows need not end with lines.
struct Tokens<'a> {
    bytes: &'a [u8],
    path: &'a Path,
    /// Where the next line begins.
    next_line: usize,
    /// Where the present line begins, and what is left of it.
    line: usize,
    cells: Cells<'a>,
}

impl<'a> Tokens<'a> {
    fn new(bytes: &'a [u8], path: &'a Path) -> Tokens<'a> {
        let next_line = text_start(bytes);
        Tokens { bytes, path, next_line, line: 0, cells: Cells::new(&[]) }
    }

    fn place(&self, start: usize) -> Place<'a> {
        Place { bytes: self.bytes, path: self.path, start }
    }

    fn next(&mut self) -> Result<Option<Token<'a>>> {
        loop {
            match self.cells.next() {
                Some(Ok(cell)) => {
                    let is_quoted = cell.is_quoted();
                    return Ok(Some(Token { text: cell.text, is_quoted, start: self.line }));
                }
                Some(Err(_)) => {
                    return Err(self.place(self.line).error("a quote without an end"));
                }
                None if self.next_line >= self.bytes.len() => return Ok(None),
                None => {
                    self.line = self.next_line;
                    let line = line_at(self.bytes, self.line);
                    self.next_line += line.len();
                    if line.starts_with(b";") {
                        return self.text_field().map(Some);
                    }
                    self.cells = Cells::new(line);
                }
            }
        }
    }

    /// Text over several lines, from a `;` that begins a line to the next one that does.
    fn text_field(&mut self) -> Result<Token<'a>> {
        let start = self.line;
        while self.next_line < self.bytes.len() {
            let end = self.next_line;
            let line = line_at(self.bytes, end);
            self.next_line += line.len();
            if let Some(rest) = line.strip_prefix(b";") {
                self.line = end;
                self.cells = Cells::new(rest);
                return Ok(Token { text: &self.bytes[start + 1..end], is_quoted: true, start });
            }
        }
        Err(self.place(start).error("a text that begins with ; has no end"))
    }
}
