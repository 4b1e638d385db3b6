//! What classification found, as a table: a row for each image, a column for each class.

use std::path::{Path, PathBuf};

use ndarray::Array2;

use super::{contents, in_file, reader, start_of};
use crate::{
    cells::{line_number, shown},
    error::{Error, ErrorKind, Result},
    particle_list::ImageReference,
    whole::{self, Replacement},
};

/// What columns of probabilities are named, before the name of their class.
const PROBABILITY: &str = "probability_";

/// Index of the highest probability, of the first of equals; 0 if there are none.
pub fn most_probable(probabilities: &[f32]) -> usize {
    (0..probabilities.len())
        .rev()
        .max_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b]))
        .unwrap_or(0)
}

/// What was found for one image.
#[derive(Clone, Copy, Debug)]
pub struct ResultRow<'a> {
    /// Its name: a path, maybe with a number and `@` before it.
    pub image: &'a str,
    /// What training and validation must not share, such as its tomogram.
    pub group: Option<&'a str>,
    /// Index of its class; `None` = it was given none, and its label stays empty.
    pub class: Option<usize>,
    /// One for each class.
    pub probabilities: &'a [f32],
}

/// Writes a table row by row, so that there may be more of it than memory holds. Nothing is at the path before
/// `finish`, or what was there.
#[derive(Debug)]
pub struct TableWriter {
    file: Replacement,
    n_columns: usize,
}

impl TableWriter {
    /// Starts a file with these names of columns.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn create(path: &Path, header: &[impl AsRef<[u8]>]) -> Result<TableWriter> {
        let mut writer = TableWriter { file: Replacement::create(path)?, n_columns: header.len() };
        writer.push(header)?;
        Ok(writer)
    }

    /// Appends a row.
    ///
    /// # Errors
    /// It has another number of values than the header, or the file cannot be written.
    pub fn push(&mut self, values: &[impl AsRef<[u8]>]) -> Result<()> {
        if values.len() != self.n_columns {
            let message = format!("{} values, but the header has {}", values.len(), self.n_columns);
            return Err(Error::new(ErrorKind::Invalid, self.file.path(), message));
        }
        let path = self.file.path();
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(values).map_err(|error| in_file(path, &[], &error))?;
        let bytes = writer.into_inner().map_err(|error| Error::io(path, error.error()))?;
        self.file.append(&bytes)
    }

    /// Completes the file and puts it in its place.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn finish(self) -> Result<()> {
        self.file.commit()
    }
}

/// Writes results row by row. The columns are `path`, `label`, `probability` (the highest), maybe `group`, and
/// `probability_<class>` for each class. Where all rows have a label, the file can be read back as
/// [`Labels`](super::Labels). Nothing is at the path before `finish`, or what was there.
#[derive(Debug)]
pub struct ResultsWriter {
    table: TableWriter,
    class_names: Vec<String>,
    has_groups: bool,
}

impl ResultsWriter {
    /// Starts a file for these classes, with or without a column of groups.
    ///
    /// # Errors
    /// There is no class, or the file cannot be written.
    pub fn create(path: &Path, class_names: &[String], has_groups: bool) -> Result<ResultsWriter> {
        if class_names.is_empty() {
            return Err(Error::new(ErrorKind::Invalid, path, "results need at least one class"));
        }
        let mut header = vec!["path".to_owned(), "label".to_owned(), "probability".to_owned()];
        header.extend(has_groups.then(|| "group".to_owned()));
        header.extend(class_names.iter().map(|name| format!("{PROBABILITY}{name}")));
        let table = TableWriter::create(path, &header)?;
        Ok(ResultsWriter { table, class_names: class_names.to_vec(), has_groups })
    }

    /// Appends a row.
    ///
    /// # Errors
    /// It has another number of probabilities than there are classes, one that is not a number, a class that is none,
    /// or no group where there is a column of groups.
    pub fn push(&mut self, row: ResultRow<'_>) -> Result<()> {
        let ResultRow { image, group, class, probabilities } = row;
        let invalid = |message: String| {
            let path = self.table.file.path();
            Err(Error::new(ErrorKind::Invalid, path, format!("{image}: {message}")))
        };
        let n_classes = self.class_names.len();
        if probabilities.len() != n_classes {
            return invalid(format!(
                "{} probabilities for {n_classes} classes",
                probabilities.len()
            ));
        }
        if let Some(odd) = probabilities.iter().find(|probability| !probability.is_finite()) {
            return invalid(format!("a probability is {odd}"));
        }
        if group.is_some() != self.has_groups {
            return invalid("the rows of a file have all a group, or none has one".to_owned());
        }
        let label = match class.map(|class| self.class_names.get(class)) {
            Some(None) => return invalid(format!("class {class:?} of {n_classes}")),
            Some(Some(name)) => name.clone(),
            None => String::new(),
        };
        let highest = probabilities[most_probable(probabilities)];
        let mut record = vec![image.to_owned(), label, highest.to_string()];
        record.extend(group.map(str::to_owned));
        record.extend(probabilities.iter().map(f32::to_string));
        self.table.push(&record)
    }

