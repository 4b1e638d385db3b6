use super::*;
use crate::pick::{noise, numbers, reference};

#[test]
fn filters_are_those_of_scipy() {
    let reference = reference();
    assert_eq!(
        noise([2, 2, 3], 1),
        numbers(&reference["noise"]).iter().map(|&v| v as f32).collect::<Vec<f32>>()
    );
    for case in reference["filtered"].as_array().unwrap() {
        let shape: [f64; 3] = numbers(&case["shape"]).try_into().unwrap();
        let shape = shape.map(|extent| extent as i64);
        let voxels = noise(shape, case["seed"].as_u64().unwrap());
        let gaussian = Gaussian::new(case["sigma"].as_f64().unwrap());
        let whole = shape.map(|extent| 0..extent);
        let mut out = vec![0.0; voxels.len()];
        let copy = |out: &mut [f32], row: &[f32]| out.copy_from_slice(row);
        Passes::new(shape, 2).filter(&gaussian, &voxels, [&whole, &whole], &mut out, copy).unwrap();
        let theirs = numbers(&case["values"]);
        for (index, theirs) in theirs.iter().enumerate() {
            let [z, y, x] = [index / 15, index / 5 % 3, index % 5];
            let ours = out[(z * shape[1] as usize + y) * shape[2] as usize + x];
            assert!((f64::from(ours) - theirs).abs() < 0.02, "{z} {y} {x}: {ours}, not {theirs}");
        }
    }
}

#[test]
fn a_gaussian_adds_up_to_one_and_ends_after_four_standard_deviations() {
    for (sigma, reach) in [(0.5, 2), (1.0, 4), (2.1, 8), (7.7, 31)] {
        let gaussian = Gaussian::new(sigma);
        assert_eq!(gaussian.reach(), reach);
        let sum = 2.0 * gaussian.0.iter().map(|&w| f64::from(w)).sum::<f64>();
        assert!((sum - f64::from(gaussian.0[0]) - 1.0).abs() < 1e-6);
    }
}

#[test]
fn mirror_images_go_on_for_ever() {
    let seen: Vec<i64> = (-7..10).map(|index| mirrored(index, 3)).collect();
    assert_eq!(seen, [0, 0, 1, 2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0, 1, 2, 2]);
    assert_eq!(mirrored(-100, 1), 0);
}

/// A part filtered by itself is the same, bit by bit, as within the whole, on any number of threads.
#[test]
fn parts_are_as_the_whole() {
    let shape = [20, 75, 41];
    let voxels = noise(shape, 8);
    let gaussian = Gaussian::new(1.4);
    let copy = |out: &mut [f32], row: &[f32]| out.copy_from_slice(row);
    let whole = shape.map(|extent| 0..extent);
    let mut all = vec![0.0; voxels.len()];
    Passes::new(shape, 1).filter(&gaussian, &voxels, [&whole, &whole], &mut all, copy).unwrap();
    let mut passes = Passes::new(shape, 3);
    for (output, input) in [
        ([3..9, 30..74, 10..30], [0..15, 24..75, 4..36]),
        ([0..2, 0..1, 0..41], [0..8, 0..7, 0..41]),
        ([12..20, 70..75, 40..41], [6..20, 64..75, 34..41]),
    ] {
        let mut block = Vec::new();
        for z in input[0].clone() {
            for y in input[1].clone() {
                for x in input[2].clone() {
                    block.push(voxels[((z * shape[1] + y) * shape[2] + x) as usize]);
                }
            }
        }
        let n: i64 = output.iter().map(|range| range.end - range.start).product();
        let mut out = vec![0.0; n as usize];
        passes.filter(&gaussian, &block, [&input, &output], &mut out, copy).unwrap();
        let mut values = out.iter();
        for z in output[0].clone() {
            for y in output[1].clone() {
                for x in output[2].clone() {
                    let expected = all[((z * shape[1] + y) * shape[2] + x) as usize];
                    assert_eq!(values.next(), Some(&expected), "{z} {y} {x}");
                }
            }
        }
    }
}
