//! What keeps the backbone's weights near those that the training starts from.

use tch::{Kind, Tensor};

use super::config::{FineTune, Regularizer};
use crate::error::Result;

/// A regulariser and the weights that it holds to.
#[derive(Debug)]
pub(super) struct Anchor {
    kind: Regularizer,
    strength: f64,
    /// Weights of the backbone, which the training changes, and what they were at its start.
    weights: Vec<(Tensor, Tensor)>,
}

impl Anchor {
    /// Holds to the present values of `weights`.
    pub fn new<'a>(
        config: &FineTune,
        weights: impl IntoIterator<Item = &'a Tensor>,
    ) -> Result<Anchor> {
        let mut kept = Vec::new();
        if matches!(config.regularizer, Regularizer::L2Sp | Regularizer::Mars) {
            for weight in weights {
                kept.push((weight.shallow_clone(), weight.f_detach_copy()?));
            }
        }
        let (kind, strength) = (config.regularizer, config.regularizer_strength);
        Ok(Anchor { kind, strength, weights: kept })
    }

    /// Adds the gradient of what L2-SP adds to the loss, strength / 2 * |w - start|^2, to `gradients`, of which the first
    /// are those of the backbone's weights.
    pub fn pull(&self, gradients: &mut [Tensor]) -> Result<()> {
        if self.kind != Regularizer::L2Sp {
            return Ok(());
        }
        let _guard = tch::no_grad_guard();
        for ((weight, start), gradient) in self.weights.iter().zip(gradients) {
            if gradient.defined() {
                let pull = weight.f_sub(start)?.f_mul_scalar(self.strength)?;
                *gradient = gradient.f_add(&pull)?;
            }
        }
        Ok(())
    }

    /// MARS: brings weights that have gone too far back. One factor for all weights of a layer; of tensors with less than
    /// two axes (biases, BatchNorm), every value is a row.
    pub fn project(&self) -> Result<()> {
        if self.kind != Regularizer::Mars {
            return Ok(());
        }
        let _guard = tch::no_grad_guard();
        for (weight, start) in &self.weights {
            let change = weight.f_sub(start)?;
            let rows = change.size().first().copied().unwrap_or(1);
            let sums = change.f_reshape([rows, -1])?.f_abs()?;
            let sums = sums.f_sum_dim_intlist([1i64].as_slice(), false, Kind::Float)?;
            let excess = sums.f_max()?.f_div_scalar(self.strength)?.f_clamp_min(1.0)?;
            let near = start.f_add(&change.f_div(&excess)?)?;
            weight.shallow_clone().f_copy_(&near)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anchored(kind: Regularizer, strength: f64) -> (Tensor, Anchor) {
        let weight = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0]).reshape([2, 2]);
        let config =
            FineTune { regularizer: kind, regularizer_strength: strength, ..FineTune::default() };
        let anchor = Anchor::new(&config, [&weight]).unwrap();
        (weight, anchor)
    }

    fn values(tensor: &Tensor) -> Vec<f32> {
        Vec::try_from(tensor.reshape([-1])).unwrap()
    }

    /// By hand: 0.5 times the distance from the start.
    #[test]
    fn l2_sp_pulls_towards_the_start() {
        let (mut weight, anchor) = anchored(Regularizer::L2Sp, 0.5);
        let _ = weight.f_add_(&Tensor::from_slice(&[0.0f32, 1.0, -2.0, 4.0]).reshape([2, 2]));
        let mut gradients = vec![Tensor::from_slice(&[1.0f32, 1.0, 1.0, 1.0]).reshape([2, 2])];
        anchor.pull(&mut gradients).unwrap();
        assert_eq!(values(&gradients[0]), [1.0, 1.5, 0.0, 3.0]);
        anchor.project().unwrap();
        assert_eq!(values(&weight), [1.0, 3.0, 1.0, 8.0]);
    }

    /// By hand: the changes' row sums are 3 and 6; 6 has to become 2, so all changes are divided by 3.
    #[test]
    fn mars_brings_a_layer_back_by_one_factor() {
        let (mut weight, anchor) = anchored(Regularizer::Mars, 2.0);
        let _ = weight.f_add_(&Tensor::from_slice(&[0.0f32, 3.0, -3.0, 3.0]).reshape([2, 2]));
        anchor.project().unwrap();
        assert_eq!(values(&weight), [1.0, 3.0, 2.0, 5.0]);
        // Near enough already.
        anchor.project().unwrap();
        assert_eq!(values(&weight), [1.0, 3.0, 2.0, 5.0]);
        let mut gradients = vec![Tensor::from_slice(&[1.0f32])];
        anchor.pull(&mut gradients).unwrap();
        assert_eq!(values(&gradients[0]), [1.0]);
    }
}
