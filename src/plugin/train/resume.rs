//! Checkpoints of a training, from which it goes on as if it had never stopped.

use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tch::{Device, Kind, Tensor};

use super::{
    config::FineTune,
    delta::Delta,
    optimizer::Optimizer,
    passes::Tally,
    split::batches,
    trainable::{Best, Trainable},
};
use crate::{
    allocation,
    error::{Error, ErrorKind, Result},
    model::{EpochRecord, Head, Model, ProbeRecord},
    monitor::Monitor,
    tensor_file::{self, FileKind, Reader},
    volume::Volume,
};

const KIND: FileKind = FileKind {
    key: "cinetomo_training",
    name: "checkpoint of a training",
    advice: "models are read by model_load; name a file that is not there to start anew",
};

/// Most boxes that are hashed at once.
const MAX_CHUNK: usize = 64;

/// What a training has come to, besides tensors.
#[derive(Default)]
pub(super) struct Run {
    /// What was measured after each epoch.
    pub epochs: Vec<EpochRecord>,
    /// The best epoch so far, if there is a validation.
    pub best: Option<Best>,
    /// The probe that the head started from.
    pub probe: Option<ProbeRecord>,
    /// Epochs that are done.
    pub n_done: usize,
}

/// The same in the file.
#[derive(Serialize, Deserialize)]
struct Document {
    fingerprint: String,
    n_done: usize,
    n_steps: usize,
    epochs: Vec<EpochRecord>,
    probe: Option<ProbeRecord>,
    best: Option<(usize, Tally)>,
}

/// Where the state of a training is kept.
pub(super) struct Checkpoint<'c> {
    path: &'c Path,
    interval: usize,
    /// SHA-256 of everything that the result depends on.
    fingerprint: String,
}

impl<'c> Checkpoint<'c> {
    /// The checkpoint of this training, if it is to have one. Reads all voxels that it will train on or validate with, to
    /// know them again, unless they have a name.
    pub fn of(
        config: &'c FineTune,
        model: &Model,
        volume: &Volume<'_>,
        labels: &[i32],
        monitor: &Monitor<'_>,
    ) -> Result<Option<Checkpoint<'c>>> {
        let Some(path) = &config.checkpoint else { return Ok(None) };
        let mut hash = Sha256::new();
        let options = serde_json::to_string(config)
            .map_err(|error| Error::new(ErrorKind::Panic, format!("options as JSON: {error}")))?;
        let size = volume.box_size();
        hash.update(format!("{}\n{options}\n{size:?}\n", env!("CARGO_PKG_VERSION")));
        hash.update(crate::model_file::metadata_json(model));
        hash.update(format!("{:?}", model.network.precision));
        labels.iter().for_each(|label| hash.update(label.to_le_bytes()));
        let parameters = model.network.parameters.iter().map(|parameter| &parameter.tensor);
        for tensor in parameters.chain([&model.head.weight, &model.head.bias]) {
            update(&mut hash, tensor)?;
        }
        match volume.identity() {
            Some(identity) => hash.update(format!("{identity:?}")),
            None => update_with_voxels(&mut hash, config, volume, labels, monitor)?,
        }
        let fingerprint = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Some(Checkpoint { path, interval: config.checkpoint_interval, fingerprint }))
    }

    /// The state in the file, or `None` if there is no file. Fails with `ModelMismatch` if it is of another training.
    pub fn open(&self) -> Result<Option<Saved<'c>>> {
        if !self.path.exists() {
            return Ok(None);
        }
        let reader = Reader::open(self.path, &KIND)?;
        let document: Document = serde_json::from_str(reader.document()?).map_err(|error| {
            Error::format(self.path, format!("damaged: the training's metadata: {error}"))
        })?;
        if document.fingerprint != self.fingerprint {
            return Err(Error::new(
                ErrorKind::ModelMismatch,
                format!(
                    "{}: is of another training (other options, model, voxels, labels or release); remove it to \
                     start anew, or name another file",
                    self.path.display()
                ),
            ));
        }
        Ok(Some(Saved { reader, document, path: self.path }))
    }

    /// Keeps the state if it is time to.
    pub fn keep(
        &self,
        run: &Run,
        is_last: bool,
        trainable: &Trainable,
        optimizer: &Optimizer,
        delta: Option<&Delta>,
    ) -> Result<()> {
        if !is_last && !run.n_done.is_multiple_of(self.interval) {
            return Ok(());
        }
        let document = Document {
            fingerprint: self.fingerprint.clone(),
            n_done: run.n_done,
            n_steps: optimizer.n_steps(),
            epochs: run.epochs.clone(),
            probe: run.probe.clone(),
            best: run.best.as_ref().map(|best| (best.epoch, best.tally)),
        };
        let document = serde_json::to_string(&document)
            .map_err(|error| Error::new(ErrorKind::Panic, format!("state as JSON: {error}")))?;
        let best = run.best.as_ref().map(|best| best.values.as_slice()).unwrap_or_default();
        tensor_file::save(self.path, &KIND, document, &named(trainable, optimizer, best, delta))
    }
}

