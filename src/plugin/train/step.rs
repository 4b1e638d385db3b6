//! One step of a training: from a batch to the gradients of its loss.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use tch::{Kind, Reduction, Tensor};

use super::{
    config::FineTune,
    delta::Delta,
    passes::{Tally, forward},
};
use crate::{
    allocation,
    augment::Mixup,
    backbone::{BatchNormMode, tape},
    error::{ErrorKind, Result},
    model::Model,
    monitor::Monitor,
};

/// A batch on the model's device.
pub(super) struct Batch {
    /// `[n, 1, d, h, w]`.
    pub input: Tensor,
    /// Classes, `[n]`.
    pub targets: Tensor,
    /// How the subtomograms were mixed, if they were.
    pub mixup: Option<Mixup>,
    /// What the features are multiplied by: 0 or 1 / (1 - dropout), `[n, features]`; `None` without dropout.
    pub dropout: Option<Tensor>,
}

impl Batch {
    /// Dropout's factors for `n` subtomograms.
    pub fn draw_dropout(
        model: &Model,
        n: usize,
        generator: &mut ChaCha8Rng,
    ) -> Result<Option<Tensor>> {
        if model.dropout == 0.0 {
            return Ok(None);
        }
        let n_features = model.network.n_features;
        let scale = (1.0 / (1.0 - model.dropout)) as f32;
        let factor = |_| if generator.random::<f64>() < model.dropout { 0.0 } else { scale };
        let factors = allocation::collected((0..n * n_features as usize).map(factor))?;
        let factors = Tensor::f_from_slice(&factors)?.f_reshape([n as i64, n_features])?;
        Ok(Some(factors.f_to_device(model.device)?))
    }
}

/// Computes gradients, micro-batch by micro-batch.
pub(super) struct Stepper<'a> {
    model: &'a Model,
    config: &'a FineTune,
    /// What the features are held to, if they are.
    delta: Option<&'a Delta>,
    /// What the gradients are of.
    weights: &'a [Tensor],
    /// What each class's loss is multiplied by, `[classes]`.
    class_weights: Tensor,
    /// Subtomograms computed at once.
    micro_batch_size: usize,
}

