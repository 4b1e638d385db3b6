//! A transformer block with its weights prepared: LayerNorm and attention, LayerNorm and multilayer perceptron, the tokens added to what each makes of
//! them.
//!
//! Some rows at a time go through all that concerns a token alone, so that nothing but queries, keys, values and what they attend to is ever written
//! to memory, and that of few samples at once.

use std::{collections::TryReserveError, ops::Range};

use pulp::{Arch, Simd, WithSimd};

use crate::{
    attention::{Attention, Groups, Units},
    convolution::zeros,
    gelu::Gelu,
    map::{load, store},
    matrix::{self, PANEL, Packed},
    threads::{Scratch, on_threads},
};

/// Tokens that go through all layers at once: a multiple of the rows that are multiplied at once.
const ROWS: usize = 48;

/// Tokens between two passes over the weights, at least, where a batch has so many: weights that come from memory then serve many.
const TOKENS_AT_ONCE: usize = 1024;

/// A linear layer.
pub struct Linear {
    weights: Packed,
    bias: Vec<f32>,
}

impl Linear {
    /// Prepares weights `[n_out, n_in]` and a bias `[n_out]` on up to `n_threads` threads; `n_out` must be a multiple of 16. Fails if there is no
    /// memory.
    pub fn new(weights: &[f32], bias: &[f32], n_threads: usize) -> Result<Linear, TryReserveError> {
        let n_out = bias.len();
        assert!(n_out.is_multiple_of(PANEL), "{n_out} outputs");
        let weights = Packed::new(weights, [weights.len() / n_out.max(1), n_out], n_threads)?;
        Ok(Linear { weights, bias: bias.to_vec() })
    }

    fn n_out(&self) -> usize {
        self.bias.len()
    }

    /// `out` `[rows, n_out]` becomes, or with `add` gets added, what this makes of `rows`; `then` is done to it.
    #[inline(always)]
    fn apply<S: Simd>(
        &self,
        simd: S,
        rows: &[f32],
        out: &mut [f32],
        add: bool,
        then: impl Fn(S::f32s) -> S::f32s,
    ) {
        let n_in = rows.len() * self.n_out() / out.len();
        self.weights.multiply_rows(simd, rows, 0..n_in, out, add);
        for out in out.chunks_exact_mut(self.n_out()) {
            for channel in (0..out.len()).step_by(S::F32_LANES) {
                let sum = simd.add_f32s(load::<S>(out, channel), load::<S>(&self.bias, channel));
                store::<S>(out, channel, then(sum));
            }
        }
    }
}

/// What is done to sums that nothing is done to.
#[inline(always)]
fn as_it_is<T>(value: T) -> T {
    value
}

/// Layer normalisation (Ba, Kiros & Hinton 2016) of as many channels as it has weights.
pub struct Norm {
    /// What each channel is multiplied by.
    pub weight: Vec<f32>,
    /// What is then added to it.
    pub bias: Vec<f32>,
    /// Added to the variance.
    pub epsilon: f32,
}

impl Norm {
    /// Of each row.
    #[inline(always)]
    fn apply<S: Simd>(&self, simd: S, rows: &[f32], out: &mut [f32]) {
        let n = self.weight.len();
        let channels = || (0..n).step_by(S::F32_LANES);
        for (row, out) in rows.chunks_exact(n).zip(out.chunks_exact_mut(n)) {
            let mut sum = simd.splat_f32s(0.0);
            channels().for_each(|channel| sum = simd.add_f32s(sum, load::<S>(row, channel)));
            let mean = simd.splat_f32s(simd.reduce_sum_f32s(sum) / n as f32);
            let mut squares = simd.splat_f32s(0.0);
            for channel in channels() {
                let apart = simd.sub_f32s(load::<S>(row, channel), mean);
                squares = simd.mul_add_e_f32s(apart, apart, squares);
            }
            let variance = simd.reduce_sum_f32s(squares) / n as f32;
            let scale = simd.splat_f32s(1.0 / (variance + self.epsilon).sqrt());
            for channel in channels() {
                let apart = simd.sub_f32s(load::<S>(row, channel), mean);
                let weight = load::<S>(&self.weight, channel);
                let value = simd.mul_add_e_f32s(
                    simd.mul_f32s(apart, scale),
                    weight,
                    load::<S>(&self.bias, channel),
                );
                store::<S>(out, channel, value);
            }
        }
    }
}

