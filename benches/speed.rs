//! Classification, or the steps of a fine-tuning, beside other libraries, in one run: milliseconds a subtomogram.
//!
//! Ours starts from boxes of 32 x 32 x 32 floats in the host's memory and goes through the C interface; the peers (benches/peers.py) are handed the
//! network's input ready-made, upsampled and in three channels. All work in turn, round after round, so that whatever else the machine does meets all of
//! them. A step of ours is what lies between two reports of progress: preparing and augmenting a batch, forward, backward, Adam.

mod plugin;
mod section;

use std::{
    io::{BufRead, BufReader, Write},
    ops::ControlFlow,
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use cinetomo_host::{
    Context, FineTuneOptions, Hooks, Model, ModelOptions, Plugin, Progress, Volume,
    abi::{cinetomo_batch_norm, cinetomo_head, cinetomo_stage},
};
use clap::Parser;

/// Prints a table in Markdown.
#[derive(Parser)]
struct Options {
    /// The shared library.
    #[arg(long)]
    library: PathBuf,
    /// Python that has the peers.
    #[arg(long)]
    python: PathBuf,
    /// The program that runs them.
    #[arg(long, default_value = "benches/peers.py")]
    peers: PathBuf,
    /// Measure the steps of a fine-tuning, with BatchNorm's statistics trained, instead of classification.
    #[arg(long)]
    train: bool,
    /// Networks to work with.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "resnet3d_34,i3d,r3d_18,swin3d_t,vivit_b_16x2"
    )]
    network: Vec<String>,
    /// CPU threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Subtomograms at once.
    #[arg(long, default_value_t = 4)]
    batch: usize,
    /// Rounds, in each of which every contender works once.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Seconds after which no further round of a network begins.
    #[arg(long, default_value_t = 120)]
    seconds: u64,
    /// File in which the section of what is measured is replaced.
    #[arg(long)]
    record: Option<PathBuf>,
    /// Size of the networks' input along z, y, x.
    #[arg(long, value_delimiter = ',', default_value = "32,128,128")]
    input_size: Vec<i64>,
}

/// Voxels along an edge of a box.
const BOX_SIZE: i64 = 32;

fn main() {
    let options = Options::parse();
    let context = plugin::context(&options.library, options.threads as i32);
    let n_batches = if options.train { N_STEPS } else { 1 };
    let n = options.batch * n_batches;
    let voxels = noise(n * BOX_SIZE.pow(3) as usize);
    let shape = [n as i64, BOX_SIZE, BOX_SIZE, BOX_SIZE];
    let volume = Volume::new(&voxels, shape).expect("a volume");
    let labels: Vec<i32> = (0..n).map(|index| (index % 2) as i32).collect();
    let training = training(&context.plugin(), &options);

    let mut report = format!(
        "{}, batches of {}, input {:?}, up to {} rounds\n\n\
         | network | | least, ms | median, ms | ours / it |\n|---|---|---|---|---|\n",
        section::machine(options.threads),
        options.batch,
        options.input_size,
        options.rounds
    );
    print!("{report}");
    for network in &options.network {
        let model = model(&context, network, &options);
        let classify = || {
            let start = Instant::now();
            model.classify(&volume, Hooks::none()).expect("probabilities");
            start.elapsed()
        };
        let train = || step(&model, &volume, &labels, &training);
        let rows = match options.train {
            true => compare(network, train, &options),
            false => compare(network, classify, &options),
        };
        print!("{rows}");
        report.push_str(&rows);
    }
    if let Some(path) = &options.record {
        let work = if options.train { "Fine-tuning" } else { "Classification" };
        let size: Vec<String> = options.input_size.iter().map(i64::to_string).collect();
        section::replace(path, &format!("## {work}, {}", size.join(" x ")), &report);
    }
}

/// Steps of a training, the first of which also gets memory that later ones have.
const N_STEPS: usize = 3;

/// One epoch without what is beside its steps.
fn training(plugin: &Plugin, options: &Options) -> FineTuneOptions {
    let mut training = plugin.fine_tune_options();
    training.n_epochs = 1;
    training.batch_size = options.batch as i32;
    training.micro_batch_size = 0;
    training.validation_fraction = 0.0;
    training.select_best = 0;
    training.head = cinetomo_head::Keep as i32;
    training.batch_norm = cinetomo_batch_norm::Trained as i32;
    training
}

