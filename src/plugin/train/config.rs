//! How to fine-tune: what the caller chooses, and what stands where the caller leaves the choice to the library.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{calibrate::Calibration, delta};
use crate::{
    augment::{Augment, Augmentation},
    backbone::{BackboneSpec, Network},
    error::{Error, Result},
    monitor::Monitor,
};

/// Words of the C contract: what is done about classes of different sizes, what becomes of the running statistics of
/// BatchNorm, how the head starts, the rule that turns gradients into steps, what keeps weights near their start.
pub use cinetomo_abi::{
    cinetomo_balance as Balance, cinetomo_batch_norm as BatchNorm, cinetomo_head as HeadStart,
    cinetomo_optimizer as OptimizerKind, cinetomo_regularizer as Regularizer,
};

/// Initial learning rate of probe-then-tune with Adam or AdamW where the caller states none: it starts from a fitted
/// head and must not run away from it. Empirical, benches/record/accuracy.md. A training of the whole network takes
/// that of its `BackboneSpec`.
const TUNING_RATE: f64 = 3e-5;

/// Initial learning rates of SGD, `[probe-then-tune, whole training]`, where the caller states none.
///
/// Hara, Kataoka & Satoh 2018 fine-tune at 1e-3 and train from random numbers at 0.1 with batches of 256, the latter
/// scaled down to batches of 10 in proportion (Goyal et al. 2017) and rounded up; not measured here.
const SGD_RATES: [f64; 2] = [1e-3, 1e-2];

/// Fewer epochs than this are too few to train a whole network with batch statistics; a video network is then better
/// probed and tuned with frozen statistics. Empirical, benches/record/accuracy.md: at 8 epochs the latter is ahead, at
/// 24 far behind.
const WHOLE_TRAINING_EPOCHS: usize = 16;

/// Enough for any use; keeps the count of steps far from overflow.
const MAX_EPOCHS: usize = 100_000;

/// What multiplies weights and gradients must be a single-precision number.
const MAX_FACTOR: f64 = f32::MAX as f64;

/// As far as the C contract's `int32_t` goes.
const MAX_BATCH_SIZE: usize = i32::MAX as usize;

/// How to fine-tune a model. `Default` gives the defaults of the C contract (`cinetomo_fine_tune_options`).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FineTune {
    /// The rule that turns gradients into steps.
    #[serde(with = "OptimizerName")]
    pub optimizer: OptimizerKind,
    /// Initial learning rate; `None` = by the start (video or random) and the optimiser, see `LEARNING_RATES`.
    pub learning_rate: Option<f64>,
    /// Momentum of SGD, from 0 up to but not including 1.
    pub momentum: f64,
    /// Weight decay, at least 0.
    pub weight_decay: f64,
    /// How the learning rate changes over the training.
    pub schedule: Schedule,
    /// Passes over the training subtomograms, 0 to 100,000; 0 = only the head's start.
    pub n_epochs: usize,
    /// Subtomograms per step, at least 1.
    pub batch_size: usize,
    /// Seed of shuffling, splitting, augmentation, dropout and the random head.
    pub seed: u64,
    /// Fraction of each class held out to watch, choose and calibrate by, from 0 (none) to 0.5.
    pub validation_fraction: f64,
    /// With validation: return the epoch with the best validation accuracy, not the last.
    pub select_best: bool,
    /// Stages, counted from the input, that stay as they are.
    pub n_frozen_stages: usize,
    /// What becomes of the running statistics of BatchNorm.
    #[serde(with = "BatchNormName")]
    pub batch_norm: BatchNorm,
    /// How the head starts.
    #[serde(with = "HeadName")]
    pub head: HeadStart,
    /// How training subtomograms are varied.
    pub augment: Augment,
    /// What keeps the weights near those that the training starts from.
    #[serde(with = "RegularizerName")]
    pub regularizer: Regularizer,
    /// How strongly, above 0; see `Regularizer`.
    pub regularizer_strength: f64,
    /// Names of the stages whose maps DELTA compares; none = the library's choice.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub regularizer_stages: Vec<String>,
    /// What is done about classes of different sizes.
    #[serde(with = "BalanceName")]
    pub balance: Balance,
    /// Part of each label that is spread evenly over all classes, from 0 up to but not including 1 (Szegedy et al. 2016).
    pub label_smoothing: f64,
    /// Factor from the learning rate of a stage to that of the stage before it, above 0 and at most 1; the head has the
    /// full rate (Howard & Ruder 2018, with 1/2.6).
    pub stage_rate_decay: f64,
    /// Subtomograms computed at once, at least 1: a step with more of them adds up their gradients. BatchNorm sees these
    /// only.
    pub micro_batch_size: usize,
    /// Epochs without a better validation after which the training ends; 0 = never.
    pub patience: usize,
    /// Epochs that the step schedule counts as one.
    pub schedule_interval: usize,
    /// Where the state of the training is kept, and from where it goes on if it is there.
    #[serde(skip)]
    pub checkpoint: Option<PathBuf>,
    /// Epochs from one checkpoint to the next, at least 1.
    #[serde(skip)]
    pub checkpoint_interval: usize,
    /// What is learnt on the validation subtomograms when the training is over.
    pub calibration: Calibration,
}

