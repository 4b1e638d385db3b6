//! ViViT: a vision transformer whose tokens are tubelets of 2 x 16 x 16 voxels.
//!
//! Arnab et al. 2021, "ViViT: A Video Vision Transformer", ICCV, <https://arxiv.org/abs/2103.15691>: model 1, attention
//! of every token to every other, with the tensor names of `VivitForVideoClassification` in Hugging Face transformers;
//! and model 2, the factorised encoder: a transformer over the tokens of each time, then one over the times. Time becomes
//! the beam axis z.
//!
//! Every stage but the pooling one hands on tokens, the classification token first: `[n, 1 + z * y * x, c]` in model 1,
//! `[n * z, 1 + y * x, c]` and then `[n, 1 + z, c]` in model 2. What is left over of a box that no tubelet fills is not
//! seen, as with the authors' convolution.

use tch::Tensor;

use super::{
    Architecture, BackboneSpec, Pass, Stage, View,
    attention::{
        Gelu, LayerNorm, Linear, Mlp, WEIGHT_DEVIATION, add_branch, attend, merge_heads,
        split_heads,
    },
    fused::{Fused, Layers, Windows},
    layers::{Conv3d, Conv3dConfig, Padding, spatial_size},
    ledger,
};
use crate::{
    error::Result,
    parameters::{Parameters, Role},
};

/// ViViT-B/16x2, model 1.
pub static VIVIT_B_16X2: BackboneSpec = BackboneSpec {
    name: "vivit_b_16x2",
    source: "huggingface.co/google/vivit-b-16x2-kinetics400: the authors' ViViT-B/16x2 (unfactorised), trained on \
             Kinetics-400 after ImageNet-21K",
    licence: "MIT (the authors' scenic: Apache-2.0)",
    n_weights: 88_646_400,
    build: build_joint,
    ..VIVIT
};

/// ViViT-B/16x2, model 2.
pub static VIVIT_B_16X2_FACTORISED: BackboneSpec = BackboneSpec {
    name: "vivit_b_16x2_factorised",
    source: "none for PyTorch: the authors published this network (ViViT-B/16x2 Factorised Encoder, Kinetics-400) for \
             JAX only; the names of the tensors are cinetomo's",
    licence: "Apache-2.0 (the authors' scenic)",
    n_weights: 114_755_328,
    build: build_factorised,
    ..VIVIT
};

/// What the two have in common; the rest is replaced.
const VIVIT: BackboneSpec = BackboneSpec {
    name: "",
    paper: "Arnab et al. 2021, ViViT: A Video Vision Transformer",
    source: "",
    licence: "",
    choices: &[],
    recognise: |_| Vec::new(),
    input_range: |_| [-1.0, 1.0],
    video_size: [2 * GRID[0], 16 * GRID[1], 16 * GRID[2]],
    min_input: TUBELET,
    n_features: N_CHANNELS,
    n_weights: 0,
    // Jain, Li & Xu 2024, section 4, for ViViT.
    learning_rates: [2e-5, 2e-4],
    // The last tokens that the class token still attends to.
    cam_stage: "layer_10",
    head_weight: "classifier.weight",
    head_bias: "classifier.bias",
    ignored: &[],
    build: build_joint,
};

/// Voxels of a token along z, y, x.
const TUBELET: [i64; 3] = [2, 16, 16];

/// Tokens of the videos along z, y, x: what the position embeddings were learned for.
const GRID: [i64; 3] = [16, 14, 14];

/// Size B (paper, section 4.1).
const N_CHANNELS: i64 = 768;
const N_HEADS: i64 = 12;
const N_HIDDEN: i64 = 3072;

/// Of LayerNorm, as in the authors' code.
const EPSILON: f64 = 1e-6;

