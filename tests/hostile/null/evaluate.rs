//! Scores and labels.

use std::ptr;

use crate::fixture::*;

const SCORES: [f32; 2] = [0.5; 2];

pub const CASES: &[Case] = &[
    ("evaluate", NULL, &["out_metrics"], |f, e| {
        raw!((f.api.evaluate)(
            [0.5f32; 2].as_ptr(),
            2,
            [0].as_ptr(),
            1,
            2,
            ptr::null_mut(),
            ptr::null_mut(),
            0,
            ptr::null_mut(),
            e
        ))
    }),
    ("evaluate", NULL, &["probabilities"], |f, e| {
        let mut metrics = initialised(f.api.metrics_init);
        raw!((f.api.evaluate)(
            ptr::null(),
            2,
            [0].as_ptr(),
            1,
            2,
            &mut metrics,
            ptr::null_mut(),
            0,
            ptr::null_mut(),
            e
        ))
    }),
    ("evaluate", NULL, &["labels"], |f, e| {
        let mut metrics = initialised(f.api.metrics_init);
        raw!((f.api.evaluate)(
            [0.5f32; 2].as_ptr(),
            2,
            ptr::null(),
            1,
            2,
            &mut metrics,
            ptr::null_mut(),
            0,
            ptr::null_mut(),
            e
        ))
    }),
    ("evaluate", NULL, &["out_confusion"], |f, e| {
        let (mut metrics, mut len) = (initialised(f.api.metrics_init), 0);
        raw!((f.api.evaluate)(
            [0.5f32; 2].as_ptr(),
            2,
            [0].as_ptr(),
            1,
            2,
            &mut metrics,
            ptr::null_mut(),
            4,
            &mut len,
            e
        ))
    }),
    ("evaluate", NULL, &["out_len"], |f, e| {
        let (mut metrics, mut confusion) = (initialised(f.api.metrics_init), [0; 4]);
        raw!((f.api.evaluate)(
            [0.5f32; 2].as_ptr(),
            2,
            [0].as_ptr(),
            1,
            2,
            &mut metrics,
            confusion.as_mut_ptr(),
            4,
            ptr::null_mut(),
            e
        ))
    }),
    ("evaluate_classes", NULL, &["out_classes"], |f, e| {
        let mut len = 0;
        raw!((f.api.evaluate_classes)(
            SCORES.as_ptr(),
            2,
            [0].as_ptr(),
            1,
            2,
            ptr::null_mut(),
            2,
            &mut len,
            e
        ))
    }),
    ("evaluate_classes", NULL, &["out_len"], |f, e| {
        raw!((f.api.evaluate_classes)(
            SCORES.as_ptr(),
            2,
            [0].as_ptr(),
            1,
            2,
            ptr::null_mut(),
            0,
            ptr::null_mut(),
            e
        ))
    }),
    ("evaluate_classes", NULL, &["probabilities"], |f, e| {
        let mut len = 0;
        raw!((f.api.evaluate_classes)(
            ptr::null(),
            2,
            [0].as_ptr(),
            1,
            2,
            ptr::null_mut(),
            0,
            &mut len,
            e
        ))
    }),
    ("evaluate_roc", NULL, &["out_points"], |f, e| {
        let mut len = 0;
        raw!((f.api.evaluate_roc)(
            SCORES.as_ptr(),
            2,
            [0].as_ptr(),
            1,
            2,
            0,
            ptr::null_mut(),
            9,
            &mut len,
            e
        ))
    }),
    ("evaluate_roc", NULL, &["labels"], |f, e| {
        let mut len = 0;
        raw!((f.api.evaluate_roc)(
            SCORES.as_ptr(),
            2,
            ptr::null(),
            1,
            2,
            0,
            ptr::null_mut(),
            0,
            &mut len,
            e
        ))
    }),
    ("evaluate_reliability", NULL, &["out_bins"], |f, e| {
        let mut len = 0;
        raw!((f.api.evaluate_reliability)(
            SCORES.as_ptr(),
            2,
            [0].as_ptr(),
            1,
            2,
            15,
            ptr::null_mut(),
            15,
            &mut len,
            e
        ))
    }),
    ("evaluate_reliability", NULL, &["labels"], |f, e| {
        let mut len = 0;
        raw!((f.api.evaluate_reliability)(
            SCORES.as_ptr(),
            2,
            ptr::null(),
            1,
            2,
            15,
            ptr::null_mut(),
            0,
            &mut len,
            e
        ))
    }),
    ("split", NULL, &["labels"], |f, e| {
        let mut len = 0;
        raw!((f.api.split)(
            ptr::null(),
            ptr::null(),
            6,
            ptr::null(),
            ptr::null_mut(),
            0,
            &mut len,
            e
        ))
    }),
    ("split", NULL, &["out_parts"], |f, e| {
        let mut len = 0;
        raw!((f.api.split)(
            f.labels.as_ptr(),
            ptr::null(),
            N,
            ptr::null(),
            ptr::null_mut(),
            N,
            &mut len,
            e
        ))
    }),
    ("split", NULL, &["out_len"], |f, e| {
        raw!((f.api.split)(
            f.labels.as_ptr(),
            ptr::null(),
            N,
            ptr::null(),
            ptr::null_mut(),
            0,
            ptr::null_mut(),
            e
        ))
    }),
];
