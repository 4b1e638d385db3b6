//! Scores and labels, and splits of them.

use std::ptr;

use cinetomo_abi::{cinetomo_status as Status, *};

use crate::fixture::*;

#[test]
fn labels_without_meaning_are_refused() {
    check(
        &Fixture::new(),
        &[
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
            ("evaluate", Status::NonFinite, &[], |f, e| f.evaluate(&[0.5, f32::NAN], &[0], 2, e)),
        ],
    );
}

fn with_split(fixture: &Fixture, error: OutError, spoil: fn(&mut cinetomo_split_options)) -> i32 {
    let mut options = initialised(fixture.api.split_options_init);
    spoil(&mut options);
    fixture.split(&options, error)
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
