//! The networks: a list of `BackboneSpec`s, and what they are built from.
//!
//! To add one: write `backbone/<family>.rs` with a `BackboneSpec`, then name the module and the spec below.

mod architecture;
pub mod attention;
mod folded;
mod fused;
mod i3d;
mod inception;
mod kernel;
pub mod layers;
#[cfg(test)]
mod layers_test;
mod ledger;
mod mvit;
mod precision;
mod residual;
mod resnet3d;
mod s3d;
mod scoped;
mod swin3d;
pub mod tape;
mod trained;
mod video_resnet;
mod view;
mod vivit;

use std::{
    cell::{Cell, RefCell},
    ops::Range,
    sync::Arc,
};

use tch::{Device, Kind, Tensor};

pub use self::{
    architecture::{Architecture, Choice, Shapes, Wanted},
    ledger::Ledger,
    precision::Precision,
    view::View,
};
use self::{
    folded::in_form,
    precision::{in_precision, single},
};
use crate::{
    error::Result,
    parameters::{Parameters, Role, Start},
};

/// Every network that cinetomo knows.
pub static BACKBONES: &[&BackboneSpec] = &[
    &i3d::I3D,
    &resnet3d::RESNET3D_10,
    &resnet3d::RESNET3D_18,
    &resnet3d::RESNET3D_34,
    &resnet3d::RESNET3D_50,
    &resnet3d::RESNET3D_101,
    &resnet3d::RESNET3D_152,
    &resnet3d::RESNET3D_200,
    &resnet3d::WIDE_RESNET3D_50,
    &resnet3d::RESNEXT3D_101,
    &s3d::S3D,
    &video_resnet::R3D_18,
    &video_resnet::MC3_18,
    &video_resnet::R2PLUS1D_18,
    &swin3d::SWIN3D_T,
    &swin3d::SWIN3D_S,
    &swin3d::SWIN3D_B,
    &mvit::MVIT_V1_B,
    &mvit::MVIT_V2_S,
    &vivit::VIVIT_B_16X2,
    &vivit::VIVIT_B_16X2_FACTORISED,
];

/// A network family member, as data. Everything that a user or a test must know of it is here.
#[derive(Debug)]
pub struct BackboneSpec {
    /// Name in options and model files.
    pub name: &'static str,
    /// Authors, year, title: what the network was published as.
    pub paper: &'static str,
    /// Where its video weights come from.
    pub source: &'static str,
    /// Licence of the video weights, as far as their authors state one.
    pub licence: &'static str,
    /// How its networks differ; most are one network.
    pub choices: &'static [Choice],
    /// What the tensors of a checkpoint, under their own names, tell of the choices: name and value.
    pub recognise: fn(&Shapes) -> Vec<(&'static str, &'static str)>,
    /// Grey values that the video network was trained on: the lowest and the highest.
    pub input_range: fn(&Architecture) -> [f64; 2],
    /// Size of the clips that the video network was trained on, along z (time), y, x.
    pub video_size: [i64; 3],
    /// Smallest input along z (time), y, x.
    pub min_input: [i64; 3],
    /// Length of the pooled features.
    pub n_features: i64,
    /// Weights of the default architecture, without a head.
    pub n_weights: i64,
    /// Initial learning rates of Adam for a training of the whole network, from video and from random numbers.
    pub learning_rates: [f64; 2],
    /// Stage whose maps explain a class unless the caller names another.
    pub cam_stage: &'static str,
    /// Name of the video head's weight (`[classes, features, ...]`); its bias is `head_bias`.
    pub head_weight: &'static str,
    /// Name of the video head's bias.
    pub head_bias: &'static str,
    /// Last parts of the names of tensors that checkpoints have and the network does not need.
    pub ignored: &'static [&'static str],
    /// Creates the tensors and returns the stages from input `[n, 1, z, y, x]` to features `[n, n_features]`.
    pub build: fn(&mut Parameters, &Architecture) -> Result<Vec<Stage>>,
}

impl PartialEq for BackboneSpec {
    fn eq(&self, other: &BackboneSpec) -> bool {
        self.name == other.name
    }
}

/// How BatchNorm layers work during a forward pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BatchNormMode {
    /// Normalise by the running statistics, which stay as they are.
    Running,
    /// The inference form of the network: as `Running`, folded into the convolutions, which may take other ways to the same sums. There are no
    /// gradients.
    Folded,
    /// Normalise by the batch and update the running statistics with the layer's own momentum.
    Batch,
    /// Normalise by the batch and move the running statistics to it by this factor (1 replaces them).
    Estimate(f64),
}

