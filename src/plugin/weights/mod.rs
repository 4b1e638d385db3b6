//! Checkpoints of video networks: from a file to a network. One file a container; no code in a checkpoint is run.

mod container;
mod flax;
mod numpy;
mod pickle;
#[cfg(test)]
mod weights_test;

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{ErrorKind as IoErrorKind, Read, Seek, SeekFrom},
    path::Path,
};

use sha2::{Digest, Sha256};
use tch::{Device, Kind, Tensor};

use self::container::{Container, N_HEAD};
use crate::{
    backbone::{Architecture, BACKBONES, Network, Shapes, Wanted},
    error::{Error, ErrorKind, Result},
    monitor::{Monitor, Progress, Stage},
    parameters::{Start, summary},
};

/// Bytes read between two reports of progress.
const CHUNK: usize = 4 << 20;

/// A network with its video weights and its video head.
pub struct VideoWeights {
    /// The network, filled.
    pub network: Network,
    /// Weight of the video classifier, `[classes, features]`, f32.
    pub head_weight: Tensor,
    /// Bias of the video classifier, `[classes]`, f32.
    pub head_bias: Tensor,
    /// SHA-256 of the checkpoint, 64 lower-case hexadecimal digits.
    pub sha256: String,
}

/// Loads a video network onto `device`. Without `wanted` the network is recognised by the names and shapes of the
/// tensors.
///
/// Fails with `Io`, with `Format` if the file is no checkpoint that can be read, with `NonFinite` if a weight is, and with
/// `ModelMismatch` if the tensors are not exactly those of the network; the message then lists what is wrong.
pub fn load_video(
    path: &Path,
    wanted: Option<&Wanted>,
    device: Device,
    monitor: &mut Monitor<'_>,
) -> Result<VideoWeights> {
    let checkpoint = open(path, monitor)?;
    fit(checkpoint, wanted, device).map_err(|error| error.within(path.display()))
}

/// The network that a checkpoint holds.
fn fit(checkpoint: Checkpoint, wanted: Option<&Wanted>, device: Device) -> Result<VideoWeights> {
    let refused = |message: String| Error::new(ErrorKind::ModelMismatch, message);
    let shapes = checkpoint.shapes();
    let of_spec = |wanted: Wanted| {
        let told = (wanted.spec.recognise)(&shapes);
        Fit::new(wanted.complete(&told), &shapes)
    };
    if let Some(wanted) = wanted {
        let fit = of_spec(wanted.clone())?;
        if fit.wrong.is_empty() {
            return fit.fill(checkpoint, device);
        }
        for spec in BACKBONES {
            let other = of_spec(Wanted::any(spec))?;
            if other.wrong.is_empty() {
                let (found, wanted) = (other.architecture, fit.architecture);
                return Err(refused(format!(
                    "holds {found}, not {wanted}; ask for {found}, or let the network be recognised"
                )));
            }
        }
        let (wanted, wrong) = (fit.architecture, summary(&fit.wrong));
        return Err(refused(format!("does not fit {wanted}: {wrong}")));
    }
    let mut best: Option<Fit> = None;
    for spec in BACKBONES {
        let fit = of_spec(Wanted::any(spec))?;
        if fit.wrong.is_empty() {
            return fit.fill(checkpoint, device);
        }
        if fit.n_right > best.as_ref().map_or(0, |best| best.n_right) {
            best = Some(fit);
        }
    }
    Err(refused(match best {
        Some(Fit { architecture, wrong, .. }) => {
            format!("looks like {architecture}, but: {}", summary(&wrong))
        }
        None => {
            let known: Vec<&str> = BACKBONES.iter().map(|spec| spec.name).collect();
            let found: Vec<String> =
                shapes.iter().map(|(name, shape)| format!("{name} {shape:?}")).collect();
            let (known, found) = (known.join(", "), summary(&found));
            format!("holds no network that is known ({known}), but these tensors: {found}")
        }
    }))
}

/// How a checkpoint fits a network.
struct Fit {
    architecture: Architecture,
    /// Everything that does not fit, one line each.
    wrong: Vec<String>,
    /// Number of tensors that fit.
    n_right: usize,
}

impl Fit {
    fn new(architecture: Architecture, shapes: &Shapes) -> Result<Fit> {
        let spec = architecture.spec;
        let network = Network::new(architecture.clone(), Device::Cpu, Start::Shapes)?;
        let mut body: HashMap<&str, &[i64]> =
            shapes.iter().map(|(name, shape)| (name.as_str(), shape.as_slice())).collect();
        let (weight, bias) = (body.remove(spec.head_weight), body.remove(spec.head_bias));
        let mut wrong = network.parameters.differences(&body);
        let parameters = network.parameters.iter();
        let n_right = parameters
            .filter(|parameter| {
                body.get(parameter.name.as_str())
                    .is_some_and(|shape| *shape == parameter.tensor.size())
            })
            .count();
        for (name, shape) in [(spec.head_weight, weight), (spec.head_bias, bias)] {
            if shape.is_none() {
                wrong.push(format!("missing: {name}"));
            }
        }
        if let (Some(weight), Some(bias)) = (weight, bias) {
            let fits = match (weight, bias) {
                (&[classes, features, ref rest @ ..], &[biases]) => {
                    classes == biases
                        && features == spec.n_features
                        && rest.iter().all(|size| *size == 1)
                }
                _ => false,
            };
            if !fits {
                wrong.push(format!(
                    "{}: shape {weight:?} with a bias of shape {bias:?}, the network needs [classes, {}] and [classes]",
                    spec.head_weight, spec.n_features
                ));
            }
        }
        Ok(Fit { architecture, wrong, n_right })
    }

