//! Which labelled subtomograms are trained on, which are held out, and in what batches they come.

use std::ops::Range;

use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use crate::{
    allocation::{collected, filled, push, reserve},
    error::{Error, Result},
};

/// What random numbers are for; each purpose has a stream of its own, so that one choice does not disturb another.
/// Streams 0 and 1 are those of the model: backbone and head.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    Split = 2,
    Folds = 3,
    Shuffle = 4,
    Augment = 5,
    Dropout = 6,
    Partition = 7,
}

/// The generator of a purpose.
pub(super) fn generator(seed: u64, purpose: Purpose) -> ChaCha8Rng {
    epoch_generator(seed, purpose, 0)
}

/// The generator of a purpose in an epoch, so that a training can go on at any epoch.
pub(super) fn epoch_generator(seed: u64, purpose: Purpose, epoch: usize) -> ChaCha8Rng {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    generator.set_stream(purpose as u64 | (epoch as u64) << 8);
    generator
}

/// Labelled subtomograms in two parts, as positions in the caller's batch, rising.
#[derive(Debug, PartialEq)]
pub(super) struct Split {
    pub training: Vec<usize>,
    pub validation: Vec<usize>,
    /// Labelled subtomograms of each class, in both parts together.
    pub n_per_class: Vec<usize>,
}

impl Split {
    /// Training subtomograms of each class.
    pub fn n_training_per_class(&self, labels: &[i32]) -> Vec<usize> {
        let mut n = vec![0; self.n_per_class.len()];
        self.training.iter().for_each(|&index| n[labels[index] as usize] += 1);
        n
    }
}

/// Holds out `fraction` of each class, rounded, but never its last example. Label -1 is left out of both parts.
///
/// # Errors
/// `InvalidArgument` if a label is out of range or fewer than two classes have examples.
pub(super) fn stratified(
    labels: &[i32],
    n_classes: usize,
    fraction: f64,
    seed: u64,
) -> Result<Split> {
    let members = members_of(labels, n_classes)?;
    let n_present = members.iter().filter(|members| !members.is_empty()).count();
    if n_present == 0 {
        return Err(Error::invalid(format!(
            "no subtomogram has a label: all {} are -1; training needs examples of at least 2 classes",
            labels.len()
        )));
    }
    if n_present < 2 {
        return Err(Error::invalid(format!(
            "{n_present} of {n_classes} classes have labelled subtomograms; training needs at \
             least 2"
        )));
    }
    let mut generator = generator(seed, Purpose::Split);
    let n_per_class = members.iter().map(Vec::len).collect();
    let mut split = Split { training: Vec::new(), validation: Vec::new(), n_per_class };
    for mut members in members {
        members.shuffle(&mut generator);
        let n_held_out = (fraction * members.len() as f64).round() as usize;
        let n_held_out = n_held_out.min(members.len().saturating_sub(1));
        reserve(&mut split.validation, n_held_out)?;
        reserve(&mut split.training, members.len() - n_held_out)?;
        split.validation.extend_from_slice(&members[..n_held_out]);
        split.training.extend_from_slice(&members[n_held_out..]);
    }
    split.training.sort_unstable();
    split.validation.sort_unstable();
    Ok(split)
}

/// The positions of each class in the caller's batch, rising. Fails with `InvalidArgument` if a label is out of range.
pub(super) fn members_of(labels: &[i32], n_classes: usize) -> Result<Vec<Vec<usize>>> {
    let mut members = vec![Vec::new(); n_classes];
    for (index, &label) in labels.iter().enumerate() {
        match usize::try_from(label) {
            Ok(class) if class < n_classes => push(&mut members[class], index)?,
            _ if label == -1 => {}
            _ => {
                return Err(Error::invalid(format!(
                    "label {index} is {label}; it must be from 0 to {}, or -1 for a subtomogram \
                     without label",
                    n_classes - 1
                )));
            }
        }
    }
    Ok(members)
}

/// Deals `classes` out to folds `0..n_folds`, each class in turn, so that the folds differ by at most one example in
/// size and in each class. Returns the fold of each element.
pub(super) fn folds(classes: &[usize], n_folds: usize, seed: u64) -> Result<Vec<usize>> {
    let mut order = collected(0..classes.len())?;
    order.shuffle(&mut generator(seed, Purpose::Folds));
    // Stable: within a class the order stays random.
    order.sort_by_key(|&index| classes[index]);
    let mut folds = filled(classes.len(), 0)?;
    for (position, index) in order.into_iter().enumerate() {
        folds[index] = position % n_folds;
    }
    Ok(folds)
}

