//! Accuracy on held-out simulated subtomograms, for video and for random numbers: one CSV row per training.
//!
//! Training and test subtomograms of a seed are drawn from different streams and never shared. Nothing is chosen here:
//! every combination of the options is trained and every result is printed.

mod plugin;
mod simulated;

use std::{path::PathBuf, time::Instant};

use cinetomo_host::{Context, Hooks, ModelOptions};
use clap::{Parser, ValueEnum};

use self::simulated::Data;

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Start {
    Video,
    Random,
}

/// Trains every combination of the options and prints what each scores on held-out subtomograms.
#[derive(Parser)]
struct Options {
    /// The shared library.
    #[arg(long)]
    library: PathBuf,
    /// The video checkpoint.
    #[arg(long, env = "CINETOMO_I3D")]
    checkpoint: PathBuf,
    /// Where the networks start.
    #[arg(long, value_delimiter = ',', default_value = "video,random")]
    start: Vec<Start>,
    /// Initial learning rates; 0 = the library's choice.
    #[arg(long, value_delimiter = ',', default_value = "0")]
    learning_rate: Vec<f64>,
    /// Epochs.
    #[arg(long, value_delimiter = ',', default_value = "8")]
    epochs: Vec<i32>,
    /// Head: 0 auto, 1 keep, 2 random, 3 probe.
    #[arg(long, value_delimiter = ',', default_value = "0", value_parser = clap::value_parser!(i32).range(0..=3))]
    head: Vec<i32>,
    /// BatchNorm: 0 auto, 1 frozen, 2 recalibrated, 3 trained.
    #[arg(long, value_delimiter = ',', default_value = "0", value_parser = clap::value_parser!(i32).range(0..=3))]
    batch_norm: Vec<i32>,
    /// Edge of the network's input along y and x; 0 = as simulated.
    #[arg(long, value_delimiter = ',', default_value = "0")]
    input_edge: Vec<i64>,
    /// Subtomograms per step.
    #[arg(long, default_value_t = 10)]
    batch_size: i32,
    /// Augmentations, each a sum of those of `cinetomo_augment`.
    #[arg(long, value_delimiter = ',', default_value = "1")]
    augment: Vec<i32>,
    /// Signal-to-noise ratios.
    #[arg(long, value_delimiter = ',', default_value = "0.1")]
    snr: Vec<f64>,
    /// Labelled subtomograms per class.
    #[arg(long, value_delimiter = ',', default_value = "10")]
    per_class: Vec<usize>,
    /// Held-out subtomograms per class.
    #[arg(long, default_value_t = 40)]
    test_per_class: usize,
    /// CPU threads; 0 = one per core.
    #[arg(long, default_value_t = 0)]
    threads: i32,
    /// Seeds of data and training.
    #[arg(long, value_delimiter = ',', default_value = "0,1,2")]
    seed: Vec<u64>,
}

/// Subtomograms of all phantoms in turn, so many of each.
fn simulate(context: &Context, n_per_class: usize, snr: f64, seed: u64) -> Data {
    let n_classes = context.synthetic().expect("the extension").phantom_names().len();
    let labels: Vec<i32> =
        (0..n_classes * n_per_class).map(|index| (index % n_classes) as i32).collect();
    Data::simulate(context, &labels, snr, seed)
}

/// One training.
#[derive(Clone, Copy, Debug)]
struct Run {
    start: Start,
    learning_rate: f64,
    epochs: i32,
    head: i32,
    batch_norm: i32,
    input_edge: i64,
    augment: i32,
}

fn main() {
    let options = Options::parse();
    let context = plugin::context(&options.library, options.threads);
    println!(
        "start,learning_rate,epochs,head,batch_norm,input_edge,augment,snr,per_class,seed,accuracy,macro_auc,train_s,test_s"
    );
    for &seed in &options.seed {
        for &snr in &options.snr {
            // Far apart, so that no seed's training set is another's test set.
            let test = simulate(&context, options.test_per_class, snr, 2_000_000 + seed);
            for &n_per_class in &options.per_class {
                let train = simulate(&context, n_per_class, snr, 1_000_000 + seed);
                for run in runs(&options) {
                    let row = measure(&context, &options, run, seed, &train, &test);
                    let Run { start, learning_rate, epochs, head, batch_norm, input_edge, augment } =
                        run;
                    println!(
                        "{start:?},{learning_rate},{epochs},{head},{batch_norm},{input_edge},{augment},{snr},{n_per_class},{seed},{row}"
                    );
                }
            }
        }
    }
}

fn runs(options: &Options) -> Vec<Run> {
    let mut runs = Vec::new();
    for &start in &options.start {
        for &input_edge in &options.input_edge {
            for &learning_rate in &options.learning_rate {
                for &epochs in &options.epochs {
                    for &head in &options.head {
                        for &batch_norm in &options.batch_norm {
                            runs.extend(options.augment.iter().map(|&augment| Run {
                                start,
                                learning_rate,
                                epochs,
                                head,
                                batch_norm,
                                input_edge,
                                augment,
                            }));
                        }
                    }
                }
            }
        }
    }
    runs
}

fn measure(
    context: &Context,
    options: &Options,
    run: Run,
    seed: u64,
    train: &Data,
    test: &Data,
) -> String {
    let plugin = context.plugin();
    let mut model_options =
        ModelOptions::new(context.synthetic().expect("the extension").phantom_names());
    model_options.seed = seed;
    let mut preprocess = plugin.preprocess_options();
    preprocess.input_size = [0, run.input_edge, run.input_edge];
    model_options.preprocess = Some(preprocess);
    let model = match run.start {
        Start::Video => {
            context.model_from_video(&options.checkpoint, &model_options, Hooks::none())
        }
        Start::Random => context.model_random(&model_options),
    }
    .expect("a model");
    let mut training = plugin.fine_tune_options();
    training.learning_rate = run.learning_rate;
    training.n_epochs = run.epochs;
    training.head = run.head;
    training.batch_norm = run.batch_norm;
    training.batch_size = options.batch_size;
    training.augment = run.augment;
    training.seed = seed;
    let begin = Instant::now();
    let tuned = model.fine_tune(&train.volume(), &train.labels, &training, Hooks::none());
    let train_s = begin.elapsed().as_secs_f64();
    let tuned = match tuned {
        Ok(tuned) => tuned,
        // A learning rate that is too high is a result, too.
        Err(error) => return format!("NaN,NaN,{train_s:.1},NaN # {error}"),
    };
    let begin = Instant::now();
    let scores = tuned.classify(&test.volume(), Hooks::none()).expect("scores");
    let test_s = begin.elapsed().as_secs_f64();
    let metrics = plugin.evaluate(&scores, &test.labels, 7).expect("metrics");
    format!("{:.4},{:.4},{train_s:.1},{test_s:.1}", metrics.accuracy, metrics.macro_auc)
}
