//! What labels do to a training, and what becomes of those that are held out.

use super::*;

#[test]
fn subtomograms_without_label_play_no_part() {
    let model = model(2);
    let (voxels, labels) = shells(4, 2);
    let directory = tempfile::tempdir().unwrap();
    let kept = FineTune { checkpoint: Some(directory.path().join("training")), ..short() };
    let expected = fine_tune(&model, &volume(&voxels), &labels, &short(), &mut Monitor::silent());
    // In between, boxes that could not even be read.
    let (mut more, mut more_labels) = (Vec::new(), Vec::new());
    for (subtomogram, label) in voxels.chunks_exact(N_VOXELS).zip(labels) {
        more.extend_from_slice(subtomogram);
        more.extend_from_slice(&[f32::NAN; N_VOXELS]);
        more_labels.extend([label, -1]);
    }
    let got = fine_tune(&model, &volume(&more), &more_labels, &kept, &mut Monitor::silent());
    let (expected, got) = (expected.expect("tuned"), got.expect("tuned"));
    // Which half is shuffled to which place depends on the positions alone, and those keep their order.
    assert_eq!(bits(&expected), bits(&got));
    assert_eq!(got.history[0].n_per_class, [2, 2]);
}

/// 101 to 1: how sure the model is of the class's only example, which it has seen in training.
#[test]
fn a_class_of_one_example_is_learnt_if_classes_are_balanced() {
    let (voxels, mut labels) = shells(202, 2);
    // All of class 0, and one of class 1.
    let rare = 101;
    for (index, label) in labels.iter_mut().enumerate() {
        *label = if *label == 0 || index == rare { *label } else { -1 };
    }
    let rare_one = volume(&voxels[rare * N_VOXELS..][..N_VOXELS]);
    let volume = volume(&voxels);
    let mut start = model(2);
    start.preprocess.n_views = 1;
    let n_stages = start.network.stages.len();
    let sure_of = |balance| {
        let config = FineTune {
            balance,
            n_frozen_stages: n_stages,
            learning_rate: Some(3e-3),
            n_epochs: 4,
            batch_size: 100,
            micro_batch_size: 10,
            validation_fraction: 0.2,
            select_best: false,
            calibration: Calibration { temperature: false, ..Calibration::default() },
            augment: Augment::default(),
            ..FineTune::default()
        };
        let tuned = fine_tune(&start, &volume, &labels, &config, &mut Monitor::silent());
        let tuned = tuned.expect("tuned");
        assert_eq!(tuned.history[0].n_per_class, [101, 1]);
        let split = stratified(&labels, 2, 0.2, config.seed).expect("split");
        assert!(split.training.contains(&rare) && split.validation.len() == 20);
        tuned.classify(&rare_one, &mut Monitor::silent()).expect("scores")[1]
    };
    let [plain, weights, sampling] =
        [Balance::None, Balance::Weights, Balance::Sampling].map(sure_of);
    assert!(plain < 0.4 && weights > 0.5 && sampling > 0.5, "{plain} {weights} {sampling}");
}

