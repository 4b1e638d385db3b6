//! PDB files: fixed columns, which count from 1. (wwPDB, "Atomic Coordinate Entry Format", version 3.3.)

use std::{ops::RangeInclusive, path::Path};

use super::{Atom, Element, Place, Reading, is_water, line_at, shown, text_start};
use crate::error::Result;

const NAME: RangeInclusive<usize> = 13..=16;
const ALTERNATE: RangeInclusive<usize> = 17..=17;
const RESIDUE: RangeInclusive<usize> = 18..=20;
const X: RangeInclusive<usize> = 31..=38;
const Y: RangeInclusive<usize> = 39..=46;
const Z: RangeInclusive<usize> = 47..=54;
const OCCUPANCY: RangeInclusive<usize> = 55..=60;
const ELEMENT: RangeInclusive<usize> = 77..=78;

pub(super) fn read(bytes: &[u8], path: &Path) -> Result<Reading> {
    let mut reading = Reading {
        lacks_end: Some("the file has no END record: it may be cut short"),
        ..Reading::default()
    };
    let mut start = text_start(bytes);
    let mut is_first_model = true;
    while start < bytes.len() {
        let line = line_at(bytes, start);
        let place = Place { bytes, path, start };
        start += line.len();
        let line = line.trim_ascii_end();
        match columns(line, &(1..=6)) {
            b"ATOM" | b"HETATM" if is_first_model => read_atom(&mut reading, line, place)?,
            b"ENDMDL" => is_first_model = false,
            b"MODEL" if !is_first_model => reading.n_other_models += 1,
            // One line of the matrix of each copy; the first copy is the atoms themselves.
            b"REMARK" if line.starts_with(b"REMARK 350   BIOMT1") => {
                reading.has_assembly |= columns(line, &(20..=23)) != b"1";
            }
            b"END" => reading.lacks_end = None,
            _ => {}
        }
    }
    Ok(reading)
}

fn read_atom(reading: &mut Reading, line: &[u8], place: Place<'_>) -> Result<()> {
    if line.len() < *Z.end() {
        let n = line.len();
        return Err(place.error(format!("an atom in {n} columns; its position ends in column 54")));
    }
    if is_water(columns(line, &RESIDUE)) {
        reading.n_waters += 1;
        return Ok(());
    }
    let position = [
        place.coordinate("z", columns(line, &Z))?,
        place.coordinate("y", columns(line, &Y))?,
        place.coordinate("x", columns(line, &X))?,
    ];
    let occupancy = match columns(line, &OCCUPANCY) {
        b"" => 1.0,
        text => place.occupancy(text)?,
    };
    let element = match columns(line, &ELEMENT) {
        b"" => {
            reading.n_named_by_guess += 1;
            element_of_name(line)
        }
        symbol => Element::from_symbol(symbol),
    };
    let Some(element) = element else {
        let (symbol, name) = (columns(line, &ELEMENT), columns(line, &NAME));
        let text = if symbol.is_empty() { name } else { symbol };
        return Err(place.error(format!("{} is no element", shown(text))));
    };
    reading.n_alternate += usize::from(!columns(line, &ALTERNATE).is_empty());
    reading.atoms.push(Atom { position, element, occupancy });
    Ok(())
}

/// The element by the atom's name, for files before 1996, which have no column for it. Symbols end in column 14, but
/// long names of hydrogens begin in 13, and some programs let all names begin there: two letters are a symbol only in
/// what is no polymer, or where the residue is called so, too.
fn element_of_name(line: &[u8]) -> Option<Element> {
    let name = columns(line, &NAME);
    let letters = &name[name.iter().position(u8::is_ascii_alphabetic)?..];
    let starts_early = line.get(12).is_some_and(u8::is_ascii_alphabetic);
    if starts_early
        && let Some(two) = letters.get(..2)
        && (line.starts_with(b"HETATM") && name.len() < 4
            || columns(line, &RESIDUE) == two
            || columns(line, &RESIDUE) == b"MSE" && two == b"SE")
        && let Some(element) = Element::from_symbol(two)
    {
        return Some(element);
    }
    Element::from_symbol(&letters[..1])
}

/// The text in those columns without blanks around; as much of it as the line has.
fn columns<'a>(line: &'a [u8], columns: &RangeInclusive<usize>) -> &'a [u8] {
    let end = (*columns.end()).min(line.len());
    line.get(columns.start() - 1..end).unwrap_or(&[]).trim_ascii()
}