    /// Completes the file and puts it in its place.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn finish(self) -> Result<()> {
        self.table.finish()
    }
}

/// A table of results.
#[derive(Clone, Debug, PartialEq)]
pub struct Results {
    /// The file.
    pub path: PathBuf,
    /// Names of the classes, in the order of their columns.
    pub class_names: Vec<String>,
    /// The images, in the order of the file.
    pub images: Vec<ImageReference>,
    /// Index of the class of each, by the column `label`; `None` where that is empty.
    pub classes: Vec<Option<usize>>,
    /// `[n, n_classes]`.
    pub probabilities: Array2<f32>,
}

impl Results {
    /// Reads a file with the columns `path` and `probability_<class>`, and maybe `label`, as [`ResultsWriter`] writes
    /// it; others are left alone.
    ///
    /// # Errors
    /// The first thing that is wrong with it, with line and column.
    pub fn read(path: &Path) -> Result<Results> {
        Results::parse(&whole::read(path)?, path)
    }

    /// Understands the bytes of a file; `path` names it in messages.
    ///
    /// # Errors
    /// The first thing that is wrong with it, with line and column.
    pub fn parse(bytes: &[u8], path: &Path) -> Result<Results> {
        let bytes = contents(bytes, path)?;
        let mut reader = reader(bytes);
        let header = reader.headers().map_err(|error| in_file(path, bytes, &error))?.clone();
        let named = |name: &str| header.iter().position(|other| other == name);
        let (columns, class_names): (Vec<usize>, Vec<String>) = header
            .iter()
            .enumerate()
            .filter_map(|(column, name)| Some((column, name.strip_prefix(PROBABILITY)?.to_owned())))
            .unzip();
        let Some(image) = named("path").filter(|_| !columns.is_empty()) else {
            let names = header.iter().collect::<Vec<_>>().join(", ");
            let message = format!(
                "line 1: expected the columns path and {PROBABILITY}<class> for each class, got {}",
                shown(names.as_bytes())
            );
            return Err(Error::format(path, message));
        };
        let label = named("label");
        let (mut images, mut classes, mut probabilities) = (Vec::new(), Vec::new(), Vec::new());
        for record in reader.records() {
            let record = record.map_err(|error| in_file(path, bytes, &error))?;
            let error = |column: &str, message: String| {
                let start = record.position().map_or(0, |position| start_of(position, bytes));
                let line = line_number(bytes, start);
                Err(Error::format(path, format!("line {line}, {column}: {message}")))
            };
            // Records have as many fields as the header.
            let field = |column: usize| record.get(column).unwrap_or("");
            let Some(reference) = ImageReference::parse_after(field(image), images.last()) else {
                return error("path", format!("{} names no image", shown(field(image).as_bytes())));
            };
            images.push(reference);
            let text = label.map_or("", field);
            let class = class_names.iter().position(|name| name == text);
            if class.is_none() && !text.is_empty() {
                let label = shown(text.as_bytes());
                return error("label", format!("{label} has no column {PROBABILITY}<label>"));
            }
            classes.push(class);
            for &column in &columns {
                match field(column).parse::<f32>() {
                    Ok(number) if number.is_finite() => probabilities.push(number),
                    _ => {
                        let name = &header[column];
                        let value = shown(field(column).as_bytes());
                        return error(name, format!("{value} is not a number"));
                    }
                }
            }
        }
        let shape = (images.len(), class_names.len());
        let probabilities = Array2::from_shape_vec(shape, probabilities)
            .map_err(|error| Error::format(path, error.to_string()))?;
        if images.is_empty() {
            return Err(Error::format(path, "no results below the header"));
        }
        Ok(Results { path: path.to_owned(), class_names, images, classes, probabilities })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use ndarray::array;

    use super::*;
    use crate::csv::Labels;

    const NAMES: [&str; 2] = ["70S", "20S, core"];

    fn names() -> Vec<String> {
        NAMES.map(str::to_owned).to_vec()
    }

    fn row<'a>(
        image: &'a str,
        group: Option<&'a str>,
        class: Option<usize>,
        probabilities: &'a [f32],
    ) -> ResultRow<'a> {
        ResultRow { image, group, class, probabilities }
    }

    #[test]
    fn results_are_written_and_read_back_as_labels_and_as_results() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("results.csv");
        let mut writer = ResultsWriter::create(&path, &names(), true).unwrap();
        writer.push(row("a.mrc", Some("t1"), Some(1), &[0.25, 0.75])).unwrap();
        writer.push(row("000002@b, c.mrcs", Some("t1"), Some(0), &[0.5, 0.5])).unwrap();
        writer.push(row("d.mrc", Some("t\"2"), Some(0), &[1.0, 1e-10])).unwrap();
        assert!(!path.exists());
        writer.finish().unwrap();
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
        let results = Results::read(&path).unwrap();
        assert_eq!(results.class_names, NAMES);
        assert_eq!(results.classes, [Some(1), Some(0), Some(0)]);
        assert_eq!(results.probabilities, array![[0.25, 0.75], [0.5, 0.5], [1.0, 1e-10]]);
        for ((row, image), class) in labels.rows.iter().zip(&results.images).zip(&results.classes) {
            assert_eq!(row.image, *image);
            assert_eq!(row.label, NAMES[class.unwrap()]);
        }
    }

    #[test]
    fn rows_without_a_class_have_no_label() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("results.csv");
        let mut writer = ResultsWriter::create(&path, &names(), false).unwrap();
        writer.push(row("a", None, None, &[0.4, 0.6])).unwrap();
        writer.finish().unwrap();
        assert_eq!(Results::read(&path).unwrap().classes, [None]);
        assert!(Labels::read(&path).unwrap_err().to_string().contains("line 2, label: empty"));
    }

    #[test]
    fn what_does_not_fit_is_refused_and_leaves_the_old_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("results.csv");
        fs::write(&path, "old").unwrap();
        let refused = |has_groups: bool, row: ResultRow<'_>| {
            let mut writer = ResultsWriter::create(&path, &names(), has_groups).unwrap();
            writer.push(row).unwrap_err().to_string()
        };
        for (has_groups, row, expected) in [
            (false, row("a", None, Some(0), &[1.0]), "a: 1 probabilities for 2 classes"),
            (false, row("a", None, Some(0), &[f32::NAN, 0.5]), "a: a probability is NaN"),
            (false, row("a", None, Some(2), &[0.5, 0.5]), "a: class Some(2) of 2"),
            (true, row("a", None, Some(0), &[0.5, 0.5]), "have all a group"),
            (false, row("a", Some("t"), Some(0), &[0.5, 0.5]), "have all a group"),
        ] {
            let message = refused(has_groups, row);
            assert!(message.contains(expected), "{message}");
        }
        assert!(ResultsWriter::create(&path, &[], false).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_wrong_is_named_with_line_and_column() {
        for (text, expected) in [
            ("path,label\na,x\n", "got \"path, label\""),
            ("path,probability_x\n", "no results below the header"),
            ("path,probability_x\na,b\n", "line 2, probability_x: \"b\" is not a number"),
            ("path,probability_x\na,1\nb,inf\n", "line 3, probability_x: \"inf\" is not"),
            ("path,label,probability_x\na,y,1\n", "line 2, label: \"y\" has no column"),
            ("path,probability_x\na,NaN\n", "line 2, probability_x: \"NaN\" is not a number"),
            ("path,probability_x\n,1\n", "line 2, path: \"\" names no image"),
        ] {
            let message =
                Results::parse(text.as_bytes(), Path::new("r.csv")).unwrap_err().to_string();
            assert!(message.starts_with("r.csv: ") && message.contains(expected), "{message}");
        }
    }

    #[test]
    fn every_part_of_a_good_file_is_an_error_or_fewer_rows() {
        let whole = "path,label,probability_x\na,x,0.75\nb,,0.25\n";
        for end in 0..whole.len() {
            if let Ok(part) = Results::parse(&whole.as_bytes()[..end], Path::new("r.csv")) {
                let n_rows = whole[..end].lines().count() - 1;
                assert_eq!(part.images.len(), n_rows, "{end} bytes");
            }
        }
        let marked = format!("\u{feff}{}", whole.replace('\n', "\r\n"));
        let marked = Results::parse(marked.as_bytes(), Path::new("r.csv")).unwrap();
        assert_eq!(marked.classes, [Some(0), None]);
        assert_eq!(marked.probabilities, array![[0.75], [0.25]]);
    }

    #[test]
    fn a_line_of_ten_megabytes_is_a_line() {
        let parse = |text: &str| Results::parse(text.as_bytes(), Path::new("r.csv"));
        let long = "x".repeat(10 << 20);
        let read = parse(&format!("path,probability_x\n{long},1\n")).unwrap();
        assert_eq!(*read.images[0].path, *long);
        let digits = "1".repeat(10 << 20);
        let error = parse(&format!("path,probability_x\na,{digits}\n")).unwrap_err().to_string();
        assert!(error.starts_with("r.csv: line 2, probability_x: ") && error.len() < 300);
        let commas = ",".repeat(10 << 20);
        let error = parse(&format!("path,probability_x\na,1\n{commas}\n")).unwrap_err().to_string();
        assert!(error.contains("line 3: 10485761 values, but the header has 2"), "{error}");
    }

    #[test]
    fn of_equal_probabilities_the_first_counts() {
        assert_eq!(most_probable(&[0.2, 0.4, 0.4]), 1);
        assert_eq!(most_probable(&[]), 0);
    }
}
