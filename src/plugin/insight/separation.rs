//! How well classes of embeddings are apart, without any training.

use std::collections::BTreeMap;

use tch::{Device, Tensor};

use super::points::Points;
use crate::{
    allocation,
    error::{Error, Result},
};

/// How well classes are apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Separation {
    /// Embeddings whose label is not -1.
    pub n_evaluated: usize,
    /// Mean silhouette (Rousseeuw 1987, "Silhouettes: a graphical aid to the interpretation and validation of cluster
    /// analysis"), -1 to 1: with Euclidean distances, how much nearer an embedding is to its own class than to the next.
    /// NaN if there is one class, or each embedding is a class of its own.
    pub silhouette: f64,
    /// Fraction of the embeddings that the majority of its nearest neighbours, itself left out, classifies correctly; of
    /// equal votes the lowest label wins.
    pub knn_accuracy: f64,
}

/// How well the classes `labels` of embeddings `[n, n_features]` are apart; label -1 is left out.
///
/// # Errors
/// `InvalidArgument` if the sizes do not fit, a label is below -1, or fewer than `n_neighbors` (1 at least) others have a
/// label; `NonFinite` for an embedding that is no number.
pub fn separation(
    embeddings: &[f32],
    n_features: usize,
    labels: &[i32],
    n_neighbors: usize,
    device: Device,
) -> Result<Separation> {
    if n_features == 0 || labels.len().checked_mul(n_features) != Some(embeddings.len()) {
        return Err(Error::invalid(format!(
            "{} numbers for {} labels and n_features {n_features}; labels x n_features are needed",
            embeddings.len(),
            labels.len()
        )));
    }
    if let Some(index) = labels.iter().position(|label| *label < -1) {
        return Err(Error::invalid(format!(
            "label {index} is {}; it must be a class, counted from 0, or -1 to leave it out",
            labels[index]
        )));
    }
    // All are checked, those without label too, so that messages count as the caller does.
    let _ = Points::new(embeddings, n_features, Device::Cpu)?;
    let n_labelled = labels.iter().filter(|label| **label >= 0).count();
    if n_neighbors == 0 || n_neighbors >= n_labelled {
        return Err(Error::invalid(format!(
            "n_neighbors is {n_neighbors}: must be from 1 to {}, as {} embeddings have a label",
            n_labelled.saturating_sub(1),
            n_labelled
        )));
    }
    let rows = embeddings.chunks_exact(n_features);
    let kept = std::iter::zip(rows, labels).filter(|(_, label)| **label >= 0);
    let mut values = allocation::room(n_labelled * n_features)?;
    kept.for_each(|(row, _)| values.extend_from_slice(row));
    let labels = allocation::collected(labels.iter().copied().filter(|label| *label >= 0))?;
    let points = Points::new(&values, n_features, device)?;
    Ok(Separation {
        n_evaluated: labels.len(),
        silhouette: silhouette(&points, &labels)?,
        knn_accuracy: knn_accuracy(&points, &labels, n_neighbors)?,
    })
}

fn silhouette(points: &Points, labels: &[i32]) -> Result<f64> {
    let mut sizes = BTreeMap::<i32, f64>::new();
    for label in labels {
        *sizes.entry(*label).or_default() += 1.0;
    }
    if sizes.len() < 2 || sizes.len() == labels.len() {
        return Ok(f64::NAN);
    }
    let classes: Vec<i32> = sizes.keys().copied().collect();
    let sizes: Vec<f64> = sizes.into_values().collect();
    // Every label is among the classes, which are sorted.
    let place = |label: &i32| classes.partition_point(|class| class < label);
    let places = allocation::collected(labels.iter().map(place))?;
    let mut members = allocation::filled(labels.len() * classes.len(), 0.0)?;
    for (index, place) in places.iter().enumerate() {
        members[index * classes.len() + place] = 1.0;
    }
    let members = Tensor::f_from_slice(&members)?
        .f_reshape([labels.len() as i64, classes.len() as i64])?
        .f_to_device(points.rows.device())?;
    let mut sum = 0.0;
    for chunk in points.chunks() {
        let to_classes = points.distances(chunk.clone())?.f_matmul(&members)?;
        let to_classes = allocation::values::<f64>(&to_classes)?;
        for (row, own) in to_classes.chunks(classes.len()).zip(&places[chunk]) {
            sum += silhouette_of(row, *own, &sizes);
        }
    }
    Ok(sum / labels.len() as f64)
}

/// The silhouette of a point from the sums of its distances to each class: 0 for the only one of its class.
fn silhouette_of(sums: &[f64], own: usize, sizes: &[f64]) -> f64 {
    if sizes[own] == 1.0 {
        return 0.0;
    }
    let within = sums[own] / (sizes[own] - 1.0);
    let others = (0..sizes.len()).filter(|class| *class != own);
    let between = others.map(|class| sums[class] / sizes[class]).fold(f64::INFINITY, f64::min);
    match within.max(between) {
        0.0 => 0.0,
        greater => (between - within) / greater,
    }
}

fn knn_accuracy(points: &Points, labels: &[i32], n_neighbors: usize) -> Result<f64> {
    let nearest = points.nearest(n_neighbors)?;
    let correct = nearest.iter().zip(labels).filter(|(neighbours, label)| {
        let mut votes = BTreeMap::<i32, usize>::new();
        for index in &neighbours.indices {
            *votes.entry(labels[*index as usize]).or_default() += 1;
        }
        // Of equal counts the last wins: the lowest label.
        let winner = votes.iter().rev().max_by_key(|(_, count)| **count);
        winner.is_some_and(|(winner, _)| winner == *label)
    });
    Ok(correct.count() as f64 / labels.len() as f64)
}

#[cfg(test)]
#[path = "separation_test.rs"]
pub(crate) mod tests;