/// How the learning rate changes over the training.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Schedule {
    /// Half a cosine from the initial learning rate to 0, step by step.
    Cosine,
    /// Multiplied by `gamma` after each epoch listed in `milestones`.
    Step {
        /// Epochs, counted from 1, rising.
        milestones: Vec<usize>,
        /// Factor, above 0.
        gamma: f64,
    },
    /// Never changes.
    Constant,
}

impl Default for FineTune {
    fn default() -> FineTune {
        FineTune {
            optimizer: OptimizerKind::Adam,
            learning_rate: None,
            momentum: 0.9,
            weight_decay: 0.0,
            schedule: Schedule::Cosine,
            n_epochs: 24,
            batch_size: 10,
            seed: 0,
            validation_fraction: 0.0,
            select_best: true,
            n_frozen_stages: 0,
            batch_norm: BatchNorm::Auto,
            head: HeadStart::Auto,
            augment: Augment::of(&[Augmentation::Mirror]),
            regularizer: Regularizer::None,
            regularizer_strength: 0.01,
            regularizer_stages: Vec::new(),
            balance: Balance::None,
            label_smoothing: 0.0,
            stage_rate_decay: 1.0,
            micro_batch_size: MAX_BATCH_SIZE,
            patience: 0,
            schedule_interval: 1,
            checkpoint: None,
            checkpoint_interval: 1,
            calibration: Calibration::default(),
        }
    }
}

