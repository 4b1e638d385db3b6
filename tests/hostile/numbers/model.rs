//! Options of models, and of what is asked of them.

use std::ptr;

use cinetomo_abi::{cinetomo_status as Status, *};

use crate::fixture::*;

#[test]
fn models_without_meaning_are_refused() {
    check(
        &Fixture::new(),
        &[
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

fn with_explanation(
    fixture: &Fixture,
    error: OutError,
    spoil: fn(&mut cinetomo_grad_cam_options),
) -> i32 {
    let mut options = initialised(fixture.api.grad_cam_options_init);
    spoil(&mut options);
    fixture.grad_cam(&options, error)
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
