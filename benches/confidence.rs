//! What confidence is worth on simulated subtomograms: calibration before and after, and the rejection of a class that the
//! model does not know.
//!
//! `calibration`: all classes are known; one CSV row a seed and kind of probabilities, on subtomograms that chose nothing.
//! `unknown`: one class in turn is left out of the training; one CSV row each, with the area under the ROC curve of telling
//! the unknown class from the known ones, and what each rule lets through at the threshold that it chose by itself.

mod simulated;

use std::path::PathBuf;

use cinetomo_host::{Context, Hooks, Model, ModelOptions, Plugin, abi::cinetomo_reject as Reject};
use clap::{Parser, ValueEnum};

use self::simulated::Data;

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Study {
    Calibration,
    Unknown,
}

/// Fine-tunes, calibrates, and measures on subtomograms that neither saw.
#[derive(Parser)]
struct Options {
    /// The shared library.
    #[arg(long)]
    library: PathBuf,
    /// The video checkpoint.
    #[arg(long, env = "CINETOMO_I3D")]
    checkpoint: PathBuf,
    /// What to measure.
    #[arg(long, value_enum)]
    study: Study,
    /// Classes that are left out in turn, for `unknown`; all by default.
    #[arg(long, value_delimiter = ',')]
    unknown: Vec<usize>,
    /// Epochs.
    #[arg(long, default_value_t = 24)]
    epochs: i32,
    /// Labelled subtomograms per class, of which `validation_fraction` is held out to calibrate on.
    #[arg(long, default_value_t = 15)]
    per_class: usize,
    /// Fraction of the labelled that is held out.
    #[arg(long, default_value_t = 1.0 / 3.0)]
    validation_fraction: f64,
    /// 1: of the epochs the one with the best validation accuracy, 0: the last.
    #[arg(long, default_value_t = 1)]
    select_best: i32,
    /// Test subtomograms per class.
    #[arg(long, default_value_t = 40)]
    test_per_class: usize,
    /// Signal-to-noise ratio.
    #[arg(long, default_value_t = 0.1)]
    snr: f64,
    /// Mirror images that are averaged over.
    #[arg(long, default_value_t = 8)]
    n_views: i32,
    /// CPU threads; 0 = one per core.
    #[arg(long, default_value_t = 0)]
    threads: i32,
    /// Seeds of data and training.
    #[arg(long, value_delimiter = ',', default_value = "0,1,2")]
    seed: Vec<u64>,
}

fn main() {
    let options = Options::parse();
    let plugin = Plugin::open(&options.library, "cinetomo_get_api").expect("the plugin");
    let mut context_options = plugin.context_options();
    context_options.n_threads = options.threads;
    let context = plugin
        .context(context_options.log(cinetomo_host::abi::cinetomo_log_level::Info, |_, line| {
            if !line.starts_with("epoch") {
                eprintln!("{line}");
            }
        }))
        .expect("a context");
    let names = context.synthetic().expect("the extension").phantom_names();
    match options.study {
        Study::Calibration => {
            println!(
                "seed,probabilities,accuracy,ece,log_loss,brier,temperature,temperature_error"
            );
            for &seed in &options.seed {
                calibration(&context, &options, &names, seed);
            }
        }
        Study::Unknown => {
            println!(
                "seed,unknown,accuracy_of_known,auroc_probability,auroc_distance,rule,known_accepted,\
                 precision_of_known_accepted,unknown_rejected"
            );
            let all: Vec<usize> = (0..names.len()).collect();
            for &seed in &options.seed {
                let unknown = if options.unknown.is_empty() { &all } else { &options.unknown };
                for &unknown in unknown {
                    leave_out(&context, &options, &names, unknown, seed);
                }
            }
        }
    }
}

/// A model of these classes, fine-tuned and calibrated on subtomograms of a seed.
fn tuned(context: &Context, options: &Options, names: &[String], data: &Data, seed: u64) -> Model {
    let plugin = context.plugin();
    let mut model_options = ModelOptions::new(names);
    model_options.seed = seed;
    let mut preprocess = plugin.preprocess_options();
    preprocess.n_views = options.n_views;
    model_options.preprocess = Some(preprocess);
    let video = context.model_from_video(&options.checkpoint, &model_options, Hooks::none());
    let mut calibration = plugin.calibration_options();
    calibration.reject = Reject::Probability as i32 | Reject::Distance as i32;
    let mut training = plugin.fine_tune_options().calibration(calibration);
    training.n_epochs = options.epochs;
    training.validation_fraction = options.validation_fraction;
    training.select_best = options.select_best;
    training.seed = seed;
    video
        .and_then(|video| video.fine_tune(&data.volume(), &data.labels, &training, Hooks::none()))
        .expect("a tuned model")
}

/// `n` of each of these phantoms, in turn.
fn in_turn(phantoms: &[i32], n: usize) -> Vec<i32> {
    (0..phantoms.len() * n).map(|index| phantoms[index % phantoms.len()]).collect()
}

