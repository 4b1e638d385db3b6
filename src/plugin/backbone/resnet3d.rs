//! 3D ResNets: residual networks whose 3 x 3 kernels became 3 x 3 x 3.
//!
//! Hara, Kataoka & Satoh 2018, "Can Spatiotemporal 3D CNNs Retrace the History of 2D CNNs and ImageNet?", figure 3 and table 1,
//! <https://arxiv.org/abs/1711.09577>, and Kataoka et al. 2020, <https://arxiv.org/abs/2004.04968>; layers and names as in
//! <https://github.com/kenshohara/3D-ResNets-PyTorch>. Time becomes the beam axis z.

use super::{
    Architecture, BackboneSpec, Choice, Shapes, Stage, View,
    layers::{BatchNormConfig, Chain, Conv3dConfig, Padding, average, max_pool3d},
    residual::{Residual, Shortcut},
};
use crate::{error::Result, parameters::Parameters};

/// What builds the networks of a specification.
type Build = fn(&mut Parameters, &Architecture) -> Result<Vec<Stage>>;

/// 3D ResNet-10.
pub static RESNET3D_10: BackboneSpec = member("resnet3d_10", A_FIRST, [512, 14_225_600], |p, a| {
    build(p, a, Plan { n_blocks: [1, 1, 1, 1], ..BASIC })
});

/// 3D ResNet-18.
pub static RESNET3D_18: BackboneSpec = member("resnet3d_18", A_FIRST, [512, 33_030_080], |p, a| {
    build(p, a, Plan { n_blocks: [2, 2, 2, 2], ..BASIC })
});

/// 3D ResNet-34, by default with shortcuts of type a: the network of Jain, Li & Xu 2024.
pub static RESNET3D_34: BackboneSpec = member("resnet3d_34", A_FIRST, [512, 63_339_712], |p, a| {
    build(p, a, Plan { n_blocks: [3, 4, 6, 3], ..BASIC })
});

/// 3D ResNet-50.
pub static RESNET3D_50: BackboneSpec =
    member("resnet3d_50", B_FIRST, [2048, 46_198_976], |p, a| {
        build(p, a, Plan { n_blocks: [3, 4, 6, 3], ..BOTTLENECK })
    });

/// 3D ResNet-101.
pub static RESNET3D_101: BackboneSpec =
    member("resnet3d_101", B_FIRST, [2048, 85_245_120], |p, a| {
        build(p, a, Plan { n_blocks: [3, 4, 23, 3], ..BOTTLENECK })
    });

/// 3D ResNet-152.
pub static RESNET3D_152: BackboneSpec =
    member("resnet3d_152", B_FIRST, [2048, 117_403_840], |p, a| {
        build(p, a, Plan { n_blocks: [3, 8, 36, 3], ..BOTTLENECK })
    });

/// 3D ResNet-200.
pub static RESNET3D_200: BackboneSpec =
    member("resnet3d_200", B_FIRST, [2048, 126_603_456], |p, a| {
        build(p, a, Plan { n_blocks: [3, 24, 36, 3], ..BOTTLENECK })
    });

/// 3D Wide ResNet-50: ResNet-50 with twice the channels inside its blocks.
pub static WIDE_RESNET3D_50: BackboneSpec =
    member("wide_resnet3d_50", B_FIRST, [2048, 157_428_672], |p, a| {
        build(p, a, Plan { n_blocks: [3, 4, 6, 3], ..WIDE })
    });

/// 3D ResNeXt-101 of cardinality 32.
pub static RESNEXT3D_101: BackboneSpec =
    member("resnext3d_101", B_FIRST, [2048, 47_521_216], |p, a| {
        build(p, a, Plan { n_blocks: [3, 4, 23, 3], n_groups: 32, ..WIDE })
    });

const BASIC: Plan =
    Plan { block: Block::Basic, n_blocks: [0; 4], width: 64, expansion: 1, n_groups: 1 };
const BOTTLENECK: Plan =
    Plan { block: Block::Bottleneck, n_blocks: [0; 4], width: 64, expansion: 4, n_groups: 1 };
const WIDE: Plan = Plan { width: 128, expansion: 2, ..BOTTLENECK };

/// A network of blocks (table 1 of the paper).
#[derive(Clone, Copy)]
struct Plan {
    block: Block,
    /// Blocks of layer1 to layer4.
    n_blocks: [usize; 4],
    /// Channels inside the blocks of layer1; each layer has twice those of the one before.
    width: i64,
    /// Channels that a block gives, as a multiple of those inside.
    expansion: i64,
    /// Groups of the convolution in the middle of a bottleneck ("cardinality").
    n_groups: i64,
}

#[derive(Clone, Copy)]
enum Block {
    /// Two convolutions of 3 x 3 x 3.
    Basic,
    /// 1 x 1 x 1, 3 x 3 x 3, 1 x 1 x 1.
    Bottleneck,
}

