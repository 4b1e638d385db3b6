use tch::{Device, Kind, Tensor};

use super::*;
use crate::{
    backbone::{Architecture, BatchNormMode},
    parameters::Start,
};

/// Large enough that the stages which are explained by default have several positions along every axis.
const BOX: [i64; 3] = [16, 48, 48];

/// Four boxes: waves, and the same with other values in a corner: at the far end of z, of y and of x.
fn boxes() -> Tensor {
    let n = BOX.iter().product::<i64>();
    let wave = |step: f64| (Tensor::arange(n, (Kind::Float, Device::Cpu)) * step).sin();
    let boxes = wave(0.7).reshape([1, 1, BOX[0], BOX[1], BOX[2]]).repeat([4, 1, 1, 1, 1]);
    let other = (wave(1.9) * 3.0).reshape(BOX);
    for (index, far) in (1..).zip(0..3) {
        let corner = |tensor: &Tensor| {
            (0..3).fold(tensor.shallow_clone(), |tensor, axis| {
                let length = BOX[axis] / 4;
                let start = if axis == far { BOX[axis] - length } else { 0 };
                tensor.narrow(axis as i64, start, length)
            })
        };
        corner(&boxes.get(index).get(0)).copy_(&corner(&other));
    }
    boxes
}

/// Where the values of `[z, y, x]` lie, on average: from 0, the first position, to 1, the last, along each axis that has
/// more than one.
fn centre(map: &Tensor) -> [Option<f64>; 3] {
    let sum = map.sum(Kind::Double).double_value(&[]);
    std::array::from_fn(|axis| {
        let last = map.size()[axis] - 1;
        let others: Vec<i64> = (0..3).filter(|other| *other != axis as i64).collect();
        let profile = map.sum_dim_intlist(others, false, Kind::Double);
        let places = Tensor::arange(last + 1, (Kind::Double, Device::Cpu));
        let mean = (profile * places).sum(Kind::Double).double_value(&[]) / sum;
        (last > 0).then(|| mean / last as f64)
    })
}

/// Every stage has a map that lies as the box does.
pub fn check_maps(network: &Network) {
    let _guard = tch::no_grad_guard();
    let (spec, input) = (network.spec(), boxes());
    let pass = Pass::of(&input, BatchNormMode::Running).unwrap();
    let mut output = input;
    for (index, stage) in network.stages.iter().enumerate() {
        let what = format!("{}, {}", spec.name, stage.name);
        let before = output.copy();
        let after = (stage.forward)(&output, pass).unwrap();
        assert_eq!(output, before, "{what} changes its input");
        output = after;
        let map = stage.map(&output, pass).unwrap();
        let size = map.size();
        assert_eq!((size.len(), size[0]), (5, 4), "{what}: {size:?}");
        assert_eq!(stage.has_positions(), index + 1 < network.stages.len(), "{what}");
        if !stage.has_positions() {
            assert_eq!(size[1..], [spec.n_features, 1, 1, 1], "{what}");
            assert_eq!(map.reshape(output.size()), output);
        }
        // A position of a deep convolution sees all of the box.
        if index > 2 && matches!(stage.view, View::Map) {
            continue;
        }
        // The change at the far end of an axis lies farther along it than the others do.
        let centres = [1, 2, 3].map(|changed| {
            let difference = (map.get(changed) - map.get(0)).square();
            centre(&difference.sum_dim_intlist(0i64, false, Kind::Double))
        });
        for (axis, other) in (0..9).map(|i| (i / 3, i % 3)).filter(|(a, b)| a != b) {
            let [far, near] = [axis, other].map(|changed| centres[changed][axis]);
            assert!(far.is_none() || far > near, "{what}, {size:?}: axis {axis}: {centres:?}");
        }
    }
}

/// The stage that is explained by default has positions, and the features depend on them.
pub fn check_explained_stage(network: &Network) {
    let (spec, input) = (network.spec(), boxes().narrow(0, 0, 1));
    let pass = Pass::of(&input, BatchNormMode::Running).unwrap();
    let (index, stage) = network.stage(spec.cam_stage).unwrap();
    let output = tch::no_grad(|| network.through(0..index + 1, &input, pass)).unwrap();
    let output = output.set_requires_grad(true);
    let map = stage.map(&output, pass).unwrap();
    assert!(map.size()[2..].iter().all(|n| *n > 1), "{}: {:?}", spec.name, map.size());
    let features = network.through(index + 1..network.stages.len(), &output, pass).unwrap();
    // No plain sum: that of what LayerNorm gives is always 0.
    let weights = (Tensor::arange(spec.n_features, (Kind::Float, Device::Cpu)) * 0.7).sin();
    (features * weights).sum(Kind::Float).backward();
    let gradient = stage.map(&output.grad(), pass).unwrap();
    assert_eq!(gradient.size(), map.size());
    assert!(gradient.abs().max().double_value(&[]) > 0.0, "{}", spec.name);
}

#[test]
fn class_tokens_are_left_out_and_other_shapes_refused() {
    let tokens = Tensor::arange(2 * 7 * 3, (Kind::Int64, Device::Cpu)).reshape([2, 7, 3]);
    let nothing = Tensor::zeros([0, 1, 1, 2, 3], (Kind::Float, Device::Cpu));
    let pass = Pass::of(&nothing, BatchNormMode::Running).unwrap();
    let map = View::Tokens(|size| size).map(&tokens, pass).unwrap();
    assert_eq!(map.size(), [2, 3, 1, 2, 3]);
    // Token 1 + 2 of box 1, channel 2.
    assert_eq!(map.int64_value(&[1, 2, 0, 0, 2]), 21 + 3 * 3 + 2);
    // Rows 0 and 1 are the sections of one box.
    let map = View::Sections(|[_, y, x]| [2, y, x]).map(&tokens, pass).unwrap();
    assert_eq!(map.size(), [1, 3, 2, 2, 3]);
    assert_eq!(map.int64_value(&[0, 1, 1, 1, 0]), 21 + 3 * 4 + 1);
    for view in [
        View::Tokens(|_| [1, 1, 1]),
        View::Sections(|_| [3, 2, 3]),
        View::Sections(|_| [2, 1, 1]),
        View::Map,
        View::Pooled,
    ] {
        assert!(view.map(&tokens, pass).is_err());
    }
}

#[test]
fn an_unknown_stage_is_told_which_there_are() {
    let architecture = Architecture::parse("resnet3d_10").unwrap();
    let network = Network::new(architecture, Device::Cpu, Start::Shapes).unwrap();
    assert_eq!(network.stage("layer3").unwrap().0, 3);
    let error = network.stage("layer5").err().unwrap().to_string();
    assert!(error.contains("\"layer5\"") && error.contains("layer4, avgpool"), "{error}");
}
