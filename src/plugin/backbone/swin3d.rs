//! Video Swin Transformer: attention within windows of 8 x 7 x 7 tokens, shifted by half a window in every other block.
//!
//! Liu et al. 2022, "Video Swin Transformer", CVPR, figures 1 to 3, <https://arxiv.org/abs/2106.13230>; tensor names of
//! `torchvision.models.video.swin3d_t`, `_s` and `_b`. Time becomes the beam axis z.
//!
//! A token is a patch of 2 x 4 x 4 voxels, and each merging halves the tokens along y and x; what is left over is
//! padded with zeros. Inside a stage tokens lie as `[n, z, y, x, c]`; every stage but the pooling one hands on the view
//! `[n, c, z, y, x]` of them, a map over the box like that of a convolution.

mod bias;
mod layout;

use tch::{Device, Tensor};

use self::layout::{Layout, missing};
use super::{
    Architecture, BackboneSpec, Stage, View,
    attention::{Gelu, LayerNorm, Linear, Mlp, WEIGHT_DEVIATION, attend, merge_heads},
    fused::{Fused, Layers, Windows},
    layers::{Conv3d, Conv3dConfig, Padding, spatial_size},
    ledger::{self, F32},
};
use crate::{error::Result, parameters::Parameters};

/// Swin-T.
pub static SWIN3D_T: BackboneSpec = BackboneSpec {
    name: "swin3d_t",
    source: "torchvision, Swin3D_T_Weights.KINETICS400_V1: trained on Kinetics-400 after ImageNet-1K",
    n_features: 768,
    n_weights: 27_850_470,
    build: |parameters, _: &Architecture| build(parameters, 96, [2, 2, 6, 2], [3, 6, 12, 24]),
    ..SWIN3D
};

/// Swin-S.
pub static SWIN3D_S: BackboneSpec = BackboneSpec {
    name: "swin3d_s",
    source: "torchvision, Swin3D_S_Weights.KINETICS400_V1: trained on Kinetics-400 after ImageNet-1K",
    n_features: 768,
    n_weights: 49_509_078,
    build: |parameters, _: &Architecture| build(parameters, 96, [2, 2, 18, 2], [3, 6, 12, 24]),
    ..SWIN3D
};

/// Swin-B.
pub static SWIN3D_B: BackboneSpec = BackboneSpec {
    name: "swin3d_b",
    source: "torchvision, Swin3D_B_Weights.KINETICS400_IMAGENET22K_V1 or KINETICS400_V1: trained on Kinetics-400 \
             after ImageNet-22K or ImageNet-1K",
    n_features: 1024,
    n_weights: 87_638_984,
    build: |parameters, _: &Architecture| build(parameters, 128, [2, 2, 18, 2], [4, 8, 16, 32]),
    ..SWIN3D
};

/// What the three have in common; the rest is replaced.
const SWIN3D: BackboneSpec = BackboneSpec {
    name: "",
    paper: "Liu et al. 2022, Video Swin Transformer",
    source: "",
    licence: "BSD-3-Clause (torchvision; the authors' weights: Apache-2.0)",
    choices: &[],
    recognise: |_| Vec::new(),
    // Colours from 0 to 1 minus 0.485, 0.456, 0.406, over 0.229, 0.224, 0.225: means over the channels.
    input_range: |_| [-0.449 / 0.226, (1.0 - 0.449) / 0.226],
    video_size: [32, 224, 224],
    // Padding leaves something of any size.
    min_input: [1, 1, 1],
    n_features: 0,
    n_weights: 0,
    // Section 4.1 of the paper: 3e-5 for pretrained weights, 3e-4 for random ones, there with AdamW and batches of 64.
    learning_rates: [3e-5, 3e-4],
    // A token is 16 voxels long in the plane, as a position of layer3 of the ResNets is.
    cam_stage: "stage3",
    head_weight: "head.weight",
    head_bias: "head.bias",
    // Follows from the window.
    ignored: &["relative_position_index"],
    build: |_, _| Ok(Vec::new()),
};

/// Voxels of a token along z, y, x.
const PATCH: [i64; 3] = [2, 4, 4];

/// Tokens of a window along z, y, x.
const WINDOW: [i64; 3] = [8, 7, 7];

/// Of LayerNorm, as in the authors' code.
const EPSILON: f64 = 1e-5;

/// Names of the stages and prefixes of their blocks and mergings, which torchvision counts in one row.
const STAGES: [(&str, &str, &str); 4] = [
    ("stage1", "features.0.", ""),
    ("stage2", "features.2.", "features.1."),
    ("stage3", "features.4.", "features.3."),
    ("stage4", "features.6.", "features.5."),
];

