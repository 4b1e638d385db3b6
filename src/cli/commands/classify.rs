//! `cinetomo classify`: which class each subtomogram is of.

use std::path::{Path, PathBuf};

use cinetomo_formats::{
    csv::{ResultRow, ResultsWriter, most_probable},
    npy,
    particle_list::{Changes, ParticleFile},
};
use cinetomo_host::{Hooks, Model};
use clap::Args;
use serde_json::json;

use crate::{
    args::Global,
    boxes::{BoxArgs, Boxes, List},
    console::Console,
    failure::{Failure, Result},
    interrupt, outputs,
    run_file::RunFile,
    session::Session,
    table::table,
};

const EXAMPLES: &str = "\
Outputs, by their extension; several may be named:
  .csv          path, label, probability, probability_<class>, and group where the input states one
  .star         the input list with rlnClassNumber set (classes count from 1, in the order of the model) and
                with the columns cinetomoProbability and cinetomoProbability_<class>; all else as it was
  .tbl          the input Dynamo table with column 22 (class) set; all else as it was
  .npy          probabilities, an array [n, classes] of 32-bit floats
Boxes are read and classified in chunks: memory does not grow with their number. A list is held in memory, some
hundred bytes a particle.

Examples:
  cinetomo classify -m tuned.safetensors -i boxes/ --contrast dark -o classes.csv
  cinetomo classify -m tuned.safetensors -i Extract/job012/particles.star --project . \\
      -o classes.star classes.csv
  cinetomo classify -m tuned.safetensors -i table.tbl --data particles/ -o classes.tbl
  cinetomo classify -m tuned.safetensors -i particles.star -o ribosomes.star --keep ribosome \\
      --min-probability 0.9";

/// Classifies subtomograms.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Classify {
    /// The model
    #[arg(long, short, value_name = "FILE.safetensors")]
    model: PathBuf,
    #[command(flatten)]
    boxes: BoxArgs,
    /// What to write: .csv, .star, .tbl, .npy
    #[arg(long, short, value_name = "FILE", num_args = 1.., required = true)]
    output: Vec<PathBuf>,
    /// Write only particles of these classes into lists
    #[arg(long, value_name = "CLASS", num_args = 1..)]
    keep: Vec<String>,
    /// Write only particles whose class is at least this probable into lists
    #[arg(long, value_name = "P", default_value_t = 0.0)]
    min_probability: f32,
}

impl Classify {
    pub fn run(&self, global: &Global, console: &Console, run_file: &RunFile) -> Result<()> {
        outputs::check(self.output.iter().map(PathBuf::as_path), global.force)?;
        let session = Session::start(global, console)?;
        let model = session.context.model_load(&self.model)?;
        let class_names = model.info()?.class_names;
        if let Some(name) = self.keep.iter().find(|name| !class_names.contains(name)) {
            let known = class_names.join(", ");
            return Err(Failure::Usage(format!("--keep {name}: the model's classes are {known}")));
        }
        let boxes = Boxes::open(&self.boxes, console)?;
        let mut writers = Writers::create(&self.output, &boxes, &class_names)?;

        let mut counts = vec![(0usize, 0.0f64); class_names.len()];
        classify(&session, &model, &boxes, |index, probabilities| {
            let class = most_probable(probabilities);
            if let Some((n, sum)) = counts.get_mut(class) {
                *n += 1;
                *sum += f64::from(probabilities[class]);
            }
            writers.push(&boxes, index, class, probabilities)
        })?;
        let keep = |class: usize, probability: f32| {
            (self.keep.is_empty() || self.keep.contains(&class_names[class]))
                && probability >= self.min_probability
        };
        writers.finish(&class_names, &keep)?;
        for output in &self.output {
            run_file.write(output)?;
        }
        let rows: Vec<Vec<String>> = class_names
            .iter()
            .zip(&counts)
            .map(|(name, (n, sum))| {
                let mean = if *n > 0 { format!("{:.2}", sum / *n as f64) } else { "-".to_owned() };
                vec![name.clone(), n.to_string(), mean]
            })
            .collect();
        let counts: Vec<usize> = counts.into_iter().map(|(n, _)| n).collect();
        let json = json!({
            "output": self.output, "n": boxes.len(), "class_names": class_names, "n_per_class": counts,
        });
        console.result(&table(&["class", "boxes", "mean probability"], &rows), &json)
    }
}

