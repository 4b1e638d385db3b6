use super::*;
use crate::{
    error::ErrorKind,
    monitor::log_nothing,
    pick::{Contrast, ExtractOptions, noise, numbers, reference, tomogram_of},
};

const SHAPE: [i64; 3] = [30, 40, 50];

/// A voxel tells where it is.
fn places() -> Vec<f32> {
    (0..30 * 40 * 50).map(|index| index as f32).collect()
}

fn extraction(options: ExtractOptions) -> Extraction {
    Extraction::new(options, 10.0, Contrast::Dark).unwrap()
}

fn copied(edge: Edge) -> ExtractOptions {
    let resampling = Resampling::Nearest;
    ExtractOptions { box_size: 4, resampling, edge, ..ExtractOptions::default() }
}

fn run(voxels: &[f32], positions: &[[f32; 3]], options: ExtractOptions) -> Result<Boxes> {
    let mut tomogram = tomogram_of(voxels, SHAPE, Contrast::Dark);
    extract(&mut tomogram, positions, &extraction(options), 2, &mut Monitor::silent())
}

#[test]
fn boxes_are_those_of_numpy_and_scipy() {
    let reference = &reference()["extracted"];
    let shape: [f64; 3] = numbers(&reference["shape"]).try_into().unwrap();
    let shape = shape.map(|extent| extent as i64);
    let voxels = noise(shape, reference["seed"].as_u64().unwrap());
    for case in reference["boxes"].as_array().unwrap() {
        let position: [f64; 3] = numbers(&case["position"]).try_into().unwrap();
        for (key, resampling) in [("fourier", Resampling::Fourier), ("linear", Resampling::Linear)]
        {
            let options = ExtractOptions {
                box_size: case["box_size"].as_i64().unwrap(),
                voxel_size: 10.0 * case["scale"].as_f64().unwrap(),
                resampling,
                edge: Edge::Fail,
                ..ExtractOptions::default()
            };
            let mut tomogram = tomogram_of(&voxels, shape, Contrast::Dark);
            let position = [position.map(|along| along as f32)];
            let extraction = extraction(options);
            let boxes =
                extract(&mut tomogram, &position, &extraction, 1, &mut Monitor::silent()).unwrap();
            let theirs = numbers(&case[key]);
            assert_eq!(boxes.voxels.len(), theirs.len());
            for (ours, theirs) in boxes.voxels.iter().zip(theirs) {
                assert!((f64::from(*ours) - theirs).abs() < 0.5, "{key} {case}: {ours}, {theirs}");
            }
        }
    }
}

#[test]
fn the_position_lies_on_the_middle_voxel() {
    let voxels = places();
    for (box_size, middle) in [(4i64, 2), (5, 2)] {
        let options = ExtractOptions { box_size, ..copied(Edge::Fail) };
        let boxes = run(&voxels, &[[10.0, 20.0, 30.0], [9.6, 20.4, 29.5]], options).unwrap();
        let n = box_size.pow(3) as usize;
        assert_eq!(boxes.voxels[..n], boxes.voxels[n..]);
        for (index, &voxel) in boxes.voxels[..n].iter().enumerate() {
            let index = index as i64;
            let at = [index / box_size / box_size, index / box_size % box_size, index % box_size];
            let [z, y, x] = [0, 1, 2].map(|axis| [10, 20, 30][axis] + at[axis] - middle);
            assert_eq!(voxel, ((z * 40 + y) * 50 + x) as f32);
        }
    }
}

