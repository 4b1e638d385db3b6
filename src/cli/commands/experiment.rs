//! `cinetomo experiment`: what video weights are worth on your data, as the paper asks it.

mod paper;
mod records;
mod summary;

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Instant,
};

use cinetomo_formats::npz::{MedMnist, Npz};
use cinetomo_host::{
    Hooks, Plugin,
    abi::{cinetomo_part, cinetomo_split_options},
};
use clap::{Args, ValueEnum};
use serde_json::json;

use self::{
    paper::{Beside, Table1},
    records::{Record, Records},
};
use crate::{
    args::Global,
    boxes::{BoxArgs, Boxes, Part},
    chunks::{Which, for_chunks},
    console::Console,
    failure::{Failure, Result},
    interrupt, outputs,
    run_file::RunFile,
    session::Session,
    start::NetworkArgs,
    table::table,
    training::{Preset, TrainArgs},
    truth::{LabelArgs, Labelled},
};

/// Options that may differ when an experiment goes on: they say which runs there are, or where they run.
const MAY_DIFFER: [&str; 7] =
    ["fractions", "starts", "seeds", "threads", "device", "device-index", "plugin"];

const EXAMPLES: &str = "\
Divides the boxes 60:20:20 by class (and tomogram, where groups are known) into training, validation and test, trains on
fractions of the training part, and measures on the test part, once for each fraction, start and seed. Nothing is chosen
by the test part; the validation part is not touched: use it to choose options. Each seed draws another division.

Every run adds a row to the output; the same command goes on where it was stopped. At the end a table in the shape of the
paper's table 1 is printed and written beside the output (.md).

Examples:
  cinetomo experiment --labels labels.csv --checkpoint i3d-kinetics-400.ckpt -o records.csv
  cinetomo experiment -i boxes/ --labels labels.csv --fractions 0.05,0.1,0.25,1 --seeds 0,1,2,3,4 \\
      --paper-training --input-size 32 128 128 --paper real -o records.csv
  cinetomo experiment --medmnist organmnist3d.npz --seeds 0,1,2 -o organ.csv";

/// Trains and measures.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Experiment {
    /// A MedMNIST3D archive instead of boxes and labels: its own division counts
    #[arg(long, value_name = "FILE.npz", conflicts_with_all = ["input", "labels"])]
    medmnist: Option<PathBuf>,
    /// Fractions of the training part whose labels are used
    #[arg(long, value_name = "FRACTIONS", value_delimiter = ',', default_value = "1")]
    fractions: Vec<f64>,
    /// What networks start from
    #[arg(long, value_enum, value_delimiter = ',', default_value = "random,video")]
    starts: Vec<Start>,
    /// Seeds of divisions and trainings
    #[arg(long, value_name = "SEEDS", value_delimiter = ',', default_value = "0,1,2")]
    seeds: Vec<u64>,
    /// Train as the paper did: presets paper-video and paper-random, batches of 16, of 32 from a quarter of the labels on
    #[arg(long, conflicts_with = "preset")]
    paper_training: bool,
    /// Rows of the paper's table 1 to put beside; those of MedMNIST3D are found by the file's name
    #[arg(long, value_enum)]
    paper: Option<Table1>,
    /// Name of the data in the records [default: that of the first input]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    boxes: BoxArgs,
    #[command(flatten)]
    labels: LabelArgs,
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    training: TrainArgs,
    /// The records; the table goes beside it, with the extension .md
    #[arg(long, short, value_name = "FILE.csv")]
    output: PathBuf,
}

/// What a network starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Start {
    /// Random numbers
    Random,
    /// The video checkpoint, fine-tuned
    Video,
    /// The video checkpoint as it is, with logistic regression
    Probe,
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Start::Random => "random",
            Start::Video => "video",
            Start::Probe => "probe",
        })
    }
}

/// Boxes with labels, and their division if it is given.
struct Data {
    name: String,
    boxes: Boxes,
    labels: Vec<i32>,
    class_names: Vec<String>,
    /// A `cinetomo_part` for each box.
    parts: Option<Vec<i32>>,
}

