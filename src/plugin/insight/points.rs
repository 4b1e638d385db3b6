//! Points: embeddings as rows of numbers, and the distances between them.

use std::ops::Range;

use tch::{Device, Kind, Tensor};

use crate::{
    allocation::{collected, room, values},
    error::{Error, ErrorKind, Result},
};

/// Distances that are in memory at once, in numbers: 128 MB.
const DISTANCES_AT_ONCE: usize = 1 << 24;

/// Rows of finite numbers, their mean taken off: no distance depends on it, and none loses digits by it.
#[derive(Debug)]
pub struct Points {
    /// `[n, features]`, f64.
    pub(super) rows: Tensor,
    /// Squared length of each row, `[n]`.
    squares: Tensor,
}

/// The nearest other points of a point, the nearest first.
pub(super) struct Neighbours {
    /// Their indices.
    pub indices: Vec<i64>,
    /// Their Euclidean distances.
    pub distances: Vec<f64>,
}

/// How many rows `values` are. Fails with `InvalidArgument` if there is none or they are no rows of that length.
pub fn n_points(values: &[f32], n_features: usize) -> Result<usize> {
    if n_features == 0 {
        return Err(Error::invalid("n_features is 0; it must be at least 1"));
    }
    if values.is_empty() || !values.len().is_multiple_of(n_features) {
        return Err(Error::invalid(format!(
            "{} numbers are no rows of {n_features} features",
            values.len()
        )));
    }
    Ok(values.len() / n_features)
}

impl Points {
    /// The points whose coordinates are `values` `[n, n_features]`, on `device`.
    ///
    /// # Errors
    /// As `n_points`, and `NonFinite` for a coordinate that is no number.
    pub fn new(values: &[f32], n_features: usize, device: Device) -> Result<Points> {
        let n = n_points(values, n_features)?;
        if let Some(place) = values.iter().position(|value| !value.is_finite()) {
            let (row, feature) = (place / n_features, place % n_features);
            return Err(Error::new(
                ErrorKind::NonFinite,
                format!("embedding {row}: feature {feature} is {}", values[place]),
            ));
        }
        let rows = Tensor::f_from_slice(values)?.f_reshape([n as i64, n_features as i64])?;
        let rows = rows.f_to_device(device)?.f_to_kind(Kind::Double)?;
        let rows = rows.f_sub(&rows.f_mean_dim(0, true, None)?)?;
        let squares = rows.f_square()?.f_sum_dim_intlist(1i64, false, None::<Kind>)?;
        Ok(Points { rows, squares })
    }

    /// Their number, at least 1.
    #[allow(clippy::len_without_is_empty, reason = "there is always one")]
    pub fn len(&self) -> usize {
        self.rows.size()[0] as usize
    }

    /// Runs of points whose distances to all fit into memory.
    pub(super) fn chunks(&self) -> impl Iterator<Item = Range<usize>> {
        let n = self.len();
        let step = (DISTANCES_AT_ONCE / n).max(1);
        (0..n).step_by(step).map(move |start| start..(start + step).min(n))
    }

    /// Euclidean distances `[k, n]` of these points to all.
    pub(super) fn distances(&self, chunk: Range<usize>) -> Result<Tensor> {
        let (start, n) = (chunk.start as i64, chunk.len() as i64);
        let rows = self.rows.f_narrow(0, start, n)?;
        let products = rows.f_matmul(&self.rows.f_transpose(0, 1)?)?;
        let sums = self.squares.f_narrow(0, start, n)?.f_unsqueeze(1)?.f_add(&self.squares)?;
        // Rounding may leave something below 0 where points are equal, and something of a point's distance to itself.
        let squared = sums.f_sub(&products.f_mul_scalar(2.0)?)?.f_clamp_min(0.0)?;
        let _ = squared.f_diagonal(start, 0, 1)?.f_zero_()?;
        Ok(squared.f_sqrt()?)
    }

    /// The `k` nearest others of every point. There must be so many others.
    pub(super) fn nearest(&self, k: usize) -> Result<Vec<Neighbours>> {
        let mut nearest = room(self.len())?;
        for chunk in self.chunks() {
            let distances = self.distances(chunk.clone())?;
            let _ = distances.f_diagonal(chunk.start as i64, 0, 1)?.f_fill_(f64::INFINITY)?;
            let (distances, indices) = distances.f_topk(k as i64, 1, false, true)?;
            let distances = values::<f64>(&distances)?;
            let indices = values::<i64>(&indices)?;
            for (indices, distances) in std::iter::zip(indices.chunks(k), distances.chunks(k)) {
                nearest.push(Neighbours {
                    indices: collected(indices.iter().copied())?,
                    distances: collected(distances.iter().copied())?,
                });
            }
        }
        Ok(nearest)
    }
}