/// `x + mlp(norm(x))`.
pub struct Perceptron {
    /// Before it.
    pub norm: Norm,
    /// Its layers.
    pub layers: [Linear; 2],
    /// Between them.
    pub gelu: Gelu,
}

impl Perceptron {
    /// Bytes that its weights take.
    pub fn bytes(n_channels: usize, n_hidden: usize) -> usize {
        2 * n_hidden * n_channels * size_of::<f32>()
    }

    /// Bytes that are worked in by so many threads.
    pub fn scratch_bytes(n_channels: usize, n_hidden: usize, n_threads: usize) -> usize {
        n_threads * ROWS * (n_channels + n_hidden) * size_of::<f32>()
    }

    /// Fills `out` with what it makes of tokens `[tokens, channels]` on up to `n_threads` threads, which end before this does. Fails if there is no
    /// memory to work in.
    pub fn run(
        &self,
        tokens: &[f32],
        out: &mut [f32],
        n_threads: usize,
    ) -> Result<(), TryReserveError> {
        let [first, second] = self.layers.each_ref().map(Linear::n_out);
        let of_thread = ROWS * (second + first);
        let mut scratch = Scratch::of_threads(n_threads, of_thread)?;
        let arch = Arch::new();
        on_tokens(&mut scratch, tokens.len() / second, second, out, |scratch, range, out| {
            let tokens = &tokens[range.start * second..range.end * second];
            let scratch = scratch.values();
            arch.dispatch(Perceived { perceptron: self, tokens, out, scratch });
        });
        Ok(())
    }

    /// Of some rows at once.
    #[inline(always)]
    fn add_to<S: Simd>(&self, simd: S, out: &mut [f32], rows: &mut [f32], hidden: &mut [f32]) {
        let [first, second] = &self.layers;
        let hidden = &mut hidden[..out.len() / second.n_out() * first.n_out()];
        self.norm.apply(simd, out, rows);
        first.apply(
            simd,
            rows,
            hidden,
            false,
            #[inline(always)]
            |value| self.gelu.apply(simd, value),
        );
        second.apply(simd, hidden, out, true, as_it_is);
    }
}

/// What a perceptron makes of some tokens.
struct Perceived<'a> {
    perceptron: &'a Perceptron,
    tokens: &'a [f32],
    out: &'a mut [f32],
    scratch: &'a mut [f32],
}

impl WithSimd for Perceived<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Perceived { perceptron, tokens, out, scratch } = self;
        let n = perceptron.norm.weight.len();
        let (rows, hidden) = scratch.split_at_mut(ROWS * n);
        for (tokens, out) in tokens.chunks(ROWS * n).zip(out.chunks_mut(ROWS * n)) {
            out.copy_from_slice(tokens);
            perceptron.add_to(simd, out, &mut rows[..tokens.len()], hidden);
        }
    }
}

/// A transformer block: `x + attention(norm(x))`, then `x + mlp(norm(x))`.
pub struct Block {
    /// Before the attention.
    pub norm: Norm,
    /// To queries of all heads, keys and values, side by side.
    pub qkv: Linear,
    /// After the attention.
    pub projection: Linear,
    /// What follows.
    pub mlp: Perceptron,
    /// Number of heads.
    pub n_heads: usize,
}

impl Block {
    /// Bytes that its weights take.
    pub fn bytes(n_channels: usize, n_hidden: usize) -> usize {
        4 * n_channels * n_channels * size_of::<f32>() + Perceptron::bytes(n_channels, n_hidden)
    }

    /// Bytes that are worked in by so many threads.
    pub fn scratch_bytes(
        [n_channels, n_hidden, n_heads]: [usize; 3],
        groups: &Groups,
        n_threads: usize,
    ) -> usize {
        let tokens = samples_at_once(groups) * groups.n_tokens();
        let of_thread = thread_values([n_channels, n_hidden, n_heads], groups);
        (tokens * 4 * n_channels + n_threads * of_thread) * size_of::<f32>()
    }

