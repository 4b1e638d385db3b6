//! What a classification found, into files: tables, arrays, and the particle list that it was asked of.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use cinetomo_formats::{
    csv::{ResultRow, ResultsWriter},
    npy,
    particle_list::{Changes, ParticleFile},
};
use cinetomo_host::Model;
use clap::Args;

use crate::{
    boxes::{Boxes, List},
    chunks::{Which, for_chunks},
    failure::{Failure, Result},
    outputs,
    session::Session,
    table::table,
    training::{Reject, reject_bits},
};

/// What boxes get a class, and what particles are written into lists.
#[derive(Args, Clone, Debug, Default)]
pub struct Selection {
    /// Give no class where one of these rules says so; the model must have been calibrated with it
    #[arg(long, value_enum, value_delimiter = ',')]
    reject: Vec<Reject>,
    /// Write only particles of these classes into lists
    #[arg(long, value_name = "CLASS", num_args = 1..)]
    keep: Vec<String>,
    /// Write only particles whose class is at least this probable into lists
    #[arg(long, value_name = "P", default_value_t = 0.0)]
    min_probability: f32,
}

impl Selection {
    /// Fails if a class is none of the model's.
    pub fn check(&self, class_names: &[String]) -> Result<()> {
        match self.keep.iter().find(|name| !class_names.contains(name)) {
            None => Ok(()),
            Some(name) => {
                let known = class_names.join(", ");
                Err(Failure::Usage(format!("--keep {name}: the model's classes are {known}")))
            }
        }
    }

    /// Whether boxes far from all classes are given none.
    pub fn rejects_by_distance(&self) -> bool {
        self.reject.contains(&Reject::Distance)
    }

    /// Whether a particle of this class (nothing = rejected), with this highest probability, is written.
    pub fn keeps(&self, class: Option<&str>, probability: f32) -> bool {
        let is_wanted = match class {
            _ if self.keep.is_empty() => true,
            Some(class) => self.keep.iter().any(|name| name == class),
            None => false,
        };
        is_wanted && probability >= self.min_probability
    }

    /// The rules of rejection as the contract has them.
    ///
    /// # Errors
    /// The model was not calibrated with one of them.
    pub fn reject_rules(&self, model: &Model, path: &Path) -> Result<i32> {
        let confidence = model.confidence()?;
        for rule in &self.reject {
            let (name, threshold) = match rule {
                Reject::Probability => ("probability", confidence.probability),
                Reject::Distance => ("distance", confidence.distance),
            };
            if threshold.value.is_nan() {
                let path = path.display();
                return Err(Failure::Usage(format!(
                    "--reject {name}: {path} has no threshold for it; `cinetomo calibrate --reject {name}` chooses one on \
                     labelled boxes that it was not trained on, `cinetomo finetune --validation 0.25 --calibrate {name}` on \
                     those that it holds out"
                )));
            }
        }
        Ok(reject_bits(&self.reject))
    }
}

/// How many boxes a classification gave to each class.
#[derive(Clone, Debug)]
pub struct Counts {
    /// Names of the classes.
    pub class_names: Vec<String>,
    /// Boxes of each class.
    pub n_per_class: Vec<usize>,
    /// Boxes that were given none.
    pub n_rejected: usize,
    sums: Vec<f64>,
}

impl Counts {
    /// Nothing counted yet.
    pub fn new(class_names: &[String]) -> Counts {
        let n = class_names.len();
        let (n_per_class, sums) = (vec![0; n], vec![0.0; n]);
        Counts { class_names: class_names.to_vec(), n_per_class, n_rejected: 0, sums }
    }

    /// Counts a box that was given this class, or none.
    pub fn push(&mut self, class: Option<usize>, probabilities: &[f32]) {
        match class {
            None => self.n_rejected += 1,
            Some(class) => {
                self.n_per_class[class] += 1;
                self.sums[class] += f64::from(probabilities[class]);
            }
        }
    }

