//! Trainings that have a name.

pub use cinetomo_abi::cinetomo_preset as Preset;

use super::config::{BatchNorm, FineTune, HeadStart, Schedule};
use crate::{
    augment::{Augment, Augmentation},
    preprocess::{Normalization, Preprocess},
};

/// Epochs after which the paper divides the learning rate by 10 (section 4.3.2).
const VIDEO_MILESTONES: [i32; 2] = [15, 22];
const RANDOM_MILESTONES: [i32; 2] = [50, 75];

/// The training that `preset` names.
pub fn fine_tune(preset: Preset) -> FineTune {
    let paper = |learning_rate, n_epochs| FineTune {
        learning_rate: Some(learning_rate),
        schedule: Schedule::Step {
            milestones: milestones(preset).iter().map(|&epoch| epoch as usize).collect(),
            gamma: 0.1,
        },
        n_epochs,
        batch_size: 16,
        batch_norm: BatchNorm::Trained,
        head: HeadStart::Random,
        augment: Augment::of(&[Augmentation::Crop, Augmentation::Affine]),
        ..FineTune::default()
    };
    match preset {
        Preset::Default => FineTune::default(),
        Preset::PaperVideo => paper(1e-4, 30),
        Preset::PaperRandom => paper(1e-3, 100),
        Preset::Probe => {
            FineTune { n_epochs: 0, head: HeadStart::ProbeStages, ..FineTune::default() }
        }
    }
}

/// The preprocessing that goes with `preset`. For those of the paper it is what its code did; its text has 32 sections
/// where the code leaves as many as there are, and does not mention grey values.
pub fn preprocess(preset: Preset) -> Preprocess {
    match preset {
        Preset::PaperVideo | Preset::PaperRandom => Preprocess {
            normalization: Normalization::Unit,
            input_size: [0, 128, 128],
            n_views: 1,
            ..Preprocess::default()
        },
        Preset::Default | Preset::Probe => Preprocess::default(),
    }
}

/// The milestones of a preset's step schedule.
pub fn milestones(preset: Preset) -> &'static [i32] {
    match preset {
        Preset::PaperVideo => &VIDEO_MILESTONES,
        Preset::PaperRandom => &RANDOM_MILESTONES,
        Preset::Default | Preset::Probe => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_valid_and_the_default_is_the_default() {
        assert_eq!(fine_tune(Preset::Default), FineTune::default());
        assert_eq!(preprocess(Preset::Default), Preprocess::default());
        for preset in [Preset::PaperVideo, Preset::PaperRandom, Preset::Probe] {
            fine_tune(preset).validate().unwrap();
            preprocess(preset).validate().unwrap();
        }
    }
}
