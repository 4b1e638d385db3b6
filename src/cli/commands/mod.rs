//! The commands, one file each.

mod calibrate;
mod classify;
mod completions;
mod embed;
mod evaluate;
mod experiment;
mod explain;
mod extract;
mod finetune;
mod info;
mod init;
mod man;
mod pick;
mod relion;
mod report;
mod simulate;
mod tomogram;
mod weights;

pub use self::relion::fail_relion_job;

use clap::Subcommand;

use crate::{args::Global, console::Console, failure::Result, run_file::RunFile};

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say what a file is, or what this machine computes with
    Info(info::Info),
    /// Look into checkpoints of video networks
    Weights(weights::Weights),
    /// Simulate labelled subtomograms, to learn, to test and to train
    Simulate(Box<simulate::Simulate>),
    /// Make a model file of a video checkpoint or of random numbers
    Init(init::Init),
    /// Train on labelled subtomograms
    Finetune(Box<finetune::Finetune>),
    /// Learn on other labelled subtomograms how sure a model is
    Calibrate(calibrate::Calibrate),
    /// Say which class each subtomogram is of
    Classify(classify::Classify),
    /// Pick particles in a tomogram
    Pick(pick::Pick),
    /// Cut boxes around particles out of tomograms
    Extract(extract::Extract),
    /// Pick, extract and classify the particles of a tomogram
    Tomogram(Box<tomogram::TomogramCommand>),
    /// Write what the network sees in each subtomogram: a row of numbers
    Embed(embed::Embed),
    /// Map where in each box the evidence for a class lies
    Explain(explain::Explain),
    /// Compare results with labels
    Evaluate(evaluate::Evaluate),
    /// Measure a model on labelled boxes and show all of it on one page
    Report(report::Report),
    /// Measure what video weights are worth on your data, as the paper does
    Experiment(Box<experiment::Experiment>),
    /// Classify as an External job of RELION
    Relion(relion::Relion),
    /// Print completions for a shell
    Completions(completions::Completions),
    /// Write the manual pages
    Man(man::Man),
}

/// Does it.
///
/// # Errors
/// Whatever ends the command early.
pub fn run(
    command: &Command,
    global: &Global,
    console: &Console,
    run_file: &RunFile,
) -> Result<()> {
    match command {
        Command::Info(info) => info.run(global, console),
        Command::Weights(weights) => weights.run(global, console),
        Command::Simulate(simulate) => simulate.run(global, console, run_file),
        Command::Init(init) => init.run(global, console, run_file),
        Command::Finetune(finetune) => finetune.run(global, console, run_file),
        Command::Calibrate(calibrate) => calibrate.run(global, console, run_file),
        Command::Classify(classify) => classify.run(global, console, run_file),
        Command::Pick(pick) => pick.run(global, console, run_file),
        Command::Extract(extract) => extract.run(global, console, run_file),
        Command::Tomogram(tomogram) => tomogram.run(global, console, run_file),
        Command::Embed(embed) => embed.run(global, console, run_file),
        Command::Explain(explain) => explain.run(global, console, run_file),
        Command::Evaluate(evaluate) => evaluate.run(global, console, run_file),
        Command::Report(report) => report.run(global, console, run_file),
        Command::Experiment(experiment) => experiment.run(global, console, run_file),
        Command::Relion(relion) => relion.run(global, console, run_file),
        Command::Completions(completions) => completions.run(),
        Command::Man(man) => man.run(global),
    }
}
