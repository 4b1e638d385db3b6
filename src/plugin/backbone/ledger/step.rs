//! What a step of training takes: layers enter what they keep for the way back, and what they take there.

use tch::Tensor;

use super::{F32, bytes, n_values, on_walk};

/// What a layer takes in a step, in bytes for the whole batch.
#[derive(Clone, Copy, Debug, Default)]
pub struct Layer {
    /// Kept from its pass forward until its gradient has gone back.
    pub kept: u64,
    /// Beside that, on the way forward.
    pub forward: u64,
    /// On the way back, beside what it and the layers before it keep.
    pub back: u64,
    /// What it works in on the way back, and leaves to the layers whose turn comes then.
    pub scratch: u64,
    /// Its weights: their gradients stay.
    pub weights: u64,
}

/// The layers of a step, in the order of the pass forward.
#[derive(Debug)]
pub struct Step {
    /// Subtomograms computed at once.
    pub n: u64,
    /// Each with the bytes of gradients that wait meanwhile for layers before it.
    layers: Vec<(Layer, u64)>,
    waiting: u64,
    /// Of the layer that comes next: what is entered ahead of its output.
    next: Layer,
}

impl Step {
    /// For `n` subtomograms at once, whose gradients end at `input`.
    pub fn new(n: u64, input: &Tensor) -> Step {
        let kept = n * n_values(&input.size()[1..]) * F32;
        let layers = vec![(Layer { kept, ..Layer::default() }, 0)];
        Step { n, layers, waiting: 0, next: Layer::default() }
    }

    /// Bytes that are there at once, gradients of the weights included, at most.
    pub fn most(&self) -> u64 {
        let (mut most, mut kept) = (0, 0);
        for (layer, _) in &self.layers {
            kept += layer.kept;
            most = most.max(kept + layer.forward);
        }
        let (mut gradients, mut scratch) = (0, 0);
        for (layer, waiting) in self.layers.iter().rev() {
            gradients += layer.weights;
            scratch = layer.scratch.max(scratch);
            most = most.max(kept + gradients + scratch + waiting + layer.back);
            kept -= layer.kept;
        }
        most
    }

    /// Enters a layer.
    pub fn enter(&mut self, layer: Layer) {
        self.layers.push((layer, self.waiting));
    }

    /// Enters what a layer of libtorch's makes, which it keeps. On the way back there are the gradients of that and of what was made before.
    pub fn enter_made(&mut self, sample: u64, fixed: u64) {
        let made = self.n * sample + fixed;
        let before = self.layers.last().map_or(0, |(layer, _)| layer.kept);
        let Layer { forward, back, weights, .. } = std::mem::take(&mut self.next);
        let back = made + before + back;
        self.enter(Layer { kept: made, forward, back, weights, ..Layer::default() });
    }

    /// Enters weights of the layer that is entered next, which are copied in the pass forward if `copied`, and with their gradient on the way back.
    pub fn enter_weights(&mut self, bytes: u64, copied: bool) {
        let next = &mut self.next;
        next.weights += bytes;
        if copied {
            next.forward += bytes;
            next.back += 2 * bytes;
        }
    }
}

/// Enters a layer of the step that this thread walks through.
pub fn enter_layer(layer: Layer) {
    on_step(|step| step.enter(layer));
}

/// Subtomograms of the step that this thread walks through.
pub fn batch_size() -> u64 {
    on_step(|step| step.n)
}

/// Bytes of an f32 tensor `[n, ...]` for the whole batch.
pub fn of_batch(tensor: &Tensor) -> u64 {
    batch_size() * bytes(&[tensor])
}

/// The same of a map like `[n, c, z, y, x]` with so many channels.
pub fn of_map(map: &Tensor, n_channels: i64) -> u64 {
    of_batch(map) / map.size()[1] as u64 * n_channels as u64
}

/// Runs `inner`, during whose way back gradients of so many bytes wait for what comes before it.
pub fn waiting<T>(bytes: u64, inner: impl FnOnce() -> T) -> T {
    on_step(|step| step.waiting += bytes);
    let result = inner();
    on_step(|step| step.waiting -= bytes);
    result
}

/// Runs `inner`, which takes what layers after it have taken, too: the gradient that they left waits for its own, and then there is the sum.
pub fn joining<T>(input: &Tensor, inner: impl FnOnce() -> T) -> T {
    let bytes = if input.requires_grad() { of_batch(input) } else { 0 };
    on_step(|step| step.enter(Layer { back: 3 * bytes, ..Layer::default() }));
    waiting(bytes, inner)
}

/// Does nothing off a walk through a step.
fn on_step<T: Default>(act: impl FnOnce(&mut Step) -> T) -> T {
    let mut result = T::default();
    on_walk(|ledger| {
        if let Some(step) = &mut ledger.step {
            result = act(step);
        }
    });
    result
}

#[cfg(test)]
#[path = "step_test.rs"]
mod step_test;
