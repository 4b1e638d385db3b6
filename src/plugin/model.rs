//! A model: backbone, head, preprocessing and class names.

use std::path::Path;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Uniform};
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use crate::{
    allocation,
    augment::MIRROR_IMAGES,
    backbone::{Architecture, Network, Precision, Wanted},
    confidence::{Confidence, Mahalanobis},
    error::{Error, ErrorKind, Result},
    memory::Work,
    monitor::{Monitor, Progress, Stage},
    parameters::Start,
    preprocess::{Normalization, Preprocess, UNIT_RANGE},
    volume::{Contrast, Volume},
    weights,
};

/// Network of a random model whose backbone is not named.
const DEFAULT_BACKBONE: &str = "i3d";

/// Stream of the generator that random heads are drawn from; the backbone's weights are drawn from stream 0.
const HEAD_STREAM: u64 = 1;

/// Most subtomograms that go through the network at once. Measured for I3D with boxes of 32 voxels an edge on two CPU
/// threads, in ms a box, for batches of 1, 2, 4, 8, 16, 32: 28, 19, 14, 11, 9.5, 11.
const MAX_BATCH: usize = 16;

/// Most voxels that go through the network at once: four inputs of 32 x 128 x 128, so that prepared weights that come from memory serve several. More would
/// let the host wait longer for progress.
const MAX_BATCH_VOXELS: i64 = 4 * 32 * 128 * 128;

/// Most bytes that a batch may take in the network, so that networks that need more for a voxel than convolutions do
/// stay within what any machine has. I3D's batches take a tenth of it.
const MAX_BATCH_BYTES: u64 = 1 << 29;

/// The last linear layer.
#[derive(Debug)]
pub struct Head {
    /// `[classes, features]`.
    pub weight: Tensor,
    /// `[classes]`.
    pub bias: Tensor,
}

impl Head {
    /// A head of random numbers between -1/sqrt(features) and 1/sqrt(features), the start of PyTorch's `nn.Linear`.
    pub fn random(n_classes: usize, n_features: i64, seed: u64, device: Device) -> Result<Head> {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(HEAD_STREAM);
        let bound = 1.0 / (n_features as f32).sqrt();
        let uniform = Uniform::new_inclusive(-bound, bound)
            .map_err(|error| Error::invalid(format!("head of {n_features} features: {error}")))?;
        let n = n_classes * n_features as usize;
        let weight: Vec<f32> = uniform.sample_iter(&mut generator).take(n).collect();
        let bias: Vec<f32> = uniform.sample_iter(&mut generator).take(n_classes).collect();
        Ok(Head {
            weight: Tensor::f_from_slice(&weight)?
                .f_reshape([n_classes as i64, n_features])?
                .f_to_device(device)?,
            bias: Tensor::f_from_slice(&bias)?.f_to_device(device)?,
        })
    }

    /// Logits `[n, classes]` of features `[n, features]`.
    pub fn forward(&self, features: &Tensor) -> Result<Tensor> {
        Ok(features.f_linear(&self.weight, Some(&self.bias))?)
    }
}

/// Where the backbone's weights come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "start", rename_all = "snake_case", deny_unknown_fields)]
pub enum Origin {
    /// A network trained on video.
    Video {
        /// Name of the checkpoint's file, without its directory.
        checkpoint: String,
        /// SHA-256 of the checkpoint, 64 lower-case hexadecimal digits.
        sha256: String,
    },
    /// Random numbers.
    Random {
        /// Their seed.
        seed: u64,
    },
}

/// One fine-tuning, as the model file tells of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingRecord {
    /// Its options, as they were used.
    pub config: serde_json::Value,
    /// Labelled subtomograms, those held out for validation included.
    pub n_subtomograms: usize,
    /// The same for each class.
    pub n_per_class: Vec<usize>,
    /// What was measured after each epoch, the start (epoch 0) first if it was measured.
    pub epochs: Vec<EpochRecord>,
    /// The epoch that was returned.
    pub selected_epoch: usize,
    /// The linear probe that the head started from.
    pub probe: Option<ProbeRecord>,
    /// In what precision the network multiplied.
    #[serde(default)]
    pub precision: Precision,
}

/// What was measured in an epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Number of the epoch, from 1; 0 is the start.
    pub epoch: usize,
    /// Learning rate of its last step; `None` for the start.
    pub learning_rate: Option<f64>,
    /// Mean cross-entropy over its training subtomograms, in nats; `None` for the start.
    pub loss: Option<f64>,
    /// Fraction of its training subtomograms that were classified correctly; `None` for the start.
    pub accuracy: Option<f64>,
    /// Cross-entropy on the validation subtomograms after it.
    pub validation_loss: Option<f64>,
    /// Accuracy on the validation subtomograms after it.
    pub validation_accuracy: Option<f64>,
}