impl Experiment {
    pub fn run(&self, global: &Global, console: &Console, run_file: &RunFile) -> Result<()> {
        self.check()?;
        let table_path = outputs::beside(&self.output, "md");
        self.prepare(global, run_file, &table_path)?;
        let session = Session::start(global, console)?;
        let data = self.data(console)?;
        let mut records = Records::open(&self.output)?;
        run_file.write(&self.output)?;

        let runs: Vec<(f64, Start, u64)> = self
            .seeds
            .iter()
            .flat_map(|&seed| self.fractions.iter().map(move |&fraction| (fraction, seed)))
            .flat_map(|(fraction, seed)| {
                self.starts.iter().map(move |&start| (fraction, start, seed))
            })
            .collect();
        let is_done = |records: &Records, (fraction, start, seed): (f64, Start, u64)| {
            records.list.iter().any(|record| record.is_of(&data.name, fraction, start, seed))
        };
        let n_done = runs.iter().filter(|&&run| is_done(&records, run)).count();
        if n_done > 0 {
            console.warn(format!(
                "{}: {n_done} of {} runs are there already; they are kept",
                self.output.display(),
                runs.len()
            ));
        }
        for (index, &run) in runs.iter().enumerate() {
            interrupt::check()?;
            if is_done(&records, run) {
                continue;
            }
            let place = format!("run {} of {}", index + 1, runs.len());
            let record = self.measure(&session, &data, run, &place)?;
            console.info(format!("{place}: {record:?}"));
            records.add(record)?;
        }

        let beside = match (&self.medmnist, self.paper) {
            (Some(path), _) => Beside::of_medmnist(&stem(path)),
            (None, Some(table)) => Beside::Table1(table),
            (None, None) => Beside::Nothing,
        };
        let rows = summary::rows(&records.list, &beside);
        cinetomo_formats::write(&table_path, summary::markdown(&rows).as_bytes())?;
        let (header, cells) = summary::cells(&rows);
        let json = json!({
            "output": self.output, "table": table_path, "n_runs": records.list.len(), "rows": summary::to_json(&rows),
        });
        console.result(&table(&header, &cells), &json)
    }

    fn check(&self) -> Result<()> {
        if let Some(odd) =
            self.fractions.iter().find(|fraction| !(**fraction > 0.0 && **fraction <= 1.0))
        {
            return Err(Failure::Usage(format!(
                "--fractions {odd}: expected above 0 and at most 1"
            )));
        }
        Ok(())
    }

    /// Sees to it that records of other options are not mixed with ours.
    fn prepare(&self, global: &Global, run_file: &RunFile, table_path: &Path) -> Result<()> {
        if global.force && self.output.exists() {
            std::fs::remove_file(&self.output).map_err(|error| Failure::at(&self.output, error))?;
        }
        let goes_on = self.output.exists();
        outputs::check([self.output.as_path(), table_path], goes_on || global.force)?;
        if goes_on && let Some(option) = run_file.difference(&self.output, &MAY_DIFFER)? {
            return Err(Failure::at(
                &self.output,
                format!(
                    "its runs were made with another --{option}; name another output, or --force to start over"
                ),
            ));
        }
        Ok(())
    }

    fn data(&self, console: &Console) -> Result<Data> {
        let Some(path) = &self.medmnist else {
            let Labelled { boxes, labels, class_names, .. } =
                Labelled::open(&self.boxes, &self.labels, None, console)?;
            let first = boxes.parts().first().map_or(Path::new(""), Part::path);
            let name = self.name.clone().unwrap_or_else(|| stem(first));
            return Ok(Data { name, boxes, labels, class_names, parts: None });
        };
        let MedMnist { train, validation, test } = MedMnist::read(&Npz::open(path)?)?;
        let (mut opened, mut labels, mut parts) = (Vec::new(), Vec::new(), Vec::new());
        for (split, part) in [
            (train, cinetomo_part::Training),
            (validation, cinetomo_part::Validation),
            (test, cinetomo_part::Test),
        ] {
            parts.extend(split.labels.iter().map(|_| part as i32));
            // The data sets have up to eleven classes; what is more than an i32 is no class.
            labels.extend(split.labels.iter().map(|&label| i32::try_from(label).unwrap_or(-1)));
            opened.push(Part::volumes(path, Box::new(split.volumes), Some(split.labels))?);
        }
        // Medical images have no voxel size that a warning would help with.
        let args =
            BoxArgs { voxel_size: self.boxes.voxel_size.or(Some(1.0)), ..self.boxes.clone() };
        let boxes = Boxes::of_parts(opened, &args, console)?;
        let n_classes = labels.iter().max().map_or(0, |&highest| highest + 1);
        let class_names = match &self.labels.classes[..] {
            [] => (0..n_classes).map(|class| class.to_string()).collect(),
            given => given.to_vec(),
        };
        let name = self.name.clone().unwrap_or_else(|| stem(path));
        Ok(Data { name, boxes, labels, class_names, parts: Some(parts) })
    }

