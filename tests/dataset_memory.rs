//! A training on boxes that are fetched takes no more memory for ten times as many: what a process that does nothing else
//! holds at its peak.

use std::env;

use cinetomo::{
    augment::Augment,
    dataset::Dataset,
    model::{Model, ModelConfig},
    monitor::Monitor,
    preprocess::Preprocess,
    train::{FineTune, HeadStart, fine_tune},
    volume::{Axis, Contrast},
};
use cinetomo_tests::{measured_by_child, reset_peak, status_bytes};
use tch::Device;

/// Tells the test `child` the number of boxes.
const VARIABLE: &str = "CINETOMO_TEST_BOXES";

/// Voxels an edge, of boxes that the network sees at a sixth of it: so that most of the work is fetching.
const EDGE: i64 = 96;
const BOX_BYTES: f64 = 4.0 * (EDGE * EDGE * EDGE) as f64;
const BATCH_SIZE: usize = 4;

/// Few, for the peak that is compared with, and many: a gigabyte.
const N: [usize; 2] = [30, 300];

/// Run by the other test in a process of its own: prints by how much the peak exceeds the memory before it.
#[test]
fn child() {
    let Ok(n) = env::var(VARIABLE) else { return };
    let n: i64 = n.parse().expect("a number");
    let config = ModelConfig {
        backbone: Some("resnet3d_10".to_owned()),
        class_names: ["a", "b"].map(str::to_owned).to_vec(),
        preprocess: Preprocess { input_size: [16; 3], n_views: 1, ..Preprocess::default() },
        seed: 0,
        dropout: 0.0,
    };
    let mut model = Model::random(config, Device::Cpu).expect("a model");
    let config = FineTune {
        n_epochs: 1,
        batch_size: BATCH_SIZE,
        validation_fraction: 0.2,
        head: HeadStart::Probe,
        // Weights and moments are no part of the question.
        n_frozen_stages: 5,
        augment: Augment::default(),
        ..FineTune::default()
    };
    let labels: Vec<i32> = (0..n as i32).map(|i| i % 2).collect();
    // Any voxels will do that differ.
    let read = |indices: &[usize], out: &mut [f32]| {
        for (&index, voxels) in indices.iter().zip(out.chunks_exact_mut(EDGE.pow(3) as usize)) {
            for (place, voxel) in voxels.iter_mut().enumerate() {
                *voxel = ((place * (7 + index)) % 1009) as f32;
            }
        }
        Ok(())
    };
    let shape = [n, EDGE, EDGE, EDGE];
    let boxes = Dataset::new(shape, 0.0, Contrast::Unknown, Axis::Z, None, read);
    let (before, code) = (status_bytes("VmRSS"), status_bytes("RssFile"));
    reset_peak();
    let tuned = boxes.serve(
        &mut model,
        &mut Monitor::silent(),
        || Ok(()),
        |model, volume, monitor| fine_tune(model, volume, &labels, &config, monitor),
    );
    assert_eq!(tuned.expect("a training").history[0].n_subtomograms, n as usize);
    let peak = status_bytes("VmHWM") - before - (status_bytes("RssFile") - code);
    println!("\nMEASURED {peak}");
}

#[test]
fn memory_does_not_grow_with_the_number_of_boxes() {
    let [few, many] = N.map(|n| {
        let [peak] = measured_by_child(VARIABLE, n.to_string());
        peak
    });
    let (batch, set) = (BATCH_SIZE as f64 * BOX_BYTES, N[1] as f64 * BOX_BYTES);
    println!(
        "{} boxes: {:.0} MB, {} boxes: {:.0} MB; a batch has {:.0} MB, all of them {:.0} MB",
        N[0],
        few / 1e6,
        N[1],
        many / 1e6,
        batch / 1e6,
        set / 1e6
    );
    assert!(many < few + 3.0 * batch, "{few} with few, {many} with many");
    assert!(many < set / 2.0, "{many} of {set}");
}
