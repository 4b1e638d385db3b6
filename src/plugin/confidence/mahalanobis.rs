//! How far an embedding is from the classes: the Mahalanobis distance (Lee et al. 2018, "A simple unified framework for
//! detecting out-of-distribution samples and adversarial attacks", eq. 1 and 2).
//!
//! Each class is a normal distribution around the mean of its training embeddings, all with one covariance: that of the
//! embeddings around their means, shrunk towards a multiple of the identity (Ledoit & Wolf 2004, "A well-conditioned
//! estimator for large-dimensional covariance matrices"), as there are fewer of them than they have features.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::{
    allocation::collected,
    error::{Error, ErrorKind, Result},
};

/// Embeddings whose differences from all class means are in memory at once: some ten megabytes.
const ROWS_AT_ONCE: i64 = 256;

/// Class means and the shared covariance of training embeddings.
#[derive(Debug)]
pub struct Mahalanobis {
    /// What it was made of.
    pub record: MahalanobisRecord,
    /// Means of the classes that had examples, `[p, features]`, f32.
    pub means: Tensor,
    /// `[features, features]`, f32: makes differences of embeddings have the identity as covariance. The inverse of the
    /// covariance's Cholesky factor.
    pub whitening: Tensor,
}

/// What class means and covariance were made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MahalanobisRecord {
    /// Classes that had examples, rising.
    pub classes: Vec<usize>,
    /// Training subtomograms.
    pub n_subtomograms: usize,
    /// Weight of the identity in the covariance, 0 to 1.
    pub shrinkage: f64,
}

impl MahalanobisRecord {
    /// Fails if it cannot belong to a model of `n_classes`.
    pub fn check(&self, n_classes: usize) -> Result<()> {
        let rising = self.classes.is_sorted_by(|a, b| a < b);
        let known = self.classes.last().is_some_and(|&last| last < n_classes);
        if rising && known && (0.0..=1.0).contains(&self.shrinkage) {
            return Ok(());
        }
        Err(Error::invalid(format!("class means {self:?} of a model of {n_classes} classes")))
    }
}

impl Mahalanobis {
    /// The distributions of `embeddings` `[n, features]` of these `n` classes, on the device of the embeddings. `None` if
    /// no two embeddings of a class differ: then there is no covariance.
    ///
    /// # Errors
    /// `NonFinite` if an embedding is NaN or infinite.
    pub fn fit(embeddings: &Tensor, classes: &[usize]) -> Result<Option<Mahalanobis>> {
        let device = embeddings.device();
        let x = embeddings.f_detach()?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)?;
        if x.f_isfinite()?.f_all()?.f_int64_value(&[])? == 0 {
            return Err(Error::new(
                ErrorKind::NonFinite,
                "an embedding of a training subtomogram is NaN or infinite",
            ));
        }
        let mut present = collected(classes.iter().copied())?;
        present.sort_unstable();
        present.dedup();
        let mut means = Vec::new();
        for class in &present {
            let rows = (0..classes.len()).filter(|&row| classes[row] == *class);
            let rows = collected(rows.map(|row| row as i64))?;
            let of_class = x.f_index_select(0, &Tensor::f_from_slice(&rows)?)?;
            means.push(of_class.f_mean_dim(0, false, Kind::Double)?);
        }
        let means = Tensor::f_stack(&means, 0)?;
        let place = |class: &usize| present.partition_point(|other| other < class) as i64;
        let places = collected(classes.iter().map(place))?;
        let residuals = x.f_sub(&means.f_index_select(0, &Tensor::f_from_slice(&places)?)?)?;
        let Some((covariance, shrinkage)) = shrunk_covariance(&residuals)? else { return Ok(None) };
        let factor = covariance.f_linalg_cholesky(false)?;
        let identity = Tensor::f_eye(factor.size()[0], (Kind::Double, Device::Cpu))?;
        let whitening = factor.f_linalg_solve_triangular(&identity, false, true, false)?;
        let finish = |tensor: Tensor| tensor.f_to_kind(Kind::Float)?.f_to_device(device);
        Ok(Some(Mahalanobis {
            record: MahalanobisRecord {
                classes: present,
                n_subtomograms: classes.len(),
                shrinkage,
            },
            means: finish(means)?,
            whitening: finish(whitening)?,
        }))
    }

    /// Distance of each of `embeddings` `[n, features]` from the nearest class, `[n]`.
    pub fn distances(&self, embeddings: &Tensor) -> Result<Tensor> {
        let whitening = self.whitening.f_transpose(0, 1)?;
        let of_part = |part: &Tensor| -> Result<Tensor> {
            // Differences first: embeddings have far larger means than variations, and single precision has seven digits.
            let differences = part.f_unsqueeze(1)?.f_sub(&self.means.f_unsqueeze(0)?)?;
            let squares = differences.f_matmul(&whitening)?.f_square()?;
            let squares = squares.f_sum_dim_intlist([2i64].as_slice(), false, Kind::Float)?;
            Ok(squares.f_amin([1i64].as_slice(), false)?.f_sqrt()?)
        };
        let parts = embeddings.f_split(ROWS_AT_ONCE, 0)?;
        Ok(Tensor::f_cat(&parts.iter().map(of_part).collect::<Result<Vec<Tensor>>>()?, 0)?)
    }

    /// A copy that shares no tensor with this one.
    pub fn duplicate(&self) -> Result<Mahalanobis> {
        Ok(Mahalanobis {
            record: self.record.clone(),
            means: self.means.f_detach_copy()?,
            whitening: self.whitening.f_detach_copy()?,
        })
    }
}