const SPATIAL: [&str; 12] = [
    "layer_0", "layer_1", "layer_2", "layer_3", "layer_4", "layer_5", "layer_6", "layer_7",
    "layer_8", "layer_9", "layer_10", "layer_11",
];
const TEMPORAL: [&str; 4] =
    ["temporal_layer_0", "temporal_layer_1", "temporal_layer_2", "temporal_layer_3"];

fn build_joint(parameters: &mut Parameters, _: &Architecture) -> Result<Vec<Stage>> {
    let tokens = View::Tokens(grid);
    let mut stages = Stages::new(parameters);
    let prefix = "vivit.embeddings.";
    let class_token = ClassToken::new(stages.parameters, prefix)?;
    let positions = Positions::new(stages.parameters, prefix, GRID)?;
    let tubelets = Tubelets::new(stages.parameters)?;
    stages.add("embeddings", tokens, move |x, _| {
        let map = tubelets.forward(x)?;
        let grid = spatial_size(&map)?;
        positions.add_to(&class_token.prepend(&map.f_flatten(2, 4)?.f_transpose(1, 2)?)?, grid)
    });
    for (index, name) in SPATIAL.into_iter().enumerate() {
        let block = Block::new(stages.parameters, &format!("vivit.encoder.layer.{index}."))?;
        stages.add(name, tokens, move |x, _| block.forward(x));
    }
    let norm = LayerNorm::new(stages.parameters, "vivit.layernorm.", N_CHANNELS, EPSILON)?;
    stages.add("layernorm", tokens, move |x, _| norm.forward(x));
    stages.add("pool", View::Pooled, |x, _| class_token_of(x));
    Ok(stages.list)
}

fn build_factorised(parameters: &mut Parameters, _: &Architecture) -> Result<Vec<Stage>> {
    let (sections, times) = (View::Sections(grid), View::Tokens(|size| [grid(size)[0], 1, 1]));
    let mut stages = Stages::new(parameters);
    let prefix = "vivit.spatial_encoder.";
    let tubelets = Tubelets::new(stages.parameters)?;
    let class_token = ClassToken::new(stages.parameters, prefix)?;
    let positions = Positions::new(stages.parameters, prefix, [1, GRID[1], GRID[2]])?;
    stages.add("embeddings", sections, move |x, pass| {
        let map = tubelets.forward(x)?;
        let [_, y, x] = spatial_size(&map)?;
        let times = map.f_permute([0, 2, 3, 4, 1])?.f_flatten(0, 1)?.f_flatten(1, 2)?;
        ledger::folded(n_times(pass), || positions.add_to(&class_token.prepend(&times)?, [1, y, x]))
    });
    for (index, name) in SPATIAL.into_iter().enumerate() {
        let block = Block::new(stages.parameters, &format!("{prefix}layer.{index}."))?;
        stages
            .add(name, sections, move |x, pass| ledger::folded(n_times(pass), || block.forward(x)));
    }
    let norm = format!("{prefix}layernorm.");
    let norm = LayerNorm::new(stages.parameters, &norm, N_CHANNELS, EPSILON)?;
    stages.add("layernorm", sections, move |x, pass| {
        ledger::folded(n_times(pass), || norm.forward(x))
    });

    let prefix = "vivit.temporal_encoder.";
    let class_token = ClassToken::new(stages.parameters, prefix)?;
    let positions = Positions::new(stages.parameters, prefix, [GRID[0], 1, 1])?;
    stages.add("temporal_embeddings", times, move |x, pass| {
        let z = n_times(pass);
        let times = class_token_of(x)?.f_unflatten(0, [x.size()[0] / z, z])?;
        positions.add_to(&class_token.prepend(&times)?, [z, 1, 1])
    });
    for (index, name) in TEMPORAL.into_iter().enumerate() {
        let block = Block::new(stages.parameters, &format!("{prefix}layer.{index}."))?;
        stages.add(name, times, move |x, _| block.forward(x));
    }
    let norm = format!("{prefix}layernorm.");
    let norm = LayerNorm::new(stages.parameters, &norm, N_CHANNELS, EPSILON)?;
    stages.add("temporal_layernorm", times, move |x, _| norm.forward(x));
    stages.add("pool", View::Pooled, |x, _| class_token_of(x));
    Ok(stages.list)
}