#[test]
fn the_best_epoch_is_returned() {
    let (voxels, labels) = shells(16, 2);
    let volume = volume(&voxels);
    let config = FineTune { n_epochs: 4, validation_fraction: 0.5, ..short() };
    let last = FineTune { select_best: false, ..config.clone() };
    // Validation looks at each subtomogram once; classification shall, too.
    let mut start = model(2);
    start.preprocess.n_views = 1;
    let train = |config: &FineTune| {
        let tuned = fine_tune(&start, &volume, &labels, config, &mut Monitor::silent());
        tuned.expect("tuned")
    };
    let (best, last) = (train(&config), train(&last));
    let record = &best.history[0];
    assert_eq!(record.epochs, last.history[0].epochs);
    assert_eq!((record.epochs.len(), record.epochs[0].epoch, record.epochs[0].loss), (5, 0, None));
    // By the rule in the contract: accuracy, then loss, then the earlier.
    let rank = |epoch: &EpochRecord| {
        let accuracy = epoch.validation_accuracy.expect("validated");
        (-accuracy, epoch.validation_loss.expect("validated"), epoch.epoch)
    };
    let mut ranked: Vec<_> = record.epochs.iter().map(rank).collect();
    ranked.sort_by(|a, b| a.partial_cmp(b).expect("numbers"));
    assert_eq!(record.selected_epoch, ranked[0].2);
    assert_eq!(last.history[0].selected_epoch, 4);

    // Both models do on the validation subtomograms what their records say.
    let split = stratified(&labels, 2, 0.5, config.seed).expect("split");
    for tuned in [&best, &last] {
        let record = &tuned.history[0];
        let scores = tuned.classify(&volume, &mut Monitor::silent()).expect("scores");
        let right = |index: &&usize| {
            let row = &scores[**index * 2..][..2];
            (row[1] > row[0]) == (labels[**index] == 1)
        };
        let accuracy = split.validation.iter().filter(right).count() as f64 / 8.0;
        let recorded = record.epochs[record.selected_epoch].validation_accuracy;
        assert_eq!(Some(accuracy), recorded, "epoch {}", record.selected_epoch);
    }
}

/// Training with an absurd learning rate ruins what the probe found, and epoch 0 takes part.
#[test]
fn a_training_that_ruins_the_start_returns_the_start() {
    let config = FineTune {
        n_epochs: 1,
        learning_rate: Some(0.02),
        validation_fraction: 0.5,
        batch_norm: BatchNorm::Recalibrated,
        head: HeadStart::Probe,
        ..short()
    };
    let start = tune(&model(2), 16, &FineTune { n_epochs: 0, ..config.clone() }).expect("start");
    let tuned = tune(&model(2), 16, &config).expect("tuned");
    let epochs = &tuned.history[0].epochs;
    assert!(epochs[1].validation_accuracy < epochs[0].validation_accuracy, "{epochs:?}");
    assert_eq!(tuned.history[0].selected_epoch, 0);
    assert_eq!(bits(&tuned), bits(&start));
}

#[test]
fn labels_that_teach_little_are_warned_of() {
    let model = model(3);
    let sink = Sink::default();
    let monitor = Monitor::new(|_| true, || false, &sink);
    let labels = [vec![0; 20], vec![1; 2]].concat();
    let split = stratified(&labels, 3, 0.0, 0).expect("split");
    tell_choices(&model, &short(), &split, &monitor);
    drop(monitor);
    let lines = sink.0.into_inner().unwrap();
    let warnings: Vec<_> = lines.iter().filter(|(level, _)| *level == log::Level::Warn).collect();
    assert_eq!(warnings.len(), 2, "{lines:?}");
    assert!(warnings[0].1.starts_with("class \"class 2\" has no labelled subtomogram"));
    assert!(warnings[1].1.starts_with("the largest class has 20 labelled"));
}

#[test]
fn patience_ends_a_training_that_does_not_become_better() {
    let (voxels, labels) = shells(12, 2);
    // Nothing can become better at a rate of next to nothing.
    let config = FineTune {
        n_epochs: 9,
        patience: 2,
        validation_fraction: 0.5,
        batch_norm: BatchNorm::Frozen,
        learning_rate: Some(1e-30),
        ..short()
    };
    let mut last = 0.0;
    let mut see = |progress: &Progress| {
        last = progress.fraction;
        true
    };
    let mut monitor = Monitor::new(&mut see, || false, log_nothing());
    let tuned = fine_tune(&model(2), &volume(&voxels), &labels, &config, &mut monitor);
    let history = tuned.expect("tuned").history;
    drop(monitor);
    let epochs: Vec<usize> = history[0].epochs.iter().map(|epoch| epoch.epoch).collect();
    assert_eq!(epochs, [0, 1, 2]);
    assert_eq!(history[0].selected_epoch, 0);
    assert_eq!(last, 1.0);
}
