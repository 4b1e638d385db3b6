use std::sync::Mutex;

use super::*;
use crate::{model::ModelConfig, preprocess::Preprocess};

fn model(backbone: &str) -> Model {
    let config = ModelConfig {
        backbone: Some(backbone.to_owned()),
        class_names: ["a", "b"].map(str::to_owned).to_vec(),
        preprocess: Preprocess::default(),
        seed: 0,
        dropout: 0.0,
    };
    Model::random(config, Device::Cpu).unwrap()
}

/// By hand, of the first layers of I3D for a box of 32: they are where the most lives at once.
#[test]
fn the_estimate_is_what_can_be_counted_by_hand() {
    let model = model("i3d");
    let weights = 4 * (12_279_984 + 2 * 1025) + model_statistics(&model);
    let voxels = 32 * 32 * 32;
    // The stem's output, 64 channels of 16^3, the next pool, 64 channels of 16 x 8 x 8 with the i64 places of the maxima, and the
    // convolution after it.
    let pass = 4 * (64 * 4096) + 12 * 64 * 1024 + 4 * 64 * 1024;
    let inputs = 2 * 4 * voxels;
    // The largest weights that oneDNN has in its own order: of the 24 channels in Mixed_4c and 4d.
    let copy = 4 * 24 * 512;
    // Winograd's tiles of 4 x 4, 24 at once, of the 128 and 192 channels in Mixed_3c.
    let scratch = 4 * 144 * (128 + 192) * 24 * tch::get_num_threads() as u64;
    let weights = weights + copy + scratch + prepared(&model);
    for n in [1, 10] {
        let alive = weights + n * (pass + inputs);
        let estimate = model.memory_estimate([32; 3], n as usize, Work::Inference).unwrap();
        assert_eq!(estimate, alive);
    }
}

/// Bytes of I3D's convolutions in their inference form for boxes of 32, whose maps are 2 voxels wide in Mixed_4 and 1 in Mixed_5.
fn prepared(model: &Model) -> u64 {
    let values = model.network.parameters.iter().filter_map(|parameter| {
        let [n_out, n_in, z, _, _] = parameter.tensor.size()[..] else { return None };
        let n_places = match z {
            // The stem, whose input is grey.
            7 => return Some(64 * 343),
            // Beside a single voxel there are zeros only.
            3 if parameter.name.contains("Mixed_5") => 3,
            3 if n_in % 16 == 0 && parameter.name.contains("Mixed_4") => 4 * 4 * 4,
            3 if n_in % 16 == 0 => 4 * 6 * 6,
            _ => z * z * z,
        };
        Some(n_in * n_out * n_places)
    });
    4 * values.sum::<i64>() as u64
}

fn model_statistics(model: &Model) -> u64 {
    let statistics = model.network.parameters.iter().filter(|p| p.name.contains("running"));
    statistics.map(|statistic| statistic.tensor.numel() as u64 * 4).sum()
}

#[test]
fn training_takes_more_and_frozen_stages_less() {
    let model = model("i3d");
    let estimate = |work| model.memory_estimate([32; 3], 4, work).unwrap();
    let training = |n_frozen_stages, n_copies| {
        estimate(Work::Training { n_frozen_stages, n_copies, maps: 0, n_of_step: 0 })
    };
    let n_stages = model.network.stages.len();
    assert!(training(0, 3) > training(3, 3) && training(3, 3) > training(n_stages, 3));
    assert!(training(0, 3) > estimate(Work::Inference));
    // Each copy of the weights costs as many bytes again.
    let weights = model.bytes(0);
    let difference = training(0, 4) - training(0, 3);
    assert!(difference.abs_diff(weights + weights / TRAINING_GAPS) <= 1, "{difference}");
}

#[test]
fn sizes_without_meaning_are_refused() {
    let model = model("i3d");
    for size in [[0, 16, 16], [16, -1, 16], [16, 16, MAX_EDGE + 1]] {
        let error = model.memory_estimate(size, 1, Work::Inference).unwrap_err();
        assert!(error.to_string().contains("box_size"), "{error}");
    }
    assert!(model.memory_estimate([16; 3], 0, Work::Inference).is_err());
    assert!(model.memory_estimate([MAX_EDGE; 3], usize::MAX, Work::TRAINING).unwrap() == u64::MAX);
}

struct Lines(Mutex<Vec<String>>);

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        self.0.lock().unwrap().push(record.args().to_string());
    }

    fn flush(&self) {}
}

#[test]
fn a_machine_that_is_too_small_is_told_before_work_starts() {
    let model = model("i3d");
    let warnings = |size: i64, batch_size, work| {
        let lines = Lines(Mutex::default());
        let monitor = Monitor::new(|_| true, || false, &lines);
        model.warn_of_memory([size; 3], batch_size, work, &monitor).unwrap();
        drop(monitor);
        lines.0.into_inner().unwrap()
    };
    assert!(warnings(16, 1, Work::TRAINING).is_empty());
    // 4096^3 voxels fit into no machine.
    let training = warnings(MAX_EDGE, 3, Work::TRAINING);
    for part in [
        "batches of 3 inputs of [4096, 4096, 4096]",
        " GB are available",
        "batch_size",
        "input_size",
    ] {
        assert!(training[0].contains(part), "{training:?}: no {part}");
    }
    let classifying = warnings(MAX_EDGE, 1, Work::Inference);
    assert!(classifying[0].contains("input_size") && !classifying[0].contains("batch_size"));
}
