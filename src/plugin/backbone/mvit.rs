//! Multiscale Vision Transformers: attention whose queries, keys and values are pooled, with more channels and fewer
//! tokens from scale to scale.
//!
//! Version 1, B: Fan et al. 2021, "Multiscale Vision Transformers", ICCV, table 2, <https://arxiv.org/abs/2104.11227>.
//! Version 2, S: Li et al. 2022, "MViTv2: Improved Multiscale Vision Transformers for Classification and Detection",
//! CVPR, section 4 and table 1, <https://arxiv.org/abs/2112.01526>. Tensor names of `torchvision.models.video.mvit_v1_b`
//! and `mvit_v2_s`. Time becomes the beam axis z.
//!
//! The patch embedding leaves one token for 2 x 4 x 4 voxels, each later scale halves them along y and x, and what is
//! left over along an axis counts as a whole token. Every stage but the last hands on `[n, 1 + z * y * x, c]`: the class
//! token, then the map in raster order, whose size `grid` gives. Only the class token reaches the features, so after the
//! last block nothing depends on the map any more: what is to be explained by maps are the scales before.
//!
//! Position embeddings were learned for inputs of 16 x 224 x 224. For others they are resampled: those of version 1
//! linearly along z and bilinearly along y and x, those of version 2, one row a distance, linearly as torchvision does.
//! Samples are taken at `(i + 1/2) * old / new - 1/2`. At the native size nothing changes.

mod positions;

use tch::Tensor;

use self::positions::{Distances, Positions};
use super::{
    Architecture, BackboneSpec, Pass, Stage, View,
    attention::{Gelu, LayerNorm, Linear, Mlp, WEIGHT_DEVIATION, attend, merge_heads},
    fused::FusedMlp,
    layers::{Conv3d, Conv3dConfig, Padding, max_pool3d},
    ledger::{self, F32},
    precision::rounded,
};
use crate::{error::Result, parameters::Parameters};

/// MViT-B, 16 x 4.
pub static MVIT_V1_B: BackboneSpec = BackboneSpec {
    name: "mvit_v1_b",
    paper: "Fan et al. 2021, Multiscale Vision Transformers",
    source: "torchvision, MViT_V1_B_Weights.KINETICS400_V1: trained on Kinetics-400",
    licence: "BSD-3-Clause (torchvision; the authors' weights, of PyTorchVideo: Apache-2.0)",
    n_weights: 36_303_072,
    build: |parameters, _: &Architecture| build(parameters, Version::One),
    ..MVIT
};

/// MViTv2-S, 16 x 4.
pub static MVIT_V2_S: BackboneSpec = BackboneSpec {
    name: "mvit_v2_s",
    paper: "Li et al. 2022, MViTv2: Improved Multiscale Vision Transformers for Classification and Detection",
    source: "torchvision, MViT_V2_S_Weights.KINETICS400_V1: trained on Kinetics-400",
    licence: "BSD-3-Clause (torchvision; the authors' weights, of SlowFast: Apache-2.0)",
    n_weights: 34_230_144,
    build: |parameters, _: &Architecture| build(parameters, Version::Two),
    ..MVIT
};

/// What the two have in common; the rest is replaced.
const MVIT: BackboneSpec = BackboneSpec {
    name: "",
    paper: "",
    source: "",
    licence: "",
    choices: &[],
    recognise: |_| Vec::new(),
    // Colours from 0 to 1 minus 0.45, over 0.225.
    input_range: |_| [-0.45 / 0.225, (1.0 - 0.45) / 0.225],
    video_size: [16, 224, 224],
    // Padding leaves something of any size.
    min_input: [1, 1, 1],
    n_features: 768,
    n_weights: 0,
    learning_rates: [3e-5, 3e-4],
    // The last scale whose map, and not only whose class token, reaches the features.
    cam_stage: "scale4",
    head_weight: "head.1.weight",
    head_bias: "head.1.bias",
    ignored: &[],
    build: |_, _| Ok(Vec::new()),
};

/// Which of the two papers.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Version {
    /// Positions are added to the tokens; a scale's last MLP widens the channels.
    One,
    /// Distances are added to the attention; a scale's first attention widens the channels, every query is pooled and
    /// added to what it attends to.
    Two,
}

