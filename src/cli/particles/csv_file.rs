//! Positions as a CSV file has them: the columns z, y, x, maybe tomogram, and others, which are carried over.

use std::{collections::HashMap, fs, path::Path};

use super::{Particles, PositionArgs, Rest};
use crate::{
    console::Console,
    failure::{Failure, Result},
};

/// Characters of a value that a message shows at most.
const MAX_SHOWN: usize = 60;

/// Reads such a file.
///
/// # Errors
/// It cannot be read, or a line has no position.
pub fn read(path: &Path, args: &PositionArgs, console: &Console) -> Result<Particles> {
    let bytes = fs::read(path).map_err(|error| Failure::at(path, error))?;
    if !bytes.ends_with(b"\n") {
        let path = path.display();
        console
            .warn(format!("{path}: the file ends within a line; its last value may be cut short"));
    }
    parse(path, &bytes, args)
}

/// The bytes of a CSV file; `path` names it in messages.
fn parse(path: &Path, bytes: &[u8], args: &PositionArgs) -> Result<Particles> {
    let failed = |error: csv::Error| match error.kind() {
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let line = pos.as_ref().map_or(0, |position| line_of(position, bytes));
            let message = format!("line {line}: {len} values, but the header has {expected_len}");
            Failure::at(path, message)
        }
        _ => Failure::at(path, error),
    };
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(bytes);
    let header = reader.headers().map_err(failed)?.clone();
    let column = |name: &str| header.iter().position(|other| other == name);
    let [Some(z), Some(y), Some(x)] = ["z", "y", "x"].map(column) else {
        let found = header.iter().collect::<Vec<_>>().join(", ");
        let found: String = found.chars().take(MAX_SHOWN).collect();
        let message = format!("line 1: expected the columns z, y and x, got {found:?}");
        return Err(Failure::at(path, message));
    };
    let tomogram = column("tomogram");
    let written = ["tomogram", "z", "y", "x", "path"];
    let columns: Vec<usize> =
        (0..header.len()).filter(|&column| !written.contains(&&header[column])).collect();
    let word = |c: char| if c.is_whitespace() || c == '#' { '_' } else { c };
    let labels = columns.iter().map(|&column| header[column].chars().map(word).collect());
    let labels = labels.collect();
    let (mut positions, mut tomograms, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    let mut names: Vec<String> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    for row in reader.records() {
        let row = row.map_err(failed)?;
        let line = row.position().map_or(0, |position| line_of(position, bytes));
        let number = |column: usize| {
            row[column].parse::<f64>().ok().filter(|number| number.is_finite()).ok_or_else(|| {
                let (name, text) = (&header[column], &row[column]);
                let shown: String = text.chars().take(MAX_SHOWN).collect();
                Failure::at(path, format!("line {line}, {name}: {shown:?} is no number"))
            })
        };
        positions.push([number(z)?, number(y)?, number(x)?]);
        tomograms.push(tomogram.map(|column| {
            *known.entry(row[column].to_owned()).or_insert_with(|| {
                names.push(row[column].to_owned());
                names.len() - 1
            })
        }));
        // Of a file of positions alone, nothing is kept: a row takes ten times its numbers.
        if !columns.is_empty() {
            rows.push(row);
        }
    }
    if positions.is_empty() {
        return Err(Failure::at(path, "lists no particles"));
    }
    let rest = Rest::Csv { rows, columns, labels };
    Ok(Particles {
        path: path.to_owned(),
        positions,
        shifts: None,
        position_voxel_size: args.position_voxel_size,
        tomograms,
        names,
        first_voxel: Some(0.0),
        rest,
    })
}

/// The line where a row of a CSV file begins: the position that the reader gives comes before blank lines.
fn line_of(position: &csv::Position, bytes: &[u8]) -> u64 {
    let rest = usize::try_from(position.byte()).ok().and_then(|start| bytes.get(start..));
    let ends = rest.unwrap_or_default().iter().take_while(|byte| b"\r\n".contains(byte));
    position.line() + ends.filter(|&&byte| byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: impl AsRef<[u8]>) -> Result<Particles> {
        let args = PositionArgs { position_voxel_size: None, ignore_shifts: false };
        parse(Path::new("p.csv"), text.as_ref(), &args)
    }

    #[test]
    fn positions_are_read_with_marks_and_any_ends_of_lines() {
        let text =
            "\u{feff}tomogram, x ,y,z,score\r\nTS_1,1,2.5,-3e0,0.5\r\n\r\n\"TS,2\",4,5,6,\r\n";
        let particles = parsed(text).unwrap();
        assert_eq!(particles.positions, [[-3.0, 2.5, 1.0], [6.0, 5.0, 4.0]]);
        assert_eq!(particles.names, ["TS_1", "TS,2"]);
        assert_eq!(particles.labels(), ["score"]);
        assert_eq!(particles.values(0).unwrap(), ["0.5"]);
        let bare = parsed("z,y,x\n1,2,3\n").unwrap();
        assert!(matches!(&bare.rest, Rest::Csv { rows, .. } if rows.is_empty()));
        assert_eq!(bare.values(0).unwrap(), [""; 0]);
    }

    #[test]
    fn what_is_wrong_with_positions_is_named_with_its_line() {
        let long = "x".repeat(10 << 20);
        let (value, values) = (format!("z,y,x\n1,2,{long}\n"), ",".repeat(10 << 20));
        for (text, expected) in [
            ("", "line 1: expected the columns z, y and x, got \"\""),
            ("z,y\n1,2\n", "line 1: expected the columns z, y and x, got \"z, y\""),
            ("z,y,x\n", "lists no particles"),
            ("z,y,x\n1,2\n", "line 2: 2 values, but the header has 3"),
            ("z,y,x\n1,2,3\n\n1,,3\n", "line 4, y: \"\" is no number"),
            ("z,y,x\r\n1,2,3\r\n\r\n1,,3\r\n", "line 4, y: \"\" is no number"),
            ("z,y,x\n1,2,nan\n", "line 2, x: \"nan\" is no number"),
            ("z,y,x\n1,2,1e400\n", "line 2, x: \"1e400\" is no number"),
            (&value, "line 2, x: \"xxxx"),
            (&format!("z,y,x\n{values}\n"), "line 2: 10485761 values, but the header has 3"),
        ] {
            let message = parsed(text).unwrap_err().to_string();
            assert!(message.starts_with("p.csv: ") && message.len() < 200, "{message}");
            assert!(message.contains(expected), "{expected}: {message}");
        }
        assert!(parsed(b"z,y,x\n1,2,\xff\n").is_err());
    }

    #[test]
    fn every_part_of_a_file_of_positions_is_an_error_or_fewer_rows() {
        let whole = "z,y,x,note\n1,2,3,\"a, b\"\n4,5,6,c\n";
        for end in 0..whole.len() {
            if let Ok(part) = parsed(&whole[..end]) {
                assert!(part.len() < whole[..end].lines().count(), "{end} bytes");
            }
        }
    }
}
