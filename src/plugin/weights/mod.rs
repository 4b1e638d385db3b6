//! Checkpoints of video networks: from a file to a network.
//!
//! The crate `cinetomo-checkpoints` knows the containers and describes their tensors; here they are compared with the
//! networks and read into one.

mod fit;
mod inspect;
mod names;
#[cfg(test)]
mod weights_test;

use std::{
    path::Path,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{RecvTimeoutError, sync_channel},
    },
    thread,
    time::Duration,
};

use cinetomo_checkpoints::{Checkpoint, Container, ErrorKind as FileErrorKind};
use tch::{Device, Tensor};

use self::fit::Fit;
pub use self::inspect::{InspectedTensor, Inspection, inspect};
use crate::{
    backbone::{Network, Wanted},
    error::{Error, ErrorKind, Result},
    monitor::{Monitor, Progress, Stage},
    parameters::Start,
};

/// Steps of progress from one load.
const N_STEPS: usize = 50;

/// A network with its video weights and its video head.
pub struct VideoWeights {
    /// The network, filled.
    pub network: Network,
    /// The video classifier, if the checkpoint has it.
    pub head: Option<VideoHead>,
    /// SHA-256 of the checkpoint, 64 lower-case hexadecimal digits; of one in parts, of the index and the parts in the order
    /// of their names, one after the other.
    pub sha256: String,
    /// What the file is.
    pub container: Container,
}

/// The classifier that a network was trained on video with.
pub struct VideoHead {
    /// Weight `[classes, features]`, f32.
    pub weight: Tensor,
    /// Bias `[classes]`, f32.
    pub bias: Tensor,
}

/// Loads a video network onto `device`. Without `wanted` the network is recognised by the names and shapes of the
/// tensors.
///
/// Needs little more memory than the network, except that of an array whose axes are in another order in the file. Fails
/// with `Io`, with `Format` if the file is no checkpoint that can be read, with `NonFinite` if a weight is, and with
/// `ModelMismatch` if the tensors are not exactly those of the network; the message then lists what is wrong.
pub fn load_video(
    path: &Path,
    wanted: Option<&Wanted>,
    device: Device,
    monitor: &mut Monitor<'_>,
) -> Result<VideoWeights> {
    let checkpoint = Checkpoint::open(path)?;
    let fit = fit::find(&checkpoint, wanted).map_err(|error| error.within(path.display()))?;
    monitor.check()?;
    let (sha256, (network, head)) =
        beside_hash(&checkpoint, monitor, |monitor| fill(&checkpoint, &fit, device, monitor))?;
    monitor.report(Progress::batch(Stage::Load, N_STEPS, N_STEPS))?;
    Ok(VideoWeights { network, head, sha256, container: checkpoint.container() })
}

/// The network and head with the checkpoint's values.
fn fill(
    checkpoint: &Checkpoint,
    fit: &Fit,
    device: Device,
    monitor: &mut Monitor<'_>,
) -> Result<(Network, Option<VideoHead>)> {
    let network = Network::new(fit.architecture.clone(), device, Start::Zeros)?;
    let tensors = checkpoint.tensors();
    let zeros = |index: usize, shape: &[i64]| -> Result<(usize, Tensor)> {
        Ok((index, Tensor::f_zeros(shape, (tch::Kind::Float, device))?))
    };
    let head = match fit.head {
        Some([weight, bias]) => {
            let n_classes = tensors[bias].n_values() as i64;
            Some([
                zeros(weight, &[n_classes, network.spec().n_features])?,
                zeros(bias, &[n_classes])?,
            ])
        }
        None => None,
    };
    let mut targets: Vec<(usize, Tensor)> = network
        .parameters
        .iter()
        .map(|parameter| (fit.body[&parameter.name], parameter.tensor.shallow_clone()))
        .collect();
    targets.extend(head.iter().flatten().map(|(index, tensor)| (*index, tensor.shallow_clone())));
    // In the order of the file, which disks like best.
    targets.sort_by_key(|(index, _)| checkpoint.place(&tensors[*index]));

    let n_values: u64 = targets.iter().map(|(index, _)| tensors[*index].n_values()).sum();
    let mut n_done = 0;
    for (index, target) in &targets {
        let _guard = tch::no_grad_guard();
        let target = target.f_view([-1])?;
        let mut start = 0;
        checkpoint.read(&tensors[*index], |values| -> Result<()> {
            let n = values.len() as i64;
            let mut part = target.f_narrow(0, start, n)?;
            part.f_copy_(&Tensor::f_from_slice(values)?)?;
            start += n;
            let step = |n: u64| (n * (N_STEPS as u64 - 1) / n_values.max(1)) as usize;
            let before = step(n_done);
            n_done += n as u64;
            if step(n_done) > before {
                monitor.report(Progress::batch(Stage::Load, step(n_done), N_STEPS))?;
            }
            Ok(())
        })?;
    }
    let head = head.map(|[(_, weight), (_, bias)]| VideoHead { weight, bias });
    Ok((network, head))
}

/// The checkpoint's hash, computed by a second thread that ends before this returns, and what `work` returns meanwhile.
/// Everything that may call the host stays on the calling thread.
fn beside_hash<T>(
    checkpoint: &Checkpoint,
    monitor: &mut Monitor<'_>,
    work: impl FnOnce(&mut Monitor<'_>) -> Result<T>,
) -> Result<(String, T)> {
    let stop = AtomicBool::new(false);
    let hash = || checkpoint.sha256(|_| !stop.load(Ordering::Relaxed));
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(1);
        let spawned = thread::Builder::new().name("cinetomo-hash".to_owned());
        let spawned = spawned.spawn_scoped(scope, move || drop(sender.send(hash())));
        let outcome = work(monitor);
        if outcome.is_err() {
            stop.store(true, Ordering::Relaxed);
        }
        let outcome = outcome?;
        let hash = if spawned.is_err() {
            // No thread is to be had: one thing after the other.
            hash()
        } else {
            loop {
                match receiver.recv_timeout(Duration::from_millis(20)) {
                    Ok(hash) => break hash,
                    Err(RecvTimeoutError::Timeout) => {
                        monitor.check().inspect_err(|_| stop.store(true, Ordering::Relaxed))?;
                    }
                    Err(RecvTimeoutError::Disconnected) => {
                        return Err(Error::new(
                            ErrorKind::Panic,
                            "the thread that hashes ended early",
                        ));
                    }
                }
            }
        };
        // `None` only if this function has raised `stop`, and then it has returned.
        Ok((hash?.unwrap_or_default(), outcome))
    })
}

impl From<cinetomo_checkpoints::Error> for Error {
    fn from(error: cinetomo_checkpoints::Error) -> Error {
        let kind = match error.kind() {
            FileErrorKind::Io => ErrorKind::Io,
            FileErrorKind::Format => ErrorKind::Format,
            FileErrorKind::NonFinite => ErrorKind::NonFinite,
            FileErrorKind::OutOfMemory => ErrorKind::OutOfMemory,
        };
        Error::new(kind, error.to_string())
    }
}
