//! Options of picking and of boxes.

use std::ptr;

use cinetomo_abi::{cinetomo_status as Status, *};

use crate::fixture::*;

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
