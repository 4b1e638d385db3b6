use tch::Device;

use super::*;
use crate::volume::{Axis, Dtype, Volume};

/// Made by tests/reference/preprocess.py with numpy and Pillow.
const REFERENCE: &str = include_str!("../../tests/reference/preprocess.json");

#[derive(Deserialize)]
struct Case {
    box_size: [i64; 3],
    input_size: [i64; 3],
    #[serde(with = "InterpolationName")]
    interpolation: Interpolation,
    #[serde(with = "NormalizationName")]
    normalization: Normalization,
    percentile: [f64; 2],
    range: [f64; 2],
    fixed: GreyScale,
    output_size: [i64; 3],
    step: usize,
    samples: Vec<f32>,
}

/// The reference's two boxes, `[2, 1, d, h, w]`.
fn boxes([d, h, w]: [i64; 3]) -> Tensor {
    let first: Vec<f32> =
        (0..d * h * w).map(|i| ((i * i * 31 + i * 7919 + 13) % 1009) as f32).collect();
    let second = first.iter().rev().map(|value| (value / 2.0).floor() + 300.0);
    let both: Vec<f32> = first.iter().copied().chain(second).collect();
    Tensor::from_slice(&both).reshape([2, 1, d, h, w])
}

fn apply(preprocess: &Preprocess, boxes: &Tensor, range: [f64; 2]) -> Result<Tensor> {
    preprocess.validate()?;
    let indices: Vec<usize> = (0..boxes.size()[0] as usize).collect();
    preprocess.apply(boxes, &indices, Contrast::Unknown, range)
}

fn values(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(&tensor.reshape([-1])).unwrap()
}

#[test]
fn agrees_with_numpy_and_pillow() {
    let cases: Vec<Case> = serde_json::from_str(REFERENCE).unwrap();
    assert!(cases.len() > 10);
    for case in cases {
        let preprocess = Preprocess {
            normalization: case.normalization,
            interpolation: case.interpolation,
            input_size: case.input_size,
            percentile: case.percentile,
            contrast: Contrast::Unknown,
            n_views: 1,
            fixed: case.fixed,
        };
        let output = apply(&preprocess, &boxes(case.box_size), case.range).unwrap();
        let [d, h, w] = case.output_size;
        assert_eq!(output.size(), [2, 1, d, h, w]);
        let tolerance = 2e-6 * (case.range[1] - case.range[0]).max(4.0) as f32;
        for (found, expected) in values(&output).iter().step_by(case.step).zip(&case.samples) {
            assert!(
                (found - expected).abs() <= tolerance,
                "{:?} {:?} {:?} -> {:?}: {found}, not {expected}",
                case.interpolation,
                case.normalization,
                case.box_size,
                case.output_size
            );
        }
    }
}

/// Every stated pair of contrasts, by hand: only opposite ones turn the sign.
#[test]
fn opposite_contrast_is_negated() {
    let boxes = Tensor::from_slice(&[0f32, 1.0, 4.0, 8.0]).reshape([1, 1, 1, 2, 2]);
    let (same, negated) = ([0.0, 0.125, 0.5, 1.0], [1.0, 0.875, 0.5, 0.0]);
    use Contrast::{Bright, Dark, Unknown};
    for (wanted, given, expected) in [
        (Unknown, Unknown, same),
        (Unknown, Dark, same),
        (Unknown, Bright, same),
        (Dark, Unknown, same),
        (Dark, Dark, same),
        (Bright, Bright, same),
        (Dark, Bright, negated),
        (Bright, Dark, negated),
    ] {
        let preprocess = Preprocess { contrast: wanted, ..Preprocess::default() };
        let output = preprocess.apply(&boxes, &[0], given, [0.0, 1.0]).unwrap();
        assert_eq!(values(&output), expected, "network {wanted:?}, volume {given:?}");
    }
}

/// A deviation of 1 on an offset of 60000, as 16-bit cameras give it.
#[test]
fn z_score_survives_a_large_offset() {
    let voxels: Vec<f32> = (0..4096).map(|i| 60_000.0 + (i % 2 * 2) as f32).collect();
    let boxes = Tensor::from_slice(&voxels).reshape([1, 1, 16, 16, 16]);
    let preprocess = Preprocess { normalization: Normalization::ZScore, ..Preprocess::default() };
    for (i, value) in values(&apply(&preprocess, &boxes, [-1.0, 1.0]).unwrap()).iter().enumerate() {
        assert!((value - if i % 2 == 0 { -1.0 } else { 1.0 }).abs() < 1e-6, "{value}");
    }
}

