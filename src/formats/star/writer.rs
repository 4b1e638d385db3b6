//! Writing new STAR files, row by row.

use std::path::Path;

use super::{invalid, quoted};
use crate::{error::Result, whole::Replacement};

/// Writes a STAR file of loops row by row, so that there may be more of it than memory holds. Nothing is at the path
/// before `finish`, or what was there; dropped before, the writer leaves nothing behind.
///
/// ```
/// use cinetomo_formats::star::{Star, StarWriter};
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("picks.star");
/// let mut writer = StarWriter::create(&path)?;
/// writer.table("particles", &["rlnMicrographName", "rlnCoordinateX"])?;
/// writer.push(&["my tomogram.mrc", "12.5"])?;
/// writer.finish()?;
///
/// let star = Star::read(&path)?;
/// let table = star.table("particles")?.ok_or("no table")?;
/// assert_eq!(table.row(0).get(0).text()?, "my tomogram.mrc");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct StarWriter {
    file: Replacement,
    n_columns: usize,
}

impl StarWriter {
    /// Starts a file.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn create(path: &Path) -> Result<StarWriter> {
        Ok(StarWriter { file: Replacement::create(path)?, n_columns: 0 })
    }

    /// Starts a loop in a block of this name (without `data_`), with these labels (without the underscore).
    ///
    /// # Errors
    /// There is no label, one is no word or there twice, or the file cannot be written.
    pub fn table(&mut self, name: &str, labels: &[impl AsRef<str>]) -> Result<()> {
        let is_word = |word: &str| {
            !word.is_empty()
                && !word.starts_with('_')
                && !word.contains(|c: char| c.is_whitespace() || c.is_control() || c == '#')
        };
        let mut text = format!("\ndata_{name}\n\nloop_\n");
        for (index, label) in labels.iter().enumerate() {
            let label = label.as_ref();
            let is_new = labels[..index].iter().all(|other| other.as_ref() != label);
            if !is_word(name) || !is_word(label) || !is_new {
                let message =
                    format!("data_{name}, {label:?}: expected words, without _, each once");
                return Err(invalid(self.file.path(), message));
            }
            text += &format!("_{label} #{}\n", index + 1);
        }
        if labels.is_empty() {
            return Err(invalid(self.file.path(), format!("data_{name} needs labels")));
        }
        self.n_columns = labels.len();
        self.file.append(text.as_bytes())
    }

    /// Appends a row to the loop that was started last. Values are put in quotes where they need them.
    ///
    /// # Errors
    /// It has another number of values than there are labels, a value cannot be written (it has line breaks, or quotes
    /// of both kinds), or the file cannot.
    pub fn push(&mut self, values: &[impl AsRef<str>]) -> Result<()> {
        if values.len() != self.n_columns || values.is_empty() {
            let message = format!("{} values for {} labels", values.len(), self.n_columns);
            return Err(invalid(self.file.path(), message));
        }
        let mut line = String::new();
        for value in values {
            let value = value.as_ref();
            let Some(written) = quoted(value) else {
                let message = format!("{value:?} cannot be written into a STAR file");
                return Err(invalid(self.file.path(), message));
            };
            if !line.is_empty() {
                line.push('\t');
            }
            line += &written;
        }
        line.push('\n');
        self.file.append(line.as_bytes())
    }

    /// Completes the file and puts it in its place.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn finish(mut self) -> Result<()> {
        // RELION ends its loops with an empty line.
        self.file.append(b"\n")?;
        self.file.commit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::star::Star;

    #[test]
    fn odd_values_are_read_back_and_impossible_ones_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("list.star");
        let mut writer = StarWriter::create(&path).unwrap();
        assert!(writer.push(&["a"]).is_err(), "no table yet");
        assert!(writer.table("optics", &["a", "a"]).is_err());
        assert!(writer.table("optics", &["_a"]).is_err());
        assert!(writer.table("optics", &[] as &[&str]).is_err());
        writer.table("optics", &["rlnOpticsGroup"]).unwrap();
        writer.push(&["1"]).unwrap();
        let odd = ["", "a b", "#1", "_x", "data_", "it's", ";"];
        writer.table("particles", &["one", "two"]).unwrap();
        for value in odd {
            writer.push(&[value, "2"]).unwrap();
        }
        assert!(writer.push(&["a\nb", "2"]).is_err());
        assert!(writer.push(&["1"]).is_err());
        assert!(!path.exists());
        writer.finish().unwrap();
        let star = Star::read(&path).unwrap();
        assert_eq!(star.notes(), &[] as &[String]);
        assert_eq!(star.table("optics").unwrap().unwrap().n_rows(), 1);
        let table = star.table("particles").unwrap().unwrap();
        let read: Vec<&str> = table.rows().map(|row| row.get(0).text().unwrap()).collect();
        assert_eq!(read, odd);
    }
}
