//! In what precision a pass multiplies.
//!
//! With bfloat16 the weights stay single-precision numbers; convolutions and matrix products round what they take to 8
//! significant bits and hand on such numbers, norms and averages compute in single precision (mixed precision,
//! Micikevicius et al. 2018; bfloat16 has the range of f32, so no loss is scaled). What is rounded is what PyTorch's
//! autocast rounds. That itself is out of reach: libtorch's wrapper switches it on for CUDA alone, to float16, and only after
//! it has asked libtorch about CUDA.

use std::cell::Cell;

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::scoped::during;
use crate::error::Result;

/// Precision of the multiply-adds of a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// Single.
    #[default]
    F32,
    /// Brain floating point: 8 significant bits, the range of single precision.
    Bf16,
}

thread_local! {
    /// That of the pass that this thread is in.
    static PRECISION: Cell<Precision> = const { Cell::new(Precision::F32) };
}

/// Runs `pass`, whose layers on this thread multiply in that precision.
pub fn in_precision<T>(precision: Precision, pass: impl FnOnce() -> T) -> T {
    during(&PRECISION, precision, pass)
}

/// The precision of the pass that this thread is in.
pub fn current() -> Precision {
    PRECISION.get()
}

/// `factor` as it is multiplied: rounded, if the pass rounds and it is a single-precision number.
pub fn rounded(factor: &Tensor) -> Result<Tensor> {
    match (PRECISION.get(), factor.f_kind()?) {
        (Precision::Bf16, Kind::Float) => Ok(factor.f_to_kind(Kind::BFloat16)?),
        _ => Ok(factor.shallow_clone()),
    }
}

/// `x` in single precision if it was rounded, as norms, averages and what comes after the network need it.
pub fn single(x: &Tensor) -> Result<Tensor> {
    match x.f_kind()? {
        Kind::BFloat16 => Ok(x.f_to_kind(Kind::Float)?),
        _ => Ok(x.shallow_clone()),
    }
}

#[cfg(test)]
#[path = "precision_test.rs"]
pub mod precision_test;