/// Boxes neither see each other nor are changed.
#[test]
fn each_box_stands_alone() {
    let boxes = boxes([6, 12, 10]);
    let before = values(&boxes);
    for normalization in [
        Normalization::MinMax,
        Normalization::ZScore,
        Normalization::Percentile,
        Normalization::Unit,
        Normalization::Fixed,
    ] {
        let preprocess =
            Preprocess { normalization, input_size: [4, 16, 0], ..Preprocess::default() };
        let both = apply(&preprocess, &boxes, [-1.0, 1.0]).unwrap();
        let second = apply(&preprocess, &boxes.narrow(0, 1, 1), [-1.0, 1.0]).unwrap();
        assert_eq!(values(&both.narrow(0, 1, 1)), values(&second));
    }
    assert_eq!(values(&boxes), before);
}

#[test]
fn a_box_without_range_is_named() {
    // One hot voxel in 1000: a range for the minimum and maximum, none for the percentiles.
    let mut voxels = vec![0f32; 1000];
    voxels[17] = 5.0;
    let boxes = Tensor::from_slice(&voxels).reshape([1, 1, 10, 10, 10]);
    let mut preprocess =
        Preprocess { normalization: Normalization::Percentile, ..Preprocess::default() };
    let error = preprocess.apply(&boxes, &[42], Contrast::Unknown, [0.0, 1.0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.to_string().starts_with("box 42: percentiles 0.5 and 99.5"), "{error}");
    // Nearest neighbours of a smaller grid may miss the only voxel that differs.
    preprocess = Preprocess {
        interpolation: Interpolation::Nearest,
        input_size: [5, 5, 5],
        ..Preprocess::default()
    };
    let error = preprocess.apply(&boxes, &[42], Contrast::Unknown, [0.0, 1.0]).unwrap_err();
    assert!(error.to_string().starts_with("box 42: minimum and maximum"), "{error}");

    let boxes = Tensor::from_slice(&[f32::MAX, f32::MIN]).reshape([1, 1, 1, 1, 2]);
    let error = apply(&Preprocess::default(), &boxes, [0.0, 1.0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NonFinite);
}

#[test]
fn senseless_settings_are_refused() {
    let default = Preprocess::default();
    default.validate().unwrap();
    for (input_size, percentile) in [
        ([-1, 0, 0], [0.5, 99.5]),
        ([0, 1025, 0], [0.5, 99.5]),
        ([0, 0, i64::MAX], [0.5, 99.5]),
        ([0; 3], [99.5, 0.5]),
        ([0; 3], [50.0, 50.0]),
        ([0; 3], [-0.1, 50.0]),
        ([0; 3], [50.0, 100.1]),
        ([0; 3], [f64::NAN, 50.0]),
        ([0; 3], [0.0, f64::NAN]),
    ] {
        let error =
            Preprocess { input_size, percentile, ..default.clone() }.validate().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{input_size:?} {percentile:?}");
    }
}

#[test]
fn a_fixed_scale_must_be_one_and_must_fit_the_voxels() {
    let fixed = |mean, deviation| Preprocess {
        normalization: Normalization::Fixed,
        fixed: GreyScale { mean, deviation },
        ..Preprocess::default()
    };
    for (mean, deviation) in
        [(f64::NAN, 1.0), (1e39, 1.0), (0.0, 0.0), (0.0, -1.0), (0.0, f64::NAN), (0.0, 1e-50)]
    {
        let error = fixed(mean, deviation).validate().unwrap_err();
        assert!(error.to_string().starts_with("fixed_mean is"), "{mean} {deviation}: {error}");
    }
    let boxes = Tensor::from_slice(&[1f32, 2.0, 3.0, 1e10]).reshape([2, 1, 1, 1, 2]);
    let error =
        fixed(0.0, 1e-30).apply(&boxes, &[3, 8], Contrast::Unknown, [0.0, 1.0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NonFinite);
    assert!(error.to_string().starts_with("box 8: its grey values overflow"), "{error}");
}

/// The whole way for a volume whose beam is not along z: an input of the size that was asked for, beam first.
#[test]
fn the_beam_axis_becomes_the_first() {
    let voxels = boxes([4, 5, 6]).squeeze_dim(1);
    let volume = Volume::from_view(voxels, Dtype::F32, 0.0, Contrast::Unknown, Axis::X).unwrap();
    let boxes = volume.gather(&[1, 0], Device::Cpu).unwrap();
    let preprocess = Preprocess { input_size: [0, 8, 9], ..Preprocess::default() };
    let output = apply(&preprocess, &boxes, [-1.0, 1.0]).unwrap();
    assert_eq!(output.size(), [2, 1, 6, 8, 9]);
}
