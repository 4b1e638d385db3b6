//! 3D convolutions on the CPU, their gradients and what stands between them: maps with the channels last, bias, sum and ReLU in the same pass.
//!
//! `Convolution` is what to use. It multiplies matrices with a kernel of its own (`matrix.rs`), of which a convolution makes few or many
//! (`direct.rs`, `winograd.rs`, `gradient.rs`). SIMD comes from `pulp`, which finds at run time what the processor has; nothing here is unsafe.
//! Results do not depend on the number of threads: every value is summed up in one order.

#![forbid(unsafe_code)]

mod convolution;
mod direct;
mod gradient;
mod map;
mod matrix;
mod norm;
mod pool;
mod stem;
mod stem_gradient;
mod threads;
mod winograd;

pub use self::{
    convolution::{Convolution, Geometry, Method, Windows},
    gradient::{weight_gradient, weight_gradient_bytes},
    map::{Finish, Map},
    norm::{Back, Moments, moments, scale_and_shift},
    pool::{max_pool, max_pool_back},
    stem_gradient::{stem_gradient, stem_gradient_bytes},
    threads::{Crew, employ},
};
