//! The inference form of transformer blocks: all of a block by our own kernels, without a copy of the tokens between its layers.
//!
//! It is made when a pass first asks for it, and made anew when its tensors have changed since.

use std::cell::RefCell;

use cinetomo_kernels::{Block, Groups, Linear, Norm, Perceptron};
use tch::{Device, Kind, Tensor};

use super::{
    attention::{self, LayerNorm, Mlp},
    folded::{is_inference, versions},
    kernel::{is_ours, n_threads, out_of_memory, values},
    ledger::{self, F32},
};
use crate::error::Result;

/// The layers of a block: `x + projection(attention(qkv(norm(x))))`, then `x + mlp(norm(x))`.
#[derive(Clone, Copy)]
pub struct Layers<'a> {
    /// Before attention and before the perceptron.
    pub norms: [&'a LayerNorm; 2],
    /// To queries, keys and values: one layer each, or one for all.
    pub qkv: &'a [&'a attention::Linear],
    /// After the attention.
    pub projection: &'a attention::Linear,
    /// The perceptron.
    pub mlp: &'a Mlp,
    /// Number of heads.
    pub n_heads: i64,
}

/// Which tokens attend to which.
pub struct Windows {
    /// They.
    pub groups: Groups,
    /// Added to the attention: `[1, heads, places, places]`.
    pub bias: Option<Tensor>,
}

impl Windows {
    /// All of `[n, t, c]` to all.
    pub fn none(tokens: &Tensor) -> Windows {
        Windows { groups: Groups::whole(tokens.size()[1] as usize), bias: None }
    }
}

/// The inference form of a block.
#[derive(Default)]
pub struct Fused(RefCell<Option<(Vec<i64>, Block)>>);

impl Fused {
    /// From tokens `[n, ..., c]` to the same shape; `None` if the pass is not in the inference form or our kernels are not for its values.
    pub fn forward(
        &self,
        tokens: &Tensor,
        layers: Layers<'_>,
        windows: impl FnOnce() -> Result<Windows>,
    ) -> Result<Option<Tensor>> {
        if !is_inference() || !is_ours(&layers.projection.weight) {
            return Ok(None);
        }
        let Windows { groups, bias } = windows()?;
        let size = tokens.size();
        if ledger::is_walking() {
            let output = Tensor::f_empty(&size, (Kind::Float, Device::Cpu))?;
            layers.enter(&groups, &output);
            return Ok(Some(output));
        }
        let mut form = self.0.borrow_mut();
        let block = current(&mut form, layers.tensors(), || layers.prepared())?;
        let tokens = tokens.f_contiguous()?;
        let tokens = values(&tokens)?;
        let bias = bias.as_ref().map(values).transpose()?;
        let output = cinetomo_tensors::filled(&size, |out| {
            block.run(tokens, &groups, bias, out, n_threads()).map_err(out_of_memory)
        })?;
        Ok(Some(output))
    }
}

impl Layers<'_> {
    /// Channels, hidden ones of the perceptron, and heads.
    fn sizes(&self) -> [usize; 3] {
        let [n_hidden, n_channels] = size(&self.mlp.layers[0].weight);
        [n_channels, n_hidden, self.n_heads as usize]
    }

    fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        let [before, after] = self.norms;
        let linear = self.qkv.iter().copied().chain([self.projection]).flat_map(of_linear);
        linear.chain([&before.weight, &before.bias]).chain(of_perceptron(after, self.mlp))
    }

    /// Our kernel of it.
    fn prepared(&self) -> Result<Block> {
        Ok(Block {
            norm: norm(self.norms[0])?,
            qkv: side_by_side(self.qkv)?,
            projection: side_by_side(&[self.projection])?,
            mlp: perceptron(self.norms[1], self.mlp)?,
            n_heads: self.n_heads as usize,
        })
    }

    /// Enters what the kernel takes and makes.
    fn enter(&self, groups: &Groups, output: &Tensor) {
        let sizes @ [n_channels, n_hidden, _] = self.sizes();
        ledger::enter_prepared(Block::bytes(n_channels, n_hidden) as u64);
        ledger::enter_scratch(Block::scratch_bytes(sizes, groups, n_threads()) as u64);
        let of_attention = 2 * groups.n_pairs() / groups.n_tokens().max(1);
        ledger::enter(output, F32, (4 * n_channels + 2 * n_hidden + of_attention) as i64);
    }
}

