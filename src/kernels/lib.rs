//! 3D convolutions on the CPU, for inference: maps with the channels last, weights prepared once, bias, sum and ReLU in the same pass.
//!
//! `Convolution` is what to use. It multiplies matrices with a kernel of its own (`matrix.rs`), of which a convolution makes few or many
//! (`direct.rs`, `winograd.rs`). SIMD comes from `pulp`, which finds at run time what the processor has; nothing here is unsafe.
//! Results do not depend on the number of threads: every value is summed up in one order.

#![forbid(unsafe_code)]

mod convolution;
mod direct;
mod gradient;
mod map;
mod matrix;
mod pool;
mod stem;
mod threads;
mod winograd;

pub use self::{
    convolution::{Convolution, Geometry, Method, Windows},
    gradient::{weight_gradient, weight_gradient_bytes},
    map::{Finish, Map},
    pool::max_pool,
};