impl<'a> Stepper<'a> {
    /// For a model whose `weights` require gradients.
    pub fn new(
        model: &'a Model,
        config: &'a FineTune,
        delta: Option<&'a Delta>,
        weights: &'a [Tensor],
        class_weights: &[f32],
    ) -> Result<Stepper<'a>> {
        let class_weights = Tensor::f_from_slice(class_weights)?.f_to_device(model.device)?;
        let micro_batch_size = config.micro_batch_size;
        Ok(Stepper { model, config, delta, weights, class_weights, micro_batch_size })
    }

    /// Gradients of the batch's loss, one for each weight, and the loss; adds the batch to `tally`.
    ///
    /// If memory runs out, the micro-batch is halved for the rest of the training and the batch computed again.
    pub fn gradients(
        &mut self,
        batch: &Batch,
        batch_norm: BatchNormMode,
        tally: &mut Tally,
        monitor: &Monitor<'_>,
    ) -> Result<(Vec<Tensor>, f64)> {
        loop {
            let n = batch.input.size()[0] as usize;
            let mut of_batch = Tally::default();
            match self.try_gradients(batch, batch_norm, &mut of_batch) {
                Ok(gradients) => {
                    tally.merge(&of_batch);
                    return Ok((gradients, of_batch.loss()));
                }
                Err(error) if error.kind() == ErrorKind::OutOfMemory => {
                    let size = self.micro_batch_size.min(n);
                    if size < 2 {
                        return Err(error);
                    }
                    self.micro_batch_size = size.div_ceil(2);
                    monitor.warn(format_args!(
                        "out of memory with {size} subtomograms at once; going on with {} at once, and as many a \
                         step as before ({error})",
                        self.micro_batch_size
                    ));
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn try_gradients(
        &self,
        batch: &Batch,
        batch_norm: BatchNormMode,
        tally: &mut Tally,
    ) -> Result<Vec<Tensor>> {
        let n = batch.input.size()[0];
        // The loss is a weighted mean over the batch, however it is cut up.
        let total = self.class_weights.f_index_select(0, &batch.targets)?.f_sum(Kind::Float)?;
        let mut sums: Option<Vec<Tensor>> = None;
        for start in (0..n).step_by(self.micro_batch_size) {
            let length = (self.micro_batch_size as i64).min(n - start);
            let part = |tensor: &Tensor| tensor.f_narrow(0, start, length);
            let (input, targets) = (part(&batch.input)?, part(&batch.targets)?);
            let of_pass = || -> Result<_> {
                let n_frozen = self.config.n_frozen_stages;
                let (mut features, distance) = match self.delta {
                    None => (forward(self.model, &input, n_frozen, batch_norm)?, None),
                    Some(delta) => {
                        let network = &self.model.network;
                        let (features, distance) =
                            delta.forward(network, &input, n_frozen, batch_norm)?;
                        (features, Some(distance))
                    }
                };
                if let Some(factors) = &batch.dropout {
                    features = features.f_mul(&part(factors)?)?;
                }
                let logits = self.model.logits(&features)?;
                let mut losses = self.losses(&logits, &targets)?;
                if let Some(mixup) = &batch.mixup {
                    let own = part(&mixup.parts_of(&batch.input)?)?;
                    let of_partners =
                        self.losses(&logits, &part(&mixup.partners_of(&batch.targets)?)?)?;
                    losses = of_partners.f_add(&losses.f_sub(&of_partners)?.f_mul(&own)?)?;
                }
                let mut loss = losses.f_sum(Kind::Float)?.f_div(&total)?;
                if let Some(distance) = distance {
                    loss = loss.f_add(&distance.f_div_scalar(n as f64)?)?;
                }
                Ok((logits.f_detach()?, losses.f_detach()?, loss))
            };
            // The host may have switched gradients off for this thread.
            let (logits, losses, gradients) = tch::with_grad(|| -> Result<_> {
                let ((logits, losses, loss), tape) = tape::recorded(of_pass)?;
                Ok((logits, losses, tape.gradients(&loss, self.weights)?))
            })?;
            tally.add(&logits, &targets, &losses.f_mean(Kind::Float)?)?;
            sums = Some(match sums {
                None => gradients,
                Some(sums) => add(sums, gradients)?,
            });
        }
        Ok(sums.unwrap_or_default())
    }

    /// Cross-entropy of each subtomogram, `[n]`, weighted by its class.
    fn losses(&self, logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
        let no_target_ignored = -100;
        Ok(logits.f_cross_entropy_loss(
            targets,
            Some(&self.class_weights),
            Reduction::None,
            no_target_ignored,
            self.config.label_smoothing,
        )?)
    }
}

/// Sums, pair by pair; a gradient that is not defined counts as nothing.
fn add(sums: Vec<Tensor>, gradients: Vec<Tensor>) -> Result<Vec<Tensor>> {
    std::iter::zip(sums, gradients)
        .map(|(sum, gradient)| match (sum.defined(), gradient.defined()) {
            (true, true) => Ok(sum.f_add(&gradient)?),
            (true, false) => Ok(sum),
            (false, _) => Ok(gradient),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use tch::Device;

    use super::*;
    use crate::model::ModelConfig;

    /// tests/reference/losses.py: PyTorch's cross-entropy with class weights and label smoothing, and its mean.
    #[test]
    fn losses_are_those_of_pytorch() {
        let text = include_str!("../../../tests/reference/losses.json");
        let cases: Vec<Value> = serde_json::from_str(text).unwrap();
        for case in cases {
            let numbers =
                |key: &str| -> Vec<f32> { serde_json::from_value(case[key].clone()).unwrap() };
            let (logits, class_weights) = (numbers("logits"), numbers("class_weights"));
            let n_classes = class_weights.len();
            let logits = Tensor::from_slice(&logits).reshape([-1, n_classes as i64]);
            let targets: Vec<i64> = serde_json::from_value(case["targets"].clone()).unwrap();
            let config = ModelConfig {
                backbone: None,
                class_names: (0..n_classes).map(|class| class.to_string()).collect(),
                preprocess: Default::default(),
                seed: 0,
                dropout: 0.0,
            };
            let model = Model::random(config, Device::Cpu).unwrap();
            let smoothing = case["label_smoothing"].as_f64().unwrap();
            let config = FineTune { label_smoothing: smoothing, ..FineTune::default() };
            let stepper = Stepper::new(&model, &config, None, &[], &class_weights).unwrap();
            let targets = Tensor::from_slice(&targets);
            let losses = stepper.losses(&logits, &targets).unwrap();
            let total = stepper.class_weights.index_select(0, &targets).sum(Kind::Double);
            let mean = (losses.sum(Kind::Double) / total).double_value(&[]);
            assert!((mean - case["mean"].as_f64().unwrap()).abs() < 1e-6, "{case}");
            let found = Vec::<f32>::try_from(losses).unwrap();
            for (found, expected) in found.iter().zip(numbers("losses")) {
                assert!((found - expected).abs() < 1e-5, "{found} is not {expected}");
            }
        }
    }
}

#[cfg(test)]
#[path = "out_of_memory_test.rs"]
mod out_of_memory_test;
