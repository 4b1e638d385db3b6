//! `cinetomo finetune`: training on labelled subtomograms.

use std::{
    fs,
    path::{Path, PathBuf},
};

use cinetomo_host::{Hooks, Model};
use clap::Args;
use serde_json::{Value, json};

use crate::{
    args::Global,
    boxes::BoxArgs,
    console::Console,
    failure::{Failure, Result},
    outputs,
    run_file::RunFile,
    session::Session,
    start::NetworkArgs,
    table::table,
    training::{Preset, TrainArgs},
    truth::{LabelArgs, Labelled},
};

const EXAMPLES: &str = "\
Labelled boxes of up to --box-memory are in memory while it trains; more are read again in every epoch, the next batch
while one is worked on, and come to the same model. Ten labels a class are a start. --validation 0.2 watches the training
on boxes that are held out, where there are enough of them, and calibrates the probabilities on them.

The state of the training is kept in OUTPUT.state after every epoch and removed at the end: after Ctrl-C or a crash the
same command goes on from there, and comes to the very model that it would have come to.

Examples:
  # a directory of boxes and a file of labels
  cinetomo finetune --checkpoint i3d-kinetics-400.ckpt -i boxes/ --labels labels.csv \\
      --contrast dark -o tuned.safetensors
  # classes of a RELION job, by their numbers
  cinetomo finetune --checkpoint i3d-kinetics-400.ckpt -i run_data.star --project . \\
      --classes ribosome junk --contrast bright -o tuned.safetensors
  # go on with more labels
  cinetomo finetune -m tuned.safetensors --labels more.csv --epochs 8 -o better.safetensors
  # classes within a minute, without a training
  cinetomo finetune --checkpoint i3d-kinetics-400.ckpt --labels labels.csv --preset probe -o quick.safetensors
  # the baseline
  cinetomo finetune --random --labels labels.csv --epochs 48 -o baseline.safetensors";

/// Trains a model.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Finetune {
    /// Start from this model; otherwise --checkpoint or --random make one
    #[arg(long, short, value_name = "FILE.safetensors")]
    model: Option<PathBuf>,
    #[command(flatten)]
    boxes: BoxArgs,
    #[command(flatten)]
    labels: LabelArgs,
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    training: TrainArgs,
    /// Seed: another one gives another training
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Megabytes of labelled boxes that are kept in memory; if there are more, they are read again in every epoch
    #[arg(long, value_name = "MB", default_value_t = 1024)]
    box_memory: u64,
    /// Keep no state of the training: it cannot go on after an interruption
    #[arg(long)]
    no_state: bool,
    /// The model file
    #[arg(long, short, value_name = "FILE.safetensors")]
    output: PathBuf,
}

impl Finetune {
    pub fn run(&self, global: &Global, console: &Console, run_file: &RunFile) -> Result<()> {
        outputs::check([self.output.as_path()], global.force)?;
        let session = Session::start(global, console)?;
        let started = match &self.model {
            Some(path) => Some(session.context.model_load(path)?),
            None => None,
        };
        let known = started.as_ref().map(Model::info).transpose()?;
        let known = known.as_ref().map(|info| info.class_names.as_slice());
        let data = Labelled::open(&self.boxes, &self.labels, known, console)?;
        let model = match started {
            Some(model) => model,
            None => self.network.make(&session, &data.class_names, self.seed)?,
        };
        let labelled = data.labelled();
        let labels: Vec<i32> = labelled.iter().map(|&index| data.labels[index]).collect();
        let tuned = self.train(&session, &model, &data, &labelled, &labels)?;
        tuned.save(&self.output)?;
        run_file.write(&self.output)?;
        remove_state(&self.state());

        let info = tuned.info()?;
        let metadata: Value = serde_json::from_str(&info.metadata_json).unwrap_or(Value::Null);
        let training = metadata["history"].as_array().and_then(|list| list.last()).cloned();
        let n_per_class = data.n_per_class();
        let rows: Vec<Vec<String>> = data
            .class_names
            .iter()
            .zip(&n_per_class)
            .map(|(name, n)| vec![name.clone(), n.to_string()])
            .collect();
        let mut text = table(&["class", "labelled"], &rows);
        text += &history(training.as_ref());
        text += &super::calibrate::describe(&tuned.confidence()?);
        text += &format!("{}: the model\n", self.output.display());
        let json = json!({
            "output": self.output,
            "n": labels.len(),
            "class_names": data.class_names,
            "n_per_class": n_per_class,
            "training": training,
            "confidence": super::calibrate::to_json(&tuned.confidence()?),
        });
        console.result(&text, &json)
    }

    fn state(&self) -> PathBuf {
        let mut name = self.output.as_os_str().to_owned();
        name.push(".state");
        name.into()
    }

    fn train(
        &self,
        session: &Session,
        model: &Model,
        data: &Labelled,
        labelled: &[usize],
        labels: &[i32],
    ) -> Result<Model> {
        let mut options = self.training.options(session.plugin, Preset::Default, self.seed)?;
        let state = self.state();
        if !self.no_state && options.n_epochs > 0 {
            if state.exists() {
                session
                    .console
                    .warn(format!("{}: the training goes on from there", state.display()));
            }
            options = options.checkpoint(&state)?;
        }
        let bar = session.console.bar("training");
        let tuned = if data.boxes.bytes(labelled.len()) <= self.box_memory.saturating_mul(1 << 20) {
            let voxels = data.boxes.read(labelled.iter().copied())?;
            let volume = data.boxes.volume(&voxels)?;
            session.call(&bar, |hooks: Hooks<'_>| model.fine_tune(&volume, labels, &options, hooks))
        } else {
            let mut boxes = data.boxes.dataset(labelled);
            session.call(&bar, |hooks: Hooks<'_>| {
                model.fine_tune_dataset(&mut boxes, labels, &options, hooks)
            })
        };
        drop(bar);
        if let Err(Failure::Interrupted) = tuned
            && !self.no_state
            && state.exists()
        {
            let state = state.display();
            session.console.warn(format!(
                "{state}: the state of the training; the same command goes on from there"
            ));
        }
        tuned
    }
}

/// The training is over and its model saved: a state that cannot be removed does no harm but to take room.
fn remove_state(state: &Path) {
    _ = fs::remove_file(state);
}

/// What the last epochs of a training came to.
fn history(training: Option<&Value>) -> String {
    let Some(epochs) = training.and_then(|training| training["epochs"].as_array()) else {
        return String::new();
    };
    let Some(last) = epochs.last() else { return String::new() };
    let mut text = String::new();
    if let (Some(loss), Some(accuracy)) = (last["loss"].as_f64(), last["accuracy"].as_f64()) {
        text += &format!(
            "last epoch: loss {loss:.3}, accuracy {accuracy:.2} on what it was trained on\n"
        );
    }
    let selected = training.and_then(|training| training["selected_epoch"].as_u64());
    let of_selected = epochs.iter().find(|epoch| epoch["epoch"].as_u64() == selected);
    if let Some(accuracy) = of_selected.and_then(|epoch| epoch["validation_accuracy"].as_f64()) {
        text +=
            &format!("validation: accuracy {accuracy:.2} after epoch {}\n", selected.unwrap_or(0));
    }
    text
}
