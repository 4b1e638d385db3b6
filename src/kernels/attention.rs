//! Scaled dot-product attention (Vaswani et al. 2017, eq. 1) within groups of tokens, wherever these lie.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use crate::{
    gelu::exp,
    map::{load, store},
    matrix::{PANEL, Panels},
};

/// Queries whose products with all keys are there at once: a multiple of the rows that are multiplied at once.
const BLOCK: usize = 48;

/// Which tokens of a sample attend to which: those of a group to all of it.
pub struct Groups {
    groups: Vec<Group>,
    /// Of each token, its group and its place among the queries there.
    queries: Vec<[usize; 2]>,
}

/// Tokens that attend to each other.
struct Group {
    /// Token, or none where there is padding, and place in the bias.
    members: Vec<(Option<usize>, usize)>,
    /// Runs of members in consecutive places: the first member, its place, how many.
    runs: Vec<[usize; 3]>,
    /// How many members are tokens.
    n_queries: usize,
    /// How many are tokens in the groups before.
    first_query: usize,
}

/// A member of a group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Member {
    /// The token, by its place in the sample; none stands for padding, which is attended to and does not attend.
    pub token: Option<usize>,
    /// Its row and column in the bias.
    pub place: usize,
}

impl Groups {
    /// Each of `n_tokens` tokens must be in one group.
    pub fn new(n_tokens: usize, members: impl IntoIterator<Item = Vec<Member>>) -> Groups {
        let mut groups = Groups { groups: Vec::new(), queries: vec![[usize::MAX; 2]; n_tokens] };
        let mut first_query = 0;
        for members in members {
            let index = groups.groups.len();
            let tokens = members.iter().filter_map(|member| member.token);
            let n_queries = tokens.clone().count();
            tokens.enumerate().for_each(|(query, token)| groups.queries[token] = [index, query]);
            let mut runs: Vec<[usize; 3]> = Vec::new();
            for (index, member) in members.iter().enumerate() {
                match runs.last_mut() {
                    Some([_, place, n]) if *place + *n == member.place => *n += 1,
                    _ => runs.push([index, member.place, 1]),
                }
            }
            let members = members.into_iter().map(|Member { token, place }| (token, place));
            groups.groups.push(Group { members: members.collect(), runs, n_queries, first_query });
            first_query += n_queries;
        }
        let is_there = |query: &[usize; 2]| query[0] != usize::MAX;
        assert!(
            groups.queries.iter().all(is_there) && first_query == n_tokens,
            "tokens in a group"
        );
        groups
    }

    /// All of `n_tokens` tokens attend to all.
    pub fn whole(n_tokens: usize) -> Groups {
        let member = |index| Member { token: Some(index), place: index };
        Groups::new(n_tokens, [(0..n_tokens).map(member).collect()])
    }

    /// Tokens of a sample.
    pub fn n_tokens(&self) -> usize {
        self.queries.len()
    }

    /// Pairs of a token and one that it attends to, in a sample.
    pub fn n_pairs(&self) -> usize {
        self.groups.iter().map(|group| group.n_queries * group.members.len()).sum()
    }

    /// Values that a thread works in.
    pub fn scratch_values(&self, n_head: usize) -> usize {
        let most = self.groups.iter().map(|group| group.members.len()).max().unwrap_or(0);
        let most = most.next_multiple_of(PANEL);
        BLOCK * n_head + most * (2 * n_head + BLOCK)
    }
}

/// Queries, keys and values of all heads, and what is added to their products.
#[derive(Clone, Copy)]
pub struct Attention<'a> {
    /// Who attends to whom.
    pub groups: &'a Groups,
    /// Number of heads.
    pub n_heads: usize,
    /// Queries of all heads, then keys, then values: `[samples, tokens, 3 * channels]`.
    pub qkv: &'a [f32],
    /// Those of padding.
    pub of_padding: &'a [f32],
    /// Added to the products: `[heads, places, places]`.
    pub bias: Option<&'a [f32]>,
}

impl Attention<'_> {
    fn n_channels(&self) -> usize {
        self.of_padding.len() / 3
    }

    /// Groups of all samples, head by head: what threads share.
    pub fn n_units(&self) -> usize {
        let n_samples = self.qkv.len() / (self.groups.n_tokens() * 3 * self.n_channels());
        n_samples * self.groups.groups.len() * self.n_heads
    }

    /// Where what the unit makes begins: `[samples, groups, heads, queries, channels / heads]`.
    pub fn start(&self, unit: usize) -> usize {
        let [sample, group, head] = self.place(unit);
        let n_head = self.n_channels() / self.n_heads;
        let of_sample = sample * self.groups.n_tokens() * self.n_channels();
        // Behind the last there is none.
        self.groups.groups.get(group).map_or(of_sample, |group| {
            of_sample + (group.first_query * self.n_heads + head * group.n_queries) * n_head
        })
    }

    /// Sample, group and head of a unit.
    fn place(&self, unit: usize) -> [usize; 3] {
        let n_groups = self.groups.groups.len();
        [unit / (self.n_heads * n_groups), unit / self.n_heads % n_groups, unit % self.n_heads]
    }

    /// Copies what a token, counted through all samples, has got from all heads out of what the units made.
    #[inline(always)]
    pub fn gather(&self, attended: &[f32], token: usize, out: &mut [f32]) {
        let n_channels = self.n_channels();
        let n_head = n_channels / self.n_heads;
        let n_tokens = self.groups.n_tokens();
        let [group, query] = self.groups.queries[token % n_tokens];
        let Group { first_query, n_queries, .. } = self.groups.groups[group];
        let start = (token / n_tokens * n_tokens + first_query) * n_channels;
        for (head, out) in out.chunks_exact_mut(n_head).enumerate() {
            let start = start + (head * n_queries + query) * n_head;
            out.copy_from_slice(&attended[start..][..n_head]);
        }
    }
}

