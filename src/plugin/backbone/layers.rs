//! Layers that the networks share. Each creates its tensors under the names it is given.

use tch::Tensor;

use super::BatchNormMode;
use crate::{
    error::Result,
    parameters::{Parameters, Role},
};

/// How a convolution or pool treats its borders.
#[derive(Clone, Copy, Debug)]
pub enum Padding {
    /// So many zeros on both sides along z, y, x.
    Fixed([i64; 3]),
    /// TensorFlow's SAME: output = ceil(input / stride), the odd zero at the far end.
    Same,
}
