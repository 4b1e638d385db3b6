//! What the user sees: progress and log on stderr, the result on stdout.

use std::{
    collections::HashSet,
    io::{self, IsTerminal, Write},
    ops::ControlFlow,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use cinetomo_host::{
    Progress,
    abi::{cinetomo_log_level as Level, cinetomo_stage as Stage},
};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use crate::failure::{Failure, Result};

/// Steps of a bar: more than a terminal has columns.
const STEPS: u64 = 10_000;

/// How much is said, and in which form.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// The result as JSON.
    pub json: bool,
    /// Only errors.
    pub quiet: bool,
    /// 1 = what was chosen and measured, 2 = details, 3 = everything.
    pub verbose: u8,
}

/// Where messages go; copies share the terminal.
#[derive(Clone, Debug)]
pub struct Console {
    manner: Manner,
    bars: MultiProgress,
    /// Warnings that were shown: the plugin repeats them in every call, and a run makes a call for every chunk.
    warned: Arc<Mutex<HashSet<String>>>,
}

impl Console {
    /// A console of this manner. Bars are drawn on a terminal only.
    pub fn new(manner: Manner) -> Console {
        let visible = !manner.quiet && io::stderr().is_terminal();
        let target =
            if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bars = MultiProgress::with_draw_target(target);
        Console { manner, bars, warned: Arc::default() }
    }

    /// The least severe messages that are shown.
    pub fn level(&self) -> Level {
        match self.manner {
            Manner { quiet: true, .. } => Level::Error,
            Manner { verbose: 0, .. } => Level::Warn,
            Manner { verbose: 1, .. } => Level::Info,
            Manner { verbose: 2, .. } => Level::Debug,
            _ => Level::Trace,
        }
    }

    /// Shows a line of this level (a `cinetomo_log_level` as a number) on stderr.
    pub fn log(&self, level: i32, message: &str) {
        if level > self.level() as i32 {
            return;
        }
        if level == Level::Warn as i32 {
            // A panic while it was locked can only have been one of the allocator.
            let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
            if !warned.insert(message.to_owned()) {
                return;
            }
        }
        let kind = match level {
            1 => "error: ",
            2 => "warning: ",
            _ => "",
        };
        // Nothing can be done about a stderr that is closed.
        self.bars.suspend(|| _ = writeln!(io::stderr(), "cinetomo: {kind}{message}"));
    }

    /// Something that the user should know.
    pub fn warn(&self, message: impl AsRef<str>) {
        self.log(Level::Warn as i32, message.as_ref());
    }

    /// What was chosen or found.
    pub fn info(&self, message: impl AsRef<str>) {
        self.log(Level::Info as i32, message.as_ref());
    }

    /// The result of the command: as text, or as one line of JSON.
    ///
    /// # Errors
    /// Stdout cannot be written. A reader that has gone, such as `head`, is none.
    pub fn result(&self, text: &str, json: &Value) -> Result<()> {
        let line = if self.manner.json { json.to_string() } else { text.trim_end().to_owned() };
        if line.is_empty() {
            return Ok(());
        }
        print(&format!("{line}\n"))
    }

    /// What went wrong, at the end: on stderr, and on stdout too where that is for machines.
    pub fn failure(&self, failure: &Failure) {
        self.log(Level::Error as i32, &failure.to_string());
        if self.manner.json {
            let object = serde_json::json!({
                "error": failure.to_string(),
                "exit_code": failure.exit_code(),
            });
            // It is already an error that ends the run.
            _ = print(&format!("{object}\n"));
        }
    }

    /// A bar from 0 to 1, which is gone from the terminal when it is dropped.
    pub fn bar(&self, title: &str) -> Bar {
        let bar = self.bars.add(ProgressBar::new(STEPS));
        let template = "{prefix} [{wide_bar:.cyan}] {percent:>3} %  {eta} left{msg}";
        // The template is a constant and sound; otherwise the default style is good enough.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(title.to_owned());
        bar.enable_steady_tick(Duration::from_millis(500));
        Bar { bar, low: 0.0, high: 1.0 }
    }
}

/// Writes to stdout.
///
/// # Errors
/// It cannot be written. A reader that has gone is no error.
pub fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Error(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// A progress bar.
#[derive(Debug)]
pub struct Bar {
    bar: ProgressBar,
    /// The part of the bar that the running call fills.
    low: f64,
    high: f64,
}

impl Bar {
    /// What the next call reports as 0 to 1 is this part of the whole.
    pub fn part(&mut self, done: usize, end: usize, total: usize) {
        let total = total.max(1) as f64;
        (self.low, self.high) = (done as f64 / total, end as f64 / total);
        self.set(0.0);
    }

    /// Moves to this fraction of the part.
    pub fn set(&self, fraction: f64) {
        let place = self.low + fraction * (self.high - self.low);
        self.bar.set_position((place * STEPS as f64) as u64);
    }

    /// Shows the progress of a call of the plugin.
    pub fn show(&self, progress: &Progress) -> ControlFlow<()> {
        self.set(progress.fraction);
        let mut message = String::new();
        if progress.stage == Stage::Train as i32 {
            message += &format!("  epoch {}/{}", progress.epoch, progress.n_epochs);
            if progress.loss.is_finite() {
                message += &format!("  loss {:.3}", progress.loss);
            }
            if progress.accuracy.is_finite() {
                message += &format!("  accuracy {:.2}", progress.accuracy);
            }
            if progress.validation_accuracy.is_finite() {
                message += &format!("  validation {:.2}", progress.validation_accuracy);
            }
        }
        self.bar.set_message(message);
        ControlFlow::Continue(())
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
