//! Division of labelled subtomograms into those to train on, to choose by and to measure on.

/// What a subtomogram is for; see `cinetomo_split`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum cinetomo_part {
    /// Nothing: it has no label, or no part wants it.
    None = 0,
    /// To train on.
    Training = 1,
    /// To choose and to calibrate by.
    Validation = 2,
    /// To measure on, once, when everything is chosen.
    Test = 3,
}

/// How `cinetomo_split` divides; fractions are of all labelled subtomograms of each class and add up to at most 1. Fill
/// with `cinetomo_split_options_init`, then change what you need.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "stable-abi", derive(abi_stable::StableAbi))]
pub struct cinetomo_split_options {
    /// `sizeof(cinetomo_split_options)` as the caller was compiled; set by the `_init`.
    pub struct_size: usize,
    /// To train on. Default: 0.6. Where above 0, each class gets at least one.
    pub training_fraction: f64,
    /// To choose and to calibrate by. Default: 0.2.
    pub validation_fraction: f64,
    /// To measure on. Default: 0.2.
    pub test_fraction: f64,
    /// Seed. Default: 0.
    pub seed: u64,
}
