//! Residual blocks.

use tch::Tensor;

use super::{BatchNormMode, folded::Ending, layers::Chain, ledger, tape};
use crate::error::Result;

/// A residual block (He et al. 2016, "Deep Residual Learning for Image Recognition", figures 2 and 5).
pub struct Residual {
    /// The layers whose output the shortcut is added to.
    pub path: Chain,
    /// What is added.
    pub shortcut: Shortcut,
}

impl Residual {
    /// From `[n, n_in, z, y, x]` to `[n, n_out, z', y', x']`, a ReLU after the sum.
    pub fn forward(&self, input: &Tensor, mode: BatchNormMode) -> Result<Tensor> {
        if mode == BatchNormMode::Folded || tape::is_recording() {
            return self.fused(input, mode);
        }
        let mut output =
            ledger::holding(ledger::bytes(&[input]), || self.path.forward(input, mode))?;
        // In place: the gradient of a sum needs neither summand.
        let mut sum = match &self.shortcut {
            Shortcut::Identity => output.f_add_(input)?,
            Shortcut::Projection(chain) => {
                let held = ledger::bytes(&[input, &output]);
                let projected = ledger::holding(held, || chain.forward(input, mode))?;
                output.f_add_(&projected)?
            }
            &Shortcut::Subsample { stride, n_added, gradient } => {
                let taken = subsample(input, stride, n_added)?;
                output.f_add_(&if gradient { taken } else { taken.f_detach()? })?
            }
        };
        Ok(sum.f_relu_()?)
    }

    /// The forms in which sum and ReLU are the end of the last convolution.
    fn fused(&self, input: &Tensor, mode: BatchNormMode) -> Result<Tensor> {
        let summand = match &self.shortcut {
            Shortcut::Identity => input.shallow_clone(),
            // The gradient that comes back through the path is there first.
            Shortcut::Projection(chain) => ledger::joining(input, || chain.forward(input, mode))?,
            &Shortcut::Subsample { stride, n_added, gradient } => {
                let taken = subsample(input, stride, n_added)?;
                if gradient { taken } else { taken.f_detach()? }
            }
        };
        let ending = Ending { summand: Some(&summand), relu: true };
        let path = || self.path.with_ending(input, false, ending, mode);
        ledger::holding(ledger::bytes(&[input, &summand]), || match &self.shortcut {
            Shortcut::Identity => ledger::joining(input, path),
            _ => ledger::waiting(ledger::of_batch(&summand), path),
        })
    }
}

/// What a residual block adds to the output of its path.
pub enum Shortcut {
    /// Its input.
    Identity,
    /// Its input, brought to the shape of that output ("option B" of He et al.).
    Projection(Box<Chain>),
    /// Every so many-th voxel of its input and channels of zeros ("option A").
    Subsample {
        /// One in so many voxels along each axis is taken.
        stride: i64,
        /// Channels of zeros, after those of the input.
        n_added: i64,
        /// Whether a gradient flows back to the input.
        gradient: bool,
    },
}

/// Every `stride`-th voxel along each axis, and `n_added` channels of zeros.
fn subsample(input: &Tensor, stride: i64, n_added: i64) -> Result<Tensor> {
    let along_z = input.f_slice(2, None, None, stride)?;
    let taken = along_z.f_slice(3, None, None, stride)?.f_slice(4, None, None, stride)?;
    let output = taken.f_constant_pad_nd([0, 0, 0, 0, 0, 0, 0, n_added])?;
    ledger::enter(&output, ledger::F32, 0);
    Ok(output)
}
