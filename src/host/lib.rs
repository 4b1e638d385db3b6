//! Finds and loads the cinetomo plugin, and calls it safely from Rust.
//!
//! A host needs this crate and no libtorch: the plugin brings that into the process when it is loaded.
//!
//! ```no_run
//! use cinetomo_host::{Hooks, ModelOptions, Plugin, Volume};
//!
//! # fn main() -> Result<(), cinetomo_host::Error> {
//! let plugin = Plugin::find(None)?;
//! let context = plugin.context(plugin.context_options())?;
//! let options = ModelOptions::new(["ribosome", "ferritin"]);
//! let video = context.model_from_video("i3d-kinetics-400.ckpt", &options, Hooks::none())?;
//!
//! let (voxels, labels) = (vec![0.0f32; 20 * 32 * 32 * 32], vec![0; 20]);
//! let subtomograms = Volume::new(&voxels, [20, 32, 32, 32])?.voxel_size(10.0);
//! let model = video.fine_tune(&subtomograms, &labels, &plugin.fine_tune_options(), Hooks::none())?;
//! let probabilities = model.classify(&subtomograms, Hooks::none())?;
//! # Ok(()) }
//! ```

mod buffer;
mod confidence;
mod context;
mod dataset;
mod error;
mod evaluate;
mod explain;
mod extension;
mod hooks;
mod libtorch;
mod loader;
pub mod manifest;
mod model;
mod options;
mod pick;
mod project2d;
mod reading;
mod synthetic;
mod tomogram;
mod volume;

pub use cinetomo_abi as abi;
pub use confidence::Predictions;
pub use context::Context;
pub use dataset::Dataset;
pub use error::Error;
pub use evaluate::Evaluation;
pub use explain::GradCamOptions;
pub use hooks::{Cancel, Hooks, Progress};
pub use loader::{Plugin, RuntimeInfo};
pub use manifest::Manifest;
pub use model::{Model, ModelInfo};
pub use options::{ContextOptions, FineTuneOptions, Log, ModelOptions};
pub use pick::{Extracted, Pick, Picked};
pub use project2d::Project2d;
pub use synthetic::Synthetic;
pub use tomogram::Tomogram;
pub use volume::{Volume, Voxel};
