//! cinetomo: subtomogram classification with 3D networks initialised from video.
//!
//! The crate is built as the shared library that tomography software loads; its contract is `include/cinetomo.h`.
//! Dependencies inside point one way: boundary -> train, synthetic, pick -> model -> backbone, weights, preprocess
//! -> volume, parameters, parallel, monitor, error.
#![deny(unsafe_code)]

pub mod augment;
pub mod backbone;
pub mod error;
pub mod model;
pub mod model_file;
pub mod monitor;
pub mod parallel;
pub mod parameters;
pub mod pick;
pub mod preprocess;
pub mod synthetic;
pub mod train;
pub mod volume;
pub mod weights;

mod boundary;
