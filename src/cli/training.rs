//! How a model is trained, as options of the command line; what is not given is the plugin's choice.

use cinetomo_host::{
    FineTuneOptions, Plugin,
    abi::{
        cinetomo_augment, cinetomo_balance, cinetomo_batch_norm, cinetomo_calibration_options,
        cinetomo_head, cinetomo_optimizer, cinetomo_preset, cinetomo_regularizer, cinetomo_reject,
        cinetomo_schedule,
    },
};
use clap::{Args, ValueEnum};

use crate::failure::Result;

/// Options of a training.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Training")]
pub struct TrainArgs {
    /// A training that has a name; other options change it [default: default]
    #[arg(long, value_enum)]
    pub preset: Option<Preset>,
    /// Passes over the labelled boxes; 0 = only the head's start [default: 24]
    #[arg(long, value_name = "N")]
    pub epochs: Option<i32>,
    /// Initial learning rate [default: by network, optimiser and BatchNorm]
    #[arg(long, value_name = "X")]
    pub learning_rate: Option<f64>,
    /// Boxes per step [default: 10]
    #[arg(long, value_name = "N")]
    pub batch_size: Option<i32>,
    /// Boxes computed at once: a step with more adds up gradients [default: all of a step]
    #[arg(long, value_name = "N")]
    pub micro_batch_size: Option<i32>,
    /// Rule that turns gradients into steps [default: adam]
    #[arg(long, value_enum)]
    pub optimizer: Option<Optimizer>,
    /// How the learning rate falls [default: cosine]
    #[arg(long, value_enum)]
    pub schedule: Option<Schedule>,
    /// Epochs after which the step schedule lowers the learning rate, such as 15,22
    #[arg(long, value_name = "EPOCHS", value_delimiter = ',')]
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
    /// Factor from the learning rate of a stage to that of the stage before it [default: 1]
    #[arg(long, value_name = "X")]
    pub stage_rate_decay: Option<f64>,
    /// What keeps weights near their start [default: none]
    #[arg(long, value_enum)]
    pub regularizer: Option<Regularizer>,
    /// Strength of the regulariser [default: 0.01]
    #[arg(long, value_name = "X")]
    pub regularizer_strength: Option<f64>,
    /// Stages whose feature maps delta compares, such as layer3,layer4 [default: the last four]
    #[arg(long, value_name = "STAGES", value_delimiter = ',')]
    pub regularizer_stages: Vec<String>,
    /// Part of each label that is spread over all classes [default: 0]
    #[arg(long, value_name = "X")]
    pub label_smoothing: Option<f64>,
    /// What is done about classes of different sizes [default: none]
    #[arg(long, value_enum)]
    pub balance: Option<Balance>,
    /// What becomes of BatchNorm's running statistics [default: auto]
    #[arg(long, value_enum)]
    pub batch_norm: Option<BatchNorm>,
    /// How the last layer starts [default: auto]
    #[arg(long, value_enum)]
    pub head: Option<Head>,
    /// Ways to vary the boxes, such as mirror,noise [default: mirror]
    #[arg(long, value_enum, value_delimiter = ',')]
    pub augment: Vec<Augment>,
    /// Stages, counted from the input, that stay as they are [default: 0]
    #[arg(long, value_name = "N")]
    pub frozen_stages: Option<i32>,
    /// Fraction of each class that is held out to watch, choose and calibrate by, up to 0.5 [default: 0]
    #[arg(long, value_name = "FRACTION")]
    pub validation: Option<f64>,
    /// Return the last epoch, not the one that was best in validation
    #[arg(long)]
    pub keep_last: bool,
    /// Epochs without a better validation after which the training ends [default: never]
    #[arg(long, value_name = "N")]
    pub patience: Option<i32>,
    /// Rules by which classify may give no class, whose thresholds are learnt on the validation boxes [default:
    /// probability]
    #[arg(long, value_enum, value_delimiter = ',')]
    pub calibrate: Vec<Reject>,
}

/// A training that has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// Measured to be best at few labels
    Default,
    /// The paper's training of a video network
    PaperVideo,
    /// The paper's training of random numbers
    PaperRandom,
    /// No training: logistic regression on the features as they are, of the stage where they tell most
    Probe,
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

/// What keeps weights near their start.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Regularizer {
    None,
    /// Squared distance from the start (Li et al. 2018)
    L2Sp,
    /// Bound on the distance of each layer (Gouk et al. 2021)
    Mars,
    /// Distance of feature maps from the start, channels weighed by what they tell (Li et al. 2019)
    Delta,
    /// The same, all channels alike
    DeltaUniform,
}

/// What is done about classes of different sizes.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Balance {
    None,
    /// Boxes of small classes count more
    Weights,
    /// Boxes of small classes are drawn more often
    Sampling,
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
    /// The same on those of the stage where they tell most; what comes after it is left out
    ProbeStages,
}

