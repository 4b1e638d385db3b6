//! How much memory work will take, told before it starts.
//!
//! Counted: the model's weights and what training keeps beside them, the network's input, and the tensors that live at
//! once in a pass (`backbone::Ledger`). Not counted: the caller's voxels, libtorch itself and, on a GPU, the CUDA context
//! and cuDNN's workspace. How far off this is: benches/record/networks.md.

mod available;

use tch::Device;

use crate::{
    error::{Error, Result},
    model::Model,
    monitor::Monitor,
};

/// Bytes of an f32.
const F32: u64 = 4;

/// One part in so many of what is alive is added for the gaps between the blocks of glibc's allocator where transformers classify, as measured.
/// Convolutional networks that classify leave none worth counting: their maps are few and large, and what stays was allocated before them
/// (benches/record/networks.md).
const GAPS: u64 = 10;

/// The same where there are gradients: blocks below 32 MB come from one heap, and gradients that stay are made while feature maps go. With a mapping
/// for each block, trainings took what is counted; without, 10 to 30 % more (benches/record/networks.md).
const TRAINING_GAPS: u64 = 5;

/// Longest edge of a box that is estimated. None that long fits into a machine, and the numbers stay in range.
const MAX_EDGE: i64 = 4096;

/// Bytes of inputs that no machine has, so that nothing more is said of the rest.
const MOST_INPUTS: u64 = 1 << 48;

/// What a model is asked to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Work {
    /// To classify or embed.
    Inference,
    /// To be fine-tuned.
    Training {
        /// Stages whose weights stay as they are.
        n_frozen_stages: usize,
        /// Numbers kept for each trained weight beside itself and its gradient: the sum of those of micro-batches, the optimiser's moments, its best
        /// value, its start.
        n_copies: u64,
        /// Bytes of feature maps that are kept for each subtomogram besides, to be compared with those of the network that
        /// the training starts from, which is then kept, too; 0 = they are not compared.
        maps: u64,
        /// Subtomograms of a step, if not all of them are computed at once.
        n_of_step: u64,
    },
    /// To say where in the box the evidence for a class lies.
    Explaining {
        /// Index of the stage whose maps are weighed: from its output on there are gradients.
        stage: usize,
    },
}

impl Work {
    /// Fine-tuning as a whole with Adam, without validation: two moments a weight.
    pub const TRAINING: Work =
        Work::Training { n_frozen_stages: 0, n_copies: 2, maps: 0, n_of_step: 0 };
}

impl Model {
    /// Most bytes that the model and the work on it take at once on the model's device, for batches of `batch_size`
    /// subtomograms of size `box_size` (beam axis first): an estimate. Training counts the model that it starts from and
    /// the one that it makes.
    ///
    /// Fails with `InvalidArgument` if a size makes no sense, and with `ModelMismatch` if the box is too small for the
    /// network.
    pub fn memory_estimate(
        &self,
        box_size: [i64; 3],
        batch_size: usize,
        work: Work,
    ) -> Result<u64> {
        check_box(box_size)?;
        if batch_size == 0 {
            return Err(Error::invalid("batch_size is 0; it must be at least 1"));
        }
        let input_size = self.input_size(box_size)?;
        let (all, n) = (self.bytes(0), batch_size as u64);
        // The input, and its mirror image or augmented version.
        let n_voxels = input_size.iter().product::<i64>() as u64;
        let n_inputs = match work {
            Work::Training { n_of_step, .. } => n.max(n_of_step),
            _ => n,
        };
        let inputs = (2 * n_voxels * F32).saturating_mul(n_inputs);
        if inputs > MOST_INPUTS {
            return Ok(u64::MAX);
        }
        let (kept, pass) = match work {
            Work::Inference => {
                let cost = self.network.cost_of_inference(input_size)?;
                (all + cost.prepared, cost.inference(n))
            }
            Work::Explaining { stage } => {
                (all, self.network.cost(input_size)?.training(n, stage + 1))
            }
            Work::Training { n_frozen_stages, n_copies, maps, .. } => {
                let trained = self.bytes(n_frozen_stages);
                let step = self.network.cost_of_step(input_size, n, n_frozen_stages)?.step();
                // All gradients are there when the weights are changed.
                let step = (step + maps * n).max(trained);
                // Features that a head is fitted to come from a third network, before there is what training keeps.
                let cost = self.network.cost_of_inference(input_size)?;
                let start = all + cost.prepared + cost.inference(n);
                ((2 + u64::from(maps > 0)) * all, (n_copies * trained + step).max(start))
            }
        };
        let alive = kept.saturating_add(pass).saturating_add(inputs);
        let gaps = match work {
            Work::Inference if self.network.has_batch_norm() => 0,
            Work::Inference => alive / GAPS,
            Work::Explaining { .. } | Work::Training { .. } => alive / TRAINING_GAPS,
        };
        Ok(alive.saturating_add(gaps))
    }

    /// Bytes of the head and of the tensors of the stages from `first_stage` on.
    fn bytes(&self, first_stage: usize) -> u64 {
        let parameters = self.network.parameters.iter();
        let parameters = parameters.filter(|parameter| parameter.stage >= first_stage);
        let tensors = parameters.map(|parameter| &parameter.tensor);
        let tensors = tensors.chain([&self.head.weight, &self.head.bias]);
        tensors.map(|tensor| tensor.numel() as u64 * F32).sum()
    }

    /// Logs a warning if the work is estimated to take more memory than the machine has available. Says nothing of a
    /// GPU: libtorch's wrapper does not tell how much of its memory is free.
    pub fn warn_of_memory(
        &self,
        box_size: [i64; 3],
        batch_size: usize,
        work: Work,
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        let Some(available) = available::bytes().filter(|_| self.device == Device::Cpu) else {
            return Ok(());
        };
        // The model is there already.
        let estimate = self.memory_estimate(box_size, batch_size, work)? - self.bytes(0);
        if estimate > available {
            let gigabytes = |bytes: u64| bytes as f64 / 1e9;
            let (what, way_out) = match work {
                Work::Inference | Work::Explaining { .. } => ("this", "a smaller input_size"),
                Work::Training { .. } => {
                    ("fine-tuning", "a smaller micro_batch_size or input_size, or frozen stages,")
                }
            };
            monitor.warn(format_args!(
                "{what} is estimated to need {:.1} GB of memory beside the model, in batches of {batch_size} inputs of \
                 {:?} voxels, but {:.1} GB are available: it may be slow or be killed; {way_out} needs less",
                gigabytes(estimate),
                self.preprocess.output_size(box_size),
                gigabytes(available),
            ));
        }
        Ok(())
    }
}

/// Fails with `InvalidArgument` unless work on boxes of that size can be estimated.
pub fn check_box(box_size: [i64; 3]) -> Result<()> {
    if box_size.iter().all(|extent| (1..=MAX_EDGE).contains(extent)) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "box_size {box_size:?}: each edge must be from 1 to {MAX_EDGE} voxels"
    )))
}

#[cfg(test)]
#[path = "memory_test.rs"]
mod memory_test;