/// How the linear probe was fitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProbeRecord {
    /// Strength of the L2 penalty that was chosen.
    pub penalty: f64,
    /// Accuracy at that strength, by cross-validation; `None` if a class had too few examples for one.
    pub cross_validated_accuracy: Option<f64>,
    /// Where stages were compared, the one whose features were chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// Where stages were compared, what each came to, from the input on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<StageRecord>,
}

/// What the features of a stage are worth to a linear probe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageRecord {
    /// Its name.
    pub stage: String,
    /// Accuracy at the best strength, by cross-validation.
    pub cross_validated_accuracy: f64,
}

/// What model to make.
#[derive(Clone, Debug)]
pub struct ModelConfig {
    /// Name of the network, with choices if any (`Architecture`); `None` = recognised from the checkpoint, or the default for random models.
    pub backbone: Option<String>,
    /// Names of the classes: at least two, distinct, not empty, without control characters.
    pub class_names: Vec<String>,
    /// What happens to voxels before they reach the network.
    pub preprocess: Preprocess,
    /// Seed of whatever starts at random.
    pub seed: u64,
    /// Dropout probability before the head while training, from 0 up to but not including 1.
    pub dropout: f64,
}

impl ModelConfig {
    /// Fails with `InvalidArgument` if a value makes no sense.
    pub fn validate(&self) -> Result<()> {
        check_class_names(&self.class_names)?;
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(Error::invalid(format!(
                "dropout {}: must be from 0 up to but not including 1",
                self.dropout
            )));
        }
        self.preprocess.validate()
    }
}

fn check_class_names(names: &[String]) -> Result<()> {
    if names.len() < 2 {
        return Err(Error::invalid(format!("{} classes: there must be at least 2", names.len())));
    }
    for (index, name) in names.iter().enumerate() {
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err(Error::invalid(format!(
                "class {index} is named {name:?}: a name must not be empty or have control characters"
            )));
        }
    }
    let mut sorted: Vec<&String> = names.iter().collect();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Error::invalid(format!("two classes are named {:?}", pair[0]))),
        None => Ok(()),
    }
}

/// A network with its preprocessing and class names.
pub struct Model {
    /// The backbone.
    pub network: Network,
    /// The last linear layer.
    pub head: Head,
    /// What happens to voxels before they reach the network.
    pub preprocess: Preprocess,
    /// Names of the classes; label i means the i-th.
    pub class_names: Vec<String>,
    /// Dropout probability before the head while training.
    pub dropout: f64,
    /// Seed that the head started from.
    pub seed: u64,
    /// Where the backbone's weights come from.
    pub origin: Origin,
    /// Edge in angstrom of the voxels that it was fine-tuned on; 0 = unknown.
    pub voxel_size: f64,
    /// Contrast of the volumes that it was fine-tuned on.
    pub contrast: Contrast,
    /// Its fine-tunings, the first first.
    pub history: Vec<TrainingRecord>,
    /// Its temperature, and from where on it should rather say nothing.
    pub confidence: Confidence,
    /// Where the embeddings of its training classes lie, if that was asked for.
    pub mahalanobis: Option<Mahalanobis>,
    /// Where it computes.
    pub device: Device,
}

impl Model {
    /// A model that starts from a network trained on video, with a random head. Fails as `ModelConfig::validate` and
    /// `weights::load_video` do, and with `Unsupported` if the backbone is unknown.
    pub fn from_video(
        checkpoint: &Path,
        config: ModelConfig,
        device: Device,
        monitor: &mut Monitor<'_>,
    ) -> Result<Model> {
        config.validate()?;
        let wanted = config.backbone.as_deref().map(Wanted::parse).transpose()?;
        let video = weights::load_video(checkpoint, wanted.as_ref(), device, monitor)?;
        let name = checkpoint.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let origin = Origin::Video { checkpoint: name, sha256: video.sha256 };
        Model::fresh(video.network, origin, config, device)
    }

    /// A model of random numbers: the paper's baseline.
    pub fn random(config: ModelConfig, device: Device) -> Result<Model> {
        config.validate()?;
        let name = config.backbone.as_deref().unwrap_or(DEFAULT_BACKBONE);
        let architecture = Architecture::parse(name)?;
        let network = Network::new(architecture, device, Start::random(config.seed))?;
        let origin = Origin::Random { seed: config.seed };
        Model::fresh(network, origin, config, device)
    }

