//! DELTA: what the network sees stays near what the network that the training starts from sees (Li et al. 2019, "DELTA: DEep
//! Learning Transfer using Feature Map with Attention for Convolutional Networks").
//!
//! To the loss of each subtomogram is added strength / 2 times the sum over stages and their channels of the channel's
//! weight times the squared difference of the two networks' feature maps. Weights are a softmax over the stage's channels of
//! how much the loss grows without the channel. Two things differ from the paper, so that one strength suits boxes of
//! any size and stages of any width: differences are averaged over the positions, not summed, and the weights of a stage
//! have the mean 1, not the sum 1. A channel is taken out of the output of the stage, shortcuts included, where the paper
//! takes out a filter: so it means the same for every network.

use std::ops::Range;

use tch::{Kind, Reduction, Tensor};

use super::{
    config::{BatchNorm, FineTune, HeadStart, Regularizer},
    journal::{FORWARD_WORK, Journal},
    passes::{Passes, targets},
    probe,
};
use crate::{
    allocation::collected,
    backbone::{BatchNormMode, Network, Pass, View, tape},
    error::{Error, Result},
    model::{Head, Model},
    monitor::Stage,
    parameters::Role,
};

/// Stages that are compared unless the caller names others: the last ones, which in a ResNet are the ends of its four
/// blocks, as in the paper's experiments.
const N_STAGES: usize = 4;

/// Most training subtomograms by which channels are weighed: each goes through what follows a stage once for every channel
/// of it. For I3D that is 3200 times through a part of the network: three seconds of a core a box of 32 voxels an edge, as
/// measured, where a whole training step takes 0.1.
const MOST_WEIGHED: usize = 32;

/// Work on a subtomogram without a channel: most channels are those of late stages, after which little comes.
const CHANNEL_WORK: usize = FORWARD_WORK / 4;

/// The network that a training starts from, and where the one that is trained is compared with it.
pub(super) struct Delta {
    start: Network,
    /// Index of each stage that is compared, rising, and the weights of its channels, `[c]`.
    stages: Vec<(usize, Tensor)>,
    strength: f64,
}

impl Delta {
    /// If `config` asks for it: for a copy `tuned` of `model`, with equal weights for all channels.
    pub fn new(config: &FineTune, model: &Model, tuned: &Model) -> Result<Option<Delta>> {
        if !is_wanted(config) || config.n_epochs == 0 {
            return Ok(None);
        }
        let mut start = model.duplicate()?.network;
        if let Some(stage) = tuned.network.cut_after {
            start.cut_after(start.stage(stage)?.0)?;
        }
        let device = tuned.device;
        let channels = start.map_sizes(start.spec().min_input)?;
        let stages = chosen(config, &start)?
            .into_iter()
            .map(|stage| Ok((stage, Tensor::f_ones([channels[stage][0]], (Kind::Float, device))?)));
        let stages = stages.collect::<Result<_>>()?;
        let delta = Delta { start, stages, strength: config.regularizer_strength };
        delta.follow_statistics(config, tuned)?;
        Ok(Some(delta))
    }

    /// RECALIBRATED: what is compared are the networks as the training starts, with statistics of subtomograms.
    pub fn follow_statistics(&self, config: &FineTune, tuned: &Model) -> Result<()> {
        if config.batch_norm != BatchNorm::Recalibrated {
            return Ok(());
        }
        let _guard = tch::no_grad_guard();
        let pairs = std::iter::zip(self.start.parameters.iter(), tuned.network.parameters.iter());
        for (own, other) in pairs.filter(|(own, _)| own.role == Role::Statistic) {
            own.tensor.shallow_clone().f_copy_(&other.tensor)?;
        }
        Ok(())
    }

