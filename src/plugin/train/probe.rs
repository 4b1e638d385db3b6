//! The linear probe: L2-regularised multinomial logistic regression on fixed features, which becomes the head.
//!
//! Kumar et al. 2022 (LP-FT): a head fitted first keeps the first steps of fine-tuning from distorting the features.
//! The problem is convex, so Newton's method finds the one solution; its steps come from conjugate gradients (Nocedal
//! & Wright 2006, alg. 7.1) in the basis of the features' principal components, where the Hessian is nearly diagonal.

use tch::{Device, Kind, Tensor};

use super::split::folds;
use crate::{
    allocation::collected,
    error::{Error, ErrorKind, Result},
    model::Head,
};

/// Strengths that cross-validation chooses from, strongest first, in units of the number of features: of two
/// standardised vectors the product grows with that number, and so does what a penalty must balance.
const STRENGTHS: [f64; 6] = [1e1, 1e0, 1e-1, 1e-2, 1e-3, 1e-4];

/// Strength where a class has a single example and nothing can be cross-validated: the middle.
const FALLBACK_STRENGTH: f64 = STRENGTHS[2];

/// Most folds of the cross-validation (Hastie et al. 2009, section 7.10.1: 5 or 10).
const MAX_FOLDS: usize = 5;

/// A class without examples starts as unlikely as one with so many examples (Krichevsky & Trofimov 1981).
const EXAMPLES_OF_AN_ABSENT_CLASS: f64 = 0.5;

/// A feature that varies less than this part of the average feature is not magnified further, so that it cannot
/// decide alone when it happens to vary in other subtomograms.
const LEAST_DEVIATION: f64 = 0.01;

/// Distance from the optimum, in nats per row, at which a fit ends: one to be compared, and the one to be kept.
const COARSE: f64 = 1e-4;
const FINE: f64 = 1e-13;

/// A head and how it was found.
#[derive(Debug)]
pub(super) struct Probe {
    /// The features that it is for, counted among the candidates.
    pub place: usize,
    pub head: Head,
    /// Strength of the L2 penalty on the features of all examples, once each.
    pub penalty: f64,
    /// What cross-validation gave for each of the candidates; empty if there was none.
    pub accuracies: Vec<f64>,
}

/// Fits a head to the best of some `candidates` for features `[copies * n, f]` of n examples of the given `classes`: first
/// all n, then all n again in a varied form, and so on. An example counts once, whatever the number of its copies, and all
/// of them are on the same side of a cross-validation. That chooses the candidate and its strength: the highest accuracy,
/// then the lowest log loss, then the last candidate and the strongest penalty; classes are spread evenly over its folds,
/// which are the same for all candidates. Where a class has a single example, the last candidate is taken.
///
/// `progress` is told how much is done, 0 to 1, and may stop the fit. The head lives on the device of the features.
///
/// # Errors
/// `NonFinite` if a feature is NaN or infinite, and whatever `progress` fails with.
pub(super) fn fit(
    candidates: &[Tensor],
    classes: &[usize],
    n_classes: usize,
    seed: u64,
    progress: &mut dyn FnMut(f64) -> Result<()>,
) -> Result<Probe> {
    let (mut best, mut accuracies) = (None::<(usize, Data, Trial)>, Vec::new());
    for (place, features) in candidates.iter().enumerate() {
        let mut within = |part: f64| progress((place as f64 + part) / candidates.len() as f64);
        let data = Data::new(features, classes, n_classes)?;
        let n_folds = data.smallest_class().min(MAX_FOLDS);
        let trial = if n_folds < 2 {
            Trial::UNTRIED
        } else {
            let folds = folds(classes, n_folds, seed)?;
            let folds = collected((0..data.n_copies).flat_map(|_| folds.iter().copied()))?;
            let trial = data.cross_validate(&folds, n_folds, &mut within)?;
            accuracies.push(trial.accuracy);
            trial
        };
        if best.as_ref().is_none_or(|(.., best)| !best.beats(&trial)) {
            best = Some((place, data, trial));
        }
    }
    let (place, data, Trial { strength, .. }) =
        best.ok_or_else(|| Error::invalid("no features to fit a head to"))?;
    let head = data.fit(data.penalty(strength))?;
    progress(1.0)?;
    Ok(Probe { place, head, penalty: strength * data.n_features() as f64, accuracies })
}

/// What cross-validation says of features with a penalty of that strength.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Trial {
    strength: f64,
    /// Fraction of the left-out rows that is classified correctly.
    accuracy: f64,
    /// Sum of the log loss of the left-out rows.
    log_loss: f64,
}

