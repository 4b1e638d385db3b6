//! From gradients to steps.
//!
//! Not libtorch's optimisers: their state cannot be saved through tch, and a training that is resumed must go on as if it
//! had not been stopped.

use tch::{Device, Tensor};

use super::config::{FineTune, OptimizerKind};
use crate::error::Result;

/// Decay of the first and second moment, and what keeps the division finite: the paper's (Kingma & Ba 2015, alg. 1).
const BETAS: [f64; 2] = [0.9, 0.999];
const EPSILON: f64 = 1e-8;

/// A tensor that the optimiser changes, and what the rule keeps of its past.
#[derive(Debug)]
struct Weight {
    tensor: Tensor,
    /// What multiplies the learning rate.
    rate_factor: f64,
    /// Running mean of the gradient (Adam) or the velocity (SGD), and running mean of its square (Adam).
    moments: Vec<Tensor>,
}

/// Values of a weight that are changed at once on the CPU: with the gradient, the moments and what is between, they stay in the caches.
const AT_ONCE: i64 = 1 << 16;

/// How a gradient becomes a step.
#[derive(Clone, Copy, Debug)]
struct Rule {
    kind: OptimizerKind,
    momentum: f64,
    weight_decay: f64,
}

/// A rule with its state.
#[derive(Debug)]
pub(super) struct Optimizer {
    rule: Rule,
    weights: Vec<Weight>,
    n_steps: usize,
}

impl Optimizer {
    /// An optimiser that will change `parameters`, each with what multiplies its learning rate.
    pub fn new<'a>(
        config: &FineTune,
        parameters: impl IntoIterator<Item = (&'a Tensor, f64)>,
    ) -> Result<Optimizer> {
        let n_moments = match config.optimizer {
            OptimizerKind::Adam | OptimizerKind::AdamW => 2,
            OptimizerKind::Sgd => usize::from(config.momentum > 0.0),
        };
        let weights = parameters.into_iter().map(|(tensor, rate_factor)| {
            let tensor = tensor.shallow_clone();
            let zeros = || Ok(tensor.f_detach()?.f_zeros_like()?);
            let moments = (0..n_moments).map(|_| zeros()).collect::<Result<_>>()?;
            Ok(Weight { tensor, rate_factor, moments })
        });
        Ok(Optimizer {
            rule: Rule {
                kind: config.optimizer,
                momentum: config.momentum,
                weight_decay: config.weight_decay,
            },
            weights: weights.collect::<Result<_>>()?,
            n_steps: 0,
        })
    }

    /// One step down `gradients`, one for each tensor; a tensor whose gradient is not defined stays.
    pub fn step(&mut self, gradients: &[Tensor], learning_rate: f64) -> Result<()> {
        let _guard = tch::no_grad_guard();
        self.n_steps += 1;
        let of_weights = std::iter::zip(&mut self.weights, gradients);
        for (weight, gradient) in of_weights.filter(|(_, gradient)| gradient.defined()) {
            let rate = learning_rate * weight.rate_factor;
            let n = weight.tensor.numel() as i64;
            let at_once = if weight.tensor.device() == Device::Cpu { AT_ONCE } else { n.max(1) };
            let values = flat(&weight.tensor)?;
            // libtorch's come with the channels last now and then.
            let gradient = flat(&gradient.f_contiguous()?)?;
            let moments = weight.moments.iter().map(flat).collect::<Result<Vec<_>>>()?;
            for start in (0..n).step_by(at_once as usize) {
                let part = |tensor: &Tensor| tensor.f_narrow(0, start, at_once.min(n - start));
                let mut moments = moments.iter().map(part).collect::<Result<Vec<_>, _>>()?;
                self.rule.apply(
                    part(&values)?,
                    part(&gradient)?,
                    &mut moments,
                    rate,
                    self.n_steps,
                )?;
            }
        }
        Ok(())
    }

    /// Steps taken so far.
    pub fn n_steps(&self) -> usize {
        self.n_steps
    }

    /// What the rule keeps, in a fixed order. The tensors share their storage with it.
    pub fn state(&self) -> impl Iterator<Item = &Tensor> {
        self.weights.iter().flat_map(|weight| &weight.moments)
    }

    /// Says how many steps its state stands for.
    pub fn resume_after(&mut self, n_steps: usize) {
        self.n_steps = n_steps;
    }
}

impl Rule {
    /// Changes `values` by the step that their gradient and moments say.
    fn apply(
        self,
        mut values: Tensor,
        gradient: Tensor,
        moments: &mut [Tensor],
        rate: f64,
        n_steps: usize,
    ) -> Result<()> {
        let gradient = match (self.kind, self.weight_decay) {
            (_, 0.0) => gradient,
            (OptimizerKind::AdamW, decay) => {
                let _ = values.f_mul_scalar_(1.0 - rate * decay)?;
                gradient
            }
            (_, decay) => gradient.f_add(&values.f_mul_scalar(decay)?)?,
        };
        let change = match self.kind {
            OptimizerKind::Adam | OptimizerKind::AdamW => adam(moments, &gradient, n_steps)?,
            OptimizerKind::Sgd => sgd(moments, gradient, self.momentum)?,
        };
        let _ = values.f_sub_(&change.f_mul_scalar(rate)?)?;
        Ok(())
    }
}

/// All values of a contiguous tensor in a row, where they lie.
fn flat(tensor: &Tensor) -> Result<Tensor> {
    Ok(tensor.f_view([-1])?)
}

/// Kingma & Ba 2015, algorithm 1: the step for a learning rate of 1.
fn adam(moments: &mut [Tensor], gradient: &Tensor, n_steps: usize) -> Result<Tensor> {
    let [mean, square] = moments else { return Ok(gradient.shallow_clone()) };
    let [beta_1, beta_2] = BETAS;
    let _ = mean.f_lerp_(gradient, 1.0 - beta_1)?;
    let _ = square.f_lerp_(&gradient.f_square()?, 1.0 - beta_2)?;
    let [bias_1, bias_2] = BETAS.map(|beta| 1.0 - beta.powi(n_steps as i32));
    let mut root = square.f_sqrt()?;
    let _ = root.f_mul_scalar_(bias_1 / bias_2.sqrt())?.f_add_scalar_(bias_1 * EPSILON)?;
    Ok(mean.f_div(&root)?)
}

/// Gradient descent with momentum as PyTorch defines it (Sutskever et al. 2013 but for the place of the learning rate).
fn sgd(moments: &mut [Tensor], gradient: Tensor, momentum: f64) -> Result<Tensor> {
    let [velocity] = moments else { return Ok(gradient) };
    let _ = velocity.f_mul_scalar_(momentum)?.f_add_(&gradient)?;
    Ok(velocity.shallow_clone())
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
            let mut optimizer = Optimizer::new(&config, [(&weights, 1.0)]).expect("optimiser");
            for (rate, expected) in case.learning_rates.iter().zip(&case.steps) {
                let loss = (&curvature * &weights * &weights).sum(Kind::Double) * 0.5
                    + weights.sin().sum(Kind::Double);
                let gradients = Tensor::run_backward(&[loss], &[&weights], false, false);
                optimizer.step(&gradients, *rate).expect("step");
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
            assert_eq!(optimizer.n_steps(), case.steps.len());
        }
    }
}
