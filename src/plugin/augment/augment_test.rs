use std::f64::consts::PI;

use serde_json::Value;
use tch::Device;

use super::*;
use crate::error::ErrorKind;

const SIZE: [i64; 3] = [6, 10, 12];

fn generator(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

fn waves(size: &[i64]) -> Tensor {
    let n: i64 = size.iter().product();
    (Tensor::arange(n, (Kind::Float, Device::Cpu)) * 0.37).sin().reshape(size)
}

fn reference() -> Value {
    serde_json::from_str(include_str!("../../../tests/reference/augment.json")).unwrap()
}

fn tensor(value: &Value) -> Tensor {
    let shape: Vec<i64> = serde_json::from_value(value["shape"].clone()).unwrap();
    let values: Vec<f64> = serde_json::from_value(value["values"].clone()).unwrap();
    Tensor::from_slice(&values).to_kind(Kind::Float).reshape(shape)
}

fn largest_difference(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    (a - b).abs().max().double_value(&[])
}

#[test]
fn unknown_bits_are_refused() {
    assert_eq!(Augment::from_bits(0).unwrap(), Augment::default());
    assert_eq!(Augment::from_bits(1).unwrap(), Augment::of(&[Augmentation::Mirror]));
    assert_eq!(Augment::from_bits(255).unwrap().bits(), 255);
    for bits in [256, 257, 1 << 30, -1, i32::MIN] {
        let error = Augment::from_bits(bits).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{bits}");
    }
    let names = serde_json::to_value(Augment::of(&[Augmentation::Crop, Augmentation::Wedge]));
    assert_eq!(names.unwrap(), serde_json::json!(["crop", "wedge"]));
}

/// tests/reference/augment.py: torchvision's `resized_crop` and `affine` on the same boxes with the same parameters.
#[test]
fn crops_and_affine_maps_are_those_of_torchvision() {
    let reference = reference();
    let boxes = tensor(&reference["boxes"]);
    let number = |value: &Value| value.as_i64().unwrap();
    for case in reference["crops"].as_array().unwrap() {
        let crop = Crop {
            start: [number(&case["top"]), number(&case["left"])],
            size: [number(&case["height"]), number(&case["width"])],
        };
        let found = planar::crop(&boxes, &[None, Some(crop)]).unwrap();
        assert!(largest_difference(&found.get(0), &boxes.get(0)) == 0.0);
        let expected = tensor(&case["output"]);
        assert!(largest_difference(&found.get(1), &expected.get(1)) < 2e-6, "{crop:?}");
    }
    for case in reference["affines"].as_array().unwrap() {
        let map = Affine {
            angle: case["angle"].as_f64().unwrap(),
            shift: [number(&case["dy"]) as f64, number(&case["dx"]) as f64],
            scale: case["scale"].as_f64().unwrap(),
        };
        let sampling = match case["interpolation"].as_str().unwrap() {
            "nearest" => planar::Sampling::Nearest,
            _ => planar::Sampling::Linear,
        };
        let fill = case["fill"].as_f64().unwrap();
        let found = planar::transform(&boxes, &[Some(map), Some(map)], sampling, fill).unwrap();
        assert!(
            largest_difference(&found, &tensor(&case["output"])) < 5e-6,
            "{case}",
            case = case["angle"]
        );
    }
}

/// tests/reference/augment.py: the mask by angles, and numpy's FFT in double precision.
#[test]
fn wedges_are_those_of_numpy() {
    let reference = reference();
    let boxes = tensor(&reference["boxes"]);
    let wedges: Vec<Wedge> = reference["wedge"]["wedges"]
        .as_array()
        .unwrap()
        .iter()
        .map(|wedge| Wedge { tilt: wedge[0].as_f64().unwrap(), axis: wedge[1].as_f64().unwrap() })
        .collect();
    let found = wedge::apply(&boxes, &wedges).unwrap();
    let difference = largest_difference(&found, &tensor(&reference["wedge"]["output"]));
    assert!(difference < 5e-6, "{difference}");
    let mean = |x: &Tensor| x.mean(Kind::Double).double_value(&[]);
    assert!((mean(&found) - mean(&boxes)).abs() < 1e-6);
}

#[test]
fn the_same_seed_varies_in_the_same_way() {
    let all = Augment::from_bits(255).unwrap();
    let input = waves(&[5, 1, 6, 10, 12]);
    let draw = |seed| all.draw(5, SIZE, &mut generator(seed)).unwrap();
    let vary = |seed| draw(seed).apply(&input, [-1.0, 1.0]).unwrap();
    assert_eq!(draw(3), draw(3));
    assert_eq!(vary(3), vary(3));
    assert!(largest_difference(&vary(3), &vary(4)) > 0.1);
    assert_eq!(vary(3).size(), input.size());
}

#[test]
fn what_is_off_changes_nothing() {
    let input = waves(&[3, 1, 6, 10, 12]);
    let drawn = Augment::default().draw(3, SIZE, &mut generator(0)).unwrap();
    assert_eq!(drawn.apply(&input, [0.0, 1.0]).unwrap(), input);
    assert!(drawn.into_mixup().is_none());
}

/// Bounds and frequencies of the paper, section 4.3.1; five standard deviations for what is counted.
#[test]
fn crops_and_maps_are_drawn_as_the_paper_says() {
    let n = 4000;
    let augment = Augment::of(&[Augmentation::Crop, Augmentation::Affine]);
    let drawn = augment.draw(n, [28, 128, 128], &mut generator(11)).unwrap();
    let tolerance = 5.0 * (n as f64 / 4.0).sqrt();
    let crops: Vec<&Crop> = drawn.crops.iter().flatten().collect();
    let affines: Vec<&Affine> = drawn.affines.iter().flatten().collect();
    for count in [crops.len(), affines.len()] {
        assert!((count as f64 - n as f64 / 2.0).abs() < tolerance, "{count}");
    }
    for Crop { start, size } in &crops {
        let part = (size[0] * size[1]) as f64 / (128.0 * 128.0);
        assert!((0.49..=1.0).contains(&part), "{part}");
        assert!((0.73..=1.37).contains(&(size[0] as f64 / size[1] as f64)));
        assert!((0..2).all(|axis| start[axis] >= 0 && start[axis] + size[axis] <= 128));
    }
    for Affine { angle, shift, scale } in &affines {
        assert!(angle.abs() <= 45.0 && (0.9..=1.1).contains(scale));
        assert!(shift.iter().all(|shift| shift.abs() <= 13.0 && shift.fract() == 0.0));
    }
    let spread = |values: Vec<f64>| values.iter().fold(0.0f64, |most, value| most.max(value.abs()));
    assert!(spread(affines.iter().map(|map| map.angle).collect()) > 44.0);
    assert!(spread(affines.iter().map(|map| map.shift[0]).collect()) > 11.0);
}

#[test]
fn grey_values_stay_about_their_range() {
    let augment = Augment::of(&[Augmentation::Intensity, Augmentation::Noise]);
    let drawn = augment.draw(200, [8, 8, 8], &mut generator(5)).unwrap();
    let input = Tensor::zeros([200, 1, 8, 8, 8], (Kind::Float, Device::Cpu));
    // The middle of the range is shifted by at most a tenth of it and carries noise of at most a tenth.
    let output = drawn.apply(&input, [-2.0, 2.0]).unwrap();
    let means = output.mean_dim([1i64, 2, 3, 4].as_slice(), false, Kind::Double);
    let deviations = output.std_dim([1i64, 2, 3, 4].as_slice(), true, false);
    assert!(means.abs().max().double_value(&[]) < 0.4 + 0.1);
    assert!(means.abs().max().double_value(&[]) > 0.3);
    assert!(deviations.max().double_value(&[]) < 0.45);
    assert!(deviations.max().double_value(&[]) > 0.35);
    assert!(deviations.min().double_value(&[]) < 0.05);
}

#[test]
fn mixed_subtomograms_have_another_partner() {
    let augment = Augment::of(&[Augmentation::Mixup]);
    let drawn = augment.draw(6, SIZE, &mut generator(2)).unwrap();
    let mixup = drawn.clone().into_mixup().unwrap();
    assert!((0..6).all(|row| mixup.partners[row as usize] != row));
    assert!(mixup.parts.iter().all(|part| (0.0..=1.0).contains(part)));
    let input = waves(&[6, 1, 6, 10, 12]);
    let output = drawn.apply(&input, [-1.0, 1.0]).unwrap();
    for row in 0..6 {
        let (own, part) = (input.get(row), f64::from(mixup.parts[row as usize]));
        let partner = input.get(mixup.partners[row as usize]);
        let expected = own * part + partner * (1.0 - part);
        assert!(largest_difference(&output.get(row), &expected) < 1e-6);
    }
    // Alone there is no partner.
    assert!(augment.draw(1, SIZE, &mut generator(2)).unwrap().into_mixup().is_none());
}

/// A plane wave along the beam lies in every wedge, one across the tilt axis in none.
#[test]
fn a_wedge_takes_what_was_not_seen() {
    let wave = |axis: usize| {
        let place = Tensor::arange(16, (Kind::Float, Device::Cpu)) * (2.0 * PI * 3.0 / 16.0);
        let mut shape = [1i64; 5];
        shape[2 + axis] = 16;
        place.sin().reshape(shape).expand([1, 1, 16, 16, 16], false).contiguous()
    };
    let wedge = [Wedge { tilt: 60.0, axis: 0.0 }];
    let left = |axis| wedge::apply(&wave(axis), &wedge).unwrap().abs().max().double_value(&[]);
    assert!(left(0) < 1e-5);
    assert!(left(2) > 0.9);
    // Along the tilt axis itself every projection has it.
    assert!(left(1) > 0.9);
}