/// A run of blocks with equally many tokens and channels.
struct Scale {
    name: &'static str,
    n_channels: i64,
    n_blocks: usize,
    n_heads: i64,
    /// Stride of the pools of keys and values along y and x.
    kv_stride: i64,
}

/// Table 2 of version 1 and table 1 of version 2.
#[rustfmt::skip]
const SCALES: [Scale; 4] = [
    Scale { name: "scale2", n_channels: 96,  n_blocks: 1,  n_heads: 1, kv_stride: 8 },
    Scale { name: "scale3", n_channels: 192, n_blocks: 2,  n_heads: 2, kv_stride: 4 },
    Scale { name: "scale4", n_channels: 384, n_blocks: 11, n_heads: 4, kv_stride: 2 },
    Scale { name: "scale5", n_channels: 768, n_blocks: 2,  n_heads: 8, kv_stride: 1 },
];

/// Channels of a head, at every scale.
const HEAD: i64 = 96;

/// Of the pools of queries, keys and values along z, y, x.
const KERNEL: [i64; 3] = [3; 3];

/// Tokens of the video network along z, y, x before the first pool.
const NATIVE_GRID: Grid = [8, 56, 56];

/// Of LayerNorm, as in the authors' code.
const EPSILON: f64 = 1e-6;

/// Tokens along z, y, x.
type Grid = [i64; 3];

/// The map that scale `scale` (0 = the embedding's and the first) works on for an input of that size.
fn grid(input_size: [i64; 3], scale: usize) -> Grid {
    let [z, y, x] = input_size;
    (0..scale).fold([(z + 1) / 2, (y + 3) / 4, (x + 3) / 4], |grid, _| strided(grid, 2))
}

/// The maps that the scales hand on.
const GRIDS: [fn([i64; 3]) -> Grid; 4] =
    [|size| grid(size, 0), |size| grid(size, 1), |size| grid(size, 2), |size| grid(size, 3)];

/// What a pool with that stride along y and x leaves.
fn strided([z, y, x]: Grid, stride: i64) -> Grid {
    [z, (y + stride - 1) / stride, (x + stride - 1) / stride]
}

fn build(parameters: &mut Parameters, version: Version) -> Result<Vec<Stage>> {
    let embedding = Embedding::new(parameters, version)?;
    let forward = move |x: &Tensor, pass: Pass| embedding.forward(x, grid(pass.input_size, 0));
    let mut stages = vec![Stage {
        name: "patch_embed",
        view: View::Tokens(GRIDS[0]),
        forward: Box::new(forward),
    }];
    let (mut n_channels, mut index) = (SCALES[0].n_channels, 0);
    for (place, scale) in SCALES.iter().enumerate() {
        parameters.set_stage(1 + place);
        let mut blocks = Vec::new();
        for block in 0..scale.n_blocks {
            let (is_first, is_last) = (block == 0, block + 1 == scale.n_blocks);
            let next = SCALES.get(place + usize::from(is_last)).unwrap_or(scale).n_channels;
            let n_out = if version == Version::One { next } else { scale.n_channels };
            let q_stride = if is_first && place > 0 { 2 } else { 1 };
            let before = if q_stride == 2 { place - 1 } else { place };
            let native = (0..before).fold(NATIVE_GRID, |grid, _| strided(grid, 2));
            let config = BlockConfig {
                version,
                n_in: n_channels,
                n_out,
                n_heads: scale.n_heads,
                q_stride,
                kv_stride: scale.kv_stride,
                native,
            };
            blocks.push(Block::new(parameters, &format!("blocks.{index}."), config)?);
            (n_channels, index) = (n_out, index + 1);
        }
        let forward = move |x: &Tensor, pass: Pass| {
            let mut grid = grid(pass.input_size, place.saturating_sub(1));
            let mut x = x.shallow_clone();
            for block in &blocks {
                (x, grid) = block.forward(&x, grid)?;
            }
            Ok(x)
        };
        stages.push(Stage {
            name: scale.name,
            view: View::Tokens(GRIDS[place]),
            forward: Box::new(forward),
        });
    }
    parameters.set_stage(stages.len());
    let norm = LayerNorm::new(parameters, "norm.", n_channels, EPSILON)?;
    stages.push(Stage {
        name: "norm",
        view: View::Tokens(GRIDS[3]),
        forward: Box::new(move |x, _| norm.forward(x)),
    });
    stages.push(Stage {
        name: "class_token",
        view: View::Pooled,
        forward: Box::new(|x, _| Ok(x.f_select(1, 0)?)),
    });
    Ok(stages)
}