    /// As a table.
    pub fn table(&self) -> String {
        let mut rows: Vec<Vec<String>> = self
            .class_names
            .iter()
            .zip(self.n_per_class.iter().zip(&self.sums))
            .map(|(name, (&n, sum))| {
                let mean = if n > 0 { format!("{:.2}", sum / n as f64) } else { "-".to_owned() };
                vec![name.clone(), n.to_string(), mean]
            })
            .collect();
        if self.n_rejected > 0 {
            rows.push(vec!["(rejected)".to_owned(), self.n_rejected.to_string(), "-".to_owned()]);
        }
        table(&["class", "boxes", "mean probability"], &rows)
    }
}

/// Classifies the boxes `which` chunk by chunk and writes what is found of them. `reject` are the rules by which a box may be given
/// no class.
///
/// # Errors
/// An output has no format or does not fit the input, a box cannot be read or classified, or a file not be written.
pub fn classify(
    session: &Session,
    model: &Model,
    boxes: &Boxes,
    which: Range<usize>,
    reject: i32,
    outputs: &[PathBuf],
    selection: &Selection,
) -> Result<Counts> {
    let class_names = model.info()?.class_names;
    let n_classes = class_names.len();
    selection.check(&class_names)?;
    let mut writers = Writers::create(outputs, boxes, which.clone(), &class_names)?;
    let mut counts = Counts::new(&class_names);
    for_chunks(
        session,
        boxes,
        Which::Between([which.start, which.end]),
        "classifying",
        |volume, hooks| model.predict(volume, reject, hooks),
        |indices, found| {
            let rows = found.probabilities.chunks(n_classes).zip(&found.labels);
            for (&index, (probabilities, &label)) in indices.iter().zip(rows) {
                // -1 = rejected.
                let class = usize::try_from(label).ok();
                counts.push(class, probabilities);
                writers.push(boxes, index, class, probabilities)?;
            }
            if !writers.lists.is_empty() {
                writers.distances.extend(found.distances.into_iter().flatten());
            }
            Ok(())
        },
    )?;
    writers.finish(&counts.class_names, selection)?;
    Ok(counts)
}

/// The outputs of a classification.
struct Writers<'a> {
    tables: Vec<ResultsWriter>,
    arrays: Vec<npy::Writer>,
    lists: Vec<&'a Path>,
    list: Option<&'a ParticleFile>,
    has_groups: bool,
    /// The boxes that are classified.
    which: Range<usize>,
    /// Of these, where a list is written: it needs them after the last box. 0 = rejected, others from 1.
    classes: Vec<u32>,
    probabilities: Vec<f32>,
    distances: Vec<f32>,
}

