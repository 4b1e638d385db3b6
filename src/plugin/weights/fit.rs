//! Which network a checkpoint holds, and what keeps it from being another.

use std::{cmp::Reverse, collections::HashMap};

use cinetomo_checkpoints::Checkpoint;
use tch::Device;

use super::names::{self, Names, candidates, last_part};
use crate::{
    backbone::{Architecture, BACKBONES, Network, Shapes, Wanted},
    error::{Error, ErrorKind, Result},
    parameters::{Start, summary},
};

/// How a checkpoint fits a network.
pub(super) struct Fit {
    /// The network.
    pub architecture: Architecture,
    /// Index of the tensor in the checkpoint, for each of the network's. Complete if nothing is wrong.
    pub body: HashMap<String, usize>,
    /// The same of the video head's weight and bias, if there is one.
    pub head: Option<[usize; 2]>,
    /// Everything that does not fit, one line each.
    pub wrong: Vec<String>,
    /// Number of tensors that fit.
    pub n_right: usize,
}

/// What a checkpoint holds.
pub(super) enum Found {
    /// Exactly the tensors of a network.
    Whole(Fit),
    /// Some of a network's; the one of which there are most.
    Nearest(Fit),
    /// None of any network.
    Nothing,
}

/// The network that a checkpoint holds, or comes near to.
pub(super) fn recognise(checkpoint: &Checkpoint) -> Result<Found> {
    let candidates = candidates(checkpoint);
    let mut nearest: Option<Fit> = None;
    for spec in BACKBONES {
        let fit = best_fit(checkpoint, &candidates, &Wanted::any(spec))?;
        if fit.wrong.is_empty() {
            return Ok(Found::Whole(fit));
        }
        let is_nearer = nearest.as_ref().is_none_or(|nearest| fit.rank() > nearest.rank());
        if fit.n_right > 0 && is_nearer {
            nearest = Some(fit);
        }
    }
    Ok(nearest.map_or(Found::Nothing, Found::Nearest))
}

/// The network to load from a checkpoint. Fails with `ModelMismatch` if it is not exactly one that is known, or not the
/// wanted one; the message lists what is wrong.
pub(super) fn find(checkpoint: &Checkpoint, wanted: Option<&Wanted>) -> Result<Fit> {
    let refused = |message: String| {
        let guess = guess(checkpoint);
        let tail = if guess.is_empty() { String::new() } else { format!("; {guess}") };
        Err(Error::new(ErrorKind::ModelMismatch, message + &tail))
    };
    let wanted_fit = match wanted {
        Some(wanted) => Some(best_fit(checkpoint, &candidates(checkpoint), wanted)?),
        None => None,
    };
    match wanted_fit {
        Some(fit) if fit.wrong.is_empty() => Ok(fit),
        Some(Fit { architecture: wanted, wrong, .. }) => {
            if let Found::Whole(Fit { architecture: found, .. }) = recognise(checkpoint)? {
                return refused(format!(
                    "holds {found}, not {wanted}; ask for {found}, or let the network be recognised"
                ));
            }
            refused(format!("does not fit {wanted}: {}", summary(&wrong)))
        }
        None => match recognise(checkpoint)? {
            Found::Whole(fit) => Ok(fit),
            Found::Nearest(Fit { architecture, wrong, .. }) => {
                refused(format!("looks like {architecture}, but: {}", summary(&wrong)))
            }
            Found::Nothing => {
                let known: Vec<&str> = BACKBONES.iter().map(|spec| spec.name).collect();
                let mut found: Vec<String> = checkpoint
                    .tensors()
                    .iter()
                    .map(|tensor| format!("{} {:?}", tensor.name, tensor.shape))
                    .collect();
                found.sort_unstable();
                let (known, found) = (known.join(", "), summary(&found));
                refused(format!(
                    "holds no network that is known ({known}), but these tensors: {found}"
                ))
            }
        },
    }
}

/// What a checkpoint that is no whole network here may be, in words; empty if nothing tells.
pub(super) fn guess(checkpoint: &Checkpoint) -> &'static str {
    let n_kernels = |n_axes: usize| {
        let tensors = checkpoint.tensors().iter();
        tensors.filter(|tensor| tensor.shape.len() == n_axes && tensor.dtype.is_float()).count()
    };
    let is_part = |name: &str| {
        // As the Hugging Face libraries name them: model-00001-of-00002.safetensors.
        name.split_once("-of-").is_some_and(|(before, after)| {
            let digits = |text: &str| text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit());
            after.get(..5).is_some_and(digits)
                && after.get(..5) != Some("00001")
                && before.rsplit('-').next().is_some_and(digits)
        })
    };
    let name = checkpoint.path().file_name().and_then(|name| name.to_str()).unwrap_or("");
    if is_part(name) {
        return "its name says that it is one of several parts: load their index (.index.json)";
    }
    if n_kernels(4) > 1 && n_kernels(5) == 0 {
        return "its kernels are 2D: this looks like a network for images, not video";
    }
    ""
}

