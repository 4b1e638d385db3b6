//! Volumes that cannot be what they say.

use std::ptr;

use cinetomo_abi::{cinetomo_status as Status, *};

use crate::fixture::*;

#[test]
fn volumes_are_checked_before_they_are_touched() {
    let fixture = Fixture::new();
    fn spoilt(f: &Fixture, e: OutError, spoil: fn(&mut cinetomo_volume)) -> i32 {
        let mut volume = f.volume();
        spoil(&mut volume);
        f.classify(&volume, e)
    }
    check(
        &fixture,
        &[
            ("dtype", INVALID, &["dtype is 6"], |f, e| spoilt(f, e, |v| v.dtype = 6)),
            ("dtype", INVALID, &["dtype is -1"], |f, e| spoilt(f, e, |v| v.dtype = -1)),
            ("memory", INVALID, &["memory is 0", "1, 2"], |f, e| spoilt(f, e, |v| v.memory = 0)),
            ("contrast", INVALID, &["contrast"], |f, e| spoilt(f, e, |v| v.contrast = 5)),
            ("beam_axis", INVALID, &["beam_axis"], |f, e| spoilt(f, e, |v| v.beam_axis = 3)),
            ("reserved", INVALID, &["reserved"], |f, e| spoilt(f, e, |v| v.reserved = 3)),
            ("voxel_size", INVALID, &["voxel_size"], |f, e| spoilt(f, e, |v| v.voxel_size = -1.0)),
            ("voxel_size", INVALID, &["voxel_size"], |f, e| {
                spoilt(f, e, |v| v.voxel_size = f64::NAN)
            }),
            ("shape n", INVALID, &["shape[0]", "0"], |f, e| spoilt(f, e, |v| v.shape[0] = 0)),
            ("shape n", INVALID, &["shape[0]"], |f, e| spoilt(f, e, |v| v.shape[0] = i64::MAX)),
            ("shape z", INVALID, &["along z", "-16"], |f, e| spoilt(f, e, |v| v.shape[1] = -16)),
            ("shape y", INVALID, &["along y"], |f, e| spoilt(f, e, |v| v.shape[2] = i64::MAX)),
            ("shape x", INVALID, &["along x"], |f, e| spoilt(f, e, |v| v.shape[3] = 1 << 40)),
            ("stride", INVALID, &["strides[3]", "-1"], |f, e| {
                spoilt(f, e, |v| v.strides = [4096, 256, 16, -1])
            }),
            ("stride", INVALID, &["does not fit"], |f, e| {
                spoilt(f, e, |v| v.strides = [i64::MAX, 256, 16, 1])
            }),
            ("stride", INVALID, &["does not fit"], |f, e| {
                spoilt(f, e, |v| (v.strides, v.data_bytes) = ([1 << 60, 256, 16, 1], 0))
            }),
            ("data_bytes", INVALID, &["needs 98304 bytes", "98303"], |f, e| {
                spoilt(f, e, |v| v.data_bytes -= 1)
            }),
            ("alignment", INVALID, &["multiple of"], |f, e| {
                spoilt(f, e, |v| v.data = v.data.wrapping_byte_add(1))
            }),
            ("cuda", Status::DeviceUnavailable, &["CUDA"], |f, e| {
                spoilt(f, e, |v| v.memory = cinetomo_memory::Cuda as i32)
            }),
            ("nan", Status::NonFinite, &["box 2", "z=1, y=2, x=3"], |f, e| {
                let mut voxels = f.voxels.clone();
                voxels[2 * 4096 + 256 + 2 * 16 + 3] = f32::NAN;
                f.classify(&cinetomo_volume { data: voxels.as_ptr().cast(), ..f.volume() }, e)
            }),
            ("infinity", Status::NonFinite, &["box 0"], |f, e| {
                let mut voxels = f.voxels.clone();
                voxels[0] = f32::NEG_INFINITY;
                f.classify(&cinetomo_volume { data: voxels.as_ptr().cast(), ..f.volume() }, e)
            }),
            ("constant", INVALID, &["box 3", "constant"], |f, e| {
                let mut voxels = f.voxels.clone();
                voxels[3 * 4096..4 * 4096].fill(7.25);
                f.classify(&cinetomo_volume { data: voxels.as_ptr().cast(), ..f.volume() }, e)
            }),
            ("capacity", Status::BufferTooSmall, &["out_probabilities", "17", "18"], |f, e| {
                let (mut scores, mut len) = ([-1.0; 18], 0);
                let status = raw!((f.api.model_classify)(
                    f.model,
                    &f.volume(),
                    ptr::null(),
                    scores.as_mut_ptr(),
                    17,
                    &mut len,
                    e
                ));
                assert!(len == 18 && scores == [-1.0; 18]);
                status
            }),
        ],
    );
}
