//! Which subtomograms are trained on, which are validated on and which are kept for the test: the same for every host.

use std::collections::BTreeMap;

use rand::seq::SliceRandom;

use super::split::{Purpose, generator};
use crate::{
    allocation::{collected, filled, push},
    error::{Error, Result},
};

/// What a subtomogram is for: a word of the C contract.
pub use cinetomo_abi::cinetomo_part as Part;

/// Sums of fractions that differ by less are the same: 0.6 + 0.2 + 0.2 is not quite 1.
const ROUNDING: f64 = 1e-9;

/// Shares of each class, of all its labelled subtomograms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fractions {
    /// To train on, 0 to 1; where above 0, each class keeps at least one.
    pub training: f64,
    /// To choose and to calibrate by, 0 to 1.
    pub validation: f64,
    /// To measure on, once, 0 to 1.
    pub test: f64,
}

impl Fractions {
    /// Fails if a share is no share, or all together are more than the whole.
    fn check(&self) -> Result<()> {
        let Fractions { training, validation, test } = *self;
        for (name, fraction) in [("training", training), ("validation", validation), ("test", test)]
        {
            if !(0.0..=1.0).contains(&fraction) {
                return Err(Error::invalid(format!(
                    "{name}_fraction is {fraction}; it must be from 0 to 1"
                )));
            }
        }
        if training + validation + test > 1.0 + ROUNDING {
            return Err(Error::invalid(format!(
                "training_fraction {training}, validation_fraction {validation} and test_fraction \
                 {test} add up to more than 1"
            )));
        }
        Ok(())
    }
}

/// Divides labelled subtomograms, class by class; label -1 belongs to no part.
///
/// The test part depends on its own fraction, labels, groups and seed alone; the validation part on the test part
/// besides. So a study with 5, 10, 25 and 100 % of the labels to train on has one test set, and each of its training
/// sets holds the smaller ones. Where `groups` names the tomogram of each subtomogram, test and validation are whole
/// tomograms, as near to the fractions as random choice among them comes, and what is trained on lies in others.
///
/// # Errors
/// `InvalidArgument` if a fraction, label or number of groups makes no sense, or there are too few groups to divide.
pub fn partition(
    labels: &[i32],
    groups: Option<&[i32]>,
    fractions: &Fractions,
    seed: u64,
) -> Result<Vec<Part>> {
    fractions.check()?;
    if let Some(groups) = groups.filter(|groups| groups.len() != labels.len()) {
        return Err(Error::invalid(format!(
            "{} groups for {} labels; each subtomogram needs one",
            groups.len(),
            labels.len()
        )));
    }
    // By class, in a random order that nothing but labels and seed decides.
    let mut classes: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
    for (index, &label) in labels.iter().enumerate() {
        if label < -1 {
            return Err(Error::invalid(format!(
                "label {index} is {label}; it must be 0 or more, or -1 for a subtomogram without \
                 label"
            )));
        }
        if label >= 0 {
            push(classes.entry(label).or_default(), index)?;
        }
    }
    let mut generator = generator(seed, Purpose::Partition);
    for members in classes.values_mut() {
        members.shuffle(&mut generator);
    }
    let mut parts = filled(labels.len(), Part::None)?;
    match groups {
        None => hold_out_subtomograms(&classes, fractions, &mut parts),
        Some(groups) => {
            let mut groups = Groups::new(&classes, groups)?;
            groups.order.shuffle(&mut generator);
            groups.hold_out(fractions.test, Part::Test, &mut parts)?;
            groups.hold_out(fractions.validation, Part::Validation, &mut parts)?;
        }
    }
    let held_out = fractions.test + fractions.validation;
    for members in classes.values() {
        let n = members.len() as f64;
        // Rounded at the ends, so that fractions that add up to 1 leave nobody out.
        let end = ((held_out + fractions.training) * n).round() as usize;
        let n_training = end - (held_out * n).round().min(end as f64) as usize;
        let n_training = if fractions.training > 0.0 { n_training.max(1) } else { 0 };
        // From the other end than the held-out: more training changes nothing there.
        let free = members.iter().rev().copied();
        let free = collected(free.filter(|&index| parts[index] == Part::None))?;
        for index in free.into_iter().take(n_training) {
            parts[index] = Part::Training;
        }
    }
    Ok(parts)
}

