//! Every network that cinetomo has computes what its published definition does: the same scores, the same gradient of every weight and the
//! same running statistics as the reference network in PyTorch, from weights in a file that the network's own library wrote.
//!
//! A network is tested by being listed in `BACKBONES`; `reference/networks` must know it.

mod explain;
mod models;
mod reference;

use std::collections::HashMap;

use cinetomo::{
    backbone::{Architecture, BACKBONES, BackboneSpec, BatchNormMode, Choice, Network, Wanted},
    monitor::Monitor,
    parameters::{Role, Start},
    weights::{self, VideoWeights},
};
use cinetomo_checkpoints::Container;
use tch::{Device, Kind, Tensor};

use self::reference::{Answer, Case, Reference};

/// Largest relative difference (norm of the difference over that of the reference) of scores in f32, as they are used.
const TOLERANCE: f64 = 1e-4;

/// The same of everything in double precision. In f32 the gradients of BatchNorms, taken from the few values of a small batch, would lose
/// digits on either side; what is left is that the reference's numbers are stored in f32, 1e-7. 200 layers have left 1.6e-6.
const TOLERANCE_DOUBLE: f64 = 1e-5;

/// Gradients so much smaller than the network's are rounding errors of 0: those of what softmax or BatchNorm takes away again.
const NOTHING: f64 = 1e-6;

/// Networks whose reference is elsewhere: I3D's authors wrote it for another library, whose numbers `parity_i3d` has.
const ELSEWHERE: [&str; 1] = ["i3d"];

/// Choices that no checkpoint shows: they must be asked for.
const UNSEEN: [&str; 3] = ["shortcut_gradient", "conv1_t_stride", "no_max_pool"];

/// Tested besides every network as it is by default and every value of every choice, the latter on the smallest network that has it.
const ALSO: [(&str, &str); 9] = [
    ("resnet3d_34(shortcut=b)", "legacy"),
    ("resnet3d_50(shortcut=a)", "safetensors"),
    ("resnet3d_50(shortcut=a, shortcut_gradient=stop)", "data_parallel"),
    ("s3d", "data_parallel"),
    ("mc3_18", "safetensors"),
    ("swin3d_t", "safetensors"),
    ("mvit_v2_s", "legacy"),
    ("vivit_b_16x2", "pretrained"),
    ("vivit_b_16x2", "pretrained_parts"),
];

