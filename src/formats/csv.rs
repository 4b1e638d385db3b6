//! CSV files: which class an image is of, and what classification found. Commas, a header, quotes as in RFC 4180.

mod results;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

pub use self::results::{ResultRow, Results, ResultsWriter, TableWriter, most_probable};
use crate::{
    cells::{line_number, shown, text_start},
    error::{Error, Result},
    particle_list::{ImageReference, Images, images},
    whole,
};

/// Labels of images, from a file with the columns `path` and `label` and maybe `group`, in any order; others are left
/// alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    /// The file.
    pub path: PathBuf,
    /// The labelled images, in the order of the file.
    pub rows: Vec<LabelRow>,
    /// Whether there is a column `group`.
    pub has_groups: bool,
    /// What is odd, but no error: a last line without an end.
    pub notes: Vec<String>,
}

/// A labelled image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelRow {
    /// The image as it is written: a path, maybe with a number and `@` before it.
    pub image: ImageReference,
    /// Name of its class.
    pub label: String,
    /// What training and validation must not share, such as the tomogram; `None` where the column is missing or empty.
    pub group: Option<String>,
    /// Line of the file, from 1 on.
    pub line: usize,
}

impl Labels {
    /// Reads a file.
    ///
    /// # Errors
    /// The first thing that is wrong with it, with line and column.
    pub fn read(path: &Path) -> Result<Labels> {
        Labels::parse(&whole::read(path)?, path)
    }

    /// Understands the bytes of a file; `path` names it in messages.
    ///
    /// # Errors
    /// The first thing that is wrong with it, with line and column.
    pub fn parse(bytes: &[u8], path: &Path) -> Result<Labels> {
        let bytes = contents(bytes, path)?;
        let mut reader = reader(bytes);
        let header = reader.headers().map_err(|error| in_file(path, bytes, &error))?;
        let [image, label, group] = columns(header, path)?;
        let (Some(image), Some(label)) = (image, label) else {
            return Err(missing_columns(header, path));
        };
        let mut labels = Labels {
            path: path.to_owned(),
            rows: Vec::new(),
            has_groups: group.is_some(),
            notes: Vec::new(),
        };
        let mut lines: HashMap<String, usize> = HashMap::new();
        let (mut line, mut counted) = (1, 0);
        for record in reader.records() {
            let record = record.map_err(|error| in_file(path, bytes, &error))?;
            let start = record.position().map_or(counted, |position| start_of(position, bytes));
            let start = start.max(counted);
            line += line_number(&bytes[counted..], start - counted) - 1;
            counted = start;
            let error = |column: &str, message: String| {
                Err(Error::format(path, format!("line {line}, {column}: {message}")))
            };
            // Records have as many fields as the header.
            let field = |column: usize| record.get(column).unwrap_or("");
            let before = labels.rows.last().map(|row| &row.image);
            let Some(reference) = ImageReference::parse_after(field(image), before) else {
                return error("path", format!("{} names no image", shown(field(image).as_bytes())));
            };
            if field(label).is_empty() {
                return error("label", "empty; leave out images without a label".to_owned());
            }
            if let Some(before) = lines.insert(reference.to_string(), line) {
                return error("path", format!("{reference} is labelled in line {before}, too"));
            }
            labels.rows.push(LabelRow {
                image: reference,
                label: field(label).to_owned(),
                group: group.map(field).filter(|group| !group.is_empty()).map(str::to_owned),
                line,
            });
        }
        if labels.rows.is_empty() {
            return Err(Error::format(path, "no labels below the header"));
        }
        if !bytes.ends_with(b"\n") {
            let note = "the file ends within a line; its last value may be cut short";
            labels.notes.push(note.to_owned());
        }
        Ok(labels)
    }

    /// Finds the files of all images: absolute paths as they are; others relative to the project directory if one is
    /// given, to the directory of this file, or to a directory above it.
    ///
    /// # Errors
    /// An image is not there: the message says where it was looked for, and how many others are missing.
    pub fn find_images(&self, project: Option<&Path>) -> Result<Images> {
        images::find(&self.path, self.rows.iter().map(|row| Some(&row.image)), project)
    }
}

/// What is to be read of a file.
fn contents<'a>(bytes: &'a [u8], path: &Path) -> Result<&'a [u8]> {
    if bytes.iter().filter(|&&byte| byte == b'"').count() % 2 == 1 {
        // The reader would take the end of the file for the end of the quote.
        return Err(Error::format(path, "an odd number of quotes (\"): one has no end"));
    }
    // Excel and others begin with a byte order mark, which is no part of the first name.
    Ok(&bytes[text_start(bytes)..])
}

fn reader(bytes: &[u8]) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(bytes)
}

/// Indices of `path`, `label` and `group`.
fn columns(header: &csv::StringRecord, path: &Path) -> Result<[Option<usize>; 3]> {
    let mut indices = [None; 3];
    for (index, name) in ["path", "label", "group"].into_iter().enumerate() {
        let mut found = header.iter().enumerate().filter(|(_, other)| *other == name);
        indices[index] = found.next().map(|(column, _)| column);
        if found.next().is_some() {
            return Err(Error::format(path, format!("line 1: two columns are named {name}")));
        }
    }
    Ok(indices)
}

