use super::*;
use crate::{
    error::ErrorKind,
    synthetic::{numbers, reference},
};

fn phantom(name: &str) -> (usize, &'static Phantom) {
    PHANTOMS.iter().enumerate().find(|(_, phantom)| phantom.name == name).unwrap()
}

fn value_at(ellipsoids: &[Ellipsoid], point: [f64; 3]) -> f64 {
    ellipsoids.iter().map(|ellipsoid| ellipsoid.at(point)).sum()
}

/// Voxels of a density, and its value at an index.
fn voxels(density: &Tensor) -> Vec<f32> {
    Vec::try_from(density.flatten(0, -1)).unwrap()
}

#[test]
fn masses_are_the_published_ones() {
    let reference = reference();
    let unit = reference["dalton_per_cubic_angstrom"].as_f64().unwrap();
    assert!((DALTON_PER_CUBIC_ANGSTROM / unit - 1.0).abs() < 1e-6);
    assert_eq!(reference["masses"].as_object().unwrap().len(), PHANTOMS.len());
    for (index, phantom) in PHANTOMS.iter().enumerate() {
        let published = 1e3 * reference["masses"][phantom.name].as_f64().unwrap();
        assert!((phantom.mass() / published - 1.0).abs() < 0.02, "{}", phantom.name);
        // As drawn, in the default box: nothing is cut off or counted twice.
        let drawn = density(index, 32, 10.0).unwrap().sum(tch::Kind::Double).double_value(&[]);
        let drawn = drawn * 1000.0 * unit;
        assert!((drawn / published - 1.0).abs() < 0.02, "{}: {drawn}", phantom.name);
    }
}

#[test]
fn densities_have_their_point_groups() {
    let reference = reference();
    for phantom in PHANTOMS {
        let group = match phantom.symmetry {
            Symmetry::Cyclic(n) => format!("C{n}"),
            Symmetry::Dihedral(n) => format!("D{n}"),
            Symmetry::Octahedral => "O".to_owned(),
            Symmetry::Spiral { .. } => continue,
        };
        let ellipsoids = phantom.ellipsoids(10.0);
        for generator in reference["groups"][&group]["generators"].as_array().unwrap() {
            let rotation = numbers(generator);
            let mut inside = 0;
            for index in 0..1000 {
                let point = [index % 10, index / 10 % 10, index / 100]
                    .map(|step| f64::from(step) * 13.7 - 61.3);
                let turned =
                    [0, 1, 2].map(|row| (0..3).map(|k| rotation[3 * row + k] * point[k]).sum());
                let [here, there] = [point, turned].map(|point| value_at(&ellipsoids, point));
                assert!((here - there).abs() < 1e-4, "{} at {point:?}", phantom.name);
                inside += usize::from(here > 0.5);
            }
            assert!(inside > 20, "{}: {inside} points inside", phantom.name);
        }
    }
}

#[test]
fn the_proteasome_is_a_hollow_barrel() {
    let (_, t20s) = phantom("T20S proteasome");
    let ellipsoids = t20s.ellipsoids(2.5);
    // Mean over the seven-fold axis at a height and radius.
    let ring = |z: f64, radius: f64| {
        let angles = (0..56).map(|step| std::f64::consts::TAU * f64::from(step) / 56.0);
        angles.map(|a| value_at(&ellipsoids, [z, radius * a.sin(), radius * a.cos()])).sum::<f64>()
            / 56.0
    };
    for z in [-54.0, -18.5, 18.5, 54.0] {
        assert!(ring(z, 37.0) > 0.6, "ring at {z}");
    }
    // Chambers: empty out to 13 angstrom at least. Ends: 148 angstrom long, 113 across.
    for z in [0.0, 18.5, 50.0] {
        assert!(ring(z, 0.0) < 0.05 && ring(z, 13.0) < 0.25, "chamber at {z}");
    }
    assert!(ring(67.0, 14.5) > 0.4 && ring(67.0, 0.0) < 0.4, "gate");
    assert!(ring(70.0, 37.0) > 0.3 && ring(80.0, 37.0) < 0.1, "length");
    assert!(ring(54.0, 52.0) > 0.3 && ring(54.0, 62.0) < 0.1, "width");
}