const A_FIRST: &[Choice] = &[
    Choice { name: "shortcut", values: &["a", "b"], about: SHORTCUT },
    GRADIENT,
    TIME_SIZE,
    TIME_STRIDE,
    NO_MAX_POOL,
    RELEASE,
];
const B_FIRST: &[Choice] = &[
    Choice { name: "shortcut", values: &["b", "a"], about: SHORTCUT },
    GRADIENT,
    TIME_SIZE,
    TIME_STRIDE,
    NO_MAX_POOL,
    RELEASE,
];
const SHORTCUT: &str = "past the first block of a layer, a: voxels are left out and channels of zeros added, b: a convolution; told by the checkpoint";
const GRADIENT: Choice = Choice {
    name: "shortcut_gradient",
    values: &["flow", "stop"],
    about: "whether shortcuts of type a pass gradients on; the authors' code stops them, and with it the paper's training",
};
const TIME_SIZE: Choice = Choice {
    name: "conv1_t_size",
    values: &["7", "5", "3", "1"],
    about: "size of the first kernel along z; told by the checkpoint",
};
const TIME_STRIDE: Choice = Choice {
    name: "conv1_t_stride",
    values: &["1", "2"],
    about: "stride of the first convolution along z; as the checkpoint was trained, which it does not tell",
};
const NO_MAX_POOL: Choice = Choice {
    name: "no_max_pool",
    values: &["false", "true"],
    about: "whether the pool after the first convolution is left out; as the checkpoint was trained, which it does not tell",
};
const RELEASE: Choice = Choice {
    name: "release",
    values: &["2018", "2020"],
    about: "of the weights, which differ in the grey values of their videos; told by the classes of the checkpoint",
};

const fn member(
    name: &'static str,
    choices: &'static [Choice],
    [n_features, n_weights]: [i64; 2],
    build: Build,
) -> BackboneSpec {
    BackboneSpec {
        name,
        paper: "Hara, Kataoka & Satoh 2018, Can Spatiotemporal 3D CNNs Retrace the History of 2D CNNs and ImageNet?",
        source: "the authors' downloads at github.com/kenshohara/3D-ResNets-PyTorch: <network>-<depth>-kinetics.pth of 2018 \
                 (Kinetics-400), r3d<depth>_K_200ep.pth and others of 2020 (Kinetics-700, Moments in Time, STAIR Actions)",
        licence: "not stated for the weights (the code: MIT)",
        choices,
        recognise,
        input_range,
        video_size: [16, 112, 112],
        // Padding leaves something of any size.
        min_input: [1, 1, 1],
        n_features,
        n_weights,
        // Jain, Li & Xu 2024, section 4.3.2.
        learning_rates: [1e-4, 1e-3],
        // Jain, Li & Xu 2024, figure 5.
        cam_stage: "layer3",
        head_weight: "fc.weight",
        head_bias: "fc.bias",
        ignored: &["num_batches_tracked"],
        build,
    }
}

/// What a checkpoint tells: downsampling convolutions are shortcuts of type b; Kinetics-400 and the smaller sets that the authors went
/// on to (ActivityNet, UCF-101, HMDB-51) are of 2018, Kinetics-700 and its unions with other sets of 2020.
fn recognise(shapes: &Shapes) -> Vec<(&'static str, &'static str)> {
    let mut told = Vec::new();
    let has_convolution = shapes.keys().any(|name| name.ends_with(".downsample.0.weight"));
    told.push(("shortcut", if has_convolution { "b" } else { "a" }));
    if let Some([_, _, z, _, _]) = shapes.get("conv1.weight").map(Vec::as_slice) {
        let size = TIME_SIZE.values.iter().find(|size| **size == z.to_string());
        told.extend(size.map(|size| (TIME_SIZE.name, *size)));
    }
    if let Some([n_classes, _]) = shapes.get("fc.weight").map(Vec::as_slice) {
        let old = [400, 200, 101, 51].contains(n_classes);
        told.push((RELEASE.name, if old { "2018" } else { "2020" }));
    }
    told
}

/// Black and white after the authors' normalisation (their options' defaults, `mean.py`), each averaged over the colour channels, as grey
/// is the same in all three: the weights of 2018 take 0 to 255 less the mean of ActivityNet, those of 2020 take 0 to 1 less the mean of
/// Kinetics, over its standard deviation.
fn input_range(architecture: &Architecture) -> [f64; 2] {
    const fn average(channels: [f64; 3]) -> f64 {
        (channels[0] + channels[1] + channels[2]) / 3.0
    }
    let (white, mean, deviation) = match architecture.choice(RELEASE.name) {
        "2020" => (1.0, average([0.4345, 0.4051, 0.3775]), average([0.2768, 0.2713, 0.2737])),
        _ => (255.0, average([114.7748, 107.7354, 99.4750]), 1.0),
    };
    [-mean / deviation, (white - mean) / deviation]
}