fn missing_columns(header: &csv::StringRecord, path: &Path) -> Error {
    let names = header.iter().collect::<Vec<_>>().join(", ");
    let found = shown(names.as_bytes());
    let mut message = format!("line 1: expected the columns path and label, got {found}");
    if header.len() == 1 && names.contains([';', '\t']) {
        message += "; columns are separated by commas";
    }
    Error::format(path, message)
}

/// The byte where a record begins. The reader's own position is where the record before ended, and its lines are
/// fewer where these end in a carriage return and a line feed.
fn start_of(position: &csv::Position, bytes: &[u8]) -> usize {
    let end = usize::try_from(position.byte()).unwrap_or(usize::MAX).min(bytes.len());
    let breaks = bytes[end..].iter().take_while(|&&byte| byte == b'\r' || byte == b'\n');
    end + breaks.count()
}

/// The reader's error, as one of ours.
fn in_file(path: &Path, bytes: &[u8], error: &csv::Error) -> Error {
    let line = error.position().map(|position| {
        let line = line_number(bytes, start_of(position, bytes));
        format!("line {line}: ")
    });
    let line = line.unwrap_or_default();
    match error.kind() {
        csv::ErrorKind::Io(error) => Error::io(path, error),
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            Error::format(path, format!("{line}{len} values, but the header has {expected_len}"))
        }
        csv::ErrorKind::Utf8 { err, .. } => {
            let column = err.field() + 1;
            Error::format(path, format!("{line}column {column}: not UTF-8"))
        }
        _ => Error::format(path, format!("{line}{error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: impl AsRef<[u8]>) -> Result<Labels> {
        Labels::parse(text.as_ref(), Path::new("labels.csv"))
    }

    #[test]
    fn labels_are_read() {
        let text = "\u{feff}label,score, path ,group\r\nribosome,0.5,\"a, b.mrc\",t1\r\n\r\n\
                    proteasome,,3@stack.mrcs,\r\n";
        let labels = parse(text).unwrap();
        let row = |path: &str, index, label: &str, group: Option<&str>, line| LabelRow {
            image: ImageReference { path: path.into(), index },
            label: label.to_owned(),
            group: group.map(str::to_owned),
            line,
        };
        assert_eq!(
            labels.rows,
            [
                row("a, b.mrc", None, "ribosome", Some("t1"), 2),
                row("stack.mrcs", Some(3), "proteasome", None, 4)
            ]
        );
        assert!(labels.has_groups && labels.notes.is_empty());
        let bare = parse("path,label\na,x").unwrap();
        assert!(!bare.has_groups);
        assert_eq!(bare.notes, ["the file ends within a line; its last value may be cut short"]);
    }

    #[test]
    fn what_is_wrong_is_named_with_line_and_column() {
        let cases: [(&[u8], &str); 14] = [
            (b"", "line 1: expected the columns path and label, got \"\""),
            (b"path,name\na,b\n", "expected the columns path and label, got \"path, name\""),
            (b"path;label\na;b\n", "got \"path;label\"; columns are separated by commas"),
            (b"path,label,path\n", "line 1: two columns are named path"),
            (b"path,label\n", "no labels below the header"),
            (b"path,label\na\n", "line 2: 1 values, but the header has 2"),
            (b"path,label\na,b\nc,d,e\n", "line 3: 3 values, but the header has 2"),
            (b"path,label\n,b\n", "line 2, path: \"\" names no image"),
            (b"path,label\n0@a,b\n", "line 2, path: \"0@a\" names no image"),
            (b"path,label\na, \n", "line 2, label: empty"),
            (b"path,label\na,x\nb,y\na,x\n", "line 4, path: a is labelled in line 2, too"),
            (b"path,label\na,\"x\nb,y\n", "an odd number of quotes"),
            (b"path,label\r\n\r\na,\xff\r\n", "line 3: column 2: not UTF-8"),
            (b"path,label\r\n\r\na,b\r\n\r\nc,d,e\r\n", "line 5: 3 values, but"),
        ];
        for (text, expected) in cases {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.starts_with("labels.csv: "), "{message}");
            assert!(message.contains(expected), "{}: {message}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn a_line_of_ten_megabytes_is_a_line() {
        let long = "x".repeat(10 << 20);
        assert_eq!(*parse(format!("path,label\n{long},a\n")).unwrap().rows[0].image.path, *long);
        let error = parse(format!("0@{long},label\na,b\n")).unwrap_err().to_string();
        assert!(error.contains("expected the columns path and label") && error.len() < 300);
        let error = parse(format!("path,label\n0@{long},b\n")).unwrap_err().to_string();
        assert!(error.contains("names no image") && error.len() < 300);
        let commas = ",".repeat(10 << 20);
        let message = parse(format!("path,label\na,b\n{commas}\n")).unwrap_err().to_string();
        assert!(message.contains("line 3: 10485761 values, but the header has 2"), "{message}");
    }

    #[test]
    fn every_part_of_a_good_file_is_an_error_or_says_so() {
        let whole = b"path,label,group\n\"a,1\",\"x \"\"y\"\"\",t\nb,z,\n";
        for end in 0..whole.len() {
            if let Ok(part) = parse(&whole[..end]) {
                assert_eq!(part.notes.is_empty(), whole[end - 1] == b'\n', "{end} bytes");
            }
        }
        assert_eq!(parse(whole).unwrap().rows[0].label, "x \"y\"");
    }
}
