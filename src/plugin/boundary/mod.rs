//! The border to C: every export, and the only unsafe code of the library.
//!
//! An export is ONE `boundary(...)` (or `boundary_or(...)`, `boundary_after_fork(...)`) expression that reads its arguments through `read`, calls
//! one safe function, and writes its outputs through `write` once everything has succeeded. One file per C object.
#![allow(unsafe_code)]
#![allow(
    clippy::missing_safety_doc,
    reason = "the rules at the top of the header hold for every export"
)]

mod calibrate;
mod cancel;
mod context;
mod cuda;
mod dataset;
mod error;
mod evaluate;
mod exit;
mod explain;
mod guard;
mod handles;
mod hooks;
mod infer;
mod libtorch;
mod memory;
mod model;
mod model_options;
mod pick;
mod project2d;
mod read;
mod root_module;
mod runtime;
mod split;
mod synthetic;
mod table;
mod threads;
mod train;
mod volume;
mod weights;
mod write;
