//! What every network costs: weights, multiply-adds, seconds and memory, the latter estimated and measured.
//!
//! Memory is measured in a process of its own for each row: the peak of its resident memory (VmHWM) above what it held
//! before the model was made, when libtorch had already worked once.

use std::{env, fs, process::Command, time::Instant};

use cinetomo::{
    backbone::{Architecture, BACKBONES, BatchNormMode, Network},
    memory::Work,
    model::{Model, ModelConfig},
    monitor::Monitor,
    parameters::Start,
    preprocess::Preprocess,
    train::{BatchNorm, FineTune, HeadStart, fine_tune},
    volume::Volume,
};
use clap::{Parser, ValueEnum};
use tch::{Device, Kind, Tensor};

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Measure {
    /// Seconds of a forward pass of one box.
    Speed,
    /// Peak memory of two classifications.
    Classify,
    /// Peak memory of a fine-tuning of two steps.
    Train,
}

/// Prints one line a network and measurement.
#[derive(Parser)]
struct Options {
    /// Networks; all unless named.
    #[arg(long, value_delimiter = ',')]
    network: Vec<String>,
    /// What is measured.
    #[arg(long, value_delimiter = ',', default_value = "speed,classify,train")]
    measure: Vec<Measure>,
    /// Size of the boxes along z, y, x.
    #[arg(long, value_delimiter = ',', default_value = "32,128,128")]
    box_size: Vec<i64>,
    /// Subtomograms a batch; 0 = as many as classification takes.
    #[arg(long, default_value_t = 0)]
    batch_size: usize,
    /// Size that boxes are resized to along z, y, x; 0 = as they come.
    #[arg(long, value_delimiter = ',', default_value = "0,0,0")]
    input_size: Vec<i64>,
    /// Training: subtomograms computed at once; 0 = all of a batch.
    #[arg(long, default_value_t = 0)]
    micro_batch_size: usize,
    /// Training: stages that stay as they are.
    #[arg(long, default_value_t = 0)]
    frozen_stages: usize,
    /// Training: BatchNorm keeps its statistics.
    #[arg(long)]
    frozen_statistics: bool,
    /// CPU threads.
    #[arg(long, default_value_t = 2)]
    threads: i32,
    /// Measure in this process.
    #[arg(long, hide = true)]
    here: bool,
}

impl Options {
    fn box_size(&self) -> [i64; 3] {
        self.box_size[..].try_into().expect("three numbers for --box-size")
    }
}

fn main() {
    let options = Options::parse();
    tch::set_num_threads(options.threads);
    let all = || BACKBONES.iter().map(|spec| spec.name.to_owned()).collect();
    let names = if options.network.is_empty() { all() } else { options.network.clone() };
    for name in &names {
        for &what in &options.measure {
            if options.here {
                measure(name, what, &options);
                continue;
            }
            let text = what.to_possible_value().expect("no value is hidden").get_name().to_owned();
            // Here, so that the process that measures makes one model only.
            let batch_size = match options.batch_size {
                0 => model(name, &options).batch_size(options.box_size()).expect("a size"),
                n => n,
            };
            let sizes =
                |sizes: &[i64]| sizes.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
            let mut child = Command::new(env::current_exe().expect("the program's own path"));
            child
                .args(["--here", "--network", name, "--measure", &text])
                .args(["--box-size", &sizes(&options.box_size)])
                .args(["--batch-size", &batch_size.to_string()])
                .args(["--input-size", &sizes(&options.input_size)])
                .args(["--micro-batch-size", &options.micro_batch_size.to_string()])
                .args(["--frozen-stages", &options.frozen_stages.to_string()])
                .args(["--threads", &options.threads.to_string()]);
            if options.frozen_statistics {
                child.arg("--frozen-statistics");
            }
            let status = child.status().expect("the program itself");
            if !status.success() {
                println!("{name} {text}: {status}");
            }
        }
    }
}

fn measure(name: &str, what: Measure, options: &Options) {
    match what {
        Measure::Speed => speed(name, options.box_size()),
        Measure::Classify | Measure::Train => memory(name, what, options),
    }
}