    /// The network with the checkpoint's values. Nothing may be wrong.
    fn fill(self, mut checkpoint: Checkpoint, device: Device) -> Result<VideoWeights> {
        let spec = self.architecture.spec;
        let network = Network::new(self.architecture, device, Start::Zeros)?;
        let mut head = |name: &str, shape: &[i64]| match checkpoint.tensors.remove(name) {
            Some(tensor) => Ok(tensor.f_reshape(shape)?.f_to_device(device)?),
            None => Err(Error::new(ErrorKind::ModelMismatch, format!("missing: {name}"))),
        };
        let head_weight = head(spec.head_weight, &[-1, spec.n_features])?;
        let head_bias = head(spec.head_bias, &[-1])?;
        let tensors = checkpoint.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor));
        network.parameters.copy_from(tensors)?;
        Ok(VideoWeights { network, head_weight, head_bias, sha256: checkpoint.sha256 })
    }
}

/// The tensors of a checkpoint.
#[derive(Debug)]
pub struct Checkpoint {
    /// By name; f32, finite, on the CPU, with PyTorch's axis order and leaf names.
    pub tensors: BTreeMap<String, Tensor>,
    /// SHA-256 of the file, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// What the file is, in words.
    pub container: &'static str,
}

impl Checkpoint {
    fn shapes(&self) -> Shapes {
        self.tensors.iter().map(|(name, tensor)| (name.clone(), tensor.size())).collect()
    }
}

/// Reads a checkpoint of any container that is known, by its content.
///
/// Fails with `Io`, with `Format` if the file is no checkpoint that can be read, and with `NonFinite`.
pub fn open(path: &Path, monitor: &mut Monitor<'_>) -> Result<Checkpoint> {
    let (container, contents, sha256) = read(path, monitor)?;
    let (tensors, container) = match container {
        Container::FlaxPickle => {
            (flax::read(&contents, path, monitor)?, "flax checkpoint (pickled numpy arrays)")
        }
    };
    for (name, tensor) in &tensors {
        let n = tensor.f_isfinite()?.f_logical_not()?.f_sum(Kind::Int64)?.f_int64_value(&[])?;
        if n > 0 {
            let message = format!(
                "{}: {name}: {n} of {} weights are NaN or infinite",
                path.display(),
                tensor.numel()
            );
            return Err(Error::new(ErrorKind::NonFinite, message));
        }
    }
    let n_chunks = contents.len().div_ceil(CHUNK);
    monitor.report(Progress::batch(Stage::Load, n_chunks + 1, n_chunks + 1))?;
    Ok(Checkpoint { tensors, sha256, container })
}

/// The container, contents and hash of a file. Only a file of a known container is read beyond its first bytes.
fn read(path: &Path, monitor: &mut Monitor<'_>) -> Result<(Container, Vec<u8>, String)> {
    let io = |error| Error::io(path, &error);
    let mut file = File::open(path).map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    if !metadata.is_file() {
        return Err(Error::new(ErrorKind::Io, format!("{}: is not a file", path.display())));
    }
    let n_bytes = metadata.len();
    let mut head = Vec::with_capacity(N_HEAD);
    (&mut file).take(N_HEAD as u64).read_to_end(&mut head).map_err(io)?;
    let mut tail = Vec::with_capacity(8);
    file.seek(SeekFrom::Start(n_bytes.saturating_sub(8))).map_err(io)?;
    (&mut file).take(8).read_to_end(&mut tail).map_err(io)?;
    let container = container::recognise(&head, &tail, n_bytes).map_err(|what| {
        let read = "flax checkpoints are read (pickled numpy arrays, protocol 2 to 5)";
        Error::format(path, format!("{what}; {read}"))
    })?;

    // Not mapped into memory: someone shortening a mapped file would kill the host.
    let mut contents = Vec::new();
    usize::try_from(n_bytes)
        .ok()
        .and_then(|n| contents.try_reserve_exact(n).ok())
        .ok_or_else(|| Error::io(path, &IoErrorKind::OutOfMemory.into()))?;
    let mut hash = Sha256::new();
    let n_chunks = usize::div_ceil(contents.capacity(), CHUNK);
    file.rewind().map_err(io)?;
    for step in 1.. {
        let start = contents.len();
        (&mut file).take(CHUNK as u64).read_to_end(&mut contents).map_err(io)?;
        if contents.len() == start {
            break;
        }
        hash.update(&contents[start..]);
        monitor.report(Progress::batch(Stage::Load, step, n_chunks.max(step) + 1))?;
    }
    let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((container, contents, sha256))
}
