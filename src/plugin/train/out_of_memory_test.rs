//! What becomes of a step for which memory really runs out: in a process of its own, as the limit is the process's.

use std::{
    env, fs,
    process::{self, Command},
    sync::Mutex,
};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use tch::Device;

use crate::{
    augment::Augment,
    dataset::Dataset,
    memory::Work,
    model::{Model, ModelConfig},
    monitor::{Monitor, log_nothing},
    train::{BatchNorm, FineTune, HeadStart, fine_tune},
    volume::{Axis, Contrast, Volume},
};

/// Set in the process that has the limit.
const LIMITED: &str = "CINETOMO_TEST_LIMITED_MEMORY";
const N: usize = 24;
const EDGE: usize = 32;

#[test]
fn a_step_that_does_not_fit_is_cut_up_and_gives_the_same() {
    if env::var_os(LIMITED).is_some() {
        return within_the_limit();
    }
    let name = std::thread::current().name().expect("tests have names").to_owned();
    let child = Command::new(env::current_exe().expect("the test's own path"))
        .args(["--exact", &name, "--nocapture", "--test-threads=1"])
        .env(LIMITED, "1")
        // What is freed goes back to the system, so that the limit bounds what is in use and not the heap's gaps.
        .envs([("MALLOC_ARENA_MAX", "1"), ("MALLOC_MMAP_THRESHOLD_", "65536")])
        .output()
        .expect("the test starts again");
    let told = [child.stdout, child.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(child.status.success(), "{}{}", told[0], told[1]);
    assert!(told[0].contains("1 passed"), "{}", told[0]);
}

fn within_the_limit() {
    drop(trained(2, log_nothing()));
    drop(fetched(2, log_nothing()));
    // What two at once needed at most, and a third of what 24 need beyond: room for new kernels of oneDNN, but not for 24.
    let bytes = |n| start().memory_estimate([EDGE as i64; 3], n, Work::TRAINING).expect("bytes");
    limit_address_space(Some(peak_address_space() + (bytes(N) - bytes(2)) / 3));
    let (lines, fetched_lines) = (Lines::default(), Lines::default());
    let halved = trained(N, &lines);
    let fetched = fetched(N, &fetched_lines);
    limit_address_space(None);
    let fetched_lines = fetched_lines.0.into_inner().expect("lines");
    let lines = lines.0.into_inner().expect("lines");
    println!("{lines:#?} {fetched_lines:#?}");
    for lines in [&lines, &fetched_lines] {
        let first = "out of memory with 24 subtomograms at once; going on with 12";
        assert!(lines[0].starts_with(first));
    }
    let last = lines.last().and_then(|line| line.split(" at once").nth(1)).expect("a size");
    let last: usize = last.trim_start_matches("; going on with ").parse().expect("a number");
    assert!(last < N);

    let told = trained(last, log_nothing());
    let lines = Lines::default();
    let whole = trained(N, &lines);
    assert_eq!(lines.0.into_inner().expect("lines"), [""; 0]);
    let moved = largest_difference(&whole, &start());
    let others = [&halved, &fetched, &told].map(|model| largest_difference(model, &whole));
    println!("weights moved by {moved}, otherwise by {others:?} in parts");
    assert!(others.iter().all(|other| *other < 1e-2 * moved), "{others:?} {moved}");
}

/// Noise, two classes in turn, and a step of stochastic gradient descent on all of it, so many at once.
fn task(micro_batch_size: usize) -> (Vec<f32>, Vec<i32>, FineTune) {
    let noise = StandardNormal;
    let voxels: Vec<f32> =
        noise.sample_iter(ChaCha8Rng::seed_from_u64(3)).take(N * EDGE * EDGE * EDGE).collect();
    let labels: Vec<i32> = (0..N as i32).map(|index| index % 2).collect();
    let config = FineTune {
        optimizer: crate::train::OptimizerKind::Sgd,
        learning_rate: Some(1e-6),
        n_epochs: 1,
        batch_size: N,
        micro_batch_size,
        batch_norm: BatchNorm::Frozen,
        head: HeadStart::Keep,
        augment: Augment::default(),
        ..FineTune::default()
    };
    (voxels, labels, config)
}

const SHAPE: [i64; 4] = [N as i64, EDGE as i64, EDGE as i64, EDGE as i64];

fn trained(micro_batch_size: usize, log: &dyn log::Log) -> Model {
    let (voxels, labels, config) = task(micro_batch_size);
    let volume = Volume::from_slice(&voxels, SHAPE).expect("volume");
    let mut monitor = Monitor::new(|_| true, || false, log);
    fine_tune(&start(), &volume, &labels, &config, &mut monitor).expect("tuned")
}

/// The same of voxels that are fetched.
fn fetched(micro_batch_size: usize, log: &dyn log::Log) -> Model {
    let (voxels, labels, config) = task(micro_batch_size);
    let read = |indices: &[usize], out: &mut [f32]| {
        let boxes = out.chunks_exact_mut(EDGE.pow(3));
        for (place, &index) in boxes.zip(indices) {
            place.copy_from_slice(&voxels[index * EDGE.pow(3)..][..EDGE.pow(3)]);
        }
        Ok(())
    };
    let mut monitor = Monitor::new(|_| true, || false, log);
    let dataset = Dataset::new(SHAPE, 0.0, Contrast::Unknown, Axis::Z, None, read);
    let tuned = dataset.serve(
        &mut start(),
        &mut monitor,
        || Ok(()),
        |model, volume, monitor| fine_tune(model, volume, &labels, &config, monitor),
    );
    tuned.expect("tuned")
}

fn start() -> Model {
    let config = ModelConfig {
        backbone: Some("resnet3d_10".to_owned()),
        class_names: ["a", "b"].map(str::to_owned).to_vec(),
        preprocess: Default::default(),
        seed: 0,
        dropout: 0.0,
    };
    Model::random(config, Device::Cpu).expect("model")
}

fn largest_difference(a: &Model, b: &Model) -> f64 {
    let tensors = |model: &Model| {
        let parameters = model.network.parameters.iter().map(|p| p.tensor.shallow_clone());
        parameters.chain([model.head.weight.shallow_clone()]).collect::<Vec<_>>()
    };
    let pairs = std::iter::zip(tensors(a), tensors(b));
    pairs.map(|(a, b)| (a - b).abs().max().double_value(&[])).fold(0.0, f64::max)
}

/// Most bytes of address space that this process has had.
fn peak_address_space() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:")).expect("VmPeak");
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kibibytes * 1024
}

fn limit_address_space(bytes: Option<u64>) {
    let bytes = bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
    // The soft limit alone, so that it can be lifted.
    let status = Command::new("prlimit")
        .args([format!("--pid={}", process::id()), format!("--as={bytes}:")])
        .status()
        .expect("prlimit, of util-linux");
    assert!(status.success());
}

/// Keeps warnings.
#[derive(Default)]
struct Lines(Mutex<Vec<String>>);

impl log::Log for Lines {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Warn
    }

    fn log(&self, record: &log::Record<'_>) {
        self.0.lock().expect("lines").push(record.args().to_string());
    }

    fn flush(&self) {}
}