    /// One run: trains, and measures on the test part.
    fn measure(
        &self,
        session: &Session,
        data: &Data,
        (fraction, start, seed): (f64, Start, u64),
        place: &str,
    ) -> Result<Record> {
        let plugin = session.plugin;
        let [training, test] = data.divide(plugin, fraction, seed)?;
        let labels_of =
            |indices: &[usize]| indices.iter().map(|&index| data.labels[index]).collect::<Vec<_>>();
        let mut record = Record {
            dataset: data.name.clone(),
            fraction,
            start,
            seed,
            n_train: training.len(),
            n_test: test.len(),
            n_classes: data.class_names.len(),
            scores: [f64::NAN; 4],
            seconds: [f64::NAN; 2],
            note: String::new(),
        };
        let network = NetworkArgs { random: start == Start::Random, ..self.network.clone() };
        let model = network.make(session, &data.class_names, seed)?;
        let otherwise = match (start, self.paper_training) {
            (Start::Probe, _) => Preset::Probe,
            (Start::Video, true) => Preset::PaperVideo,
            (Start::Random, true) => Preset::PaperRandom,
            (_, false) => Preset::Default,
        };
        let mut options = self.training.options(plugin, otherwise, seed)?;
        if self.paper_training && self.training.batch_size.is_none() && start != Start::Probe {
            // Paper, section 4.3.2.
            options.batch_size = if fraction >= 0.25 { 32 } else { 16 };
        }
        let voxels = data.boxes.read(training.iter().copied())?;
        let volume = data.boxes.volume(&voxels)?;
        let begin = Instant::now();
        let bar = session
            .console
            .bar(&format!("{place}: {start}, {} boxes, seed {seed}", training.len()));
        let tuned = session.call(&bar, |hooks: Hooks<'_>| {
            model.fine_tune(&volume, &labels_of(&training), &options, hooks)
        });
        drop(bar);
        record.seconds[0] = begin.elapsed().as_secs_f64();
        let tuned = match tuned {
            Ok(tuned) => tuned,
            Err(Failure::Interrupted) => return Err(Failure::Interrupted),
            // A training that comes to nothing, as with too high a learning rate, is a result, too.
            Err(failure) => return Ok(Record { note: failure.to_string(), ..record }),
        };
        let begin = Instant::now();
        let mut scores = Vec::with_capacity(test.len() * data.class_names.len());
        for_chunks(
            session,
            &data.boxes,
            Which::These(&test),
            &format!("{place}: measuring"),
            |volume, hooks| tuned.classify(volume, hooks),
            |_, probabilities| {
                scores.extend(probabilities);
                Ok(())
            },
        )?;
        record.seconds[1] = begin.elapsed().as_secs_f64();
        let found = plugin.evaluate(&scores, &labels_of(&test), data.class_names.len())?;
        record.scores = [
            found.accuracy,
            found.macro_auc,
            found.balanced_accuracy,
            found.best_threshold_accuracy,
        ];
        Ok(record)
    }
}

impl Data {
    /// Indices of the boxes to train and to measure on.
    fn divide(&self, plugin: Plugin, fraction: f64, seed: u64) -> Result<[Vec<usize>; 2]> {
        let drawn;
        let parts = match &self.parts {
            Some(parts) => parts,
            None => {
                let options = cinetomo_split_options { seed, ..plugin.split_options() };
                let groups = self.groups();
                drawn = plugin.split(&self.labels, groups.as_deref(), &options)?;
                &drawn
            }
        };
        let of = |parts: &[i32], part: cinetomo_part| -> Vec<usize> {
            (0..parts.len()).filter(|&index| parts[index] == part as i32).collect()
        };
        let test = of(parts, cinetomo_part::Test);
        if fraction == 1.0 {
            return Ok([of(parts, cinetomo_part::Training), test]);
        }
        let is_training = |index: usize| parts[index] == cinetomo_part::Training as i32;
        let labels: Vec<i32> = (0..parts.len())
            .map(|index| if is_training(index) { self.labels[index] } else { -1 })
            .collect();
        let options = cinetomo_split_options {
            training_fraction: fraction,
            validation_fraction: 0.0,
            test_fraction: 0.0,
            seed,
            ..plugin.split_options()
        };
        let drawn = plugin.split(&labels, None, &options)?;
        Ok([of(&drawn, cinetomo_part::Training), test])
    }

    /// The group of each box as a number, where all have one.
    fn groups(&self) -> Option<Vec<i32>> {
        if !self.boxes.has_groups() {
            return None;
        }
        let mut names: Vec<&str> =
            (0..self.boxes.len()).filter_map(|index| self.boxes.group(index)).collect();
        names.sort_unstable();
        names.dedup();
        let number =
            |name: &str| names.binary_search(&name).ok().and_then(|at| i32::try_from(at).ok());
        (0..self.boxes.len()).map(|index| number(self.boxes.group(index)?)).collect()
    }
}

/// The file's name without extension.
fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