impl<'a> Writers<'a> {
    fn create(
        outputs: &'a [PathBuf],
        boxes: &'a Boxes,
        which: Range<usize>,
        class_names: &[String],
    ) -> Result<Writers<'a>> {
        let n = which.len();
        let mut writers = Writers {
            tables: Vec::new(),
            arrays: Vec::new(),
            lists: Vec::new(),
            list: match boxes.parts() {
                [part] => match part.list() {
                    Some(List::Particles(file)) => Some(file),
                    _ => None,
                },
                _ => None,
            },
            has_groups: boxes.has_groups(),
            which,
            classes: Vec::new(),
            probabilities: Vec::new(),
            distances: Vec::new(),
        };
        for path in outputs {
            match outputs::extension(path).as_str() {
                "csv" => {
                    let table = ResultsWriter::create(path, class_names, writers.has_groups)?;
                    writers.tables.push(table);
                }
                "npy" => {
                    let array = npy::Writer::create(path, n, class_names.len())?;
                    writers.arrays.push(array);
                }
                extension @ ("star" | "tbl") => {
                    let input = writers.list.map(|file| outputs::extension(&file.list().path));
                    if input.as_deref() != Some(extension) {
                        return Err(Failure::Usage(format!(
                            "--output {}: a .{extension} is written from an --input that is one; write a .csv",
                            path.display()
                        )));
                    }
                    writers.lists.push(path);
                }
                other => {
                    return Err(Failure::Usage(format!(
                        "--output {}: .{other} is no format of results; expected .csv, .star, .tbl or .npy",
                        path.display()
                    )));
                }
            }
        }
        Ok(writers)
    }

    fn push(
        &mut self,
        boxes: &Boxes,
        index: usize,
        class: Option<usize>,
        probabilities: &[f32],
    ) -> Result<()> {
        if !self.tables.is_empty() {
            let name = boxes.name(index);
            let group = if self.has_groups { boxes.group(index) } else { None };
            for table in &mut self.tables {
                table.push(ResultRow { image: &name, group, class, probabilities })?;
            }
        }
        for array in &mut self.arrays {
            array.push(probabilities)?;
        }
        if !self.lists.is_empty() {
            // A model has fewer classes than a u32 counts.
            self.classes.push(class.map_or(0, |class| class as u32 + 1));
            self.probabilities.extend(probabilities);
        }
        Ok(())
    }

    fn finish(self, class_names: &[String], selection: &Selection) -> Result<()> {
        let n_classes = class_names.len();
        let Writers {
            tables, arrays, lists, list, which, classes, probabilities, distances, ..
        } = self;
        // Rows of the list; values are asked for those only that are kept, which are among `which`.
        let start = which.start;
        let of = |row: usize| &probabilities[(row - start) * n_classes..][..n_classes];
        let highest = |row: usize| of(row).iter().copied().fold(0.0, f32::max);
        let name =
            |row: usize| Some(class_names[classes[row - start].checked_sub(1)? as usize].as_str());
        for path in lists {
            // Lists are only among the outputs where the input is one.
            let Some(list) = list else { continue };
            let mut changes = Changes::new()
                .class(|row| classes[row - start])
                .keep(|row| which.contains(&row) && selection.keeps(name(row), highest(row)));
            if outputs::extension(path) == "star" {
                changes = changes.column("cinetomoProbability", highest);
                for (index, label) in column_labels(class_names).iter().enumerate() {
                    changes = changes.column(label, move |row| of(row)[index]);
                }
                if !distances.is_empty() {
                    changes = changes.column("cinetomoDistance", |row| distances[row - start]);
                }
            }
            list.save(path, &changes)?;
        }
        for table in tables {
            table.finish()?;
        }
        for array in arrays {
            array.finish()?;
        }
        Ok(())
    }
}

/// Labels of the columns of probabilities: a STAR file has no blanks in them, and none twice.
pub fn column_labels(class_names: &[String]) -> Vec<String> {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "_-+.".contains(c) { c } else { '_' };
    let mut labels: Vec<String> = Vec::new();
    for (index, name) in class_names.iter().enumerate() {
        let label = format!("cinetomoProbability_{}", name.chars().map(plain).collect::<String>());
        let is_taken = labels.contains(&label);
        labels.push(if is_taken { format!("{label}_{}", index + 1) } else { label });
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_columns_are_words_and_distinct() {
        let names = ["20S core", "20S#core", "70S"].map(str::to_owned);
        let expected = [
            "cinetomoProbability_20S_core",
            "cinetomoProbability_20S_core_2",
            "cinetomoProbability_70S",
        ];
        assert_eq!(column_labels(&names), expected);
    }

    #[test]
    fn selections_leave_out_what_was_rejected_only_where_classes_are_named() {
        let all = Selection::default();
        assert!(all.keeps(None, 0.1) && all.keeps(Some("a"), 0.0));
        let keep = vec!["a".to_owned()];
        let some = Selection { keep, min_probability: 0.5, ..Selection::default() };
        assert!(some.keeps(Some("a"), 0.5) && !some.keeps(Some("a"), 0.4));
        assert!(!some.keeps(Some("b"), 0.9) && !some.keeps(None, 0.9));
    }
}
