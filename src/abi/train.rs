//! Fine-tuning.

use super::cinetomo_calibration_options;

use std::ffi::c_char;

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
    /// PROBE of the output of every stage, averaged over its positions; the stage that cross-validates best is taken, of equal
    /// ones the last, and the new model does without those after it: it is smaller, faster, and stays so. Its history has
    /// the accuracy of each. What was chosen among many looks a little better than it is.
    ProbeStages = 4,
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
    /// With probability 1/2 a part of the sections, 1/2 to all of their area, stretched to the whole: the same of every
    /// section (paper, section 4.3.1; torchvision's RandomResizedCrop).
    Crop = 2,
    /// With probability 1/2 the sections turned by up to 45 degrees, shifted by up to a tenth of their edge and scaled by
    /// up to a tenth: all sections alike (paper, section 4.3.1). Turns the missing wedge, too.
    Affine = 4,
    /// The sections turned by up to 10 degrees, which leaves the missing wedge about where it is.
    Rotate = 8,
    /// White noise of up to a tenth of the grey range.
    Noise = 16,
    /// Grey values stretched by up to a tenth about the middle of their range and shifted by up to a tenth of it.
    Intensity = 32,
    /// A further missing wedge, of a tilt range of 40 to 60 degrees about an axis of any direction in the sections.
    Wedge = 64,
    /// Each subtomogram mixed with another, and their labels alike (Zhang et al. 2018, alpha 0.2).
    Mixup = 128,
}

/// What keeps the weights near those that the training starts from.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum cinetomo_regularizer {
    /// Nothing.
    None = 0,
    /// Half the strength times the squared distance of the backbone's weights from their start, added to the loss: L2-SP
    /// (Li, Grandvalet & Davoine 2018, eq. 2-3); the head has the weight decay.
    L2Sp = 1,
    /// After every step the weights of each layer are moved back towards their start, all by one factor, until those of no
    /// output differ from it by more than the strength in the sum of absolute values: the maximum absolute row sum of MARS
    /// (Gouk, Hospedales & Pontil 2021).
    Mars = 2,
    /// Half the strength times the squared difference of the feature maps of some stages (`regularizer_stages`) from those of
    /// the network that the training starts from, added to the loss; and half the strength times the squared weights of the
    /// head: DELTA (Li et al. 2019). Each channel counts by how much the loss grows without it, measured before the first
    /// epoch on up to 32 training subtomograms with the head of a linear probe: the softmax over the channels of a stage,
    /// times their number. Differences are averaged over the positions, where the paper adds them up.
    ///
    /// Keeps a second network and computes it in every step. To weigh the channels costs one pass through what follows a
    /// stage for each of its channels: for I3D three seconds of a core a subtomogram of 32 voxels an edge.
    Delta = 3,
    /// The same, all channels alike: nothing is measured.
    DeltaUniform = 4,
}

/// What is done about classes of different sizes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum cinetomo_balance {
    /// Nothing.
    None = 0,
    /// Each subtomogram's loss counts in inverse proportion to the size of its class (scikit-learn's "balanced").
    Weights = 1,
    /// Each epoch draws as many subtomograms of every class: those of small classes several times, not all of large ones.
    Sampling = 2,
}

/// Ways to train that have a name, for `cinetomo_fine_tune_options_preset`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum cinetomo_preset {
    /// What was measured to be best at few labels: the same as `cinetomo_fine_tune_options_init`.
    Default = 0,
    /// The paper's training of a video network (section 4.3.2): 30 epochs at 1e-4, a tenth of it after 15 and after 22, batches
    /// of 16 (the paper has 32 from a quarter of its labels on), CROP and AFFINE, random head, BatchNorm TRAINED. Adam as in
    /// the paper's code, where its text describes SGD.
    PaperVideo = 1,
    /// The paper's training of random numbers: 100 epochs at 1e-3, a tenth of it after 50 and after 75; else the same.
    PaperRandom = 2,
    /// No training: logistic regression on the features of the network as it is, of the stage where they tell most
    /// (PROBE_STAGES).
    Probe = 3,
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
    /// Fraction of each class held out to watch, choose and calibrate by, from 0 (default: none) to 0.5.
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
    /// the start, takes part), 0 = return the last. A few dozen subtomograms choose badly, and what chose the epoch calibrates
    /// badly: with so few, 0 was better (benches/record/confidence.md).
    pub select_best: i32,
    /// A `CINETOMO_REGULARIZER_*`. Default: NONE.
    pub regularizer: i32,
    /// Strength of the regulariser, above 0. Default: 0.01.
    pub regularizer_strength: f64,
    /// Part of each label that is spread evenly over all classes, from 0 (default) up to but not including 1 (Szegedy et
    /// al. 2016).
    pub label_smoothing: f64,
    /// Factor from the learning rate of a stage to that of the stage before it, above 0 and at most 1 (default); the head
    /// has the full rate (discriminative fine-tuning, Howard & Ruder 2018).
    pub stage_rate_decay: f64,
    /// Where the state of the training is kept after every `checkpoint_interval` epochs, or NULL (default). If the file is
    /// there already and is of the same training (options, model, voxels, labels), the training goes on from it and gives
    /// the very weights of one that was never stopped; if it is of another, the call fails. The file remains.
    pub checkpoint: *const c_char,
    /// A `CINETOMO_BALANCE_*`. Default: NONE.
    pub balance: i32,
    /// Subtomograms computed at once; 0 (default) = all of a step. A step with more of them adds up their gradients; BatchNorm
    /// sees these only. Halved by itself when memory runs out.
    pub micro_batch_size: i32,
    /// Epochs without a better validation after which the training ends; 0 (default) = never.
    pub patience: i32,
    /// Epochs that the STEP schedule counts as one, at least 1 (default). The paper's code counts validations, every 10 epochs,
    /// on real data; its text counts epochs.
    pub schedule_interval: i32,
    /// Epochs from one checkpoint to the next, at least 1 (default).
    pub checkpoint_interval: i32,
    /// Zero.
    pub reserved: i32,
    /// What is learnt on the validation subtomograms when the training is over, for `cinetomo_model_classify` and
    /// `cinetomo_model_predict`; NULL (default) = the defaults of `cinetomo_calibration_options_init`. Without validation
    /// nothing is, but for the class means that distances are measured from.
    pub calibration: *const cinetomo_calibration_options,
    /// Names of the stages whose feature maps DELTA compares, with commas between them, such as "layer3,layer4"; NULL
    /// (default) = the last four that have maps and are not frozen. Stages are named in `cinetomo_model_info`. Given with
    /// another regulariser, the call fails.
    pub regularizer_stages: *const c_char,
}