impl FineTune {
    /// Fails if a value is out of its range; the message names the value and the range.
    pub fn validate(&self) -> Result<()> {
        let check = |holds: bool, message: String| match holds {
            true => Ok(()),
            false => Err(Error::invalid(message)),
        };
        if let Some(rate) = self.learning_rate {
            check(
                rate > 0.0 && rate <= MAX_FACTOR,
                format!(
                    "learning_rate is {rate:e}; it must be above 0 and at most {MAX_FACTOR:e}, or 0 \
                     for the library's choice"
                ),
            )?;
        }
        check(
            (0.0..1.0).contains(&self.momentum),
            format!("momentum is {}; it must be at least 0 and below 1", self.momentum),
        )?;
        check(
            (0.0..=MAX_FACTOR).contains(&self.weight_decay),
            format!(
                "weight_decay is {}; it must be at least 0 and at most {MAX_FACTOR:e}",
                self.weight_decay
            ),
        )?;
        check(
            (0.0..=0.5).contains(&self.validation_fraction),
            format!(
                "validation_fraction is {}; it must be from 0 to 0.5",
                self.validation_fraction
            ),
        )?;
        check(
            self.n_epochs <= MAX_EPOCHS,
            format!("n_epochs is {}; it must be from 0 to {MAX_EPOCHS}", self.n_epochs),
        )?;
        check(
            (1..=MAX_BATCH_SIZE).contains(&self.batch_size),
            format!("batch_size is {}; it must be from 1 to {MAX_BATCH_SIZE}", self.batch_size),
        )?;
        check(
            self.regularizer_strength > 0.0 && self.regularizer_strength <= MAX_FACTOR,
            format!(
                "regularizer_strength is {}; it must be above 0 and at most {MAX_FACTOR:e}",
                self.regularizer_strength
            ),
        )?;
        check(
            self.regularizer_stages.is_empty() || delta::is_wanted(self),
            format!(
                "regularizer_stages names {}, but the regulariser is {:?}; it is for DELTA",
                self.regularizer_stages.join(", "),
                self.regularizer
            ),
        )?;
        check(
            (0.0..1.0).contains(&self.label_smoothing),
            format!(
                "label_smoothing is {}; it must be at least 0 and below 1",
                self.label_smoothing
            ),
        )?;
        check(
            self.stage_rate_decay > 0.0 && self.stage_rate_decay <= 1.0,
            format!(
                "stage_rate_decay is {}; it must be above 0 and at most 1",
                self.stage_rate_decay
            ),
        )?;
        for (name, value) in [
            ("micro_batch_size", self.micro_batch_size),
            ("schedule_interval", self.schedule_interval),
            ("checkpoint_interval", self.checkpoint_interval),
        ] {
            check(value >= 1, format!("{name} is 0; it must be at least 1"))?;
        }
        check(
            self.patience == 0 || self.validation_fraction > 0.0,
            format!(
                "patience is {} without subtomograms to watch: set validation_fraction",
                self.patience
            ),
        )?;
        if let Schedule::Step { milestones, gamma } = &self.schedule {
            check(
                gamma.is_finite() && *gamma > 0.0,
                format!("gamma is {gamma}; it must be above 0"),
            )?;
            check(
                milestones.first() != Some(&0) && milestones.is_sorted_by(|a, b| a < b),
                format!("milestones are {milestones:?}; they must be at least 1 and rise"),
            )?;
        }
        self.calibration.validate().map_err(|error| error.within("calibration"))?;
        let wished = self.calibration.precision.or(self.calibration.coverage);
        check(
            wished.is_none() || self.validation_fraction > 0.0,
            "calibration: a precision or coverage is wished for, but validation_fraction is 0 and there is nothing to \
             choose a threshold on; set it above 0, or call cinetomo_model_calibrate with other labelled subtomograms"
                .to_owned(),
        )
    }

    /// The same, made to suit a network without BatchNorm, if this is one: what is asked of BatchNorm is not heeded, and
    /// AUTO starts the head of a network fresh from video by a probe, however long the training. There are no batch
    /// statistics to grow used to, and what is gained from tuning with a fitted head (Kumar et al. 2022) stays; at the
    /// low rates of transformers a random head would hardly get anywhere. Not measured here.
    pub(super) fn suited_to(
        &self,
        network: &Network,
        is_fresh_from_video: bool,
        monitor: &Monitor<'_>,
    ) -> FineTune {
        if network.has_batch_norm() {
            return self.clone();
        }
        if self.batch_norm != BatchNorm::Auto {
            monitor.info(format_args!(
                "batch_norm {:?} means nothing to {}, which has no BatchNorm",
                self.batch_norm,
                network.spec().name
            ));
        }
        let head = match self.head {
            HeadStart::Auto if is_fresh_from_video => HeadStart::Probe,
            chosen => chosen,
        };
        // Its own learning rates are those of a training of the whole network.
        FineTune { batch_norm: BatchNorm::Trained, head, ..self.clone() }
    }

    /// The same with every choice made that was left to the library, for a model of a network `spec` that started
    /// from video or not and whose last fine-tuning, if any, treated BatchNorm as `last` says; and the learning rate of
    /// the first step.
    pub(super) fn resolve(
        &self,
        spec: &BackboneSpec,
        from_video: bool,
        last: Option<BatchNorm>,
    ) -> (FineTune, f64) {
        let short = from_video && last.is_none() && self.n_epochs < WHOLE_TRAINING_EPOCHS;
        let batch_norm = match (self.batch_norm, last) {
            (BatchNorm::Auto, None | Some(BatchNorm::Auto)) if short => BatchNorm::Frozen,
            (BatchNorm::Auto, None | Some(BatchNorm::Auto)) => BatchNorm::Trained,
            // Statistics of subtomograms are in place; other ones now would be a jump that nobody asked for.
            (BatchNorm::Auto, Some(BatchNorm::Recalibrated)) => BatchNorm::Frozen,
            (BatchNorm::Auto, Some(last)) => last,
            (chosen, _) => chosen,
        };
        let head = match (self.head, last) {
            (HeadStart::Auto, Some(_)) => HeadStart::Keep,
            (HeadStart::Auto, None) if short => HeadStart::Probe,
            (HeadStart::Auto, None) => HeadStart::Random,
            (chosen, _) => chosen,
        };
        let whole = batch_norm == BatchNorm::Trained;
        let [video, random] = spec.learning_rates;
        let rate = self.learning_rate.unwrap_or(match self.optimizer {
            OptimizerKind::Sgd => SGD_RATES[usize::from(whole)],
            _ if !whole => TUNING_RATE,
            _ if from_video => video,
            _ => random,
        });
        (FineTune { learning_rate: Some(rate), batch_norm, head, ..self.clone() }, rate)
    }

