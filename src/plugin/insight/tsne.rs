//! A map of embeddings in the plane: t-SNE with Barnes-Hut trees.
//!
//! van der Maaten & Hinton 2008, "Visualizing Data using t-SNE"; van der Maaten 2014, "Accelerating t-SNE using Tree-Based
//! Algorithms", <https://jmlr.org/papers/v15/vandermaaten14a.html>; computed by the crate `bhtsne`. It starts from the
//! first two principal components, which keeps the global arrangement and makes runs alike (Kobak & Berens 2019, "The art
//! of using t-SNE for single-cell transcriptomics"); the learning rate is theirs too.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::mpsc::sync_channel,
};

use super::points::{Neighbours, Points};
use crate::{
    allocation::{collected, filled, room, values},
    error::{Error, ErrorKind, Result},
    monitor::{Monitor, Progress, Stage},
};
use bhtsne::{Neighbor, tSNE};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};

/// Perplexity where the embeddings are enough for it (van der Maaten & Hinton 2008: 5 to 50; scikit-learn's default).
const PERPLEXITY: f64 = 30.0;

/// Neighbours of a point that are looked at, as a multiple of the perplexity (van der Maaten 2014, section 4.1).
const NEIGHBORS_PER_PERPLEXITY: f64 = 3.0;

/// How coarse the trees are (van der Maaten 2014, section 5).
const THETA: f64 = 0.5;

/// Factor of the attraction in the first iterations, and how many they are (scikit-learn's defaults).
const EARLY_EXAGGERATION: f64 = 12.0;
const N_EARLY: usize = 250;

/// Most iterations: a thousand times what is needed.
const MAX_ITERATIONS: usize = 1_000_000;

/// Standard deviation of the start along the first principal component (scikit-learn's), and of the noise on it, which
/// sets equal embeddings apart.
const START: f64 = 1e-4;
const NOISE: f64 = 1e-6;

/// Iterations between two reports of progress.
const REPORT_EVERY: usize = 10;

/// How a map is made.
#[derive(Clone, Debug, PartialEq)]
pub struct TsneConfig {
    /// Number of neighbours that count, from 1 to a third of the others; `None` = 30, or what the embeddings allow.
    pub perplexity: Option<f64>,
    /// Iterations, at least 250: so many move the points about before they settle.
    pub n_iterations: usize,
    /// Seed of the noise on the start.
    pub seed: u64,
}

impl Default for TsneConfig {
    /// The defaults of `options_init` of `cinetomo.project2d/1`.
    fn default() -> TsneConfig {
        TsneConfig { perplexity: None, n_iterations: 1000, seed: 0 }
    }
}

impl TsneConfig {
    /// The perplexity for maps of `n` points. Fails with `InvalidArgument` if a value makes no sense or the points are too few.
    pub fn perplexity_for(&self, n: usize) -> Result<f64> {
        if !(N_EARLY..=MAX_ITERATIONS).contains(&self.n_iterations) {
            return Err(Error::invalid(format!(
                "n_iterations is {}; it must be from {N_EARLY} to {MAX_ITERATIONS}",
                self.n_iterations
            )));
        }
        let most = n.saturating_sub(1) as f64 / NEIGHBORS_PER_PERPLEXITY;
        if most < 1.0 {
            return Err(Error::invalid(format!("{n} embeddings: a map needs at least 4")));
        }
        let perplexity = self.perplexity.unwrap_or(PERPLEXITY.min(most));
        if (1.0..=most).contains(&perplexity) {
            return Ok(perplexity);
        }
        Err(Error::invalid(format!(
            "perplexity is {perplexity}; for {n} embeddings it must be from 1 to {most:.1}, a third of the others"
        )))
    }
}