impl Trial {
    /// Where a class has a single example.
    const UNTRIED: Trial =
        Trial { strength: FALLBACK_STRENGTH, accuracy: 0.0, log_loss: f64::INFINITY };

    fn beats(&self, other: &Trial) -> bool {
        self.accuracy > other.accuracy
            || (self.accuracy == other.accuracy && self.log_loss < other.log_loss)
    }
}

/// Standardised features in the basis of their principal components, and the way back.
struct Data {
    /// `[copies * n, r + 1]`: r principal components, then ones, whose weights are the intercepts.
    rows: Tensor,
    /// `[copies * n, p]`: 1 at the class of each row, of the p classes that have examples.
    targets: Tensor,
    /// Those p classes, rising, with their numbers of examples.
    present: Vec<(usize, usize)>,
    n_classes: usize,
    n_copies: usize,
    /// `[f, r]`: the principal components.
    components: Tensor,
    /// `[f]` each.
    mean: Tensor,
    deviation: Tensor,
    device: Device,
}

impl Data {
    fn new(features: &Tensor, classes: &[usize], n_classes: usize) -> Result<Data> {
        let device = features.device();
        let features = features.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)?;
        if features.f_isfinite()?.f_all()?.f_int64_value(&[])? == 0 {
            return Err(Error::new(
                ErrorKind::NonFinite,
                "a feature of a training subtomogram is NaN or infinite",
            ));
        }
        let mean = features.f_mean_dim(0, false, Kind::Double)?;
        let deviation = features.f_std_dim(0, false, false)?;
        let least = LEAST_DEVIATION * deviation.f_mean(Kind::Double)?.f_double_value(&[])?;
        // With no variation at all any positive number will do.
        let least = if least > 0.0 { least } else { 1.0 };
        let deviation = deviation.f_clamp_min(least)?;
        let standardised = features.f_sub(&mean)?.f_div(&deviation)?;
        // The penalty does not change under rotation, and weights at a right angle to all rows are 0 at the optimum:
        // the r <= min(n, f) components say all.
        let (u, s, components) = standardised.f_svd(true, true)?;
        let n_rows = features.size()[0];
        let ones = Tensor::f_ones([n_rows, 1], (Kind::Double, Device::Cpu))?;
        let rows = Tensor::f_cat(&[u.f_mul(&s)?, ones], 1)?;

