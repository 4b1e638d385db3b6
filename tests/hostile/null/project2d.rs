//! The table `cinetomo.project2d/1`.

use std::ptr;

use crate::fixture::*;

pub const CASES: &[Case] = &[
    ("project2d tsne", NULL, &["context"], |f, e| {
        let mut len = 0;
        raw!((f.project2d().tsne)(
            ptr::null(),
            f.voxels.as_ptr(),
            12,
            3,
            ptr::null(),
            ptr::null(),
            ptr::null_mut(),
            0,
            &mut len,
            e
        ))
    }),
    ("project2d tsne", NULL, &["embeddings"], |f, e| {
        let mut len = 0;
        raw!((f.project2d().tsne)(
            f.context,
            ptr::null(),
            12,
            3,
            ptr::null(),
            ptr::null(),
            ptr::null_mut(),
            0,
            &mut len,
            e
        ))
    }),
    ("project2d tsne", NULL, &["out_positions"], |f, e| {
        let mut len = 0;
        raw!((f.project2d().tsne)(
            f.context,
            f.voxels.as_ptr(),
            12,
            3,
            ptr::null(),
            ptr::null(),
            ptr::null_mut(),
            8,
            &mut len,
            e
        ))
    }),
    ("project2d tsne", NULL, &["out_len"], |f, e| {
        raw!((f.project2d().tsne)(
            f.context,
            f.voxels.as_ptr(),
            12,
            3,
            ptr::null(),
            ptr::null(),
            ptr::null_mut(),
            0,
            ptr::null_mut(),
            e
        ))
    }),
    ("project2d separation", NULL, &["context"], |f, e| {
        let mut out = initialised(f.project2d().separation_init);
        raw!((f.project2d().separation)(
            ptr::null(),
            f.voxels.as_ptr(),
            N,
            1,
            f.labels.as_ptr(),
            N,
            1,
            &mut out,
            e
        ))
    }),
    ("project2d separation", NULL, &["embeddings"], |f, e| {
        let mut out = initialised(f.project2d().separation_init);
        raw!((f.project2d().separation)(
            f.context,
            ptr::null(),
            N,
            1,
            f.labels.as_ptr(),
            N,
            1,
            &mut out,
            e
        ))
    }),
    ("project2d separation", NULL, &["labels"], |f, e| {
        let mut out = initialised(f.project2d().separation_init);
        raw!((f.project2d().separation)(
            f.context,
            f.voxels.as_ptr(),
            N,
            1,
            ptr::null(),
            N,
            1,
            &mut out,
            e
        ))
    }),
    ("project2d separation", NULL, &["out_separation"], |f, e| {
        raw!((f.project2d().separation)(
            f.context,
            f.voxels.as_ptr(),
            N,
            1,
            f.labels.as_ptr(),
            N,
            1,
            ptr::null_mut(),
            e
        ))
    }),
];
