//! `cinetomo init`: a checkpoint becomes a model file.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::info::describe_model;
use crate::{
    args::Global, console::Console, failure::Result, outputs, run_file::RunFile, session::Session,
    start::NetworkArgs,
};

const EXAMPLES: &str = "\
A model that was not trained yet knows its classes by name only; finetune teaches them. `cinetomo finetune
--checkpoint` does both at once.

Examples:
  cinetomo init --checkpoint i3d-kinetics-400.ckpt --classes ribosome proteasome other -o start.safetensors
  cinetomo init --random --classes ribosome other -o baseline.safetensors
  cinetomo init --checkpoint i3d-kinetics-400.ckpt --classes a b --input-size 32 128 128 -o paper.safetensors";

/// Makes a model file.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Init {
    #[command(flatten)]
    network: NetworkArgs,
    /// Names of the classes, at least two
    #[arg(long, value_name = "NAME", num_args = 1.., required = true)]
    classes: Vec<String>,
    /// Seed of what starts as random numbers
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// The model file
    #[arg(long, short, value_name = "FILE.safetensors")]
    output: PathBuf,
}

impl Init {
    pub fn run(&self, global: &Global, console: &Console, run_file: &RunFile) -> Result<()> {
        outputs::check([self.output.as_path()], global.force)?;
        let session = Session::start(global, console)?;
        let model = self.network.make(&session, &self.classes, self.seed)?;
        model.save(&self.output)?;
        run_file.write(&self.output)?;
        let (text, json) = describe_model(&self.output, &model.info()?);
        console.result(&text, &json!({ "output": self.output, "model": json }))
    }
}