/// What a forward pass is for.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// How BatchNorm layers work.
    pub batch_norm: BatchNormMode,
    /// Size of the network's input along z, y, x.
    pub input_size: [i64; 3],
}

impl Pass {
    /// A pass of that input `[n, 1, z, y, x]`.
    pub fn of(input: &Tensor, batch_norm: BatchNormMode) -> Result<Pass> {
        Ok(Pass { batch_norm, input_size: layers::spatial_size(input)? })
    }
}

/// The function of a stage.
pub type StageFn = Box<dyn Fn(&Tensor, Pass) -> Result<Tensor> + Send>;

/// A part of a network that freezing, embedding and explaining can name. The last one pools.
pub struct Stage {
    /// Name, as in the paper.
    pub name: &'static str,
    /// How its output lies over the box.
    pub view: View,
    /// From the stage's input to its output.
    pub forward: StageFn,
}

/// A backbone with its tensors.
pub struct Network {
    /// What it is.
    pub architecture: Architecture,
    /// Its tensors.
    pub parameters: Parameters,
    /// Its stages, from input to features.
    pub stages: Vec<Stage>,
    /// In what precision it multiplies; its weights and features are f32.
    pub precision: Precision,
    /// Length of its features.
    pub n_features: i64,
    /// Name of the stage that it was cut after, if it was.
    pub cut_after: Option<&'static str>,
    /// Whether its inference form was made; what has changed since is made anew in passes.
    pub(crate) is_prepared: Cell<bool>,
    /// The last answer of `cost_of_inference`, and to what: every classification asks.
    pub(crate) inference_cost: RefCell<Option<(CostOf, Arc<Ledger>)>>,
}

/// Size of the input, precision and number of stages.
type CostOf = ([i64; 3], Precision, usize);

impl Network {
    /// A network whose tensors start as `start` says.
    pub fn new(architecture: Architecture, device: Device, start: Start) -> Result<Network> {
        let mut parameters = Parameters::new(device, start);
        let stages = (architecture.spec.build)(&mut parameters, &architecture)?;
        let n_features = architecture.spec.n_features;
        let precision = Precision::default();
        Ok(Network {
            architecture,
            parameters,
            stages,
            precision,
            n_features,
            cut_after: None,
            is_prepared: Cell::new(false),
            inference_cost: RefCell::default(),
        })
    }

    /// Leaves out what comes after the stage `last`, weights included; the features are then the average of its output over
    /// the positions. The last stage of all pools already, and nothing is changed.
    pub fn cut_after(&mut self, last: usize) -> Result<()> {
        if !self.stages[last].has_positions() {
            return Ok(());
        }
        let Stage { name, view, .. } = self.stages[last];
        self.stages.truncate(last + 1);
        self.parameters.cut_after(last);
        let pool = move |x: &Tensor, pass| layers::average(&view.map(x, pass)?);
        self.stages.push(Stage { name: "pool", view: View::Pooled, forward: Box::new(pool) });
        self.cut_after = Some(name);
        let nothing = self.nothing(self.spec().min_input)?;
        let features = tch::no_grad(|| self.features(&nothing, BatchNormMode::Running))?;
        self.n_features = features.size()[1];
        Ok(())
    }