fn calibration(context: &Context, options: &Options, names: &[String], seed: u64) {
    let phantoms: Vec<i32> = (0..names.len() as i32).collect();
    // Far apart, so that no seed's labelled subtomograms are another's test.
    let simulate = |n, seed| Data::simulate(context, &in_turn(&phantoms, n), options.snr, seed);
    let labelled = simulate(options.per_class, 1_000_000 + seed);
    let test = simulate(options.test_per_class, 2_000_000 + seed);
    let model = tuned(context, options, names, &labelled, seed);
    let mut nothing = context.plugin().calibration_options();
    (nothing.temperature, nothing.reject) = (0, 0);
    let raw = model.calibrate(&labelled.volume(), &labelled.labels, &nothing, Hooks::none());
    for (name, model) in [("raw", raw.expect("an uncalibrated model")), ("calibrated", model)] {
        let scores = model.classify(&test.volume(), Hooks::none()).expect("scores");
        let metrics =
            context.plugin().evaluate(&scores, &test.labels, names.len()).expect("metrics");
        let confidence = model.confidence().expect("confidence");
        println!(
            "{seed},{name},{:.4},{:.4},{:.4},{:.4},{:.3},{:.3}",
            metrics.accuracy,
            metrics.expected_calibration_error,
            metrics.log_loss,
            metrics.brier_score,
            confidence.temperature,
            confidence.temperature_error
        );
    }
}

fn leave_out(context: &Context, options: &Options, names: &[String], unknown: usize, seed: u64) {
    let plugin = context.plugin();
    let all: Vec<i32> = (0..names.len() as i32).collect();
    let known: Vec<i32> = all.iter().copied().filter(|&p| p != unknown as i32).collect();
    let known_names: Vec<String> = known.iter().map(|&p| names[p as usize].clone()).collect();
    let class_of = |phantom: i32| known.iter().position(|&p| p == phantom);
    let as_classes = |mut data: Data| {
        for label in &mut data.labels {
            *label = class_of(*label).map_or(-1, |class| class as i32);
        }
        data
    };
    let labelled = in_turn(&known, options.per_class);
    let labelled = as_classes(Data::simulate(context, &labelled, options.snr, 3_000_000 + seed));
    let test = in_turn(&all, options.test_per_class);
    let test = as_classes(Data::simulate(context, &test, options.snr, 4_000_000 + seed));
    let model = tuned(context, options, &known_names, &labelled, seed);

    let distance_rule = Reject::Distance as i32;
    let got = model.predict(&test.volume(), distance_rule, Hooks::none()).expect("predictions");
    let distances = got.distances.expect("distances");
    let n_classes = known.len();
    let accuracy = plugin.evaluate(&got.probabilities, &test.labels, n_classes).expect("metrics");
    // Scores for "unknown", which is class 1.
    let is_unknown: Vec<i32> = test.labels.iter().map(|&label| i32::from(label == -1)).collect();
    let highest = |row: &[f32]| row.iter().copied().fold(0.0, f32::max);
    let sureness: Vec<f32> = got.probabilities.chunks(n_classes).map(highest).collect();
    let unsure: Vec<f32> = sureness.iter().map(|p| -p).collect();
    let area = |scores: &[f32]| {
        let scores: Vec<f32> = scores.iter().flat_map(|&score| [-score, score]).collect();
        plugin.evaluate(&scores, &is_unknown, 2).expect("an area").macro_auc
    };
    let areas = format!(
        "{seed},{},{:.3},{:.3},{:.3}",
        names[unknown],
        accuracy.accuracy,
        area(&unsure),
        area(&distances)
    );
    // One pass is enough: the rules are comparisons with the model's thresholds.
    let confidence = model.confidence().expect("confidence");
    let sure = |i: usize| f64::from(sureness[i]) >= confidence.probability.value;
    let near = |i: usize| f64::from(distances[i]) <= confidence.distance.value;
    let predicted = |i: usize| {
        let row = &got.probabilities[i * n_classes..][..n_classes];
        row.iter().position(|&p| p == sureness[i]).map_or(-1, |class| class as i32)
    };
    let rules: [(&str, &dyn Fn(usize) -> bool); 3] =
        [("probability", &sure), ("distance", &near), ("both", &|i| sure(i) && near(i))];
    for (rule, accepts) in rules {
        let labels: Vec<i32> = (0..test.labels.len())
            .map(|index| if accepts(index) { predicted(index) } else { -1 })
            .collect();
        if rule == "distance" {
            assert_eq!(labels, got.labels, "the rule is the comparison");
        }
        let count = |of: &dyn Fn(i32, i32) -> bool| {
            let pairs = test.labels.iter().zip(&labels);
            pairs.filter(|(truth, given)| of(**truth, **given)).count() as f64
        };
        let accepted = count(&|truth, given| truth >= 0 && given >= 0);
        let correct = count(&|truth, given| truth >= 0 && given == truth);
        let rejected = count(&|truth, given| truth == -1 && given == -1);
        println!(
            "{areas},{rule},{:.3},{:.3},{:.3}",
            accepted / count(&|truth, _| truth >= 0),
            correct / accepted,
            rejected / count(&|truth, _| truth == -1)
        );
    }
}
