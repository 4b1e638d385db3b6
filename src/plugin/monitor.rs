//! How long work reports, and how it is stopped.

use std::fmt;

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
    cancelled: Box<dyn Fn() -> bool + Sync + 'a>,
    log: &'a dyn log::Log,
    fraction: f64,
}

impl<'a> Monitor<'a> {
    /// A monitor that hands progress to `progress`, asks `cancelled` whether to stop, and logs to `log`.
    pub fn new(
        progress: impl FnMut(&Progress) -> bool + 'a,
        cancelled: impl Fn() -> bool + Sync + 'a,
        log: &'a dyn log::Log,
    ) -> Monitor<'a> {
        Monitor { progress: Box::new(progress), cancelled: Box::new(cancelled), log, fraction: 0.0 }
    }

    /// A monitor that neither reports, logs nor stops.
    pub fn silent() -> Monitor<'static> {
        Monitor::new(|_| true, || false, log_nothing())
    }

    /// Where log lines go.
    pub fn log(&self) -> &'a dyn log::Log {
        self.log
    }

    /// What reports go through, and what may be asked meanwhile by other threads: whether to stop.
    pub fn parts(&mut self) -> (impl FnMut(Progress) -> bool, &(dyn Fn() -> bool + Sync + 'a)) {
        let Monitor { progress, cancelled, fraction, .. } = self;
        let report = move |told: Progress| {
            *fraction = fraction.max(told.fraction.clamp(0.0, 1.0));
            progress(&Progress { fraction: *fraction, ..told })
        };
        (report, &**cancelled)
    }

    /// Logs what the user should know although the call goes on.
    pub fn warn(&self, line: fmt::Arguments<'_>) {
        log_line(self.log, log::Level::Warn, line);
    }

    /// Logs what was chosen or measured.
    pub fn info(&self, line: fmt::Arguments<'_>) {
        log_line(self.log, log::Level::Info, line);
    }

    /// Reports progress; fails with `Cancelled` if the host wants to stop. The fraction never goes back.
    pub fn report(&mut self, progress: Progress) -> Result<()> {
        self.check()?;
        let goes_on = self.parts().0(progress);
        self.check()?;
        match goes_on {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::Cancelled, "stopped by the progress callback")),
        }
    }

    /// Fails with `Cancelled` if another thread asked to stop, or to end the process.
    pub fn check(&self) -> Result<()> {
        if (self.cancelled)() { Err(stopped()) } else { Ok(()) }
    }
}

/// What a call fails with that another thread, or the end of the process, stopped.
pub fn stopped() -> Error {
    let message = "stopped: the cancel flag was raised, or the process is ending";
    Error::new(ErrorKind::Cancelled, message)
}

/// Hands a line to `log`.
///
/// The macros of the `log` crate would drop it: they ask the process-wide level first, which is off unless the program
/// sets it, and is not ours to set.
pub fn log_line(log: &dyn log::Log, level: log::Level, line: fmt::Arguments<'_>) {
    let record = log::Record::builder().level(level).target("cinetomo").args(line).build();
    if log.enabled(record.metadata()) {
        log.log(&record);
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Keeps warnings and what is worse.
    #[derive(Default)]
    struct Sink(Mutex<Vec<String>>);

    impl log::Log for Sink {
        fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
            metadata.level() <= log::Level::Warn
        }
        fn log(&self, record: &log::Record<'_>) {
            self.0.lock().unwrap().push(record.args().to_string());
        }
        fn flush(&self) {}
    }

    /// The process-wide level is off here, as in a host that does not use the `log` crate.
    #[test]
    fn lines_reach_the_sink_whatever_the_process_wide_level() {
        assert_eq!(log::max_level(), log::LevelFilter::Off);
        let sink = Sink::default();
        let monitor = Monitor::new(|_| true, || false, &sink);
        monitor.warn(format_args!("box {}", 3));
        monitor.info(format_args!("not asked for"));
        drop(monitor);
        assert_eq!(sink.0.into_inner().unwrap(), ["box 3"]);
    }

    #[test]
    fn the_fraction_never_goes_back() {
        let mut seen = Vec::new();
        let mut monitor = Monitor::new(
            |progress| {
                seen.push(progress.fraction);
                true
            },
            || false,
            log_nothing(),
        );
        for step in [1, 3, 2, 4] {
            monitor.report(Progress::batch(Stage::Train, step, 4)).unwrap();
        }
        drop(monitor);
        assert_eq!(seen, [0.25, 0.75, 0.75, 1.0]);
    }
}