/// Class probabilities of all boxes, chunk by chunk: `found(index, probabilities)` for each.
///
/// # Errors
/// A box cannot be read or classified, or `found` fails.
pub fn classify(
    session: &Session,
    model: &Model,
    boxes: &Boxes,
    mut found: impl FnMut(usize, &[f32]) -> Result<()>,
) -> Result<()> {
    let n_classes = model.info()?.class_names.len();
    let mut bar = session.console.bar("classifying");
    for chunk in boxes.chunks() {
        bar.part(chunk.start, chunk.end, boxes.len());
        let voxels = boxes.read(chunk.clone())?;
        let volume = boxes.volume(&voxels)?;
        let probabilities =
            session.call(&bar, |hooks: Hooks<'_>| model.classify(&volume, hooks)).map_err(
                |error| error.within(format!("boxes {} to {}", chunk.start + 1, chunk.end)),
            )?;
        for (index, row) in chunk.zip(probabilities.chunks(n_classes)) {
            found(index, row)?;
        }
    }
    interrupt::check()
}

/// The outputs of a classification.
struct Writers<'a> {
    tables: Vec<ResultsWriter>,
    arrays: Vec<npy::Writer>,
    lists: Vec<&'a Path>,
    list: Option<&'a ParticleFile>,
    has_groups: bool,
    /// Of all particles, where a list is written: it needs them after the last box.
    classes: Vec<u32>,
    probabilities: Vec<f32>,
}

impl<'a> Writers<'a> {
    fn create(
        outputs: &'a [PathBuf],
        boxes: &'a Boxes,
        class_names: &[String],
    ) -> Result<Writers<'a>> {
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
            classes: Vec::new(),
            probabilities: Vec::new(),
        };
        for path in outputs {
            match outputs::extension(path).as_str() {
                "csv" => writers.tables.push(ResultsWriter::create(
                    path,
                    class_names,
                    writers.has_groups,
                )?),
                "npy" => {
                    writers.arrays.push(npy::Writer::create(path, boxes.len(), class_names.len())?)
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
        class: usize,
        probabilities: &[f32],
    ) -> Result<()> {
        if !self.tables.is_empty() {
            let name = boxes.name(index);
            let group = if self.has_groups { boxes.group(index) } else { None };
            for table in &mut self.tables {
                table.push(ResultRow { image: &name, group, class: Some(class), probabilities })?;
            }
        }
        for array in &mut self.arrays {
            array.push(probabilities)?;
        }
        if !self.lists.is_empty() {
            // A model has fewer classes than a u32 counts.
            self.classes.push(class as u32);
            self.probabilities.extend(probabilities);
        }
        Ok(())
    }

    fn finish(self, class_names: &[String], keep: &dyn Fn(usize, f32) -> bool) -> Result<()> {
        let n_classes = class_names.len();
        let (classes, probabilities) = (&self.classes, &self.probabilities);
        let class = |row: usize| classes[row] as usize;
        let probability = |row: usize, class: usize| probabilities[row * n_classes + class];
        if let Some(list) = self.list {
            for path in self.lists {
                let mut changes = Changes::new()
                    .class(|row| classes[row] + 1)
                    .keep(|row| keep(class(row), probability(row, class(row))));
                if outputs::extension(path) == "star" {
                    changes =
                        changes.column("cinetomoProbability", |row| probability(row, class(row)));
                    for (index, label) in column_labels(class_names).iter().enumerate() {
                        changes = changes.column(label, move |row| probability(row, index));
                    }
                }
                list.save(path, &changes)?;
            }
        }
        for table in self.tables {
            table.finish()?;
        }
        for array in self.arrays {
            array.finish()?;
        }
        Ok(())
    }
}

/// Labels of the columns of probabilities: a STAR file has no blanks in them, and none twice.
fn column_labels(class_names: &[String]) -> Vec<String> {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "_-+.".contains(c) { c } else { '_' };
    let mut labels: Vec<String> = Vec::new();
    for (index, name) in class_names.iter().enumerate() {
        let label = format!("cinetomoProbability_{}", name.chars().map(plain).collect::<String>());
        let is_taken = labels.contains(&label);
        labels.push(if is_taken { format!("{label}_{}", index + 1) } else { label });
    }
    labels
}
