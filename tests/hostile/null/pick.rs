//! The table `cinetomo.pick/1`.

use std::ptr;

use cinetomo_abi::*;

use crate::fixture::*;

pub const CASES: &[Case] = &[
    ("pick pick", NULL, &["context"], |f, e| {
        let mut n = 0;
        raw!((f.picker().pick)(
            ptr::null(),
            &f.tomogram(),
            ptr::null(),
            ptr::null(),
            ptr::null_mut(),
            ptr::null_mut(),
            0,
            &mut n,
            e
        ))
    }),
    ("pick pick", NULL, &["tomogram"], |f, e| {
        let mut n = 0;
        raw!((f.picker().pick)(
            f.context,
            ptr::null(),
            ptr::null(),
            ptr::null(),
            ptr::null_mut(),
            ptr::null_mut(),
            0,
            &mut n,
            e
        ))
    }),
    ("pick pick", NULL, &["tomogram.voxels and tomogram.read"], |f, e| {
        f.pick(
            &cinetomo_tomogram { read: None, ..f.tomogram() },
            &initialised(f.picker().pick_options_init),
            e,
        )
    }),
    ("pick pick", NULL, &["tomogram.voxels", "data"], |f, e| {
        let voxels =
            cinetomo_volume { data: ptr::null(), shape: [1, EDGE, EDGE, EDGE], ..f.volume() };
        let tomogram =
            cinetomo_tomogram { voxels: &voxels, ..initialised(f.picker().tomogram_init) };
        f.pick(&tomogram, &initialised(f.picker().pick_options_init), e)
    }),
    ("pick pick", NULL, &["out_n"], |f, e| {
        raw!((f.picker().pick)(
            f.context,
            &f.tomogram(),
            ptr::null(),
            ptr::null(),
            ptr::null_mut(),
            ptr::null_mut(),
            0,
            ptr::null_mut(),
            e
        ))
    }),
    ("pick pick", NULL, &["out_scores"], |f, e| {
        let (mut positions, mut n) = ([0.0; 3000], 0);
        raw!((f.picker().pick)(
            f.context,
            &f.tomogram(),
            ptr::null(),
            ptr::null(),
            positions.as_mut_ptr(),
            ptr::null_mut(),
            1000,
            &mut n,
            e
        ))
    }),
    ("pick pick", NULL, &["out_positions"], |f, e| {
        let (mut scores, mut n) = ([0.0; 1000], 0);
        raw!((f.picker().pick)(
            f.context,
            &f.tomogram(),
            ptr::null(),
            ptr::null(),
            ptr::null_mut(),
            scores.as_mut_ptr(),
            1000,
            &mut n,
            e
        ))
    }),
    ("pick extract", NULL, &["context"], |f, e| {
        let mut len = 0;
        raw!((f.picker().extract)(
            ptr::null(),
            &f.tomogram(),
            [8.0; 3].as_ptr(),
            1,
            ptr::null(),
            ptr::null(),
            ptr::null_mut(),
            0,
            &mut len,
            ptr::null_mut(),
            0,
            e
        ))
    }),
    ("pick extract", NULL, &["positions"], |f, e| {
        let mut len = 0;
        raw!((f.picker().extract)(
            f.context,
            &f.tomogram(),
            ptr::null(),
            1,
            ptr::null(),
            ptr::null(),
            ptr::null_mut(),
            0,
            &mut len,
            ptr::null_mut(),
            0,
            e
        ))
    }),
    ("pick extract", NULL, &["out_len"], |f, e| {
        raw!((f.picker().extract)(
            f.context,
            &f.tomogram(),
            [8.0; 3].as_ptr(),
            1,
            ptr::null(),
            ptr::null(),
            ptr::null_mut(),
            0,
            ptr::null_mut(),
            ptr::null_mut(),
            0,
            e
        ))
    }),
    ("pick extract", NULL, &["out_indices"], |f, e| {
        let mut len = 0;
        raw!((f.picker().extract)(
            f.context,
            &f.tomogram(),
            [8.0; 3].as_ptr(),
            1,
            ptr::null(),
            ptr::null(),
            ptr::null_mut(),
            0,
            &mut len,
            ptr::null_mut(),
            1,
            e
        ))
    }),
];
