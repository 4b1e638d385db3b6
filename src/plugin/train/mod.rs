//! Fine-tuning a model on labelled subtomograms, and calibrating it.

mod balance;
mod calibrate;
mod config;
mod delta;
mod fine_tune;
mod head_start;
mod journal;
mod optimizer;
mod partition;
mod passes;
pub mod presets;
mod probe;
mod regularizer;
mod resume;
mod schedule;
mod split;
mod step;
mod trainable;

pub use calibrate::{Calibration, calibrate};
pub use config::{Balance, BatchNorm, FineTune, HeadStart, OptimizerKind, Regularizer, Schedule};
pub use fine_tune::fine_tune;
pub use partition::{Fractions, Part, partition};
pub use presets::Preset;
pub use schedule::learning_rate;
