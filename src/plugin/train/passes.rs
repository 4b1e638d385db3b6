//! What goes through the network while training: batches with and without gradients.

use serde::{Deserialize, Serialize};
use tch::{Kind, Reduction, Tensor};

use super::{
    journal::{FORWARD_WORK, Journal},
    split::batches,
};
use crate::{
    allocation::{collected, filled, values},
    augment::Mirrors,
    backbone::{BatchNormMode, Network, Pass, layers::average, tape},
    error::Result,
    model::{Model, not_finite},
    monitor::Stage,
    predict::Scores,
    volume::Volume,
};

/// Sums over subtomograms that went through the network.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Tally {
    n: usize,
    n_correct: f64,
    loss: f64,
}

impl Tally {
    /// Adds a batch: its logits `[n, classes]`, targets `[n]` and mean loss. Returns the loss.
    ///
    /// Sync point: waits until the device has computed all of it.
    pub fn add(&mut self, logits: &Tensor, targets: &Tensor, loss: &Tensor) -> Result<f64> {
        let n_correct = logits.f_argmax(1, false)?.f_eq_tensor(targets)?.f_sum(Kind::Float)?;
        let both = Tensor::f_stack(&[loss.f_detach()?, n_correct], 0)?;
        let [loss, n_correct] = [both.f_double_value(&[0])?, both.f_double_value(&[1])?];
        let n = targets.size()[0] as usize;
        self.n += n;
        self.n_correct += n_correct;
        self.loss += loss * n as f64;
        Ok(loss)
    }

    /// Adds what another tally has summed up.
    pub fn merge(&mut self, other: &Tally) {
        self.n += other.n;
        self.n_correct += other.n_correct;
        self.loss += other.loss;
    }

    /// Mean cross-entropy in nats.
    pub fn loss(&self) -> f64 {
        self.loss / self.n as f64
    }

    /// Fraction classified correctly.
    pub fn accuracy(&self) -> f64 {
        self.n_correct / self.n as f64
    }

    /// Whether this is better than `other`: more accurate, or as accurate with a lower loss.
    pub fn beats(&self, other: &Tally) -> bool {
        self.n_correct > other.n_correct
            || (self.n_correct == other.n_correct && self.loss < other.loss)
    }
}

/// The classes of the subtomograms `indices`, `[k]`, on the model's device. Their labels are none of them -1.
pub(super) fn targets(model: &Model, labels: &[i32], indices: &[usize]) -> Result<Tensor> {
    let classes = collected(indices.iter().map(|&index| i64::from(labels[index])))?;
    Ok(Tensor::f_from_slice(&classes)?.f_to_device(model.device)?)
}

/// Mean cross-entropy of logits `[n, classes]` in nats.
pub(super) fn cross_entropy(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    let no_target_ignored = -100;
    Ok(logits.f_cross_entropy_loss::<Tensor>(
        targets,
        None,
        Reduction::Mean,
        no_target_ignored,
        0.0,
    )?)
}

/// Features `[n, features]` of an input `[n, 1, d, h, w]`, with gradients from the first stage that is not frozen on.
/// Frozen stages are used as they are, in their inference form, whatever `batch_norm` says.
pub(super) fn forward(
    model: &Model,
    input: &Tensor,
    n_frozen: usize,
    batch_norm: BatchNormMode,
) -> Result<Tensor> {
    let network = &model.network;
    // A probe may have cut off stages that were to be frozen.
    let n_frozen = n_frozen.min(network.stages.len());
    let frozen = tape::without_gradients(|| {
        network.through(0..n_frozen, input, Pass::of(input, BatchNormMode::Folded)?)
    })?;
    network.through(n_frozen..network.stages.len(), &frozen, Pass::of(input, batch_norm)?)
}

/// Passes over the caller's subtomograms without gradients or augmentation.
pub(super) struct Passes<'v, 'h> {
    pub volume: &'v Volume<'h>,
    pub labels: &'v [i32],
    pub batch_size: usize,
}

impl Passes<'_, '_> {
    /// Features of the subtomograms `indices`, `[copies * k, f]`: of all k, mirrored along the axes of the first copy,
    /// then of all k, mirrored along those of the second, and so on.
    pub fn features(
        &self,
        model: &Model,
        indices: &[usize],
        copies: &[[bool; 3]],
        journal: &mut Journal<'_, '_>,
    ) -> Result<Tensor> {
        let mut features = Vec::new();
        self.each_copy(model, indices, copies, journal, |network, input| {
            features.push(network.features(input, BatchNormMode::Folded)?);
            Ok(())
        })?;
        Ok(Tensor::f_cat(&features, 0)?)
    }

    /// As `features` of the subtomograms as they are and mirrored, for each stage: the average of its output over the positions.
    pub fn features_of_stages(
        &self,
        model: &Model,
        indices: &[usize],
        copies: &[[bool; 3]],
        journal: &mut Journal<'_, '_>,
    ) -> Result<Vec<Tensor>> {
        let mut batches: Vec<Vec<Tensor>> =
            model.network.stages.iter().map(|_| Vec::new()).collect();
        self.each_copy(model, indices, copies, journal, |network, input| {
            let pass = Pass::of(input, BatchNormMode::Folded)?;
            let mut x = input.shallow_clone();
            for (index, stage) in network.stages.iter().enumerate() {
                x = network.through(index..index + 1, &x, pass)?;
                batches[index].push(average(&stage.map(&x, pass)?)?);
            }
            Ok(())
        })?;
        batches.iter().map(|batches| Ok(Tensor::f_cat(batches, 0)?)).collect()
    }