#[test]
fn boxes_beyond_the_edge_are_padded_skipped_or_refused() {
    let voxels = places();
    let positions = [[10.0, 20.0, 30.0], [0.0, 39.0, 49.0], [2.0, 2.0, 48.0]];
    let kept_of = |edge| kept(&positions, SHAPE, &extraction(copied(edge)));
    assert_eq!(kept_of(Edge::Skip).unwrap(), [0, 2]);
    assert_eq!(kept_of(Edge::Pad).unwrap(), [0, 1, 2]);
    let error = kept_of(Edge::Fail).unwrap_err().to_string();
    assert!(error.starts_with("position 1 is [0.0, 39.0, 49.0]: its box of 4 voxels"), "{error}");

    let boxes = run(&voxels, &positions, copied(Edge::Pad)).unwrap();
    assert_eq!(boxes.n_padded, 1);
    // Voxels z 0 and 1, y 37 to 39, x 47 to 49 are there.
    let padded = &boxes.voxels[64..128];
    let mut inside = Vec::new();
    for (index, &voxel) in padded.iter().enumerate() {
        let [z, y, x] = [index / 16, index / 4 % 4, index % 4];
        if z >= 2 && y < 3 && x < 3 {
            assert_eq!(voxel, (((z - 2) * 40 + y + 37) * 50 + x + 47) as f32);
            inside.push(voxel);
        }
    }
    let mean = inside.iter().sum::<f32>() / inside.len() as f32;
    assert_eq!(inside.len(), 18);
    let n_filled = padded.iter().filter(|&&voxel| (voxel - mean).abs() < 0.01).count();
    assert_eq!(n_filled, 64 - 18);
}

#[test]
fn positions_that_cannot_be_are_named() {
    let kept_of = |position, edge| kept(&[[5.0; 3], position], SHAPE, &extraction(copied(edge)));
    for edge in [Edge::Pad, Edge::Fail] {
        let error = kept_of([5.0, 40.0, 5.0], edge).unwrap_err().to_string();
        assert!(
            error.starts_with("position 1 is [5.0, 40.0, 5.0], outside the tomogram"),
            "{error}"
        );
    }
    assert_eq!(kept_of([5.0, 40.0, 5.0], Edge::Skip).unwrap(), [0]);
    let error = kept_of([f32::NAN, 4.0, 5.0], Edge::Skip).unwrap_err().to_string();
    assert!(error.starts_with("position 1 is [NaN, 4.0, 5.0]; it must be"), "{error}");
}

#[test]
fn contrast_is_turned_where_it_differs() {
    let voxels = places();
    let as_is = run(&voxels, &[[10.0; 3]], copied(Edge::Fail)).unwrap().voxels;
    let options = ExtractOptions { contrast: Contrast::Bright, ..copied(Edge::Fail) };
    let inverted = run(&voxels, &[[10.0; 3]], options).unwrap().voxels;
    assert!(as_is.iter().zip(&inverted).all(|(a, b)| *a == -b));
}

#[test]
fn many_boxes_are_cut_on_any_number_of_threads() {
    let voxels = noise(SHAPE, 2);
    let positions: Vec<[f32; 3]> =
        (0..40).map(|i| [14.2 + 0.1 * i as f32, 20.0, 25.7 - 0.2 * i as f32]).collect();
    let options = ExtractOptions { box_size: 6, voxel_size: 13.0, ..ExtractOptions::default() };
    let extraction = extraction(options.clone());
    let mut seen = Vec::new();
    let mut monitor = Monitor::new(
        |progress| {
            seen.push((progress.stage, progress.step, progress.n_steps));
            true
        },
        || false,
        log_nothing(),
    );
    let mut tomogram = tomogram_of(&voxels, SHAPE, Contrast::Dark);
    let many = extract(&mut tomogram, &positions, &extraction, 3, &mut monitor).unwrap();
    drop(monitor);
    assert_eq!(seen, [1, 2, 3].map(|step| (Stage::Extract, step, 3)));
    for (index, position) in positions.iter().enumerate() {
        let one = run(&voxels, &[*position], options.clone()).unwrap();
        assert_eq!(one.voxels, many.voxels[index * 216..(index + 1) * 216]);
    }
}

#[test]
fn what_fails_says_for_which_box() {
    let mut voxels = places();
    voxels[(10 * 40 + 20) * 50 + 31] = f32::INFINITY;
    let error = run(&voxels, &[[20.0; 3], [10.0, 20.0, 30.0]], copied(Edge::Fail)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NonFinite);
    let expected = "box 1: the tomogram's voxel z=10, y=20, x=31 is NaN or infinite";
    assert_eq!(error.to_string(), expected);
    let options = ExtractOptions { box_size: 400, ..ExtractOptions::default() };
    let error = run(&places(), &[[20.0; 3]], options).unwrap_err().to_string();
    assert!(error.contains("box_size 400 takes 433 voxels"), "{error}");
}
