//! Work on threads that end with it.

use std::{
    ops::Range,
    sync::{Mutex, PoisonError},
    thread,
};

/// Parts that the work of a thread is cut into, so that one whose processor is busy otherwise leaves some to the others.
const PARTS: usize = 4;

/// Does `n_units` of work on as many threads as there are `states`, each of which has one: `work` is called with some consecutive units and their part of
/// `out`, where unit i begins at `start(i)`. The calling thread is one of them, and does what of the others could not be had.
pub fn on_threads<T: Send>(
    states: &mut [T],
    n_units: usize,
    start: impl Fn(usize) -> usize,
    mut out: &mut [f32],
    work: impl Fn(&mut T, Range<usize>, &mut [f32]) + Sync,
) {
    let n_parts = if states.len() > 1 { PARTS * states.len() } else { 1 };
    let of_part = n_units.div_ceil(n_parts).max(1);
    let mut parts = Vec::new();
    for first in (0..n_units).step_by(of_part) {
        let units = first..(first + of_part).min(n_units);
        let (own, others) = out.split_at_mut(start(units.end) - start(units.start));
        out = others;
        parts.push((units, own));
    }
    let n_parts = parts.len();
    let parts = Mutex::new(parts.into_iter());
    let next = || parts.lock().unwrap_or_else(PoisonError::into_inner).next();
    let do_parts = |state: &mut T| {
        while let Some((units, out)) = next() {
            work(state, units, out);
        }
    };
    let Some((own, others)) = states.split_first_mut() else { return };
    thread::scope(|scope| {
        for state in others.iter_mut().take(n_parts.saturating_sub(1)) {
            // Without it, its parts are done by the others.
            let _ = thread::Builder::new().spawn_scoped(scope, || do_parts(state));
        }
        do_parts(own);
    });
}

/// As `on_threads`, on up to `n_threads` threads that need no state.
pub fn divided(
    n_threads: usize,
    n_units: usize,
    start: impl Fn(usize) -> usize,
    out: &mut [f32],
    work: impl Fn(Range<usize>, &mut [f32]) + Sync,
) {
    let mut threads = vec![(); n_threads.max(1)];
    on_threads(&mut threads, n_units, start, out, |(), units, out| work(units, out));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_done_once_and_has_its_own_values() {
        for n_threads in [1, 2, 3, 7, 50] {
            // Unit i has i values.
            let start = |unit: usize| unit * unit.saturating_sub(1) / 2;
            let mut out = vec![0.0; start(12)];
            let mut n_done = vec![0; n_threads];
            on_threads(&mut n_done, 12, start, &mut out, |n_done, units, mut out| {
                *n_done += units.len();
                for unit in units {
                    let (own, rest) = out.split_at_mut(unit);
                    own.iter_mut().for_each(|value| *value += unit as f32);
                    out = rest;
                }
                assert!(out.is_empty());
            });
            let expected: Vec<f32> = (0..12).flat_map(|i| vec![i as f32; i]).collect();
            assert_eq!(out, expected, "{n_threads} threads");
            assert_eq!(n_done.iter().sum::<usize>(), 12);
        }
        on_threads(
            &mut [(), ()],
            0,
            |_| 0,
            &mut [],
            |_, _, _| unreachable!("nothing is to be done"),
        );
    }
}
