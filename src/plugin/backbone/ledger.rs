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

/// What one sample costs.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Bytes of the tensors that the layers of each stage make, in their order.
    stages: Vec<Vec<u64>>,
    /// Multiply-adds of a pass forward.
    pub multiply_adds: u64,
    /// Rows of a layer's batch that one sample makes up.
    rows: u64,
}

impl Ledger {
    /// What stages enter on this thread while `walk` goes through them. It calls `next_stage` before each.
    pub fn of(walk: impl FnOnce() -> Result<()>) -> Result<Ledger> {
        let outer = LEDGER.replace(Some(Ledger { rows: 1, ..Ledger::default() }));
        let outcome = walk();
        let ledger = LEDGER.replace(outer).unwrap_or_default();
        outcome.map(|()| ledger)
    }

    /// Bytes that live at once in a pass without gradients, at most.
    ///
    /// A layer's input and output are alive, and the tensor before them: a block's input, which waits for the block's
    /// end, or one side of an addition.
    pub fn inference(&self) -> u64 {
        let entries = self.stages.concat();
        let neighbours = |end: usize| entries[end.saturating_sub(2)..=end].iter().sum();
        (0..entries.len()).map(neighbours).max().unwrap_or(0)
    }

    /// Bytes that live at once in a pass with gradients from stage `n_frozen` on, at most, without those of the weights.
    ///
    /// Backward needs about every tensor of the forward pass. When it has come down to a layer, what was made up to there
    /// is still alive, and the gradients of the layer's output and input are.
    pub fn training(&self, n_frozen: usize) -> u64 {
        let mut made = 0;
        let mut before = 0;
        let mut most = self.inference();
        for bytes in self.stages.iter().skip(n_frozen).flatten() {
            made += bytes;
            most = most.max(made + bytes + before);
            before = *bytes;
        }
        most
    }
}

/// What is entered from now on is the next stage's.
pub fn next_stage() {
    LEDGER.with_borrow_mut(|ledger| {
        if let Some(ledger) = ledger {
            ledger.stages.push(Vec::new());
        }
    });
}

/// Enters a new tensor `[n, ...]` of so many bytes and multiply-adds a value.
pub fn enter(output: &Tensor, bytes: u64, multiply_adds: i64) {
    LEDGER.with_borrow_mut(|ledger| {
        if let Some(ledger) = ledger {
            let n_values = output.size().iter().skip(1).product::<i64>() as u64 * ledger.rows;
            if let Some(stage) = ledger.stages.last_mut() {
                stage.push(n_values * bytes);
            }
            ledger.multiply_adds += n_values * multiply_adds as u64;
        }
    });
}

/// Runs `inner`, for whose layers a sample is `n` rows of the batch.
pub fn folded<T>(n: i64, inner: impl FnOnce() -> T) -> T {
    let scale = |factor: &dyn Fn(u64) -> u64| {
        LEDGER.with_borrow_mut(|ledger| {
            if let Some(ledger) = ledger {
                ledger.rows = factor(ledger.rows);
            }
        });
    };
    let n = n.max(1) as u64;
    scale(&|rows| rows * n);
    let result = inner();
    scale(&|rows| rows / n);
    result
}
