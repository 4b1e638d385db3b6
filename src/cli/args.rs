//! The command line.

use std::path::PathBuf;

use cinetomo_host::abi::cinetomo_device;
use clap::{Args, Parser, ValueEnum};

use crate::{commands::Command, console::Manner};

const HELP: &str = "\
A first run, from nothing but the video weights:

  cinetomo simulate -o train.mrc --per-class 10
  cinetomo simulate -o others.mrc --per-class 20 --seed 1
  cinetomo finetune --checkpoint i3d-kinetics-400.ckpt --labels train.csv \\
      --voxel-size 10 --contrast dark -o tuned.safetensors
  cinetomo classify -m tuned.safetensors -i others.mrc --contrast dark -o classes.csv
  cinetomo evaluate --scores classes.csv --labels others.csv

Exit codes: 0 done, 1 error, 2 wrong usage, 130 interrupted (Ctrl-C, SIGTERM, SIGHUP).
Results go to standard output (--json: one JSON object), progress and log to standard error.
Output files are written whole or not at all, and never over another file without --force.
Every run leaves a file OUTPUT.run.toml beside its output; `cinetomo --config OUTPUT.run.toml
--force` repeats it.";

/// Which macromolecule is in this subtomogram? Fine-tunes a network that was trained on video on a few labelled
/// subtomograms, and classifies all others.
#[derive(Debug, Parser)]
#[command(name = "cinetomo", version, after_help = HELP, max_term_width = 100, subcommand_required = true)]
#[command(arg_required_else_help = true)]
pub struct Cli {
    /// What all commands have.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of all commands.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Options of all commands")]
pub struct Global {
    /// The plugin: its manifest, a directory of manifests, or the library itself. Without it manifests are looked for
    /// in CINETOMO_PLUGIN_PATH and in share/cinetomo/plugins of the usual places
    #[arg(long, global = true, value_name = "PATH")]
    pub plugin: Option<PathBuf>,
    /// Where to compute
    #[arg(long, global = true, value_enum, default_value_t = Device::Auto)]
    pub device: Device,
    /// Which GPU, counted from 0
    #[arg(long, global = true, value_name = "N", default_value_t = 0)]
    pub device_index: i32,
    /// CPU threads; 0 = one per core
    #[arg(long, short = 'j', global = true, value_name = "N", default_value_t = 0)]
    pub threads: i32,
    /// Take options from a TOML file (see OUTPUT.run.toml of any run); the command line wins
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Replace output files that exist
    #[arg(long, global = true)]
    pub force: bool,
    /// Print the result as one JSON object
    #[arg(long, global = true)]
    pub json: bool,
    /// No progress and no warnings
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more: what was chosen (-v), details (-vv)
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

impl Global {
    /// How much is said, and in which form.
    pub fn manner(&self) -> Manner {
        Manner { json: self.json, quiet: self.quiet, verbose: self.verbose }
    }
}

/// Where to compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Device {
    /// CUDA where it is usable, the CPU otherwise
    Auto,
    /// The CPU
    Cpu,
    /// An NVIDIA GPU
    Cuda,
}

impl Device {
    /// Its number in the contract.
    pub fn number(self) -> i32 {
        match self {
            Device::Auto => cinetomo_device::Auto as i32,
            Device::Cpu => cinetomo_device::Cpu as i32,
            Device::Cuda => cinetomo_device::Cuda as i32,
        }
    }
}
