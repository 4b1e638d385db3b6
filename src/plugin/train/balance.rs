//! Classes of different sizes.

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::config::Balance;
use crate::{
    allocation::{collected, room},
    error::Result,
};

/// What each class's loss is multiplied by: 1, or in inverse proportion to its number of training subtomograms, n /
/// (classes present * n of the class), as scikit-learn's `compute_class_weight("balanced")`. Classes without any have 0.
pub(super) fn class_weights(balance: Balance, n_per_class: &[usize]) -> Vec<f32> {
    let n_present = n_per_class.iter().filter(|n| **n > 0).count() as f64;
    let total = n_per_class.iter().sum::<usize>() as f64;
    let weight = |n: &usize| match (balance, n) {
        (Balance::None | Balance::Sampling, _) => 1.0,
        (Balance::Weights, 0) => 0.0,
        (Balance::Weights, n) => (total / (n_present * *n as f64)) as f32,
    };
    n_per_class.iter().map(weight).collect()
}

/// The subtomograms of an epoch in random order: all of `training` once, or, with SAMPLING, as many in all, but of every
/// class the same number but for one.
pub(super) fn epoch_order(
    balance: Balance,
    training: &[usize],
    labels: &[i32],
    generator: &mut ChaCha8Rng,
) -> Result<Vec<usize>> {
    let mut order = collected(training.iter().copied())?;
    order.shuffle(generator);
    if balance != Balance::Sampling {
        return Ok(order);
    }
    let mut classes = collected(training.iter().map(|&index| labels[index]))?;
    classes.sort_unstable();
    classes.dedup();
    // Which classes get one more, if the number does not divide, is random.
    classes.shuffle(generator);
    let n_classes = classes.len().max(1);
    let mut balanced = room(order.len())?;
    for (place, class) in classes.into_iter().enumerate() {
        let n = order.len() / n_classes + usize::from(place < order.len() % n_classes);
        let members = order.iter().copied().filter(|&index| labels[index] == class);
        balanced.extend(members.cycle().take(n));
    }
    balanced.shuffle(generator);
    Ok(balanced)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::SeedableRng;

    use super::*;

    /// `sklearn.utils.class_weight.compute_class_weight("balanced", classes=[0, 1, 2], y=[0] * 6 + [1] * 2 + [2])`.
    #[test]
    fn weights_are_those_of_scikit_learn() {
        let weights = class_weights(Balance::Weights, &[6, 2, 1]);
        for (found, expected) in weights.iter().zip([0.5, 1.5, 3.0]) {
            assert!((found - expected).abs() < 1e-6, "{weights:?}");
        }
        assert_eq!(class_weights(Balance::Weights, &[4, 0, 4]), [1.0, 0.0, 1.0]);
        assert_eq!(class_weights(Balance::None, &[6, 0, 1]), [1.0; 3]);
    }

    #[test]
    fn an_epoch_draws_as_many_of_every_class() {
        let labels: Vec<i32> = (0..101).map(|i| i32::from(i == 100)).collect();
        let training: Vec<usize> = (0..101).collect();
        let mut generator = ChaCha8Rng::seed_from_u64(4);
        let order = epoch_order(Balance::Sampling, &training, &labels, &mut generator).unwrap();
        assert_eq!(order.len(), 101);
        let n_rare = order.iter().filter(|&&index| index == 100).count();
        assert!(n_rare == 50 || n_rare == 51, "{n_rare}");
        // Of the large class none comes twice before all have come once.
        let common: Vec<usize> = order.into_iter().filter(|&index| index != 100).collect();
        assert_eq!(common.iter().collect::<HashSet<_>>().len(), common.len());

        let mut plain = epoch_order(Balance::None, &training, &labels, &mut generator).unwrap();
        assert!(!plain.is_sorted());
        plain.sort_unstable();
        assert_eq!(plain, training);
    }
}
