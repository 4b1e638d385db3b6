//! A training as the host sees it: how far it is, how it is stopped, how it goes on.

use super::*;

#[test]
fn progress_is_even_and_ends_at_one() {
    let (voxels, labels) = shells(8, 2);
    let config = FineTune {
        n_epochs: 2,
        validation_fraction: 0.25,
        batch_norm: BatchNorm::Recalibrated,
        head: HeadStart::Probe,
        ..short()
    };
    let mut seen: Vec<Progress> = Vec::new();
    let sink = Sink::default();
    let mut monitor = Monitor::new(
        |progress| {
            seen.push(*progress);
            true
        },
        || false,
        &sink,
    );
    fine_tune(&model(2), &volume(&voxels), &labels, &config, &mut monitor).expect("tuned");
    drop(monitor);
    let mut stages: Vec<Stage> = seen.iter().map(|progress| progress.stage).collect();
    stages.dedup();
    use Stage::{Features, Probe, Recalibrate, Train, Validate};
    let expected = [Recalibrate, Features, Probe, Validate, Train, Validate, Train, Validate];
    assert_eq!(stages, expected);
    assert!(seen.is_sorted_by(|a, b| a.fraction <= b.fraction));
    assert_eq!(seen.last().map(|last| last.fraction), Some(1.0));
    let steps: Vec<_> = seen
        .iter()
        .filter(|progress| progress.stage == Train)
        .map(|progress| (progress.epoch, progress.n_epochs, progress.step, progress.n_steps))
        .collect();
    assert_eq!(steps, [(1, 2, 1, 2), (1, 2, 2, 2), (2, 2, 1, 2), (2, 2, 2, 2)]);
    for progress in &seen {
        let training = progress.epoch > 0;
        assert_eq!(progress.loss.is_finite() && progress.accuracy.is_finite(), training);
    }
    assert!(seen.last().is_some_and(|last| last.validation_accuracy.is_finite()));

    let lines = sink.0.into_inner().unwrap();
    let told = |level, text: &str| lines.iter().any(|(l, line)| *l == level && line.contains(text));
    use log::Level::{Info, Warn};
    assert!(told(Info, "BatchNorm Recalibrated, head Probe"), "{lines:?}");
    assert!(told(Info, "probe: penalty"), "{lines:?}");
    assert!(told(Info, "epoch 2 of 2: loss"), "{lines:?}");
    assert!(told(Info, "returning epoch"), "{lines:?}");
    assert!(told(Warn, "only 2 subtomograms for validation"), "{lines:?}");
}

#[test]
fn the_host_can_stop_it_at_every_batch() {
    let (voxels, labels) = shells(4, 2);
    let config = FineTune { batch_size: 2, ..short() };
    let n_reports = 2;
    for stop_at in 0..n_reports {
        let n_seen = Cell::new(0);
        let mut monitor = Monitor::new(
            |_| {
                n_seen.set(n_seen.get() + 1);
                n_seen.get() <= stop_at
            },
            || false,
            log_nothing(),
        );
        let stopped = fine_tune(&model(2), &volume(&voxels), &labels, &config, &mut monitor);
        assert_eq!(stopped.err().expect("stopped").kind(), ErrorKind::Cancelled);
        drop(monitor);
        assert_eq!(n_seen.get(), stop_at + 1);
    }
}

#[test]
fn a_training_goes_on_from_its_checkpoint_bit_by_bit() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("training");
    let (voxels, labels) = shells(9, 3);
    let mut model = model(3);
    model.dropout = 0.1;
    let config = FineTune {
        n_epochs: 4,
        validation_fraction: 0.34,
        augment: Augment::from_bits(255).unwrap(),
        checkpoint: Some(path.clone()),
        ..short()
    };
    let run = |config: &FineTune, stop_after: Option<(usize, usize)>| {
        let mut stop = |progress: &Progress| Some((progress.epoch, progress.step)) != stop_after;
        let mut monitor = Monitor::new(&mut stop, || false, log_nothing());
        fine_tune(&model, &volume(&voxels), &labels, config, &mut monitor)
    };
    let straight = run(&FineTune { checkpoint: None, ..config.clone() }, None).expect("tuned");
    // Stopped in the middle of the third epoch: the checkpoint is that after the second.
    let stopped = run(&config, Some((3, 1))).err().expect("stopped");
    assert_eq!(stopped.kind(), ErrorKind::Cancelled);
    assert!(path.exists());
    let resumed = run(&config, None).expect("resumed");
    assert_eq!(bits(&resumed), bits(&straight));
    assert_eq!(resumed.history, straight.history);
    // Of a training that is over, the result.
    assert_eq!(bits(&run(&config, None).expect("again")), bits(&straight));

    let refused = |config: &FineTune| run(config, None).err().expect("refused");
    let other = refused(&FineTune { seed: 9, ..config.clone() });
    assert_eq!(other.kind(), ErrorKind::ModelMismatch);
    assert!(other.to_string().contains("is of another training"), "{other}");
    std::fs::write(&path, "no checkpoint").unwrap();
    let damaged = refused(&config);
    assert_eq!(damaged.kind(), ErrorKind::Format);
    assert!(damaged.to_string().contains("not a checkpoint of a training"), "{damaged}");
}

#[test]
fn a_probe_of_all_stages_goes_on_from_its_checkpoint() {
    let directory = tempfile::tempdir().unwrap();
    let config = FineTune {
        n_epochs: 2,
        head: HeadStart::ProbeStages,
        n_frozen_stages: 12,
        checkpoint: Some(directory.path().join("training")),
        ..short()
    };
    let straight = tune(&model(2), 8, &config).expect("tuned");
    let again = tune(&model(2), 8, &config).expect("tuned");
    assert_eq!(bits(&again), bits(&straight));
    assert_eq!(again.history, straight.history);
    assert_eq!(again.network.cut_after, straight.network.cut_after);
}
