//! `cinetomo evaluate`: results against labels.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use cinetomo_formats::{
    csv::{LabelRow, Labels, Results},
    particle_list::{Folders, ImageReference, ParticleFile},
};
use cinetomo_host::abi::cinetomo_class_metrics;
use clap::Args;
use ndarray::ArrayView1;
use serde_json::{Value, json};

use crate::{
    args::Global,
    console::Console,
    failure::{Failure, Result},
    outputs::{self, extension},
    run_file::RunFile,
    session::Session,
    table::table,
};

const EXAMPLES: &str = "\
Images of the two files are matched by their paths, or by their file names where paths differ. Images without a
label do not count. Images whose label is none of the scores' classes (ice, another complex) are counted apart: how many
of them were given no class, and how well the highest probability tells them from the others.

Examples:
  cinetomo evaluate --scores classes.csv --labels labels.csv
  cinetomo evaluate --scores classes.csv --labels expert.star        # its class numbers, from 1 on
  cinetomo evaluate --scores classes.csv --labels labels.csv --json | jq .accuracy";

/// Compares results with labels.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Evaluate {
    /// What `cinetomo classify` wrote: the columns path and `probability_<class>`
    #[arg(long, value_name = "CSV")]
    scores: PathBuf,
    /// The truth: a .csv with path and label, or a particle list with classes
    #[arg(long, value_name = "FILE")]
    labels: PathBuf,
    /// Write the result as JSON, too
    #[arg(long, short, value_name = "FILE.json")]
    output: Option<PathBuf>,
}

impl Evaluate {
    pub fn run(&self, global: &Global, console: &Console, run_file: &RunFile) -> Result<()> {
        outputs::check(self.output.as_deref(), global.force)?;
        let results = Results::read(&self.scores)?;
        let truth = truth(&self.labels, &results.class_names)?;
        let (labels, strangers) = match_labels(&results, &truth, &self.labels)?;
        let session = Session::start(global, console)?;
        let n_classes = results.class_names.len();
        let scores: Vec<f32> = results.probabilities.iter().copied().collect();
        let evaluation = session.plugin.evaluate(&scores, &labels, n_classes)?;

        let classes = session.plugin.evaluate_classes(&scores, &labels, n_classes)?;
        let n_without = labels.iter().filter(|&&label| label < 0).count() - strangers.len();
        let mut text = format!(
            "{} boxes with a label{}\naccuracy                    {:.4}\nbalanced accuracy           {:.4}\n\
             macro F1                    {:.4}\nmacro AUC                   {:.4}\n\
             expected calibration error  {:.4}\nlog loss                    {:.4}\n",
            evaluation.n_evaluated,
            if n_without > 0 { format!(", {n_without} without") } else { String::new() },
            evaluation.accuracy,
            evaluation.balanced_accuracy,
            evaluation.macro_f1,
            evaluation.macro_auc,
            evaluation.expected_calibration_error,
            evaluation.log_loss,
        );
        if let Some((n, n_right)) = accepted(&results, &labels) {
            text += &format!("with a class                {n}, of which {n_right} are right\n");
        }
        let strangers = Strangers::of(&session, &results, &labels, strangers)?;
        if let Some(strangers) = &strangers {
            text += &strangers.text();
        }
        text += "\n";
        text += &class_table(&results.class_names, &classes);
        text += "\ntrue class, and how often it was taken for\n";
        text += &confusion_table(&results.class_names, &evaluation.confusion);
        let confusion: Vec<&[i64]> = evaluation.confusion.chunks(n_classes).collect();
        let json = json!({
            "n": evaluation.n_evaluated,
            "n_without_label": n_without,
            "class_names": results.class_names,
            "accuracy": evaluation.accuracy,
            "balanced_accuracy": number(evaluation.balanced_accuracy),
            "macro_f1": number(evaluation.macro_f1),
            "macro_auc": number(evaluation.macro_auc),
            "expected_calibration_error": number(evaluation.expected_calibration_error),
            "brier_score": number(evaluation.brier_score),
            "log_loss": number(evaluation.log_loss),
            "best_threshold_accuracy": number(evaluation.best_threshold_accuracy),
            "accepted": accepted(&results, &labels).map(|(n, n_right)| json!({ "n": n, "n_right": n_right })),
            "unknown_classes": strangers.as_ref().map(Strangers::to_json),
            "classes": classes_to_json(&results.class_names, &classes),
            "confusion": confusion,
        });
        if let Some(path) = &self.output {
            cinetomo_formats::write(path, format!("{json:#}\n").as_bytes())?;
            run_file.write(path)?;
        }
        console.result(&text, &json)
    }
}

