//! Fine-tuning a model on labelled subtomograms, and measuring how good its scores are.

mod config;
mod metrics;
mod optimizer;
mod probe;
mod schedule;
mod split;

pub use config::{BatchNorm, FineTune, HeadStart, OptimizerKind, Schedule};
pub use metrics::{Metrics, evaluate};
pub use schedule::learning_rate;