/// The covariance `[f, f]` of `rows` `[n, f]` around 0, and the weight of the identity in it. `None` if all rows are 0.
///
/// Ledoit & Wolf 2004, section 3.2: S is the mean of x x', m the mean of its diagonal, d2 = |S - m I|^2, b2 the mean of
/// |x x' - S|^2 over n, at most d2; the covariance is b2/d2 m I + (1 - b2/d2) S.
fn shrunk_covariance(rows: &Tensor) -> Result<Option<(Tensor, f64)>> {
    let [n, n_features] = [rows.size()[0] as f64, rows.size()[1] as f64];
    let sum =
        |tensor: Tensor| -> Result<f64> { Ok(tensor.f_sum(Kind::Double)?.f_double_value(&[])?) };
    let sample = rows.f_transpose(0, 1)?.f_matmul(rows)?.f_div_scalar(n)?;
    let mean = sum(sample.f_diag(0)?)? / n_features;
    if mean <= 0.0 {
        return Ok(None);
    }
    let squared_sample = sum(sample.f_square()?)?;
    let distance = squared_sample - n_features * mean * mean;
    // The sum of |x x' - S|^2 is that of |x|^4 less n |S|^2.
    let norms = rows.f_square()?.f_sum_dim_intlist([1i64].as_slice(), false, Kind::Double)?;
    let error = (sum(norms.f_square()?)? / n - squared_sample) / n;
    let shrinkage = if distance > 0.0 { (error / distance).clamp(0.0, 1.0) } else { 1.0 };
    let identity = Tensor::f_eye(sample.size()[0], (Kind::Double, Device::Cpu))?;
    let covariance =
        sample.f_mul_scalar(1.0 - shrinkage)?.f_add(&identity.f_mul_scalar(shrinkage * mean)?)?;
    Ok(Some((covariance, shrinkage)))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    /// A case of tests/reference/confidence.py.
    #[derive(Deserialize)]
    struct Case {
        name: String,
        n_features: i64,
        embeddings: Vec<f32>,
        classes: Vec<usize>,
        shrinkage: f64,
        queries: Vec<f32>,
        distances: Vec<f64>,
    }

    #[derive(Deserialize)]
    struct Reference {
        distances: Vec<Case>,
    }

    fn rows(values: &[f32], n_features: i64) -> Tensor {
        Tensor::from_slice(values).reshape([-1, n_features])
    }

    #[test]
    fn distances_agree_with_scikit_learn() {
        let text = include_str!("../../../tests/reference/confidence.json");
        let reference: Reference = serde_json::from_str(text).expect("reference");
        assert!(reference.distances.len() >= 4);
        for case in reference.distances {
            let embeddings = rows(&case.embeddings, case.n_features);
            let fitted = Mahalanobis::fit(&embeddings, &case.classes).expect(&case.name);
            let fitted = fitted.expect("a covariance");
            let shrinkage = fitted.record.shrinkage;
            assert!((shrinkage - case.shrinkage).abs() < 1e-9, "{}: {shrinkage}", case.name);
            let distances = fitted.distances(&rows(&case.queries, case.n_features));
            let distances = Vec::<f32>::try_from(distances.expect("distances")).expect("floats");
            assert_eq!(distances.len(), case.distances.len());
            for (got, expected) in distances.into_iter().zip(case.distances) {
                let relative = f64::from(got) / expected - 1.0;
                assert!(relative.abs() < 1e-5, "{}: {got} is not {expected}", case.name);
            }
        }
    }

    #[test]
    fn without_variation_there_is_no_distance() {
        let embeddings = rows(&[1.0, 2.0, 3.0, 4.0, 1.0, 2.0], 2);
        assert!(Mahalanobis::fit(&embeddings, &[0, 1, 0]).expect("finite").is_none());
        // One class of two that differ is enough for all.
        let fitted = Mahalanobis::fit(&embeddings, &[2, 4, 4]).expect("finite").expect("some");
        assert_eq!(fitted.record.classes, [2, 4]);
        let infinite = rows(&[1.0, f32::INFINITY], 1);
        let error = Mahalanobis::fit(&infinite, &[0, 0]).expect_err("infinite");
        assert_eq!(error.kind(), ErrorKind::NonFinite);
    }
}
