use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tch::Kind;

use super::*;
use crate::synthetic::rotation::{Axis, about};

/// Gaussians at these points `[z, y, x]` around the centre, in voxels: no symmetry, not even a mirror's.
const POINTS: [[f64; 3]; 4] =
    [[4.0, 0.0, 0.0], [-1.0, 3.5, 1.0], [0.0, -2.0, 4.5], [-3.0, -3.0, -2.0]];
const SIGMA: f64 = 1.6;

/// The Gaussians, turned and shifted, in a box `[1, z, y, x]`.
fn gaussians(box_size: i64, pose: &Pose) -> Tensor {
    let centres = POINTS.map(|point| {
        let turned = apply(&pose.rotation, point);
        [0, 1, 2].map(|axis| turned[axis] + pose.shift[axis] + (box_size / 2) as f64)
    });
    let mut voxels = Vec::new();
    for index in 0..box_size.pow(3) {
        let at = [index / box_size / box_size, index / box_size % box_size, index % box_size];
        let value: f64 = (centres.iter().enumerate())
            .map(|(weight, centre)| {
                let square: f64 = (0..3).map(|axis| (at[axis] as f64 - centre[axis]).powi(2)).sum();
                (1.0 + weight as f64) * (-square / (2.0 * SIGMA * SIGMA)).exp()
            })
            .sum();
        voxels.push(value as f32);
    }
    Tensor::from_slice(&voxels).view([1, box_size, box_size, box_size])
}

fn upright() -> Pose {
    Pose { rotation: about(Axis::Z, 0.0), shift: [0.0; 3] }
}

fn largest_difference(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).abs().max().double_value(&[])
}

#[test]
fn a_density_turns_and_shifts_about_voxel_half_the_edge() {
    let mut generator = ChaCha8Rng::seed_from_u64(5);
    let mut poses = vec![
        upright(),
        Pose { rotation: about(Axis::Z, 0.5), shift: [0.0; 3] },
        Pose { rotation: about(Axis::Y, 1.0), shift: [0.5, 0.0, 0.0] },
        Pose { rotation: about(Axis::X, 2.0), shift: [0.0, 0.25, -1.5] },
    ];
    poses.extend((0..4).map(|_| Pose::random(&mut generator, 2.0)));
    // Density larger, smaller and as large as the box; even and odd.
    for (density_edge, box_size) in [(24, 24), (24, 25), (25, 24), (25, 25), (31, 22), (22, 31)] {
        let fine = oversample(&gaussians(density_edge, &upright())).unwrap();
        let boxes = resample(&fine, &poses, box_size).unwrap();
        assert_eq!(boxes.size(), [poses.len() as i64, box_size, box_size, box_size]);
        for (index, pose) in poses.iter().enumerate() {
            let error = largest_difference(
                &boxes.get(index as i64).unsqueeze(0),
                &gaussians(box_size, pose),
            );
            // Linear interpolation at half a voxel: h^2 / 8 times the three curvatures, 4 / sigma^2 each, at the most.
            assert!(error < 0.2, "{density_edge} in {box_size}, pose {index}: {error}");
        }
    }
}

#[test]
fn oversampling_keeps_voxels_and_follows_the_curve_between() {
    for edge in [24, 25] {
        let density = gaussians(edge, &upright());
        let fine = oversample(&density).unwrap();
        assert_eq!(fine.size(), [1, 1, 2 * edge, 2 * edge, 2 * edge]);
        let kept =
            fine.slice(2, 0, None, 2).slice(3, 0, None, 2).slice(4, 0, None, 2).squeeze_dim(0);
        assert!(largest_difference(&kept, &density) < 1e-5);
        // Half a voxel further along x: the Gaussians shifted by -1/2.
        let between =
            fine.slice(2, 0, None, 2).slice(3, 0, None, 2).slice(4, 1, None, 2).squeeze_dim(0);
        let shifted = gaussians(edge, &Pose { shift: [0.0, 0.0, -0.5], ..upright() });
        assert!(largest_difference(&between, &shifted) < 2e-3);
    }
}

#[test]
fn what_lies_outside_the_density_is_zero() {
    let fine = oversample(&Tensor::ones([1, 8, 8, 8], (Kind::Float, tch::Device::Cpu))).unwrap();
    let boxed = resample(&fine, &[upright()], 16).unwrap().squeeze_dim(0);
    // Voxels 4 to 11 hold the density: voxel 4 of 8 at voxel 8 of 16.
    assert!((boxed.sum(Kind::Double).double_value(&[]) - 512.0).abs() < 1e-2);
    assert!((boxed.double_value(&[4, 4, 4]) - 1.0).abs() < 1e-4);
    assert!((boxed.double_value(&[11, 11, 11]) - 1.0).abs() < 1e-4);
    assert!(boxed.double_value(&[3, 8, 8]).abs() < 1e-5);
    assert!(boxed.double_value(&[8, 8, 12]).abs() < 1e-5);
}

#[test]
fn shifts_fill_their_range_evenly() {
    let mut generator = ChaCha8Rng::seed_from_u64(7);
    let n = 5000;
    let shifts: Vec<[f64; 3]> = (0..n).map(|_| Pose::random(&mut generator, 3.0).shift).collect();
    for axis in 0..3 {
        let of_axis = || shifts.iter().map(|shift| shift[axis]);
        assert!(of_axis().all(|shift| shift.abs() <= 3.0));
        // Mean 0 and variance 3 (a width of 6, squared, over 12): five standard errors.
        let mean = of_axis().sum::<f64>() / f64::from(n);
        let variance = of_axis().map(|shift| shift * shift).sum::<f64>() / f64::from(n);
        assert!(mean.abs() < 5.0 * (3.0 / f64::from(n)).sqrt(), "{mean}");
        assert!((variance / 3.0 - 1.0).abs() < 5.0 * (0.8 / f64::from(n)).sqrt(), "{variance}");
    }
}
