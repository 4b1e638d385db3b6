//! 3D ResNets: residual networks whose 3 x 3 kernels became 3 x 3 x 3.
//!
//! Hara, Kataoka & Satoh 2018, "Can Spatiotemporal 3D CNNs Retrace the History of 2D CNNs and ImageNet?", figure 3 and table 1,
//! <https://arxiv.org/abs/1711.09577>, and Kataoka et al. 2020, <https://arxiv.org/abs/2004.04968>; layers and names as in
//! <https://github.com/kenshohara/3D-ResNets-PyTorch>. Time becomes the beam axis z.

use tch::Tensor;

use super::{
    Architecture, BackboneSpec, BatchNormMode, Choice, Shapes, Stage,
    layers::{BatchNorm3d, BatchNormConfig, Conv3d, Conv3dConfig, Padding, max_pool3d},
};
use crate::{error::Result, parameters::Parameters};

/// 3D ResNet-10.
pub static RESNET3D_10: BackboneSpec = spec("resnet3d_10", A_FIRST, 512, 14_225_600);
/// 3D ResNet-18.
pub static RESNET3D_18: BackboneSpec = spec("resnet3d_18", A_FIRST, 512, 33_030_080);
/// 3D ResNet-34, with shortcuts of type A: the network of Jain, Li & Xu 2024.
pub static RESNET3D_34: BackboneSpec = spec("resnet3d_34", A_FIRST, 512, 63_339_712);
/// 3D ResNet-50.
pub static RESNET3D_50: BackboneSpec = spec("resnet3d_50", B_FIRST, 2048, 46_198_976);
/// 3D ResNet-101.
pub static RESNET3D_101: BackboneSpec = spec("resnet3d_101", B_FIRST, 2048, 85_245_120);
/// 3D ResNet-152.
pub static RESNET3D_152: BackboneSpec = spec("resnet3d_152", B_FIRST, 2048, 117_403_840);
/// 3D ResNet-200.
pub static RESNET3D_200: BackboneSpec = spec("resnet3d_200", B_FIRST, 2048, 126_603_456);
/// 3D Wide ResNet-50, twice as wide.
pub static WIDE_RESNET3D_50: BackboneSpec = spec("wide_resnet3d_50", B_FIRST, 2048, 157_428_672);
/// 3D ResNeXt-101 of cardinality 32.
pub static RESNEXT3D_101: BackboneSpec = spec("resnext3d_101", B_FIRST, 2048, 47_521_216);

/// What sets the networks apart, by name.
const PLANS: [(&str, Plan); 9] = [
    ("resnet3d_10", Plan { n_blocks: [1, 1, 1, 1], ..BASIC }),
    ("resnet3d_18", Plan { n_blocks: [2, 2, 2, 2], ..BASIC }),
    ("resnet3d_34", Plan { n_blocks: [3, 4, 6, 3], ..BASIC }),
    ("resnet3d_50", Plan { n_blocks: [3, 4, 6, 3], ..BOTTLENECK }),
    ("resnet3d_101", Plan { n_blocks: [3, 4, 23, 3], ..BOTTLENECK }),
    ("resnet3d_152", Plan { n_blocks: [3, 8, 36, 3], ..BOTTLENECK }),
    ("resnet3d_200", Plan { n_blocks: [3, 24, 36, 3], ..BOTTLENECK }),
    ("wide_resnet3d_50", Plan { n_blocks: [3, 4, 6, 3], width: 128, expansion: 2, ..BOTTLENECK }),
    (
        "resnext3d_101",
        Plan { n_blocks: [3, 4, 23, 3], width: 128, expansion: 2, n_groups: 32, ..BOTTLENECK },
    ),
];

const BASIC: Plan =
    Plan { block: Block::Basic, n_blocks: [0; 4], width: 64, expansion: 1, n_groups: 1 };
const BOTTLENECK: Plan =
    Plan { block: Block::Bottleneck, n_blocks: [0; 4], width: 64, expansion: 4, n_groups: 1 };

/// A network of blocks.
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

