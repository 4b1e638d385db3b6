//! What the library costs beside the work itself: loading it, calling it, reading a checkpoint, the first classification of a model.
//!
//! All through the C interface, as a host would. Each number stands beside what it is compared with in the same process and run.

mod plugin;
mod section;

use std::{
    env, fs,
    hint::black_box,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Instant,
};

use cinetomo_host::{
    Context, Hooks, Model, ModelOptions, Volume,
    abi::{cinetomo_preset, cinetomo_stage},
};
use clap::Parser;

/// Prints a table in Markdown.
#[derive(Clone, Debug, Parser)]
struct Options {
    /// The shared library.
    #[arg(long)]
    library: PathBuf,
    /// A checkpoint; that of benches/overheads.py is written for it.
    #[arg(long)]
    checkpoint: PathBuf,
    /// CPU threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// File in which the section of what is measured is replaced.
    #[arg(long)]
    record: Option<PathBuf>,
    /// Print only the seconds until the library is ready.
    #[arg(long, hide = true)]
    ready: bool,
}

/// Measurements, of which the least counts.
const ROUNDS: usize = 5;

fn main() {
    let options = Options::parse();
    if options.ready {
        return println!("{}", ready(&options).1);
    }
    let machine = section::machine(options.threads);
    let mut report = format!("{machine}\n\n| what | measured | goal | |\n|---|---|---|---|\n");
    let mut show = |what: &str, measured: String, goal: &str, held: bool| {
        let held = if held || goal.is_empty() { "" } else { "missed" };
        let row = format!("| {what} | {measured} | {goal} | {held} |");
        println!("{row}");
        report.push_str(&format!("{row}\n"));
    };
    let seconds = least(|| ready_elsewhere(&options));
    show("`dlopen` to a context, a new process", format!("{seconds:.2} s"), "1.5 s", seconds < 1.5);

    let (context, _) = ready(&options);
    let read = least(|| timed(|| fs::read(&options.checkpoint).expect("the checkpoint")));
    let bytes = fs::metadata(&options.checkpoint).expect("the checkpoint").len();
    let load = least(|| timed(|| from_video(&context, &options.checkpoint)));
    let (megabytes, ratio) = (bytes as f64 / 1e6, load / read);
    show(&format!("reading a file of {megabytes:.0} MB into memory"), milliseconds(read), "", true);
    let compared = |ratio: f64| format!("{ratio:.2} times reading");
    show(
        "`model_from_video` of it",
        format!("{}, {}", milliseconds(load), compared(ratio)),
        "1.5 times",
        ratio < 1.5,
    );

    let model = from_video(&context, &options.checkpoint);
    let directory = env::temp_dir().join(format!("cinetomo-overheads-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("a temporary directory");
    let saved = directory.join("model.safetensors");
    model.save(&saved).expect("a model file");
    let read = least(|| timed(|| fs::read(&saved).expect("the model file")));
    let load = least(|| timed(|| context.model_load(&saved).expect("the model")));
    let ratio = load / read;
    show(
        "`model_load` of its model file",
        format!("{}, {}", milliseconds(load), compared(ratio)),
        "1.5 times",
        ratio < 1.5,
    );

    let voxels = noise(4 * 32 * 32 * 32);
    let volume = Volume::new(&voxels, [4, 32, 32, 32]).expect("a volume");
    let classify =
        |model: &Model| timed(|| model.classify(&volume, Hooks::none()).expect("classes"));
    let mut firsts = Vec::new();
    let mut others = Vec::new();
    for _ in 0..3 {
        let model = context.model_load(&saved).expect("the model");
        firsts.push(classify(&model));
        others.push(classify(&model));
    }
    fs::remove_dir_all(&directory).expect("the temporary directory");
    let smallest = |times: &[f64]| times.iter().copied().fold(f64::INFINITY, f64::min);
    // The very first one of a process also waits for libtorch's and the kernel's own beginnings.
    let (very_first, first, other) = (firsts[0], smallest(&firsts), smallest(&others));
    let text =
        format!("{}, {}, {}", milliseconds(very_first), milliseconds(first), milliseconds(other));
    show(
        "classification of 4 boxes, 32 x 128 x 128: the first of the process, the first of a model, the second",
        text,
        "",
        true,
    );
    show("what the first takes more", milliseconds(first - other), "", true);

    for (name, seconds) in calls(&context, &model, &options) {
        let text = format!("{:.2} us", seconds * 1e6);
        show(&format!("call: {name}"), text, "20 us", seconds < 20e-6);
    }
    let plugin = context.plugin();
    let constant = [0.0; 8];
    let constant = Volume::new(&constant, [1, 2, 2, 2]).expect("a volume");
    for (name, seconds) in [
        (
            "context_new, free: asks for cores and devices",
            call(|| drop(plugin.context(plugin.context_options()))),
        ),
        (
            "runtime_info_get: asks for libraries and drivers, too",
            call(|| drop(plugin.runtime_info())),
        ),
        (
            "memory_estimate: walks through the network",
            call(|| drop(model.memory_estimate([32, 64, 64], 4, cinetomo_stage::Classify))),
        ),
        (
            "model_classify, refused at its first box",
            call(|| drop(model.classify(&constant, Hooks::none()))),
        ),
    ] {
        show(&format!("call: {name}"), milliseconds(seconds), "", true);
    }
    for (name, times, is_goal) in scaling(&options) {
        let goal = if is_goal { format!("{} times", options.threads) } else { String::new() };
        show(
            name,
            format!("{times:.2} times one model on one thread"),
            &goal,
            times > 0.85 * options.threads as f64,
        );
    }
    if let Some(path) = &options.record {
        section::replace(path, "## Measured", &report);
    }
}

/// Boxes in a second as multiples of what one model with one thread classifies: of a model with several threads, and of as many threads of the host, each
/// with a context and a model of its own that has one thread.
fn scaling(options: &Options) -> Vec<(&'static str, f64, bool)> {
    const N: usize = 48;
    let model = |n_threads| {
        let options = Options { threads: n_threads, ..options.clone() };
        let (context, _) = ready(&options);
        let mut preprocess = context.plugin().preprocess_options();
        preprocess.n_views = 1;
        let mut options = ModelOptions::new(["a", "b"]);
        options.preprocess = Some(preprocess);
        context.model_random(&options).expect("a model")
    };
    let voxels = noise(N * 32 * 32 * 32);
    let classify = |model: &Model| {
        let volume = Volume::new(&voxels, [N as i64, 32, 32, 32]).expect("a volume");
        drop(model.classify(&volume, Hooks::none()).expect("classes"));
    };
    let models: Vec<Model> = (0..options.threads).map(|_| model(1)).collect();
    let wide = model(options.threads);
    models.iter().chain([&wide]).for_each(classify);
    let one = least(|| timed(|| classify(&models[0])));
    let several = least(|| timed(|| classify(&wide)));
    let side_by_side = || {
        thread::scope(|scope| {
            for model in &models {
                scope.spawn(|| classify(model));
            }
        });
    };
    let each = least(|| timed(side_by_side));
    vec![
        ("I3D, 32 x 32 x 32: one model on all threads", one / several, false),
        (
            "I3D, 32 x 32 x 32: a thread of the host and a model for each",
            one * models.len() as f64 / each,
            true,
        ),
    ]
}

/// Calls that do no work, and the seconds that each takes from Rust, its own checks and copies of strings included.
fn calls(context: &Context, model: &Model, options: &Options) -> Vec<(&'static str, f64)> {
    let plugin = context.plugin();
    let probabilities = [0.9, 0.1, 0.2, 0.8];
    let missing = options.checkpoint.with_extension("missing");
    vec![
        ("version", call(|| drop(plugin.version()))),
        ("status_name", call(|| drop(plugin.status_name(2)))),
        ("context_options_init", call(|| drop(plugin.context_options()))),
        (
            "fine_tune_options_preset",
            call(|| drop(plugin.fine_tune_preset(cinetomo_preset::PaperVideo))),
        ),
        ("preprocess_init", call(|| _ = black_box(plugin.preprocess_options()))),
        (
            "preprocess_preset",
            call(|| _ = black_box(plugin.preprocess_preset(cinetomo_preset::PaperVideo))),
        ),
        ("calibration_options_init", call(|| _ = black_box(plugin.calibration_options()))),
        ("split_options_init", call(|| _ = black_box(plugin.split_options()))),
        ("get_extension", call(|| drop(context.pick()))),
        ("cancel_new, raise, free", call(|| plugin.cancel().expect("a cancel").raise())),
        ("model_info_get", call(|| drop(model.info()))),
        ("model_confidence_get", call(|| _ = black_box(model.confidence()))),
        (
            "evaluate, 2 subtomograms",
            call(|| _ = black_box(plugin.evaluate(&probabilities, &[0, 1], 2))),
        ),
        (
            "split, 4 labels",
            call(|| _ = black_box(plugin.split(&[0, 1, 0, 1], None, &plugin.split_options()))),
        ),
        ("model_load, refused: no such file", call(|| _ = black_box(context.model_load(&missing)))),
    ]
}

/// Seconds of a call: the median of batches.
fn call(work: impl Fn()) -> f64 {
    const IN_BATCH: usize = 200;
    let mut batches: Vec<f64> =
        (0..15).map(|_| timed(|| (0..IN_BATCH).for_each(|_| work())) / IN_BATCH as f64).collect();
    batches.sort_by(f64::total_cmp);
    batches[batches.len() / 2]
}

/// A context, and the seconds from `dlopen` until it was there.
fn ready(options: &Options) -> (Context, f64) {
    let start = Instant::now();
    let context = plugin::context(&options.library, options.threads as i32);
    (context, start.elapsed().as_secs_f64())
}

/// The same seconds in a process of its own.
fn ready_elsewhere(options: &Options) -> f64 {
    let output = Command::new(env::current_exe().expect("the program's own path"))
        .arg("--ready")
        .arg("--library")
        .arg(&options.library)
        .arg("--checkpoint")
        .arg(&options.checkpoint)
        .output()
        .expect("the program itself");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("seconds")
}

fn from_video(context: &Context, checkpoint: &Path) -> Model {
    let plugin = context.plugin();
    let mut preprocess = plugin.preprocess_options();
    preprocess.input_size = [32, 128, 128];
    preprocess.n_views = 1;
    let mut options = ModelOptions::new(["a", "b"]);
    options.preprocess = Some(preprocess);
    context.model_from_video(checkpoint, &options, Hooks::none()).expect("a model")
}

fn timed<T>(work: impl FnOnce() -> T) -> f64 {
    let start = Instant::now();
    let result = black_box(work());
    let seconds = start.elapsed().as_secs_f64();
    drop(result);
    seconds
}

fn least(measure: impl Fn() -> f64) -> f64 {
    (0..ROUNDS).map(|_| measure()).fold(f64::INFINITY, f64::min)
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.1} ms", seconds * 1e3)
}

/// Numbers that are no constant.
fn noise(n: usize) -> Vec<f32> {
    (0..n).map(|i| (i as f32 * 0.7).sin()).collect()
}