#[test]
fn apoferritin_is_a_shell() {
    let (index, _) = phantom("apoferritin");
    let cube = voxels(&density(index, 80, 2.0).unwrap());
    let (mut sum, mut count) = (vec![0.0; 71], vec![0.0; 71]);
    for (index, &voxel) in cube.iter().enumerate() {
        let [z, y, x] = [index / 6400, index / 80 % 80, index % 80].map(|i| i as f64 * 2.0 - 80.0);
        let radius = (z * z + y * y + x * x).sqrt() as usize;
        if radius <= 70 {
            sum[radius] += f64::from(voxel);
            count[radius] += 1.0;
        }
    }
    let profile: Vec<f64> =
        sum.iter().zip(&count).map(|(s, n): (&f64, &f64)| s / n.max(1.0)).collect();
    let half = profile.iter().copied().fold(0.0, f64::max) / 2.0;
    let inner = profile.iter().position(|&p| p > half).unwrap();
    let outer = profile.iter().rposition(|&p| p > half).unwrap();
    assert!((37..=43).contains(&inner), "inner radius {inner}");
    assert!((57..=63).contains(&outer), "outer radius {outer}");
    assert!(profile[0] < 0.01, "hollow");
}

#[test]
fn hemagglutinin_is_135_angstrom_long_and_thicker_at_the_head() {
    let (_, ha) = phantom("hemagglutinin");
    let ellipsoids = ha.ellipsoids(2.5);
    let widest = |z: f64| {
        let grid = (-25..=25).flat_map(|y| (-25..=25).map(move |x| (f64::from(y), f64::from(x))));
        grid.map(|(y, x)| (2.0 * y, 2.0 * x))
            .filter(|&(y, x)| value_at(&ellipsoids, [z, y, x]) > 0.5)
            .map(|(y, x)| y.hypot(x))
            .fold(0.0, f64::max)
    };
    let filled: Vec<i32> = (-100..=100).filter(|&z| widest(f64::from(z)) > 0.0).collect();
    let length = filled.last().unwrap() - filled[0];
    assert!((127..=140).contains(&length), "{length}");
    assert!((33.0..=42.0).contains(&widest(37.0)), "head {}", widest(37.0));
    assert!((13.0..=25.0).contains(&widest(-25.0)), "stem {}", widest(-25.0));
}

#[test]
fn phantoms_sit_on_their_centre_of_mass() {
    for (index, phantom) in PHANTOMS.iter().enumerate() {
        for edge in [32i64, 33] {
            let cube = voxels(&density(index, edge, 10.0).unwrap());
            let n = edge as usize;
            let mass: f64 = cube.iter().map(|&voxel| f64::from(voxel)).sum();
            for axis in 0..3 {
                let stride = n.pow(2 - axis);
                let moment: f64 = cube
                    .iter()
                    .enumerate()
                    .map(|(i, &voxel)| {
                        f64::from(voxel) * ((i / stride % n) as f64 - (n / 2) as f64)
                    })
                    .sum();
                assert!((moment / mass).abs() < 0.25, "{} axis {axis}", phantom.name);
            }
        }
    }
}

#[test]
fn larger_voxels_see_the_same_mass() {
    for voxel_size in [5.0, 20.0] {
        let fine = densities(64, voxel_size).unwrap();
        for (index, phantom) in PHANTOMS.iter().enumerate() {
            let sum = fine.get(index as i64).sum(tch::Kind::Double).double_value(&[]);
            let drawn = sum * voxel_size.powi(3) * DALTON_PER_CUBIC_ANGSTROM;
            assert!(
                (drawn / phantom.mass() - 1.0).abs() < 0.01,
                "{} at {voxel_size}",
                phantom.name
            );
        }
    }
}

#[test]
fn names_are_distinct_and_wrong_requests_are_refused() {
    let mut names: Vec<&str> = names().collect();
    assert_eq!(names.len(), 7);
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 7);
    for (index, box_size, voxel_size, message) in [
        (7, 32, 10.0, "phantom 7: there are 7 phantoms, counted from 0"),
        (0, 7, 10.0, "box_size is 7; it must be 8 to 256 voxels"),
        (0, 257, 10.0, "box_size is 257; it must be 8 to 256 voxels"),
        (0, 32, 0.0, "voxel_size is 0; it must be 0.1 to 100"),
        (0, 32, f64::NAN, "voxel_size is NaN; it must be 0.1 to 100"),
    ] {
        let error = density(index, box_size, voxel_size).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    }
}
