//! The head that a training starts from.

use tch::Tensor;

use super::{
    config::{FineTune, HeadStart},
    journal::{FORWARD_WORK, Journal, PROBE_WORK},
    passes::Passes,
    probe::{self, Probe},
};
use crate::{
    augment::{Augmentation, MIRROR_IMAGES},
    error::Result,
    model::{Head, Model, ProbeRecord, StageRecord},
    monitor::Stage,
};

/// Gives the model the head that the training starts from.
pub(super) fn start_head(
    tuned: &mut Model,
    config: &FineTune,
    passes: &Passes<'_, '_>,
    training: &[usize],
    journal: &mut Journal<'_, '_>,
) -> Result<Option<ProbeRecord>> {
    let n_classes = tuned.class_names.len();
    match config.head {
        HeadStart::Auto | HeadStart::Keep => Ok(None),
        HeadStart::Random => {
            let n_features = tuned.network.n_features;
            tuned.head = Head::random(n_classes, n_features, config.seed, tuned.device)?;
            Ok(None)
        }
        HeadStart::Probe => {
            let copies = probe_copies(config, training.len());
            let features = passes.features(tuned, training, copies, journal)?;
            let probe = fit(&[features], tuned, config, passes, training, journal)?;
            Ok(Some(record(&probe, Vec::new())))
        }
        HeadStart::ProbeStages => {
            let copies = probe_copies(config, training.len());
            let features = passes.features_of_stages(tuned, training, copies, journal)?;
            let probe = fit(&features, tuned, config, passes, training, journal)?;
            let names: Vec<&str> = tuned.network.stages.iter().map(|stage| stage.name).collect();
            let record = record(&probe, names);
            tuned.network.cut_after(probe.place)?;
            Ok(Some(record))
        }
    }
}

/// Gives the model the head that suits the best of some candidates for its features.
fn fit(
    candidates: &[Tensor],
    tuned: &mut Model,
    config: &FineTune,
    passes: &Passes<'_, '_>,
    training: &[usize],
    journal: &mut Journal<'_, '_>,
) -> Result<Probe> {
    let classes = passes.classes(training)?;
    let n_rows = probe_copies(config, training.len()).len() * classes.len();
    let work = n_rows * candidates.len() * PROBE_WORK;
    let n_classes = tuned.class_names.len();
    let mut probe = probe::fit(candidates, &classes, n_classes, config.seed, &mut |part| {
        journal.within(Stage::Probe, part, work)
    })?;
    journal.advance(Stage::Probe, 0, 1, work)?;
    std::mem::swap(&mut tuned.head, &mut probe.head);
    let accuracy = match probe.accuracies.get(probe.place) {
        Some(accuracy) => format!("{accuracy:.3} accurate by cross-validation"),
        None => "a class of one example does not allow cross-validation".to_owned(),
    };
    let stage = match candidates.len() {
        1 => String::new(),
        _ => format!(", features of {}", tuned.network.stages[probe.place].name),
    };
    journal.monitor.info(format_args!("probe: penalty {}{stage}, {accuracy}", probe.penalty));
    Ok(probe)
}

/// What is kept of a probe that compared the stages of these names, or none.
fn record(probe: &Probe, names: Vec<&str>) -> ProbeRecord {
    let stages = std::iter::zip(&names, &probe.accuracies).map(|(stage, &accuracy)| StageRecord {
        stage: (*stage).to_owned(),
        cross_validated_accuracy: accuracy,
    });
    ProbeRecord {
        penalty: probe.penalty,
        cross_validated_accuracy: probe.accuracies.get(probe.place).copied(),
        stage: names.get(probe.place).map(|stage| (*stage).to_owned()),
        stages: stages.collect(),
    }
}

/// What `start_head` takes for `n` subtomograms.
pub(super) fn work(model: &Model, config: &FineTune, n: usize) -> usize {
    let n_candidates = match config.head {
        HeadStart::Auto | HeadStart::Keep | HeadStart::Random => return 0,
        HeadStart::Probe => 1,
        HeadStart::ProbeStages => model.network.stages.len(),
    };
    n * probe_copies(config, n).len() * (FORWARD_WORK + n_candidates * PROBE_WORK)
}

/// The mirror images that the probe sees of each of `n` subtomograms, if mirroring is on: all eight of few, fewer of
/// many, so that the fit takes seconds.
///
/// Measured on 70 simulated subtomograms of 7 classes (10 each, signal-to-noise ratio 0.1), two draws: the probe classifies
/// 57 and 61 % of others correctly with all eight, 45 and 53 % with the subtomograms as they are.
fn probe_copies(config: &FineTune, n: usize) -> &'static [[bool; 3]] {
    const MAX_ROWS: usize = 2000;
    match config.augment.has(Augmentation::Mirror) {
        true => &MIRROR_IMAGES[..(MAX_ROWS / n.max(1)).clamp(1, MIRROR_IMAGES.len())],
        false => &MIRROR_IMAGES[..1],
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::augment::Augment;

    #[test]
    fn the_probe_sees_fewer_mirror_images_of_more_subtomograms() {
        let config = FineTune::default();
        let n_copies = |n| probe_copies(&config, n).len();
        assert_eq!([1, 70, 250, 500, 1000, 1001, 100_000].map(n_copies), [8, 8, 8, 4, 2, 1, 1]);
        let images: HashSet<_> = probe_copies(&config, 1).iter().collect();
        assert_eq!(images.len(), 8);
        // Four of them keep the handedness: an even number of mirrored axes.
        let even = |axes: &[bool; 3]| axes.iter().filter(|axis| **axis).count() % 2 == 0;
        assert!(probe_copies(&config, 500).iter().all(even));
        let as_they_are = FineTune { augment: Augment::default(), ..config };
        assert_eq!(probe_copies(&as_they_are, 1), [[false; 3]]);
    }
}