/// A state in a file.
pub(super) struct Saved<'c> {
    reader: Reader<'c>,
    document: Document,
    path: &'c Path,
}

impl Saved<'_> {
    /// Gives the model that the training starts from the shape that its probe gave it.
    pub fn shape(&self, tuned: &mut Model) -> Result<()> {
        let stage = self.document.probe.as_ref().and_then(|probe| probe.stage.as_deref());
        let Some(stage) = stage else { return Ok(()) };
        let place =
            tuned.network.stage(stage).map_err(|error| error.within(self.path.display()))?.0;
        tuned.network.cut_after(place)?;
        // Its values are the file's.
        let (n_classes, n_features) = (tuned.class_names.len(), tuned.network.n_features);
        tuned.head = Head::random(n_classes, n_features, 0, tuned.device)?;
        Ok(())
    }

    /// Brings the training to that state.
    pub fn restore(
        self,
        trainable: &Trainable,
        optimizer: &mut Optimizer,
        delta: Option<&Delta>,
    ) -> Result<Run> {
        let Document { n_done, n_steps, epochs, probe, best, .. } = self.document;
        let best = match best {
            Some((epoch, tally)) => Some(Best { epoch, ..Best::new(trainable, tally)? }),
            None => None,
        };
        let values = best.as_ref().map(|best| best.values.as_slice()).unwrap_or_default();
        let targets = named(trainable, optimizer, values, delta);
        let shapes: Vec<_> =
            targets.iter().map(|(name, tensor)| (name.clone(), tensor.size())).collect();
        let within = |error: Error| error.within(self.path.display());
        self.reader.check_tensors(&shapes).map_err(within)?;
        self.reader.read_into(targets)?;
        optimizer.resume_after(n_steps);
        Ok(Run { epochs, best, probe, n_done })
    }
}

/// All tensors of a state; they share their storage with it.
fn named(
    trainable: &Trainable,
    optimizer: &Optimizer,
    best: &[Tensor],
    delta: Option<&Delta>,
) -> Vec<(String, Tensor)> {
    let mut named = Vec::new();
    let mut add = |group: &str, (i, tensor): (usize, &Tensor)| {
        named.push((format!("{group}/{i}"), tensor.shallow_clone()));
    };
    trainable.iter().enumerate().for_each(|tensor| add("value", tensor));
    optimizer.state().enumerate().for_each(|tensor| add("moment", tensor));
    best.iter().enumerate().for_each(|tensor| add("best", tensor));
    delta
        .iter()
        .flat_map(|delta| delta.weights())
        .enumerate()
        .for_each(|tensor| add("channels", tensor));
    named
}

/// Takes in all voxels that have a label.
fn update_with_voxels(
    hash: &mut Sha256,
    config: &FineTune,
    volume: &Volume<'_>,
    labels: &[i32],
    monitor: &Monitor<'_>,
) -> Result<()> {
    let indices = allocation::collected((0..labels.len()).filter(|&index| labels[index] >= 0))?;
    for (chunk, next) in batches(indices.len(), config.batch_size.min(MAX_CHUNK)) {
        monitor.check()?;
        let voxels = volume.gather(&indices[chunk], Device::Cpu)?;
        volume.announce(&indices[next]);
        update(hash, &voxels)?;
    }
    Ok(())
}

fn update(hash: &mut Sha256, tensor: &Tensor) -> Result<()> {
    for block in allocation::values::<f32>(&tensor.f_to_kind(Kind::Float)?)?.chunks(1 << 16) {
        let bytes: Vec<u8> = block.iter().flat_map(|value| value.to_le_bytes()).collect();
        hash.update(bytes);
    }
    Ok(())
}