/// Each class gives its share, rounded, first to the test and then to validation, but never its last example.
fn hold_out_subtomograms(
    classes: &BTreeMap<i32, Vec<usize>>,
    fractions: &Fractions,
    parts: &mut [Part],
) {
    for members in classes.values() {
        let n = members.len();
        let end = |fraction: f64| ((fraction * n as f64).round() as usize).min(n - 1);
        let (test, validation) = (end(fractions.test), end(fractions.test + fractions.validation));
        for &index in &members[..test] {
            parts[index] = Part::Test;
        }
        for &index in &members[test..validation] {
            parts[index] = Part::Validation;
        }
    }
}

/// The tomograms of labelled subtomograms.
struct Groups {
    /// Labelled subtomograms of each group.
    members: Vec<Vec<usize>>,
    /// How many of each class they are: `(class, number)`.
    counts: Vec<BTreeMap<i32, usize>>,
    /// Groups that no part has yet.
    order: Vec<usize>,
    /// Labelled subtomograms of each class, in all groups and in those that no part has yet.
    n_per_class: BTreeMap<i32, usize>,
    n_free: BTreeMap<i32, usize>,
}

impl Groups {
    fn new(classes: &BTreeMap<i32, Vec<usize>>, groups: &[i32]) -> Result<Groups> {
        let mut by_name: BTreeMap<i32, (Vec<usize>, BTreeMap<i32, usize>)> = BTreeMap::new();
        for (&class, members) in classes {
            for &index in members {
                let (of_group, counts) = by_name.entry(groups[index]).or_default();
                push(of_group, index)?;
                *counts.entry(class).or_default() += 1;
            }
        }
        let (members, counts): (Vec<_>, Vec<_>) = by_name.into_values().unzip();
        let n_per_class: BTreeMap<i32, usize> =
            classes.iter().map(|(&class, members)| (class, members.len())).collect();
        Ok(Groups {
            order: (0..members.len()).collect(),
            members,
            counts,
            n_free: n_per_class.clone(),
            n_per_class,
        })
    }

    /// Gives the part whole groups until none brings it nearer to its fraction of each class; at least one, and never
    /// the last with examples of a class.
    fn hold_out(&mut self, fraction: f64, part: Part, parts: &mut [Part]) -> Result<()> {
        if fraction == 0.0 || self.members.is_empty() {
            return Ok(());
        }
        let mut taken: BTreeMap<i32, usize> = BTreeMap::new();
        let mut n_taken = 0;
        for group in self.order.clone() {
            if self.is_needed(group) || self.gain(&taken, group, fraction) <= 0.0 {
                continue;
            }
            self.take(group, part, parts, &mut taken);
            n_taken += 1;
        }
        if n_taken > 0 {
            return Ok(());
        }
        // All of them are too large; the one that misses least.
        let free = self.order.iter().copied().filter(|&group| !self.is_needed(group));
        let best = free.max_by(|&a, &b| {
            let gain = |group| self.gain(&taken, group, fraction);
            gain(a).total_cmp(&gain(b))
        });
        let Some(best) = best else {
            return Err(Error::invalid(format!(
                "no tomogram is left for the {} part: each of the {} that remain of {} holds all \
                 examples of a class that training would then miss; label more tomograms, or \
                 divide without groups",
                if part == Part::Test { "test" } else { "validation" },
                self.order.len(),
                self.members.len()
            )));
        };
        self.take(best, part, parts, &mut taken);
        Ok(())
    }

    /// Whether nothing would be left of a class without that group.
    fn is_needed(&self, group: usize) -> bool {
        self.counts[group].iter().any(|(class, n)| self.n_free[class] == *n)
    }

    /// By how much the squared distance from the wanted shares shrinks with that group.
    fn gain(&self, taken: &BTreeMap<i32, usize>, group: usize, fraction: f64) -> f64 {
        let of_class = |(class, &n): (&i32, &usize)| {
            let whole = self.n_per_class[class] as f64;
            let before = taken.get(class).copied().unwrap_or(0) as f64 / whole - fraction;
            let after = before + n as f64 / whole;
            before * before - after * after
        };
        self.counts[group].iter().map(of_class).sum()
    }

    fn take(
        &mut self,
        group: usize,
        part: Part,
        parts: &mut [Part],
        taken: &mut BTreeMap<i32, usize>,
    ) {
        for &index in &self.members[group] {
            parts[index] = part;
        }
        for (&class, &n) in &self.counts[group] {
            *taken.entry(class).or_default() += n;
            if let Some(free) = self.n_free.get_mut(&class) {
                *free -= n;
            }
        }
        self.order.retain(|&other| other != group);
    }
}

#[cfg(test)]
#[path = "partition_test.rs"]
mod tests;
