//! `cinetomo weights`: what a checkpoint of a video network holds.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::{
    args::Global,
    console::Console,
    failure::{Failure, Result},
    session,
};

const EXAMPLES: &str = "\
Nothing in a checkpoint is ever run. Read are PyTorch's (.pth .pt .bin, old and new), safetensors, each also in parts with
an index (.index.json), numpy (.npz) and flax pickles.

Examples:
  cinetomo weights inspect r3d18_kinetics.pth
  cinetomo weights inspect i3d-kinetics-400.ckpt --tensors
  cinetomo weights inspect model.safetensors --json | jq .network";

/// Looks into checkpoints.
#[derive(Args, Debug)]
pub struct Weights {
    #[command(subcommand)]
    command: WeightsCommand,
}

#[derive(Debug, Subcommand)]
enum WeightsCommand {
    /// Say what a checkpoint holds, and whether a network can start from it
    Inspect(Inspect),
}

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
struct Inspect {
    /// The checkpoint
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// List all tensors
    #[arg(long)]
    tensors: bool,
}

impl Weights {
    pub fn run(&self, global: &Global, console: &Console) -> Result<()> {
        let WeightsCommand::Inspect(inspect) = &self.command;
        let plugin = session::load(global.plugin.as_deref())?;
        let json = plugin.weights_inspect(&inspect.file)?;
        let json: Value = serde_json::from_str(&json)
            .map_err(|error| Failure::at(&inspect.file, format!("the plugin's answer: {error}")))?;
        console.result(&inspect.describe(&json), &json)
    }
}

impl Inspect {
    fn describe(&self, json: &Value) -> String {
        let text_of = |key: &str| json[key].as_str().unwrap_or_default();
        let bytes = json["n_bytes"].as_f64().unwrap_or(0.0);
        let tensors = json["tensors"].as_array().map_or(&[][..], Vec::as_slice);
        let mut text = format!(
            "{}: {}\n  {:.1} MB, {} tensors, SHA-256 {}\n",
            self.file.display(),
            text_of("container"),
            bytes / 1e6,
            tensors.len(),
            text_of("sha256")
        );
        match json["network"].as_str() {
            Some(network) => {
                text += &format!("  network: {network}: a model can start from it\n");
                if let Some(n_classes) = json["n_classes"].as_u64() {
                    text += &format!("  its video head: {n_classes} classes\n");
                }
            }
            None => {
                text += "  no network that cinetomo knows\n";
                if let Some(nearest) = json["nearest"].as_str() {
                    text += &format!("  nearest: {nearest}; what is wrong:\n");
                }
                let wrong =
                    json["wrong"].as_array().into_iter().flatten().filter_map(Value::as_str);
                text.extend(wrong.map(|wrong| format!("    {wrong}\n")));
                if !text_of("guess").is_empty() {
                    text += &format!("  {}\n", text_of("guess"));
                }
            }
        }
        if let Some(metadata) = json["metadata"].as_object() {
            text.extend(metadata.iter().map(|(key, value)| {
                format!("  {key}: {}\n", value.as_str().map_or(value.to_string(), str::to_owned))
            }));
        }
        if self.tensors {
            text.extend(tensors.iter().map(|tensor| {
                let name = tensor["name"].as_str().unwrap_or_default();
                let dtype = tensor["dtype"].as_str().unwrap_or_default();
                format!("  {name}  {dtype} {}\n", tensor["shape"])
            }));
        }
        text
    }
}
