//! Work on several threads: results that come back in order, and results side by side in one buffer.
//!
//! Threads live no longer than the call, and never call the host: results are taken, progress is reported and errors
//! come up on the thread that made the call.

use std::{
    panic::resume_unwind,
    sync::{Mutex, PoisonError, mpsc},
    thread,
};

use crate::{
    error::{Error, ErrorKind, Result},
    quiet::{Quiet, is_quiet},
};

/// Results that a thread may be ahead of the consumer: enough to hide jitter, little to hold in memory.
const AHEAD: usize = 2;

/// Computes `work(0)` to `work(n - 1)` on up to `n_threads` threads and hands the results to `consume` one by one, in
/// the order of the indices, on this thread. `worker` makes the work of each thread.
///
/// Thread t computes t, t + n_threads, ...; so no result depends on timing, and few wait in memory. The first error,
/// of work or of `consume`, ends everything.
pub fn in_order<T: Send, W: FnMut(usize) -> Result<T> + Send>(
    n: usize,
    n_threads: usize,
    mut worker: impl FnMut() -> Result<W>,
    mut consume: impl FnMut(usize, T) -> Result<()>,
) -> Result<()> {
    let n_threads = n_threads.min(n);
    if n_threads < 2 {
        let mut work = worker()?;
        return (0..n).try_for_each(|index| consume(index, work(index)?));
    }
    let is_quiet = is_quiet();
    let workers = (0..n_threads).map(|_| worker()).collect::<Result<Vec<W>>>()?;
    thread::scope(|scope| {
        let mut lanes = Vec::with_capacity(n_threads);
        for (first, mut work) in workers.into_iter().enumerate() {
            let (sender, results) = mpsc::sync_channel(AHEAD);
            let body = move || {
                let _quiet = Quiet::inherited(is_quiet);
                for index in (first..n).step_by(n_threads) {
                    let result = work(index);
                    let failed = result.is_err();
                    // Nobody listens any more once something has failed.
                    if sender.send(result).is_err() || failed {
                        return;
                    }
                }
            };
            let thread = thread::Builder::new().spawn_scoped(scope, body).map_err(|error| {
                let message = format!("thread {first} of {n_threads} could not start: {error}");
                Error::new(ErrorKind::OutOfMemory, message)
            })?;
            lanes.push((Some(thread), results));
        }
        for index in 0..n {
            let (thread, results) = &mut lanes[index % n_threads];
            match results.recv() {
                Ok(result) => consume(index, result?)?,
                // It left without a result: it panicked, and what it said is worth more than that it did.
                Err(_) => match thread.take().map(thread::ScopedJoinHandle::join) {
                    Some(Err(payload)) => resume_unwind(payload),
                    _ => return Err(Error::new(ErrorKind::Panic, "a thread ended too early")),
                },
            }
        }
        Ok(())
    })
}

/// Fills `out`, which consists of units of `unit_len` values, on up to `n_threads` threads, this one among them: for each
/// there is a call of `work`, with some consecutive units and the index of the first. Empty buffers are left alone.
pub fn in_slabs<T: Send>(
    out: &mut [T],
    unit_len: usize,
    n_threads: usize,
    work: impl Fn(usize, &mut [T]) + Sync,
) {
    let n_units = out.len().checked_div(unit_len).unwrap_or(0);
    if n_threads < 2 || n_units < 2 {
        return if n_units > 0 {
            work(0, out)
        };
    }
    let (per_thread, is_quiet) = (n_units.div_ceil(n_threads), is_quiet());
    let n_slabs = n_units.div_ceil(per_thread);
    let slabs = Mutex::new(out.chunks_mut(per_thread * unit_len).enumerate());
    let next = || slabs.lock().unwrap_or_else(PoisonError::into_inner).next();
    let do_slabs = || {
        while let Some((index, slab)) = next() {
            work(index * per_thread, slab);
        }
    };
    thread::scope(|scope| {
        let body = || {
            let _quiet = Quiet::inherited(is_quiet);
            do_slabs();
        };
        // Where a thread could not be had, the others do its slab.
        let spawn = |_| thread::Builder::new().spawn_scoped(scope, body).ok();
        let threads: Vec<_> = (1..n_slabs).filter_map(spawn).collect();
        do_slabs();
        for thread in threads {
            if let Err(payload) = thread.join() {
                resume_unwind(payload);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        thread::ThreadId,
    };

    use super::*;

    #[test]
    fn results_come_in_order_on_the_calling_thread() {
        for n_threads in [1, 2, 3, 50] {
            let (mut seen, here) = (Vec::new(), thread::current().id());
            let mut others: Vec<ThreadId> = Vec::new();
            let worker = || Ok(|index: usize| Ok((index * index, thread::current().id())));
            let consume = |index, (square, id)| {
                assert_eq!(thread::current().id(), here);
                seen.push((index, square));
                others.push(id);
                Ok(())
            };
            in_order(20, n_threads, worker, consume).unwrap();
            assert_eq!(seen, (0..20).map(|index| (index, index * index)).collect::<Vec<_>>());
            assert_eq!(others.contains(&here), n_threads == 1);
        }
        in_order(0, 4, || Ok(|_| Ok(())), |_, ()| unreachable!("there is no work")).unwrap();
    }

    #[test]
    fn the_first_error_ends_the_work() {
        let done = AtomicUsize::new(0);
        let worker = || {
            Ok(|index| {
                done.fetch_add(1, Ordering::Relaxed);
                if index == 5 { Err(Error::invalid("five")) } else { Ok(index) }
            })
        };
        let error = in_order(1000, 2, worker, |_, _| Ok(())).unwrap_err();
        assert_eq!(error.to_string(), "five");
        assert!(done.load(Ordering::Relaxed) < 30);

        let refuse = |index, _| if index == 3 { Err(Error::invalid("enough")) } else { Ok(()) };
        let error = in_order(1000, 2, || Ok(|index: usize| Ok(index)), refuse).unwrap_err();
        assert_eq!(error.to_string(), "enough");
    }

    #[test]
    #[should_panic(expected = "at seven")]
    fn a_panic_of_a_thread_goes_on_with_its_message() {
        let worker = || {
            Ok(|index| {
                assert!(index != 7, "at seven");
                Ok(())
            })
        };
        let _ = in_order(20, 2, worker, |_, ()| Ok(()));
    }

    #[test]
    fn slabs_cover_the_buffer_once() {
        for n_threads in [1, 2, 3, 7, 50] {
            let mut out = vec![0; 3 * 11];
            in_slabs(&mut out, 3, n_threads, |first, slab| {
                for (index, unit) in slab.chunks_mut(3).enumerate() {
                    unit.iter_mut().for_each(|value| *value += 1 + first + index);
                }
            });
            assert_eq!(out, (0..33).map(|index| 1 + index / 3).collect::<Vec<_>>());
        }
        in_slabs(&mut [] as &mut [u8], 3, 2, |_, _| unreachable!("nothing is to be filled"));
    }
}
