//! Layers of the transformers, with PyTorch's leaf names (`weight`, `bias`). Tokens lie as `[..., tokens, channels]`;
//! a prefix ends in the separator of the network's checkpoints.
//!
//! Dropout and stochastic depth are left out: they regularise long trainings on many videos, and a fine-tuning with a
//! few labelled subtomograms has neither. This is a difference from the published trainings, not from the networks.

pub use cinetomo_kernels::Gelu;
use tch::Tensor;

use super::{
    folded::{Packed, is_inference},
    ledger::{self, F32},
    precision::{rounded, single},
};
use crate::{
    error::Result,
    parameters::{Parameters, Role},
};

/// Standard deviation that the weights of transformers start from. Their authors' `trunc_normal_` cuts at -2 and 2, a
/// hundred standard deviations away: it is a normal distribution.
pub const WEIGHT_DEVIATION: f64 = 0.02;

/// Layer normalisation over the last axis (Ba, Kiros & Hinton 2016).
pub struct LayerNorm {
    pub(super) weight: Tensor,
    pub(super) bias: Tensor,
    pub(super) epsilon: f64,
}

impl LayerNorm {
    /// Creates `weight` (1) and `bias` (0), each `[n]`; `epsilon` is added to the variance.
    pub fn new(
        parameters: &mut Parameters,
        prefix: &str,
        n: i64,
        epsilon: f64,
    ) -> Result<LayerNorm> {
        let mut constant = |leaf: &str, value: f64| {
            parameters.constant(&format!("{prefix}{leaf}"), &[n], value, Role::Weight)
        };
        Ok(LayerNorm { weight: constant("weight", 1.0)?, bias: constant("bias", 0.0)?, epsilon })
    }

    /// From `[..., n]` to the same shape.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let (weight, bias) = (Some(&self.weight), Some(&self.bias));
        let output =
            single(input)?.f_layer_norm(self.weight.size(), weight, bias, self.epsilon, true)?;
        ledger::enter(&output, F32, 0);
        Ok(output)
    }
}

/// A linear layer over the last axis.
pub struct Linear {
    pub(super) weight: Tensor,
    pub(super) bias: Option<Tensor>,
    packed: Packed,
}

impl Linear {
    /// Creates `weight` `[n_out, n_in]`, normal around 0 with deviation 0.02, and, if asked for, `bias` `[n_out]`, zero.
    pub fn new(
        parameters: &mut Parameters,
        prefix: &str,
        n_in: i64,
        n_out: i64,
        bias: bool,
    ) -> Result<Linear> {
        let shape = [n_out, n_in];
        let weight = parameters.normal(&format!("{prefix}weight"), &shape, WEIGHT_DEVIATION)?;
        let bias = bias
            .then(|| parameters.constant(&format!("{prefix}bias"), &[n_out], 0.0, Role::Weight))
            .transpose()?;
        Ok(Linear { weight, bias, packed: Packed::default() })
    }

    /// From `[..., n_in]` to `[..., n_out]`.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let output = match self.packed.forward(input, &self.weight, self.bias.as_ref())? {
            Some(output) => output,
            None => {
                let bias = self.bias.as_ref().map(rounded).transpose()?;
                rounded(input)?.f_linear(&rounded(&self.weight)?, bias.as_ref())?
            }
        };
        ledger::enter_weights(&self.weight);
        ledger::enter(&output, F32, self.weight.size()[1]);
        Ok(output)
    }
}

/// Two linear layers with a GELU between them: the transformer's multilayer perceptron.
pub struct Mlp {
    pub(super) layers: [Linear; 2],
    pub(super) gelu: Gelu,
}

impl Mlp {
    /// Creates two linear layers with bias under their own prefixes, from `n[0]` over `n[1]` to `n[2]` channels.
    pub fn new(
        parameters: &mut Parameters,
        [first, second]: [&str; 2],
        n: [i64; 3],
        gelu: Gelu,
    ) -> Result<Mlp> {
        let first = Linear::new(parameters, first, n[0], n[1], true)?;
        let second = Linear::new(parameters, second, n[1], n[2], true)?;
        Ok(Mlp { layers: [first, second], gelu })
    }

    /// From `[..., n[0]]` to `[..., n[2]]`.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let form = match self.gelu {
            Gelu::Exact => "none",
            Gelu::Tanh => "tanh",
        };
        let [first, second] = &self.layers;
        let mut hidden = first.forward(input)?;
        if is_inference() {
            hidden = hidden.f_gelu_(form)?;
        } else {
            hidden = hidden.f_gelu(form)?;
            ledger::enter(&hidden, F32, 0);
        }
        second.forward(&hidden)
    }
}

/// Scaled dot-product attention (Vaswani et al. 2017, eq. 1) of queries `[n, heads, t, c]` to keys and values
/// `[n, heads, s, c]`: `[n, heads, t, c]`. The scale is `1 / sqrt(c)`; `bias`, of any shape that broadcasts to
/// `[n, heads, t, s]`, is added to the scaled products.
pub fn attend(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    bias: Option<&Tensor>,
) -> Result<Tensor> {
    let (no_dropout, is_causal, default_scale) = (0.0, false, None::<f64>);
    let rounded_bias = bias.map(rounded).transpose()?;
    let output = Tensor::f_scaled_dot_product_attention(
        &rounded(query)?,
        &rounded(key)?,
        &rounded(value)?,
        rounded_bias.as_ref(),
        no_dropout,
        is_causal,
        default_scale,
        false,
    )?;
    let [n_keys, n_heads, n_queries] = [key.size()[2], query.size()[1], query.size()[2]];
    if bias.is_some() {
        // A bias that is learned takes libtorch's plain way, which keeps the weights of every pair of tokens.
        ledger::enter_for_training(&[n_heads, n_queries, n_keys]);
    }
    ledger::enter(&output, F32, 2 * n_keys);
    Ok(output)
}

/// `branch` added to the tokens that it started from: in place unless it was rounded and they were not, as the sum over many
/// blocks needs their precision. The gradient of a linear layer does not need its output.
pub fn add_branch(mut branch: Tensor, tokens: &Tensor) -> Result<Tensor> {
    match branch.f_kind()? == tokens.f_kind()? {
        true => Ok(branch.f_add_(tokens)?),
        false => Ok(branch.f_add(tokens)?),
    }
}

/// Channels dealt out to heads: from `[n, t, heads * c]` to `[n, heads, t, c]`.
pub fn split_heads(tokens: &Tensor, n_heads: i64) -> Result<Tensor> {
    Ok(tokens.f_unflatten(-1, [n_heads, -1])?.f_transpose(1, 2)?)
}

/// The heads' channels side by side again: from `[n, heads, t, c]` to `[n, t, heads * c]`.
pub fn merge_heads(tokens: &Tensor) -> Result<Tensor> {
    Ok(tokens.f_transpose(1, 2)?.f_flatten(2, 3)?)
}