/// From the input to tokens: overlapping patches, a class token ahead of them and, in version 1, their positions.
struct Embedding {
    projection: Conv3d,
    class_token: Tensor,
    positions: Option<Positions>,
}

impl Embedding {
    fn new(parameters: &mut Parameters, version: Version) -> Result<Embedding> {
        let n = SCALES[0].n_channels;
        let projection = Conv3dConfig {
            n_in: 3,
            n_out: n,
            kernel: [3, 7, 7],
            stride: [2, 4, 4],
            padding: Padding::Fixed([1, 3, 3]),
            bias: true,
        };
        Ok(Embedding {
            projection: Conv3d::new(parameters, "conv_proj.", projection)?,
            class_token: parameters.normal("pos_encoding.class_token", &[n], WEIGHT_DEVIATION)?,
            positions: match version {
                Version::One => Some(Positions::new(parameters, n)?),
                Version::Two => None,
            },
        })
    }

    fn forward(&self, input: &Tensor, grid: Grid) -> Result<Tensor> {
        let mut map = self.projection.forward_grey(input)?.f_flatten(2, 4)?.f_transpose(1, 2)?;
        let mut class_token = self.class_token.shallow_clone();
        if let Some(positions) = &self.positions {
            map = map.f_add(&positions.of_map(grid)?)?;
            ledger::enter(&map, F32, 0);
            class_token = class_token.f_add(&positions.class)?;
        }
        let (n, _, c) = map.size3()?;
        let tokens = Tensor::f_cat(&[class_token.f_expand([n, 1, c], false)?, map], 1)?;
        ledger::enter(&tokens, F32, 0);
        Ok(tokens)
    }
}

/// What a block is.
#[derive(Clone, Copy)]
struct BlockConfig {
    version: Version,
    n_in: i64,
    n_out: i64,
    n_heads: i64,
    /// Stride of the pool of the queries along y and x.
    q_stride: i64,
    /// The same of keys and values.
    kv_stride: i64,
    /// The map that the block works on in the video network.
    native: Grid,
}

/// A transformer block: figure 3 of version 1, figure 2 of version 2.
struct Block {
    norm1: LayerNorm,
    attention: PoolingAttention,
    norm2: LayerNorm,
    mlp: Mlp,
    fused: FusedMlp,
    /// Where the number of channels changes: what the tokens themselves go through.
    projection: Option<Linear>,
    config: BlockConfig,
}

impl Block {
    fn new(parameters: &mut Parameters, prefix: &str, config: BlockConfig) -> Result<Block> {
        let BlockConfig { version, n_in, n_out, .. } = config;
        let n_middle = if version == Version::One { n_in } else { n_out };
        let layers = [format!("{prefix}mlp.0."), format!("{prefix}mlp.3.")];
        let layers = layers.each_ref().map(String::as_str);
        let sizes = [n_middle, 4 * n_middle, n_out];
        Ok(Block {
            norm1: LayerNorm::new(parameters, &format!("{prefix}norm1."), n_in, EPSILON)?,
            attention: PoolingAttention::new(parameters, prefix, n_middle, config)?,
            norm2: LayerNorm::new(parameters, &format!("{prefix}norm2."), n_middle, EPSILON)?,
            mlp: Mlp::new(parameters, layers, sizes, Gelu::Exact)?,
            fused: FusedMlp::default(),
            projection: (n_in != n_out)
                .then(|| Linear::new(parameters, &format!("{prefix}project."), n_in, n_out, true))
                .transpose()?,
            config,
        })
    }

