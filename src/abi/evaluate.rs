//! Evaluation: what labels say of scores.

/// How good scores are. Fill `struct_size` with `cinetomo_metrics_init`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "stable-abi", derive(abi_stable::StableAbi))]
pub struct cinetomo_metrics {
    /// In: `sizeof(cinetomo_metrics)` as the caller was compiled. Nothing beyond it is written.
    pub struct_size: usize,
    /// Subtomograms that counted: those whose label is not -1.
    pub n_evaluated: i64,
    /// Fraction whose highest score is at the label; of equal scores the first counts. For probabilities of two classes
    /// this is the accuracy at a threshold of 0.5.
    pub accuracy: f64,
    /// Area under the ROC curve, one class against the rest, mean over the classes: scikit-learn's
    /// `roc_auc_score(multi_class="ovr", average="macro")`; with two classes the area for class 1. Classes without
    /// examples, or with nothing but examples, are left out of the mean; NaN if none is left.
    pub macro_auc: f64,
    /// Mean recall of the classes that have examples.
    pub balanced_accuracy: f64,
    /// Mean F1 of the classes that have examples or were predicted.
    pub macro_f1: f64,
    /// Expected calibration error: mean distance between confidence and accuracy over 15 bins of equal width (Guo et al.
    /// 2017), see `cinetomo_evaluate_reliability`. This and the next two are NaN unless each row consists of
    /// probabilities: 0 to 1, adding up to 1.
    pub expected_calibration_error: f64,
    /// Brier score (1950): squared differences between probabilities and truth, added over the classes, 0 to 2.
    pub brier_score: f64,
    /// Mean of -ln of the probability of the label, in nats; a probability below 2.2e-16 counts as that.
    pub log_loss: f64,
    /// For two classes, else NaN: the accuracy at the threshold on the score of class 1 that gives the highest accuracy on
    /// these very labels. Optimistic: no other data would reach it. Here because the paper reports its binary sets so.
    pub best_threshold_accuracy: f64,
    /// That threshold: scores of class 1 from it on count as class 1; infinite = none does.
    pub best_threshold: f64,
}

/// One class against the rest. What would be 0 / 0 is NaN. Never grows.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "stable-abi", derive(abi_stable::StableAbi))]
pub struct cinetomo_class_metrics {
    /// Subtomograms with this label.
    pub n_examples: i64,
    /// Subtomograms whose highest score is at this class.
    pub n_predicted: i64,
    /// Of those predicted, the fraction that has this label.
    pub precision: f64,
    /// Of those with this label, the fraction that was predicted.
    pub recall: f64,
    /// Harmonic mean of precision and recall.
    pub f1: f64,
    /// Area under the ROC curve of this class's score; NaN unless there are examples and counterexamples.
    pub auc: f64,
}

/// A point of a ROC curve: what counting scores from `threshold` on as the class comes to. Never grows.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "stable-abi", derive(abi_stable::StableAbi))]
pub struct cinetomo_roc_point {
    /// The lowest score that counts; infinite in the first point, where none does.
    pub threshold: f64,
    /// Fraction of the other subtomograms that count as the class.
    pub false_positive_rate: f64,
    /// Fraction of the class's subtomograms that count as it.
    pub true_positive_rate: f64,
}

/// The subtomograms whose highest probability is above `low` and at most `high`. Never grows.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "stable-abi", derive(abi_stable::StableAbi))]
pub struct cinetomo_reliability_bin {
    /// Lower end, excluded (0 itself belongs to the first bin).
    pub low: f64,
    /// Upper end, included.
    pub high: f64,
    /// Number of these subtomograms.
    pub n: i64,
    /// Mean of their highest probabilities; NaN if there are none.
    pub confidence: f64,
    /// Fraction of them whose highest probability is at the label; NaN if there are none.
    pub accuracy: f64,
}
