//! What a training changes in a model, and how it is brought back from the best epoch.

use tch::Tensor;

use super::{config::FineTune, passes::Tally};
use crate::{
    error::Result,
    model::Model,
    monitor::Monitor,
    parameters::{Parameter, Role},
};

/// Tensors that share their storage with the model's.
pub(super) struct Trainable {
    /// What gradients change: the backbone's weights, then the head's two.
    pub weights: Vec<Tensor>,
    /// What multiplies the learning rate of each weight.
    pub rate_factors: Vec<f64>,
    /// Running means and variances of BatchNorm.
    pub statistics: Vec<Tensor>,
}

impl Trainable {
    /// The tensors of the stages that are not frozen, and the head.
    pub fn new(model: &Model, config: &FineTune) -> Trainable {
        let of_role = |role| {
            let parameters = model.network.parameters.iter();
            parameters.filter(move |parameter| {
                parameter.role == role && parameter.stage >= config.n_frozen_stages
            })
        };
        let shared = |parameter: &Parameter| parameter.tensor.shallow_clone();
        let head = [&model.head.weight, &model.head.bias].map(Tensor::shallow_clone);
        // The last stage pools and has no weights; the one before it is next to the head.
        let n_stages = model.network.stages.len() as i32;
        let rate_factor = |parameter: &Parameter| {
            config.stage_rate_decay.powi(n_stages - 1 - parameter.stage as i32)
        };
        Trainable {
            weights: of_role(Role::Weight).map(shared).chain(head).collect(),
            rate_factors: of_role(Role::Weight).map(rate_factor).chain([1.0; 2]).collect(),
            statistics: of_role(Role::Statistic).map(shared).collect(),
        }
    }

    /// Weights of the backbone.
    pub fn backbone(&self) -> &[Tensor] {
        &self.weights[..self.weights.len() - 2]
    }

    /// Whether gradients of the weights are computed.
    pub fn require_gradients(&self, required: bool) -> Result<()> {
        for weight in &self.weights {
            let _ = weight.f_set_requires_grad(required)?;
        }
        Ok(())
    }

    /// Whether every value is a number.
    pub fn is_finite(&self) -> Result<bool> {
        for tensor in self.iter() {
            if tensor.f_isfinite()?.f_all()?.f_int64_value(&[])? == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// All tensors, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = &Tensor> {
        self.weights.iter().chain(&self.statistics)
    }
}

/// The epoch with the best validation so far, and a copy of the values of then, on the model's device.
pub(super) struct Best {
    /// Its number.
    pub epoch: usize,
    /// Its validation.
    pub tally: Tally,
    /// The values of the trainable tensors, in their order.
    pub values: Vec<Tensor>,
}

impl Best {
    /// The start, epoch 0.
    pub fn new(trainable: &Trainable, tally: Tally) -> Result<Best> {
        let values = trainable.iter().map(|tensor| Ok(tensor.f_detach_copy()?));
        Ok(Best { epoch: 0, tally, values: values.collect::<Result<_>>()? })
    }

    /// Takes this epoch instead if its validation is better.
    pub fn consider(&mut self, trainable: &Trainable, epoch: usize, tally: Tally) -> Result<()> {
        if !tally.beats(&self.tally) {
            return Ok(());
        }
        (self.epoch, self.tally) = (epoch, tally);
        let _guard = tch::no_grad_guard();
        for (values, tensor) in self.values.iter_mut().zip(trainable.iter()) {
            values.f_copy_(tensor)?;
        }
        Ok(())
    }

    /// Gives the model the values of then, and returns the epoch.
    pub fn restore(self, trainable: &Trainable, monitor: &Monitor<'_>) -> Result<usize> {
        let _guard = tch::no_grad_guard();
        for (values, tensor) in self.values.iter().zip(trainable.iter()) {
            tensor.shallow_clone().f_copy_(values)?;
        }
        let accuracy = self.tally.accuracy();
        monitor.info(format_args!(
            "returning epoch {}: validation accuracy {accuracy:.3}",
            self.epoch
        ));
        Ok(self.epoch)
    }
}