/// Positions `[n, 2]` of the points in a plane, row-major: neighbours lie together. Distances between groups, their
/// sizes and the axes mean nothing. Same points, same seed: same map, bit by bit, as one thread computes it.
///
/// # Errors
/// `InvalidArgument` if the perplexity does not suit the number of points; `Cancelled`.
pub fn tsne(points: &Points, config: &TsneConfig, monitor: &mut Monitor<'_>) -> Result<Vec<f32>> {
    let perplexity = config.perplexity_for(points.len())?;
    let _guard = tch::no_grad_guard();
    let neighbors = neighbors(points, perplexity)?;
    let start = start(points, config.seed)?;
    let fit = |callback: Box<dyn FnMut(usize) + '_>| {
        fit(&neighbors, &start, perplexity, config.n_iterations, callback)
    };
    let (positions, divergence) = beside(fit, |epoch| {
        if (epoch + 1).is_multiple_of(REPORT_EVERY) || epoch + 1 == config.n_iterations {
            monitor.report(Progress::batch(Stage::Project, epoch + 1, config.n_iterations))?;
        }
        Ok(())
    })?;
    let n = points.len();
    monitor.info(format_args!(
        "t-SNE of {n} embeddings, perplexity {perplexity:.1}: Kullback-Leibler divergence {divergence:.3}"
    ));
    let positions = collected(positions.into_iter().map(|position| position as f32))?;
    match positions.iter().all(|position| position.is_finite()) {
        true => Ok(positions),
        false => Err(Error::new(ErrorKind::NonFinite, "the map is NaN or infinite in places")),
    }
}

/// The neighbours of each point, distances in units of their mean: the scale makes no difference but to rounding.
fn neighbors(points: &Points, perplexity: f64) -> Result<Vec<Vec<Neighbor<f64>>>> {
    let nearest = points.nearest((NEIGHBORS_PER_PERPLEXITY * perplexity) as usize)?;
    let all = nearest.iter().flat_map(|neighbours| &neighbours.distances);
    let (n, sum) = all.fold((0.0, 0.0), |(n, sum), distance| (n + 1.0, sum + distance));
    let unit = if sum > 0.0 { sum / n } else { 1.0 };
    let neighbor = |(index, distance): (i64, f64)| Neighbor {
        index: index as usize,
        distance: distance / unit,
    };
    let mut rows = room(nearest.len())?;
    for Neighbours { indices, distances } in nearest {
        rows.push(collected(std::iter::zip(indices, distances).map(neighbor))?);
    }
    Ok(rows)
}

/// The first two principal components `[n, 2]`, the first with a standard deviation of `START`, and noise.
fn start(points: &Points, seed: u64) -> Result<Vec<f64>> {
    let (n, n_features) = points.rows.size2()?;
    // Of the two matrices with the same eigenvalues the smaller one.
    let transposed = points.rows.f_transpose(0, 1)?;
    let scores = if n_features <= n {
        let (_, axes) = transposed.f_matmul(&points.rows)?.f_linalg_eigh("L")?;
        points.rows.f_matmul(&axes)?
    } else {
        let (squares, axes) = points.rows.f_matmul(&transposed)?.f_linalg_eigh("L")?;
        axes.f_mul(&squares.f_clamp_min(0.0)?.f_sqrt()?)?
    };
    let component = |place: i64| -> Result<Vec<f64>> {
        let place = scores.size()[1] - place;
        if place < 0 {
            return filled(n as usize, 0.0);
        }
        let mut scores = values::<f64>(&scores.f_select(1, place)?)?;
        // Eigenvectors have no sign of their own: the score farthest from 0 gets a positive one.
        let farthest =
            scores.iter().copied().fold(0.0, |a: f64, b| if b.abs() > a.abs() { b } else { a });
        if farthest < 0.0 {
            scores.iter_mut().for_each(|score| *score = -*score);
        }
        Ok(scores)
    };
    let (first, second) = (component(1)?, component(2)?);
    let deviation = (first.iter().map(|score| score * score).sum::<f64>() / n as f64).sqrt();
    let scale = if deviation > 0.0 { START / deviation } else { 0.0 };
    let noise = Normal::new(0.0, NOISE).map_err(|error| Error::invalid(error.to_string()))?;
    let noise = noise.sample_iter(ChaCha8Rng::seed_from_u64(seed));
    let scores = std::iter::zip(first, second).flat_map(|(first, second)| [first, second]);
    collected(scores.zip(noise).map(|(score, noise)| score * scale + noise))
}

