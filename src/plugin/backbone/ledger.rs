//! What a pass through a network would allocate and multiply, found without making it: an empty batch walks through the
//! stages, and every layer enters what it made of it.
//!
//! Shapes of an empty batch `[0, c, z, y, x]` are exact and cost nothing. Whoever folds an axis into the batch says so
//! with `folded`, whoever allocates beside the layers says so with `enter`.

mod step;

use std::cell::RefCell;

use tch::Tensor;

use self::step::Step;
pub use self::step::{Layer, batch_size, enter_layer, joining, of_batch, of_map, waiting};
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
    /// What layers make, in their order.
    entries: Vec<Entry>,
    /// Where the entries of each stage begin.
    stages: Vec<usize>,
    /// Multiply-adds of a sample's pass forward.
    pub multiply_adds: u64,
    /// Bytes of the largest weights that are copied.
    largest_copy: u64,
    /// Bytes of the weights in their inference form.
    pub prepared: u64,
    /// Most bytes that threads work in.
    scratch: u64,
    /// Rows of a layer's batch that one sample makes up.
    rows: u64,
    /// What is held now.
    held: Held,
    /// The part of the pass with gradients, if it is a step of training.
    step: Option<Step>,
}

/// Bytes of a tensor.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// For each sample.
    sample: u64,
    /// Whatever the batch.
    fixed: u64,
    /// Whether only passes with gradients make it, or only those without.
    only: Option<Only>,
    /// What is held meanwhile.
    held: Held,
}

/// Passes that make something.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Only {
    Training,
    Inference,
}

/// Tensors that stay alive besides a layer's own.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    /// Their bytes for each sample.
    sample: u64,
    /// The first entry that is made while they are held.
    since: usize,
}

