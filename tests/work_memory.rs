//! Training takes about as much memory as was estimated: what a process that does nothing else holds at its peak.

use std::{env, process::Command};

use cinetomo::{
    memory::Work,
    model::{Model, ModelConfig},
    monitor::Monitor,
    preprocess::Preprocess,
    train::{FineTune, HeadStart, fine_tune},
    volume::Volume,
};
use cinetomo_tests::{reset_peak, status_bytes};
use tch::{Device, Kind, Tensor};

/// Tells the test `child` the network.
const VARIABLE: &str = "CINETOMO_TEST_WORK";

/// Estimates over measurements. What is alive is known to a few percent; how much the allocator keeps beside it differs
/// from run to run (benches/record/networks.md).
const RANGE: std::ops::Range<f64> = 0.75..1.35;

const BOX_SIZE: [i64; 3] = [32, 64, 64];
const BATCH_SIZE: usize = 4;

/// Run by the other test in a process of its own: prints the estimate and how much the peak exceeds the memory before it.
#[test]
fn child() {
    let Ok(backbone) = env::var(VARIABLE) else { return };
    // What libtorch and oneDNN take once is no part of the work.
    let options = (Kind::Float, Device::Cpu);
    let weight = Tensor::ones([8, 1, 3, 3, 3], options).set_requires_grad(true);
    let warm = Tensor::ones([1, 1, 16, 16, 16], options);
    warm.conv3d(&weight, None::<Tensor>, 1, 0, 1, 1).relu().sum(Kind::Float).backward();
    drop((weight, warm));
    let shape = [2 * BATCH_SIZE as i64, BOX_SIZE[0], BOX_SIZE[1], BOX_SIZE[2]];
    let voxels: Vec<f32> =
        (0..shape.iter().product()).map(|i: i64| (i as f32 * 0.7).sin()).collect();
    let volume = Volume::from_slice(&voxels, shape).expect("a volume");
    drop(voxels);

    let (before, code) = (status_bytes("VmRSS"), status_bytes("RssFile"));
    reset_peak();
    let config = ModelConfig {
        backbone: Some(backbone),
        class_names: ["a", "b"].map(str::to_owned).to_vec(),
        preprocess: Preprocess { n_views: 1, ..Preprocess::default() },
        seed: 0,
        dropout: 0.0,
    };
    let model = Model::random(config, Device::Cpu).expect("a model");
    let monitor = &mut Monitor::silent();
    let config = FineTune {
        n_epochs: 1,
        batch_size: BATCH_SIZE,
        head: HeadStart::Keep,
        ..FineTune::default()
    };
    let labels: Vec<i32> = (0..shape[0] as i32).map(|i| i % 2).collect();
    fine_tune(&model, &volume, &labels, &config, monitor).expect("a training");
    // Pages of libtorch's code that were read meanwhile are no part of the work either.
    let peak = status_bytes("VmHWM") - before - (status_bytes("RssFile") - code);
    let estimate =
        model.memory_estimate(BOX_SIZE, BATCH_SIZE, Work::TRAINING).expect("an estimate");
    println!("\nMEASURED {estimate} {peak}");
}

#[test]
fn training_takes_about_what_was_estimated() {
    for backbone in ["i3d", "swin3d_t"] {
        let output = Command::new(env::current_exe().expect("this test"))
            .args(["--exact", "child", "--nocapture"])
            .env(VARIABLE, backbone)
            .output()
            .expect("this test again");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text.lines().find_map(|line| line.strip_prefix("MEASURED "));
        let line =
            line.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
        let (estimate, peak) = line.split_once(' ').expect("two numbers");
        let [estimate, peak]: [f64; 2] =
            [estimate, peak].map(|number| number.parse().expect("a number"));
        let ratio = estimate / peak;
        println!("{backbone}: {:.0} MB estimated, {:.0} MB measured", estimate / 1e6, peak / 1e6);
        assert!(RANGE.contains(&ratio), "{backbone}: {estimate} estimated, {peak} measured");
    }
}
