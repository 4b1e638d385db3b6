//! The 18-layer video ResNets of torchvision: R3D, MC3 and R(2+1)D.
//!
//! Tran et al. 2018, "A Closer Look at Spatiotemporal Convolutions for Action Recognition", section 3 and table 1,
//! <https://arxiv.org/abs/1711.11248>; layers and names as in `torchvision.models.video`. Time becomes the beam axis z.

use super::{
    Architecture, BackboneSpec, Stage, View,
    layers::{BatchNormConfig, Chain, Conv3dConfig, Padding, average},
    residual::{Residual, Shortcut},
};
use crate::{error::Result, parameters::Parameters};

/// R3D-18: 3D convolutions.
pub static R3D_18: BackboneSpec = member(
    "r3d_18",
    "torchvision's R3D_18_Weights.KINETICS400_V1, r3d_18-b3b3357e.pth: trained on Kinetics-400",
    33_166_272,
    |parameters, _| build(parameters, [Kernel::Cube; 4]),
);

/// MC3-18, mixed convolutions: 3D in the stem and the first layer, 2D in the plane from there.
pub static MC3_18: BackboneSpec = member(
    "mc3_18",
    "torchvision's MC3_18_Weights.KINETICS400_V1, mc3_18-a90a0ba3.pth: trained on Kinetics-400",
    11_490_240,
    |parameters, _| build(parameters, [Kernel::Cube, Kernel::Plane, Kernel::Plane, Kernel::Plane]),
);

/// R(2+1)D-18: every 3D convolution becomes one in the plane and one along z, with BatchNorm and ReLU between.
pub static R2PLUS1D_18: BackboneSpec = member(
    "r2plus1d_18",
    "torchvision's R2Plus1D_18_Weights.KINETICS400_V1, r2plus1d_18-91a641e6.pth: trained on \
     Kinetics-400",
    31_300_125,
    |parameters, _| build(parameters, [Kernel::PlaneThenLine; 4]),
);

/// Licence of torchvision's video weights.
pub(super) const TORCHVISION_LICENCE: &str = "BSD-3-Clause (torchvision, which leaves it to its users whether the data's \
                                              own terms, here Kinetics-400's CC BY 4.0, bear on the weights)";

const fn member(
    name: &'static str,
    source: &'static str,
    n_weights: i64,
    build: fn(&mut Parameters, &Architecture) -> Result<Vec<Stage>>,
) -> BackboneSpec {
    BackboneSpec {
        name,
        paper: "Tran et al. 2018, A Closer Look at Spatiotemporal Convolutions for Action Recognition",
        source,
        licence: TORCHVISION_LICENCE,
        choices: &[],
        recognise: |_| Vec::new(),
        input_range: torchvision_range,
        video_size: [16, 112, 112],
        // Centred windows leave something of any size.
        min_input: [1, 1, 1],
        n_features: 512,
        n_weights,
        // Not measured: those of Jain, Li & Xu 2024, section 4.3.2, for the 3D ResNet-34 of Hara et al.
        learning_rates: [1e-4, 1e-3],
        // As the 3D ResNets of Hara et al.
        cam_stage: "layer3",
        head_weight: "fc.weight",
        head_bias: "fc.bias",
        ignored: &["num_batches_tracked"],
        build,
    }
}

/// The range of normalised grey values of torchvision's preset `VideoClassification`. Its means and standard deviations
/// differ a little between red, green and blue; a grey value takes their averages over the three.
pub(super) fn torchvision_range(_: &Architecture) -> [f64; 2] {
    let mean = (0.43216 + 0.394666 + 0.37645) / 3.0;
    let standard_deviation = (0.22803 + 0.22145 + 0.216989) / 3.0;
    [0.0, 1.0].map(|grey| (grey - mean) / standard_deviation)
}

/// What the convolutions of a layer are.
#[derive(Clone, Copy)]
enum Kernel {
    /// 3 x 3 x 3.
    Cube,
    /// 1 x 3 x 3; z keeps its size.
    Plane,
    /// 1 x 3 x 3, then 3 x 1 x 1.
    PlaneThenLine,
}

