use tch::{Device, Kind, Tensor};

use super::*;
use crate::{
    backbone::{BACKBONES, BatchNormMode, Network, Pass, Wanted},
    parameters::{Role, Start},
};

fn family() -> impl Iterator<Item = &'static BackboneSpec> {
    BACKBONES
        .iter()
        .copied()
        .filter(|spec| std::ptr::fn_addr_eq(spec.recognise, recognise as fn(&_) -> _))
}

fn network(name: &str) -> Network {
    Network::new(Architecture::parse(name).unwrap(), Device::Cpu, Start::random(5)).unwrap()
}

fn shapes(architecture: &Architecture, n_classes: i64) -> Shapes {
    let network = Network::new(architecture.clone(), Device::Cpu, Start::Shapes).unwrap();
    let tensors = network.parameters.iter();
    let mut shapes: Shapes = tensors.map(|p| (p.name.clone(), p.tensor.size())).collect();
    shapes.insert("fc.weight".to_owned(), vec![n_classes, architecture.spec.n_features]);
    shapes.insert("fc.bias".to_owned(), vec![n_classes]);
    shapes
}

fn waves(size: &[i64]) -> Tensor {
    let n = size.iter().product::<i64>();
    (Tensor::arange(n, (Kind::Float, Device::Cpu)) * 0.7).sin().reshape(size)
}

#[test]
fn numbers_of_weights() {
    // Counted in PyTorch by tests/reference/networks/hara.py; those of type a by hand for the paper's network.
    for (name, expected) in [
        ("resnet3d_34", 63_339_712),
        ("resnet3d_34(shortcut=b)", 63_513_536),
        ("resnet3d_10(shortcut=b)", 14_399_424),
        ("resnet3d_50(shortcut=a)", 43_422_400),
        ("resnet3d_200(shortcut=a)", 123_826_880),
        ("wide_resnet3d_50(shortcut=a)", 154_652_096),
        ("resnext3d_101(shortcut=a)", 44_744_640),
        // The stem of 64 x 3 x 7 x 7 x 7 becomes one of 3 x 7 x 7.
        ("resnet3d_34(conv1_t_size=3)", 63_339_712 - 64 * 3 * 4 * 49),
    ] {
        let architecture = Architecture::parse(name).unwrap();
        let network = Network::new(architecture, Device::Cpu, Start::Shapes).unwrap();
        assert_eq!(network.parameters.n_weights(), expected, "{name}");
    }
}

#[test]
fn choices_are_recognised() {
    for spec in family() {
        for (n_classes, release) in
            [(400, "2018"), (101, "2018"), (51, "2018"), (700, "2020"), (1039, "2020")]
        {
            for shortcut in ["a", "b"] {
                for size in ["1", "3", "5", "7"] {
                    let text = format!(
                        "{}(shortcut={shortcut}, conv1_t_size={size}, release={release})",
                        spec.name
                    );
                    let architecture = Architecture::parse(&text).unwrap();
                    let told = recognise(&shapes(&architecture, n_classes));
                    assert_eq!(Wanted::any(spec).complete(&told), architecture, "{text}");
                }
            }
        }
    }
    // What the shapes do not tell is as the authors' options are by default, and as the caller says.
    let architecture = Architecture::default_of(&RESNET3D_18);
    let told = recognise(&shapes(&architecture, 700));
    let wanted = Wanted::parse("resnet3d_18(conv1_t_stride=2, no_max_pool=true)").unwrap();
    let complete = wanted.complete(&told);
    assert_eq!(complete.choice("conv1_t_stride"), "2");
    assert_eq!(complete.choice("no_max_pool"), "true");
    assert_eq!(complete.choice("release"), "2020");
    assert_eq!(complete.choice("shortcut_gradient"), "flow");
    // Of a file of other tensors nothing is told that is not known.
    assert_eq!(recognise(&Shapes::new()), [("shortcut", "a")]);
    let odd = Shapes::from([("conv1.weight".to_owned(), vec![64, 3, 9, 7, 7])]);
    assert_eq!(recognise(&odd), [("shortcut", "a")]);
}