    /// Hands each batch of the subtomograms `indices`, mirrored along the axes of the first copy, then those of the second,
    /// and so on, to `look`; beside it a network like the model's, which takes the inference form along when it goes.
    fn each_copy(
        &self,
        model: &Model,
        indices: &[usize],
        copies: &[[bool; 3]],
        journal: &mut Journal<'_, '_>,
        mut look: impl FnMut(&Network, &Tensor) -> Result<()>,
    ) -> Result<()> {
        let _guard = tch::no_grad_guard();
        let network = model.duplicate()?.network;
        for (done, &axes) in copies.iter().enumerate() {
            self.each_batch(model, indices, |step, n_steps, boxes, input| {
                look(&network, &Mirrors { flags: filled(boxes.len(), axes)? }.apply(&input)?)?;
                let (step, n_steps) = (done * n_steps + step, copies.len() * n_steps);
                journal.advance(Stage::Features, step, n_steps, boxes.len() * FORWARD_WORK)
            })?;
        }
        Ok(())
    }

    /// Hands the network's input for each batch of the subtomograms `indices` to `look`: with the step, counted from 0, the
    /// number of steps, and the subtomograms of the batch. The next batch is fetched meanwhile.
    pub fn each_batch(
        &self,
        model: &Model,
        indices: &[usize],
        mut look: impl FnMut(usize, usize, &[usize], Tensor) -> Result<()>,
    ) -> Result<()> {
        let batches = batches(indices.len(), self.batch_size);
        let n_steps = batches.len();
        for (step, (batch, next)) in batches.enumerate() {
            let boxes = &indices[batch];
            let input = model.prepare(self.volume, boxes)?;
            self.volume.announce(&indices[next]);
            look(step, n_steps, boxes, input)?;
        }
        Ok(())
    }

    /// The classes of the subtomograms `indices`, whose labels are none of them -1.
    pub fn classes(&self, indices: &[usize]) -> Result<Vec<usize>> {
        collected(indices.iter().map(|&index| self.labels[index] as usize))
    }

    /// What the model says of the subtomograms `indices`, as in classification. Fails with `NonFinite` if that is no
    /// number.
    pub fn scores(
        &self,
        model: &Model,
        indices: &[usize],
        stage: Stage,
        journal: &mut Journal<'_, '_>,
    ) -> Result<Scores> {
        let _guard = tch::no_grad_guard();
        let (mut log_probabilities, mut embeddings) = (Vec::new(), Vec::new());
        self.each_batch(model, indices, |step, n_steps, boxes, input| {
            let scores = model.score(&input, journal.monitor)?;
            let finite = scores.log_probabilities.f_isfinite()?.f_all_dim(1, false)?;
            let finite = values::<bool>(&finite)?;
            if let Some(place) = finite.iter().position(|finite| !finite) {
                return Err(not_finite(boxes[place]));
            }
            log_probabilities.push(scores.log_probabilities);
            embeddings.push(scores.embeddings);
            let work = boxes.len() * model.images().len() * FORWARD_WORK;
            journal.advance(stage, step, n_steps, work)
        })?;
        Ok(Scores {
            log_probabilities: Tensor::f_cat(&log_probabilities, 0)?,
            embeddings: Tensor::f_cat(&embeddings, 0)?,
        })
    }

    /// Replaces the running statistics of the stages from `n_frozen` on by their means over the batches.
    pub fn recalibrate(
        &self,
        model: &Model,
        indices: &[usize],
        n_frozen: usize,
        journal: &mut Journal<'_, '_>,
    ) -> Result<()> {
        let _guard = tch::no_grad_guard();
        self.each_batch(model, indices, |step, n_steps, boxes, input| {
            // The k-th batch with weight 1/k: the mean of all so far.
            let mode = BatchNormMode::Estimate(1.0 / (step + 1) as f64);
            let _ = forward(model, &input, n_frozen, mode)?;
            journal.advance(Stage::Recalibrate, step, n_steps, boxes.len() * FORWARD_WORK)
        })
    }

    /// Loss and accuracy on the subtomograms `indices`; the last report tells the accuracy.
    pub fn validate(
        &self,
        model: &Model,
        indices: &[usize],
        journal: &mut Journal<'_, '_>,
    ) -> Result<Tally> {
        let _guard = tch::no_grad_guard();
        let mut tally = Tally::default();
        self.each_batch(model, indices, |step, n_steps, boxes, input| {
            let logits = model.logits(&model.network.features(&input, BatchNormMode::Running)?)?;
            let targets = targets(model, self.labels, boxes)?;
            tally.add(&logits, &targets, &cross_entropy(&logits, &targets)?)?;
            if step + 1 == n_steps {
                journal.state.validation_accuracy = tally.accuracy();
            }
            journal.advance(Stage::Validate, step, n_steps, boxes.len() * FORWARD_WORK)
        })?;
        Ok(tally)
    }
}