fn build(
    parameters: &mut Parameters,
    mut n_channels: i64,
    depths: [usize; 4],
    n_heads: [i64; 4],
) -> Result<Vec<Stage>> {
    let embedding = PatchEmbedding::new(parameters, n_channels)?;
    let mut stages = vec![Stage {
        name: "patch_embed",
        view: View::Map,
        forward: Box::new(move |x, _| embedding.forward(x)),
    }];
    for (index, (name, blocks, merging)) in STAGES.into_iter().enumerate() {
        parameters.set_stage(1 + index);
        let merging = match index {
            0 => None,
            _ => Some(Merging::new(parameters, merging, n_channels)?),
        };
        n_channels <<= i64::from(index > 0);
        let blocks = (0..depths[index])
            .map(|place| {
                let prefix = format!("{blocks}{place}.");
                Block::new(parameters, &prefix, n_channels, n_heads[index], place % 2 == 1)
            })
            .collect::<Result<Vec<Block>>>()?;
        let forward = move |x: &Tensor, _| {
            let mut x = to_tokens(x)?;
            if let Some(merging) = &merging {
                x = merging.forward(&x)?;
            }
            for block in &blocks {
                x = block.forward(&x)?;
            }
            to_map(&x)
        };
        stages.push(Stage { name, view: View::Map, forward: Box::new(forward) });
    }
    parameters.set_stage(stages.len());
    let norm = LayerNorm::new(parameters, "norm.", n_channels, EPSILON)?;
    let forward = move |x: &Tensor, _| to_map(&norm.forward(&to_tokens(x)?)?);
    stages.push(Stage { name: "norm", view: View::Map, forward: Box::new(forward) });
    let pool = |x: &Tensor, _| Ok(x.f_mean_dim([2i64, 3, 4].as_slice(), false, None)?);
    stages.push(Stage { name: "pool", view: View::Pooled, forward: Box::new(pool) });
    Ok(stages)
}

/// From `[n, c, z, y, x]` to `[n, z, y, x, c]`, without a copy.
fn to_tokens(map: &Tensor) -> Result<Tensor> {
    Ok(map.f_permute([0, 2, 3, 4, 1])?)
}

/// From `[n, z, y, x, c]` to `[n, c, z, y, x]`, without a copy.
fn to_map(tokens: &Tensor) -> Result<Tensor> {
    Ok(tokens.f_permute([0, 4, 1, 2, 3])?)
}

/// From the input to tokens: a linear layer on each patch, written as a convolution, and LayerNorm.
struct PatchEmbedding {
    projection: Conv3d,
    norm: LayerNorm,
}

impl PatchEmbedding {
    fn new(parameters: &mut Parameters, n_out: i64) -> Result<PatchEmbedding> {
        let projection = Conv3dConfig {
            n_in: 3,
            n_out,
            kernel: PATCH,
            stride: PATCH,
            padding: Padding::Fixed([0; 3]),
            bias: true,
        };
        Ok(PatchEmbedding {
            projection: Conv3d::new(parameters, "patch_embed.proj.", projection)?,
            norm: LayerNorm::new(parameters, "patch_embed.norm.", n_out, EPSILON)?,
        })
    }

    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let [z, y, x] = missing(spatial_size(input)?, PATCH);
        let padded = match [z, y, x] {
            [0, 0, 0] => input.shallow_clone(),
            _ => input.f_constant_pad_nd([0, x, 0, y, 0, z])?,
        };
        let map = self.projection.forward_grey(&padded)?;
        to_map(&self.norm.forward(&to_tokens(&map)?)?)
    }
}

/// Patch merging: the channels of 2 x 2 tokens side by side, LayerNorm, and a linear layer to twice the channels.
struct Merging {
    norm: LayerNorm,
    reduction: Linear,
}

impl Merging {
    fn new(parameters: &mut Parameters, prefix: &str, n_in: i64) -> Result<Merging> {
        let reduction = format!("{prefix}reduction.");
        Ok(Merging {
            reduction: Linear::new(parameters, &reduction, 4 * n_in, 2 * n_in, false)?,
            norm: LayerNorm::new(parameters, &format!("{prefix}norm."), 4 * n_in, EPSILON)?,
        })
    }

    fn forward(&self, tokens: &Tensor) -> Result<Tensor> {
        let (n, z, y, x, c) = tokens.size5()?;
        let padded = match (y % 2, x % 2) {
            (0, 0) => tokens.shallow_clone(),
            (odd_y, odd_x) => tokens.f_constant_pad_nd([0, 0, 0, odd_x, 0, odd_y])?,
        };
        let (y, x) = ((y + 1) / 2, (x + 1) / 2);
        let merged = padded
            .f_reshape([n, z, y, 2, x, 2, c])?
            .f_permute([0, 1, 2, 4, 5, 3, 6])?
            .f_reshape([n, z, y, x, 4 * c])?;
        ledger::enter(&merged, F32, 0);
        self.reduction.forward(&self.norm.forward(&merged)?)
    }
}

/// A transformer block, equations 2 and 3 of the paper.
struct Block {
    norm1: LayerNorm,
    attention: WindowAttention,
    norm2: LayerNorm,
    mlp: Mlp,
    fused: Fused,
}

