//! `cinetomo finetune`: training on labelled subtomograms.

use std::path::PathBuf;

use cinetomo_host::{
    FineTuneOptions, Hooks, Plugin,
    abi::{
        cinetomo_augment, cinetomo_batch_norm, cinetomo_head, cinetomo_optimizer, cinetomo_schedule,
    },
};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::{
    args::Global,
    boxes::BoxArgs,
    console::Console,
    failure::Result,
    outputs,
    run_file::RunFile,
    session::Session,
    start::NetworkArgs,
    table::table,
    truth::{LabelArgs, Labelled},
};

const EXAMPLES: &str = "\
All labelled boxes are in memory while it trains. Ten labels a class are a start; --validation 0.2 watches the
training on boxes that are held out, where there are enough of them.

Examples:
  # a directory of boxes and a file of labels
  cinetomo finetune --checkpoint i3d-kinetics-400.ckpt -i boxes/ --labels labels.csv \\
      --contrast dark -o tuned.safetensors
  # classes of a RELION job, by their numbers
  cinetomo finetune --checkpoint i3d-kinetics-400.ckpt -i run_data.star --project . \\
      --classes ribosome junk --contrast bright -o tuned.safetensors
  # go on with more labels
  cinetomo finetune -m tuned.safetensors --labels more.csv --epochs 8 -o better.safetensors
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
    /// The model file
    #[arg(long, short, value_name = "FILE.safetensors")]
    output: PathBuf,
}

/// How a model is trained; what is not given is the plugin's choice.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Training")]
pub struct TrainArgs {
    /// Passes over the labelled boxes; 0 = only the head's start [default: 24]
    #[arg(long, value_name = "N")]
    pub epochs: Option<i32>,
    /// Initial learning rate [default: by network, optimiser and BatchNorm]
    #[arg(long, value_name = "X")]
    pub learning_rate: Option<f64>,
    /// Boxes per step [default: 10]
    #[arg(long, value_name = "N")]
    pub batch_size: Option<i32>,
    /// [default: adam]
    #[arg(long, value_enum)]
    pub optimizer: Option<Optimizer>,
    /// How the learning rate falls [default: cosine]
    #[arg(long, value_enum)]
    pub schedule: Option<Schedule>,
    /// Epochs after which the step schedule lowers the learning rate
    #[arg(long, value_name = "EPOCH", value_delimiter = ',')]
    pub milestones: Vec<i32>,
    /// Factor of the step schedule [default: 0.1]
    #[arg(long, value_name = "X")]
    pub gamma: Option<f64>,
    /// Momentum of SGD [default: 0.9]
    #[arg(long, value_name = "X")]
    pub momentum: Option<f64>,
    /// Weight decay [default: 0]
    #[arg(long, value_name = "X")]
    pub weight_decay: Option<f64>,
    /// What becomes of BatchNorm's running statistics [default: auto]
    #[arg(long, value_enum)]
    pub batch_norm: Option<BatchNorm>,
    /// How the last layer starts [default: auto]
    #[arg(long, value_enum)]
    pub head: Option<Head>,
    /// Ways to vary the boxes [default: mirror]
    #[arg(long, value_enum, value_delimiter = ',')]
    pub augment: Vec<Augment>,
    /// Stages, counted from the input, that stay as they are [default: 0]
    #[arg(long, value_name = "N")]
    pub frozen_stages: Option<i32>,
    /// Fraction of each class that is held out to watch and choose by, up to 0.5 [default: 0]
    #[arg(long, value_name = "FRACTION")]
    pub validation: Option<f64>,
    /// Return the last epoch, not the one that was best in validation
    #[arg(long)]
    pub keep_last: bool,
    /// Seed: another one gives another training
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
}

/// The rule that turns gradients into steps.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Optimizer {
    Adam,
    Adamw,
    Sgd,
}

/// How the learning rate falls.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Schedule {
    /// Half a cosine to 0
    Cosine,
    /// By a factor after each milestone
    Step,
    Constant,
}

/// What becomes of BatchNorm's running statistics.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum BatchNorm {
    Auto,
    /// Kept
    Frozen,
    /// Estimated once on the labelled boxes
    Recalibrated,
    /// Followed while training
    Trained,
}

/// How the last layer starts.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Head {
    Auto,
    /// As the model has it
    Keep,
    /// Random numbers
    Random,
    /// Logistic regression on the fixed features
    Probe,
}