/// Tokens along z, y, x of an input of that size.
fn grid(input_size: [i64; 3]) -> [i64; 3] {
    std::array::from_fn(|axis| input_size[axis] / TUBELET[axis])
}

/// Tokens along z of the input of a pass.
fn n_times(pass: Pass) -> i64 {
    grid(pass.input_size)[0]
}

/// Stages in the making: tensors that are created belong to the next one.
struct Stages<'a> {
    parameters: &'a mut Parameters,
    list: Vec<Stage>,
}

impl<'a> Stages<'a> {
    fn new(parameters: &'a mut Parameters) -> Stages<'a> {
        parameters.set_stage(0);
        Stages { parameters, list: Vec::new() }
    }

    fn add(
        &mut self,
        name: &'static str,
        view: View,
        forward: impl Fn(&Tensor, Pass) -> Result<Tensor> + Send + 'static,
    ) {
        self.list.push(Stage { name, view, forward: Box::new(forward) });
        self.parameters.set_stage(self.list.len());
    }
}

/// From the input `[n, 1, z, y, x]` to a map `[n, 768, z / 2, y / 16, x / 16]`: the tubelet embedding of section 3.2.
struct Tubelets(Conv3d);

impl Tubelets {
    fn new(parameters: &mut Parameters) -> Result<Tubelets> {
        let projection = Conv3dConfig {
            n_in: 3,
            n_out: N_CHANNELS,
            kernel: TUBELET,
            stride: TUBELET,
            padding: Padding::Fixed([0; 3]),
            bias: true,
        };
        let prefix = "vivit.embeddings.patch_embeddings.projection.";
        Ok(Tubelets(Conv3d::new(parameters, prefix, projection)?))
    }

    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        self.0.forward_grey(input)
    }
}

/// The token that classification reads.
struct ClassToken(Tensor);

impl ClassToken {
    fn new(parameters: &mut Parameters, prefix: &str) -> Result<ClassToken> {
        let (name, shape) = (format!("{prefix}cls_token"), [1, 1, N_CHANNELS]);
        Ok(ClassToken(parameters.constant(&name, &shape, 0.0, Role::Weight)?))
    }

    /// From `[n, t, c]` to `[n, 1 + t, c]`.
    fn prepend(&self, tokens: &Tensor) -> Result<Tensor> {
        let token = self.0.f_expand([tokens.size()[0], 1, N_CHANNELS], false)?;
        let tokens = Tensor::f_cat(&[&token, tokens], 1)?;
        ledger::enter(&tokens, ledger::F32, 0);
        Ok(tokens)
    }
}

/// The classification tokens `[n, c]` of `[n, 1 + t, c]`.
fn class_token_of(tokens: &Tensor) -> Result<Tensor> {
    Ok(tokens.f_select(1, 0)?)
}

/// Learned embeddings of the classification token and of the places of a grid, `[1, 1 + z * y * x, c]`.
struct Positions {
    embeddings: Tensor,
    grid: [i64; 3],
}

impl Positions {
    fn new(parameters: &mut Parameters, prefix: &str, grid: [i64; 3]) -> Result<Positions> {
        let n = 1 + grid.iter().product::<i64>();
        let (name, shape) = (format!("{prefix}position_embeddings"), [1, n, N_CHANNELS]);
        Ok(Positions { embeddings: parameters.normal(&name, &shape, WEIGHT_DEVIATION)?, grid })
    }