    /// What is known of it and its kind.
    pub fn spec(&self) -> &'static BackboneSpec {
        self.architecture.spec
    }

    /// Whether it has BatchNorm layers: transformers have none.
    pub fn has_batch_norm(&self) -> bool {
        self.parameters.iter().any(|parameter| parameter.role == Role::Statistic)
    }

    /// Features `[n, n_features]` of the input `[n, 1, z, y, x]`.
    pub fn features(&self, input: &Tensor, batch_norm: BatchNormMode) -> Result<Tensor> {
        self.through(0..self.stages.len(), input, Pass::of(input, batch_norm)?)
    }

    /// Output of the last of these stages, f32, for the input `x` of the first of them. Stages leave their input as it is.
    pub fn through(&self, stages: Range<usize>, x: &Tensor, pass: Pass) -> Result<Tensor> {
        in_precision(self.precision, || {
            in_form(pass.batch_norm == BatchNormMode::Folded, || {
                let x = x.shallow_clone();
                let mut stages = self.stages[stages].iter();
                single(&stages.try_fold(x, |x, stage| (stage.forward)(&x, pass))?)
            })
        })
    }

    /// Makes what there is not yet of the inference form, without a pass: an empty batch walks through. What stays is so allocated before what comes and
    /// goes in passes, which leaves fewer holes in the allocator's memory.
    pub fn prepare_inference(&self, input_size: [i64; 3]) -> Result<()> {
        if !self.is_prepared.replace(true) {
            let _guard = tch::no_grad_guard();
            let nothing = self.nothing(input_size)?;
            drop(self.features(&nothing, BatchNormMode::Folded)?);
        }
        Ok(())
    }

    /// What a pass of a sample of size `input_size` (z, y, x) by libtorch's layers allocates and multiplies: an empty batch walks through.
    pub fn cost(&self, input_size: [i64; 3]) -> Result<Ledger> {
        self.cost_of(input_size, BatchNormMode::Running)
    }

    /// The same of a pass in the network's inference form.
    pub fn cost_of_inference(&self, input_size: [i64; 3]) -> Result<Arc<Ledger>> {
        let question = (input_size, self.precision, self.stages.len());
        if let Some((of, cost)) = &*self.inference_cost.borrow()
            && *of == question
        {
            return Ok(Arc::clone(cost));
        }
        let cost = Arc::new(in_precision(self.precision, || {
            in_form(true, || self.cost_of(input_size, BatchNormMode::Folded))
        })?);
        self.inference_cost.replace(Some((question, Arc::clone(&cost))));
        Ok(cost)
    }

    /// The same of a step of training with `n` samples at once and gradients from stage `n_frozen` on.
    pub fn cost_of_step(&self, input_size: [i64; 3], n: u64, n_frozen: usize) -> Result<Ledger> {
        let _guard = tch::no_grad_guard();
        let nothing = self.nothing(input_size)?;
        let fixed = Pass::of(&nothing, BatchNormMode::Folded)?;
        let pass = Pass { batch_norm: BatchNormMode::Running, ..fixed };
        let (frozen, trained) = self.stages.split_at(n_frozen.min(self.stages.len()));
        let through = |stages: &[Stage], x: Tensor, pass: Pass| {
            stages.iter().try_fold(x, |x, stage| (stage.forward)(&x, pass))
        };
        in_precision(self.precision, || {
            Ledger::of(|| {
                let x = in_form(true, || through(frozen, nothing, fixed))?;
                ledger::begin_step(n, &x);
                tape::recorded(|| through(trained, x, pass)).map(drop)
            })
        })
    }

    /// An empty batch of inputs.
    fn nothing(&self, [z, y, x]: [i64; 3]) -> Result<Tensor> {
        Ok(Tensor::f_zeros([0, 1, z, y, x], (Kind::Float, self.parameters.device()))?)
    }

    fn cost_of(&self, input_size: [i64; 3], mode: BatchNormMode) -> Result<Ledger> {
        let _guard = tch::no_grad_guard();
        let nothing = self.nothing(input_size)?;
        let pass = Pass::of(&nothing, mode)?;
        Ledger::of(|| {
            let mut x = nothing;
            for stage in &self.stages {
                ledger::next_stage();
                x = (stage.forward)(&x, pass)?;
            }
            Ok(())
        })
    }
}