#[test]
fn black_and_white_are_those_of_the_release() {
    let range = |text: &str| {
        let architecture = Architecture::parse(text).unwrap();
        (architecture.spec.input_range)(&architecture)
    };
    // By hand: the means average to 107.3284 of 255 and 0.4057 of 1, the deviations to 0.273933.
    let close = |[a, b]: [f64; 2], [c, d]: [f64; 2]| (a - c).abs() < 1e-4 && (b - d).abs() < 1e-4;
    assert!(close(range("resnet3d_34"), [-107.3284, 147.6716]));
    assert!(close(range("resnet3d_34(release=2020)"), [-1.481_02, 2.169_51]));
}

#[test]
fn choices_change_the_size_of_what_the_layers_see() {
    let size_after = |text: &str, stage: usize| {
        let network = network(text);
        let input = waves(&[1, 1, 9, 32, 32]);
        let pass = Pass::of(&input, BatchNormMode::Running).unwrap();
        let stages = network.stages[..=stage].iter();
        stages.fold(input, |x, stage| (stage.forward)(&x, pass).unwrap()).size()
    };
    assert_eq!(size_after("resnet3d_10", 0), [1, 64, 5, 8, 8]);
    assert_eq!(size_after("resnet3d_10(conv1_t_stride=2)", 0), [1, 64, 3, 8, 8]);
    assert_eq!(size_after("resnet3d_10(no_max_pool=true)", 0), [1, 64, 9, 16, 16]);
    assert_eq!(size_after("resnet3d_10(conv1_t_size=1, no_max_pool=true)", 4), [1, 512, 2, 2, 2]);
}

#[test]
fn stopping_the_gradient_of_shortcuts_changes_gradients_and_not_outputs() {
    let run = |text: &str, mode: BatchNormMode| {
        let network = network(text);
        for parameter in network.parameters.iter().filter(|p| p.role == Role::Weight) {
            let _ = parameter.tensor.set_requires_grad(true);
        }
        let features = network.features(&waves(&[2, 1, 8, 33, 33]), mode).unwrap();
        (&features * waves(&features.size())).sum(Kind::Float).backward();
        let gradient = |name: &str| network.parameters.get(name).unwrap().tensor.grad().copy();
        (
            features.detach(),
            gradient("layer4.0.conv1.weight"),
            gradient("layer3.0.conv2.weight"),
            gradient("conv1.weight"),
        )
    };
    let difference = |a: &Tensor, b: &Tensor| ((a - b).norm() / b.norm()).double_value(&[]);
    for mode in [BatchNormMode::Running, BatchNormMode::Batch] {
        let flow = run("resnet3d_10(shortcut=a)", mode);
        let stop = run("resnet3d_10(shortcut=a, shortcut_gradient=stop)", mode);
        assert_eq!(flow.0, stop.0);
        // Behind the last shortcut nothing differs; before it a path is missing, yet the one through the block is left.
        assert_eq!(flow.1, stop.1);
        for (flow, stop) in [(&flow.2, &stop.2), (&flow.3, &stop.3)] {
            assert!(difference(stop, flow) > 0.05, "{}", difference(stop, flow));
            assert!(stop.norm().double_value(&[]) > 0.0);
        }
        // Type b has weights of its own, so its gradient always flows.
        let b = run("resnet3d_10(shortcut=b)", mode);
        let b_stop = run("resnet3d_10(shortcut=b, shortcut_gradient=stop)", mode);
        assert_eq!(b.3, b_stop.3);
    }
}

#[test]
fn a_shortcut_of_type_a_leaves_out_voxels_and_adds_zeros() {
    // With convolutions of zeros only what goes past the blocks is left.
    let network = network("resnet3d_10");
    tch::no_grad(|| {
        for parameter in network.parameters.iter().filter(|p| p.name.contains(".conv")) {
            let _ = parameter.tensor.shallow_clone().zero_();
        }
    });
    let input = waves(&[1, 64, 3, 4, 5]).abs();
    let pass = Pass::of(&input, BatchNormMode::Running).unwrap();
    let output = (network.stages[2].forward)(&input, pass).unwrap();
    assert_eq!(output.size(), [1, 128, 2, 2, 3]);
    let kept = input.slice(2, 0, None, 2).slice(3, 0, None, 2).slice(4, 0, None, 2);
    assert_eq!(output.narrow(1, 0, 64), kept);
    assert_eq!(output.narrow(1, 64, 64).abs().max().double_value(&[]), 0.0);
}