/// A number as JSON has it: null where it is none.
pub fn number(value: f64) -> Value {
    serde_json::Number::from_f64(value).map_or(Value::Null, Value::Number)
}

/// Where boxes were rejected: how many with a label were not, and how many of these have the right class.
fn accepted(results: &Results, labels: &[i32]) -> Option<(usize, usize)> {
    if results.classes.iter().all(Option::is_some) {
        return None;
    }
    let with_label = results.classes.iter().zip(labels).filter(|(_, label)| **label >= 0);
    let accepted = with_label.filter_map(|(class, &label)| Some(((*class)? as i32, label)));
    let accepted: Vec<(i32, i32)> = accepted.collect();
    Some((accepted.len(), accepted.iter().filter(|(class, label)| class == label).count()))
}

/// How well each class is found.
fn class_table(class_names: &[String], classes: &[cinetomo_class_metrics]) -> String {
    let shown = |value: f64| if value.is_nan() { "-".to_owned() } else { format!("{value:.3}") };
    let rows: Vec<Vec<String>> = class_names
        .iter()
        .zip(classes)
        .map(|(name, class)| {
            let mut row = vec![name.clone(), class.n_examples.to_string()];
            row.extend([class.precision, class.recall, class.f1, class.auc].map(shown));
            row
        })
        .collect();
    table(&["class", "boxes", "precision", "recall", "F1", "AUC"], &rows)
}

fn classes_to_json(class_names: &[String], classes: &[cinetomo_class_metrics]) -> Value {
    let of = |(name, class): (&String, &cinetomo_class_metrics)| {
        json!({
            "name": name,
            "n_examples": class.n_examples,
            "n_predicted": class.n_predicted,
            "precision": number(class.precision),
            "recall": number(class.recall),
            "f1": number(class.f1),
            "auc": number(class.auc),
        })
    };
    class_names.iter().zip(classes).map(of).collect()
}

/// The confusion matrix with names.
pub fn confusion_table(class_names: &[String], confusion: &[i64]) -> String {
    let n = class_names.len();
    let columns: Vec<String> = (1..=n).map(|number| number.to_string()).collect();
    let mut header = vec![""];
    header.extend(columns.iter().map(String::as_str));
    let rows: Vec<Vec<String>> = confusion
        .chunks(n.max(1))
        .zip(class_names)
        .enumerate()
        .map(|(index, (row, name))| {
            let mut cells = vec![format!("{} {name}", index + 1)];
            cells.extend(row.iter().map(i64::to_string));
            cells
        })
        .collect();
    table(&header, &rows)
}

/// Images of classes that the scores do not know.
struct Strangers {
    /// How many there are of each class.
    n_of: BTreeMap<String, usize>,
    /// How many were given no class, which is right.
    n_rejected: usize,
    /// Area under the ROC curve of the highest probability, which should be higher for known classes (Hendrycks & Gimpel
    /// 2017).
    auc: f64,
}

impl Strangers {
    /// What was found for them, if there are any: indices of results, and their classes.
    fn of(
        session: &Session,
        results: &Results,
        labels: &[i32],
        strangers: Vec<(usize, &str)>,
    ) -> Result<Option<Strangers>> {
        if strangers.is_empty() {
            return Ok(None);
        }
        let mut is_known: Vec<i32> =
            labels.iter().map(|&label| if label < 0 { -1 } else { 1 }).collect();
        let mut n_of: BTreeMap<String, usize> = BTreeMap::new();
        let mut n_rejected = 0;
        for (index, class) in strangers {
            is_known[index] = 0;
            n_rejected += usize::from(results.classes[index].is_none());
            *n_of.entry(class.to_owned()).or_default() += 1;
        }
        let highest = |row: ArrayView1<'_, f32>| row.iter().copied().fold(0.0, f32::max);
        let scores = results.probabilities.outer_iter().map(highest);
        let scores: Vec<f32> = scores.flat_map(|highest| [1.0 - highest, highest]).collect();
        let auc = session.plugin.evaluate(&scores, &is_known, 2)?.macro_auc;
        Ok(Some(Strangers { n_of, n_rejected, auc }))
    }

    fn n(&self) -> usize {
        self.n_of.values().sum()
    }