impl Block {
    fn new(
        parameters: &mut Parameters,
        prefix: &str,
        n: i64,
        n_heads: i64,
        shifted: bool,
    ) -> Result<Block> {
        let layers = [format!("{prefix}mlp.0."), format!("{prefix}mlp.3.")];
        let layers = layers.each_ref().map(String::as_str);
        Ok(Block {
            norm1: LayerNorm::new(parameters, &format!("{prefix}norm1."), n, EPSILON)?,
            attention: WindowAttention::new(parameters, prefix, n, n_heads, shifted)?,
            norm2: LayerNorm::new(parameters, &format!("{prefix}norm2."), n, EPSILON)?,
            mlp: Mlp::new(parameters, layers, [n, 4 * n, n], Gelu::Exact)?,
            fused: Fused::default(),
        })
    }

    fn forward(&self, tokens: &Tensor) -> Result<Tensor> {
        let layers = Layers {
            norms: [&self.norm1, &self.norm2],
            qkv: &[&self.attention.qkv],
            projection: &self.attention.projection,
            mlp: &self.mlp,
            n_heads: self.attention.n_heads,
        };
        let windows = || self.attention.windows(tokens);
        if let Some(output) = self.fused.forward(tokens, layers, windows)? {
            return Ok(output);
        }
        // In place: the gradient of a linear layer does not need its output.
        let held = ledger::bytes(&[tokens]);
        let attention = || self.attention.forward(&self.norm1.forward(tokens)?);
        let x = ledger::holding(held, attention)?.f_add_(tokens)?;
        let mlp = || self.mlp.forward(&self.norm2.forward(&x)?);
        Ok(ledger::holding(held, mlp)?.f_add_(&x)?)
    }
}

/// Multi-head attention within windows, which a shifted block moves by half a window.
struct WindowAttention {
    qkv: Linear,
    projection: Linear,
    /// See `bias`.
    bias_table: Tensor,
    n_heads: i64,
    shifted: bool,
    device: Device,
}

impl WindowAttention {
    fn new(
        parameters: &mut Parameters,
        prefix: &str,
        n: i64,
        n_heads: i64,
        shifted: bool,
    ) -> Result<WindowAttention> {
        let prefix = format!("{prefix}attn.");
        let bias_table = parameters.normal(
            &format!("{prefix}relative_position_bias_table"),
            &[bias::n_distances(), n_heads],
            WEIGHT_DEVIATION,
        )?;
        Ok(WindowAttention {
            qkv: Linear::new(parameters, &format!("{prefix}qkv."), n, 3 * n, true)?,
            projection: Linear::new(parameters, &format!("{prefix}proj."), n, n, true)?,
            bias_table,
            n_heads,
            shifted,
            device: parameters.device(),
        })
    }

    /// Which of `[n, z, y, x, c]` attend to which in the inference form, and by what bias.
    fn windows(&self, tokens: &Tensor) -> Result<Windows> {
        let (_, z, y, x, _) = tokens.size5()?;
        let layout = Layout::new([z, y, x], self.shifted);
        Ok(Windows {
            groups: layout.groups(),
            bias: Some(bias::copied(&self.bias_table, layout.volume())?),
        })
    }

    /// From `[n, z, y, x, c]` to the same shape.
    fn forward(&self, tokens: &Tensor) -> Result<Tensor> {
        let (_, z, y, x, _) = tokens.size5()?;
        let layout = Layout::new([z, y, x], self.shifted);
        let bias = bias::looked_up(&self.bias_table, layout.volume())?;
        let map = layout.align(tokens)?;
        let mut held = ledger::bytes(&[tokens]);
        if layout.is_shifted() {
            // The aligned map, and the parts that are done.
            held += 2 * ledger::bytes(&[&map]);
        }
        let attended = ledger::holding(held, || {
            layout.by_seam(&map, &|map, at_seam| self.attend(&layout, map, at_seam, &bias))
        })?;
        drop(map);
        // Padding is cut off before the projection, which is done for each token alone.
        self.projection.forward(&layout.restore(attended)?)
    }

    /// Attention within the windows of a map, or of a part of one, all of which are `at_seam` along the same axes.
    fn attend(
        &self,
        layout: &Layout,
        map: &Tensor,
        at_seam: [bool; 3],
        bias: &Tensor,
    ) -> Result<Tensor> {
        let (windows, n_windows) = layout.partition(map)?;
        let merged = ledger::folded(n_windows, || {
            let qkv = self.qkv.forward(&windows)?;
            drop(windows);
            let held = ledger::bytes(&[&qkv]);
            let qkv = qkv.f_unflatten(-1, [3, self.n_heads, -1])?.f_permute([2, 0, 3, 1, 4])?;
            ledger::holding(held, || {
                let bias = match at_seam {
                    [false, false, false] => bias.shallow_clone(),
                    _ => bias.f_add(&layout.mask(at_seam, self.device)?)?,
                };
                ledger::enter_fixed(&bias);
                let [query, key, value] = [qkv.f_get(0)?, qkv.f_get(1)?, qkv.f_get(2)?];
                merge_heads(&attend(&query, &key, &value, Some(&bias))?)
            })
        })?;
        layout.join(merged, map)
    }
}