/// What a checkpoint is, in words.
pub(super) fn container(checkpoint: &Checkpoint) -> String {
    match checkpoint.n_parts() {
        1 => checkpoint.container().to_string(),
        n => format!("{} in {n} parts", checkpoint.container()),
    }
}

fn shapes(checkpoint: &Checkpoint, names: &Names) -> Shapes {
    let tensors = checkpoint.tensors();
    names.iter().map(|(name, index)| (name.clone(), names::shape(&tensors[*index]))).collect()
}

/// The way to read the names by which most fits.
fn best_fit(checkpoint: &Checkpoint, candidates: &[Names], wanted: &Wanted) -> Result<Fit> {
    let mut best: Option<Fit> = None;
    for names in candidates {
        let network = network_of(checkpoint, names, wanted)?;
        let mut fits = vec![Fit::new(checkpoint, &network, names.clone())];
        if let Some(names) = with_prefix(names, &network) {
            // Under these names the checkpoint may tell more of the choices.
            let network = network_of(checkpoint, &names, wanted)?;
            fits.push(Fit::new(checkpoint, &network, names));
        }
        for fit in fits {
            if best.as_ref().is_none_or(|best| fit.rank() > best.rank()) {
                best = Some(fit);
            }
        }
    }
    // There is always the first candidate: the names as they are.
    best.ok_or_else(|| Error::new(ErrorKind::Panic, "no names to compare"))
}

/// The wanted network with the choices that a checkpoint tells under those names; names and shapes alone.
fn network_of(checkpoint: &Checkpoint, names: &Names, wanted: &Wanted) -> Result<Network> {
    let told = (wanted.spec.recognise)(&shapes(checkpoint, names));
    Network::new(wanted.complete(&told), Device::Cpu, Start::Shapes)
}

/// The names with the first part that all of the network's have and none of these has, if there is one: a network saved
/// without the classifier that wraps it lacks it.
fn with_prefix(names: &Names, network: &Network) -> Option<Names> {
    let first = &network.parameters.iter().next()?.name;
    let prefix = &first[..first.find('.')? + 1];
    let is_shared = network.parameters.iter().all(|parameter| parameter.name.starts_with(prefix));
    if !is_shared || names.keys().any(|name| name.starts_with(prefix)) {
        return None;
    }
    Some(names.iter().map(|(name, index)| (format!("{prefix}{name}"), *index)).collect())
}

impl Fit {
    /// What makes one fit better than another: nothing is wrong, more is right, less is wrong.
    fn rank(&self) -> (bool, usize, Reverse<usize>) {
        (self.wrong.is_empty(), self.n_right, Reverse(self.wrong.len()))
    }

    fn new(checkpoint: &Checkpoint, network: &Network, mut names: Names) -> Fit {
        let spec = network.spec();
        let tensors = checkpoint.tensors();
        names.retain(|name, _| !spec.ignored.contains(&last_part(name)));
        let head = [spec.head_weight, spec.head_bias].map(|name| names.remove(name));
        let shape = |index: usize| names::shape(&tensors[index]);
        let shapes: HashMap<&str, Vec<i64>> =
            names.iter().map(|(name, index)| (name.as_str(), shape(*index))).collect();
        let mut wrong = network.parameters.differences(&shapes);
        let mut n_right = 0;
        for parameter in network.parameters.iter() {
            let Some(&index) = names.get(&parameter.name) else { continue };
            if !tensors[index].dtype.is_float() {
                wrong.push(not_float(&parameter.name, tensors[index].dtype.name()));
            } else if shape(index) == parameter.tensor.size() {
                n_right += 1;
            }
        }
        let head = match head {
            [Some(weight), Some(bias)] => {
                let (weight_shape, bias_shape) = (shape(weight), shape(bias));
                if !is_head(&weight_shape, &bias_shape, spec.n_features) {
                    wrong.push(format!(
                        "{}: shape {weight_shape:?} with a bias of shape {bias_shape:?}, the network needs [classes, {}] \
                         and [classes]",
                        spec.head_weight, spec.n_features
                    ));
                }
                for (name, index) in [(spec.head_weight, weight), (spec.head_bias, bias)] {
                    if !tensors[index].dtype.is_float() {
                        wrong.push(not_float(name, tensors[index].dtype.name()));
                    }
                }
                Some([weight, bias])
            }
            // A network without its head is as good a start.
            [None, None] => None,
            [weight, _] => {
                let missing = if weight.is_none() { spec.head_weight } else { spec.head_bias };
                wrong.push(format!("missing: {missing}"));
                None
            }
        };
        let body = names.into_iter().collect();
        Fit { architecture: network.architecture.clone(), body, head, wrong, n_right }
    }
}

fn not_float(name: &str, found: &str) -> String {
    format!("{name}: values of type {found}, the network needs floats")
}

/// Whether these are the shapes of a classifier's weight and bias.
fn is_head(weight: &[i64], bias: &[i64], n_features: i64) -> bool {
    match (weight, bias) {
        (&[classes, features, ref rest @ ..], &[biases]) => {
            classes == biases
                && classes > 0
                && features == n_features
                && rest.iter().all(|extent| *extent == 1)
        }
        _ => false,
    }
}
