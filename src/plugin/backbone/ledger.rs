//! What a pass through a network would allocate and multiply, found without making it: an empty batch walks through the
//! stages, and every layer enters what it made of it.
//!
//! Shapes of an empty batch `[0, c, z, y, x]` are exact and cost nothing. Whoever folds an axis into the batch says so
//! with `folded`, whoever allocates beside the layers says so with `enter`.

use std::cell::RefCell;

use tch::Tensor;

use crate::error::Result;

/// Bytes of an f32.
pub const F32: u64 = 4;

thread_local! {
    /// The ledger of the walk that this thread is on.
    static LEDGER: RefCell<Option<Ledger>> = const { RefCell::new(None) };
}

/// What a pass costs.
#[derive(Debug, Default)]
pub struct Ledger {
    /// What the layers of each stage make, in their order.
    stages: Vec<Vec<Entry>>,
    /// Multiply-adds of a sample's pass forward.
    pub multiply_adds: u64,
    /// Rows of a layer's batch that one sample makes up.
    rows: u64,
}

/// Bytes of a tensor.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// For each sample.
    sample: u64,
    /// Whatever the batch.
    fixed: u64,
    /// Whether only passes with gradients make it.
    training_only: bool,
}

impl Entry {
    fn of(self, batch_size: u64) -> u64 {
        self.sample.saturating_mul(batch_size).saturating_add(self.fixed)
    }
}

impl Ledger {
    /// What stages enter on this thread while `walk` goes through them. It calls `next_stage` before each.
    pub fn of(walk: impl FnOnce() -> Result<()>) -> Result<Ledger> {
        let outer = LEDGER.replace(Some(Ledger { rows: 1, ..Ledger::default() }));
        let outcome = walk();
        let ledger = LEDGER.replace(outer).unwrap_or_default();
        outcome.map(|()| ledger)
    }

    /// Bytes that live at once in a pass of a batch without gradients, at most.
    ///
    /// A layer's input and output are alive, and the tensor before them: a block's input, which waits for the block's
    /// end, or one side of an addition.
    pub fn inference(&self, batch_size: u64) -> u64 {
        let entries: Vec<u64> = (self.stages.iter().flatten())
            .filter(|entry| !entry.training_only)
            .map(|entry| entry.of(batch_size))
            .collect();
        let neighbours = |end: usize| entries[end.saturating_sub(2)..=end].iter().sum();
        (0..entries.len()).map(neighbours).max().unwrap_or(0)
    }

    /// Bytes that live at once in a pass of a batch with gradients from stage `n_frozen` on, at most, without those of
    /// the weights.
    ///
    /// Backward needs about every tensor of the forward pass. When it has come down to a layer, what was made up to there
    /// is still alive, and the gradients of the layer's output and input are.
    pub fn training(&self, batch_size: u64, n_frozen: usize) -> u64 {
        let mut made = 0u64;
        let mut before = 0;
        let mut most = self.inference(batch_size);
        for entry in self.stages.iter().skip(n_frozen).flatten() {
            let bytes = entry.of(batch_size);
            made = made.saturating_add(bytes);
            most = most.max(made.saturating_add(bytes).saturating_add(before));
            before = bytes;
        }
        most
    }

    fn push(&mut self, entry: Entry) {
        if let Some(stage) = self.stages.last_mut() {
            stage.push(entry);
        }
    }
}

/// What is entered from now on is the next stage's.
pub fn next_stage() {
    on_walk(|ledger| ledger.stages.push(Vec::new()));
}

/// Enters a new tensor `[n, ...]` of so many bytes and multiply-adds a value.
pub fn enter(output: &Tensor, bytes: u64, multiply_adds: i64) {
    on_walk(|ledger| {
        let n_values = ledger.rows * n_values(&output.size()[1..]);
        ledger.multiply_adds += n_values * multiply_adds as u64;
        ledger.push(Entry { sample: n_values * bytes, ..Entry::default() });
    });
}

/// Enters a new f32 tensor `[n, shape]` that is only made where gradients are computed.
pub fn enter_for_training(shape: &[i64]) {
    on_walk(|ledger| {
        let sample = ledger.rows * n_values(shape) * F32;
        ledger.push(Entry { sample, training_only: true, ..Entry::default() });
    });
}

/// Enters a new f32 tensor that has the same size for any batch.
pub fn enter_fixed(tensor: &Tensor) {
    on_walk(|ledger| {
        ledger.push(Entry { fixed: n_values(&tensor.size()) * F32, ..Entry::default() });
    });
}

fn n_values(shape: &[i64]) -> u64 {
    shape.iter().product::<i64>() as u64
}

fn on_walk(enter: impl FnOnce(&mut Ledger)) {
    LEDGER.with_borrow_mut(|ledger| ledger.as_mut().map(enter));
}

/// Runs `inner`, for whose layers a sample is `n` rows of the batch.
pub fn folded<T>(n: i64, inner: impl FnOnce() -> T) -> T {
    let n = n.max(1) as u64;
    on_walk(|ledger| ledger.rows *= n);
    let result = inner();
    on_walk(|ledger| ledger.rows /= n);
    result
}

#[cfg(test)]
#[path = "ledger_test.rs"]
mod ledger_test;