        let mut counts = vec![0; n_classes];
        for &class in classes {
            counts[class] += 1;
        }
        let present: Vec<(usize, usize)> =
            counts.into_iter().enumerate().filter(|(_, count)| *count > 0).collect();
        let place = |class: &usize| present.iter().position(|(other, _)| other == class);
        let places = || classes.iter().filter_map(place).map(|place| place as i64);
        let n_copies = n_rows as usize / classes.len();
        let targets = collected((0..n_copies).flat_map(|_| places()))?;
        let targets = Tensor::f_from_slice(&targets)?
            .f_one_hot(present.len() as i64)?
            .f_to_kind(Kind::Double)?;
        Ok(Data {
            rows,
            targets,
            present,
            n_classes,
            n_copies,
            components,
            mean,
            deviation,
            device,
        })
    }

    fn n_features(&self) -> i64 {
        self.mean.size()[0]
    }

    /// The penalty on all rows together that has this strength.
    fn penalty(&self, strength: f64) -> f64 {
        strength * self.n_features() as f64 * self.n_copies as f64
    }

    fn smallest_class(&self) -> usize {
        self.present.iter().map(|(_, count)| *count).min().unwrap_or(0)
    }

    /// The strength that predicts the left-out folds best, and how well it does so.
    fn cross_validate(
        &self,
        folds: &[usize],
        n_folds: usize,
        progress: &mut dyn FnMut(f64) -> Result<()>,
    ) -> Result<Trial> {
        let mut n_correct = [0.0; STRENGTHS.len()];
        let mut log_loss = [0.0; STRENGTHS.len()];
        for fold in 0..n_folds {
            let part = |inside: bool| -> Result<Problem> {
                let rows = (0..folds.len()).filter(|&row| (folds[row] == fold) == inside);
                let rows = Tensor::f_from_slice(&collected(rows.map(|row| row as i64))?)?;
                Problem::new(
                    self.rows.f_index_select(0, &rows)?,
                    self.targets.f_index_select(0, &rows)?,
                )
            };
            let (training, held_out) = (part(false)?, part(true)?);
            let mut weights = training.start()?;
            for (index, strength) in STRENGTHS.into_iter().enumerate() {
                progress(
                    (fold * STRENGTHS.len() + index) as f64 / (n_folds * STRENGTHS.len()) as f64,
                )?;
                // From the stronger penalty's solution it is not far.
                weights = training.solve(weights, self.penalty(strength), COARSE)?;
                let scores = held_out.rows.f_matmul(&weights)?;
                n_correct[index] += held_out.n_correct(&scores)?;
                log_loss[index] += held_out.log_loss(&scores)?;
            }
        }
        let trial = |index: usize| Trial {
            strength: STRENGTHS[index],
            accuracy: n_correct[index] / folds.len() as f64,
            log_loss: log_loss[index],
        };
        let first = trial(0);
        Ok((1..STRENGTHS.len())
            .map(trial)
            .fold(first, |best, next| if next.beats(&best) { next } else { best }))
    }

    /// The head that the regression with that penalty gives on all rows.
    fn fit(&self, penalty: f64) -> Result<Head> {
        let problem = Problem::new(self.rows.shallow_clone(), self.targets.shallow_clone())?;
        let solution = problem.solve(problem.start()?, penalty, FINE)?;
        let n_components = self.components.size()[1];
        let intercepts = solution.f_select(0, n_components)?;
        let weights = self.components.f_matmul(&solution.f_narrow(0, 0, n_components)?)?;
        let weights = weights.f_transpose(0, 1)?.f_div(&self.deviation)?;
        let intercepts = intercepts.f_sub(&weights.f_matmul(&self.mean)?)?;

        let places: Vec<i64> = self.present.iter().map(|(class, _)| *class as i64).collect();
        let places = Tensor::f_from_slice(&places)?;
        let options = (Kind::Double, Device::Cpu);
        let weight = Tensor::f_zeros([self.n_classes as i64, self.n_features()], options)?
            .f_index_copy(0, &places, &weights)?;
        let bias =
            Tensor::f_full([self.n_classes as i64], self.absent_intercept(&intercepts)?, options)?
                .f_index_copy(0, &places, &intercepts)?;
        let finish = |tensor: Tensor| tensor.f_to_kind(Kind::Float)?.f_to_device(self.device);
        Ok(Head { weight: finish(weight)?, bias: finish(bias)? })
    }

    /// Intercept of a class without examples: as far below the mean of the others as its share is in logarithms.
    fn absent_intercept(&self, intercepts: &Tensor) -> Result<f64> {
        let mean_log_count =
            self.present.iter().map(|(_, count)| (*count as f64).ln()).sum::<f64>()
                / self.present.len() as f64;
        let mean = intercepts.f_mean(Kind::Double)?.f_double_value(&[])?;
        Ok(mean - mean_log_count + EXAMPLES_OF_AN_ABSENT_CLASS.ln())
    }
}

/// Minimise the log loss of softmax(rows weights) against `targets`, plus half the penalty times the squared weights
/// (of all rows but the last: the intercepts are free).
struct Problem {
    /// `[n, r + 1]`.
    rows: Tensor,
    /// Its transpose, contiguous: products with a transposed view take three times as long.
    columns: Tensor,
    /// `[n, p]`.
    targets: Tensor,
    /// `[r + 1, 1]`: sums of the squared columns of `rows`.
    squares: Tensor,
}

impl Problem {
    fn new(rows: Tensor, targets: Tensor) -> Result<Problem> {
        let squares = rows.f_square()?.f_sum_dim_intlist([0i64].as_slice(), false, Kind::Double)?;
        let columns = rows.f_transpose(0, 1)?.f_contiguous()?;
        Ok(Problem { squares: squares.f_unsqueeze(1)?, rows, columns, targets })
    }

    /// Weights `[r + 1, p]` of 0. From there every step keeps the sum over the classes 0, which settles the one
    /// direction (the same added to all intercepts) that neither loss nor penalty decides.
    fn start(&self) -> Result<Tensor> {
        let shape = [self.rows.size()[1], self.targets.size()[1]];
        Ok(Tensor::f_zeros(shape, (Kind::Double, Device::Cpu))?)
    }

    fn log_loss(&self, scores: &Tensor) -> Result<f64> {
        Ok(-dot(&self.targets, &scores.f_log_softmax(1, Kind::Double)?)?)
    }

    fn n_correct(&self, scores: &Tensor) -> Result<f64> {
        let predicted = scores.f_argmax(1, true)?;
        Ok(self.targets.f_gather(1, &predicted, false)?.f_sum(Kind::Double)?.f_double_value(&[])?)
    }