impl Entry {
    fn of(&self, batch_size: u64) -> u64 {
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
    /// A layer's output, its input, the tensor before that (one of two in a sum, or what a statement has not let go yet),
    /// and what is held.
    pub fn inference(&self, batch_size: u64) -> u64 {
        let made = |entry: &&Entry| entry.only != Some(Only::Training);
        let alive = |(end, last): (usize, &Entry)| {
            let own =
                self.entries[last.held.since.min(end)..=end].iter().rev().filter(made).take(3);
            let own = own.map(|entry| entry.of(batch_size)).fold(0, u64::saturating_add);
            own.saturating_add(last.held.sample.saturating_mul(batch_size))
        };
        let entries = self.entries.iter().enumerate().filter(|(_, entry)| made(entry));
        entries.map(alive).max().unwrap_or(0).saturating_add(self.largest_copy + self.scratch)
    }

    /// Bytes that live at once in a pass of a batch with gradients by libtorch from stage `n_frozen` on, at most, without those of
    /// the weights.
    ///
    /// Backward needs about every tensor of the forward pass. When it has come down to a layer, what was made up to there
    /// is still alive, and the gradients of the layer's output and input are.
    pub fn training(&self, batch_size: u64, n_frozen: usize) -> u64 {
        let first = self.stages.get(n_frozen).copied().unwrap_or(self.entries.len());
        let mut made = 0u64;
        let mut before = 0;
        let mut most = 0;
        let entries = &self.entries[first..];
        for entry in entries.iter().filter(|entry| entry.only != Some(Only::Inference)) {
            let bytes = entry.of(batch_size);
            made = made.saturating_add(bytes);
            most = most.max(made.saturating_add(bytes).saturating_add(before));
            before = bytes;
        }
        // Weights and their gradient are copied.
        self.inference(batch_size).max(most.saturating_add(2 * self.largest_copy))
    }

    /// Bytes that live at once in the step of training that was walked through, at most, gradients of the weights and the inference form of frozen stages
    /// included.
    pub fn step(&self) -> u64 {
        let most = |step: &Step| self.prepared + self.inference(step.n).max(step.most());
        self.step.as_ref().map_or(0, most)
    }

    fn enter(&mut self, entry: Entry) {
        match &mut self.step {
            None => self.entries.push(Entry { held: self.held, ..entry }),
            Some(_) if entry.only == Some(Only::Inference) => {}
            Some(step) => step.enter_made(entry.sample, entry.fixed),
        }
    }
}

/// What is entered from now on is the next stage's.
pub fn next_stage() {
    on_walk(|ledger| ledger.stages.push(ledger.entries.len()));
}

/// What is entered from now on is of a step of training with `n` subtomograms at once, whose gradients end at `input`.
pub fn begin_step(n: u64, input: &Tensor) {
    on_walk(|ledger| ledger.step = Some(Step::new(n, input)));
}

/// Enters a new tensor `[n, ...]` of so many bytes and multiply-adds a value.
pub fn enter(output: &Tensor, bytes: u64, multiply_adds: i64) {
    on_walk(|ledger| {
        let n_values = ledger.rows * n_values(&output.size()[1..]);
        ledger.multiply_adds += n_values * multiply_adds as u64;
        ledger.enter(Entry { sample: n_values * bytes, ..Entry::default() });
    });
}

/// Enters a new f32 tensor `[n, shape]` that is only made where gradients are computed.
pub fn enter_for_training(shape: &[i64]) {
    on_walk(|ledger| {
        let sample = ledger.rows * n_values(shape) * F32;
        ledger.enter(Entry { sample, only: Some(Only::Training), ..Entry::default() });
    });
}

/// Enters a new f32 tensor `[n, ...]` that takes the place of another where there are gradients.
pub fn enter_for_inference(output: &Tensor) {
    on_walk(|ledger| {
        let sample = ledger.rows * n_values(&output.size()[1..]) * F32;
        ledger.enter(Entry { sample, only: Some(Only::Inference), ..Entry::default() });
    });
}

/// Enters a new f32 tensor that has the same size for any batch.
pub fn enter_fixed(tensor: &Tensor) {
    on_walk(|ledger| {
        let fixed = n_values(&tensor.size()) * F32;
        ledger.enter(Entry { fixed, ..Entry::default() });
    });
}

/// Enters the weights of a convolution: oneDNN works on a copy in an order of its own.
pub fn enter_copy(weight: &Tensor) {
    on_walk(|ledger| {
        let bytes = n_values(&weight.size()) * F32;
        match &mut ledger.step {
            None => ledger.largest_copy = ledger.largest_copy.max(bytes),
            Some(step) => step.enter_weights(bytes, true),
        }
    });
}

/// Enters the weights of a layer of libtorch's, ahead of what it makes.
pub fn enter_weights(weight: &Tensor) {
    on_walk(|ledger| {
        if let Some(step) = &mut ledger.step {
            step.enter_weights(n_values(&weight.size()) * F32, false);
        }
    });
}

/// Enters the bytes of weights in their inference form.
pub fn enter_prepared(bytes: u64) {
    on_walk(|ledger| ledger.prepared += bytes);
}

/// Enters what all threads together work in.
pub fn enter_scratch(bytes: u64) {
    on_walk(|ledger| ledger.scratch = ledger.scratch.max(bytes));
}

/// Whether this thread is on a walk.
pub fn is_walking() -> bool {
    LEDGER.with_borrow(Option::is_some)
}

/// Bytes of f32 tensors `[n, ...]` for each sample, to be held.
pub fn bytes(tensors: &[&Tensor]) -> u64 {
    let mut sum = 0;
    on_walk(|ledger| {
        sum = tensors.iter().map(|tensor| n_values(&tensor.size()[1..])).sum::<u64>();
        sum *= ledger.rows * F32;
    });
    sum
}

/// Runs `inner`, all through which so many bytes more stay alive for each sample. Only passes without gradients let go of
/// tensors, so only their cost is higher for it.
pub fn holding<T>(sample: u64, inner: impl FnOnce() -> T) -> T {
    let mut outer = Held::default();
    on_walk(|ledger| {
        outer = ledger.held;
        ledger.held = Held { sample: outer.sample + sample, since: ledger.entries.len() };
    });
    let result = inner();
    on_walk(|ledger| ledger.held = outer);
    result
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
