//! The head that a training starts from.

use super::{
    config::{FineTune, HeadStart},
    journal::{FORWARD_WORK, Journal, PROBE_WORK},
    passes::Passes,
    probe,
};
use crate::{
    augment::{Augmentation, MIRROR_IMAGES},
    error::Result,
    model::{Head, Model, ProbeRecord},
    monitor::Stage,
};

/// Gives the model the head that the training starts from.
pub(super) fn start_head(
    tuned: &mut Model,
    config: &FineTune,
    passes: &Passes<'_>,
    training: &[usize],
    journal: &mut Journal<'_, '_>,
) -> Result<Option<ProbeRecord>> {
    let n_classes = tuned.class_names.len();
    match config.head {
        HeadStart::Auto | HeadStart::Keep => Ok(None),
        HeadStart::Random => {
            let n_features = tuned.network.spec().n_features;
            tuned.head = Head::random(n_classes, n_features, config.seed, tuned.device)?;
            Ok(None)
        }
        HeadStart::Probe => {
            let copies = probe_copies(config, training.len());
            let features = passes.features(tuned, training, copies, journal)?;
            let classes: Vec<usize> =
                training.iter().map(|&index| passes.labels[index] as usize).collect();
            let work = copies.len() * classes.len() * PROBE_WORK;
            let (head, probe) =
                probe::fit(&features, &classes, n_classes, config.seed, &mut |part| {
                    journal.within(Stage::Probe, part, work)
                })?;
            journal.advance(Stage::Probe, 0, 1, work)?;
            tuned.head = head;
            let accuracy = match probe.cross_validated_accuracy {
                Some(accuracy) => format!("{accuracy:.3} accurate by cross-validation"),
                None => "a class of one example does not allow cross-validation".to_owned(),
            };
            journal.monitor.info(format_args!("probe: penalty {}, {accuracy}", probe.penalty));
            Ok(Some(probe))
        }
    }
}

/// What `start_head` takes for `n` subtomograms.
pub(super) fn work(config: &FineTune, n: usize) -> usize {
    match config.head {
        HeadStart::Probe => n * probe_copies(config, n).len() * (FORWARD_WORK + PROBE_WORK),
        HeadStart::Auto | HeadStart::Keep | HeadStart::Random => 0,
    }
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
