//! How far a training is: progress in even steps, from an estimate of all the work.

use crate::{
    error::Result,
    monitor::{Monitor, Progress, Stage},
};

/// Work in units of a twentieth of a forward pass of one subtomogram.
///
/// Measured with I3D on two CPU cores: a training step is four forward passes, and the probe takes a twentieth of
/// computing the features it is fitted on. Only the evenness of the progress depends on these.
pub(super) mod work {
    pub const FORWARD: usize = 20;
    pub const TRAIN: usize = 4 * FORWARD;
    pub const PROBE: usize = 1;
}

/// Reports progress for a training.
pub(super) struct Journal<'m, 'a> {
    /// Receives progress and log lines.
    pub monitor: &'m mut Monitor<'a>,
    /// What is reported next, but for stage, step and fraction.
    pub state: Progress,
    done: usize,
    total: usize,
}

impl<'m, 'a> Journal<'m, 'a> {
    /// A journal of so much work, in the units of `work`.
    pub fn new(monitor: &'m mut Monitor<'a>, total: usize) -> Journal<'m, 'a> {
        Journal { monitor, state: Progress::batch(Stage::Features, 0, 0), done: 0, total }
    }

    /// Reports step `step` (from 0) of `n_steps` as done and so much work with it; fails if the host wants to stop.
    pub fn advance(
        &mut self,
        stage: Stage,
        step: usize,
        n_steps: usize,
        work: usize,
    ) -> Result<()> {
        self.done += work;
        let fraction = self.done as f64 / self.total as f64;
        let step = step + 1;
        self.monitor.report(Progress { stage, step, n_steps, fraction, ..self.state })
    }

    /// Reports that `part`, 0 to 1, of a piece of work without steps is done; the piece still has to be added.
    pub fn within(&mut self, stage: Stage, part: f64, work: usize) -> Result<()> {
        let fraction = (self.done as f64 + part * work as f64) / self.total as f64;
        self.monitor.report(Progress { stage, fraction, ..self.state })
    }
}
