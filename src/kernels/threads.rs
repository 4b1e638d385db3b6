//! Work on several threads, which have left it when it returns.

use std::{
    collections::TryReserveError,
    ops::Range,
    sync::{Mutex, OnceLock, PoisonError},
    thread,
};

/// Parts that the work of a thread is cut into, so that one whose processor is busy otherwise leaves some to the others.
const PARTS: usize = 4;

/// Calls the work on up to so many threads at once, the calling one among them, and returns when all have left it.
pub type Crew = fn(n_threads: usize, work: &(dyn Fn() + Sync));

static CREW: OnceLock<Crew> = OnceLock::new();

/// Lets all work be done by threads that are there already; without a crew, threads are started and end with each piece of work. The first one stays.
///
/// Where another library's threads wait for work by turning round, as OpenMP's do, threads of our own beside them would have to share the cores with them.
pub fn employ(crew: Crew) {
    CREW.get_or_init(|| crew);
}

fn start_threads(n_threads: usize, work: &(dyn Fn() + Sync)) {
    thread::scope(|scope| {
        for _ in 1..n_threads {
            // Without it, its parts are done by the others.
            let _ = thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
}

/// Does `n_units` of work on as many threads as there are `states`, each of which has one: `work` is called with some consecutive units and their part of
/// `out`, where unit i begins at `start(i)`. The calling thread is one of them, and does what of the others could not be had.
pub fn on_threads<T: Send>(
    states: &mut [T],
    n_units: usize,
    start: impl Fn(usize) -> usize,
    mut out: &mut [f32],
    work: impl Fn(&mut T, Range<usize>, &mut [f32]) + Sync,
) {
    let n_threads = states.len();
    let n_parts = if n_threads > 1 { PARTS * n_threads } else { 1 };
    let of_part = n_units.div_ceil(n_parts).max(1);
    let mut parts = Vec::new();
    for first in (0..n_units).step_by(of_part) {
        let units = first..(first + of_part).min(n_units);
        let (own, others) = out.split_at_mut(start(units.end) - start(units.start));
        out = others;
        parts.push((units, own));
    }
    let is_alone = n_threads < 2 || parts.len() < 2;
    let (parts, states) = (Mutex::new(parts.into_iter()), Mutex::new(states.iter_mut()));
    let do_parts = || {
        let Some(state) = next(&states) else { return };
        while let Some((units, out)) = next(&parts) {
            work(state, units, out);
        }
    };
    match CREW.get() {
        _ if is_alone => do_parts(),
        Some(crew) => crew(n_threads, &do_parts),
        None => start_threads(n_threads, &do_parts),
    }
}

/// What a thread works in: reserved before any starts, filled with zeros by the thread that has it.
pub struct Scratch {
    values: Vec<f32>,
    n: usize,
}

impl Scratch {
    /// Of `n` values for each of at least one thread. Fails if there is no memory.
    pub fn of_threads(n_threads: usize, n: usize) -> Result<Vec<Scratch>, TryReserveError> {
        let reserve = |_| {
            let mut values = Vec::new();
            values.try_reserve_exact(n)?;
            Ok(Scratch { values, n })
        };
        (0..n_threads.max(1)).map(reserve).collect()
    }

    /// The values: zeros at first, then what was left in them.
    pub fn values(&mut self) -> &mut [f32] {
        self.values.resize(self.n, 0.0);
        &mut self.values
    }
}

fn next<I: Iterator>(items: &Mutex<I>) -> Option<I::Item> {
    items.lock().unwrap_or_else(PoisonError::into_inner).next()
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
