//! Work takes about as much memory as was estimated: what a process that does nothing else holds at its peak.

use std::env;

use cinetomo::{
    memory::Work,
    model::{Model, ModelConfig},
    monitor::Monitor,
    preprocess::Preprocess,
    train::{FineTune, HeadStart, fine_tune},
    volume::Volume,
};
use cinetomo_tests::{measured_by_child, reset_peak, status_bytes};
use tch::{Device, Kind, Tensor};

/// Tells the test `child` what to do, and the network.
const VARIABLE: &str = "CINETOMO_TEST_WORK";

/// Estimates of classification over measurements, for as many boxes at once as the library takes: fewer take more of what
/// does not depend on their number (benches/record/networks.md).
const CLASSIFY_RANGE: std::ops::Range<f64> = 0.8..1.2;

/// Estimates over measurements. What is alive is known to a few percent; how much the allocator keeps beside it differs
/// from run to run (benches/record/networks.md).
const RANGE: std::ops::Range<f64> = 0.82..1.18;

const BOX_SIZE: [i64; 3] = [32, 64, 64];
const BATCH_SIZE: usize = 4;

/// Run by the other tests in a process of its own: prints the estimate and how much the peak exceeds the memory before it.
#[test]
fn child() {
    let Ok(work) = env::var(VARIABLE) else { return };
    let (what, backbone) = work.split_once(' ').expect("what to do, and the network");
    // What libtorch and oneDNN take once is no part of the work.
    let options = (Kind::Float, Device::Cpu);
    let weight = Tensor::ones([8, 1, 3, 3, 3], options).set_requires_grad(true);
    let warm = Tensor::ones([1, 1, 16, 16, 16], options);
    warm.conv3d(&weight, None::<Tensor>, 1, 0, 1, 1).relu().sum(Kind::Float).backward();
    drop((weight, warm));
    let n = match what {
        "many" | "gather" => 200,
        "few" | "classify" => 16,
        _ => 2 * BATCH_SIZE as i64,
    };
    let shape = [n, BOX_SIZE[0], BOX_SIZE[1], BOX_SIZE[2]];
    let voxels: Vec<f32> =
        (0..shape.iter().product()).map(|i: i64| (i as f32 * 0.7).sin()).collect();
    let volume = Volume::from_slice(&voxels, shape).expect("a volume");
    drop(voxels);

    let (before, code) = (status_bytes("VmRSS"), status_bytes("RssFile"));
    reset_peak();
    let monitor = &mut Monitor::silent();
    let estimate = match what {
        "gather" => {
            let indices: Vec<usize> = (0..volume.len()).collect();
            let boxes = volume.gather(&indices, Device::Cpu).expect("the boxes");
            4 * boxes.numel() as u64
        }
        "train" => train(&model(backbone), &volume, monitor),
        _ => {
            let model = model(backbone);
            model.classify(&volume, monitor).expect("a classification");
            let n = model.batch_size(BOX_SIZE).expect("a size").min(volume.len());
            model.memory_estimate(BOX_SIZE, n, Work::Inference).expect("an estimate")
        }
    };
    // Pages of libtorch's code that were read meanwhile are no part of the work either.
    let peak = status_bytes("VmHWM") - before - (status_bytes("RssFile") - code);
    println!("\nMEASURED {estimate} {peak}");
}

fn model(backbone: &str) -> Model {
    let config = ModelConfig {
        backbone: Some(backbone.to_owned()),
        class_names: ["a", "b"].map(str::to_owned).to_vec(),
        preprocess: Preprocess { n_views: 1, ..Preprocess::default() },
        seed: 0,
        dropout: 0.0,
    };
    Model::random(config, Device::Cpu).expect("a model")
}

fn train(model: &Model, volume: &Volume<'_>, monitor: &mut Monitor<'_>) -> u64 {
    let config = FineTune {
        n_epochs: 1,
        batch_size: BATCH_SIZE,
        head: HeadStart::Keep,
        ..FineTune::default()
    };
    let labels: Vec<i32> = (0..volume.len() as i32).map(|i| i % 2).collect();
    fine_tune(model, volume, &labels, &config, monitor).expect("a training");
    model.memory_estimate(BOX_SIZE, BATCH_SIZE, Work::TRAINING).expect("an estimate")
}

/// The estimate and the peak, in bytes.
fn measure(work: &str) -> [f64; 2] {
    let [estimate, peak] = measured_by_child(VARIABLE, work);
    println!("{work}: {estimate} estimated, {peak} measured");
    [estimate, peak]
}

#[test]
fn training_takes_about_what_was_estimated() {
    // One of each family.
    for backbone in ["i3d", "s3d", "resnet3d_34", "r3d_18", "swin3d_t", "mvit_v2_s", "vivit_b_16x2"]
    {
        let [estimate, peak] = measure(&format!("train {backbone}"));
        assert!(RANGE.contains(&(estimate / peak)), "{backbone}: {estimate}, {peak}");
    }
}

#[test]
fn classification_takes_about_what_was_estimated() {
    for backbone in ["i3d", "swin3d_t", "mvit_v2_s"] {
        let [estimate, peak] = measure(&format!("classify {backbone}"));
        assert!(CLASSIFY_RANGE.contains(&(estimate / peak)), "{backbone}: {estimate}, {peak}");
    }
}

/// 200 boxes are 105 MB: a second copy of them all would be seen. A batch is 16 of them.
#[test]
fn classification_needs_no_more_for_more_boxes() {
    let [few, many] = ["few resnet3d_10", "many resnet3d_10"].map(|work| measure(work)[1]);
    assert!(many < few + 50e6, "{few} for 16 boxes, {many} for 200");
}

/// What is gathered is there once: nothing else of its size is made on the way.
#[test]
fn voxels_are_copied_once() {
    let [bytes, peak] = measure("gather -");
    assert!((0.98..1.1).contains(&(peak / bytes)), "{peak} for {bytes} bytes");
}
