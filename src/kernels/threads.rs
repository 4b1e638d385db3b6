//! Work on threads that end with it.

use std::{
    ops::Range,
    sync::{Mutex, PoisonError},
    thread,
};

/// Does `n_units` of work on up to `n_threads` threads: each calls `work` with some consecutive units and their part of `out`, where unit i begins at
/// `start(i)`. The calling thread is one of them, and does what of the others could not be had.
pub fn on_threads(
    n_units: usize,
    start: impl Fn(usize) -> usize,
    mut out: &mut [f32],
    n_threads: usize,
    work: impl Fn(Range<usize>, &mut [f32]) + Sync,
) {
    let of_thread = n_units.div_ceil(n_threads.max(1)).max(1);
    let mut parts = Vec::new();
    for first in (0..n_units).step_by(of_thread) {
        let units = first..(first + of_thread).min(n_units);
        let (own, others) = out.split_at_mut(start(units.end) - start(units.start));
        out = others;
        parts.push(Mutex::new(Some((units, own))));
    }
    let take = |part: &Mutex<Option<(Range<usize>, &mut [f32])>>| {
        let taken = part.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((units, out)) = taken {
            work(units, out);
        }
    };
    thread::scope(|scope| {
        for part in parts.iter().skip(1) {
            // Without it, the part is done below.
            let _ = thread::Builder::new().spawn_scoped(scope, || take(part));
        }
        parts.iter().for_each(take);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_done_once_and_has_its_own_values() {
        for n_threads in [0, 1, 2, 3, 7, 50] {
            // Unit i has i values.
            let start = |unit: usize| unit * unit.saturating_sub(1) / 2;
            let mut out = vec![0.0; start(12)];
            on_threads(12, start, &mut out, n_threads, |units, mut out| {
                for unit in units {
                    let (own, rest) = out.split_at_mut(unit);
                    own.iter_mut().for_each(|value| *value += unit as f32);
                    out = rest;
                }
                assert!(out.is_empty());
            });
            let expected: Vec<f32> = (0..12).flat_map(|i| vec![i as f32; i]).collect();
            assert_eq!(out, expected, "{n_threads} threads");
        }
        on_threads(0, |_| 0, &mut [], 2, |_, _| unreachable!("there is nothing to do"));
    }
}
