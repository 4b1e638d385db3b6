//! Options of simulations.

use std::ptr;

use cinetomo_abi::{cinetomo_status as Status, *};

use crate::fixture::*;

#[test]
fn simulations_without_meaning_are_refused() {
    check(
        &Fixture::new(),
        &[
            ("simulate", INVALID, &["tilt_axis", "3", "0, 1, 2"], |f, e| {
                simulate(f, e, |o| o.tilt_axis = 3)
            }),
            ("simulate", INVALID, &["tilt_axis and beam_axis are both"], |f, e| {
                simulate(f, e, |o| o.tilt_axis = o.beam_axis)
            }),
            ("simulate", INVALID, &["beam_axis", "-1"], |f, e| {
                simulate(f, e, |o| o.beam_axis = -1)
            }),
            ("simulate", INVALID, &["n_neighbours", "1000"], |f, e| {
                simulate(f, e, |o| o.n_neighbours = 1000)
            }),
            ("simulate", INVALID, &["n_neighbours"], |f, e| {
                simulate(f, e, |o| o.n_neighbours = i32::MIN)
            }),
            ("simulate", INVALID, &["envelope"], |f, e| simulate(f, e, |o| o.envelope = f64::NAN)),
            ("simulate", INVALID, &["mtf"], |f, e| simulate(f, e, |o| o.mtf = -0.5)),
            ("simulate", INVALID, &["noise_before"], |f, e| {
                simulate(f, e, |o| o.noise_before = 2.0)
            }),
            ("simulate", INVALID, &["reserved"], |f, e| simulate(f, e, |o| o.reserved_2 = 1)),
            ("simulate_particles", Status::BufferTooSmall, &["out_particles", "1", "2"], |f, e| {
                let (mut voxels, mut len) = (vec![-1.0; 2 * 512], 7);
                let options = cinetomo_synthetic_options {
                    box_size: 8,
                    voxel_size: 40.0,
                    ..initialised(f.synthetic().options_init)
                };
                let mut particle = std::mem::MaybeUninit::uninit();
                let status = raw!((f.synthetic().simulate_particles)(
                    f.context,
                    ptr::null(),
                    [0, 1].as_ptr(),
                    2,
                    &options,
                    ptr::null(),
                    voxels.as_mut_ptr(),
                    voxels.len(),
                    &mut len,
                    particle.as_mut_ptr(),
                    1,
                    e
                ));
                assert!(len == 7 && voxels.iter().all(|&voxel| voxel == -1.0), "output on failure");
                status
            }),
            ("simulate_tomogram", INVALID, &["shape", "-32"], |f, e| tomogram(f, e, [32, -32, 32])),
            ("simulate_tomogram", INVALID, &["shape"], |f, e| tomogram(f, e, [i64::MAX; 3])),
            ("simulate_tomogram", INVALID, &["particle 0", "fit"], |f, e| tomogram(f, e, [8; 3])),
        ],
    );
}

fn simulate(fixture: &Fixture, error: OutError, spoil: fn(&mut cinetomo_synthetic_options)) -> i32 {
    let mut options = initialised(fixture.synthetic().options_init);
    spoil(&mut options);
    let mut len = 7;
    let status = raw!((fixture.synthetic().simulate)(
        fixture.context,
        ptr::null(),
        [0].as_ptr(),
        1,
        &options,
        ptr::null(),
        ptr::null_mut(),
        0,
        &mut len,
        error
    ));
    assert_eq!(len, 7, "output on failure");
    status
}

fn tomogram(fixture: &Fixture, error: OutError, shape: [i64; 3]) -> i32 {
    let (mut voxels, mut len) = (vec![-1.0; 4096], 7);
    let status = raw!((fixture.synthetic().simulate_tomogram)(
        fixture.context,
        ptr::null(),
        [0].as_ptr(),
        1,
        shape.as_ptr(),
        ptr::null(),
        ptr::null(),
        voxels.as_mut_ptr(),
        voxels.len(),
        &mut len,
        ptr::null_mut(),
        0,
        error
    ));
    assert!(len == 7 && voxels.iter().all(|&voxel| voxel == -1.0), "output on failure");
    status
}