    /// Fills `out` with what the block makes of tokens `[samples, tokens, channels]` on up to `n_threads` threads, which end before this does; `bias`
    /// `[heads, places, places]` is added to the attention. Fails if there is no memory to work in.
    pub fn run(
        &self,
        tokens: &[f32],
        groups: &Groups,
        bias: Option<&[f32]>,
        out: &mut [f32],
        n_threads: usize,
    ) -> Result<(), TryReserveError> {
        let n_channels = self.projection.n_out();
        let of_thread =
            thread_values([n_channels, self.mlp.layers[0].n_out(), self.n_heads], groups);
        let at_once = samples_at_once(groups) * groups.n_tokens() * n_channels;
        let at_once = at_once.min(tokens.len()).max(1);
        let arch = Arch::new();
        let mut qkv = zeros(3 * at_once)?;
        let mut attended = zeros(at_once)?;
        let mut scratch = Scratch::of_threads(n_threads, of_thread)?;
        for (tokens, out) in tokens.chunks(at_once).zip(out.chunks_mut(at_once)) {
            let n_tokens = tokens.len() / n_channels;
            let qkv = &mut qkv[..3 * tokens.len()];
            on_tokens(&mut scratch, n_tokens, 3 * n_channels, qkv, |scratch, range, out| {
                let tokens = &tokens[range.start * n_channels..range.end * n_channels];
                let scratch = scratch.values();
                arch.dispatch(Queries { block: self, tokens, out, scratch });
            });
            let (n_heads, of_padding) = (self.n_heads, &self.qkv.bias[..]);
            let attention = Attention { groups, n_heads, qkv, of_padding, bias };
            let attended = &mut attended[..tokens.len()];
            let (n_units, start) = (attention.n_units(), |unit| attention.start(unit));
            on_threads(&mut scratch, n_units, start, attended, |scratch, units, out| {
                let scratch = scratch.values();
                arch.dispatch(Units { attention, units, out, scratch });
            });
            let attended = &*attended;
            on_tokens(&mut scratch, n_tokens, n_channels, out, |scratch, range, out| {
                let scratch = scratch.values();
                arch.dispatch(Rest {
                    block: self,
                    tokens,
                    attention,
                    attended,
                    range,
                    out,
                    scratch,
                });
            });
        }
        Ok(())
    }
}

/// Work on tokens, of which as many stay together as are multiplied at once, with `width` values of `out` for each.
fn on_tokens<T: Send>(
    threads: &mut [T],
    n_tokens: usize,
    width: usize,
    out: &mut [f32],
    work: impl Fn(&mut T, Range<usize>, &mut [f32]) + Sync,
) {
    let token = |unit: usize| (unit * matrix::ROWS).min(n_tokens);
    let (n_units, start) = (n_tokens.div_ceil(matrix::ROWS), |unit| token(unit) * width);
    on_threads(threads, n_units, start, out, |state, units, out| {
        work(state, token(units.start)..token(units.end), out);
    });
}

fn samples_at_once(groups: &Groups) -> usize {
    (TOKENS_AT_ONCE / groups.n_tokens().max(1)).max(1)
}

/// Values that a thread works in.
fn thread_values([n_channels, n_hidden, n_heads]: [usize; 3], groups: &Groups) -> usize {
    (ROWS * (n_channels + n_hidden)).max(groups.scratch_values(n_channels / n_heads))
}

/// Queries, keys and values of some tokens.
struct Queries<'a> {
    block: &'a Block,
    tokens: &'a [f32],
    out: &'a mut [f32],
    scratch: &'a mut [f32],
}

impl WithSimd for Queries<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Queries { block, tokens, out, scratch } = self;
        let n = block.projection.n_out();
        for (tokens, out) in tokens.chunks(ROWS * n).zip(out.chunks_mut(ROWS * 3 * n)) {
            let normed = &mut scratch[..tokens.len()];
            block.norm.apply(simd, tokens, normed);
            block.qkv.apply(simd, normed, out, false, as_it_is);
        }
    }
}

/// What comes after the attention, of some tokens.
struct Rest<'a> {
    block: &'a Block,
    tokens: &'a [f32],
    attention: Attention<'a>,
    attended: &'a [f32],
    range: Range<usize>,
    out: &'a mut [f32],
    scratch: &'a mut [f32],
}

impl WithSimd for Rest<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Rest { block, tokens, attention, attended, range, out, scratch } = self;
        let Block { projection, mlp, .. } = block;
        let n = projection.n_out();
        out.copy_from_slice(&tokens[range.start * n..range.end * n]);
        let (rows, hidden) = scratch.split_at_mut(ROWS * n);
        for (start, out) in range.step_by(ROWS).zip(out.chunks_mut(ROWS * n)) {
            let rows = &mut rows[..out.len()];
            for (token, row) in (start..).zip(rows.chunks_exact_mut(n)) {
                attention.gather(attended, token, row);
            }
            projection.apply(simd, rows, out, true, as_it_is);
            mlp.add_to(simd, out, rows, hidden);
        }
    }
}

#[cfg(test)]
#[path = "block_test.rs"]
mod block_test;
