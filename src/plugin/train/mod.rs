//! Fine-tuning a model on labelled subtomograms, and measuring how good its scores are.

mod config;
mod fine_tune;
mod head_start;
mod journal;
mod metrics;
mod optimizer;
mod passes;
mod probe;
mod schedule;
mod split;
mod trainable;

pub use config::{BatchNorm, FineTune, HeadStart, OptimizerKind, Schedule};
pub use fine_tune::fine_tune;
pub use metrics::{Metrics, evaluate};
pub use schedule::learning_rate;