/// The fastest step of a training but the first.
fn step(
    model: &Model,
    volume: &Volume<'_>,
    labels: &[i32],
    training: &FineTuneOptions,
) -> Duration {
    let mut reports = Vec::new();
    let mut report = |progress: &Progress| {
        if progress.stage == cinetomo_stage::Train as i32 {
            reports.push(Instant::now());
        }
        ControlFlow::Continue(())
    };
    let tuned = model.fine_tune(volume, labels, training, Hooks::progress(&mut report));
    drop(tuned.expect("a training"));
    let steps = reports[..N_STEPS].windows(2).map(|pair| pair[1] - pair[0]);
    steps.min().expect("two reports")
}

/// A row for each contender.
fn compare(network: &str, ours: impl Fn() -> Duration, options: &Options) -> String {
    let mut peers = Peers::start(network, options);
    let mut names = vec!["cinetomo".to_owned()];
    names.extend(peers.names.iter().cloned());
    let mut milliseconds: Vec<Vec<f64>> = vec![Vec::new(); names.len()];
    ours();
    let begin = Instant::now();
    for _ in 0..options.rounds {
        if begin.elapsed() > Duration::from_secs(options.seconds) {
            break;
        }
        milliseconds[0].push(1000.0 * ours().as_secs_f64());
        for (name, milliseconds) in names.iter().zip(&mut milliseconds).skip(1) {
            milliseconds.push(peers.work(name));
        }
    }
    let (mut least, mut median) = (Vec::new(), Vec::new());
    for times in &mut milliseconds {
        times.sort_by(f64::total_cmp);
        least.push(times[0] / options.batch as f64);
        median.push(times[times.len() / 2] / options.batch as f64);
    }
    let row = |(index, name): (usize, &String)| {
        let (ratio, least, median) = (least[0] / least[index], least[index], median[index]);
        let [least, median] = [least, median].map(|time| match time {
            time if time < 100.0 => format!("{time:.1}"),
            time => format!("{time:.0}"),
        });
        format!("| `{network}` | {name} | {least} | {median} | {ratio:.2} |\n")
    };
    names.iter().enumerate().map(row).collect()
}

/// A Python process with the peers of a network.
struct Peers {
    process: Child,
    requests: Option<ChildStdin>,
    replies: BufReader<ChildStdout>,
    names: Vec<String>,
}

impl Peers {
    fn start(network: &str, options: &Options) -> Peers {
        let numbers = [options.threads as i64, options.batch as i64];
        let mut process = Command::new(&options.python)
            .arg(&options.peers)
            .arg(if options.train { "train" } else { "classify" })
            .arg(network)
            .args(numbers.iter().chain(&options.input_size).map(i64::to_string))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python with the peers");
        let requests = process.stdin.take();
        let replies = BufReader::new(process.stdout.take().expect("a pipe"));
        let mut peers = Peers { process, requests, replies, names: Vec::new() };
        peers.names = peers.reply().split('\t').map(str::to_owned).collect();
        peers
    }

    fn reply(&mut self) -> String {
        let mut line = String::new();
        self.replies.read_line(&mut line).expect("a reply");
        assert!(!line.is_empty(), "the peers ended; what they said is above");
        line.trim_end().to_owned()
    }

    /// Milliseconds that the peer of that name takes for a batch.
    fn work(&mut self, name: &str) -> f64 {
        let requests = self.requests.as_mut().expect("they are open until the end");
        writeln!(requests, "{name}").expect("the peers listen");
        self.reply().parse().expect("milliseconds")
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        // At the end of the requests the program ends.
        drop(self.requests.take());
        let _ = self.process.wait();
    }
}

fn model(context: &Context, network: &str, options: &Options) -> Model {
    let mut preprocess = context.plugin().preprocess_options();
    preprocess.input_size = options.input_size[..].try_into().expect("three numbers");
    preprocess.n_views = 1;
    let mut model = ModelOptions::new(["a", "b"]);
    model.backbone = Some(network.to_owned());
    model.preprocess = Some(preprocess);
    context.model_random(&model).expect("a model")
}

fn noise(n: usize) -> Vec<f32> {
    (0..n).map(|index| (index as f32 * 0.7).sin() + (index as f32 * 0.013).cos()).collect()
}