    /// From `[n, 1 + tokens, n_in]` on a map of that size to `[n, 1 + tokens', n_out]` and its map.
    fn forward(&self, x: &Tensor, grid: Grid) -> Result<(Tensor, Grid)> {
        let is_first_version = self.config.version == Version::One;
        let normed = self.norm1.forward(x)?;
        let held = ledger::bytes(&[x, &normed]);
        let attended = ledger::holding(held, || self.attention.forward(&normed, grid))?;
        let skip = match &self.projection {
            Some(projection) if !is_first_version => projection.forward(&normed)?,
            _ => x.shallow_clone(),
        };
        drop(normed);
        let held = ledger::bytes(&[x, &attended]);
        let pooled = ledger::holding(held, || pooled(&skip, grid, self.config.q_stride))?;
        drop(skip);
        let x = pooled.f_add(&attended)?;
        ledger::enter(&x, F32, 0);
        drop((pooled, attended));
        let grid = strided(grid, self.config.q_stride);
        if let Some(x) = self.fused.forward(&x, &self.norm2, &self.mlp)? {
            return Ok((x, grid));
        }
        let normed = self.norm2.forward(&x)?;
        let skip = match &self.projection {
            Some(projection) if is_first_version => projection.forward(&normed)?,
            _ => x,
        };
        let held = ledger::bytes(&[&skip, &normed, &normed]);
        let x = skip.f_add(&ledger::holding(held, || self.mlp.forward(&normed))?)?;
        ledger::enter(&x, F32, 0);
        Ok((x, grid))
    }
}

/// The tokens `[n, 1 + tokens, c]` with the maxima over 3 x 3 tokens along y and x in place of the map; a stride of 1
/// leaves it as it is.
fn pooled(x: &Tensor, [grid_z, grid_y, grid_x]: Grid, stride: i64) -> Result<Tensor> {
    if stride == 1 {
        return Ok(x.shallow_clone());
    }
    let (n, n_tokens, c) = x.size3()?;
    let map = x
        .f_narrow(1, 1, n_tokens - 1)?
        .f_transpose(1, 2)?
        .f_reshape([n, c, grid_z, grid_y, grid_x])?;
    let padding = Padding::Fixed([0, 1, 1]);
    let map = max_pool3d(&map, [1, 3, 3], [1, stride, stride], padding)?;
    let map = map.f_flatten(2, 4)?.f_transpose(1, 2)?;
    let tokens = Tensor::f_cat(&[x.f_narrow(1, 0, 1)?, map], 1)?;
    ledger::enter(&tokens, F32, 0);
    Ok(tokens)
}

/// Multi-head attention whose queries, keys and values are pooled (version 1, section 3.1).
struct PoolingAttention {
    qkv: Linear,
    projection: Linear,
    /// Of queries, if they are pooled, of keys and of values.
    pools: [Option<Pool>; 3],
    distances: Option<Distances>,
    config: BlockConfig,
}

impl PoolingAttention {
    fn new(
        parameters: &mut Parameters,
        prefix: &str,
        n: i64,
        config: BlockConfig,
    ) -> Result<PoolingAttention> {
        let BlockConfig { version, n_in, q_stride, kv_stride, .. } = config;
        let prefix = format!("{prefix}attn.");
        let is_second_version = version == Version::Two;
        let distances =
            is_second_version.then(|| Distances::new(parameters, &prefix, config)).transpose()?;
        let qkv = Linear::new(parameters, &format!("{prefix}qkv."), n_in, 3 * n, true)?;
        let projection = Linear::new(parameters, &format!("{prefix}project.0."), n, n, true)?;
        let mut pool =
            |leaf: &str, stride| Pool::new(parameters, &format!("{prefix}{leaf}."), stride);
        let pool_q = is_second_version || q_stride > 1;
        let pools = [
            pool_q.then(|| pool("pool_q", q_stride)).transpose()?,
            Some(pool("pool_k", kv_stride)?),
            Some(pool("pool_v", kv_stride)?),
        ];
        Ok(PoolingAttention { qkv, projection, pools, distances, config })
    }