/// Ways to vary the boxes.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Augment {
    /// Not at all
    None,
    /// Mirrored along each axis
    Mirror,
}

impl TrainArgs {
    /// The plugin's options, changed as asked.
    pub fn options(&self, plugin: Plugin) -> FineTuneOptions {
        let mut options = plugin.fine_tune_options();
        options.seed = self.seed;
        options.n_epochs = self.epochs.unwrap_or(options.n_epochs);
        options.learning_rate = self.learning_rate.unwrap_or(options.learning_rate);
        options.batch_size = self.batch_size.unwrap_or(options.batch_size);
        options.gamma = self.gamma.unwrap_or(options.gamma);
        options.momentum = self.momentum.unwrap_or(options.momentum);
        options.weight_decay = self.weight_decay.unwrap_or(options.weight_decay);
        options.n_frozen_stages = self.frozen_stages.unwrap_or(options.n_frozen_stages);
        options.validation_fraction = self.validation.unwrap_or(options.validation_fraction);
        if self.keep_last {
            options.select_best = 0;
        }
        if let Some(optimizer) = self.optimizer {
            options.optimizer = match optimizer {
                Optimizer::Adam => cinetomo_optimizer::Adam,
                Optimizer::Adamw => cinetomo_optimizer::AdamW,
                Optimizer::Sgd => cinetomo_optimizer::Sgd,
            } as i32;
        }
        if let Some(schedule) = self.schedule {
            options.schedule = match schedule {
                Schedule::Cosine => cinetomo_schedule::Cosine,
                Schedule::Step => cinetomo_schedule::Step,
                Schedule::Constant => cinetomo_schedule::Constant,
            } as i32;
        }
        if let Some(batch_norm) = self.batch_norm {
            options.batch_norm = match batch_norm {
                BatchNorm::Auto => cinetomo_batch_norm::Auto,
                BatchNorm::Frozen => cinetomo_batch_norm::Frozen,
                BatchNorm::Recalibrated => cinetomo_batch_norm::Recalibrated,
                BatchNorm::Trained => cinetomo_batch_norm::Trained,
            } as i32;
        }
        if let Some(head) = self.head {
            options.head = match head {
                Head::Auto => cinetomo_head::Auto,
                Head::Keep => cinetomo_head::Keep,
                Head::Random => cinetomo_head::Random,
                Head::Probe => cinetomo_head::Probe,
            } as i32;
        }
        if !self.augment.is_empty() {
            let bits = self.augment.iter().map(|augment| match augment {
                Augment::None => cinetomo_augment::None as i32,
                Augment::Mirror => cinetomo_augment::Mirror as i32,
            });
            options.augment = bits.fold(0, |all, bit| all | bit);
        }
        if self.milestones.is_empty() {
            options
        } else {
            options.milestones(self.milestones.clone())
        }
    }
}

impl Finetune {
    pub fn run(&self, global: &Global, console: &Console, run_file: &RunFile) -> Result<()> {
        outputs::check([self.output.as_path()], global.force)?;
        let session = Session::start(global, console)?;
        let started = match &self.model {
            Some(path) => Some(session.context.model_load(path)?),
            None => None,
        };
        let known = started.as_ref().map(|model| model.info()).transpose()?;
        let known = known.as_ref().map(|info| info.class_names.as_slice());
        let data = Labelled::open(&self.boxes, &self.labels, known, console)?;
        let model = match started {
            Some(model) => model,
            None => self.network.make(&session, &data.class_names, self.training.seed)?,
        };

        let labelled = data.labelled();
        let voxels = data.boxes.read(labelled.iter().copied())?;
        let labels: Vec<i32> = labelled.iter().map(|&index| data.labels[index]).collect();
        let volume = data.boxes.volume(&voxels)?;
        let options = self.training.options(session.plugin);
        let bar = console.bar("training");
        let tuned = session
            .call(&bar, |hooks: Hooks<'_>| model.fine_tune(&volume, &labels, &options, hooks))?;
        drop(bar);
        tuned.save(&self.output)?;
        run_file.write(&self.output)?;

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
        text += &format!("{}: the model\n", self.output.display());
        let json = json!({
            "output": self.output,
            "n": labels.len(),
            "class_names": data.class_names,
            "n_per_class": n_per_class,
            "training": training,
        });
        console.result(&text, &json)
    }
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