    fn text(&self) -> String {
        let classes: Vec<String> =
            self.n_of.iter().map(|(class, n)| format!("{class} {n}")).collect();
        format!(
            "of unknown classes          {} ({}), of which {} were given no class\n\
             known or unknown: AUC       {:.4}, by the highest probability\n",
            self.n(),
            classes.join(", "),
            self.n_rejected,
            self.auc
        )
    }

    fn to_json(&self) -> Value {
        json!({
            "n": self.n(), "n_of": self.n_of, "n_rejected": self.n_rejected, "auc": number(self.auc),
        })
    }
}

/// An image and the class that it is of, with the line of the file where it has one.
struct Truth {
    image: ImageReference,
    /// Its index, or the name of one that the scores do not know.
    class: Result<usize, String>,
    line: Option<usize>,
}

/// What a file says. Fails if it knows none of the classes.
fn truth(path: &Path, class_names: &[String]) -> Result<Vec<Truth>> {
    let truth = if extension(path) == "csv" {
        let of = |row: LabelRow| {
            let class = class_names.iter().position(|name| *name == row.label).ok_or(row.label);
            Truth { image: row.image, class, line: Some(row.line) }
        };
        Labels::read(path)?.rows.into_iter().map(of).collect()
    } else {
        of_particles(path, class_names)?
    };
    let is_known = |truth: &Truth| truth.class.is_ok();
    if let (false, Some(Truth { class: Err(class), line, .. })) =
        (truth.iter().any(is_known), truth.first())
    {
        let line = line.map_or(String::new(), |line| format!("line {line}, "));
        let known = class_names.join(", ");
        let message = format!(
            "{line}label: {class:?} is none of the classes {known}, and no other label is one"
        );
        return Err(Failure::at(path, message));
    }
    Ok(truth)
}

fn of_particles(path: &Path, class_names: &[String]) -> Result<Vec<Truth>> {
    let file = ParticleFile::open(path, Folders::default())?;
    let mut truth = Vec::new();
    for (index, particle) in file.list().particles.iter().enumerate() {
        let Some(class) = particle.class.filter(|&class| class > 0) else { continue };
        let Some(image) = particle.image.clone() else {
            let message = format!("particle {} has no image to be matched by", index + 1);
            return Err(Failure::at(path, message));
        };
        let known = usize::try_from(class - 1).ok().filter(|&class| class < class_names.len());
        truth.push(Truth {
            image,
            class: known.ok_or_else(|| format!("class {class}")),
            line: None,
        });
    }
    Ok(truth)
}

/// The label of each result, -1 = none; and the indices of those of unknown classes, with these.
#[allow(clippy::type_complexity, reason = "two lists, each once")]
fn match_labels<'a>(
    results: &Results,
    truth: &'a [Truth],
    path: &Path,
) -> Result<(Vec<i32>, Vec<(usize, &'a str)>)> {
    /// Several results have this name.
    const SEVERAL: usize = usize::MAX;
    let file_name = |image: &ImageReference| {
        let name = Path::new(&*image.path).file_name().unwrap_or_default();
        (name.to_os_string(), image.index.unwrap_or(1))
    };
    let (mut exact, mut by_name) = (HashMap::new(), HashMap::new());
    for (index, image) in results.images.iter().enumerate() {
        if exact.insert((&*image.path, image.index.unwrap_or(1)), index).is_some() {
            return Err(Failure::at(&results.path, format!("{image} is there twice")));
        }
        by_name.entry(file_name(image)).and_modify(|found| *found = SEVERAL).or_insert(index);
    }
    let mut labels = vec![-1; results.images.len()];
    let mut strangers = Vec::new();
    let (mut n_missing, mut first_missing) = (0usize, None);
    for Truth { image, class, line } in truth {
        let found = exact.get(&(&*image.path, image.index.unwrap_or(1)));
        let found = found.or_else(|| by_name.get(&file_name(image))).copied();
        match found {
            Some(index) if index != SEVERAL => match class {
                // Classes are those of columns in a file.
                Ok(class) => labels[index] = *class as i32,
                Err(class) => strangers.push((index, class.as_str())),
            },
            _ => {
                n_missing += 1;
                first_missing.get_or_insert((image, line));
            }
        }
    }
    if let Some((image, line)) = first_missing {
        let line = line.map_or(String::new(), |line| format!("line {line}, path: "));
        let message = format!(
            "{line}{image} has no scores in {} ({n_missing} of {} images)",
            results.path.display(),
            truth.len()
        );
        return Err(Failure::at(path, message));
    }
    Ok((labels, strangers))
}