fn build(parameters: &mut Parameters, kernels: [Kernel; 4]) -> Result<Vec<Stage>> {
    parameters.set_stage(0);
    let stem = match kernels[0] {
        Kernel::PlaneThenLine => {
            let plane = layer(parameters, ["stem.0.", "stem.1."], [3, 45], [1, 7, 7], [1, 2, 2])?;
            plane.then(layer(parameters, ["stem.3.", "stem.4."], [45, 64], [3, 1, 1], [1; 3])?)
        }
        Kernel::Cube | Kernel::Plane => {
            layer(parameters, ["stem.0.", "stem.1."], [3, 64], [3, 7, 7], [1, 2, 2])?
        }
    };
    let mut stages = vec![Stage {
        name: "stem",
        view: View::Map,
        forward: Box::new(move |x, pass| stem.rectified_grey(x, pass.batch_norm)),
    }];
    let layers = [
        ("layer1", [64, 64], 1),
        ("layer2", [64, 128], 2),
        ("layer3", [128, 256], 2),
        ("layer4", [256, 512], 2),
    ];
    for (index, ((name, [n_in, n_out], stride), kernel)) in
        layers.into_iter().zip(kernels).enumerate()
    {
        parameters.set_stage(1 + index);
        let blocks = [
            block(parameters, &format!("{name}.0."), [n_in, n_out], kernel, stride)?,
            block(parameters, &format!("{name}.1."), [n_out, n_out], kernel, 1)?,
        ];
        stages.push(Stage {
            name,
            view: View::Map,
            forward: Box::new(move |x, pass| {
                let [first, second] = &blocks;
                second.forward(&first.forward(x, pass.batch_norm)?, pass.batch_norm)
            }),
        });
    }
    stages.push(Stage { name: "pool", view: View::Pooled, forward: Box::new(|x, _| average(x)) });
    Ok(stages)
}

/// Two convolutions and a shortcut.
fn block(
    parameters: &mut Parameters,
    prefix: &str,
    [n_in, n_out]: [i64; 2],
    kernel: Kernel,
    stride: i64,
) -> Result<Residual> {
    // As many weights as a 3 x 3 x 3 convolution has (section 3.5); torchvision takes the first one's for the second too.
    let n_middle = (27 * n_in * n_out) / (9 * n_in + 3 * n_out);
    let mut convolution = |name: &str, n_in: i64, stride: i64| {
        let [conv, norm] = [".0.", ".1."].map(|leaf| format!("{prefix}{name}{leaf}"));
        let (channels, in_plane) = ([n_in, n_out], [1, stride, stride]);
        match kernel {
            Kernel::Cube => layer(parameters, [&conv, &norm], channels, [3; 3], [stride; 3]),
            Kernel::Plane => layer(parameters, [&conv, &norm], channels, [1, 3, 3], in_plane),
            Kernel::PlaneThenLine => {
                let [plane, middle, line] = [0, 1, 3].map(|place| format!("{conv}{place}."));
                let (kernel, channels) = ([1, 3, 3], [n_in, n_middle]);
                let plane = layer(parameters, [&plane, &middle], channels, kernel, in_plane)?;
                let (kernel, channels) = ([3, 1, 1], [n_middle, n_out]);
                let along_z = [stride, 1, 1];
                Ok(plane.then(layer(parameters, [&line, &norm], channels, kernel, along_z)?))
            }
        }
    };
    let path = convolution("conv1", n_in, stride)?.then(convolution("conv2", n_out, 1)?);
    let shortcut = if n_in == n_out {
        Shortcut::Identity
    } else {
        let z_stride = if matches!(kernel, Kernel::Plane) { 1 } else { stride };
        let [conv, norm] = [0, 1].map(|place| format!("{prefix}downsample.{place}."));
        let stride = [z_stride, stride, stride];
        let projection = layer(parameters, [&conv, &norm], [n_in, n_out], [1; 3], stride)?;
        Shortcut::Projection(Box::new(projection))
    };
    Ok(Residual { path, shortcut })
}

/// A convolution without bias, and BatchNorm; their tensors go under the two prefixes.
fn layer(
    parameters: &mut Parameters,
    prefixes: [&str; 2],
    [n_in, n_out]: [i64; 2],
    kernel: [i64; 3],
    stride: [i64; 3],
) -> Result<Chain> {
    let padding = Padding::Centred;
    let convolution = Conv3dConfig { n_in, n_out, kernel, stride, padding, bias: false };
    Chain::new(parameters, prefixes, convolution, BatchNormConfig::pytorch(n_out))
}
