//! Models: how they are made and what they tell of themselves.

use std::ffi::c_char;

/// A network with its preprocessing and class names. Immutable: fine-tuning returns a new one.
/// Freed with `cinetomo_model_free`.
#[cfg_attr(feature = "stable-abi", derive(abi_stable::StableAbi), repr(C))]
pub struct cinetomo_model {
    _opaque: [u8; 0],
}

/// How grey values are brought into the network's range.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum cinetomo_normalization {
    /// Each subtomogram's minimum and maximum become the lowest and highest grey value of the network's videos.
    MinMax = 0,
    /// Each subtomogram gets mean 0 and standard deviation 1.
    ZScore = 1,
    /// As MIN_MAX between two percentiles of each subtomogram, clipped: robust to hot voxels.
    Percentile = 2,
    /// Each subtomogram's minimum and maximum become 0 and 1, whatever the network's videos had: the paper's code, which
    /// fed weights of videos from about -115 to 155 so. Its text says nothing.
    Unit = 3,
    /// Grey values minus `fixed_mean`, divided by `fixed_deviation`: the same for all subtomograms, for scales that mean
    /// something and for the paper's MedMNIST sets.
    Fixed = 4,
}

/// How subtomograms are resized along y and x (and along z, linearly between sections).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum cinetomo_interpolation {
    /// Cubic convolution with a = -0.5 and half-pixel centres, widened when shrinking: Pillow's BICUBIC.
    Bicubic = 0,
    /// Linear.
    Linear = 1,
    /// Nearest neighbour.
    Nearest = 2,
}

/// What happens to voxels before they reach the network. Part of the model and of its file: training and
/// classification share it. Fill with `cinetomo_preprocess_init`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "stable-abi", derive(abi_stable::StableAbi))]
pub struct cinetomo_preprocess {
    /// `sizeof(cinetomo_preprocess)` as the caller was compiled; set by the `_init`.
    pub struct_size: usize,
    /// Network input along z (beam), y, x; 0 (default) = as the subtomograms come. The paper's text has 32, 128, 128; its code
    /// leaves the sections as many as they are: 0, 128, 128.
    pub input_size: [i64; 3],
    /// Lower percentile, from 0 to 100, for CINETOMO_NORMALIZATION_PERCENTILE. Default: 0.5.
    pub percentile_low: f64,
    /// Upper percentile. Default: 99.5.
    pub percentile_high: f64,
    /// A `CINETOMO_NORMALIZATION_*`. Default: MIN_MAX.
    pub normalization: i32,
    /// A `CINETOMO_INTERPOLATION_*`. Default: BICUBIC.
    pub interpolation: i32,
    /// Contrast that the network sees, a `CINETOMO_CONTRAST_*`. UNKNOWN (default) = as the volumes come; otherwise
    /// volumes of the opposite stated contrast are negated first.
    pub contrast: i32,
    /// Mirror images of each subtomogram whose probabilities classification averages: 1 (itself), 4 (itself and its
    /// rotations by 180 degrees about the axes) or 8 (these and their mirror images; default). Takes as many times
    /// longer, and is worth several points of accuracy where labels are few: particles lie in all orientations.
    pub n_views: i32,
    /// Grey value that CINETOMO_NORMALIZATION_FIXED makes 0. Default: 0.
    pub fixed_mean: f64,
    /// Difference of grey values that CINETOMO_NORMALIZATION_FIXED makes 1, above 0. Default: 1.
    pub fixed_deviation: f64,
}

/// What network to make. Fill with `cinetomo_model_options_init`, then set at least `n_classes`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "stable-abi", derive(abi_stable::StableAbi))]
pub struct cinetomo_model_options {
    /// `sizeof(cinetomo_model_options)` as the caller was compiled; set by the `_init`.
    pub struct_size: usize,
    /// Name of the network, "i3d"; NULL (default) = recognised from the checkpoint, "i3d" for random models.
    pub backbone: *const c_char,
    /// `n_classes` distinct, non-empty names, or NULL (default) for "class_0", "class_1", ...
    pub class_names: *const *const c_char,
    /// Number of classes, at least 2.
    pub n_classes: usize,
    /// Preprocessing, or NULL (default) for the defaults of `cinetomo_preprocess_init`.
    pub preprocess: *const cinetomo_preprocess,
    /// Seed of the random head (and of the whole network for `cinetomo_model_random`). Default: 0.
    pub seed: u64,
    /// Dropout probability before the head while training, from 0 up to but not including 1. Default: 0.
    pub dropout: f64,
}

/// What a model is. Every pointer in it belongs to the model and is valid until the model is freed.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "stable-abi", derive(abi_stable::StableAbi))]
pub struct cinetomo_model_info {
    /// In: `sizeof(cinetomo_model_info)` as the caller was compiled; set by the `_init`. Nothing beyond it is written.
    pub struct_size: usize,
    /// Name of the network, such as "i3d".
    pub backbone: *const c_char,
    /// Names of the classes, `n_classes` of them; label i means the i-th.
    pub class_names: *const *const c_char,
    /// Number of classes.
    pub n_classes: usize,
    /// Names of the network's stages from input to output, `n_stages` of them: what can be frozen.
    pub stage_names: *const *const c_char,
    /// Number of stages.
    pub n_stages: usize,
    /// Length of an embedding.
    pub n_features: i64,
    /// Trainable numbers in the network and its head.
    pub n_parameters: i64,
    /// Network input along z, y, x; 0 = as the subtomograms come.
    pub input_size: [i64; 3],
    /// Edge in angstrom of the voxels it was fine-tuned on; 0 = unknown.
    pub voxel_size: f64,
    /// Contrast of the volumes it was fine-tuned on, a `CINETOMO_CONTRAST_*`.
    pub contrast: i32,
    /// Zero.
    pub reserved: i32,
    /// SHA-256 of the video checkpoint, 64 lower-case hexadecimal digits; "" for a random start.
    pub checkpoint_sha256: *const c_char,
    /// Everything that the model file says of the model, as JSON: preprocessing, options and history of the training.
    pub metadata_json: *const c_char,
}