/// The least of three passes after one to warm up.
fn speed(name: &str, [z, y, x]: [i64; 3]) {
    let architecture = Architecture::parse(name).expect("a network");
    let network = Network::new(architecture, Device::Cpu, Start::random(0)).expect("a network");
    let cost = network.cost([z, y, x]).expect("a walk");
    let input = Tensor::zeros([1, 1, z, y, x], (Kind::Float, Device::Cpu));
    let seconds = (0..4).map(|_| {
        let start = Instant::now();
        let _ = tch::no_grad(|| network.features(&input, BatchNormMode::Folded)).expect("a pass");
        start.elapsed().as_secs_f64()
    });
    let least = seconds.skip(1).fold(f64::INFINITY, f64::min);
    let (weights, adds) = (network.parameters.n_weights(), cost.multiply_adds);
    println!(
        "{name}: {:.1} million weights, {:.2} giga-multiply-adds, {least:.3} s a box of {z} x {y} x {x}",
        weights as f64 / 1e6,
        adds as f64 / 1e9
    );
}

fn memory(name: &str, what: Measure, of: &Options) {
    let (box_size, batch_size) = (of.box_size(), of.batch_size);
    // What libtorch and oneDNN take once.
    let options = (Kind::Float, Device::Cpu);
    let weight = Tensor::ones([8, 1, 3, 3, 3], options).set_requires_grad(true);
    let output = Tensor::ones([1, 1, 16, 16, 16], options)
        .conv3d(&weight, None::<Tensor>, 1, 0, 1, 1)
        .relu();
    output.sum(Kind::Float).backward();
    drop((weight, output));

    // The caller's voxels are not counted, so they are there before.
    let n = if what == Measure::Train { 2 * batch_size } else { batch_size };
    let n_voxels = box_size.iter().product::<i64>() as usize;
    let voxels: Vec<f32> = (0..n * n_voxels).map(|i| (i as f32 * 0.7).sin()).collect();
    let [z, y, x] = box_size;
    let volume = Volume::from_slice(&voxels, [n as i64, z, y, x]).expect("a volume");
    drop(voxels);

    let (before, code) = (resident("VmRSS:"), resident("RssFile:"));
    fs::write("/proc/self/clear_refs", "5").expect("a new peak");
    let model = model(name, of);
    let monitor = &mut Monitor::silent();
    let (work, batch_size) = match what {
        Measure::Train => {
            let labels: Vec<i32> = (0..n as i32).map(|i| i % 2).collect();
            let at_once = match of.micro_batch_size {
                0 => batch_size,
                n => n.min(batch_size),
            };
            let config = FineTune {
                n_epochs: 1,
                batch_size,
                micro_batch_size: at_once,
                n_frozen_stages: of.frozen_stages,
                batch_norm: if of.frozen_statistics { BatchNorm::Frozen } else { BatchNorm::Auto },
                head: HeadStart::Keep,
                ..FineTune::default()
            };
            fine_tune(&model, &volume, &labels, &config, monitor).expect("a training");
            let work = Work::Training {
                n_frozen_stages: of.frozen_stages,
                // Adam's two moments.
                n_copies: 2 + u64::from(at_once < batch_size),
                maps: 0,
                n_of_step: batch_size as u64,
            };
            (work, at_once)
        }
        _ => {
            for _ in 0..2 {
                model.classify(&volume, monitor).expect("a classification");
            }
            (Work::Inference, model.batch_size(box_size).expect("a size").min(n))
        }
    };
    // Pages of libtorch's code that were read meanwhile are the machine's cache, not this process's memory.
    let measured = resident("VmHWM:") - before - (resident("RssFile:") - code);
    let estimate = model.memory_estimate(box_size, batch_size, work).expect("an estimate");
    println!(
        "{name}, {what:?}, batches of {batch_size} boxes of {z} x {y} x {x}: estimate {:.0} MB, measured {:.0} MB, {:+.0} %",
        estimate as f64 / 1e6,
        measured as f64 / 1e6,
        (estimate as f64 / measured as f64 - 1.0) * 100.0
    );
}

fn model(name: &str, options: &Options) -> Model {
    let input_size = options.input_size[..].try_into().expect("three numbers for --input-size");
    let config = ModelConfig {
        backbone: Some(name.to_owned()),
        class_names: vec!["a".to_owned(), "b".to_owned()],
        preprocess: Preprocess { n_views: 1, input_size, ..Preprocess::default() },
        seed: 0,
        dropout: 0.0,
    };
    Model::random(config, Device::Cpu).expect("a model")
}

/// A line of /proc/self/status, in bytes.
fn resident(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("the line");
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kibibytes * 1024
}