/// Some consecutive units.
pub struct Units<'a> {
    /// Of this.
    pub attention: Attention<'a>,
    /// They.
    pub units: Range<usize>,
    /// What they make.
    pub out: &'a mut [f32],
    /// What is worked in.
    pub scratch: &'a mut [f32],
}

impl WithSimd for Units<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Units { attention, units, mut out, scratch } = self;
        let n_head = attention.n_channels() / attention.n_heads;
        for unit in units {
            let [sample, group, head] = attention.place(unit);
            let n_queries = attention.groups.groups[group].n_queries;
            let (own, rest) = out.split_at_mut(n_queries * n_head);
            attention.unit(simd, [sample, group, head], own, scratch);
            out = rest;
        }
    }
}

impl Attention<'_> {
    /// What the tokens of a group get from a head: `[queries, channels of a head]`.
    #[inline(always)]
    fn unit<S: Simd>(
        &self,
        simd: S,
        [sample, group, head]: [usize; 3],
        out: &mut [f32],
        scratch: &mut [f32],
    ) {
        let group = &self.groups.groups[group];
        let n_channels = self.n_channels();
        let n_head = n_channels / self.n_heads;
        let n_keys = group.members.len();
        let n_padded = n_keys.next_multiple_of(PANEL);
        let n_places = self.bias.map_or(0, |bias| (bias.len() / self.n_heads).isqrt());
        let bias = self.bias.map(|bias| &bias[head * n_places * n_places..]);
        let n_tokens = self.groups.n_tokens();
        // Queries, keys or values of a token.
        let of_token = |token: Option<usize>, which: usize| {
            let row = token.map_or(self.of_padding, |token| {
                &self.qkv[(sample * n_tokens + token) * 3 * n_channels..]
            });
            &row[which * n_channels + head * n_head..][..n_head]
        };
        let (keys, rest) = scratch.split_at_mut(n_padded * n_head);
        let (values, rest) = rest.split_at_mut(n_padded * n_head);
        let (queries, scores) = rest.split_at_mut(BLOCK * n_head);
        for (panel, members) in
            keys.chunks_exact_mut(PANEL * n_head).zip(group.members.chunks(PANEL))
        {
            panel.fill(0.0);
            for (lane, (token, _)) in members.iter().enumerate() {
                let key = of_token(*token, 1);
                panel.chunks_exact_mut(PANEL).zip(key).for_each(|(out, value)| out[lane] = *value);
            }
        }
        values.fill(0.0);
        for (index, (token, _)) in group.members.iter().enumerate() {
            for (panel, value) in of_token(*token, 2).chunks_exact(PANEL).enumerate() {
                values[(panel * n_padded + index) * PANEL..][..PANEL].copy_from_slice(value);
            }
        }
        let step = n_head * PANEL;
        let keys = Panels { values: keys, n_rows: n_head, n_panels: n_padded / PANEL, step };
        let (n_panels, step) = (n_head / PANEL, n_padded * PANEL);
        let values = Panels { values, n_rows: n_padded, n_panels, step };
        let scale = 1.0 / (n_head as f32).sqrt();
        let mut tokens = group.members.iter().filter(|(token, _)| token.is_some());
        let mut sums = [0.0; BLOCK];
        for out in out.chunks_mut(BLOCK * n_head) {
            let n_rows = out.len() / n_head;
            let queries = &mut queries[..n_rows * n_head];
            let mut places = [0; BLOCK];
            let block = queries.chunks_exact_mut(n_head).zip(&mut places).zip(&mut tokens);
            for ((query, there), (token, place)) in block {
                let values = of_token(*token, 0);
                query.iter_mut().zip(values).for_each(|(query, value)| *query = value * scale);
                *there = *place;
            }
            let scores = &mut scores[..n_rows * n_padded];
            keys.multiply(simd, queries, scores);
            for (row, scores) in scores.chunks_exact_mut(n_padded).enumerate() {
                if let Some(bias) = bias {
                    let bias = &bias[places[row] * n_places..][..n_places];
                    for &[first, place, n] in &group.runs {
                        let scores = scores[first..][..n].iter_mut();
                        scores.zip(&bias[place..][..n]).for_each(|(score, bias)| *score += bias);
                    }
                }
                scores[n_keys..].fill(f32::NEG_INFINITY);
                sums[row] = exponentials(simd, scores);
            }
            values.multiply(simd, scores, out);
            for (out, sum) in out.chunks_exact_mut(n_head).zip(sums) {
                let scale = 1.0 / sum;
                out.iter_mut().for_each(|value| *value *= scale);
            }
        }
    }
}

/// Replaces each score by its exponential, over that of the greatest, and returns their sum. A NaN makes all of it NaN.
#[inline(always)]
fn exponentials<S: Simd>(simd: S, scores: &mut [f32]) -> f32 {
    let mut most = simd.splat_f32s(f32::NEG_INFINITY);
    for start in (0..scores.len()).step_by(S::F32_LANES) {
        most = simd.max_f32s(load::<S>(scores, start), most);
    }
    let most = simd.splat_f32s(simd.reduce_max_f32s(most));
    let mut sum = simd.splat_f32s(0.0);
    for start in (0..scores.len()).step_by(S::F32_LANES) {
        let value = exp(simd, simd.sub_f32s(load::<S>(scores, start), most));
        sum = simd.add_f32s(sum, value);
        store::<S>(scores, start, value);
    }
    simd.reduce_sum_f32s(sum)
}
