//! How long work reports, and how it is stopped.

use crate::error::{Error, ErrorKind, Result};

/// What a long call is doing; the stages of the C contract.
pub use cinetomo_abi::cinetomo_stage as Stage;

/// Where a long call stands. Values that do not apply are 0 or NaN, as in `cinetomo_progress`.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// Epoch, from 1; 0 outside training.
    pub epoch: usize,
    /// Number of epochs; 0 outside training.
    pub n_epochs: usize,
    /// Batch within the epoch or call, from 1.
    pub step: usize,
    /// Number of batches in the epoch or call.
    pub n_steps: usize,
    /// How much of the whole call is done, 0 to 1.
    pub fraction: f64,
    /// Mean training loss of the epoch so far.
    pub loss: f64,
    /// Training accuracy of the epoch so far.
    pub accuracy: f64,
    /// Validation accuracy after the last finished epoch.
    pub validation_accuracy: f64,
}

impl Progress {
    /// Step `step` of `n_steps` in work without epochs that makes up the whole call.
    pub fn batch(stage: Stage, step: usize, n_steps: usize) -> Progress {
        Progress {
            stage,
            epoch: 0,
            n_epochs: 0,
            step,
            n_steps,
            fraction: step as f64 / n_steps.max(1) as f64,
            loss: f64::NAN,
            accuracy: f64::NAN,
            validation_accuracy: f64::NAN,
        }
    }
}

/// What a call does with its progress and its log lines, and when it must stop.
pub struct Monitor<'a> {
    /// Receives progress; `false` stops the call.
    progress: Box<dyn FnMut(&Progress) -> bool + 'a>,
    /// Whether another thread asked to stop.
    cancelled: Box<dyn Fn() -> bool + 'a>,
    log: &'a dyn log::Log,
    fraction: f64,
}

impl<'a> Monitor<'a> {
    /// A monitor that hands progress to `progress`, asks `cancelled` whether to stop, and logs to `log`.
    pub fn new(
        progress: impl FnMut(&Progress) -> bool + 'a,
        cancelled: impl Fn() -> bool + 'a,
        log: &'a dyn log::Log,
    ) -> Monitor<'a> {
        Monitor { progress: Box::new(progress), cancelled: Box::new(cancelled), log, fraction: 0.0 }
    }

    /// A monitor that neither reports, logs nor stops.
    pub fn silent() -> Monitor<'static> {
        Monitor::new(|_| true, || false, log_nothing())
    }

    /// Where log lines go: `log::info!(logger: monitor.log(), "...")`.
    pub fn log(&self) -> &'a dyn log::Log {
        self.log
    }

    /// Reports progress; fails with `Cancelled` if the host wants to stop. The fraction never goes back.
    pub fn report(&mut self, progress: Progress) -> Result<()> {
        self.check()?;
        self.fraction = self.fraction.max(progress.fraction.clamp(0.0, 1.0));
        if (self.progress)(&Progress { fraction: self.fraction, ..progress }) {
            self.check()
        } else {
            Err(Error::new(ErrorKind::Cancelled, "stopped by the progress callback"))
        }
    }

    /// Fails with `Cancelled` if another thread asked to stop.
    pub fn check(&self) -> Result<()> {
        if (self.cancelled)() {
            return Err(Error::new(ErrorKind::Cancelled, "stopped: the cancel flag was raised"));
        }
        Ok(())
    }
}

/// A log that drops everything.
pub fn log_nothing() -> &'static dyn log::Log {
    struct Nothing;
    impl log::Log for Nothing {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            false
        }
        fn log(&self, _: &log::Record<'_>) {}
        fn flush(&self) {}
    }
    &Nothing
}
