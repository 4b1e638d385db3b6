//! The networks: a list of `BackboneSpec`s, and what they are built from.
//!
//! To add one: write `backbone/<family>.rs` with a `BackboneSpec`, then name the module and the spec below.

mod i3d;
pub mod layers;
#[cfg(test)]
mod layers_test;

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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use tch::Kind;

    use super::*;
    use crate::parameters::Role;

    fn waves(size: &[i64]) -> Tensor {
        let n = size.iter().product::<i64>();
        (Tensor::arange(n, (Kind::Float, Device::Cpu)) * 0.7).sin().reshape(size)
    }

    #[test]
    fn every_network_turns_boxes_of_any_allowed_size_into_features() {
        for spec in BACKBONES {
            let network = Network::new(spec, Device::Cpu, Start::random(0)).unwrap();
            let [z, y, x] = spec.min_input;
            for extra in [0, 3, 17] {
                let input = waves(&[2, 1, z + extra, y + extra, x + extra]);
                for mode in [BatchNormMode::Running, BatchNormMode::Batch] {
                    let features = network.features(&input, mode).unwrap();
                    assert_eq!(features.size(), [2, spec.n_features], "{}", spec.name);
                    assert!(features.isfinite().all().int64_value(&[]) == 1, "{}", spec.name);
                }
            }
        }
    }

    #[test]
    fn every_network_describes_itself() {
        let mut names = HashSet::new();
        for spec in BACKBONES {
            assert!(names.insert(spec.name));
            assert!(std::ptr::eq(find(spec.name).unwrap(), *spec));
            assert!(spec.input_range[0] < spec.input_range[1]);
            let network = Network::new(spec, Device::Cpu, Start::Zeros).unwrap();
            let stages: HashSet<&str> = network.stages.iter().map(|stage| stage.name).collect();
            assert_eq!(stages.len(), network.stages.len());
            // Every stage but the pooling one can be frozen, and the tensors come in order.
            let of_stages: Vec<usize> = network.parameters.iter().map(|p| p.stage).collect();
            assert!(of_stages.is_sorted());
            let with_tensors: HashSet<usize> = of_stages.into_iter().collect();
            assert_eq!(with_tensors, (0..network.stages.len() - 1).collect());
            // The video head is no part of the network.
            assert!(network.parameters.get(spec.head_weight).is_none());
            assert!(network.parameters.get(spec.head_bias).is_none());
        }
        assert!(find("no such network").is_none());
    }

    #[test]
    fn a_seed_fixes_the_random_start() {
        let start = |seed| Network::new(BACKBONES[0], Device::Cpu, Start::random(seed)).unwrap();
        let (a, b, c) = (start(1), start(1), start(2));
        let equal = |other: &Network| {
            std::iter::zip(a.parameters.iter(), other.parameters.iter())
                .filter(|(a, _)| a.role == Role::Weight && a.name.ends_with("weight"))
                .filter(|(a, b)| a.tensor == b.tensor)
                .count()
        };
        assert!(equal(&b) > 0);
        assert_eq!(equal(&c), 0);
    }
}
