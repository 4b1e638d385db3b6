use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::*;

fn distance(a: [f64; 3], b: [f64; 3]) -> f64 {
    (0..3).map(|axis| (a[axis] - b[axis]).powi(2)).sum::<f64>().sqrt()
}

/// The smallest gap between any two spheres.
fn smallest_gap(centres: &[[f64; 3]], radii: &[f64]) -> f64 {
    let mut gap = f64::INFINITY;
    for a in 0..centres.len() {
        for b in 0..a {
            gap = gap.min(distance(centres[a], centres[b]) - radii[a] - radii[b]);
        }
    }
    gap
}

#[test]
fn packed_spheres_touch_and_do_not_overlap() {
    let mut generator = ChaCha8Rng::seed_from_u64(2);
    for radii in [vec![6.0; 5], vec![3.0, 8.5, 5.0, 6.2, 4.4], vec![7.0, 7.0], vec![2.0; 20]] {
        for _ in 0..10 {
            let centres = pack(&radii, &mut generator);
            assert_eq!(centres.len(), radii.len());
            let gap = smallest_gap(&centres, &radii);
            assert!((0.0..0.25).contains(&gap), "{gap}");
            // Every sphere is near another one, and all together fill a fair part of the ball around them.
            for (index, &centre) in centres.iter().enumerate() {
                let nearest = (0..radii.len())
                    .filter(|&other| other != index)
                    .map(|o| distance(centre, centres[o]) - radii[index] - radii[o])
                    .fold(f64::INFINITY, f64::min);
                assert!(nearest < 1.5, "sphere {index} of {radii:?} is {nearest} away");
            }
            let middle = centroid(&centres);
            let around = (centres.iter().zip(&radii))
                .map(|(&c, r)| distance(c, middle) + r)
                .fold(0.0, f64::max);
            let filled = radii.iter().map(|r| r * r * r).sum::<f64>() / around.powi(3);
            // Unequal spheres that block each other's straight way leave the most room.
            assert!(filled > 0.06, "{filled} of the ball is filled by {radii:?}");
        }
    }
    assert_eq!(pack(&[4.0], &mut generator).len(), 1);
}

#[test]
fn two_equal_spheres_end_one_diameter_apart() {
    let mut generator = ChaCha8Rng::seed_from_u64(3);
    for _ in 0..20 {
        let centres = pack(&[5.0, 5.0], &mut generator);
        let apart = distance(centres[0], centres[1]);
        // Each may lack the shortest step.
        assert!((10.0..10.0 + 2.0 * SHORTEST_STEP + 1e-9).contains(&apart), "{apart}");
    }
}

#[test]
fn scattered_spheres_lie_inside_apart_and_everywhere() {
    let mut generator = ChaCha8Rng::seed_from_u64(4);
    let shape = [60, 200, 150];
    let radii: Vec<f64> = (0..300).map(|index| 3.0 + f64::from(index % 5)).collect();
    let centres = scatter(&radii, shape, &mut generator).unwrap();
    assert!(smallest_gap(&centres, &radii) >= 0.0);
    for (centre, radius) in centres.iter().zip(&radii) {
        for axis in 0..3 {
            let last = (shape[axis] - 1) as f64;
            assert!(centre[axis] >= *radius && centre[axis] <= last - radius);
        }
    }
    // Every octant has its share: 37.5 each, five standard deviations at the most apart.
    let octants = centres.iter().fold([0; 8], |mut counts, centre| {
        let bit = |axis: usize| usize::from(centre[axis] > (shape[axis] - 1) as f64 / 2.0);
        counts[4 * bit(0) + 2 * bit(1) + bit(2)] += 1;
        counts
    });
    assert!(octants.iter().all(|&n| (10..=66).contains(&n)), "{octants:?}");
}

#[test]
fn a_full_tomogram_is_an_error_that_says_so() {
    let mut generator = ChaCha8Rng::seed_from_u64(4);
    let error = scatter(&[8.0; 100], [64, 64, 64], &mut generator).unwrap_err().to_string();
    assert!(error.contains("of 100 particles fill the tomogram of [64, 64, 64]"), "{error}");
    let error = scatter(&[5.0, 20.0], [30, 100, 100], &mut generator).unwrap_err().to_string();
    assert!(error.contains("particle 1 is 40.0 voxels across"), "{error}");
}