fn build(
    parameters: &mut Parameters,
    architecture: &Architecture,
    plan: Plan,
) -> Result<Vec<Stage>> {
    parameters.set_stage(0);
    // These choices are numbers, written out above.
    let number = |choice: &Choice| architecture.choice(choice.name).parse().unwrap_or(1);
    let (kernel, stride) = ([number(&TIME_SIZE), 7, 7], [number(&TIME_STRIDE), 2, 2]);
    let stem = layer(parameters, ["conv1.", "bn1."], [3, STEM_WIDTH], kernel, stride, 1)?;
    let pool = architecture.choice(NO_MAX_POOL.name) != "true";
    let mut stages = vec![Stage {
        name: "conv1",
        view: View::Map,
        forward: Box::new(move |x, pass| {
            let x = stem.rectified_grey(x, pass.batch_norm)?;
            if pool { max_pool3d(&x, [3; 3], [2; 3], Padding::Centred) } else { Ok(x) }
        }),
    }];
    let mut n_in = STEM_WIDTH;
    for (index, name) in ["layer1", "layer2", "layer3", "layer4"].into_iter().enumerate() {
        parameters.set_stage(1 + index);
        let width = plan.width << index;
        let mut blocks = Vec::new();
        for place in 0..plan.n_blocks[index] {
            let stride = if index > 0 && place == 0 { 2 } else { 1 };
            let (prefix, channels) = (format!("{name}.{place}."), [n_in, width]);
            blocks.push(block(parameters, architecture, plan, &prefix, channels, stride)?);
            n_in = width * plan.expansion;
        }
        stages.push(Stage {
            name,
            view: View::Map,
            forward: Box::new(move |x, pass| {
                let x = x.shallow_clone();
                blocks.iter().try_fold(x, |x, block| block.forward(&x, pass.batch_norm))
            }),
        });
    }
    // The authors' windows are as large as what their videos leave: all positions.
    stages.push(Stage {
        name: "avgpool",
        view: View::Pooled,
        forward: Box::new(|x, _| average(x)),
    });
    Ok(stages)
}

/// Output channels of the first convolution.
const STEM_WIDTH: i64 = 64;

/// A block from `n_in` channels to `width * plan.expansion`.
fn block(
    parameters: &mut Parameters,
    architecture: &Architecture,
    plan: Plan,
    prefix: &str,
    [n_in, width]: [i64; 2],
    stride: i64,
) -> Result<Residual> {
    let n_out = width * plan.expansion;
    let mut unit = |place: usize, channels: [i64; 2], edge: i64, stride: i64, n_groups: i64| {
        let [conv, norm] = ["conv", "bn"].map(|leaf| format!("{prefix}{leaf}{place}."));
        layer(parameters, [&conv, &norm], channels, [edge; 3], [stride; 3], n_groups)
    };
    let path = match plan.block {
        Block::Basic => {
            unit(1, [n_in, width], 3, stride, 1)?.then(unit(2, [width, n_out], 3, 1, 1)?)
        }
        Block::Bottleneck => unit(1, [n_in, width], 1, 1, 1)?
            .then(unit(2, [width, width], 3, stride, plan.n_groups)?)
            .then(unit(3, [width, n_out], 1, 1, 1)?),
    };
    let shortcut = if stride == 1 && n_in == n_out {
        Shortcut::Identity
    } else if architecture.choice("shortcut") == "a" {
        let gradient = architecture.choice(GRADIENT.name) != "stop";
        Shortcut::Subsample { stride, n_added: n_out - n_in, gradient }
    } else {
        let [conv, norm] = ["0.", "1."].map(|leaf| format!("{prefix}downsample.{leaf}"));
        let projection = layer(parameters, [&conv, &norm], [n_in, n_out], [1; 3], [stride; 3], 1)?;
        Shortcut::Projection(Box::new(projection))
    };
    Ok(Residual { path, shortcut })
}

/// A convolution without bias, and BatchNorm; their tensors go under the two prefixes. The random start is that of `Conv3d`, from the
/// fan-in; the authors draw theirs from the fan-out, and He et al. 2015 leave the choice between the two.
fn layer(
    parameters: &mut Parameters,
    prefixes: [&str; 2],
    [n_in, n_out]: [i64; 2],
    kernel: [i64; 3],
    stride: [i64; 3],
    n_groups: i64,
) -> Result<Chain> {
    let padding = Padding::Centred;
    let convolution = Conv3dConfig { n_in, n_out, kernel, stride, padding, bias: false };
    let batch_norm = BatchNormConfig::pytorch(n_out);
    Chain::grouped(parameters, prefixes, convolution, n_groups, batch_norm)
}

#[cfg(test)]
#[path = "resnet3d_test.rs"]
mod resnet3d_test;
