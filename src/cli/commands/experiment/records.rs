//! The records of an experiment: a CSV file that grows by a row with every run, and survives being killed at any
//! moment.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use clap::ValueEnum;

use super::Start;
use crate::failure::{Failure, Result};

const HEADER: [&str; 14] = [
    "dataset",
    "fraction",
    "start",
    "seed",
    "n_train",
    "n_test",
    "n_classes",
    "accuracy",
    "macro_auc",
    "balanced_accuracy",
    "best_threshold_accuracy",
    "train_s",
    "test_s",
    "note",
];

/// What one run came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Name of the data.
    pub dataset: String,
    /// Fraction of the training part whose labels were used.
    pub fraction: f64,
    /// What the network started from.
    pub start: Start,
    /// Seed of division and training.
    pub seed: u64,
    /// Boxes that were trained on.
    pub n_train: usize,
    /// Boxes that were measured on.
    pub n_test: usize,
    /// Number of classes.
    pub n_classes: usize,
    /// Accuracy, macro AUC, balanced accuracy and, for two classes, the accuracy at the best threshold of the test
    /// boxes, as the paper has it; NaN where there is none.
    pub scores: [f64; 4],
    /// Time to train and to classify, in seconds.
    pub seconds: [f64; 2],
    /// Why there are no scores; empty if there are.
    pub note: String,
}

impl Record {
    /// Whether it is of this run.
    pub fn is_of(&self, dataset: &str, fraction: f64, start: Start, seed: u64) -> bool {
        self.dataset == dataset
            && self.fraction == fraction
            && self.start == start
            && self.seed == seed
    }

    fn fields(&self) -> Vec<String> {
        let number = |value: &f64| if value.is_nan() { String::new() } else { value.to_string() };
        let mut fields = vec![
            self.dataset.clone(),
            self.fraction.to_string(),
            self.start.to_string(),
            self.seed.to_string(),
            self.n_train.to_string(),
            self.n_test.to_string(),
            self.n_classes.to_string(),
        ];
        fields.extend(self.scores.iter().map(number));
        fields.extend(self.seconds.iter().map(|seconds| format!("{seconds:.2}")));
        fields.push(self.note.clone());
        fields
    }

    fn parse(fields: &csv::StringRecord) -> Option<Record> {
        let field = |index: usize| fields.get(index).unwrap_or("");
        let number = |index: usize| match field(index) {
            "" => Some(f64::NAN),
            text => text.parse().ok(),
        };
        Some(Record {
            dataset: field(0).to_owned(),
            fraction: field(1).parse().ok()?,
            start: Start::from_str(field(2), false).ok()?,
            seed: field(3).parse().ok()?,
            n_train: field(4).parse().ok()?,
            n_test: field(5).parse().ok()?,
            n_classes: field(6).parse().ok()?,
            scores: [number(7)?, number(8)?, number(9)?, number(10)?],
            seconds: [number(11)?, number(12)?],
            note: field(13).to_owned(),
        })
    }
}

/// The file of records.
#[derive(Debug)]
pub struct Records {
    path: PathBuf,
    file: File,
    /// Those that it has.
    pub list: Vec<Record>,
}

impl Records {
    /// Opens the file, or starts it. A last line that was cut off is taken out.
    ///
    /// # Errors
    /// It cannot be read or written, or is no file of records.
    pub fn open(path: &Path) -> Result<Records> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Failure::at(path, error)),
        };
        let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
        let list = read(path, whole)?;
        if whole.is_empty() {
            cinetomo_formats::write(path, line(&HEADER.map(str::to_owned)).as_bytes())?;
        } else if whole.len() < text.len() {
            cinetomo_formats::write(path, whole.as_bytes())?;
        }
        let file =
            OpenOptions::new().append(true).open(path).map_err(|error| Failure::at(path, error))?;
        Ok(Records { path: path.to_owned(), file, list })
    }

    /// Adds a record; it is on disk when this returns.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn add(&mut self, record: Record) -> Result<()> {
        let line = line(&record.fields());
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|error| Failure::at(&self.path, error))?;
        self.list.push(record);
        Ok(())
    }
}

fn line(fields: &[String]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    // Into memory, one record: neither can fail.
    _ = writer.write_record(fields);
    String::from_utf8_lossy(&writer.into_inner().unwrap_or_default()).into_owned()
}

fn read(path: &Path, text: &str) -> Result<Vec<Record>> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| Failure::at(path, error))?;
    if !text.is_empty() && header != HEADER.as_slice() {
        let expected = HEADER.join(",");
        return Err(Failure::at(path, format!("line 1: expected a file of records, {expected}")));
    }
    let mut list = Vec::new();
    for (index, fields) in reader.records().enumerate() {
        let fields = fields.map_err(|error| Failure::at(path, error))?;
        let record = Record::parse(&fields).ok_or_else(|| {
            Failure::at(path, format!("record {} is damaged; take its line out", index + 1))
        })?;
        list.push(record);
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(seed: u64) -> Record {
        Record {
            dataset: "a, b".to_owned(),
            fraction: 0.05,
            start: Start::Video,
            seed,
            n_train: 7,
            n_test: 14,
            n_classes: 7,
            scores: [0.5, 0.875, 0.5, f64::NAN],
            seconds: [1.25, 0.5],
            note: String::new(),
        }
    }

    #[test]
    fn records_survive_a_kill_in_the_middle_of_a_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("records.csv");
        let mut records = Records::open(&path).unwrap();
        records.add(record(1)).unwrap();
        records.add(record(2)).unwrap();
        drop(records);
        let whole = fs::read_to_string(&path).unwrap();
        let first_two = whole.match_indices('\n').nth(1).unwrap().0 + 1;
        for end in 0..whole.len() {
            fs::write(&path, &whole[..end]).unwrap();
            let mut records = Records::open(&path).unwrap();
            let expected = usize::from(end >= first_two);
            assert_eq!(records.list.len(), expected, "{end} bytes");
            records.add(record(3)).unwrap();
            drop(records);
            let read = Records::open(&path).unwrap().list;
            assert_eq!(read.len(), expected + 1);
            assert!(read[expected].is_of("a, b", 0.05, Start::Video, 3));
            assert!(read[expected].scores[3].is_nan() && read[expected].scores[1] == 0.875);
        }
        fs::write(&path, "path,label\na,b\n").unwrap();
        assert!(
            Records::open(&path).unwrap_err().to_string().contains("expected a file of records")
        );
        fs::write(&path, whole.replace("video", "audio")).unwrap();
        assert!(Records::open(&path).unwrap_err().to_string().contains("record 1 is damaged"));
    }
}
