//! `cinetomo classify`: which class each subtomogram is of.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::{
    args::Global,
    boxes::{BoxArgs, Boxes},
    console::Console,
    failure::{Failure, Result},
    outputs,
    predictions::{Selection, classify},
    run_file::RunFile,
    session::Session,
    shard::Shard,
};

const EXAMPLES: &str = "\
Outputs, by their extension; several may be named:
  .csv          path, label, probability, probability_<class>, and group where the input states one
  .star         the input list with rlnClassNumber set (classes count from 1, in the order of the model) and
                with the columns cinetomoProbability and cinetomoProbability_<class>; all else as it was
  .tbl          the input Dynamo table with column 22 (class) set; all else as it was
  .npy          probabilities, an array [n, classes] of 32-bit floats
With --reject, boxes may be given no class: an empty label, class 0 in lists. The thresholds are those of the model's
calibration (finetune --validation, or calibrate).
Boxes are read and classified in chunks: memory does not grow with their number. A list is held in memory, some
hundred bytes a particle.

Examples:
  cinetomo classify -m tuned.safetensors -i boxes/ --contrast dark -o classes.csv
  cinetomo classify -m tuned.safetensors -i Extract/job012/particles.star --project . \\
      -o classes.star classes.csv
  cinetomo classify -m tuned.safetensors -i table.tbl --data particles/ -o classes.tbl
  cinetomo classify -m tuned.safetensors -i particles.star -o ribosomes.star --keep ribosome \\
      --min-probability 0.9
  cinetomo classify -m tuned.safetensors -i particles.star --shard 2/8 -o classes.2.csv
  cinetomo classify -m calibrated.safetensors -i boxes/ --reject probability -o classes.csv";

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
    #[command(flatten)]
    selection: Selection,
    /// Classify only the K-th of N shares of the boxes, in their order, and write only these: for N processes, or
    /// machines, that divide the work. Their outputs one after the other are those of the whole run
    #[arg(long, value_name = "K/N")]
    shard: Option<Shard>,
}

impl Classify {
    pub fn run(&self, global: &Global, console: &Console, run_file: &RunFile) -> Result<()> {
        outputs::check(self.output.iter().map(PathBuf::as_path), global.force)?;
        let session = Session::start(global, console)?;
        let model = session.context.model_load(&self.model)?;
        if model.confidence()?.n_calibration == 0 {
            console.info("the model was not calibrated: its probabilities are the network's own");
        }
        let boxes = Boxes::open(&self.boxes, console)?;
        let which = match self.shard {
            Some(shard) => shard.of(boxes.len()).map_err(Failure::Usage)?,
            None => 0..boxes.len(),
        };
        let reject = self.selection.reject_rules(&model, &self.model)?;
        let (outputs, selection) = (&self.output, &self.selection);
        let counts = classify(&session, &model, &boxes, which.clone(), reject, outputs, selection)?;
        for output in &self.output {
            run_file.write(output)?;
        }
        let json = json!({
            "output": self.output,
            "n": which.len(),
            "class_names": counts.class_names,
            "n_per_class": counts.n_per_class,
            "n_rejected": counts.n_rejected,
        });
        console.result(&counts.table(), &json)
    }
}