    /// How BatchNorm was treated in the training that `record` (a `FineTune` in JSON) tells of; AUTO if it does not say.
    pub(super) fn recorded_batch_norm(record: &serde_json::Value) -> BatchNorm {
        record
            .get("batch_norm")
            .and_then(|name| BatchNormName::deserialize(name).ok())
            .unwrap_or(BatchNorm::Auto)
    }
}

/// Names of `OptimizerKind` in model files.
#[derive(Serialize)]
#[serde(remote = "OptimizerKind", rename_all = "lowercase")]
enum OptimizerName {
    Adam,
    AdamW,
    Sgd,
}

/// Names of `Regularizer` in model files.
#[derive(Serialize)]
#[serde(remote = "Regularizer", rename_all = "snake_case")]
enum RegularizerName {
    None,
    L2Sp,
    Mars,
    Delta,
    DeltaUniform,
}

/// Names of `Balance` in model files.
#[derive(Serialize)]
#[serde(remote = "Balance", rename_all = "snake_case")]
enum BalanceName {
    None,
    Weights,
    Sampling,
}

/// Names of `BatchNorm` in model files.
#[derive(Serialize, Deserialize)]
#[serde(remote = "BatchNorm", rename_all = "snake_case")]
enum BatchNormName {
    Auto,
    Frozen,
    Recalibrated,
    Trained,
}

/// Names of `HeadStart` in model files.
#[derive(Serialize)]
#[serde(remote = "HeadStart", rename_all = "snake_case")]
enum HeadName {
    Auto,
    Keep,
    Random,
    Probe,
    ProbeStages,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::BACKBONES;

    fn message(config: FineTune) -> String {
        config.validate().expect_err("must be refused").to_string()
    }

    #[test]
    fn each_value_out_of_range_is_named() {
        let default = FineTune::default;
        default().validate().expect("the defaults are valid");
        let wishing = |precision, coverage, validation_fraction| FineTune {
            calibration: Calibration { precision, coverage, ..Calibration::default() },
            validation_fraction,
            ..default()
        };
        wishing(Some(0.9), Some(1.0), 0.2).validate().expect("valid wishes");
        let step = |milestones: &[usize], gamma| FineTune {
            schedule: Schedule::Step { milestones: milestones.to_vec(), gamma },
            ..default()
        };
        for (config, text) in [
            (FineTune { learning_rate: Some(-1.0), ..default() }, "learning_rate is -1e0;"),
            (FineTune { learning_rate: Some(f64::NAN), ..default() }, "learning_rate is NaN;"),
            (FineTune { learning_rate: Some(1e39), ..default() }, "learning_rate is 1e39;"),
            (FineTune { momentum: 1.0, ..default() }, "momentum is 1;"),
            (FineTune { momentum: f64::NAN, ..default() }, "momentum is NaN;"),
            (FineTune { weight_decay: -0.1, ..default() }, "weight_decay is -0.1;"),
            (FineTune { weight_decay: f64::INFINITY, ..default() }, "weight_decay is inf;"),
            (FineTune { validation_fraction: 0.6, ..default() }, "validation_fraction is 0.6;"),
            (FineTune { n_epochs: 100_001, ..default() }, "n_epochs is 100001;"),
            (FineTune { batch_size: 0, ..default() }, "batch_size is 0;"),
            (FineTune { regularizer_strength: 0.0, ..default() }, "regularizer_strength is 0;"),
            (FineTune { label_smoothing: 1.0, ..default() }, "label_smoothing is 1;"),
            (FineTune { stage_rate_decay: 0.0, ..default() }, "stage_rate_decay is 0;"),
            (FineTune { stage_rate_decay: 1.5, ..default() }, "stage_rate_decay is 1.5;"),
            (FineTune { micro_batch_size: 0, ..default() }, "micro_batch_size is 0;"),
            (FineTune { schedule_interval: 0, ..default() }, "schedule_interval is 0;"),
            (FineTune { checkpoint_interval: 0, ..default() }, "checkpoint_interval is 0;"),
            (FineTune { patience: 3, ..default() }, "patience is 3 without"),
            (wishing(Some(1.5), None, 0.2), "calibration: precision is 1.5;"),
            (wishing(None, Some(f64::NAN), 0.2), "calibration: coverage is NaN;"),
            (wishing(Some(0.9), None, 0.0), "calibration: a precision or coverage is wished for"),
            (step(&[2], 0.0), "gamma is 0;"),
            (step(&[0, 2], 0.1), "milestones are [0, 2];"),
            (step(&[3, 3], 0.1), "milestones are [3, 3];"),
        ] {
            assert!(message(config.clone()).starts_with(text), "{config:?}");
        }
        step(&[1, 3], 0.1).validate().expect("valid milestones");
    }