/// The network of that name.
pub fn find(name: &str) -> Option<&'static BackboneSpec> {
    BACKBONES.iter().copied().find(|spec| spec.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn waves(size: &[i64]) -> Tensor {
        let n = size.iter().product::<i64>();
        (Tensor::arange(n, (Kind::Float, Device::Cpu)) * 0.7).sin().reshape(size)
    }

    fn default_networks() -> impl Iterator<Item = Architecture> {
        BACKBONES.iter().map(|spec| Architecture::default_of(spec))
    }

    /// Networks are made once for all of this: their weights take longer to draw than a pass does.
    #[test]
    fn every_network_computes_as_it_says() {
        for architecture in default_networks() {
            let mut network = Network::new(architecture, Device::Cpu, Start::random(0)).unwrap();
            check_cuts(&network);
            view::view_test::check_maps(&network);
            view::view_test::check_explained_stage(&network);
            precision::precision_test::check_rounding(&mut network);
            // Last, as its batches leave their statistics.
            check_features(&network);
        }
    }

    /// Boxes of any allowed size become features.
    fn check_features(network: &Network) {
        let spec = network.spec();
        let [z, y, x] = spec.min_input;
        for extra in [0, 3, 17] {
            let input = waves(&[2, 1, z + extra, y + extra, x + extra]);
            let cost = network.cost([z + extra, y + extra, x + extra]).unwrap();
            assert!(cost.multiply_adds > 0 && cost.training(2, 0) > cost.inference(2));
            for mode in [BatchNormMode::Running, BatchNormMode::Batch] {
                let features = network.features(&input, mode).unwrap();
                assert_eq!(features.size(), [2, spec.n_features], "{}", spec.name);
                assert!(features.isfinite().all().int64_value(&[]) == 1, "{}", spec.name);
            }
        }
    }

    /// Cut after any stage, a network gives the averages of that stage's output and has no other tensors.
    fn check_cuts(whole: &Network) {
        let spec = whole.spec();
        let new = || Network::new(whole.architecture.clone(), Device::Cpu, Start::Zeros).unwrap();
        let [z, y, x] = spec.min_input;
        let input = waves(&[2, 1, z + 3, y + 3, x + 3]);
        let mut cut = new();
        let weights = whole.parameters.iter().map(|p| (p.name.as_str(), &p.tensor));
        cut.parameters.copy_from(weights).unwrap();
        let pass = Pass::of(&input, BatchNormMode::Running).unwrap();
        for last in [whole.stages.len() / 2, 0] {
            cut.cut_after(last).unwrap();
            let output = whole.through(0..last + 1, &input, pass).unwrap();
            let map = whole.stages[last].map(&output, pass).unwrap();
            let features = cut.features(&input, BatchNormMode::Running).unwrap();
            assert_eq!(features, layers::average(&map).unwrap(), "{} {last}", spec.name);
            assert_eq!(features.size(), [2, cut.n_features]);
            assert_eq!(cut.cut_after, Some(whole.stages[last].name));
            assert_eq!(cut.stages.len(), last + 2);
            assert_eq!(cut.parameters.iter().map(|p| p.stage).max(), Some(last));
            let first = cut.parameters.iter().next().unwrap();
            assert_eq!(cut.parameters.get(&first.name).unwrap().tensor, first.tensor);
        }
        let mut same = new();
        same.cut_after(whole.stages.len() - 1).unwrap();
        assert_eq!((same.cut_after, same.n_features), (None, spec.n_features));
    }

    #[test]
    fn every_network_describes_itself() {
        let mut names = HashSet::new();
        for architecture in default_networks() {
            let spec = architecture.spec;
            assert!(names.insert(spec.name));
            assert!(std::ptr::eq(find(spec.name).unwrap(), spec));
            let [low, high] = (spec.input_range)(&architecture);
            assert!(low < high);
            assert_eq!(Architecture::parse(&architecture.to_string()).unwrap(), architecture);
            let network = Network::new(architecture, Device::Cpu, Start::Shapes).unwrap();
            assert_eq!(network.parameters.n_weights(), spec.n_weights, "{}", spec.name);
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

    /// `_ops` of torchvision's weights: giga-multiply-adds of convolutions and matrix products for 16 x 224 x 224 voxels.
    /// They count three channels at the first convolution, which here has one.
    #[test]
    fn multiply_adds_of_transformers_are_those_that_torchvision_states() {
        for (name, stated, tokens_x_kernel_x_channels) in [
            ("swin3d_t", 43.882, 25_088 * 32 * 96),
            ("swin3d_s", 82.841, 25_088 * 32 * 96),
            ("swin3d_b", 140.667, 25_088 * 32 * 128),
            ("mvit_v1_b", 70.599, 25_088 * 147 * 96),
            ("mvit_v2_s", 64.224, 25_088 * 147 * 96),
        ] {
            let architecture = Architecture::parse(name).unwrap();
            let network = Network::new(architecture, Device::Cpu, Start::Zeros).unwrap();
            let counted = network.cost([16, 224, 224]).unwrap().multiply_adds;
            let counted = (counted + 2 * tokens_x_kernel_x_channels) as f64 / 1e9;
            assert!((counted - stated).abs() < 1e-3, "{name}: {counted}, stated {stated}");
        }
    }

    #[test]
    fn a_seed_fixes_the_random_start() {
        let start = |seed| {
            let architecture = Architecture::default_of(BACKBONES[0]);
            Network::new(architecture, Device::Cpu, Start::random(seed)).unwrap()
        };
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
