//! What labels say of scores, and which labels say it: evaluation and splits.

use std::ptr;

use cinetomo_abi::{
    cinetomo_class_metrics, cinetomo_metrics, cinetomo_reliability_bin, cinetomo_roc_point,
    cinetomo_split_options, cinetomo_status,
};

use crate::{Plugin, buffer::fetch, error::Error};

/// What `Plugin::evaluate` finds; see `cinetomo_metrics`.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// Subtomograms that counted: those whose label is not -1.
    pub n_evaluated: i64,
    /// Fraction whose highest score is at the label.
    pub accuracy: f64,
    /// Mean over the classes of the area under the ROC curve, one class against the rest.
    pub macro_auc: f64,
    /// Counts `[n_classes, n_classes]`: true class along the rows, predicted along the columns.
    pub confusion: Vec<i64>,
    /// Mean recall of the classes that have examples.
    pub balanced_accuracy: f64,
    /// Mean F1 of the classes that have examples or were predicted.
    pub macro_f1: f64,
    /// Expected calibration error; NaN if the scores are no probabilities.
    pub expected_calibration_error: f64,
    /// Brier score, 0 to 2; NaN if the scores are no probabilities.
    pub brier_score: f64,
    /// Log loss in nats; NaN if the scores are no probabilities.
    pub log_loss: f64,
    /// For two classes, else NaN: accuracy at the threshold that is best on these very labels. Optimistic.
    pub best_threshold_accuracy: f64,
    /// That threshold on the score of class 1.
    pub best_threshold: f64,
}

impl Plugin {
    /// Compares scores `[n, n_classes]` with labels (-1 leaves a row out).
    pub fn evaluate(
        self,
        probabilities: &[f32],
        labels: &[i32],
        n_classes: usize,
    ) -> Result<Evaluation, Error> {
        // SAFETY: all zero is a valid struct; the buffers have the stated lengths.
        unsafe {
            let mut metrics: cinetomo_metrics = std::mem::zeroed();
            metrics.struct_size = size_of::<cinetomo_metrics>();
            let confusion = fetch(self.api(), |buffer, capacity, len, error| {
                (self.api().evaluate)(
                    probabilities.as_ptr(),
                    probabilities.len(),
                    labels.as_ptr(),
                    labels.len(),
                    n_classes,
                    &mut metrics,
                    buffer,
                    capacity,
                    len,
                    error,
                )
            })?;
            Ok(Evaluation {
                n_evaluated: metrics.n_evaluated,
                accuracy: metrics.accuracy,
                macro_auc: metrics.macro_auc,
                confusion,
                balanced_accuracy: metrics.balanced_accuracy,
                macro_f1: metrics.macro_f1,
                expected_calibration_error: metrics.expected_calibration_error,
                brier_score: metrics.brier_score,
                log_loss: metrics.log_loss,
                best_threshold_accuracy: metrics.best_threshold_accuracy,
                best_threshold: metrics.best_threshold,
            })
        }
    }

    /// Compares scores with labels class by class.
    pub fn evaluate_classes(
        self,
        probabilities: &[f32],
        labels: &[i32],
        n_classes: usize,
    ) -> Result<Vec<cinetomo_class_metrics>, Error> {
        // SAFETY: the buffers have the stated lengths.
        fetch(self.api(), |buffer, capacity, len, error| unsafe {
            (self.api().evaluate_classes)(
                probabilities.as_ptr(),
                probabilities.len(),
                labels.as_ptr(),
                labels.len(),
                n_classes,
                buffer,
                capacity,
                len,
                error,
            )
        })
    }

    /// The ROC curve of a class against the rest; empty if there is none.
    pub fn evaluate_roc(
        self,
        probabilities: &[f32],
        labels: &[i32],
        n_classes: usize,
        class_index: usize,
    ) -> Result<Vec<cinetomo_roc_point>, Error> {
        // SAFETY: as above.
        fetch(self.api(), |buffer, capacity, len, error| unsafe {
            (self.api().evaluate_roc)(
                probabilities.as_ptr(),
                probabilities.len(),
                labels.as_ptr(),
                labels.len(),
                n_classes,
                class_index,
                buffer,
                capacity,
                len,
                error,
            )
        })
    }

    /// The reliability diagram of probabilities, in so many bins.
    pub fn evaluate_reliability(
        self,
        probabilities: &[f32],
        labels: &[i32],
        n_classes: usize,
        n_bins: usize,
    ) -> Result<Vec<cinetomo_reliability_bin>, Error> {
        // SAFETY: as above.
        fetch(self.api(), |buffer, capacity, len, error| unsafe {
            (self.api().evaluate_reliability)(
                probabilities.as_ptr(),
                probabilities.len(),
                labels.as_ptr(),
                labels.len(),
                n_classes,
                n_bins,
                buffer,
                capacity,
                len,
                error,
            )
        })
    }

    /// What each subtomogram is for, a `cinetomo_part` as a number. `groups` names the tomogram of each.
    pub fn split(
        self,
        labels: &[i32],
        groups: Option<&[i32]>,
        options: &cinetomo_split_options,
    ) -> Result<Vec<i32>, Error> {
        if let Some(groups) = groups.filter(|groups| groups.len() != labels.len()) {
            return Err(Error::new(
                cinetomo_status::InvalidArgument,
                format!("{} groups for {} labels", groups.len(), labels.len()),
            ));
        }
        let options =
            cinetomo_split_options { struct_size: size_of::<cinetomo_split_options>(), ..*options };
        // SAFETY: the buffers have the stated lengths; groups are as many as labels.
        fetch(self.api(), |buffer, capacity, len, error| unsafe {
            (self.api().split)(
                labels.as_ptr(),
                groups.map_or(ptr::null(), <[i32]>::as_ptr),
                labels.len(),
                &raw const options,
                buffer,
                capacity,
                len,
                error,
            )
        })
    }
}
