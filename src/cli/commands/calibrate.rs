//! `cinetomo calibrate`: probabilities that say how often the model is right, and thresholds for "I do not know".

use std::path::PathBuf;

use cinetomo_host::{
    Hooks,
    abi::{cinetomo_calibration_options, cinetomo_confidence, cinetomo_threshold},
};
use clap::Args;
use serde_json::{Value, json};

use super::evaluate::number;
use crate::{
    args::Global,
    boxes::BoxArgs,
    console::Console,
    failure::Result,
    outputs,
    run_file::RunFile,
    session::Session,
    training::{Reject, reject_bits},
    truth::{LabelArgs, Labelled},
};

const EXAMPLES: &str = "\
The labelled boxes must be others than those that the model was trained on. `cinetomo finetune --validation 0.2`
calibrates on those that it holds out. `cinetomo classify --reject probability` then gives no class where the model is
not sure enough.

Examples:
  cinetomo calibrate -m tuned.safetensors --labels held_out.csv -o calibrated.safetensors
  cinetomo calibrate -m tuned.safetensors --labels held_out.csv --precision 0.95 -o strict.safetensors";

/// Calibrates a model.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Calibrate {
    /// The model
    #[arg(long, short, value_name = "FILE.safetensors")]
    model: PathBuf,
    #[command(flatten)]
    boxes: BoxArgs,
    #[command(flatten)]
    labels: LabelArgs,
    /// Wanted fraction of the accepted boxes that is classified correctly
    #[arg(long, value_name = "FRACTION")]
    precision: Option<f64>,
    /// Wanted fraction of the boxes that is accepted [default: 0.95 if no precision is wanted]
    #[arg(long, value_name = "FRACTION")]
    coverage: Option<f64>,
    /// Leave probabilities as they are
    #[arg(long)]
    no_temperature: bool,
    /// Rules that get a threshold; distance needs a model that was trained with --calibrate distance
    #[arg(long, value_enum, value_delimiter = ',', default_value = "probability")]
    reject: Vec<Reject>,
    /// The calibrated model
    #[arg(long, short, value_name = "FILE.safetensors")]
    output: PathBuf,
}

impl Calibrate {
    pub fn run(&self, global: &Global, console: &Console, run_file: &RunFile) -> Result<()> {
        outputs::check([self.output.as_path()], global.force)?;
        let session = Session::start(global, console)?;
        let model = session.context.model_load(&self.model)?;
        let class_names = model.info()?.class_names;
        let data = Labelled::open(&self.boxes, &self.labels, Some(&class_names), console)?;
        let labelled = data.labelled();
        let voxels = data.boxes.read(labelled.iter().copied())?;
        let labels: Vec<i32> = labelled.iter().map(|&index| data.labels[index]).collect();
        let volume = data.boxes.volume(&voxels)?;
        let defaults = session.plugin.calibration_options();
        let options = cinetomo_calibration_options {
            precision: self.precision.unwrap_or(defaults.precision),
            coverage: self.coverage.unwrap_or(defaults.coverage),
            temperature: i32::from(!self.no_temperature),
            reject: reject_bits(&self.reject),
            ..defaults
        };
        let bar = console.bar("calibrating");
        let calibrated = session
            .call(&bar, |hooks: Hooks<'_>| model.calibrate(&volume, &labels, &options, hooks))?;
        drop(bar);
        calibrated.save(&self.output)?;
        run_file.write(&self.output)?;
        let confidence = calibrated.confidence()?;
        let text = describe(&confidence) + &format!("{}: the model\n", self.output.display());
        let json = json!({ "output": self.output, "confidence": to_json(&confidence) });
        console.result(&text, &json)
    }
}

/// What probabilities rest on, in words.
pub fn describe(confidence: &cinetomo_confidence) -> String {
    if confidence.n_calibration == 0 {
        return "probabilities are not calibrated\n".to_owned();
    }
    let mut text = format!(
        "calibrated on {} boxes: temperature {:.2}, log loss {:.3} before, {:.3} after\n",
        confidence.n_calibration,
        confidence.temperature,
        confidence.log_loss_before,
        confidence.log_loss_after
    );
    for (name, threshold) in
        [("probability", confidence.probability), ("distance", confidence.distance)]
    {
        let cinetomo_threshold { value, n_accepted, n_correct, precision_low, precision_high } =
            threshold;
        if !value.is_nan() {
            text += &format!(
                "threshold on {name}: {value:.3} accepts {n_accepted}, of which {n_correct} are right ({:.0} to {:.0} %)\n",
                100.0 * precision_low,
                100.0 * precision_high
            );
        }
    }
    text
}

/// The same as JSON.
pub fn to_json(confidence: &cinetomo_confidence) -> Value {
    let threshold = |threshold: cinetomo_threshold| {
        (!threshold.value.is_nan()).then(|| {
            json!({
                "value": threshold.value,
                "n_accepted": threshold.n_accepted,
                "n_correct": threshold.n_correct,
                "precision_95": [number(threshold.precision_low), number(threshold.precision_high)],
            })
        })
    };
    json!({
        "n_calibration": confidence.n_calibration,
        "temperature": number(confidence.temperature),
        "log_loss_before": number(confidence.log_loss_before),
        "log_loss_after": number(confidence.log_loss_after),
        "probability": threshold(confidence.probability),
        "distance": threshold(confidence.distance),
    })
}
