//! How sure a model is: calibration, and predictions that may be none.

use std::ptr;

use cinetomo_abi::{
    cinetomo_calibration_options, cinetomo_confidence, cinetomo_predictions, cinetomo_reject,
};

use crate::{
    Hooks, Model, Volume,
    error::{Error, call},
};

/// What a model says of n subtomograms.
#[derive(Clone, Debug, PartialEq)]
pub struct Predictions {
    /// The most probable class of each, -1 where a rule rejected it.
    pub labels: Vec<i32>,
    /// Calibrated probabilities `[n, n_classes]`.
    pub probabilities: Vec<f32>,
    /// Mahalanobis distance of each from the nearest class; `None` unless rejection by distance was asked for.
    pub distances: Option<Vec<f32>>,
}

impl Model {
    /// A new model, calibrated on labelled subtomograms that this one was not trained on; see
    /// `cinetomo_model_calibrate`.
    pub fn calibrate(
        &self,
        subtomograms: &Volume<'_>,
        labels: &[i32],
        options: &cinetomo_calibration_options,
        hooks: Hooks<'_>,
    ) -> Result<Model, Error> {
        let api = self.context().plugin().api();
        let options = cinetomo_calibration_options {
            struct_size: size_of::<cinetomo_calibration_options>(),
            ..*options
        };
        hooks.run(|hooks| {
            // SAFETY: all that is passed lives until the call returns.
            self.context().model(|model, error| unsafe {
                (api.model_calibrate)(
                    self.handle(),
                    subtomograms.raw(),
                    labels.as_ptr(),
                    labels.len(),
                    &raw const options,
                    hooks,
                    model,
                    error,
                )
            })
        })
    }

    /// The class of each subtomogram, or -1 where one of the rules in `reject` (a sum of `cinetomo_reject`) does not
    /// accept it; see `cinetomo_model_predict`.
    pub fn predict(
        &self,
        subtomograms: &Volume<'_>,
        reject: i32,
        hooks: Hooks<'_>,
    ) -> Result<Predictions, Error> {
        let api = self.context().plugin().api();
        // The plugin counts, having checked the shape against the voxels.
        let mut n_probabilities = 0;
        // SAFETY: all that is passed lives until the call returns; with capacity 0 only the length is written.
        call(api, |error| unsafe {
            let (volume, len) = (subtomograms.raw(), &raw mut n_probabilities);
            let buffer = ptr::null_mut();
            (api.model_classify)(self.handle(), volume, ptr::null(), buffer, 0, len, error)
        })?;
        let n = n_probabilities / self.info()?.class_names.len();
        let with_distances = reject & cinetomo_reject::Distance as i32 != 0;
        let mut labels = vec![0; n];
        let mut probabilities = vec![0.0; n_probabilities];
        let mut distances = vec![0.0; if with_distances { n } else { 0 }];
        let out = cinetomo_predictions {
            struct_size: size_of::<cinetomo_predictions>(),
            labels: labels.as_mut_ptr(),
            labels_capacity: labels.len(),
            probabilities: probabilities.as_mut_ptr(),
            probabilities_capacity: probabilities.len(),
            distances: match with_distances {
                true => distances.as_mut_ptr(),
                false => ptr::null_mut(),
            },
            distances_capacity: distances.len(),
        };
        hooks.run(|hooks| {
            // SAFETY: all that is passed lives until the call returns; the arrays have the stated capacities.
            call(api, |error| unsafe {
                (api.model_predict)(
                    self.handle(),
                    subtomograms.raw(),
                    reject,
                    hooks,
                    &raw const out,
                    error,
                )
            })
        })?;
        Ok(Predictions { labels, probabilities, distances: with_distances.then_some(distances) })
    }

    /// Its temperature and thresholds, and what they rest on.
    pub fn confidence(&self) -> Result<cinetomo_confidence, Error> {
        let api = self.context().plugin().api();
        // SAFETY: all zero is a valid cinetomo_confidence, numbers throughout; it says its size.
        unsafe {
            let mut confidence: cinetomo_confidence = std::mem::zeroed();
            confidence.struct_size = size_of::<cinetomo_confidence>();
            call(api, |error| (api.model_confidence_get)(self.handle(), &mut confidence, error))?;
            Ok(confidence)
        }
    }
}