/// The inference form of a multilayer perceptron with the LayerNorm before it and the tokens added to it.
#[derive(Default)]
pub struct FusedMlp(RefCell<Option<(Vec<i64>, Perceptron)>>);

impl FusedMlp {
    /// `tokens + mlp(norm(tokens))` of tokens `[n, ..., c]`; `None` if the pass is not in the inference form, our kernels are not for its values, or the
    /// perceptron changes the number of channels.
    pub fn forward(&self, tokens: &Tensor, norm: &LayerNorm, mlp: &Mlp) -> Result<Option<Tensor>> {
        let [first, second] = &mlp.layers;
        let ([n_hidden, n_in], n_out) = (size(&first.weight), size(&second.weight)[0]);
        if !is_inference() || !is_ours(&first.weight) || n_in != n_out {
            return Ok(None);
        }
        let size = tokens.size();
        if ledger::is_walking() {
            let output = Tensor::f_empty(&size, (Kind::Float, Device::Cpu))?;
            ledger::enter_prepared(Perceptron::bytes(n_in, n_hidden) as u64);
            let scratch = Perceptron::scratch_bytes(n_in, n_hidden, n_threads());
            ledger::enter_scratch(scratch as u64);
            ledger::enter(&output, F32, 2 * n_hidden as i64);
            return Ok(Some(output));
        }
        let mut form = self.0.borrow_mut();
        let kernel = current(&mut form, of_perceptron(norm, mlp), || perceptron(norm, mlp))?;
        let tokens = tokens.f_contiguous()?;
        let tokens = values(&tokens)?;
        let output = cinetomo_tensors::filled(&size, |out| {
            kernel.run(tokens, out, n_threads()).map_err(out_of_memory)
        })?;
        Ok(Some(output))
    }
}

/// The form that was made of these tensors as they are now; makes it if there is none.
fn current<'a, 'b, T>(
    form: &'a mut Option<(Vec<i64>, T)>,
    tensors: impl Iterator<Item = &'b Tensor>,
    make: impl FnOnce() -> Result<T>,
) -> Result<&'a T> {
    let versions = versions(tensors)?;
    let (_, made) = match form.take() {
        Some(current) if current.0 == versions => form.insert(current),
        _ => form.insert((versions, make()?)),
    };
    Ok(made)
}

fn of_linear(layer: &attention::Linear) -> impl Iterator<Item = &Tensor> {
    std::iter::once(&layer.weight).chain(&layer.bias)
}

fn of_perceptron<'a>(norm: &'a LayerNorm, mlp: &'a Mlp) -> impl Iterator<Item = &'a Tensor> {
    mlp.layers.iter().flat_map(of_linear).chain([&norm.weight, &norm.bias])
}

fn perceptron(before: &LayerNorm, mlp: &Mlp) -> Result<Perceptron> {
    let [first, second] = &mlp.layers;
    let layers = [side_by_side(&[first])?, side_by_side(&[second])?];
    Ok(Perceptron { norm: norm(before)?, layers, gelu: mlp.gelu })
}

fn norm(norm: &LayerNorm) -> Result<Norm> {
    let (weight, bias) = (values(&norm.weight)?.to_vec(), values(&norm.bias)?.to_vec());
    Ok(Norm { weight, bias, epsilon: norm.epsilon as f32 })
}

/// Outputs and inputs of a weight.
fn size(weight: &Tensor) -> [usize; 2] {
    [0, 1].map(|axis| weight.size()[axis] as usize)
}

/// Layers of the same input as one.
fn side_by_side(layers: &[&attention::Linear]) -> Result<Linear> {
    let weights: Vec<&Tensor> = layers.iter().map(|layer| &layer.weight).collect();
    let biases = layers.iter().map(|layer| match &layer.bias {
        Some(bias) => Ok(bias.shallow_clone()),
        None => Tensor::f_zeros(&layer.weight.size()[..1], (Kind::Float, Device::Cpu)),
    });
    let biases = biases.collect::<std::result::Result<Vec<Tensor>, _>>()?;
    let (weight, bias) = (Tensor::f_cat(&weights, 0)?, Tensor::f_cat(&biases, 0)?);
    Linear::new(values(&weight)?, values(&bias)?, n_threads()).map_err(out_of_memory)
}
