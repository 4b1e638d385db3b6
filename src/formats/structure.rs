//! Atoms of macromolecules from PDB and mmCIF files, and their density.
//!
//! Only what scatters is read: positions, elements, occupancies, of the first model. Water is left out, as it is in
//! the ice around; hydrogens count where a file has them. Symmetry copies are not made: an assembly must be in the
//! file.

mod density;
mod element;
mod mmcif;
mod pdb;

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

pub use self::{
    density::{Density, DensityOptions, density},
    element::Element,
};
use crate::{
    cells::{line_at, line_number, shown, text_start},
    error::{Error, Result},
    star::parse_number,
    whole,
};

/// Coordinates beyond this are damage, in angstrom: a hundred micrometres.
const FARTHEST: f64 = 1e6;

/// The atoms of a macromolecule.
#[derive(Clone, Debug)]
pub struct Structure {
    /// The file.
    pub path: PathBuf,
    /// Atoms without water, in the order of the file.
    pub atoms: Vec<Atom>,
    /// What was left out, chosen or doubtful.
    pub notes: Vec<String>,
}

/// An atom.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Atom {
    /// Position `[z, y, x]` in angstrom.
    pub position: [f64; 3],
    /// Its element.
    pub element: Element,
    /// Which share of the molecules has it there, 0 to 1. Alternate places of an atom are atoms of their own.
    pub occupancy: f64,
}

impl Structure {
    /// Reads a PDB or mmCIF file; its contents say which.
    ///
    /// # Errors
    /// It is neither, has no atoms, or one that is damaged: with its line.
    pub fn read(path: &Path) -> Result<Structure> {
        Structure::parse(&whole::read(path)?, path)
    }

    /// Understands the bytes of a PDB or mmCIF file; `path` names it in messages.
    ///
    /// # Errors
    /// As of [`Structure::read`].
    pub fn parse(bytes: &[u8], path: &Path) -> Result<Structure> {
        if bytes.starts_with(b"\x1f\x8b") {
            return Err(Error::format(path, "is compressed with gzip; decompress it first"));
        }
        let reading =
            if is_mmcif(bytes) { mmcif::read(bytes, path)? } else { pdb::read(bytes, path)? };
        reading.finish(bytes, path)
    }
}

/// An mmCIF file begins with `data_`, after comments.
fn is_mmcif(bytes: &[u8]) -> bool {
    let mut lines = bytes[text_start(bytes)..].split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    let first = lines.find(|line| !line.is_empty() && !line.starts_with(b"#"));
    first.is_some_and(|line| line.get(..5).is_some_and(|word| word.eq_ignore_ascii_case(b"data_")))
}

/// What both formats collect.
#[derive(Default)]
struct Reading {
    atoms: Vec<Atom>,
    n_waters: usize,
    n_alternate: usize,
    /// Name of the model that is read, in mmCIF.
    model: Vec<u8>,
    /// Models after the first, in mmCIF by name.
    n_other_models: usize,
    other_models: HashSet<Vec<u8>>,
    n_named_by_guess: usize,
    has_assembly: bool,
    /// Nothing says that the file is whole.
    lacks_end: Option<&'static str>,
}

impl Reading {
    fn finish(self, bytes: &[u8], path: &Path) -> Result<Structure> {
        if self.atoms.is_empty() {
            let message = if self.n_waters > 0 {
                "no atoms but water"
            } else {
                "no atoms: this is neither a PDB nor an mmCIF file of a structure"
            };
            return Err(Error::format(path, message));
        }
        let mut notes = Vec::new();
        let mut note = |n: usize, text: &str| {
            if n > 0 {
                notes.push(format!("{n} {text}"));
            }
        };
        note(self.n_waters, "atoms of water are left out");
        note(self.n_alternate, "atoms are at alternate places, each weighted by its occupancy");
        note(
            self.n_other_models + self.other_models.len(),
            "further models are left out: the first is used",
        );
        note(self.n_named_by_guess, "atoms state no element: it was taken from their names");
        if self.has_assembly {
            notes.push(
                "the file describes a biological assembly of several copies, which are not made: \
                 only its own atoms are used"
                    .to_owned(),
            );
        }
        notes.extend(self.lacks_end.map(str::to_owned));
        if !bytes.ends_with(b"\n") {
            notes.push("the file ends within a line, which may be cut short".to_owned());
        }
        Ok(Structure { path: path.to_owned(), atoms: self.atoms, notes })
    }
}

/// A line or row about an atom, for messages.
#[derive(Clone, Copy)]
struct Place<'a> {
    bytes: &'a [u8],
    path: &'a Path,
    /// The byte where it begins.
    start: usize,
}

impl Place<'_> {
    fn error(&self, message: impl AsRef<str>) -> Error {
        let line = line_number(self.bytes, self.start);
        Error::format(self.path, format!("line {line}: {}", message.as_ref()))
    }

    fn coordinate(&self, axis: &str, text: &[u8]) -> Result<f64> {
        match parse_number(text) {
            Some(number) if number.abs() <= FARTHEST => Ok(number),
            _ => Err(self.error(format!("{axis} is {}, no coordinate in angstrom", shown(text)))),
        }
    }

    fn occupancy(&self, text: &[u8]) -> Result<f64> {
        match parse_number(text) {
            Some(number) if (0.0..=1.0).contains(&number) => Ok(number),
            _ => Err(self.error(format!("the occupancy is {}; expected 0 to 1", shown(text)))),
        }
    }
}

/// Names of water.
fn is_water(residue: &[u8]) -> bool {
    [&b"HOH"[..], b"DOD", b"WAT", b"H2O"].contains(&residue)
}

#[cfg(test)]
#[path = "structure/structure_test.rs"]
mod structure_test;
