//! The named tensors of a network, and how they start.
//!
//! tch's `VarStore` is not used: it renames a repeated variable, loads tensors of broadcastable shapes without a
//! word, and draws from libtorch's global generator, which belongs to the host.

use std::collections::HashMap;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};
use tch::{Device, Kind, Tensor};

use crate::{
    allocation,
    error::{Error, ErrorKind, Result},
};

/// What a tensor is to the training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Changed by the optimiser.
    Weight,
    /// A running mean or variance of BatchNorm.
    Statistic,
}

/// A named tensor.
#[derive(Debug)]
pub struct Parameter {
    /// Name, as in the checkpoints of the network's authors.
    pub name: String,
    /// Value, f32, on the network's device.
    pub tensor: Tensor,
    /// What it is to the training.
    pub role: Role,
    /// Index of the stage that it belongs to.
    pub stage: usize,
}

/// How new weights start.
#[derive(Debug)]
pub enum Start {
    /// Zeros: a checkpoint or model file will fill them.
    Zeros,
    /// Names and shapes only, without memory for the values: what a checkpoint is compared with.
    Shapes,
    /// Random numbers.
    Random(Box<ChaCha8Rng>),
}

impl Start {
    /// Random numbers from a seed.
    pub fn random(seed: u64) -> Start {
        Start::Random(Box::new(ChaCha8Rng::seed_from_u64(seed)))
    }
}

/// The named tensors of a network, in the order of their creation.
#[derive(Debug)]
pub struct Parameters {
    device: Device,
    start: Start,
    stage: usize,
    list: Vec<Parameter>,
    index: HashMap<String, usize>,
}

impl Parameters {
    /// No tensors yet; those to come live on `device` and start as `start` says.
    pub fn new(device: Device, start: Start) -> Parameters {
        Parameters { device, start, stage: 0, list: Vec::new(), index: HashMap::new() }
    }

    /// Tensors created from now on belong to stage `stage`.
    pub fn set_stage(&mut self, stage: usize) {
        self.stage = stage;
    }

    /// A new weight, drawn from a normal distribution around 0 unless it starts at zero. Returns a tensor that
    /// shares its storage.
    pub fn normal(&mut self, name: &str, shape: &[i64], standard_deviation: f64) -> Result<Tensor> {
        let tensor = match &mut self.start {
            Start::Zeros => Tensor::f_zeros(shape, (Kind::Float, self.device))?,
            Start::Shapes => without_memory(shape)?,
            Start::Random(generator) => {
                let normal = Normal::new(0.0f32, standard_deviation as f32)
                    .map_err(|error| Error::invalid(format!("{name}: {error}")))?;
                let n = shape.iter().product::<i64>() as usize;
                let mut values = allocation::room::<f32>(n)?;
                values.extend(normal.sample_iter(generator).take(n));
                Tensor::f_from_slice(&values)?.f_reshape(shape)?.f_to_device(self.device)?
            }
        };
        self.insert(name, tensor, Role::Weight)
    }

    /// A new tensor of one value.
    pub fn constant(
        &mut self,
        name: &str,
        shape: &[i64],
        value: f64,
        role: Role,
    ) -> Result<Tensor> {
        let tensor = match self.start {
            Start::Shapes => without_memory(shape)?,
            _ => Tensor::f_full(shape, value, (Kind::Float, self.device))?,
        };
        self.insert(name, tensor, role)
    }

    fn insert(&mut self, name: &str, tensor: Tensor, role: Role) -> Result<Tensor> {
        let shared = tensor.shallow_clone();
        let index = self.list.len();
        if self.index.insert(name.to_owned(), index).is_some() {
            return Err(Error::new(ErrorKind::Panic, format!("two tensors are named {name}")));
        }
        self.list.push(Parameter { name: name.to_owned(), tensor, role, stage: self.stage });
        Ok(shared)
    }

    /// All tensors, in the order of their creation.
    pub fn iter(&self) -> impl Iterator<Item = &Parameter> {
        self.list.iter()
    }

    /// The tensor of that name.
    pub fn get(&self, name: &str) -> Option<&Parameter> {
        self.index.get(name).map(|&index| &self.list[index])
    }

    /// Forgets the tensors of the stages after `last`.
    pub fn cut_after(&mut self, last: usize) {
        self.list.retain(|parameter| parameter.stage <= last);
        let names = self.list.iter().enumerate().map(|(index, p)| (p.name.clone(), index));
        self.index = names.collect();
    }

    /// Number of trainable values.
    pub fn n_weights(&self) -> i64 {
        self.iter()
            .filter(|parameter| parameter.role == Role::Weight)
            .map(|parameter| parameter.tensor.size().iter().product::<i64>())
            .sum()
    }

    /// Where the tensors live.
    pub fn device(&self) -> Device {
        self.device
    }

    /// What keeps tensors of these shapes from replacing these: everything that is missing, unexpected or of another shape, one line
    /// each.
    pub fn differences(&self, source: &HashMap<&str, impl AsRef<[i64]>>) -> Vec<String> {
        let mut wrong: Vec<String> = Vec::new();
        for parameter in self.iter() {
            match source.get(parameter.name.as_str()) {
                None => wrong.push(format!("missing: {}", parameter.name)),
                Some(shape) if shape.as_ref() != parameter.tensor.size() => wrong.push(format!(
                    "{}: shape {:?}, the network needs {:?}",
                    parameter.name,
                    shape.as_ref(),
                    parameter.tensor.size()
                )),
                Some(_) => {}
            }
        }
        let mut unexpected: Vec<&str> =
            source.keys().copied().filter(|name| !self.index.contains_key(*name)).collect();
        unexpected.sort_unstable();
        wrong.extend(unexpected.iter().map(|name| format!("unexpected: {name}")));
        wrong
    }

    /// Replaces every value with that of the same name in `source`. Fails, changing nothing, unless names and shapes
    /// agree exactly; the message lists the differences.
    pub fn copy_from<'a>(
        &self,
        source: impl IntoIterator<Item = (&'a str, &'a Tensor)>,
    ) -> Result<()> {
        let source: HashMap<&str, &Tensor> = source.into_iter().collect();
        let shapes = source.iter().map(|(name, tensor)| (*name, tensor.size())).collect();
        let wrong = self.differences(&shapes);
        if !wrong.is_empty() {
            return Err(Error::new(ErrorKind::ModelMismatch, summary(&wrong)));
        }
        tch::no_grad(|| {
            for parameter in self.iter() {
                let mut target = parameter.tensor.shallow_clone();
                target.f_copy_(source[parameter.name.as_str()])?;
            }
            Ok(())
        })
    }
}

/// A tensor of that shape whose values are all one number in memory.
fn without_memory(shape: &[i64]) -> Result<Tensor> {
    Ok(Tensor::f_zeros([1], (Kind::Float, Device::Cpu))?.f_expand(shape, false)?)
}

/// Lines for an error message, the first 20 of them.
pub fn summary(lines: &[String]) -> String {
    const SHOWN: usize = 20;
    let mut text = lines.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("; ");
    if lines.len() > SHOWN {
        text.push_str(&format!("; and {} more", lines.len() - SHOWN));
    }
    text
}