fn cases() -> Vec<Case> {
    let listed = BACKBONES.iter().filter(|spec| !ELSEWHERE.contains(&spec.name));
    let mut cases: Vec<(String, &str)> = listed.map(|spec| (spec.name.to_owned(), "zip")).collect();
    let mut other_containers = ["data_parallel", "safetensors", "legacy"].into_iter().cycle();
    for spec in BACKBONES {
        for choice in spec.choices.iter().filter(|choice| is_smallest_with(spec, choice)) {
            for value in &choice.values[1..] {
                let text = format!("{}({}={value})", spec.name, choice.name);
                cases.push((text, other_containers.next().unwrap()));
            }
        }
    }
    cases.extend(ALSO.map(|(text, container)| (text.to_owned(), container)));
    let case = |(seed, (text, container)): (usize, (String, &'static str))| {
        let architecture = Architecture::parse(&text).unwrap();
        let is_new =
            container == "zip" || architecture != Architecture::default_of(architecture.spec);
        let modes: &[&str] =
            if is_new && has_batch_norm(&architecture) { &["eval", "train"] } else { &["eval"] };
        Case { architecture, container, modes, seed }
    };
    cases.into_iter().enumerate().map(case).collect()
}

fn is_smallest_with(spec: &BackboneSpec, choice: &Choice) -> bool {
    let has = |other: &&&BackboneSpec| {
        other.paper == spec.paper && other.choices.iter().any(|one| one.name == choice.name)
    };
    let smallest = BACKBONES.iter().filter(has).min_by_key(|other| other.n_weights);
    smallest.is_some_and(|smallest| smallest.name == spec.name)
}

fn has_batch_norm(architecture: &Architecture) -> bool {
    let network = Network::new(architecture.clone(), Device::Cpu, Start::Shapes).unwrap();
    network.parameters.iter().any(|parameter| parameter.role == Role::Statistic)
}

#[test]
fn every_network_computes_what_its_reference_does() {
    let cases = cases();
    let mut reference = Reference::start();
    reference.request(&cases[0]);
    for (index, case) in cases.iter().enumerate() {
        let answer = reference.answer();
        // The reference computes the next case while this one is compared.
        if let Some(next) = cases.get(index + 1) {
            reference.request(next);
        }
        check(case, &answer);
    }
}

#[test]
fn models_of_every_family_are_saved_and_loaded() {
    let mut reference = Reference::start();
    for spec in models::smallest_of_each_family(BACKBONES) {
        if spec.name == "i3d" {
            models::check(spec, &cinetomo_tests::i3d_checkpoint());
            continue;
        }
        let architecture = Architecture::default_of(spec);
        reference.request(&Case { architecture, container: "zip", modes: &[], seed: 7 });
        models::check(spec, &reference.answer().checkpoint);
    }
}

fn check(case: &Case, answer: &Answer) {
    let name = case.architecture.to_string();
    let video = load(case, answer);
    let head = video.head.unwrap();
    let mut head = [head.weight, head.bias];
    for mode in case.modes {
        let what = format!("{name}, {mode}");
        let batch_norm = match *mode {
            "train" => BatchNormMode::Batch,
            _ => BatchNormMode::Running,
        };
        let expected = answer.take_numbers(mode);
        let logits = |head: &[Tensor; 2], kind: Kind| {
            let input = expected["input"].to_kind(kind);
            let features = video.network.features(&input, batch_norm).unwrap();
            features.linear(&head[0], Some(&head[1]))
        };
        if *mode == "eval" {
            let logits = tch::no_grad(|| logits(&head, Kind::Float));
            assert_close(&format!("{what}, f32"), &logits, &expected["logits"], TOLERANCE);
            make_double(&video.network, &mut head);
        }
        let logits = logits(&head, Kind::Double);
        logits.cross_entropy_for_logits(&expected["labels"]).backward();
        assert_close(&what, &logits, &expected["logits"], TOLERANCE_DOUBLE);
        check_gradients(&what, &video.network, &head, &expected);
        check_statistics(&what, &video.network, &expected);
    }
}

/// The weights that the reference wrote, in a network that was recognised by them as far as they show what it is.
fn load(case: &Case, answer: &Answer) -> VideoWeights {
    let text = case.architecture.to_string();
    let unseen = UNSEEN.iter().any(|choice| text.contains(choice));
    let wanted = unseen.then(|| Wanted::parse(&text).unwrap());
    let (path, device) = (&answer.checkpoint, Device::Cpu);
    let video = weights::load_video(path, wanted.as_ref(), device, &mut Monitor::silent()).unwrap();
    assert_eq!(video.network.architecture, case.architecture);
    let expected = match case.container {
        "zip" => Container::TorchZip,
        "legacy" | "data_parallel" => Container::TorchLegacy,
        _ => Container::Safetensors,
    };
    assert_eq!(video.container, expected, "{text} as {}", case.container);
    video
}

/// Makes the network and the head double, with gradients for their weights.
fn make_double(network: &Network, head: &mut [Tensor; 2]) {
    for parameter in network.parameters.iter() {
        let mut tensor = parameter.tensor.shallow_clone();
        tensor.set_data(&tensor.to_kind(Kind::Double));
        let _ = tensor.set_requires_grad(parameter.role == Role::Weight);
    }
    for tensor in head {
        *tensor = tensor.to_kind(Kind::Double).set_requires_grad(true);
    }
}

/// Holds the gradient of every weight against the reference's of the same name, and resets it.
fn check_gradients(
    what: &str,
    network: &Network,
    head: &[Tensor; 2],
    expected: &HashMap<String, Tensor>,
) {
    let spec = network.spec();
    let weights = network.parameters.iter().filter(|parameter| parameter.role == Role::Weight);
    let mut weights: Vec<(&str, &Tensor)> =
        weights.map(|weight| (weight.name.as_str(), &weight.tensor)).collect();
    weights.extend([(spec.head_weight, &head[0]), (spec.head_bias, &head[1])]);
    let expected: HashMap<&str, Tensor> = expected
        .iter()
        .filter_map(|(name, gradient)| Some((name.strip_prefix("gradient/")?, gradient)))
        .map(|(name, gradient)| (name, gradient.to_kind(Kind::Double)))
        .collect();
    assert_eq!(weights.len(), expected.len(), "{what}: numbers of weights");

    let squares = |tensor: &Tensor| tensor.square().sum(Kind::Double).double_value(&[]);
    let n_values: usize = expected.values().map(Tensor::numel).sum();
    let mean_square = expected.values().map(squares).sum::<f64>() / n_values as f64;
    let mut worst = (0.0, "");
    for (name, weight) in weights {
        let expected = expected[name].reshape(weight.size());
        let difference = squares(&(weight.grad() - &expected));
        let vanishing = NOTHING.powi(2) * mean_square * weight.numel() as f64;
        let difference = (difference / squares(&expected).max(vanishing)).sqrt();
        if difference.is_nan() || difference > worst.0 {
            worst = (difference, name);
        }
        let _ = weight.grad().zero_();
    }
    let (difference, name) = worst;
    println!("{what}: gradients differ by at most {difference:.1e} ({name})");
    assert!(difference < TOLERANCE_DOUBLE, "{what}: gradient of {name} differs by {difference:e}");
}

fn check_statistics(what: &str, network: &Network, expected: &HashMap<String, Tensor>) {
    let statistics =
        network.parameters.iter().filter(|parameter| parameter.role == Role::Statistic);
    let mut n_statistics = 0;
    for statistic in statistics {
        let expected = &expected[&format!("statistic/{}", statistic.name)];
        let what = format!("{what}, {} afterwards", statistic.name);
        assert_close(&what, &statistic.tensor, expected, TOLERANCE_DOUBLE);
        n_statistics += 1;
    }
    let n_expected = expected.keys().filter(|name| name.starts_with("statistic/")).count();
    assert_eq!(n_statistics, n_expected, "{what}: numbers of statistics");
}

fn assert_close(what: &str, found: &Tensor, expected: &Tensor, tolerance: f64) {
    assert_eq!(found.size(), expected.size(), "{what}");
    let (found, expected) = (found.to_kind(Kind::Double), expected.to_kind(Kind::Double));
    let difference = ((found - &expected).norm() / expected.norm()).double_value(&[]);
    assert!(difference < tolerance, "{what}: relative difference {difference:e}");
}
