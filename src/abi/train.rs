//! Fine-tuning and evaluation.

/// The rule that turns gradients into steps.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum cinetomo_optimizer {
    /// Adam (Kingma & Ba 2015); weight decay is added to the gradient.
    Adam = 0,
    /// AdamW (Loshchilov & Hutter 2019): decoupled weight decay.
    AdamW = 1,
    /// Stochastic gradient descent with momentum; weight decay is added to the gradient (paper, eq. 1-2).
    Sgd = 2,
}

/// How the learning rate changes over the training.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum cinetomo_schedule {
    /// Half a cosine from the learning rate to 0, step by step (Loshchilov & Hutter 2017, no restarts).
    Cosine = 0,
    /// Multiplied by `gamma` after each epoch listed in `milestones` (the paper's choice).
    Step = 1,
    /// Never changes.
    Constant = 2,
}

/// What becomes of the running statistics of BatchNorm. It means nothing to a network without BatchNorm (the
/// transformers).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum cinetomo_batch_norm {
    /// TRAINED for a fresh network, but FROZEN for one fresh from video that is tuned for fewer than 16 epochs: as
    /// measured. For one already fine-tuned as in its last fine-tuning (FROZEN after RECALIBRATED).
    Auto = 0,
    /// Kept as they are, and used while training.
    Frozen = 1,
    /// Estimated once on the training subtomograms, then kept.
    Recalibrated = 2,
    /// Batch statistics while training, running averages of them from the first batch on (the paper's code, which
    /// starts from the network's own).
    Trained = 3,
}

/// How the head, the last linear layer, starts.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum cinetomo_head {
    /// RANDOM for a fresh network, but PROBE for one fresh from video that is tuned for fewer than 16 epochs: as
    /// measured; or that has no BatchNorm. KEEP for one already fine-tuned.
    Auto = 0,
    /// As the model has it.
    Keep = 1,
    /// Random numbers.
    Random = 2,
    /// L2-regularised logistic regression on the fixed features (with CINETOMO_AUGMENT_MIRROR also those of the mirror
    /// images), its strength chosen by cross-validation: first probe, then fine-tune (Kumar et al. 2022).
    Probe = 3,
}

/// Ways to vary training subtomograms; add them up.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum cinetomo_augment {
    /// None.
    None = 0,
    /// Each axis mirrored with probability 1/2. Keeps the missing wedge in place; mirror images of the particles
    /// themselves are allowed, as handedness is not resolved at these resolutions.
    Mirror = 1,
}

/// How `cinetomo_model_fine_tune` trains. Fill with `cinetomo_fine_tune_options_init`, then change what you need.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "stable-abi", derive(abi_stable::StableAbi))]
pub struct cinetomo_fine_tune_options {
    /// `sizeof(cinetomo_fine_tune_options)` as the caller was compiled; set by the `_init`.
    pub struct_size: usize,
    /// Initial learning rate; 0 (default) = the library's choice: with Adam the network's own where BatchNorm is TRAINED
    /// (1e-3 for I3D) or there is none (3e-5 from video), else 3e-5; with SGD 1e-2 and 1e-3.
    pub learning_rate: f64,
    /// Momentum of SGD, from 0 up to but not including 1. Default: 0.9.
    pub momentum: f64,
    /// Weight decay, at least 0. Default: 0.
    pub weight_decay: f64,
    /// Factor of the STEP schedule, above 0. Default: 0.1.
    pub gamma: f64,
    /// Epochs after which the STEP schedule multiplies by `gamma`, rising, or NULL.
    pub milestones: *const i32,
    /// Number of milestones.
    pub n_milestones: usize,
    /// Fraction of each class held out to watch and choose by, from 0 (default: none) to 0.5.
    pub validation_fraction: f64,
    /// Seed of shuffling, splitting, augmentation and the random head. Same seed, same result on the CPU. Default: 0.
    pub seed: u64,
    /// Passes over the training subtomograms, 0 to 100,000; 0 = only the head's start. Default: 24.
    pub n_epochs: i32,
    /// Subtomograms per step. Default: 10.
    pub batch_size: i32,
    /// Stages, counted from the input, that stay as they are. Default: 0.
    pub n_frozen_stages: i32,
    /// A `CINETOMO_OPTIMIZER_*`. Default: ADAM.
    pub optimizer: i32,
    /// A `CINETOMO_SCHEDULE_*`. Default: COSINE.
    pub schedule: i32,
    /// A `CINETOMO_BATCH_NORM_*`. Default: AUTO.
    pub batch_norm: i32,
    /// A `CINETOMO_HEAD_*`. Default: AUTO.
    pub head: i32,
    /// Sum of `CINETOMO_AUGMENT_*`. Default: MIRROR.
    pub augment: i32,
    /// With validation: 1 (default) = return the epoch with the best validation accuracy (ties: lower loss; epoch 0,
    /// the start, takes part), 0 = return the last.
    pub select_best: i32,
    /// Zero.
    pub reserved: i32,
}

/// How good scores are. Fill `struct_size` with `cinetomo_metrics_init`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "stable-abi", derive(abi_stable::StableAbi))]
pub struct cinetomo_metrics {
    /// In: `sizeof(cinetomo_metrics)` as the caller was compiled. Nothing beyond it is written.
    pub struct_size: usize,
    /// Subtomograms that counted: those whose label is not -1.
    pub n_evaluated: i64,
    /// Fraction whose highest score is at the label; of equal scores the first counts.
    pub accuracy: f64,
    /// Area under the ROC curve, one class against the rest, mean over the classes: scikit-learn's
    /// `roc_auc_score(multi_class="ovr", average="macro")`; with two classes the area for class 1. Classes without
    /// examples, or with nothing but examples, are left out of the mean; NaN if none is left.
    pub macro_auc: f64,
}
