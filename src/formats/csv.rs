//! CSV files: which class an image is of, and what classification found. Commas, a header, quotes as in RFC 4180.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use ndarray::ArrayView2;

use crate::{
    cells::line_number,
    error::{Error, ErrorKind, Result},
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
        if bytes.iter().filter(|&&byte| byte == b'"').count() % 2 == 1 {
            // The reader would take the end of the file for the end of the quote.
            return Err(Error::format(path, "an odd number of quotes (\"): one has no end"));
        }
        // Excel and others begin with a byte order mark, which is no part of the first name.
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(bytes);
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
            let Some(reference) = ImageReference::parse(field(image)) else {
                return error("path", format!("{:?} names no image", field(image)));
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
    let mut message = format!("line 1: expected the columns path and label, got {names:?}");
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

/// What classification found, as a table with the columns `path`, `label` (the class of the highest probability),
/// `probability` (of that class) and `probability_<class>` for each. It can be read back as [`Labels`].
///
/// `probabilities` is `[n, n_classes]`; `images` and `groups` (a column `group`, if there is one) have length n.
///
/// # Errors
/// Lengths differ, a probability is not a number, or the file cannot be written; `path` is replaced as a whole or not
/// at all.
pub fn write_results(
    path: &Path,
    images: &[String],
    groups: Option<&[String]>,
    class_names: &[String],
    probabilities: ArrayView2<'_, f32>,
) -> Result<()> {
    let invalid = |message: String| Err(Error::new(ErrorKind::Invalid, path, message));
    let (n, n_classes) = probabilities.dim();
    if n_classes == 0 || class_names.len() != n_classes {
        return invalid(format!(
            "{n_classes} probabilities a row, but {} classes",
            class_names.len()
        ));
    }
    if images.len() != n || groups.is_some_and(|groups| groups.len() != n) {
        let n_groups = groups.map_or(String::new(), |groups| format!(", {} groups", groups.len()));
        return invalid(format!(
            "{n} rows of probabilities, but {} images{n_groups}",
            images.len()
        ));
    }
    whole::replace(path, |out| {
        let io = |error: csv::Error| in_file(path, &[], &error);
        let mut writer = csv::Writer::from_writer(out);
        let mut header = vec!["path".to_owned(), "label".to_owned(), "probability".to_owned()];
        header.extend(groups.map(|_| "group".to_owned()));
        header.extend(class_names.iter().map(|name| format!("probability_{name}")));
        writer.write_record(&header).map_err(io)?;
        for (row, probabilities) in probabilities.outer_iter().enumerate() {
            if let Some(odd) = probabilities.iter().find(|probability| !probability.is_finite()) {
                return invalid(format!("{}: a probability is {odd}", images[row]));
            }
            // The first of equals, as argmax has it everywhere.
            let best =
                (0..n_classes).rev().max_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b]));
            let best = best.unwrap_or(0);
            let mut record = vec![
                images[row].clone(),
                class_names[best].clone(),
                probabilities[best].to_string(),
            ];
            record.extend(groups.map(|groups| groups[row].clone()));
            record.extend(probabilities.iter().map(f32::to_string));
            writer.write_record(&record).map_err(io)?;
        }
        writer.flush().map_err(|error| Error::io(path, &error))
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use ndarray::array;

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
            image: ImageReference { path: path.to_owned(), index },
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
    fn every_part_of_a_good_file_is_an_error_or_says_so() {
        let whole = b"path,label,group\n\"a,1\",\"x \"\"y\"\"\",t\nb,z,\n";
        for end in 0..whole.len() {
            if let Ok(part) = parse(&whole[..end]) {
                assert_eq!(part.notes.is_empty(), whole[end - 1] == b'\n', "{end} bytes");
            }
        }
        assert_eq!(parse(whole).unwrap().rows[0].label, "x \"y\"");
    }

    #[test]
    fn results_are_written_and_are_labels() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("results.csv");
        let text = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let images = text(&["a.mrc", "000002@b, c.mrcs", "d.mrc"]);
        let (groups, names) = (text(&["t1", "t1", "t\"2"]), text(&["70S", "20S, core"]));
        let probabilities = array![[0.25f32, 0.75], [0.5, 0.5], [1.0, 1e-10]];
        write_results(&path, &images, Some(&groups), &names, probabilities.view()).unwrap();
        let expected = "path,label,probability,group,probability_70S,\"probability_20S, core\"\n\
                        a.mrc,\"20S, core\",0.75,t1,0.25,0.75\n\
                        \"000002@b, c.mrcs\",70S,0.5,t1,0.5,0.5\n\
                        d.mrc,70S,1,\"t\"\"2\",1,0.0000000001\n";
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);
        let labels = Labels::read(&path).unwrap();
        let message = labels.find_images(None).unwrap_err().to_string();
        assert!(message.contains("; 3 of 3 images are missing"), "{message}");
        for name in ["a.mrc", "b, c.mrcs", "d.mrc"] {
            fs::write(directory.path().join(name), "").unwrap();
        }
        let files = labels.find_images(None).unwrap().paths;
        assert_eq!(*files[1], directory.path().join("b, c.mrcs"));
        let read: Vec<_> =
            labels.rows.iter().map(|row| (row.image.to_string(), row.label.as_str())).collect();
        let again: Vec<_> = images.iter().cloned().zip(["20S, core", "70S", "70S"]).collect();
        assert_eq!(read, again);

        let refused = |images: &[String], groups: Option<&[String]>, names: &[String]| {
            let error = write_results(&path, images, groups, names, probabilities.view());
            error.unwrap_err().to_string()
        };
        assert!(
            refused(&images[1..], None, &names).ends_with("3 rows of probabilities, but 2 images")
        );
        assert!(refused(&images, Some(&groups[1..]), &names).ends_with("3 images, 2 groups"));
        assert!(
            refused(&images, None, &names[1..]).ends_with("2 probabilities a row, but 1 classes")
        );
        let odd = array![[f32::NAN, 0.5]];
        let error = write_results(&path, &images[..1], None, &names, odd.view()).unwrap_err();
        assert!(error.to_string().ends_with("a.mrc: a probability is NaN"));
        assert_eq!(fs::read_to_string(&path).unwrap(), expected, "a failure leaves the old file");
    }
}
