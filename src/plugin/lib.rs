//! cinetomo: subtomogram classification with 3D networks initialised from video.
//!
//! The crate is built as the shared library that tomography software loads; its contract is `include/cinetomo.h`.
//! Dependencies inside point one way: boundary -> train, insight, synthetic, pick -> model, predict -> backbone, weights,
//! preprocess, confidence -> volume, metrics, parameters, parallel, monitor, error.
#![deny(unsafe_code)]

mod allocation;
pub mod augment;
pub mod backbone;
pub mod confidence;
pub mod dataset;
pub mod error;
pub mod insight;
pub mod memory;
pub mod metrics;
pub mod model;
pub mod model_file;
pub mod monitor;
pub mod parallel;
pub mod parameters;
pub mod pick;
pub mod predict;
pub mod preprocess;
mod quiet;
pub mod synthetic;
mod tensor_file;
pub mod train;
pub mod volume;
pub mod weights;

mod boundary;