/// Ways to vary the boxes.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Augment {
    /// Not at all
    None,
    /// Mirrored along each axis
    Mirror,
    /// A part stretched to the whole (the paper's)
    Crop,
    /// Turned, shifted and scaled in the plane (the paper's)
    Affine,
    /// Turned by up to 10 degrees
    Rotate,
    /// White noise
    Noise,
    /// Grey values stretched and shifted
    Intensity,
    /// A further missing wedge
    Wedge,
    /// Boxes mixed with each other
    Mixup,
}

/// A rule by which a box may be given no class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Reject {
    /// The class is not probable enough
    Probability,
    /// The box is far from those of all classes in the training
    Distance,
}

/// These rules as the contract has them.
pub fn reject_bits(rules: &[Reject]) -> i32 {
    let bit = |rule: &Reject| match rule {
        Reject::Probability => cinetomo_reject::Probability as i32,
        Reject::Distance => cinetomo_reject::Distance as i32,
    };
    rules.iter().map(bit).fold(0, |all, bit| all | bit)
}

impl TrainArgs {
    /// The plugin's options, changed as asked. `otherwise` is the preset where none was asked for.
    ///
    /// # Errors
    /// A text has a NUL in it.
    pub fn options(&self, plugin: Plugin, otherwise: Preset, seed: u64) -> Result<FineTuneOptions> {
        let mut options = plugin.fine_tune_preset(match self.preset.unwrap_or(otherwise) {
            Preset::Default => cinetomo_preset::Default,
            Preset::PaperVideo => cinetomo_preset::PaperVideo,
            Preset::PaperRandom => cinetomo_preset::PaperRandom,
            Preset::Probe => cinetomo_preset::Probe,
        });
        options.seed = seed;
        set(&mut options.n_epochs, self.epochs);
        set(&mut options.learning_rate, self.learning_rate);
        set(&mut options.batch_size, self.batch_size);
        set(&mut options.micro_batch_size, self.micro_batch_size);
        set(&mut options.gamma, self.gamma);
        set(&mut options.momentum, self.momentum);
        set(&mut options.weight_decay, self.weight_decay);
        set(&mut options.stage_rate_decay, self.stage_rate_decay);
        set(&mut options.regularizer_strength, self.regularizer_strength);
        set(&mut options.label_smoothing, self.label_smoothing);
        set(&mut options.n_frozen_stages, self.frozen_stages);
        set(&mut options.validation_fraction, self.validation);
        set(&mut options.patience, self.patience);
        set(&mut options.select_best, self.keep_last.then_some(0));
        set(&mut options.optimizer, self.optimizer.map(Optimizer::number));
        set(&mut options.schedule, self.schedule.map(Schedule::number));
        set(&mut options.regularizer, self.regularizer.map(Regularizer::number));
        set(&mut options.balance, self.balance.map(Balance::number));
        set(&mut options.batch_norm, self.batch_norm.map(BatchNorm::number));
        set(&mut options.head, self.head.map(Head::number));
        if !self.augment.is_empty() {
            options.augment = self.augment.iter().fold(0, |all, augment| all | augment.bit());
        }
        if !self.calibrate.is_empty() {
            options = options.calibration(cinetomo_calibration_options {
                reject: reject_bits(&self.calibrate),
                ..plugin.calibration_options()
            });
        }
        if !self.regularizer_stages.is_empty() {
            options = options.regularizer_stages(&self.regularizer_stages)?;
        }
        if !self.milestones.is_empty() {
            options = options.milestones(self.milestones.clone());
        }
        Ok(options)
    }
}

/// Changes an option that was asked for.
fn set<T>(option: &mut T, asked: Option<T>) {
    if let Some(asked) = asked {
        *option = asked;
    }
}

/// The numbers of the contract.
macro_rules! numbers {
    ($($choice:ident::$method:ident => $of_contract:ident { $($variant:ident = $name:ident),* })*) => {
        $(impl $choice {
            fn $method(self) -> i32 {
                match self {
                    $($choice::$variant => $of_contract::$name as i32,)*
                }
            }
        })*
    };
}
numbers! {
    Optimizer::number => cinetomo_optimizer { Adam = Adam, Adamw = AdamW, Sgd = Sgd }
    Schedule::number => cinetomo_schedule { Cosine = Cosine, Step = Step, Constant = Constant }
    Regularizer::number => cinetomo_regularizer {
        None = None, L2Sp = L2Sp, Mars = Mars, Delta = Delta, DeltaUniform = DeltaUniform
    }
    Balance::number => cinetomo_balance { None = None, Weights = Weights, Sampling = Sampling }
    BatchNorm::number => cinetomo_batch_norm {
        Auto = Auto, Frozen = Frozen, Recalibrated = Recalibrated, Trained = Trained
    }
    Head::number => cinetomo_head {
        Auto = Auto, Keep = Keep, Random = Random, Probe = Probe, ProbeStages = ProbeStages
    }
    Augment::bit => cinetomo_augment {
        None = None, Mirror = Mirror, Crop = Crop, Affine = Affine, Rotate = Rotate, Noise = Noise,
        Intensity = Intensity, Wedge = Wedge, Mixup = Mixup
    }
}
