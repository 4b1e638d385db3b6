use cinetomo_abi::{cinetomo_axis as Axis, cinetomo_dtype as Dtype};
use tch::{Device, Kind, Tensor};

use super::*;
use crate::{error::ErrorKind, model::ModelConfig, preprocess::Preprocess, volume::Contrast};

fn model(backbone: &str, input_size: [i64; 3]) -> Model {
    let config = ModelConfig {
        backbone: Some(backbone.to_owned()),
        class_names: ["a", "b", "c"].map(str::to_owned).to_vec(),
        preprocess: Preprocess { input_size, ..Preprocess::default() },
        seed: 5,
        dropout: 0.0,
    };
    Model::random(config, Device::Cpu).unwrap()
}

/// Three boxes of 18 x 20 x 33 voxels, a blob at another place in each.
fn boxes() -> Tensor {
    let along = |n: i64, centre: f64| {
        -((Tensor::arange(n, (Kind::Float, Device::Cpu)) - centre) / 3.0).square()
    };
    let blob = |[z, y, x]: [f64; 3]| {
        (along(18, z).reshape([18, 1, 1]) + along(20, y).reshape([20, 1]) + along(33, x)).exp()
    };
    let blobs = [[3.0, 16.0, 5.0], [12.0, 4.0, 16.0], [8.0, 10.0, 28.0]].map(blob);
    let noise = (Tensor::arange(3 * 18 * 20 * 33, (Kind::Float, Device::Cpu)) * 1.7).sin() * 0.1;
    Tensor::stack(&blobs, 0) + noise.reshape([3, 18, 20, 33])
}

fn volume(boxes: &Tensor, beam_axis: Axis) -> Volume<'static> {
    Volume::from_view(boxes.shallow_clone(), Dtype::F32, 0.0, Contrast::Unknown, beam_axis).unwrap()
}

fn explain(model: &Model, volume: &Volume<'_>, explanation: &Explanation) -> Tensor {
    let maps = model.explain(volume, explanation, &mut Monitor::silent()).unwrap();
    let [z, y, x] = volume.box_size();
    Tensor::from_slice(&maps).reshape([volume.len() as i64, z, y, x])
}

fn of_class(class: usize) -> Explanation {
    Explanation { class: Some(class), rectify: Some(false), ..Explanation::default() }
}

#[test]
fn maps_have_the_callers_axes_whatever_the_beam_is() {
    let model = model("resnet3d_10", [0; 3]);
    let boxes = boxes();
    let expected = explain(&model, &volume(&boxes, Axis::Z), &of_class(1));
    assert!(expected.abs().max().double_value(&[]) > 1e-6);
    for (axis, place) in [(Axis::Y, 2), (Axis::X, 3)] {
        // The same boxes for the network, stored by a caller whose beam lies along another axis.
        let stored = boxes.movedim_int(1, place).contiguous();
        let volume = volume(&stored, axis);
        let maps = model.explain(&volume, &of_class(1), &mut Monitor::silent()).unwrap();
        let maps = Tensor::from_slice(&maps).reshape(stored.size());
        assert_eq!(maps, expected.movedim_int(1, place).contiguous());
    }
}

#[test]
fn resizing_is_undone_and_subtomograms_do_not_see_each_other() {
    let model = model("resnet3d_10", [16, 48, 40]);
    let boxes = boxes();
    let volume = volume(&boxes, Axis::Z);
    let maps = explain(&model, &volume, &of_class(2));
    for index in 0..3 {
        let input = model.prepare(&volume, &[index]).unwrap();
        assert_eq!(input.size(), [1, 1, 16, 48, 40]);
        let map =
            class_activation(&model.network, &model.head, &input, &[2], &of_class(2)).unwrap();
        let alone = enlarge(&map, [18, 20, 33]).unwrap().get(0);
        let scale = alone.abs().max().double_value(&[]);
        let difference = (maps.get(index as i64) - alone).abs().max().double_value(&[]);
        assert!(scale > 1e-6 && difference < 1e-4 * scale, "{index}: {difference} of {scale}");
    }
}

