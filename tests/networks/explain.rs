//! Maps of stages, and what is made of them, are those of the reference.

use cinetomo::{
    backbone::{Architecture, BatchNormMode, Pass},
    insight::{CamMethod, Explanation, class_activation, enlarge},
    model::Head,
    weights::VideoWeights,
};
use tch::{Kind, Tensor};

use super::{
    TOLERANCE_DOUBLE, assert_close, load, make_double,
    reference::{Answer, Case, Reference},
};

/// One of each kind of stage that is explained: maps after a ReLU, maps after attention, tokens, tokens of each time.
const NETWORKS: [&str; 8] = [
    "resnet3d_18",
    "r2plus1d_18",
    "s3d",
    "swin3d_t",
    "mvit_v1_b",
    "mvit_v2_s",
    "vivit_b_16x2",
    "vivit_b_16x2_factorised",
];

#[test]
fn evidence_lies_where_the_reference_finds_it() {
    let mut reference = Reference::start();
    let case = |(index, name): (usize, &str)| Case {
        architecture: Architecture::parse(name).unwrap(),
        container: "zip",
        modes: &["explain"],
        seed: 100 + index,
    };
    for case in NETWORKS.into_iter().enumerate().map(case) {
        reference.request(&case);
        let answer = reference.answer();
        check(&case, &answer);
    }
}

fn check(case: &Case, answer: &Answer) {
    let name = case.architecture.to_string();
    let VideoWeights { network, head, .. } = load(case, answer);
    let mut head = head.map(|head| [head.weight, head.bias]).unwrap();
    // In f32 the gradient takes the other side of a ReLU here and there: on random weights up to 1 % of a map.
    make_double(&network, &mut head);
    let [weight, bias] = head;
    let head = Head { weight, bias };
    let expected = answer.take_numbers("explain");
    let input = &expected["input"].to_kind(Kind::Double);
    let (index, stage) = network.stage(network.spec().cam_stage).unwrap();

    let pass = Pass::of(input, BatchNormMode::Running).unwrap();
    let output = tch::no_grad(|| network.through(0..index + 1, input, pass)).unwrap();
    let map = stage.map(&output, pass).unwrap();
    assert_close(
        &format!("{name}, map of {}", stage.name),
        &map,
        &expected["map"],
        TOLERANCE_DOUBLE,
    );

    let classes = Vec::<i64>::try_from(&expected["labels"]).unwrap();
    let explained = |method: CamMethod, rectify: Option<bool>, box_size: &[i64]| -> Tensor {
        let explanation = Explanation { method, rectify, ..Explanation::default() };
        let map = class_activation(&network, &head, input, &classes, &explanation).unwrap();
        enlarge(&map, box_size.try_into().unwrap()).unwrap()
    };
    let methods = [(CamMethod::GradCam, "grad_cam"), (CamMethod::RespondCam, "respond_cam")];
    for (method, key) in methods {
        // Made for maps that are never negative: where they are, it divides by what may be next to nothing.
        if method == CamMethod::RespondCam && map.min().double_value(&[]) < 0.0 {
            continue;
        }
        let expected = &expected[key];
        let found = explained(method, Some(false), &expected.size()[1..]);
        assert_close(&format!("{name}, {key}"), &found, expected, TOLERANCE_DOUBLE);
        // What is cut off is cut off before the map is enlarged.
        let published = explained(method, None, &map.size()[2..]);
        let whole = explained(method, Some(false), &map.size()[2..]);
        let cut = if method == CamMethod::GradCam { whole.relu() } else { whole };
        assert_eq!(published, cut, "{name}, {key}");
    }
}