    /// Weighs the channels, if `config` asks for it, by training subtomograms; `tuned` has the head that it starts with.
    ///
    /// A head that tells something of the channels is one that was fitted to them: the probe that the training starts from,
    /// or else one that is fitted here.
    pub fn weigh(
        &mut self,
        config: &FineTune,
        tuned: &Model,
        passes: &Passes<'_, '_>,
        training: &[usize],
        journal: &mut Journal<'_, '_>,
    ) -> Result<()> {
        if config.regularizer != Regularizer::Delta {
            return Ok(());
        }
        let work = channel_work(config, &self.start, training.len())?;
        let fitted = match has_fitted_head(config) {
            true => None,
            false => Some(fit(config, tuned, passes, training, journal)?),
        };
        let head = fitted.as_ref().unwrap_or(&tuned.head);
        let _guard = tch::no_grad_guard();
        let weighed = weighed(training, passes.labels)?;
        let n_channels: i64 = self.stages.iter().map(|(_, weights)| weights.size()[0]).sum();
        let n_rounds = (n_channels as usize * weighed.len()) as f64;
        let mut n_done = 0;
        let mut increases: Vec<Tensor> = self
            .stages
            .iter()
            .map(|(_, weights)| weights.f_zeros_like())
            .collect::<Result<_, _>>()?;
        passes.each_batch(tuned, &weighed, |_, _, boxes, input| {
            let targets = targets(tuned, passes.labels, boxes)?;
            let mut told = || {
                n_done += boxes.len();
                journal.within(Stage::Probe, n_done as f64 / n_rounds, work)
            };
            let found = self.increases(head, &input, &targets, &mut told)?;
            for (sum, found) in increases.iter_mut().zip(found) {
                *sum = sum.f_add(&found)?;
            }
            Ok(())
        })?;
        for ((_, weights), sum) in self.stages.iter_mut().zip(increases) {
            *weights = attention(&sum.f_div_scalar(weighed.len() as f64)?)?;
        }
        journal.advance(Stage::Probe, 0, 1, work)?;
        let greatest = |weights: &Tensor| weights.f_max()?.f_double_value(&[]);
        let named = self.stages.iter().map(|(stage, weights)| {
            let name = self.start.stages[*stage].name;
            Ok(format!(
                "{name} ({} channels, weights up to {:.2})",
                weights.size()[0],
                greatest(weights)?
            ))
        });
        let named = named.collect::<Result<Vec<String>>>()?.join(", ");
        journal.monitor.info(format_args!("DELTA by {} subtomograms: {named}", weighed.len()));
        Ok(())
    }

