//! The head that a training starts from.

use super::*;

/// What the probe sees: first the subtomograms as they are, then turned and mirrored.
#[test]
fn features_of_mirror_images_are_those_of_mirrored_voxels() {
    let model = model(2);
    let (voxels, labels) = shells(3, 2);
    // Turned by 180 degrees about x, z and y reversed: rows of x, from the last to the first.
    let turned: Vec<f32> = voxels
        .chunks_exact(N_VOXELS)
        .flat_map(|subtomogram| subtomogram.chunks_exact(EDGE).rev().flatten().copied())
        .collect();
    let volume = volume(&voxels);
    let passes = Passes { volume: &volume, labels: &labels, batch_size: 2 };
    let mut monitor = Monitor::silent();
    let mut journal = Journal::new(&mut monitor, 1000);
    let copies = [[false; 3], [true, true, false]];
    let features = passes.features(&model, &[0, 1, 2], &copies, &mut journal).expect("features");
    let embed = |voxels| model.embed(&super::tests::volume(voxels), &mut Monitor::silent());
    let expected = [embed(&voxels).expect("features"), embed(&turned).expect("features")].concat();
    let scale = expected.iter().fold(0.0f32, |scale, value| scale.max(value.abs()));
    let got = values(&features);
    assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().zip(&expected) {
        assert!((got - expected).abs() < 1e-5 * scale, "{got} is not {expected}");
    }
}

/// The stage whose features cross-validate best is kept with its head, and what comes after it is left out.
#[test]
fn a_probe_of_all_stages_keeps_the_best() {
    let (voxels, labels) = shells(24, 3);
    let volume = volume(&voxels);
    let mut start = model(3);
    start.preprocess.n_views = 1;
    let config = FineTune { n_epochs: 0, head: HeadStart::ProbeStages, ..FineTune::default() };
    let tune = |model: &Model, config: &FineTune| {
        fine_tune(model, &volume, &labels, config, &mut Monitor::silent()).expect("tuned")
    };
    let probed = tune(&start, &config);
    let record = probed.history[0].probe.clone().expect("a probe");
    let names: Vec<&str> = record.stages.iter().map(|record| record.stage.as_str()).collect();
    let stages: Vec<&str> = start.network.stages.iter().map(|stage| stage.name).collect();
    assert_eq!(names, stages);
    let best = record.stages.iter().map(|record| record.cross_validated_accuracy);
    assert_eq!(record.cross_validated_accuracy, best.reduce(f64::max));
    let chosen = record.stage.expect("a stage");
    assert_eq!(probed.network.cut_after, Some(chosen.as_str()));

    // By the network that was not cut.
    let all: Vec<usize> = (0..24).collect();
    let input = start.prepare(&volume, &all).expect("input");
    let pass = Pass::of(&input, BatchNormMode::Running).expect("pass");
    let (index, stage) = start.network.stage(&chosen).expect("known");
    assert!(index + 1 < start.network.stages.len(), "the test needs another best stage");
    let output = start.network.through(0..index + 1, &input, pass).expect("output");
    let map = stage.map(&output, pass).expect("map");
    let features = map.mean_dim([2i64, 3, 4].as_slice(), false, None);
    let expected = values(&probed.logits(&features).expect("logits").softmax(1, None));
    let scores = probed.classify(&volume, &mut Monitor::silent()).expect("scores");
    for (got, expected) in scores.iter().zip(&expected) {
        assert!((got - expected).abs() < 1e-4, "{got} is not {expected}");
    }

    // Saved and loaded; trained on, though more stages are to be frozen than there are; explained.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model");
    crate::model_file::save(&probed, &path).expect("saved");
    let loaded = crate::model_file::load(&path, Device::Cpu).expect("loaded");
    assert_eq!(bits(&loaded), bits(&probed));
    assert_eq!(loaded.classify(&volume, &mut Monitor::silent()).expect("scores"), scores);
    let frozen = FineTune { n_frozen_stages: probed.network.stages.len(), ..short() };
    assert_ne!(bits(&tune(&loaded, &frozen)), bits(&loaded));
    let trained = tune(&loaded, &short());
    assert_eq!(trained.network.cut_after, probed.network.cut_after);
    let maps = trained.explain(&volume, &Default::default(), &mut Monitor::silent());
    assert_eq!(maps.expect("maps").len(), voxels.len());
}
