//! cinetomo: subtomogram classification with 3D networks initialised from video.
//!
//! The crate is built as the shared library that tomography software loads; its contract is `include/cinetomo.h`.
//! Dependencies inside point one way: boundary -> train, synthetic -> model -> backbone, weights, preprocess ->
//! volume, parameters, monitor, error.
#![deny(unsafe_code)]

pub mod backbone;
pub mod error;
pub mod monitor;
pub mod parameters;
pub mod synthetic;
