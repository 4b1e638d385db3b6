//! Options of trainings.

use cinetomo_abi::*;

use crate::fixture::*;

#[test]
fn trainings_without_meaning_are_refused() {
    check(
        &Fixture::new(),
        &[
            ("model_fine_tune", INVALID, &["optimizer", "3"], |f, e| {
                with_training(f, e, |o| o.optimizer = 3)
            }),
            ("model_fine_tune", INVALID, &["schedule", "-7"], |f, e| {
                with_training(f, e, |o| o.schedule = -7)
            }),
            ("model_fine_tune", INVALID, &["batch_norm", "4"], |f, e| {
                with_training(f, e, |o| o.batch_norm = 4)
            }),
            ("model_fine_tune", INVALID, &["head", "5"], |f, e| {
                with_training(f, e, |o| o.head = 5)
            }),
            ("model_fine_tune", INVALID, &["augment"], |f, e| {
                with_training(f, e, |o| o.augment = 1 << 20)
            }),
            ("model_fine_tune", INVALID, &["select_best", "2"], |f, e| {
                with_training(f, e, |o| o.select_best = 2)
            }),
            ("model_fine_tune", INVALID, &["regularizer", "9"], |f, e| {
                with_training(f, e, |o| o.regularizer = 9)
            }),
            ("model_fine_tune", INVALID, &["regularizer_strength"], |f, e| {
                with_training(f, e, |o| o.regularizer_strength = -1.0)
            }),
            ("model_fine_tune", INVALID, &["regularizer_stages", "is None"], |f, e| {
                with_training(f, e, |o| o.regularizer_stages = c"mixed_5c".as_ptr())
            }),
            ("model_fine_tune", INVALID, &["regularizer_stages", "stage \"nowhere\""], |f, e| {
                with_training(f, e, |o| {
                    o.regularizer = cinetomo_regularizer::Delta as i32;
                    o.regularizer_stages = c"nowhere".as_ptr();
                })
            }),
            ("model_fine_tune", INVALID, &["regularizer_stages", "stage \"\""], |f, e| {
                with_training(f, e, |o| {
                    o.regularizer = cinetomo_regularizer::DeltaUniform as i32;
                    o.regularizer_stages = c"".as_ptr();
                })
            }),
            ("model_fine_tune", INVALID, &["regularizer_stages is not UTF-8"], |f, e| {
                with_training(f, e, |o| o.regularizer_stages = c"\xff".as_ptr())
            }),
            ("model_fine_tune", INVALID, &["label_smoothing"], |f, e| {
                with_training(f, e, |o| o.label_smoothing = 1.0)
            }),
            ("model_fine_tune", INVALID, &["stage_rate_decay"], |f, e| {
                with_training(f, e, |o| o.stage_rate_decay = 0.0)
            }),
            ("model_fine_tune", INVALID, &["balance", "-2"], |f, e| {
                with_training(f, e, |o| o.balance = -2)
            }),
            ("model_fine_tune", INVALID, &["micro_batch_size", "-1"], |f, e| {
                with_training(f, e, |o| o.micro_batch_size = -1)
            }),
            ("model_fine_tune", INVALID, &["patience", "-1"], |f, e| {
                with_training(f, e, |o| o.patience = -1)
            }),
            ("model_fine_tune", INVALID, &["patience", "validation_fraction"], |f, e| {
                with_training(f, e, |o| o.patience = 3)
            }),
            ("model_fine_tune", INVALID, &["schedule_interval"], |f, e| {
                with_training(f, e, |o| o.schedule_interval = 0)
            }),
            ("model_fine_tune", INVALID, &["checkpoint_interval"], |f, e| {
                with_training(f, e, |o| o.checkpoint_interval = 0)
            }),
            ("model_fine_tune", INVALID, &["reserved"], |f, e| {
                with_training(f, e, |o| o.reserved = -1)
            }),
            ("model_fine_tune", INVALID, &["n_epochs", "-1"], |f, e| {
                with_training(f, e, |o| o.n_epochs = -1)
            }),
            ("model_fine_tune", INVALID, &["n_epochs"], |f, e| {
                with_training(f, e, |o| o.n_epochs = i32::MAX)
            }),
            ("model_fine_tune", INVALID, &["batch_size"], |f, e| {
                with_training(f, e, |o| o.batch_size = 0)
            }),
            ("model_fine_tune", INVALID, &["n_frozen_stages"], |f, e| {
                with_training(f, e, |o| o.n_frozen_stages = 999)
            }),
            ("model_fine_tune", INVALID, &["learning"], |f, e| {
                with_training(f, e, |o| o.learning_rate = -1.0)
            }),
            ("model_fine_tune", INVALID, &["learning"], |f, e| {
                with_training(f, e, |o| o.learning_rate = f64::INFINITY)
            }),
            ("model_fine_tune", INVALID, &["momentum"], |f, e| {
                with_training(f, e, |o| o.momentum = 1.0)
            }),
            ("model_fine_tune", INVALID, &["weight"], |f, e| {
                with_training(f, e, |o| o.weight_decay = f64::NAN)
            }),
            ("model_fine_tune", INVALID, &["validation"], |f, e| {
                with_training(f, e, |o| o.validation_fraction = 0.6)
            }),
            ("model_fine_tune", INVALID, &["gamma"], |f, e| {
                with_training(f, e, |o| {
                    (o.schedule, o.gamma) = (cinetomo_schedule::Step as i32, 0.0)
                })
            }),
            ("model_fine_tune", INVALID, &["milestones"], |f, e| {
                const FALLING: [i32; 2] = [5, 3];
                with_training(f, e, |o| {
                    o.schedule = cinetomo_schedule::Step as i32;
                    (o.milestones, o.n_milestones) = (FALLING.as_ptr(), 2);
                })
            }),
            ("model_fine_tune", INVALID, &["labels", "5", "6"], |f, e| {
                f.fine_tune_labelled(&f.labels[..5], &f.fine_tune_options(), e)
            }),
            ("model_fine_tune", INVALID, &["label", "3"], |f, e| {
                f.fine_tune_labelled(&[0, 1, 2, 3, 1, 2], &f.fine_tune_options(), e)
            }),
            ("model_fine_tune", INVALID, &["label", "-2"], |f, e| {
                f.fine_tune_labelled(&[0, 1, 2, -2, 1, 2], &f.fine_tune_options(), e)
            }),
            ("model_fine_tune", INVALID, &["label"], |f, e| {
                f.fine_tune_labelled(&[-1; N], &f.fine_tune_options(), e)
            }),
            ("model_fine_tune", INVALID, &["options.calibration", "reject -1"], |f, e| {
                let calibration = cinetomo_calibration_options {
                    reject: -1,
                    ..initialised(f.api.calibration_options_init)
                };
                let options = cinetomo_fine_tune_options {
                    calibration: &calibration,
                    ..f.fine_tune_options()
                };
                f.fine_tune(&options, e)
            }),
            ("model_fine_tune", INVALID, &["validation_fraction", "model_calibrate"], |f, e| {
                let calibration = cinetomo_calibration_options {
                    precision: 0.9,
                    ..initialised(f.api.calibration_options_init)
                };
                let options = cinetomo_fine_tune_options {
                    calibration: &calibration,
                    ..f.fine_tune_options()
                };
                f.fine_tune(&options, e)
            }),
        ],
    );
}

fn with_training(
    fixture: &Fixture,
    error: OutError,
    spoil: fn(&mut cinetomo_fine_tune_options),
) -> i32 {
    let mut options = fixture.fine_tune_options();
    spoil(&mut options);
    fixture.fine_tune(&options, error)
}