/// Cuts `n` elements into the fewest batches of at most `batch_size`, all as even as possible: a short last batch
/// would weigh its subtomograms more. Each comes with the one after it, which is empty after the last.
pub(super) fn batches(
    n: usize,
    batch_size: usize,
) -> impl ExactSizeIterator<Item = (Range<usize>, Range<usize>)> {
    let n_batches = n.div_ceil(batch_size);
    let start = move |index: usize| n * index.min(n_batches) / n_batches;
    (0..n_batches)
        .map(move |index| (start(index)..start(index + 1), start(index + 1)..start(index + 2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(labels: &[i32], part: &[usize], class: i32) -> usize {
        part.iter().filter(|index| labels[**index] == class).count()
    }

    #[test]
    fn each_class_gives_its_share_but_never_its_last() {
        let labels: Vec<i32> = [vec![0; 10], vec![-1; 3], vec![1; 5], vec![2; 1]].concat();
        let split = stratified(&labels, 4, 0.3, 7).expect("valid");
        let share = |part: &[usize]| [-1, 0, 1, 2, 3].map(|class| count(&labels, part, class));
        // 0.3 of 10, 5, 1 is 3, 1.5 (rounded to 2), 0.3.
        assert_eq!(share(&split.validation), [0, 3, 2, 0, 0]);
        assert_eq!(share(&split.training), [0, 7, 3, 1, 0]);
        assert_eq!(split.n_per_class, [10, 5, 1, 0]);
        let mut all = [split.training, split.validation].concat();
        all.sort_unstable();
        let labelled: Vec<usize> = (0..labels.len()).filter(|&i| labels[i] >= 0).collect();
        assert_eq!(all, labelled);

        let half = stratified(&[0, 1, 1], 2, 0.5, 0).expect("valid");
        assert_eq!((half.training.len(), half.validation.len()), (2, 1));
    }

    #[test]
    fn the_seed_decides() {
        let labels: Vec<i32> = (0..60).map(|index| index % 3).collect();
        let split = |seed| stratified(&labels, 3, 0.25, seed).expect("valid");
        assert_eq!(split(1), split(1));
        assert_ne!(split(1), split(2));
    }

    #[test]
    fn labels_that_make_no_sense_are_named() {
        let message = |labels: &[i32]| {
            stratified(labels, 3, 0.0, 0).expect_err("must be refused").to_string()
        };
        assert!(message(&[0, 1, 3]).starts_with("label 2 is 3; it must be from 0 to 2"));
        assert!(message(&[0, -2, 1]).starts_with("label 1 is -2;"));
        assert!(message(&[1, 1, -1]).starts_with("1 of 3 classes"));
        assert!(message(&[-1, -1]).starts_with("no subtomogram has a label: all 2 are -1"));
        assert!(message(&[]).starts_with("no subtomogram has a label: all 0 are -1"));
    }

    #[test]
    fn folds_are_even_in_size_and_in_each_class() {
        let classes: Vec<usize> = [vec![0; 7], vec![1; 5], vec![2; 12]].concat();
        let folds = folds(&classes, 5, 3).unwrap();
        let sizes = |class: Option<usize>| -> Vec<usize> {
            (0..5)
                .map(|fold| {
                    let of_fold = folds.iter().zip(&classes).filter(|(f, _)| **f == fold);
                    of_fold.filter(|(_, c)| class.is_none_or(|class| **c == class)).count()
                })
                .collect()
        };
        for class in [None, Some(0), Some(1), Some(2)] {
            let sizes = sizes(class);
            let (low, high) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
            assert!(high - low <= 1, "{class:?}: {sizes:?}");
        }
        assert_eq!(folds, super::folds(&classes, 5, 3).unwrap());
        assert_ne!(folds, super::folds(&classes, 5, 4).unwrap());
    }

    #[test]
    fn batches_are_even_and_cover_everything() {
        let sizes = |n, batch_size| -> Vec<usize> {
            let (batches, next): (Vec<_>, Vec<_>) = batches(n, batch_size).unzip();
            let end = batches.last().map(|_| n..n);
            assert!(next.iter().eq(batches.iter().skip(1).chain(&end)));
            assert_eq!(
                batches.iter().cloned().flatten().collect::<Vec<_>>(),
                (0..n).collect::<Vec<_>>()
            );
            batches.iter().map(|batch| batch.len()).collect()
        };
        assert_eq!(sizes(70, 10), [10; 7]);
        assert_eq!(sizes(11, 10), [5, 6]);
        assert_eq!(sizes(3, 10), [3]);
        assert_eq!(sizes(5, 1), [1; 5]);
        assert_eq!(sizes(0, 10), [0usize; 0]);
    }
}
