//! The learning rate, a pure function of the step.

use std::f64::consts::PI;

use super::config::{FineTune, Schedule};

/// Learning rate of step `step` (from 0) of the `n_steps` in epoch `epoch` (from 1), where the first step of all has
/// `initial`.
///
/// The cosine is eq. 5 of Loshchilov & Hutter 2017 without restarts, with 0 at the end of the last step.
pub fn learning_rate(
    config: &FineTune,
    initial: f64,
    epoch: usize,
    step: usize,
    n_steps: usize,
) -> f64 {
    match &config.schedule {
        Schedule::Constant => initial,
        Schedule::Step { milestones, gamma } => {
            let ticks = (epoch - 1) / config.schedule_interval;
            let passed = milestones.iter().filter(|milestone| **milestone <= ticks).count();
            initial * gamma.powi(passed as i32)
        }
        Schedule::Cosine => {
            let done = ((epoch - 1) * n_steps + step) as f64 / (config.n_epochs * n_steps) as f64;
            initial * 0.5 * (1.0 + (PI * done).cos())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(schedule: Schedule, n_epochs: usize, n_steps: usize) -> Vec<f64> {
        let config = FineTune { schedule, n_epochs, ..FineTune::default() };
        (1..=n_epochs)
            .flat_map(|epoch| (0..n_steps).map(move |step| (epoch, step)))
            .map(|(epoch, step)| learning_rate(&config, 0.2, epoch, step, n_steps))
            .collect()
    }

    fn assert_close(got: &[f64], expected: &[f64]) {
        assert_eq!(got.len(), expected.len());
        for (got, expected) in got.iter().zip(expected) {
            assert!((got - expected).abs() < 1e-15, "{got} is not {expected}");
        }
    }

    /// By hand: cos of 0, 45, 90, 135 degrees.
    #[test]
    fn cosine_falls_step_by_step_across_epochs() {
        let half_sqrt = 0.5f64.sqrt();
        let expected = [0.2, 0.1 * (1.0 + half_sqrt), 0.1, 0.1 * (1.0 - half_sqrt)];
        assert_close(&rates(Schedule::Cosine, 2, 2), &expected);
        assert_close(&rates(Schedule::Cosine, 4, 1), &expected);
    }

    /// The paper: one tenth after 15 and 22 epochs; here after 1 and 3 of 4.
    #[test]
    fn steps_come_after_their_epoch() {
        let schedule = Schedule::Step { milestones: vec![1, 3], gamma: 0.1 };
        assert_close(&rates(schedule, 4, 2), &[0.2, 0.2, 0.02, 0.02, 0.02, 0.02, 0.002, 0.002]);
    }

    #[test]
    fn constant_stays() {
        assert_close(&rates(Schedule::Constant, 2, 2), &[0.2; 4]);
    }
}
