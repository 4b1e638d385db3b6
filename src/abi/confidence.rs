//! Confidence: calibration, and classes that are not given.

/// Rules by which `cinetomo_model_predict` gives no class; add them up. Each has a threshold that was chosen on labelled
/// subtomograms; see `cinetomo_calibration_options`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum cinetomo_reject {
    /// None: every subtomogram gets its most probable class.
    None = 0,
    /// The most probable class is not probable enough: likely mistakes.
    Probability = 1,
    /// The embedding is too far from those of all classes in the training (Mahalanobis distance, Lee et al. 2018): what
    /// belongs to none of the classes.
    Distance = 2,
}

/// What `cinetomo_model_calibrate` and `cinetomo_model_fine_tune` learn on labelled subtomograms that the model was not
/// trained on. Fill with `cinetomo_calibration_options_init`, then change what you need.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "stable-abi", derive(abi_stable::StableAbi))]
pub struct cinetomo_calibration_options {
    /// `sizeof(cinetomo_calibration_options)` as the caller was compiled; set by the `_init`.
    pub struct_size: usize,
    /// Wanted fraction of the accepted subtomograms that is classified correctly, above 0 and at most 1: the threshold
    /// accepts as many as that allows. 0 (default) = not asked.
    pub precision: f64,
    /// Wanted fraction of the subtomograms that is accepted, above 0 and at most 1: the threshold is as strict as that
    /// allows, or with a wanted precision the least that may be accepted. 0 (default) = 0.95 if no precision is wanted.
    pub coverage: f64,
    /// 1 (default) = find the temperature, one number that all logits are divided by so that probabilities say how often
    /// the model is right (Guo et al. 2017); 0 = leave it at 1. It changes no class.
    pub temperature: i32,
    /// Sum of `CINETOMO_REJECT_*`: rules that get a threshold. Default: PROBABILITY. DISTANCE needs class means, which
    /// only a fine-tuning with this rule computes.
    pub reject: i32,
}

/// A threshold of a rule and what it did on the labelled subtomograms that it was chosen on. Never grows.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "stable-abi", derive(abi_stable::StableAbi))]
pub struct cinetomo_threshold {
    /// The last value that is accepted; NaN = the rule has no threshold.
    pub value: f64,
    /// Subtomograms that it accepts.
    pub n_accepted: i64,
    /// Those of them that are classified correctly.
    pub n_correct: i64,
    /// 95 % interval of the precision for so many subtomograms (Wilson 1927). The threshold was chosen on them, so expect
    /// the lower half.
    pub precision_low: f64,
    /// Its upper end.
    pub precision_high: f64,
}

/// How sure a model is, and what that rests on.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "stable-abi", derive(abi_stable::StableAbi))]
pub struct cinetomo_confidence {
    /// In: `sizeof(cinetomo_confidence)` as the caller was compiled; set by the `_init`. Nothing beyond it is written.
    pub struct_size: usize,
    /// Labelled subtomograms that the model was calibrated on; 0 = it was not.
    pub n_calibration: i64,
    /// What logits are divided by; 1 = the network's own.
    pub temperature: f64,
    /// Standard error of the temperature; NaN if none was found.
    pub temperature_error: f64,
    /// Mean of -ln of the probability of the label on those subtomograms at temperature 1, in nats; NaN = not calibrated.
    pub log_loss_before: f64,
    /// The same at the model's temperature.
    pub log_loss_after: f64,
    /// Lowest probability of the predicted class that CINETOMO_REJECT_PROBABILITY accepts.
    pub probability: cinetomo_threshold,
    /// Greatest distance from the nearest class that CINETOMO_REJECT_DISTANCE accepts.
    pub distance: cinetomo_threshold,
    /// Training subtomograms that the class means come from, which distances are measured from; 0 = there are none.
    pub n_class_means: i64,
}

/// Where `cinetomo_model_predict` writes: arrays of the caller for n subtomograms. Fill with `cinetomo_predictions_init`,
/// then set those that you want; NULL (default) = not wanted.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "stable-abi", derive(abi_stable::StableAbi))]
pub struct cinetomo_predictions {
    /// `sizeof(cinetomo_predictions)` as the caller was compiled; set by the `_init`.
    pub struct_size: usize,
    /// Receives the class of each subtomogram, -1 where a rule rejects it; n of them.
    pub labels: *mut i32,
    /// Numbers that fit at `labels`.
    pub labels_capacity: usize,
    /// Receives calibrated probabilities, as `cinetomo_model_classify`; n x n_classes of them.
    pub probabilities: *mut f32,
    /// Numbers that fit at `probabilities`.
    pub probabilities_capacity: usize,
    /// Receives the Mahalanobis distance of each subtomogram from the nearest class; n of them. For models that were
    /// fine-tuned with CINETOMO_REJECT_DISTANCE.
    pub distances: *mut f32,
    /// Numbers that fit at `distances`.
    pub distances_capacity: usize,
}
