//! What a model says of subtomograms: probabilities, distances, and a class or none.

use tch::{Kind, Tensor};

use crate::{
    allocation,
    augment::{MIRROR_IMAGES, Mirrors},
    backbone::BatchNormMode,
    confidence::{Reject, Threshold},
    error::{Error, Result},
    metrics::first_highest,
    model::Model,
    monitor::{Monitor, Stage},
    volume::Volume,
};

/// What a network says of n subtomograms, averaged over their mirror images and before any calibration.
pub(crate) struct Scores {
    /// Logarithms of the mean probabilities, `[n, classes]`.
    pub log_probabilities: Tensor,
    /// Mean features, `[n, features]`.
    pub embeddings: Tensor,
}

/// What a model says of n subtomograms.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Predictions {
    /// The most probable class of each, -1 where a rule rejected it.
    pub labels: Vec<i32>,
    /// Calibrated probabilities `[n, classes]`, row-major.
    pub probabilities: Vec<f32>,
    /// Mahalanobis distance of each from the nearest class; empty if nobody asked.
    pub distances: Vec<f32>,
}

impl Model {
    /// The class of each subtomogram, or -1 where a rule rejects it. Distances are computed if `with_distances` or a rule
    /// asks for them.
    ///
    /// # Errors
    /// `InvalidArgument` if a rule is asked for that has no threshold, or distances of a model without class means;
    /// otherwise as `classify`.
    pub fn predict(
        &self,
        volume: &Volume<'_>,
        reject: Reject,
        with_distances: bool,
        monitor: &mut Monitor<'_>,
    ) -> Result<Predictions> {
        let [least_probability, greatest_distance] = self.thresholds(reject)?;
        let mahalanobis = match &self.mahalanobis {
            _ if !with_distances && greatest_distance.is_none() => None,
            Some(mahalanobis) => Some(mahalanobis),
            None => return Err(no_class_means()),
        };
        // One row a subtomogram: its probabilities, then its distance.
        let rows = self.infer(volume, monitor, Stage::Classify, self.images(), |views| {
            let scores = self.scores(views)?;
            let probabilities = self.probabilities(&scores.log_probabilities)?;
            let Some(mahalanobis) = mahalanobis else { return Ok(probabilities) };
            let distances = mahalanobis.distances(&scores.embeddings)?;
            Ok(Tensor::f_cat(&[probabilities, distances.f_unsqueeze(1)?], 1)?)
        })?;
        let n_classes = self.class_names.len();
        let (n, with_distances) = (volume.len(), mahalanobis.is_some());
        let mut predictions = Predictions {
            labels: allocation::room(n)?,
            probabilities: allocation::room(n * n_classes)?,
            distances: allocation::room(if with_distances { n } else { 0 })?,
        };
        for row in rows.chunks_exact(n_classes + usize::from(with_distances)) {
            let (probabilities, distance) = row.split_at(n_classes);
            let class = first_highest(probabilities);
            let sure = least_probability.is_none_or(|t| f64::from(probabilities[class]) >= t.value);
            let near = greatest_distance.is_none_or(|t| f64::from(distance[0]) <= t.value);
            predictions.labels.push(if sure && near { class as i32 } else { -1 });
            predictions.probabilities.extend(probabilities);
            predictions.distances.extend(distance);
        }
        Ok(predictions)
    }

    /// Thresholds on probability and distance of the rules that are asked for.
    fn thresholds(&self, reject: Reject) -> Result<[Option<Threshold>; 2]> {
        let of_rule = |asked: bool, threshold: Option<Threshold>, rule: &str| match threshold {
            _ if !asked => Ok(None),
            Some(threshold) => Ok(Some(threshold)),
            None => Err(Error::invalid(format!(
                "reject: the model has no threshold on {rule}; choose one with cinetomo_model_calibrate, on labelled \
                 subtomograms that it was not trained on, or fine-tune with a validation_fraction, with this rule among \
                 those of the calibration options"
            ))),
        };
        Ok([
            of_rule(reject.probability, self.confidence.probability, "probability")?,
            of_rule(reject.distance, self.confidence.distance, "distance")?,
        ])
    }

    /// What is said of an input `[n, 1, d, h, w]`.
    pub(crate) fn score(&self, input: &Tensor, monitor: &Monitor<'_>) -> Result<Scores> {
        self.scores(&self.views(input, self.images(), monitor)?)
    }

    fn scores(&self, views: &[Tensor]) -> Result<Scores> {
        Ok(Scores {
            log_probabilities: self.log_probabilities(views)?,
            embeddings: Tensor::f_stack(views, 0)?.f_mean_dim(0, false, None)?,
        })
    }

    /// The mirror images of each subtomogram that are averaged over.
    pub(crate) fn images(&self) -> &'static [[bool; 3]] {
        &MIRROR_IMAGES[..self.preprocess.n_views as usize]
    }

    /// Features `[n, features]` of each of these mirror images of an input `[n, 1, d, h, w]`.
    pub(crate) fn views(
        &self,
        input: &Tensor,
        images: &[[bool; 3]],
        monitor: &Monitor<'_>,
    ) -> Result<Vec<Tensor>> {
        let n = input.size()[0] as usize;
        let features = |&image: &[bool; 3]| {
            monitor.check()?;
            let view = Mirrors { flags: allocation::filled(n, image)? }.apply(input)?;
            self.network.features(&view, BatchNormMode::Folded)
        };
        images.iter().map(features).collect()
    }

    /// Logarithms of the probabilities `[n, classes]` at temperature 1, from the features of the views. Probabilities are
    /// averaged first and calibrated afterwards (Rahaman & Thiery 2021, "Uncertainty quantification and deep ensembles"),
    /// so that no temperature changes the class.
    pub(crate) fn log_probabilities(&self, views: &[Tensor]) -> Result<Tensor> {
        let of_view = |features: &Tensor| -> Result<Tensor> {
            Ok(self.logits(features)?.f_log_softmax(1, Kind::Float)?)
        };
        let of_views = views.iter().map(of_view).collect::<Result<Vec<Tensor>>>()?;
        let sum = Tensor::f_stack(&of_views, 0)?.f_logsumexp([0i64].as_slice(), false)?;
        Ok(sum.f_sub_scalar((views.len() as f64).ln())?)
    }

    /// Calibrated probabilities `[n, classes]` of what `log_probabilities` gave.
    pub(crate) fn probabilities(&self, log_probabilities: &Tensor) -> Result<Tensor> {
        let logits = log_probabilities.f_div_scalar(self.confidence.temperature)?;
        Ok(logits.f_softmax(1, Kind::Float)?)
    }
}

/// What is said where distances are asked of a model that cannot tell them.
pub(crate) fn no_class_means() -> Error {
    Error::invalid(
        "the model has no class means to measure distances from: fine-tune it with CINETOMO_REJECT_DISTANCE in the \
         calibration options",
    )
}

#[cfg(test)]
#[path = "predict_test.rs"]
mod tests;
