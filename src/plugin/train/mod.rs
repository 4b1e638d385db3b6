//! Fine-tuning a model on labelled subtomograms, and measuring how good its scores are.

mod balance;
mod config;
mod fine_tune;
mod head_start;
mod journal;
mod metrics;
mod optimizer;
mod passes;
pub mod presets;
mod probe;
mod regularizer;
mod resume;
mod schedule;
mod split;
mod step;
mod trainable;

pub use config::{Balance, BatchNorm, FineTune, HeadStart, OptimizerKind, Regularizer, Schedule};
pub use fine_tune::fine_tune;
pub use metrics::{Metrics, evaluate};
pub use presets::Preset;
pub use schedule::learning_rate;
