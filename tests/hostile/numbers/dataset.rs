//! Sets of subtomograms that are fetched.

use std::{
    ffi::{c_char, c_void},
    ptr,
};

use cinetomo_abi::{cinetomo_status as Status, *};

use crate::fixture::*;

/// A reader that cannot read, and fills its message without an end.
unsafe extern "C" fn broken(
    _: *mut c_void,
    _: *const i64,
    _: usize,
    _: *mut f32,
    message: *mut c_char,
    capacity: usize,
) -> i32 {
    // SAFETY: the library has room for so many bytes.
    unsafe { std::slice::from_raw_parts_mut(message, capacity) }.fill(b'x' as c_char);
    -5
}

/// A reader that writes all but the last voxel.
unsafe extern "C" fn short(
    fixture: *mut c_void,
    indices: *const i64,
    n: usize,
    out: *mut f32,
    message: *mut c_char,
    capacity: usize,
) -> i32 {
    // SAFETY: as `read_boxes`, and the buffer has as many voxels.
    unsafe {
        let status = read_boxes(fixture, indices, n, out, message, capacity);
        *out.add(n * (EDGE * EDGE * EDGE) as usize - 1) = f32::NAN;
        status
    }
}

/// A reader that asks for the model of its own call.
unsafe extern "C" fn greedy(
    fixture: *mut c_void,
    _: *const i64,
    _: usize,
    _: *mut f32,
    _: *mut c_char,
    _: usize,
) -> i32 {
    // SAFETY: `dataset` hands on the fixture.
    let fixture = unsafe { &*fixture.cast::<Fixture>() };
    let mut error = ptr::null_mut();
    let status = fixture.classify(&fixture.volume(), &mut error);
    assert!(message(fixture.api, error).contains("at work in the call whose callback this is"));
    // SAFETY: ours, and freed once.
    unsafe { (fixture.api.error_free)(error) };
    status
}

#[test]
fn sets_without_meaning_are_refused() {
    fn of(f: &Fixture, e: OutError, spoil: fn(&mut cinetomo_dataset)) -> i32 {
        let mut dataset = f.dataset();
        spoil(&mut dataset);
        f.fine_tune_dataset(&dataset, e)
    }
    check(
        &Fixture::new(),
        &[
            ("fine_tune", INVALID, &["dataset", "shape[0]", "0"], |f, e| {
                of(f, e, |d| d.shape[0] = 0)
            }),
            ("fine_tune", INVALID, &["dataset", "shape[0]"], |f, e| {
                of(f, e, |d| d.shape[0] = i64::MAX)
            }),
            ("fine_tune", INVALID, &["dataset", "shape along y is -16"], |f, e| {
                of(f, e, |d| d.shape[2] = -16)
            }),
            ("fine_tune", INVALID, &["dataset", "shape along x"], |f, e| {
                of(f, e, |d| d.shape[3] = 1025)
            }),
            ("fine_tune", INVALID, &["6 labels for 7 subtomograms"], |f, e| {
                of(f, e, |d| d.shape[0] = 7)
            }),
            ("fine_tune", INVALID, &["dataset.voxel_size"], |f, e| {
                of(f, e, |d| d.voxel_size = f64::NAN)
            }),
            ("fine_tune", INVALID, &["dataset.contrast", "5"], |f, e| of(f, e, |d| d.contrast = 5)),
            ("fine_tune", INVALID, &["dataset.beam_axis", "3"], |f, e| {
                of(f, e, |d| d.beam_axis = 3)
            }),
            ("fine_tune", INVALID, &["dataset.identity is not UTF-8 from byte 1"], |f, e| {
                of(f, e, |d| d.identity = c"a\xff".as_ptr())
            }),
            ("fine_tune", INVALID, &["dataset: struct_size is 79"], |f, e| {
                of(f, e, |d| d.struct_size = 79)
            }),
            (
                "fine_tune",
                Status::Io,
                &["dataset.read returned -5 for boxes", "more: xxx"],
                |f, e| of(f, e, |d| d.read = Some(broken)),
            ),
            (
                "fine_tune",
                Status::NonFinite,
                &["1 voxel is NaN or infinite, the first at z=15, y=15, x=15"],
                |f, e| of(f, e, |d| d.read = Some(short)),
            ),
            ("fine_tune", Status::Io, &["dataset.read returned 2 for boxes"], |f, e| {
                of(f, e, |d| d.read = Some(greedy))
            }),
            ("classify", Status::BufferTooSmall, &["out_probabilities", "17", "18"], |f, e| {
                let (mut scores, mut len) = ([-1.0; 17], 7);
                let dataset = f.dataset();
                let status = raw!((f.datasets().classify)(
                    f.model,
                    &dataset,
                    ptr::null(),
                    scores.as_mut_ptr(),
                    17,
                    &mut len,
                    e
                ));
                assert!(len == 18 && scores == [-1.0; 17]);
                status
            }),
            ("classify", Status::Cancelled, &["stopped: the cancel flag was raised"], |f, e| {
                let (mut scores, mut len) = ([-1.0; 18], 7);
                let (dataset, cancel) = (f.dataset(), f.cancel);
                // SAFETY: the flag is the fixture's.
                unsafe { (f.api.cancel_raise)(cancel) };
                let hooks = cinetomo_hooks { cancel, ..f.hooks() };
                let status = raw!((f.datasets().classify)(
                    f.model,
                    &dataset,
                    &hooks,
                    scores.as_mut_ptr(),
                    18,
                    &mut len,
                    e
                ));
                assert!(len == 7 && scores == [-1.0; 18]);
                status
            }),
        ],
    );
}

/// The same probabilities as of a volume, by the host's function.
#[test]
fn what_is_fetched_is_classified_as_what_is_lent() {
    let f = Fixture::new();
    let mut found = [[0.0f32; 18]; 2];
    let mut len = [0; 2];
    // SAFETY: the buffers are as large as stated.
    let statuses = unsafe {
        let mut error = ptr::null_mut();
        let (volume, dataset) = (f.volume(), f.dataset());
        let none = ptr::null();
        [
            (f.api.model_classify)(
                f.model,
                &volume,
                none,
                found[0].as_mut_ptr(),
                18,
                &mut len[0],
                &mut error,
            ),
            (f.datasets().classify)(
                f.model,
                &dataset,
                none,
                found[1].as_mut_ptr(),
                18,
                &mut len[1],
                &mut error,
            ),
        ]
    };
    assert_eq!((statuses, len), ([0; 2], [18; 2]));
    assert!(found[0] == found[1] && found[0][0] > 0.0);
}