    /// `tokens` `[n, 1 + z * y * x, c]` of a grid of size `grid`, with their embeddings added.
    ///
    /// Another grid than the learned one takes embeddings interpolated linearly along z, y and x, with half-pixel centres.
    /// (transformers' `interpolate_pos_encoding` changes nothing for square videos, and takes the 16 x 14 x 14 places of
    /// others for an image of 56 x 56: it agrees with this at the learned grid and works at no other.)
    fn add_to(&self, tokens: &Tensor, grid: [i64; 3]) -> Result<Tensor> {
        if grid == self.grid {
            return self.sum(tokens, &self.embeddings);
        }
        let n = grid.iter().product();
        let map = self
            .embeddings
            .f_narrow(1, 1, self.grid.iter().product())?
            .f_unflatten(1, self.grid)?
            .f_permute([0, 4, 1, 2, 3])?
            .f_upsample_trilinear3d(grid, false, None, None, None)?
            .f_reshape([1, N_CHANNELS, n])?
            .f_transpose(1, 2)?;
        ledger::enter_fixed(&map);
        let embeddings = Tensor::f_cat(&[self.embeddings.f_narrow(1, 0, 1)?, map], 1)?;
        ledger::enter_fixed(&embeddings);
        self.sum(tokens, &embeddings)
    }

    fn sum(&self, tokens: &Tensor, embeddings: &Tensor) -> Result<Tensor> {
        let sum = tokens.f_add(embeddings)?;
        ledger::enter(&sum, ledger::F32, 0);
        Ok(sum)
    }
}

/// A transformer block, equations 4 and 5 of the paper.
struct Block {
    norm_before: LayerNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    norm_after: LayerNorm,
    mlp: Mlp,
    fused: Fused,
}

impl Block {
    fn new(parameters: &mut Parameters, prefix: &str) -> Result<Block> {
        let n = N_CHANNELS;
        let mut linear =
            |leaf: &str| Linear::new(parameters, &format!("{prefix}attention.{leaf}."), n, n, true);
        let [query, key, value, output] =
            ["attention.query", "attention.key", "attention.value", "output.dense"]
                .map(&mut linear);
        let layers = [format!("{prefix}intermediate.dense."), format!("{prefix}output.dense.")];
        let layers = layers.each_ref().map(String::as_str);
        let norm = |leaf: &str| format!("{prefix}{leaf}.");
        Ok(Block {
            query: query?,
            key: key?,
            value: value?,
            output: output?,
            mlp: Mlp::new(parameters, layers, [n, N_HIDDEN, n], Gelu::Tanh)?,
            norm_before: LayerNorm::new(parameters, &norm("layernorm_before"), n, EPSILON)?,
            norm_after: LayerNorm::new(parameters, &norm("layernorm_after"), n, EPSILON)?,
            fused: Fused::default(),
        })
    }

    /// From `[n, t, c]` to the same shape.
    fn forward(&self, tokens: &Tensor) -> Result<Tensor> {
        let layers = Layers {
            norms: [&self.norm_before, &self.norm_after],
            qkv: &[&self.query, &self.key, &self.value],
            projection: &self.output,
            mlp: &self.mlp,
            n_heads: N_HEADS,
        };
        if let Some(output) = self.fused.forward(tokens, layers, || Ok(Windows::none(tokens)))? {
            return Ok(output);
        }
        let held = ledger::bytes(&[tokens]);
        let attention = || self.attention(&self.norm_before.forward(tokens)?);
        let x = add_branch(ledger::holding(held, attention)?, tokens)?;
        let mlp = || self.mlp.forward(&self.norm_after.forward(&x)?);
        add_branch(ledger::holding(held, mlp)?, &x)
    }

    fn attention(&self, x: &Tensor) -> Result<Tensor> {
        let heads = |layer: &Linear| split_heads(&layer.forward(x)?, N_HEADS);
        let (query, key, value) = (heads(&self.query)?, heads(&self.key)?, heads(&self.value)?);
        ledger::holding(ledger::bytes(&[x, &query, &key, &value]), || {
            self.output.forward(&merge_heads(&attend(&query, &key, &value, None)?)?)
        })
    }
}