    /// From `[n, 1 + tokens, n_in]` on a map of that size to `[n, 1 + tokens', heads * 96]`.
    fn forward(&self, x: &Tensor, grid: Grid) -> Result<Tensor> {
        let (n, n_tokens, _) = x.size3()?;
        let n_heads = self.config.n_heads;
        let qkv = self.qkv.forward(x)?;
        let held = ledger::bytes(&[&qkv]);
        let parts = qkv.f_reshape([n, n_tokens, 3, n_heads, HEAD])?.f_permute([2, 0, 3, 1, 4])?;
        drop(qkv);
        let pooled = |index: usize| match &self.pools[index] {
            Some(pool) => pool.forward(&parts.f_get(index as i64)?, grid),
            None => Ok(parts.f_get(index as i64)?),
        };
        let [query, key, value] = ledger::holding(held, || [pooled(0), pooled(1), pooled(2)]);
        let (query, key, value) = (query?, key?, value?);
        drop(parts);
        ledger::holding(ledger::bytes(&[&query, &key, &value]), || {
            self.attend([&query, &key, &value], grid)
        })
    }

    /// From pooled queries, keys and values to `[n, 1 + tokens', heads * 96]`.
    fn attend(&self, [query, key, value]: [&Tensor; 3], grid: Grid) -> Result<Tensor> {
        let BlockConfig { q_stride, kv_stride, .. } = self.config;
        let Some(distances) = &self.distances else {
            let attended = attend(query, key, value, None)?;
            return self.projection.forward(&merge_heads(&attended)?);
        };
        let map = query.f_narrow(2, 1, query.size()[2] - 1)?;
        let bias = distances.bias(&map, strided(grid, q_stride), strided(grid, kv_stride))?;
        // Nothing is added for the class token, neither here nor below.
        let bias = bias.f_constant_pad_nd([1, 0, 1, 0])?;
        ledger::enter(&bias, F32, 0);
        let attended = attend(query, key, value, Some(&bias))?;
        drop(bias);
        // Version 2, eq. 7: the pooled query is added to what it attends to.
        let attended = attended.f_add(&map.f_constant_pad_nd([0, 0, 1, 0])?)?;
        ledger::enter(&attended, F32, 0);
        self.projection.forward(&merge_heads(&attended)?)
    }
}

/// A pool of learned weights: a convolution of each channel of a head, the same for all heads, then LayerNorm.
struct Pool {
    weight: Tensor,
    norm: LayerNorm,
    stride: i64,
}

impl Pool {
    /// Creates `pool.weight` `[96, 1, 3, 3, 3]`, normal around 0 with variance 1/3 over fan-in, that of PyTorch's own
    /// start of a convolution, and the tensors of `norm_act.0`.
    fn new(parameters: &mut Parameters, prefix: &str, stride: i64) -> Result<Pool> {
        let fan_in = KERNEL.iter().product::<i64>() as f64;
        let deviation = (1.0 / (3.0 * fan_in)).sqrt();
        let [z, y, x] = KERNEL;
        let shape = [HEAD, 1, z, y, x];
        Ok(Pool {
            weight: parameters.normal(&format!("{prefix}pool.weight"), &shape, deviation)?,
            norm: LayerNorm::new(parameters, &format!("{prefix}norm_act.0."), HEAD, EPSILON)?,
            stride,
        })
    }

    /// From `[n, heads, 1 + tokens, c]` on a map of that size to `[n, heads, 1 + tokens', c]`.
    fn forward(&self, x: &Tensor, [grid_z, grid_y, grid_x]: Grid) -> Result<Tensor> {
        let (n, n_heads, n_tokens, c) = x.size4()?;
        let map = x
            .f_narrow(2, 1, n_tokens - 1)?
            .f_reshape([n * n_heads, grid_z, grid_y, grid_x, c])?
            .f_permute([0, 4, 1, 2, 3])?;
        let stride = [1, self.stride, self.stride];
        let no_bias = None::<&Tensor>;
        let (map, weight) = (rounded(&map)?, rounded(&self.weight)?);
        let pooled = map.f_conv3d(&weight, no_bias, stride, [1; 3], [1; 3], HEAD)?;
        ledger::folded(n_heads, || {
            ledger::enter(&map, F32, 0);
            ledger::enter(&pooled, F32, KERNEL.iter().product());
        });
        let pooled = pooled.f_flatten(2, 4)?.f_transpose(1, 2)?;
        let pooled = pooled.f_reshape([n, n_heads, pooled.size()[1], c])?;
        let tokens = Tensor::f_cat(&[x.f_narrow(2, 0, 1)?, pooled], 2)?;
        ledger::enter(&tokens, F32, 0);
        self.norm.forward(&tokens)
    }
}
