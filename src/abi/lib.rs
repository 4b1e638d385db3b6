//! The C contract of cinetomo, ABI 1: every type and constant that crosses the library's border, and the
//! table of its functions.
//!
//! `include/cinetomo.h` is generated from this crate and from the exports of the `cinetomo` crate, so the names
//! here are the names that C sees. Nothing here does any work and, without the `stable-abi` feature, nothing here
//! depends on another crate: a Rust host can speak to the plugin through these types alone.
//!
//! Layout rules, held by tests: `#[repr(C)]`, no hidden padding, integers and never enums or bools on the way in,
//! and every struct that may grow starts with `struct_size`.
#![allow(non_camel_case_types)]

mod confidence;
mod context;
mod dataset;
mod error;
mod evaluate;
mod hooks;
mod insight;
mod model;
mod pick;
mod project2d;
#[cfg(feature = "stable-abi")]
mod root_module;
mod runtime;
mod split;
mod synthetic;
mod table;
mod train;
mod volume;

pub use confidence::*;
pub use context::*;
pub use dataset::*;
pub use error::*;
pub use evaluate::*;
pub use hooks::*;
pub use insight::*;
pub use model::*;
pub use pick::*;
pub use project2d::*;
#[cfg(feature = "stable-abi")]
pub use root_module::{cinetomo_root_module, cinetomo_root_module_Ref};
pub use runtime::*;
pub use split::*;
pub use synthetic::*;
pub use table::*;
pub use train::*;
pub use volume::*;

/// Version of the contract in this header. `cinetomo_get_api` takes it, and refuses a version it does not serve.
pub const CINETOMO_ABI_VERSION: u32 = 1;