    /// A model that was not fine-tuned yet.
    fn fresh(
        network: Network,
        origin: Origin,
        config: ModelConfig,
        device: Device,
    ) -> Result<Model> {
        let n_classes = config.class_names.len();
        Ok(Model {
            head: Head::random(n_classes, network.n_features, config.seed, device)?,
            network,
            preprocess: config.preprocess,
            class_names: config.class_names,
            dropout: config.dropout,
            seed: config.seed,
            origin,
            voxel_size: 0.0,
            contrast: Contrast::Unknown,
            history: Vec::new(),
            confidence: Confidence::default(),
            mahalanobis: None,
            device,
        })
    }

    /// A copy that shares no tensor with this model: what fine-tuning changes.
    pub fn duplicate(&self) -> Result<Model> {
        let mut network =
            Network::new(self.network.architecture.clone(), self.device, Start::Zeros)?;
        network.precision = self.network.precision;
        if let Some(stage) = self.network.cut_after {
            network.cut_after(network.stage(stage)?.0)?;
        }
        network.parameters.copy_from(
            self.network
                .parameters
                .iter()
                .map(|parameter| (parameter.name.as_str(), &parameter.tensor)),
        )?;
        let copy = |tensor: &Tensor| -> Result<Tensor> { Ok(tensor.f_detach_copy()?) };
        Ok(Model {
            network,
            head: Head { weight: copy(&self.head.weight)?, bias: copy(&self.head.bias)? },
            preprocess: self.preprocess.clone(),
            class_names: self.class_names.clone(),
            dropout: self.dropout,
            seed: self.seed,
            origin: self.origin.clone(),
            voxel_size: self.voxel_size,
            contrast: self.contrast,
            history: self.history.clone(),
            confidence: self.confidence.clone(),
            mahalanobis: self.mahalanobis.as_ref().map(Mahalanobis::duplicate).transpose()?,
            device: self.device,
        })
    }

    /// The network's input `[k, 1, d, h, w]` for the subtomograms `indices`, on the model's device.
    pub fn prepare(&self, volume: &Volume<'_>, indices: &[usize]) -> Result<Tensor> {
        let boxes = volume.gather(indices, self.device)?;
        let range = self.video_range();
        self.preprocess.apply(&boxes, indices, volume.contrast(), range)
    }

    fn video_range(&self) -> [f64; 2] {
        let architecture = &self.network.architecture;
        (architecture.spec.input_range)(architecture)
    }

    /// Grey values of the network's input: the lowest and the highest, or, in standard deviations, 3 of them.
    pub fn input_range(&self) -> [f64; 2] {
        match self.preprocess.normalization {
            Normalization::ZScore | Normalization::Fixed => [-3.0, 3.0],
            Normalization::MinMax | Normalization::Percentile => self.video_range(),
            Normalization::Unit => UNIT_RANGE,
        }
    }

    /// Logits `[n, classes]` of features `[n, features]`.
    pub fn logits(&self, features: &Tensor) -> Result<Tensor> {
        self.head.forward(features)
    }

    /// Calibrated probability of each class for each subtomogram: `[n, classes]`, row-major.
    pub fn classify(&self, volume: &Volume<'_>, monitor: &mut Monitor<'_>) -> Result<Vec<f32>> {
        self.infer(volume, monitor, Stage::Classify, self.images(), |views| {
            self.probabilities(&self.log_probabilities(views)?)
        })
    }

    /// Pooled features of each subtomogram: `[n, features]`, row-major.
    pub fn embed(&self, volume: &Volume<'_>, monitor: &mut Monitor<'_>) -> Result<Vec<f32>> {
        let itself = &MIRROR_IMAGES[..1];
        self.infer(volume, monitor, Stage::Embed, itself, |views| Ok(views[0].shallow_clone()))
    }

    /// `rows` of the features of every subtomogram's mirror images, batch by batch.
    pub(crate) fn infer(
        &self,
        volume: &Volume<'_>,
        monitor: &mut Monitor<'_>,
        stage: Stage,
        images: &[[bool; 3]],
        rows: impl Fn(&[Tensor]) -> Result<Tensor>,
    ) -> Result<Vec<f32>> {
        let batch_size = self.batch_size(volume.box_size())?;
        self.network.prepare_inference(self.input_size(volume.box_size())?)?;
        self.in_batches(volume, monitor, stage, (batch_size, Work::Inference), |input, monitor| {
            let _guard = tch::no_grad_guard();
            rows(&self.views(input, images, monitor)?)
        })
    }