    /// By how much the cross-entropy of the batch, summed over it, grows when a channel of a stage is set to 0: `[c]` for
    /// each stage. `told` is called after every channel.
    fn increases(
        &self,
        head: &Head,
        input: &Tensor,
        targets: &Tensor,
        told: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Vec<Tensor>> {
        let pass = Pass::of(input, BatchNormMode::Running)?;
        let loss = |after: usize, x: &Tensor| -> Result<Tensor> {
            let features = self.start.through(after..self.start.stages.len(), x, pass)?;
            let no_target_ignored = -100;
            Ok(head.forward(&features)?.f_cross_entropy_loss::<Tensor>(
                targets,
                None,
                Reduction::Sum,
                no_target_ignored,
                0.0,
            )?)
        };
        let whole = loss(0, input)?;
        let mut increases = Vec::new();
        self.each_stage(0, input, pass, |stage, x| {
            // Stages leave their input as it is, so the channel can be taken out and put back.
            let x = x.f_contiguous()?.f_detach_copy()?;
            let axis = match self.start.stages[stage].view {
                View::Map | View::Pooled => 1,
                View::Tokens(_) | View::Sections(_) => 2,
            };
            let mut of_stage = Vec::new();
            for channel in 0..x.size()[axis] {
                let mut place = x.f_narrow(axis as i64, channel, 1)?;
                let taken = place.f_detach_copy()?;
                let _ = place.f_zero_()?;
                of_stage.push(loss(stage + 1, &x)?.f_sub(&whole)?);
                place.f_copy_(&taken)?;
                told()?;
            }
            increases.push(Tensor::f_stack(&of_stage, 0)?);
            Ok(())
        })?;
        Ok(increases)
    }

    /// Walks `x`, the input of stage `first`, through the start; hands the output of each compared stage to `look`.
    fn each_stage(
        &self,
        first: usize,
        x: &Tensor,
        pass: Pass,
        mut look: impl FnMut(usize, &Tensor) -> Result<()>,
    ) -> Result<()> {
        let (mut x, mut from) = (x.shallow_clone(), first);
        for (stage, _) in &self.stages {
            x = self.start.through(from..stage + 1, &x, pass)?;
            look(*stage, &x)?;
            from = stage + 1;
        }
        Ok(())
    }

    /// Features `[n, f]` of an input `[n, 1, z, y, x]` as `passes::forward` computes them, and what is added to the loss,
    /// summed over the batch. Gradients flow through both.
    pub fn forward(
        &self,
        network: &Network,
        input: &Tensor,
        n_frozen: usize,
        batch_norm: BatchNormMode,
    ) -> Result<(Tensor, Tensor)> {
        let n_frozen = n_frozen.min(network.stages.len());
        let fixed = Pass::of(input, BatchNormMode::Running)?;
        let pass = Pass { batch_norm, ..fixed };
        let (frozen, seen) = tape::without_gradients(|| -> Result<_> {
            let frozen = network.through(0..n_frozen, input, fixed)?;
            let mut seen = Vec::new();
            self.each_stage(n_frozen, &frozen, fixed, |stage, x| {
                seen.push(self.start.stages[stage].map(x, fixed)?);
                Ok(())
            })?;
            Ok((frozen, seen))
        })?;
        let walk = |stages: Range<usize>, x: &Tensor| network.through(stages, x, pass);
        let (mut x, mut from) = (frozen, n_frozen);
        let mut sum = Tensor::f_zeros([], (Kind::Float, input.device()))?;
        for ((stage, weights), seen) in self.stages.iter().zip(seen) {
            x = walk(from..stage + 1, &x)?;
            let map = network.stages[*stage].map(&x, pass)?;
            sum = sum.f_add(&distance(&map, &seen, weights)?)?;
            from = stage + 1;
        }
        let features = walk(from..network.stages.len(), &x)?;
        Ok((features, sum.f_mul_scalar(0.5 * self.strength)?))
    }

    /// Adds the gradient of the other term of DELTA, strength / 2 times the squared weights of what the start does not
    /// have: the head, whose gradients are the last ones.
    pub fn pull(&self, weights: &[Tensor], gradients: &mut [Tensor]) -> Result<()> {
        let _guard = tch::no_grad_guard();
        for (weight, gradient) in weights.iter().zip(gradients.iter_mut()).rev().take(2) {
            if gradient.defined() {
                *gradient = gradient.f_add(&weight.f_mul_scalar(self.strength)?)?;
            }
        }
        Ok(())
    }

    /// What the training has to know again when it goes on: the weights of the channels of each stage.
    pub fn weights(&self) -> impl Iterator<Item = &Tensor> {
        self.stages.iter().map(|(_, weights)| weights)
    }
}

/// Whether feature maps are compared.
pub(super) fn is_wanted(config: &FineTune) -> bool {
    matches!(config.regularizer, Regularizer::Delta | Regularizer::DeltaUniform)
}

/// Indices of the stages that are compared, rising. Fails with `InvalidArgument` if one is unknown, frozen or pools, or
/// if none is left.
pub(super) fn chosen(config: &FineTune, network: &Network) -> Result<Vec<usize>> {
    let n_frozen = config.n_frozen_stages;
    let mut chosen = Vec::new();
    for name in &config.regularizer_stages {
        let (index, stage) =
            network.stage(name).map_err(|error| error.within("regularizer_stages"))?;
        if index < n_frozen || !stage.has_positions() {
            let why = if index < n_frozen { "is frozen" } else { "has no feature maps" };
            return Err(Error::invalid(format!("regularizer_stages: stage {name:?} {why}")));
        }
        chosen.push(index);
    }
    if chosen.is_empty() {
        let with_maps = (n_frozen..network.stages.len())
            .filter(|&index| network.stages[index].has_positions())
            .rev();
        chosen.extend(with_maps.take(N_STAGES));
    }
    chosen.sort_unstable();
    chosen.dedup();
    if chosen.is_empty() {
        return Err(Error::invalid(format!(
            "regularizer DELTA compares feature maps, but n_frozen_stages is {n_frozen} and no stage is left that has any"
        )));
    }
    Ok(chosen)
}

/// What weighing the channels takes where `n` subtomograms are trained on.
pub(super) fn work(config: &FineTune, network: &Network, n: usize) -> Result<usize> {
    if config.regularizer != Regularizer::Delta || config.n_epochs == 0 {
        return Ok(0);
    }
    let fit = if has_fitted_head(config) { 0 } else { n * FORWARD_WORK };
    Ok(fit + channel_work(config, network, n)?)
}

/// The same, once there is a head.
fn channel_work(config: &FineTune, network: &Network, n: usize) -> Result<usize> {
    let sizes = network.map_sizes(network.spec().min_input)?;
    let n_channels: i64 = chosen(config, network)?.into_iter().map(|stage| sizes[stage][0]).sum();
    Ok(n.min(MOST_WEIGHED) * n_channels as usize * CHANNEL_WORK)
}

/// Whether the training starts from a head that was fitted to the features of the start.
fn has_fitted_head(config: &FineTune) -> bool {
    matches!(config.head, HeadStart::Probe | HeadStart::ProbeStages)
}

/// Bytes of the maps and their differences that a comparison keeps for each subtomogram until gradients are computed.
pub(super) fn bytes(config: &FineTune, network: &Network, input_size: [i64; 3]) -> Result<u64> {
    /// Of f32: the start's map, the difference, its square.
    const BYTES: u64 = 3 * 4;
    if !is_wanted(config) {
        return Ok(0);
    }
    let sizes = network.map_sizes(input_size)?;
    let n_values = |stage: usize| sizes[stage].iter().product::<i64>() as u64;
    Ok(chosen(config, network)?.into_iter().map(|stage| BYTES * n_values(stage)).sum())
}

/// The head that a linear probe fits to the features of all training subtomograms.
fn fit(
    config: &FineTune,
    tuned: &Model,
    passes: &Passes<'_, '_>,
    training: &[usize],
    journal: &mut Journal<'_, '_>,
) -> Result<Head> {
    let itself = &[[false; 3]];
    let features = passes.features(tuned, training, itself, journal)?;
    let (classes, n_classes) = (passes.classes(training)?, tuned.class_names.len());
    let told = &mut |part| journal.within(Stage::Probe, part, 0);
    Ok(probe::fit(&[features], &classes, n_classes, config.seed, told)?.head)
}

/// Some of the training subtomograms, as many of every class as there are, rising.
fn weighed(training: &[usize], labels: &[i32]) -> Result<Vec<usize>> {
    let mut n_seen: std::collections::BTreeMap<i32, usize> = Default::default();
    let rank = |&index: &usize| {
        let n = n_seen.entry(labels[index]).or_default();
        *n += 1;
        (*n, index)
    };
    let mut ranked = collected(training.iter().map(rank))?;
    ranked.sort_unstable();
    let mut weighed: Vec<usize> =
        ranked.into_iter().take(MOST_WEIGHED).map(|(_, index)| index).collect();
    weighed.sort_unstable();
    Ok(weighed)
}

/// Weights `[c]` of channels without which the loss grows by `increases` `[c]`: their softmax, times c.
fn attention(increases: &Tensor) -> Result<Tensor> {
    let n = increases.size()[0];
    Ok(increases.f_softmax(0, Kind::Float)?.f_mul_scalar(n as f64)?)
}

/// Weighted squared distance of maps `[n, c, z, y, x]`, averaged over the positions, summed over channels and batch.
fn distance(map: &Tensor, start: &Tensor, weights: &Tensor) -> Result<Tensor> {
    let squares = map.f_sub(start)?.f_square()?;
    let of_channels = squares.f_mean_dim([2i64, 3, 4].as_slice(), false, Kind::Float)?;
    Ok(of_channels.f_matmul(weights)?.f_sum(Kind::Float)?)
}

#[cfg(test)]
#[path = "delta_test.rs"]
mod tests;
