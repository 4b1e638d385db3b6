use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::synthetic::{Symmetry, numbers, reference};

fn flat(rotation: &Rotation) -> Vec<f64> {
    rotation.iter().flatten().copied().collect()
}

fn assert_close(ours: &[f64], theirs: &[f64]) {
    assert_eq!(ours.len(), theirs.len());
    for (a, b) in ours.iter().zip(theirs) {
        assert!((a - b).abs() < 1e-9, "{ours:?} is not {theirs:?}");
    }
}

#[test]
fn euler_angles_and_quaternions_mean_what_scipy_means() {
    let reference = reference();
    for case in reference["euler"].as_array().unwrap() {
        let angles: [f64; 3] = numbers(&case["angles"]).try_into().unwrap();
        assert_close(&flat(&from_euler(angles)), &numbers(&case["matrix"]));
    }
    for case in reference["quaternion"].as_array().unwrap() {
        let wxyz: [f64; 4] = numbers(&case["wxyz"]).try_into().unwrap();
        assert_close(&flat(&from_quaternion(wxyz)), &numbers(&case["matrix"]));
    }
}

#[test]
fn inverse_undoes() {
    let mut generator = ChaCha8Rng::seed_from_u64(3);
    let rotation = random(&mut generator);
    let there = apply(&rotation, [1.0, -2.0, 3.0]);
    assert_close(&apply(&inverse(&rotation), there), &[1.0, -2.0, 3.0]);
}

#[test]
fn random_rotations_are_uniform() {
    let n = 20_000;
    let mut generator = ChaCha8Rng::seed_from_u64(11);
    let rotations: Vec<Rotation> = (0..n).map(|_| random(&mut generator)).collect();

    // Every entry of the matrix has mean 0 and variance 1/3: five standard errors.
    let limit = 5.0 / (3.0 * f64::from(n)).sqrt();
    for entry in 0..9 {
        let mean = rotations.iter().map(|r| r[entry / 3][entry % 3]).sum::<f64>() / f64::from(n);
        assert!(mean.abs() < limit, "entry {entry}: {mean}");
    }

    // The angles of rotation, and where each axis of the particle ends, fall evenly into 20 bins.
    let reference = reference();
    let limit = reference["chi_square_limit"].as_f64().unwrap();
    let edges = numbers(&reference["angle_bins"]);
    let angle = |r: &Rotation| {
        let trace = r[0][0] + r[1][1] + r[2][2];
        ((trace - 1.0) / 2.0).clamp(-1.0, 1.0).acos().to_degrees()
    };
    let by_angle = rotations.iter().map(|r| edges[1..20].partition_point(|&e| e < angle(r)));
    assert!(chi_square(by_angle) < limit);
    for entry in 0..9 {
        // A coordinate of a uniform point on the sphere is uniform (Archimedes).
        let by_end = rotations.iter().map(|r| {
            let bin = (r[entry / 3][entry % 3] + 1.0) * 10.0;
            (bin as usize).min(19)
        });
        assert!(chi_square(by_end) < limit, "entry {entry}");
    }
}

/// Chi-square of 20 equally likely bins.
fn chi_square(bins: impl Iterator<Item = usize>) -> f64 {
    let mut counts = [0.0; 20];
    bins.for_each(|bin| counts[bin] += 1.0);
    let expected = counts.iter().sum::<f64>() / 20.0;
    counts.iter().map(|count| (count - expected).powi(2) / expected).sum()
}

#[test]
fn groups_have_their_order_and_their_generators() {
    let reference = reference();
    let symmetries = [
        ("C2", Symmetry::Cyclic(2)),
        ("C3", Symmetry::Cyclic(3)),
        ("D2", Symmetry::Dihedral(2)),
        ("D3", Symmetry::Dihedral(3)),
        ("D7", Symmetry::Dihedral(7)),
        ("O", Symmetry::Octahedral),
    ];
    for (name, symmetry) in symmetries {
        let group = &reference["groups"][name];
        let placements = symmetry.placements();
        assert_eq!(placements.len() as u64, group["order"].as_u64().unwrap(), "{name}");
        for generator in group["generators"].as_array().unwrap() {
            let generator = numbers(generator);
            let found = placements.iter().any(|place| {
                flat(&place.rotation).iter().zip(&generator).all(|(a, b)| (a - b).abs() < 1e-9)
            });
            assert!(found, "{name} lacks {generator:?}");
        }
    }
}

#[test]
fn a_spiral_turns_to_the_right_and_stays_centred() {
    let places = Symmetry::Spiral { copies: 6, rise: 3.0 }.placements();
    let points: Vec<[f64; 3]> = places
        .iter()
        .map(|place| {
            let mut point = apply(&place.rotation, [0.0, 0.0, 10.0]);
            point[0] += place.rise;
            point
        })
        .collect();
    // From x towards y while z grows.
    assert_close(&points[0], &[-7.5, 0.0, 10.0]);
    assert_close(&points[1], &[-4.5, 10.0 * 3f64.sqrt() / 2.0, 5.0]);
    assert!(points.iter().map(|point| point[0]).sum::<f64>().abs() < 1e-9);
}
