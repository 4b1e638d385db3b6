//! The networks: a list of `BackboneSpec`s, and what they are built from.
//!
//! To add one: write `backbone/<family>.rs` with a `BackboneSpec`, then name the module and the spec below.

mod i3d;
pub mod layers;

use tch::{Device, Tensor};

use crate::{
    error::Result,
    parameters::{Parameters, Start},
};

/// Every network that cinetomo knows.
pub static BACKBONES: &[&BackboneSpec] = &[&i3d::I3D];

/// A network family member, as data. Everything that a user or a test must know of it is here.
pub struct BackboneSpec {
    /// Name in options and model files.
    pub name: &'static str,
    /// Authors, year, title: what the network was published as.
    pub paper: &'static str,
    /// Where its video weights come from, and their licence.
    pub source: &'static str,
    /// Grey values that the video network was trained on: the lowest and the highest.
    pub input_range: [f64; 2],
    /// Smallest input along z (time), y, x.
    pub min_input: [i64; 3],
    /// Length of the pooled features.
    pub n_features: i64,
    /// Name of the video head's weight (`[classes, features, ...]`); its bias is `head_bias`.
    pub head_weight: &'static str,
    /// Name of the video head's bias.
    pub head_bias: &'static str,
    /// Creates the tensors and returns the stages from input `[n, 1, z, y, x]` to features `[n, n_features]`.
    pub build: fn(&mut Parameters) -> Result<Vec<Stage>>,
}

/// How BatchNorm layers work during a forward pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BatchNormMode {
    /// Normalise by the running statistics, which stay as they are.
    Running,
    /// Normalise by the batch and update the running statistics with the layer's own momentum.
    Batch,
    /// Normalise by the batch and move the running statistics to it by this factor (1 replaces them).
    Estimate(f64),
}

/// The function of a stage.
pub type StageFn = Box<dyn Fn(&Tensor, BatchNormMode) -> Result<Tensor> + Send>;

/// A part of a network that freezing, embedding and explaining can name. The last one pools.
pub struct Stage {
    /// Name, as in the paper.
    pub name: &'static str,
    /// From the stage's input to its output.
    pub forward: StageFn,
}

/// A backbone with its tensors.
pub struct Network {
    /// What it is.
    pub spec: &'static BackboneSpec,
    /// Its tensors.
    pub parameters: Parameters,
    /// Its stages, from input to features.
    pub stages: Vec<Stage>,
}

impl Network {
    /// A network whose tensors start as `start` says.
    pub fn new(spec: &'static BackboneSpec, device: Device, start: Start) -> Result<Network> {
        let mut parameters = Parameters::new(device, start);
        let stages = (spec.build)(&mut parameters)?;
        Ok(Network { spec, parameters, stages })
    }

    /// Features `[n, n_features]` of the input `[n, 1, z, y, x]`.
    pub fn features(&self, input: &Tensor, batch_norm: BatchNormMode) -> Result<Tensor> {
        let mut x = input.shallow_clone();
        for stage in &self.stages {
            x = (stage.forward)(&x, batch_norm)?;
        }
        Ok(x)
    }
}

/// The network of that name.
pub fn find(name: &str) -> Option<&'static BackboneSpec> {
    BACKBONES.iter().copied().find(|spec| spec.name == name)
}