#[test]
fn without_a_class_the_predicted_one_is_explained() {
    let mut model = model("resnet3d_10", [0; 3]);
    let boxes = boxes();
    let volume = volume(&boxes, Axis::Z);
    // A bias that sets the classes of the boxes apart.
    let predicted = |model: &Model| -> Vec<usize> {
        let scores = model.classify(&volume, &mut Monitor::silent()).unwrap();
        scores.chunks(3).map(first_highest).collect()
    };
    let scores = model.classify(&volume, &mut Monitor::silent()).unwrap();
    let between: Vec<f32> = (0..3)
        .map(|class| {
            let mut logits: Vec<f32> = scores.chunks(3).map(|row| row[class].ln()).collect();
            logits.sort_by(f32::total_cmp);
            -logits[1]
        })
        .collect();
    model.head.bias = &model.head.bias + Tensor::from_slice(&between);
    let predicted = predicted(&model);
    assert!(predicted.iter().any(|class| *class != predicted[0]), "{predicted:?}");
    let explanation = Explanation { class: None, ..of_class(0) };
    let maps = explain(&model, &volume, &explanation);
    for (index, class) in predicted.into_iter().enumerate() {
        let of_class = explain(&model, &volume, &of_class(class));
        assert_eq!(maps.get(index as i64), of_class.get(index as i64));
    }
}

/// Sum-to-score (Zhao et al. 2018): the map of Respond-CAM adds up to that of activations times gradients, which for the
/// last map of a network that averages and has a linear head is the logit without its bias.
#[test]
fn respond_cam_adds_up_to_the_logit() {
    let model = model("resnet3d_10", [0; 3]);
    let boxes = boxes();
    let volume = volume(&boxes, Axis::Z);
    let input = model.prepare(&volume, &[0, 1, 2]).unwrap();
    let explanation = Explanation {
        stage: Some("layer4".to_owned()),
        method: CamMethod::RespondCam,
        ..Explanation::default()
    };
    let classes = [2, 0, 1];
    let map =
        class_activation(&model.network, &model.head, &input, &classes, &explanation).unwrap();
    let sums = map.sum_dim_intlist([1i64, 2, 3].as_slice(), false, Kind::Double);
    let features = model.network.features(&input, BatchNormMode::Running).unwrap();
    let logits = model.logits(&features).unwrap() - &model.head.bias;
    for (index, class) in classes.into_iter().enumerate() {
        let (sum, logit) =
            (sums.double_value(&[index as i64]), logits.double_value(&[index as i64, class]));
        assert!((sum - logit).abs() < 1e-5 * logit.abs(), "{sum}, logit {logit}");
    }
}

#[test]
fn what_cannot_be_explained_is_named() {
    let boxes = boxes();
    let volume = volume(&boxes, Axis::Z);
    let message = |model: &Model, explanation: Explanation| {
        let error = model.explain(&volume, &explanation, &mut Monitor::silent()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        error.to_string()
    };
    let at = |stage: &str| Explanation { stage: Some(stage.to_owned()), ..Explanation::default() };
    let resnet = model("resnet3d_10", [0; 3]);
    assert!(message(&resnet, of_class(3)).contains("class 3: the model has 3 classes"));
    assert!(message(&resnet, at("layer9")).contains("conv1, layer1"));
    assert!(message(&resnet, at("avgpool")).contains("\"layer3\""));
    let mvit = model("mvit_v2_s", [0; 3]);
    for stage in ["scale5", "norm", "class_token"] {
        assert!(message(&mvit, at(stage)).contains("\"scale4\""), "{stage}");
    }
}

#[test]
fn a_cancelled_explanation_ends() {
    let model = model("resnet3d_10", [0; 3]);
    let boxes = boxes();
    let mut stages = Vec::new();
    let mut monitor = Monitor::new(
        |progress| {
            stages.push(progress.stage);
            false
        },
        || false,
        crate::monitor::log_nothing(),
    );
    let error = model.explain(&volume(&boxes, Axis::Z), &of_class(0), &mut monitor).unwrap_err();
    drop(monitor);
    assert_eq!((error.kind(), stages), (ErrorKind::Cancelled, vec![Stage::Explain]));
}