    /// The C contract says what AUTO means; a fine-tuned model goes on as it is.
    #[test]
    fn what_is_left_to_the_library_depends_on_the_start() {
        let spec = BACKBONES[0];
        let chosen = |from_video, last, n_epochs| {
            let asked = FineTune { n_epochs, ..FineTune::default() };
            let (config, rate) = asked.resolve(spec, from_video, last);
            assert_eq!(config.learning_rate, Some(rate));
            (config.batch_norm, config.head, config.learning_rate)
        };
        use {BatchNorm::*, HeadStart::*};
        for n_epochs in [0, 8, 15] {
            assert_eq!(chosen(true, None, n_epochs), (Frozen, Probe, Some(3e-5)));
            assert_eq!(chosen(false, None, n_epochs), (Trained, Random, Some(1e-3)));
        }
        assert_eq!(chosen(true, None, 16), (Trained, Random, Some(1e-3)));
        assert_eq!(chosen(false, None, 16), (Trained, Random, Some(1e-3)));
        assert_eq!(chosen(true, Some(Frozen), 24), (Frozen, Keep, Some(3e-5)));
        assert_eq!(chosen(true, Some(Trained), 8), (Trained, Keep, Some(1e-3)));
        assert_eq!(chosen(true, Some(Recalibrated), 24), (Frozen, Keep, Some(3e-5)));
        assert_eq!(chosen(false, Some(Trained), 24), (Trained, Keep, Some(1e-3)));

        let explicit = FineTune {
            learning_rate: Some(0.5),
            batch_norm: Recalibrated,
            head: Random,
            ..FineTune::default()
        };
        assert_eq!(explicit.resolve(spec, true, Some(Frozen)), (explicit.clone(), 0.5));
    }

    #[test]
    fn the_record_in_the_model_file_is_readable() {
        let config = FineTune {
            schedule: Schedule::Step { milestones: vec![15, 22], gamma: 0.1 },
            ..FineTune { n_epochs: 8, ..FineTune::default() }.resolve(BACKBONES[0], true, None).0
        };
        let json = serde_json::to_value(config).expect("serialise");
        assert_eq!(json["optimizer"], "adam");
        assert_eq!(json["batch_norm"], "frozen");
        assert_eq!(json["head"], "probe");
        assert_eq!(json["learning_rate"], 3e-5);
        assert_eq!(json["schedule"]["kind"], "step");
        assert_eq!(json["schedule"]["milestones"], serde_json::json!([15, 22]));
        assert_eq!(json["augment"], serde_json::json!(["mirror"]));
        assert_eq!(FineTune::recorded_batch_norm(&json), BatchNorm::Frozen);
        assert_eq!(FineTune::recorded_batch_norm(&serde_json::json!({})), BatchNorm::Auto);
    }
}
