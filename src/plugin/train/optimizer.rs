//! From gradients to steps: libtorch's optimisers on our tensors.

use tch::{COptimizer, Tensor};

use super::config::{FineTune, OptimizerKind};
use crate::error::Result;

/// Decay of the first and second moment, and what keeps the division finite: the paper's (Kingma & Ba 2015, alg. 1).
const BETAS: [f64; 2] = [0.9, 0.999];
const EPSILON: f64 = 1e-8;

/// The state of an optimiser.
#[derive(Debug)]
pub(super) struct Optimizer(COptimizer);

impl Optimizer {
    /// An optimiser that will change `parameters`, leaf tensors that require gradients.
    pub fn new<'a>(
        config: &FineTune,
        parameters: impl IntoIterator<Item = &'a Tensor>,
    ) -> Result<Optimizer> {
        // Each step sets its own learning rate.
        let rate = 0.0;
        let decay = config.weight_decay;
        let [beta_1, beta_2] = BETAS;
        let mut inner = match config.optimizer {
            OptimizerKind::Adam => COptimizer::adam(rate, beta_1, beta_2, decay, EPSILON, false),
            OptimizerKind::AdamW => COptimizer::adamw(rate, beta_1, beta_2, decay, EPSILON, false),
            OptimizerKind::Sgd => COptimizer::sgd(rate, config.momentum, 0.0, decay, false),
        }?;
        for parameter in parameters {
            inner.add_parameters(parameter, 0)?;
        }
        Ok(Optimizer(inner))
    }

    /// One step of that length down the gradient of `loss`.
    pub fn step(&mut self, loss: &Tensor, learning_rate: f64) -> Result<()> {
        self.0.zero_grad()?;
        loss.f_backward()?;
        self.0.set_learning_rate(learning_rate)?;
        Ok(self.0.step()?)
    }

    /// Drops the gradients of the last step.
    pub fn release_gradients(self) -> Result<()> {
        Ok(self.0.zero_grad()?)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use tch::Kind;

    use super::*;

    /// A case of tests/reference/optimizer.py.
    #[derive(Deserialize)]
    struct Case {
        optimizer: String,
        momentum: f64,
        weight_decay: f64,
        learning_rates: Vec<f64>,
        start: Vec<f64>,
        curvature: Vec<f64>,
        steps: Vec<Vec<f64>>,
    }

    /// Steps down 0.5 * sum(curvature * w^2) + sum(sin w) are those that the papers' formulas give.
    #[test]
    fn steps_are_those_of_the_papers() {
        let text = include_str!("../../../tests/reference/optimizer.json");
        let cases: Vec<Case> = serde_json::from_str(text).expect("reference");
        assert_eq!(cases.len(), 7);
        for case in cases {
            let optimizer = match case.optimizer.as_str() {
                "adam" => OptimizerKind::Adam,
                "adamw" => OptimizerKind::AdamW,
                "sgd" => OptimizerKind::Sgd,
                other => panic!("{other}"),
            };
            let config = FineTune {
                optimizer,
                momentum: case.momentum,
                weight_decay: case.weight_decay,
                ..FineTune::default()
            };
            let weights = Tensor::from_slice(&case.start).set_requires_grad(true);
            let curvature = Tensor::from_slice(&case.curvature);
            let mut optimizer = Optimizer::new(&config, [&weights]).expect("optimiser");
            for (rate, expected) in case.learning_rates.iter().zip(&case.steps) {
                let loss = (&curvature * &weights * &weights).sum(Kind::Double) * 0.5
                    + weights.sin().sum(Kind::Double);
                optimizer.step(&loss, *rate).expect("step");
                let got = Vec::<f64>::try_from(weights.detach()).expect("weights");
                for (got, expected) in got.iter().zip(expected) {
                    assert!(
                        (got - expected).abs() < 1e-12,
                        "{} with decay {}: {got} is not {expected}",
                        case.optimizer,
                        case.weight_decay
                    );
                }
            }
            optimizer.release_gradients().expect("release");
            assert!(!weights.grad().defined());
        }
    }
}
