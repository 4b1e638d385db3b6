//! Gradients of layers that compute them themselves, among libtorch's.
//!
//! libtorch's wrapper has no functions with gradients of one's own. So a layer that has them hands on its output as a leaf of libtorch's graph, as if
//! nothing came before it, and enters into the tape of its thread how the gradient of that output goes on. `Tape::gradients` asks libtorch for the
//! gradients of the loss with respect to all leaves, then goes back through the entries; what lies between two of them is libtorch's again.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
};

use tch::{Kind, Tensor};

use super::scoped::during;
use crate::error::Result;

/// From the gradient of an output to those of the tensors that it was made of: pairs of tensor and gradient. The values are what it may work in.
type Back = Box<dyn FnOnce(Tensor, &mut Vec<f32>) -> Result<Vec<(Tensor, Tensor)>>>;

struct Entry {
    output: Tensor,
    back: Back,
}

thread_local! {
    static TAPE: RefCell<Option<Vec<Entry>>> = const { RefCell::new(None) };
    /// Whether gradients are not wanted for a while.
    static IS_PAUSED: Cell<bool> = const { Cell::new(false) };
}

/// What layers with gradients of their own did in a pass.
pub struct Tape {
    entries: Vec<Entry>,
}

/// Runs `pass`, in which layers on this thread may compute gradients themselves: those of what it returns come from the tape.
pub fn recorded<T>(pass: impl FnOnce() -> Result<T>) -> Result<(T, Tape)> {
    /// Restores what was, also after a panic.
    struct Restored(Option<Vec<Entry>>);
    impl Drop for Restored {
        fn drop(&mut self) {
            TAPE.replace(self.0.take());
        }
    }
    let _restored = Restored(TAPE.replace(Some(Vec::new())));
    let outcome = pass()?;
    let entries = TAPE.with_borrow_mut(|tape| tape.take().unwrap_or_default());
    Ok((outcome, Tape { entries }))
}

/// Runs `pass`, of which no gradients are wanted, in the midst of one that is recorded.
pub fn without_gradients<T>(pass: impl FnOnce() -> T) -> T {
    during(&IS_PAUSED, true, || {
        let _guard = tch::no_grad_guard();
        pass()
    })
}

/// Whether this thread is in a pass that is recorded.
pub fn is_recording() -> bool {
    !IS_PAUSED.get() && TAPE.with_borrow(Option::is_some)
}

/// Enters how the gradient of `output`, which libtorch knows nothing of, goes on; returns the leaf that stands for it.
pub fn enter(
    output: Tensor,
    back: impl FnOnce(Tensor, &mut Vec<f32>) -> Result<Vec<(Tensor, Tensor)>> + 'static,
) -> Result<Tensor> {
    let output = output.f_set_requires_grad(true)?;
    let entry = Entry { output: output.shallow_clone(), back: Box::new(back) };
    TAPE.with_borrow_mut(|tape| tape.as_mut().map(|entries| entries.push(entry)));
    Ok(output)
}

impl Tape {
    /// Gradients of `loss`, which the pass made, one for each of `weights`; not defined where it does not depend on one. A tensor is let go when its
    /// gradient has gone on.
    pub fn gradients(mut self, loss: &Tensor, weights: &[Tensor]) -> Result<Vec<Tensor>> {
        if self.entries.is_empty() {
            return Ok(Tensor::f_run_backward(&[loss], weights, false, false)?);
        }
        let (mut found, mut scratch) = (HashMap::new(), Vec::new());
        self.ask_libtorch(loss, weights, &mut found)?;
        while let Some(Entry { output, back }) = self.entries.pop() {
            let Some(gradient) = found.remove(&key(&output)) else { continue };
            drop(output);
            for (tensor, gradient) in tch::no_grad(|| back(gradient, &mut scratch))? {
                if !tensor.requires_grad() {
                    continue;
                }
                if tensor.f_is_leaf()? {
                    add(&mut found, &tensor, gradient)?;
                } else {
                    // The gradient of this product is that of the tensor.
                    let product = tensor.f_mul(&gradient)?.f_sum(Kind::Float)?;
                    self.ask_libtorch(&product, weights, &mut found)?;
                }
            }
        }
        Ok(weights.iter().map(|weight| found.remove(&key(weight)).unwrap_or_default()).collect())
    }

    /// Adds libtorch's gradients of a sum with respect to the leaves.
    fn ask_libtorch(
        &self,
        sum: &Tensor,
        weights: &[Tensor],
        found: &mut HashMap<usize, Tensor>,
    ) -> Result<()> {
        let outputs = self.entries.iter().map(|entry| &entry.output);
        let leaves: Vec<&Tensor> = outputs.chain(weights).collect();
        // What several layers take is walked through for each of them.
        let keep_graph = true;
        let gradients = Tensor::f_run_backward(&[sum], &leaves, keep_graph, false)?;
        for (leaf, gradient) in leaves.into_iter().zip(gradients) {
            if gradient.defined() {
                add(found, leaf, gradient)?;
            }
        }
        Ok(())
    }
}

/// Where a leaf's values lie: no two leaves that are alive share them.
fn key(leaf: &Tensor) -> usize {
    leaf.data_ptr() as usize
}

fn add(found: &mut HashMap<usize, Tensor>, leaf: &Tensor, gradient: Tensor) -> Result<()> {
    let sum = match found.remove(&key(leaf)) {
        Some(other) => tch::no_grad(|| other.f_add(&gradient))?,
        None => gradient,
    };
    found.insert(key(leaf), sum);
    Ok(())
}

#[cfg(test)]
#[path = "tape_test.rs"]
mod tape_test;
