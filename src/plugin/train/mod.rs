//! Fine-tuning a model on labelled subtomograms, and calibrating it.

mod calibrate;
mod config;
mod fine_tune;
mod head_start;
mod journal;
mod optimizer;
mod partition;
mod passes;
mod probe;
mod schedule;
mod split;
mod trainable;

pub use calibrate::{Calibration, calibrate};
pub use config::{BatchNorm, FineTune, HeadStart, OptimizerKind, Schedule};
pub use fine_tune::fine_tune;
pub use partition::{Fractions, Part, partition};
pub use schedule::learning_rate;