    /// Newton's method from `weights` until the optimum is within about `tolerance` nats per row.
    fn solve(&self, mut weights: Tensor, penalty: f64, tolerance: f64) -> Result<Tensor> {
        const MAX_STEPS: usize = 100;
        let penalties = Tensor::f_full_like(&self.squares, penalty)?;
        let n_penalties = penalties.size()[0];
        let _ = penalties.f_select(0, n_penalties - 1)?.f_zero_()?;
        let objective = |weights: &Tensor, scores: &Tensor| -> Result<f64> {
            Ok(self.log_loss(scores)? + 0.5 * dot(weights, &weights.f_mul(&penalties)?)?)
        };
        let n = self.rows.size()[0] as f64;
        let mut scores = self.rows.f_matmul(&weights)?;
        let mut current = objective(&weights, &scores)?;
        for _ in 0..MAX_STEPS {
            let probabilities = scores.f_softmax(1, Kind::Double)?;
            let gradient = self
                .columns
                .f_matmul(&probabilities.f_sub(&self.targets)?)?
                .f_add(&weights.f_mul(&penalties)?)?;
            let curvature = probabilities.f_sub(&probabilities.f_square()?)?;
            let curvature = curvature.f_mean(Kind::Double)?.f_double_value(&[])?.max(1e-12);
            let diagonal = self.squares.f_mul_scalar(curvature)?.f_add(&penalties)?;
            // Where the Hessian is the diagonal, twice the distance from the optimum.
            let decrement = dot(&gradient, &gradient.f_div(&diagonal)?)?;
            if decrement <= tolerance * n {
                break;
            }
            // Newton's method converges faster the closer it is; the accuracy of its steps keeps pace.
            let accuracy = (decrement / n).sqrt().min(0.1);
            let hessian = Hessian { problem: self, probabilities, penalties: &penalties, diagonal };
            let step = hessian.solve(gradient.f_neg()?, accuracy)?;
            let (slope, change) = (dot(&gradient, &step)?, self.rows.f_matmul(&step)?);
            // Backtracking (Armijo's rule); rounding may hide the last gain, then this is the optimum.
            let mut length = 1.0;
            loop {
                let candidate = weights.f_add(&step.f_mul_scalar(length)?)?;
                let candidate_scores = scores.f_add(&change.f_mul_scalar(length)?)?;
                let value = objective(&candidate, &candidate_scores)?;
                if value <= current + 1e-4 * length * slope {
                    (weights, scores, current) = (candidate, candidate_scores, value);
                    break;
                }
                length *= 0.5;
                if length < 1e-6 {
                    return Ok(weights);
                }
            }
        }
        Ok(weights)
    }
}

/// Second derivatives of a problem where the rows have these probabilities.
struct Hessian<'a> {
    problem: &'a Problem,
    probabilities: Tensor,
    penalties: &'a Tensor,
    /// Roughly its diagonal, the same for all classes: the preconditioner.
    diagonal: Tensor,
}

impl Hessian<'_> {
    fn product(&self, x: &Tensor) -> Result<Tensor> {
        let weighted = self.problem.rows.f_matmul(x)?.f_mul(&self.probabilities)?;
        let mean = weighted.f_sum_dim_intlist([1i64].as_slice(), true, Kind::Double)?;
        let change = weighted.f_sub(&self.probabilities.f_mul(&mean)?)?;
        let product = self.problem.columns.f_matmul(&change)?;
        Ok(product.f_add(&x.f_mul(self.penalties)?)?)
    }

    /// Preconditioned conjugate gradients from 0 until the residual has shrunk to `accuracy`.
    fn solve(&self, right_side: Tensor, accuracy: f64) -> Result<Tensor> {
        const MAX_STEPS: usize = 200;
        let mut x = right_side.f_zeros_like()?;
        let mut residual = right_side;
        let mut conditioned = residual.f_div(&self.diagonal)?;
        let mut direction = conditioned.shallow_clone();
        let mut size = dot(&residual, &conditioned)?;
        let enough = size * accuracy * accuracy;
        for _ in 0..MAX_STEPS {
            let product = self.product(&direction)?;
            let length = size / dot(&direction, &product)?;
            x = x.f_add(&direction.f_mul_scalar(length)?)?;
            residual = residual.f_sub(&product.f_mul_scalar(length)?)?;
            conditioned = residual.f_div(&self.diagonal)?;
            let smaller = dot(&residual, &conditioned)?;
            if smaller <= enough {
                break;
            }
            direction = conditioned.f_add(&direction.f_mul_scalar(smaller / size)?)?;
            size = smaller;
        }
        Ok(x)
    }
}

fn dot(a: &Tensor, b: &Tensor) -> Result<f64> {
    Ok(a.f_mul(b)?.f_sum(Kind::Double)?.f_double_value(&[])?)
}

#[cfg(test)]
#[path = "probe_test.rs"]
mod tests;
