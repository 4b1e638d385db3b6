//! Options and labels out of range.

use std::ptr;

use cinetomo_abi::{cinetomo_status as Status, *};

use crate::fixture::*;

#[test]
fn numbers_without_meaning_are_refused() {
    let fixture = Fixture::new();
    check(
        &fixture,
        &[
            ("context_new", INVALID, &["device", "3", "0, 1, 2"], |f, e| {
                f.context(
                    &cinetomo_context_options {
                        device: 3,
                        ..initialised(f.api.context_options_init)
                    },
                    e,
                )
            }),
            ("context_new", INVALID, &["precision is 3"], |f, e| {
                f.context(
                    &cinetomo_context_options {
                        precision: 3,
                        ..initialised(f.api.context_options_init)
                    },
                    e,
                )
            }),
            ("context_new", INVALID, &["reserved is 1"], |f, e| {
                f.context(
                    &cinetomo_context_options {
                        device: cinetomo_device::Cpu as i32,
                        reserved: 1,
                        ..initialised(f.api.context_options_init)
                    },
                    e,
                )
            }),
            ("context_new", INVALID, &["device_index", "-1"], |f, e| {
                f.context(
                    &cinetomo_context_options {
                        device_index: -1,
                        ..initialised(f.api.context_options_init)
                    },
                    e,
                )
            }),
            ("context_new", INVALID, &["n_threads", "-2"], |f, e| {
                f.context(
                    &cinetomo_context_options {
                        n_threads: -2,
                        ..initialised(f.api.context_options_init)
                    },
                    e,
                )
            }),
            ("context_new", INVALID, &["n_threads"], |f, e| {
                f.context(
                    &cinetomo_context_options {
                        n_threads: i32::MAX,
                        ..initialised(f.api.context_options_init)
                    },
                    e,
                )
            }),
            ("context_new", INVALID, &["log_level", "9"], |f, e| {
                f.context(
                    &cinetomo_context_options {
                        log_level: 9,
                        ..initialised(f.api.context_options_init)
                    },
                    e,
                )
            }),
            ("model_random", INVALID, &["n_classes is 0"], |f, e| {
                f.random(&cinetomo_model_options { n_classes: 0, ..f.model_options() }, e)
            }),
            ("model_random", INVALID, &["n_classes is 1"], |f, e| {
                f.random(&cinetomo_model_options { n_classes: 1, ..f.model_options() }, e)
            }),
            ("model_random", INVALID, &["n_classes"], |f, e| {
                f.random(&cinetomo_model_options { n_classes: usize::MAX, ..f.model_options() }, e)
            }),
            ("model_random", Status::Unsupported, &["backbone", "resnet", "i3d"], |f, e| {
                f.random(
                    &cinetomo_model_options { backbone: c"resnet".as_ptr(), ..f.model_options() },
                    e,
                )
            }),
            ("model_random", INVALID, &["backbone", "UTF-8"], |f, e| {
                f.random(
                    &cinetomo_model_options { backbone: c"i3\xff".as_ptr(), ..f.model_options() },
                    e,
                )
            }),
            ("model_random", INVALID, &["class", "ribosome"], |f, e| {
                let names = [c"ribosome".as_ptr(), c"x".as_ptr(), c"ribosome".as_ptr()];
                f.random(
                    &cinetomo_model_options { class_names: names.as_ptr(), ..f.model_options() },
                    e,
                )
            }),
            ("model_random", INVALID, &["class"], |f, e| {
                let names = [c"ribosome".as_ptr(), c"".as_ptr(), c"x".as_ptr()];
                f.random(
                    &cinetomo_model_options { class_names: names.as_ptr(), ..f.model_options() },
                    e,
                )
            }),
            ("model_random", NULL, &["class_names[1]"], |f, e| {
                let names = [c"ribosome".as_ptr(), ptr::null(), c"x".as_ptr()];
                f.random(
                    &cinetomo_model_options { class_names: names.as_ptr(), ..f.model_options() },
                    e,
                )
            }),
            ("model_random", INVALID, &["dropout", "1"], |f, e| {
                f.random(&cinetomo_model_options { dropout: 1.0, ..f.model_options() }, e)
            }),
            ("model_random", INVALID, &["dropout"], |f, e| {
                f.random(&cinetomo_model_options { dropout: f64::NAN, ..f.model_options() }, e)
            }),
            ("model_random", INVALID, &["normalization", "7"], |f, e| {
                with_preprocess(f, e, |p| p.normalization = 7)
            }),
            ("model_random", INVALID, &["interpolation", "-1"], |f, e| {
                with_preprocess(f, e, |p| p.interpolation = -1)
            }),
            ("model_random", INVALID, &["contrast", "3"], |f, e| {
                with_preprocess(f, e, |p| p.contrast = 3)
            }),
            ("model_random", INVALID, &["n_views", "3"], |f, e| {
                with_preprocess(f, e, |p| p.n_views = 3)
            }),
            ("model_random", INVALID, &["input_size", "-32"], |f, e| {
                with_preprocess(f, e, |p| p.input_size[0] = -32)
            }),
            ("model_random", INVALID, &["input_size"], |f, e| {
                with_preprocess(f, e, |p| p.input_size[2] = i64::MAX)
            }),
            ("model_random", INVALID, &["percentile"], |f, e| {
                with_preprocess(f, e, |p| p.percentile_low = 100.0)
            }),
            ("model_random", INVALID, &["percentile"], |f, e| {
                with_preprocess(f, e, |p| p.percentile_high = f64::NAN)
            }),
            ("model_random", INVALID, &["fixed_deviation 0"], |f, e| {
                with_preprocess(f, e, |p| p.fixed_deviation = 0.0)
            }),
            ("model_random", INVALID, &["fixed_mean is inf"], |f, e| {
                with_preprocess(f, e, |p| p.fixed_mean = f64::INFINITY)
            }),
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
            ("memory_estimate", INVALID, &["box_size", "[16, 0, 16]"], |f, e| {
                f.memory_estimate([16, 0, 16], 1, cinetomo_stage::Train as i32, e)
            }),
            ("memory_estimate", INVALID, &["box_size"], |f, e| {
                f.memory_estimate([i64::MAX; 3], 1, cinetomo_stage::Train as i32, e)
            }),
            ("memory_estimate", INVALID, &["box_size"], |f, e| {
                f.memory_estimate([i64::MIN; 3], 0, cinetomo_stage::Classify as i32, e)
            }),
            ("memory_estimate", INVALID, &["batch_size is -1"], |f, e| {
                f.memory_estimate([16; 3], -1, cinetomo_stage::Train as i32, e)
            }),
            ("memory_estimate", INVALID, &["stage is 8", "4, 6, 7"], |f, e| {
                f.memory_estimate([16; 3], 1, cinetomo_stage::Simulate as i32, e)
            }),
            ("evaluate", INVALID, &["3", "1"], |f, e| f.evaluate(&[0.5; 3], &[0], 2, e)),
            ("evaluate", INVALID, &["label", "2"], |f, e| f.evaluate(&[0.5; 2], &[2], 2, e)),
            ("evaluate", INVALID, &["label"], |f, e| f.evaluate(&[0.5; 2], &[-1], 2, e)),
            ("evaluate", INVALID, &["n_classes"], |f, e| f.evaluate(&[], &[], 0, e)),
            ("evaluate", INVALID, &["n_classes"], |f, e| {
                f.evaluate(&[0.5; 2], &[0], usize::MAX, e)
            }),
            ("evaluate_roc", INVALID, &["class_index is 2"], |f, e| {
                let mut len = 0;
                raw!((f.api.evaluate_roc)(
                    [0.5f32; 2].as_ptr(),
                    2,
                    [0].as_ptr(),
                    1,
                    2,
                    2,
                    ptr::null_mut(),
                    0,
                    &mut len,
                    e
                ))
            }),
            ("evaluate_reliability", INVALID, &["n_bins is 0"], |f, e| {
                reliability(f, [0.5; 2], 0, e)
            }),
            ("evaluate_reliability", INVALID, &["n_bins is 18446744073709551615"], |f, e| {
                reliability(f, [0.5; 2], usize::MAX, e)
            }),
            ("evaluate_reliability", INVALID, &["add up to 1.5"], |f, e| {
                reliability(f, [0.5, 1.0], 15, e)
            }),
            ("evaluate_classes", Status::BufferTooSmall, &["out_classes", "1", "2"], |f, e| {
                let (mut class, mut len) = (cinetomo_class_metrics::default(), 0);
                let status = raw!((f.api.evaluate_classes)(
                    [0.5f32; 2].as_ptr(),
                    2,
                    [0].as_ptr(),
                    1,
                    2,
                    &mut class,
                    1,
                    &mut len,
                    e
                ));
                assert_eq!((len, class), (2, cinetomo_class_metrics::default()));
                status
            }),
            ("split", INVALID, &["training_fraction is NaN"], |f, e| {
                with_split(f, e, |o| o.training_fraction = f64::NAN)
            }),
            ("split", INVALID, &["test_fraction is -1"], |f, e| {
                with_split(f, e, |o| o.test_fraction = -1.0)
            }),
            ("split", INVALID, &["more than 1"], |f, e| {
                with_split(f, e, |o| o.validation_fraction = 0.9)
            }),
            ("model_calibrate", INVALID, &["precision is 2"], |f, e| {
                with_calibration(f, e, |o| o.precision = 2.0)
            }),
            ("model_calibrate", INVALID, &["coverage is NaN"], |f, e| {
                with_calibration(f, e, |o| o.coverage = f64::NAN)
            }),
            ("model_calibrate", INVALID, &["temperature is 2"], |f, e| {
                with_calibration(f, e, |o| o.temperature = 2)
            }),
            ("model_calibrate", INVALID, &["reject 4"], |f, e| {
                with_calibration(f, e, |o| o.reject = 4)
            }),
            ("model_calibrate", INVALID, &["class means", "CINETOMO_REJECT_DISTANCE"], |f, e| {
                with_calibration(f, e, |o| o.reject = cinetomo_reject::Distance as i32)
            }),
            ("model_calibrate", INVALID, &["no subtomogram has a label"], |f, e| {
                f.calibrate(&[-1; N], &initialised(f.api.calibration_options_init), e)
            }),
            ("model_calibrate", INVALID, &["labels", "5", "6"], |f, e| {
                f.calibrate(&[0; 5], &initialised(f.api.calibration_options_init), e)
            }),
            ("model_calibrate", INVALID, &["label", "3"], |f, e| {
                f.calibrate(&[3; N], &initialised(f.api.calibration_options_init), e)
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
            ("model_predict", INVALID, &["reject 8"], |f, e| {
                f.predict(&initialised(f.api.predictions_init), 8, e)
            }),
            ("model_predict", INVALID, &["no threshold on probability"], |f, e| {
                f.predict(&initialised(f.api.predictions_init), 1, e)
            }),
            ("model_predict", INVALID, &["no threshold on distance"], |f, e| {
                f.predict(&initialised(f.api.predictions_init), 2, e)
            }),
            ("model_predict", INVALID, &["class means"], |f, e| {
                let mut distances = [-1.0; N];
                let status = f.predict(
                    &cinetomo_predictions {
                        distances: distances.as_mut_ptr(),
                        distances_capacity: N,
                        ..initialised(f.api.predictions_init)
                    },
                    0,
                    e,
                );
                assert_eq!(distances, [-1.0; N], "output on failure");
                status
            }),
            ("model_predict", Status::BufferTooSmall, &["probabilities", "17", "18"], |f, e| {
                let (mut labels, mut probabilities) = ([9; N], [-1.0; 17]);
                let status = f.predict(
                    &cinetomo_predictions {
                        labels: labels.as_mut_ptr(),
                        labels_capacity: N,
                        probabilities: probabilities.as_mut_ptr(),
                        probabilities_capacity: 17,
                        ..initialised(f.api.predictions_init)
                    },
                    0,
                    e,
                );
                assert_eq!((labels, probabilities), ([9; N], [-1.0; 17]), "output on failure");
                status
            }),
            ("model_grad_cam", INVALID, &["class 3", "3 classes"], |f, e| {
                with_explanation(f, e, |o| o.class_index = 3)
            }),
            ("model_grad_cam", INVALID, &["class_index is -2", "-1 for the predicted"], |f, e| {
                with_explanation(f, e, |o| o.class_index = -2)
            }),
            ("model_grad_cam", INVALID, &["options.method is 2"], |f, e| {
                with_explanation(f, e, |o| o.method = 2)
            }),
            ("model_grad_cam", INVALID, &["options.rectify is 2"], |f, e| {
                with_explanation(f, e, |o| o.rectify = 2)
            }),
            ("model_grad_cam", INVALID, &["reserved is 1"], |f, e| {
                with_explanation(f, e, |o| o.reserved = 1)
            }),
            ("model_grad_cam", INVALID, &["layer3", "Mixed_4f"], |f, e| {
                with_explanation(f, e, |o| o.stage = c"layer3".as_ptr())
            }),
            ("model_grad_cam", INVALID, &["AvgPool", "positions"], |f, e| {
                with_explanation(f, e, |o| o.stage = c"AvgPool".as_ptr())
            }),
            ("model_grad_cam", INVALID, &["options.stage", "UTF-8"], |f, e| {
                with_explanation(f, e, |o| o.stage = c"\xff".as_ptr())
            }),
            ("model_grad_cam", Status::BufferTooSmall, &["out_maps", "24576"], |f, e| {
                let (mut value, mut len) = (-1.0, 7);
                let status = raw!((f.api.model_grad_cam)(
                    f.model,
                    &f.volume(),
                    ptr::null(),
                    ptr::null(),
                    &mut value,
                    1,
                    &mut len,
                    e
                ));
                assert_eq!((value, len), (-1.0, f.voxels.len()));
                status
            }),
            ("project2d tsne", INVALID, &["perplexity is 30", "1 to 16.3"], |f, e| {
                with_map(f, e, |o| o.perplexity = 30.0)
            }),
            ("project2d tsne", INVALID, &["perplexity is NaN"], |f, e| {
                with_map(f, e, |o| o.perplexity = f64::NAN)
            }),
            ("project2d tsne", INVALID, &["perplexity is -1"], |f, e| {
                with_map(f, e, |o| o.perplexity = -1.0)
            }),
            ("project2d tsne", INVALID, &["n_iterations is 249"], |f, e| {
                with_map(f, e, |o| o.n_iterations = 249)
            }),
            ("project2d tsne", INVALID, &["n_iterations is -1"], |f, e| {
                with_map(f, e, |o| o.n_iterations = -1)
            }),
            ("project2d tsne", INVALID, &["n_iterations is 2147483647"], |f, e| {
                with_map(f, e, |o| o.n_iterations = i32::MAX)
            }),
            ("project2d tsne", INVALID, &["reserved is 7"], |f, e| {
                with_map(f, e, |o| o.reserved = 7)
            }),
            ("project2d tsne", INVALID, &["3 embeddings", "at least 4"], |f, e| {
                f.tsne((3, 5), &initialised(f.project2d().options_init), e)
            }),
            ("project2d tsne", INVALID, &["0 numbers"], |f, e| {
                f.tsne((0, 5), &initialised(f.project2d().options_init), e)
            }),
            ("project2d tsne", INVALID, &["n_features is 0"], |f, e| {
                f.tsne((5, 0), &initialised(f.project2d().options_init), e)
            }),
            ("project2d tsne", Status::NonFinite, &["embedding 1: feature 2"], |f, e| {
                let (mut values, mut len) = ([0.5; 12], 0);
                values[5] = f32::INFINITY;
                let mut positions = [0.0; 8];
                raw!((f.project2d().tsne)(
                    f.context,
                    values.as_ptr(),
                    12,
                    3,
                    ptr::null(),
                    ptr::null(),
                    positions.as_mut_ptr(),
                    8,
                    &mut len,
                    e
                ))
            }),
            ("project2d separation", INVALID, &["18 numbers for 6 labels"], |f, e| {
                f.separation(2, 1, e)
            }),
            ("project2d separation", INVALID, &["n_features"], |f, e| f.separation(0, 1, e)),
            ("project2d separation", INVALID, &["features"], |f, e| f.separation(usize::MAX, 1, e)),
            ("project2d separation", INVALID, &["n_neighbors is 6", "1 to 5"], |f, e| {
                f.separation(3, 6, e)
            }),
            ("project2d separation", INVALID, &["n_neighbors is 0"], |f, e| f.separation(3, 0, e)),
            ("evaluate", Status::NonFinite, &[], |f, e| f.evaluate(&[0.5, f32::NAN], &[0], 2, e)),
        ],
    );
}

#[test]
fn simulations_without_meaning_are_refused() {
    check(
        &Fixture::new(),
        &[
            ("simulate", INVALID, &["tilt_axis", "3", "0, 1, 2"], |f, e| {
                simulate(f, e, |o| o.tilt_axis = 3)
            }),
            ("simulate", INVALID, &["tilt_axis and beam_axis are both"], |f, e| {
                simulate(f, e, |o| o.tilt_axis = o.beam_axis)
            }),
            ("simulate", INVALID, &["beam_axis", "-1"], |f, e| {
                simulate(f, e, |o| o.beam_axis = -1)
            }),
            ("simulate", INVALID, &["n_neighbours", "1000"], |f, e| {
                simulate(f, e, |o| o.n_neighbours = 1000)
            }),
            ("simulate", INVALID, &["n_neighbours"], |f, e| {
                simulate(f, e, |o| o.n_neighbours = i32::MIN)
            }),
            ("simulate", INVALID, &["envelope"], |f, e| simulate(f, e, |o| o.envelope = f64::NAN)),
            ("simulate", INVALID, &["mtf"], |f, e| simulate(f, e, |o| o.mtf = -0.5)),
            ("simulate", INVALID, &["noise_before"], |f, e| {
                simulate(f, e, |o| o.noise_before = 2.0)
            }),
            ("simulate", INVALID, &["reserved"], |f, e| simulate(f, e, |o| o.reserved_2 = 1)),
            ("simulate_particles", Status::BufferTooSmall, &["out_particles", "1", "2"], |f, e| {
                let (mut voxels, mut len) = (vec![-1.0; 2 * 512], 7);
                let options = cinetomo_synthetic_options {
                    box_size: 8,
                    voxel_size: 40.0,
                    ..initialised(f.synthetic().options_init)
                };
                let mut particle = std::mem::MaybeUninit::uninit();
                let status = raw!((f.synthetic().simulate_particles)(
                    f.context,
                    ptr::null(),
                    [0, 1].as_ptr(),
                    2,
                    &options,
                    ptr::null(),
                    voxels.as_mut_ptr(),
                    voxels.len(),
                    &mut len,
                    particle.as_mut_ptr(),
                    1,
                    e
                ));
                assert!(len == 7 && voxels.iter().all(|&voxel| voxel == -1.0), "output on failure");
                status
            }),
            ("simulate_tomogram", INVALID, &["shape", "-32"], |f, e| tomogram(f, e, [32, -32, 32])),
            ("simulate_tomogram", INVALID, &["shape"], |f, e| tomogram(f, e, [i64::MAX; 3])),
            ("simulate_tomogram", INVALID, &["particle 0", "fit"], |f, e| tomogram(f, e, [8; 3])),
        ],
    );
}

fn simulate(fixture: &Fixture, error: OutError, spoil: fn(&mut cinetomo_synthetic_options)) -> i32 {
    let mut options = initialised(fixture.synthetic().options_init);
    spoil(&mut options);
    let mut len = 7;
    let status = raw!((fixture.synthetic().simulate)(
        fixture.context,
        ptr::null(),
        [0].as_ptr(),
        1,
        &options,
        ptr::null(),
        ptr::null_mut(),
        0,
        &mut len,
        error
    ));
    assert_eq!(len, 7, "output on failure");
    status
}

fn tomogram(fixture: &Fixture, error: OutError, shape: [i64; 3]) -> i32 {
    let (mut voxels, mut len) = (vec![-1.0; 4096], 7);
    let status = raw!((fixture.synthetic().simulate_tomogram)(
        fixture.context,
        ptr::null(),
        [0].as_ptr(),
        1,
        shape.as_ptr(),
        ptr::null(),
        ptr::null(),
        voxels.as_mut_ptr(),
        voxels.len(),
        &mut len,
        ptr::null_mut(),
        0,
        error
    ));
    assert!(len == 7 && voxels.iter().all(|&voxel| voxel == -1.0), "output on failure");
    status
}

#[test]
fn picking_without_meaning_is_refused() {
    /// A reader that cannot read.
    unsafe extern "C" fn broken(
        _: *mut std::ffi::c_void,
        _: i64,
        _: i64,
        _: i64,
        _: i64,
        _: i64,
        _: i64,
        _: *mut f32,
    ) -> i32 {
        -5
    }
    fn picked(f: &Fixture, e: OutError, spoil: fn(&mut cinetomo_pick_options)) -> i32 {
        let mut options = initialised(f.picker().pick_options_init);
        spoil(&mut options);
        f.pick(&f.tomogram(), &options, e)
    }
    fn of(f: &Fixture, e: OutError, spoil: fn(&mut cinetomo_tomogram)) -> i32 {
        let mut tomogram = f.tomogram();
        spoil(&mut tomogram);
        f.pick(&tomogram, &initialised(f.picker().pick_options_init), e)
    }
    fn cut(f: &Fixture, e: OutError, spoil: fn(&mut cinetomo_extract_options)) -> i32 {
        let mut options = initialised(f.picker().extract_options_init);
        spoil(&mut options);
        f.extract(&f.tomogram(), &[8.0; 3], &options, e)
    }
    check(
        &Fixture::new(),
        &[
            ("pick", INVALID, &["sigma", "-1"], |f, e| picked(f, e, |o| o.sigma = -1.0)),
            ("pick", INVALID, &["sigma_ratio"], |f, e| picked(f, e, |o| o.sigma_ratio = 0.9)),
            ("pick", INVALID, &["n_max", "0"], |f, e| picked(f, e, |o| o.n_max = 0)),
            ("pick", INVALID, &["n_max"], |f, e| picked(f, e, |o| o.n_max = i64::MAX)),
            ("pick", INVALID, &["border"], |f, e| picked(f, e, |o| o.border = -2)),
            ("pick", INVALID, &["max_memory"], |f, e| picked(f, e, |o| o.max_memory = 0)),
            ("pick", INVALID, &["threshold_rule", "3"], |f, e| {
                picked(f, e, |o| o.threshold_rule = 3)
            }),
            ("pick", INVALID, &["refine", "2"], |f, e| picked(f, e, |o| o.refine = 2)),
            ("pick", INVALID, &["shape", "-16"], |f, e| of(f, e, |t| t.shape[1] = -16)),
            ("pick", INVALID, &["shape"], |f, e| of(f, e, |t| t.shape[2] = i64::MAX)),
            ("pick", INVALID, &["voxel_size"], |f, e| of(f, e, |t| t.voxel_size = f64::NAN)),
            ("pick", INVALID, &["contrast", "5"], |f, e| of(f, e, |t| t.contrast = 5)),
            ("pick", INVALID, &["contrast is unknown"], |f, e| of(f, e, |t| t.contrast = 0)),
            ("pick", INVALID, &["reserved"], |f, e| of(f, e, |t| t.reserved = 5)),
            ("pick", Status::Io, &["returned -5", "16 x 16 x 16", "z=0"], |f, e| {
                of(f, e, |t| t.read = Some(broken))
            }),
            ("pick", INVALID, &["both set"], |f, e| {
                let voxels = f.volume();
                let tomogram = cinetomo_tomogram { voxels: &voxels, ..f.tomogram() };
                f.pick(&tomogram, &initialised(f.picker().pick_options_init), e)
            }),
            ("pick", INVALID, &["tomogram.voxels", "shape is [6, 16, 16, 16]"], |f, e| {
                let voxels = f.volume();
                let tomogram =
                    cinetomo_tomogram { voxels: &voxels, ..initialised(f.picker().tomogram_init) };
                f.pick(&tomogram, &initialised(f.picker().pick_options_init), e)
            }),
            ("pick", Status::BufferTooSmall, &["out_scores", "1000", "1001"], |f, e| {
                let (mut positions, mut scores, mut n) = ([-1.0; 3000], [-1.0; 1000], 0);
                let options = cinetomo_pick_options {
                    n_max: 1001,
                    ..initialised(f.picker().pick_options_init)
                };
                let status = raw!((f.picker().pick)(
                    f.context,
                    &f.tomogram(),
                    &options,
                    ptr::null(),
                    positions.as_mut_ptr(),
                    scores.as_mut_ptr(),
                    1000,
                    &mut n,
                    e
                ));
                assert!(n == 1001 && scores == [-1.0; 1000]);
                status
            }),
            ("extract", INVALID, &["box_size", "1"], |f, e| cut(f, e, |o| o.box_size = 1)),
            ("extract", INVALID, &["box_size"], |f, e| cut(f, e, |o| o.box_size = i64::MAX)),
            ("extract", INVALID, &["voxel_size"], |f, e| cut(f, e, |o| o.voxel_size = -1.0)),
            ("extract", INVALID, &["resampling", "7"], |f, e| cut(f, e, |o| o.resampling = 7)),
            ("extract", INVALID, &["edge", "-1"], |f, e| cut(f, e, |o| o.edge = -1)),
            ("extract", INVALID, &["contrast", "9"], |f, e| cut(f, e, |o| o.contrast = 9)),
            ("extract", INVALID, &["reserved"], |f, e| cut(f, e, |o| o.reserved = 9)),
            ("extract", INVALID, &["position 0", "reaches beyond"], |f, e| {
                cut(f, e, |o| o.edge = cinetomo_edge::Fail as i32)
            }),
            ("extract", INVALID, &["position 1", "outside"], |f, e| {
                let options = initialised(f.picker().extract_options_init);
                f.extract(&f.tomogram(), &[8.0, 8.0, 8.0, 8.0, 16.0, 8.0], &options, e)
            }),
            ("extract", INVALID, &["position 0", "NaN"], |f, e| {
                let options = initialised(f.picker().extract_options_init);
                f.extract(&f.tomogram(), &[8.0, f32::NAN, 8.0], &options, e)
            }),
            ("extract", Status::Io, &["returned -5"], |f, e| {
                let tomogram = cinetomo_tomogram { read: Some(broken), ..f.tomogram() };
                let options = initialised(f.picker().extract_options_init);
                f.extract(&tomogram, &[8.0; 3], &options, e)
            }),
        ],
    );
}

fn with_preprocess(fixture: &Fixture, error: OutError, spoil: fn(&mut cinetomo_preprocess)) -> i32 {
    let mut preprocess = initialised(fixture.api.preprocess_init);
    spoil(&mut preprocess);
    fixture.random(
        &cinetomo_model_options { preprocess: &preprocess, ..fixture.model_options() },
        error,
    )
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

/// A map of 50 embeddings of 8 numbers.
fn with_map(fixture: &Fixture, error: OutError, spoil: fn(&mut cinetomo_tsne_options)) -> i32 {
    let mut options = initialised(fixture.project2d().options_init);
    spoil(&mut options);
    fixture.tsne((50, 8), &options, error)
}

fn with_explanation(
    fixture: &Fixture,
    error: OutError,
    spoil: fn(&mut cinetomo_grad_cam_options),
) -> i32 {
    let mut options = initialised(fixture.api.grad_cam_options_init);
    spoil(&mut options);
    fixture.grad_cam(&options, error)
}

fn with_split(fixture: &Fixture, error: OutError, spoil: fn(&mut cinetomo_split_options)) -> i32 {
    let mut options = initialised(fixture.api.split_options_init);
    spoil(&mut options);
    fixture.split(&options, error)
}

fn with_calibration(
    fixture: &Fixture,
    error: OutError,
    spoil: fn(&mut cinetomo_calibration_options),
) -> i32 {
    let mut options = initialised(fixture.api.calibration_options_init);
    spoil(&mut options);
    fixture.calibrate(&fixture.labels, &options, error)
}

fn reliability(fixture: &Fixture, scores: [f32; 2], n_bins: usize, error: OutError) -> i32 {
    let mut len = 0;
    raw!((fixture.api.evaluate_reliability)(
        scores.as_ptr(),
        2,
        [0].as_ptr(),
        1,
        2,
        n_bins,
        ptr::null_mut(),
        0,
        &mut len,
        error
    ))
}
