//! Models of every network family: from video weights to scores, saved and loaded.

use std::{collections::HashSet, path::Path};

use cinetomo::{
    backbone::BackboneSpec,
    model::{Model, ModelConfig},
    model_file,
    monitor::Monitor,
    preprocess::Preprocess,
    volume::Volume,
};
use tch::Device;
use tempfile::TempDir;

const CLASSES: [&str; 3] = ["ribosome", "proteasome 20S", "膜"];

/// The smallest network of each paper.
pub fn smallest_of_each_family(specs: &[&'static BackboneSpec]) -> Vec<&'static BackboneSpec> {
    let mut by_size = specs.to_vec();
    by_size.sort_by_key(|spec| spec.n_weights);
    let mut seen = HashSet::new();
    by_size.retain(|spec| seen.insert(spec.paper));
    by_size
}

/// A model of that checkpoint gives the same scores and embeddings, bit by bit, after it was saved and loaded; it takes boxes of the usual
/// sizes with the default preprocessing.
pub fn check(spec: &BackboneSpec, checkpoint: &Path) {
    let config = ModelConfig {
        backbone: None,
        class_names: CLASSES.map(str::to_owned).to_vec(),
        preprocess: Preprocess::default(),
        seed: 3,
        dropout: 0.0,
    };
    let device = Device::Cpu;
    let model = Model::from_video(checkpoint, config, device, &mut Monitor::silent()).unwrap();
    assert_eq!(model.network.spec().name, spec.name);

    let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = directory.path().join("model.cinetomo");
    model_file::save(&model, &path).unwrap();
    let loaded = model_file::load(&path, device).unwrap();
    assert_eq!(loaded.network.architecture, model.network.architecture);
    assert_eq!(loaded.class_names, CLASSES);
    let before = scores(&model, 2, 28);
    assert_eq!(bits(&scores(&loaded, 2, 28)), bits(&before), "{}", spec.name);
    assert_eq!(bits(&embeddings(&loaded)), bits(&embeddings(&model)), "{}", spec.name);
    // The boxes are told apart, so the scores are the network's.
    assert_ne!(bits(&before[..3]), bits(&before[3..]), "{}", spec.name);
    for box_size in [32, 48] {
        scores(&loaded, 1, box_size);
    }
}

/// Probabilities of `n` boxes of noise.
fn scores(model: &Model, n: usize, box_size: usize) -> Vec<f32> {
    let voxels = noise(n, box_size);
    let volume = volume(&voxels, n, box_size);
    let scores = model.classify(&volume, &mut Monitor::silent()).unwrap();
    assert_eq!(scores.len(), n * CLASSES.len());
    for row in scores.chunks(CLASSES.len()) {
        let sum: f32 = row.iter().sum();
        assert!(row.iter().all(|score| *score >= 0.0) && (sum - 1.0).abs() < 1e-5, "{row:?}");
    }
    scores
}

fn embeddings(model: &Model) -> Vec<f32> {
    let voxels = noise(1, 28);
    model.embed(&volume(&voxels, 1, 28), &mut Monitor::silent()).unwrap()
}

fn volume(voxels: &[f32], n: usize, box_size: usize) -> Volume<'static> {
    Volume::from_slice(voxels, [n, box_size, box_size, box_size].map(|extent| extent as i64))
        .unwrap()
}

fn noise(n: usize, box_size: usize) -> Vec<f32> {
    let numbers = (0..n * box_size.pow(3)).map(|i| (i * i * 31 + i * 7) % 1009);
    numbers.map(|number| number as f32).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}
