//! The table `cinetomo.synthetic/1`.

use std::ptr;

use crate::fixture::*;

pub const CASES: &[Case] = &[
    ("synthetic phantom_density", NULL, &["out_len"], |f, e| {
        raw!((f.synthetic().phantom_density)(0, 16, 10.0, ptr::null_mut(), 0, ptr::null_mut(), e))
    }),
    ("synthetic simulate", NULL, &["context"], |f, e| {
        let mut len = 0;
        raw!((f.synthetic().simulate)(
            ptr::null(),
            ptr::null(),
            [0].as_ptr(),
            1,
            ptr::null(),
            ptr::null(),
            ptr::null_mut(),
            0,
            &mut len,
            e
        ))
    }),
    ("synthetic simulate", NULL, &["labels"], |f, e| {
        let mut len = 0;
        raw!((f.synthetic().simulate)(
            f.context,
            ptr::null(),
            ptr::null(),
            1,
            ptr::null(),
            ptr::null(),
            ptr::null_mut(),
            0,
            &mut len,
            e
        ))
    }),
    ("synthetic simulate_particles", NULL, &["out_particles"], |f, e| {
        let mut len = 0;
        raw!((f.synthetic().simulate_particles)(
            f.context,
            ptr::null(),
            [0].as_ptr(),
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
    ("synthetic simulate_tomogram", NULL, &["shape"], |f, e| {
        let mut len = 0;
        raw!((f.synthetic().simulate_tomogram)(
            f.context,
            ptr::null(),
            [0].as_ptr(),
            1,
            ptr::null(),
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
    ("synthetic simulate_tomogram", NULL, &["out_len"], |f, e| {
        raw!((f.synthetic().simulate_tomogram)(
            f.context,
            ptr::null(),
            [0].as_ptr(),
            1,
            [32i64; 3].as_ptr(),
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
];
