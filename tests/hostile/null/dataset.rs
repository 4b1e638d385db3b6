//! The table `cinetomo.dataset/1`.

use std::ptr;

use cinetomo_abi::*;

use crate::fixture::*;

pub const CASES: &[Case] = &[
    ("dataset fine_tune", NULL, &["model"], |f, e| {
        let (dataset, mut out) = (f.dataset(), ptr::null_mut());
        raw!((f.datasets().fine_tune)(
            ptr::null(),
            &dataset,
            f.labels.as_ptr(),
            N,
            ptr::null(),
            ptr::null(),
            &mut out,
            e
        ))
    }),
    ("dataset fine_tune", NULL, &["dataset"], |f, e| {
        let mut out = ptr::null_mut();
        raw!((f.datasets().fine_tune)(
            f.model,
            ptr::null(),
            f.labels.as_ptr(),
            N,
            ptr::null(),
            ptr::null(),
            &mut out,
            e
        ))
    }),
    ("dataset fine_tune", NULL, &["dataset.read"], |f, e| {
        f.fine_tune_dataset(&cinetomo_dataset { read: None, ..f.dataset() }, e)
    }),
    ("dataset fine_tune", NULL, &["labels"], |f, e| {
        let (dataset, mut out) = (f.dataset(), ptr::null_mut());
        raw!((f.datasets().fine_tune)(
            f.model,
            &dataset,
            ptr::null(),
            N,
            ptr::null(),
            ptr::null(),
            &mut out,
            e
        ))
    }),
    ("dataset fine_tune", NULL, &["out_model"], |f, e| {
        let dataset = f.dataset();
        raw!((f.datasets().fine_tune)(
            f.model,
            &dataset,
            f.labels.as_ptr(),
            N,
            ptr::null(),
            ptr::null(),
            ptr::null_mut(),
            e
        ))
    }),
    ("dataset calibrate", NULL, &["dataset"], |f, e| {
        let mut out = ptr::null_mut();
        raw!((f.datasets().calibrate)(
            f.model,
            ptr::null(),
            f.labels.as_ptr(),
            N,
            ptr::null(),
            ptr::null(),
            &mut out,
            e
        ))
    }),
    ("dataset calibrate", NULL, &["labels"], |f, e| {
        let (dataset, mut out) = (f.dataset(), ptr::null_mut());
        raw!((f.datasets().calibrate)(
            f.model,
            &dataset,
            ptr::null(),
            N,
            ptr::null(),
            ptr::null(),
            &mut out,
            e
        ))
    }),
    ("dataset calibrate", NULL, &["out_model"], |f, e| {
        let dataset = f.dataset();
        raw!((f.datasets().calibrate)(
            f.model,
            &dataset,
            f.labels.as_ptr(),
            N,
            ptr::null(),
            ptr::null(),
            ptr::null_mut(),
            e
        ))
    }),
    ("dataset classify", NULL, &["dataset"], |f, e| {
        let mut len = 0;
        raw!((f.datasets().classify)(
            f.model,
            ptr::null(),
            ptr::null(),
            ptr::null_mut(),
            0,
            &mut len,
            e
        ))
    }),
    ("dataset classify", NULL, &["out_probabilities"], |f, e| {
        let (dataset, mut len) = (f.dataset(), 0);
        raw!((f.datasets().classify)(
            f.model,
            &dataset,
            ptr::null(),
            ptr::null_mut(),
            9,
            &mut len,
            e
        ))
    }),
    ("dataset classify", NULL, &["out_len"], |f, e| {
        let dataset = f.dataset();
        raw!((f.datasets().classify)(
            f.model,
            &dataset,
            ptr::null(),
            ptr::null_mut(),
            0,
            ptr::null_mut(),
            e
        ))
    }),
];