const fn spec(
    name: &'static str,
    choices: &'static [Choice],
    n_features: i64,
    n_weights: i64,
) -> BackboneSpec {
    BackboneSpec {
        name,
        paper: "Hara, Kataoka & Satoh 2018, Can Spatiotemporal 3D CNNs Retrace the History of 2D CNNs and ImageNet?",
        source: "the authors' downloads at github.com/kenshohara/3D-ResNets-PyTorch: <model>-<depth>-kinetics.pth of 2018 \
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
        // Jain, Li & Xu 2024, section 4.
        learning_rates: [1e-4, 1e-3],
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

fn build(parameters: &mut Parameters, architecture: &Architecture) -> Result<Vec<Stage>> {
    // Every specification of this file is in the list; a test holds us to it.
    let plan =
        PLANS.iter().find(|(name, _)| *name == architecture.spec.name).map_or(BASIC, |plan| plan.1);
    let shortcut = match (architecture.choice("shortcut"), architecture.choice(GRADIENT.name)) {
        ("b", _) => Shortcut::Convolution,
        (_, "stop") => Shortcut::Subsample { gradient: false },
        _ => Shortcut::Subsample { gradient: true },
    };
    parameters.set_stage(0);
    let stem = Stem::new(parameters, architecture)?;
    let mut stages = vec![Stage {
        name: "conv1",
        forward: Box::new(move |x, pass| stem.forward_grey(x, pass.batch_norm)),
    }];
    let mut n_in = Stem::N_OUT;
    for (index, name) in ["layer1", "layer2", "layer3", "layer4"].into_iter().enumerate() {
        parameters.set_stage(1 + index);
        let mut blocks = Vec::new();
        for block in 0..plan.n_blocks[index] {
            let config = BlockConfig {
                plan,
                n_in,
                width: plan.width << index,
                stride: if index > 0 && block == 0 { 2 } else { 1 },
                shortcut,
            };
            blocks.push(ResidualBlock::new(parameters, &format!("{name}.{block}."), config)?);
            n_in = config.n_out();
        }
        stages.push(Stage {
            name,
            forward: Box::new(move |x, pass| {
                let x = x.shallow_clone();
                blocks.iter().try_fold(x, |x, block| block.forward(&x, pass.batch_norm))
            }),
        });
    }
    // The authors' pool has windows as large as what their videos leave: the mean of all positions.
    let mean = |x: &Tensor| x.f_mean_dim([2i64, 3, 4].as_slice(), false, None);
    stages.push(Stage { name: "avgpool", forward: Box::new(move |x, _| Ok(mean(x)?)) });
    Ok(stages)
}

/// Convolution, BatchNorm, ReLU and, unless left out, a maximum pool.
struct Stem {
    convolution: Conv3d,
    batch_norm: BatchNorm3d,
    pool: bool,
}

impl Stem {
    const N_OUT: i64 = 64;

    fn new(parameters: &mut Parameters, architecture: &Architecture) -> Result<Stem> {
        // The choices are numbers that are written out in this file.
        let number = |choice: &Choice| architecture.choice(choice.name).parse().unwrap_or(1);
        let (z, stride) = (number(&TIME_SIZE), number(&TIME_STRIDE));
        let config = Conv3dConfig {
            n_in: 3,
            n_out: Stem::N_OUT,
            kernel: [z, 7, 7],
            stride: [stride, 2, 2],
            padding: Padding::Fixed([z / 2, 3, 3]),
            bias: false,
        };
        Ok(Stem {
            convolution: Conv3d::new(parameters, "conv1.", config)?,
            batch_norm: batch_norm(parameters, "bn1.", Stem::N_OUT)?,
            pool: architecture.choice(NO_MAX_POOL.name) != "true",
        })
    }

    fn forward_grey(&self, x: &Tensor, mode: BatchNormMode) -> Result<Tensor> {
        let x = self.batch_norm.forward(&self.convolution.forward_grey(x)?, mode)?.f_relu_()?;
        if self.pool { max_pool3d(&x, [3; 3], [2; 3], Padding::Fixed([1; 3])) } else { Ok(x) }
    }
}

/// What goes past a block that changes the size of what it is given.
#[derive(Clone, Copy)]
enum Shortcut {
    /// Type A of He et al. 2016: every stride-th voxel, and channels of zeros.
    Subsample { gradient: bool },
    /// Type B: a convolution of 1 x 1 x 1 and a BatchNorm.
    Convolution,
}

#[derive(Clone, Copy)]
struct BlockConfig {
    plan: Plan,
    n_in: i64,
    width: i64,
    stride: i64,
    shortcut: Shortcut,
}

impl BlockConfig {
    fn n_out(&self) -> i64 {
        self.width * self.plan.expansion
    }
}

/// Convolutions, each with its BatchNorm and all but the last with a ReLU; the sum with what goes past them; a ReLU.
struct ResidualBlock {
    layers: Vec<(Conv3d, BatchNorm3d)>,
    downsample: Option<(Conv3d, BatchNorm3d)>,
    config: BlockConfig,
}

impl ResidualBlock {
    fn new(
        parameters: &mut Parameters,
        prefix: &str,
        config: BlockConfig,
    ) -> Result<ResidualBlock> {
        let BlockConfig { plan, n_in, width, stride, shortcut } = config;
        let n_out = config.n_out();
        // Channels in and out, edge of the kernel, stride, groups.
        let convolutions = match plan.block {
            Block::Basic => vec![(n_in, width, 3, stride, 1), (width, n_out, 3, 1, 1)],
            Block::Bottleneck => vec![
                (n_in, width, 1, 1, 1),
                (width, width, 3, stride, plan.n_groups),
                (width, n_out, 1, 1, 1),
            ],
        };
        let mut layers = Vec::new();
        for (place, (n_in, n_out, edge, stride, n_groups)) in convolutions.into_iter().enumerate() {
            let name = format!("{prefix}conv{}.", place + 1);
            let config = convolution([n_in, n_out], edge, stride);
            layers.push((
                Conv3d::grouped(parameters, &name, config, n_groups)?,
                batch_norm(parameters, &format!("{prefix}bn{}.", place + 1), n_out)?,
            ));
        }
        let downsample = match shortcut {
            Shortcut::Convolution if stride != 1 || n_in != n_out => {
                let config = convolution([n_in, n_out], 1, stride);
                Some((
                    Conv3d::new(parameters, &format!("{prefix}downsample.0."), config)?,
                    batch_norm(parameters, &format!("{prefix}downsample.1."), n_out)?,
                ))
            }
            _ => None,
        };
        Ok(ResidualBlock { layers, downsample, config })
    }

    fn forward(&self, x: &Tensor, mode: BatchNormMode) -> Result<Tensor> {
        let past = self.past(x, mode)?;
        let mut x = x.shallow_clone();
        for (place, (convolution, batch_norm)) in self.layers.iter().enumerate() {
            // In place: the gradient of BatchNorm needs its input only, that of ReLU its output only, that of a sum nothing.
            x = batch_norm.forward(&convolution.forward(&x)?, mode)?;
            let last = place + 1 == self.layers.len();
            x = if last { x.f_add_(&past)? } else { x }.f_relu_()?;
        }
        Ok(x)
    }

    /// What goes past the convolutions.
    fn past(&self, x: &Tensor, mode: BatchNormMode) -> Result<Tensor> {
        if let Some((convolution, batch_norm)) = &self.downsample {
            return batch_norm.forward(&convolution.forward(x)?, mode);
        }
        let BlockConfig { n_in, stride, shortcut, .. } = self.config;
        let n_added = self.config.n_out() - n_in;
        if stride == 1 && n_added == 0 {
            return Ok(x.shallow_clone());
        }
        let mut past = x.shallow_clone();
        for axis in 2..5 {
            past = past.f_slice(axis, None, None, stride)?;
        }
        past = past.f_constant_pad_nd([0, 0, 0, 0, 0, 0, 0, n_added])?;
        let stopped = matches!(shortcut, Shortcut::Subsample { gradient: false });
        Ok(if stopped { past.f_detach()? } else { past })
    }
}

/// A convolution without bias that keeps the size, up to its stride. Its random start is that of `Conv3d`; the authors draw theirs from
/// the fan-out instead of the fan-in, between which He et al. 2015 leave the choice.
fn convolution([n_in, n_out]: [i64; 2], edge: i64, stride: i64) -> Conv3dConfig {
    Conv3dConfig {
        n_in,
        n_out,
        kernel: [edge; 3],
        stride: [stride; 3],
        padding: Padding::Fixed([edge / 2; 3]),
        bias: false,
    }
}

/// A BatchNorm with PyTorch's defaults, which the authors kept.
fn batch_norm(parameters: &mut Parameters, prefix: &str, n_channels: i64) -> Result<BatchNorm3d> {
    let config = BatchNormConfig { n_channels, epsilon: 1e-5, momentum: 0.1, scale: true };
    BatchNorm3d::new(parameters, prefix, config)
}

#[cfg(test)]
#[path = "resnet3d_test.rs"]
mod resnet3d_test;