    /// `rows`, the first axis of which counts subtomograms, of the network's input for every batch of `batch_size`.
    pub(crate) fn in_batches(
        &self,
        volume: &Volume<'_>,
        monitor: &mut Monitor<'_>,
        stage: Stage,
        (batch_size, work): (usize, Work),
        rows: impl Fn(&Tensor, &Monitor<'_>) -> Result<Tensor>,
    ) -> Result<Vec<f32>> {
        self.check_volume(volume, monitor)?;
        let n = volume.len();
        self.warn_of_memory(volume.box_size(), batch_size, work, monitor)?;
        let n_batches = n.div_ceil(batch_size);
        // Of one batch: memory does not grow with the number of subtomograms but for the results.
        let indices =
            |step: usize| allocation::collected(step * batch_size..n.min((step + 1) * batch_size));
        let mut results = Vec::new();
        for step in 0..n_batches {
            let batch = indices(step)?;
            let input = tch::no_grad(|| self.prepare(volume, &batch))?;
            volume.announce(&indices(step + 1)?);
            let rows = rows(&input, monitor)?;
            let rows = allocation::values::<f32>(&rows)?;
            if step == 0 {
                allocation::reserve(&mut results, rows.len() / batch.len() * n)?;
            }
            if let Some(place) = rows.iter().position(|value| !value.is_finite()) {
                return Err(not_finite(batch[place / (rows.len() / batch.len())]));
            }
            results.extend(rows);
            monitor.report(Progress::batch(stage, step + 1, n_batches))?;
        }
        Ok(results)
    }

    /// Subtomograms of size `box_size` that classification sends through the network at once.
    pub fn batch_size(&self, box_size: [i64; 3]) -> Result<usize> {
        let input_size = self.input_size(box_size)?;
        let cost = self.network.cost_of_inference(input_size)?;
        Ok(batch_size(input_size, |n| cost.inference(n)))
    }

    /// Size of the network's input for subtomograms of that size. Fails with `ModelMismatch` if it is too small.
    pub fn input_size(&self, box_size: [i64; 3]) -> Result<[i64; 3]> {
        let size = self.preprocess.output_size(box_size);
        let spec = self.network.spec();
        if size.iter().zip(spec.min_input).any(|(&extent, least)| extent < least) {
            return Err(Error::new(
                ErrorKind::ModelMismatch,
                format!(
                    "input of {size:?} voxels (beam axis first): {} needs at least {:?}; take larger boxes or set input_size",
                    spec.name, spec.min_input
                ),
            ));
        }
        Ok(size)
    }

    /// Fails with `ModelMismatch` if the subtomograms are too small for the network, and logs a warning if their voxel
    /// size or contrast is not that of the training.
    pub fn check_volume(&self, volume: &Volume<'_>, monitor: &Monitor<'_>) -> Result<()> {
        self.input_size(volume.box_size())?;
        let (trained, given) = (self.voxel_size, volume.voxel_size());
        if trained > 0.0 && given > 0.0 && (given / trained - 1.0).abs() > VOXEL_SIZE_TOLERANCE {
            monitor.warn(format_args!(
                "voxels of {given} angstrom, but the model was fine-tuned on {trained} angstrom: expect wrong classes"
            ));
        }
        if let Some(warning) = self.contrast_warning(volume.contrast()) {
            monitor.warn(format_args!("{warning}"));
        }
        Ok(())
    }

    /// What is to be said of volumes of contrast `given`, if anything.
    fn contrast_warning(&self, given: Contrast) -> Option<String> {
        match (self.preprocess.contrast, self.contrast, given) {
            (Contrast::Unknown, Contrast::Dark, Contrast::Bright)
            | (Contrast::Unknown, Contrast::Bright, Contrast::Dark) => Some(format!(
                "particles are {given:?} on their background, but {:?} in the fine-tuning: expect wrong classes",
                self.contrast
            )),
            (wanted @ (Contrast::Dark | Contrast::Bright), _, Contrast::Unknown) => Some(format!(
                "the volume does not state its contrast; it is taken to be {wanted:?}, as the network needs it"
            )),
            _ => None,
        }
    }
}

/// Inputs of that size to work on at once where n of them take `bytes(n)`.
pub(crate) fn batch_size(input_size: [i64; 3], bytes: impl Fn(u64) -> u64) -> usize {
    let n_voxels: i64 = input_size.iter().product();
    let by_voxels = ((MAX_BATCH_VOXELS / n_voxels.max(1)) as usize).clamp(1, MAX_BATCH);
    (1..=by_voxels).rev().find(|n| bytes(*n as u64) <= MAX_BATCH_BYTES).unwrap_or(1)
}

/// What is said of subtomogram `index` when the network's output is no number.
pub(crate) fn not_finite(index: usize) -> Error {
    Error::new(
        ErrorKind::NonFinite,
        format!("box {index}: the network's output is NaN or infinite"),
    )
}

/// Relative difference of voxel sizes from which a model should not be trusted without a word: above the few percent
/// by which magnifications are miscalibrated, below the step between common binnings.
const VOXEL_SIZE_TOLERANCE: f64 = 0.1;

#[cfg(test)]
#[path = "model_test.rs"]
mod model_test;