/// The map, and how far its similarities are from those of the points (Kullback-Leibler divergence, in nats).
fn fit<'a>(
    neighbors: &'a [Vec<Neighbor<f64>>],
    start: &[f64],
    perplexity: f64,
    n_iterations: usize,
    mut callback: Box<dyn FnMut(usize) + 'a>,
) -> (Vec<f64>, f64) {
    // It is given neighbours and looks at no points.
    let points = vec![(); neighbors.len()];
    let mut tsne = tSNE::<f64, (), 2>::new(&points);
    // The crate's gradient lacks the factor 4 of the papers': these are the rates of Kobak & Berens, with it.
    let learning_rate = (neighbors.len() as f64 / EARLY_EXAGGERATION).max(200.0);
    tsne.perplexity(perplexity)
        .epochs(n_iterations)
        .early_exaggeration(EARLY_EXAGGERATION)
        .stop_lying_epoch(N_EARLY)
        .momentum_switch_epoch(N_EARLY)
        .learning_rate(learning_rate)
        .initial_embedding(start)
        .epoch_callback(move |epoch, _| callback(epoch))
        .barnes_hut_with_neighbors(THETA, neighbors);
    let divergence = tsne.kl_divergence().unwrap_or(f64::NAN);
    (tsne.embedding(), divergence)
}

/// What ends a computation from within its callback.
struct Stopped;

/// Runs `compute` on a thread of its own, in a pool of one, so that sums are always added up in the same order and no
/// thread outlives the call; `report` is called with each epoch on this thread, while that one waits, and ends the
/// computation by failing.
fn beside<T: Send>(
    compute: impl FnOnce(Box<dyn FnMut(usize) + '_>) -> T + Send,
    mut report: impl FnMut(usize) -> Result<()>,
) -> Result<T> {
    let (epochs, reports) = sync_channel::<usize>(0);
    let (go_on, answers) = sync_channel::<bool>(0);
    let callback = move |epoch: usize| {
        let told = epochs.send(epoch).is_ok();
        if !(told && answers.recv().unwrap_or(false)) {
            // No panic: no hook is called.
            resume_unwind(Box::new(Stopped));
        }
    };
    let mut failure = None;
    let outcome = pool(|pool| {
        let mut outcome = None;
        pool.in_place_scope(|scope| {
            scope.spawn(|_| {
                let compute = AssertUnwindSafe(|| compute(Box::new(callback)));
                outcome = Some(catch_unwind(compute));
            });
            // The thread's end of the channel goes with the computation.
            for epoch in reports {
                failure = report(epoch).err();
                if go_on.send(failure.is_none()).is_err() || failure.is_some() {
                    break;
                }
            }
        });
        outcome
    })?;
    match (failure, outcome) {
        (Some(error), _) => Err(error),
        (None, Some(Ok(result))) => Ok(result),
        (None, Some(Err(payload))) => resume_unwind(payload),
        (None, None) => Err(Error::new(ErrorKind::Panic, "a computation did not start")),
    }
}

/// Runs `work` with a pool of one thread, which has ended when this returns.
fn pool<T>(work: impl FnOnce(&rayon::ThreadPool) -> T) -> Result<T> {
    let built = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build_scoped(rayon::ThreadBuilder::run, work);
    built.map_err(|error| {
        Error::new(ErrorKind::OutOfMemory, format!("no thread for a computation: {error}"))
    })
}

#[cfg(test)]
#[path = "tsne_test.rs"]
mod tests;
