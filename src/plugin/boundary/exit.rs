//! The end of the process. `exit()` destroys libtorch's static objects while other threads go on, and one that computes then
//! crashes. So a handler that runs before they are destroyed stops the calls, waits until they have left, and lets none begin.
//!
//! Handlers run in the reverse order of their registration, and libtorch makes such objects whenever it uses a kernel for the
//! first time. So ours is registered anew as the work goes on: after calls and batches, at most every 2 ms at first, at last once
//! a second. The first of them that runs does it all; an entry takes 32 bytes. What a first batch makes in its middle stays
//! behind ours, in `exit()` during that very batch; a small computation makes most of it beforehand.

use std::{
    cell::Cell,
    ffi::c_int,
    process,
    sync::{
        Once, OnceLock,
        atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use tch::{Device, Kind, TchError, Tensor};

use super::guard::boundary_after_fork;
use crate::error::{Error, ErrorKind, Result};

/// How long the end waits for calls to leave, which takes a batch: more than any that a host would wait for.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long it waits for callbacks to return. They may never: that of a JVM which is ending does not.
const PATIENCE_WITH_THE_HOST: Duration = Duration::from_secs(1);

/// The process goes on.
const RUNNING: u8 = 0;
/// Calls stop; none begins.
const ENDING: u8 = 1;
/// Who is with the host stays there.
const CLOSED: u8 = 2;

static STATE: AtomicU8 = AtomicU8::new(RUNNING);

/// Threads at work in the library.
static AT_WORK: AtomicUsize = AtomicUsize::new(0);

/// Threads in a callback of the host, or that wait for a model.
static ASIDE: AtomicUsize = AtomicUsize::new(0);

/// The process that this is about: a forked child has none of the threads.
static PROCESS: OnceLock<u32> = OnceLock::new();

thread_local! {
    /// How many of `ASIDE` are this thread's: a callback may call the library, which calls back.
    static MINE_ASIDE: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: as the C library declares them.
unsafe extern "C" {
    /// C11 7.22.4.2. Of this library's own copy in glibc, so that the handler belongs to the library.
    safe fn atexit(handler: extern "C" fn()) -> c_int;
    /// POSIX.
    safe fn pthread_atfork(
        prepare: extern "C" fn(),
        parent: extern "C" fn(),
        child: extern "C" fn(),
    ) -> c_int;
}

/// A call, which the end of the process waits for, until it is dropped.
pub(super) struct Call(());

impl Call {
    /// Fails once the process is ending.
    pub(super) fn begin() -> Result<Call> {
        static FIRST: Once = Once::new();
        FIRST.call_once(watch_process);
        AT_WORK.fetch_add(1, SeqCst);
        let call = Call(());
        check()?;
        Ok(call)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !is_ending() {
            register_if_due();
        }
        AT_WORK.fetch_sub(1, SeqCst);
    }
}

/// Whether calls must stop.
pub(super) fn is_ending() -> bool {
    STATE.load(SeqCst) != RUNNING
}

/// That the process goes on.
pub(super) fn check() -> Result<()> {
    if is_ending() {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "the process is ending (exit() was called); cinetomo does nothing more in it",
        ));
    }
    Ok(())
}

/// Runs what is not ours to stop: a callback of the host, or the wait for a model that another call holds. If the process
/// ends meanwhile, this never returns, as nothing of libtorch may be touched again.
pub(super) fn aside<T>(body: impl FnOnce() -> T) -> T {
    let _aside = Aside::new();
    body()
}

struct Aside(());

impl Aside {
    fn new() -> Aside {
        MINE_ASIDE.set(MINE_ASIDE.get() + 1);
        ASIDE.fetch_add(1, SeqCst);
        AT_WORK.fetch_sub(1, SeqCst);
        Aside(())
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        AT_WORK.fetch_add(1, SeqCst);
        ASIDE.fetch_sub(1, SeqCst);
        MINE_ASIDE.set(MINE_ASIDE.get() - 1);
        if STATE.load(SeqCst) == CLOSED {
            AT_WORK.fetch_sub(1, SeqCst);
            loop {
                thread::park();
            }
        }
    }
}

/// Called before a computation: lets libtorch make what it makes then (oneDNN's engine and caches, the autograd engine) before
/// the host's long first batch.
pub(super) fn prepare() {
    static PREPARED: Once = Once::new();
    PREPARED.call_once(|| {
        let is_done = AtomicBool::new(false);
        thread::scope(|scope| {
            let _end = OnDrop(|| is_done.store(true, SeqCst));
            // Meanwhile a thread registers so often that hardly anything is in use before it is older than our handler. A gap
            // remains where that thread gets no processor.
            let again = || keep_registering(&is_done);
            drop(thread::Builder::new().stack_size(64 << 10).spawn_scoped(scope, again));
            // Where it fails, so will the host's computation, which can say so.
            drop(compute_a_little());
        });
        register();
    });
}

/// Registers every 20 microseconds and a few more, then every thousandth of the time that has passed.
fn keep_registering(is_done: &AtomicBool) {
    let start = Instant::now();
    while !is_done.load(SeqCst) {
        register();
        thread::sleep((start.elapsed() / 1000).max(Duration::from_micros(20)));
    }
}

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        self.0();
    }
}

/// Work with gradients, from which libtorch and oneDNN make what outlives a computation and is destroyed by `exit()`: a direct
/// convolution, four such as layers with a voxel or two along an axis have, for which oneDNN compiles matrix products, one such as
/// shortcuts have, and a GELU.
fn compute_a_little() -> std::result::Result<(), TchError> {
    convolve([2, 8, 8, 8, 1], [1, 5, 5, 5, 1], 2)?;
    convolve([2, 2, 1, 1, 16], [16, 3, 3, 3, 16], 1)?;
    convolve([4, 1, 1, 1, 64], [64, 3, 3, 3, 64], 1)?;
    convolve([2, 2, 1, 1, 16], [16, 3, 1, 1, 16], 1)?;
    convolve([4, 1, 1, 1, 64], [64, 1, 1, 1, 64], 1)?;
    convolve([2, 4, 4, 4, 64], [128, 1, 1, 1, 64], 2)?;
    let ones = Tensor::f_ones([1, 16], (Kind::Float, Device::Cpu))?.f_set_requires_grad(true)?;
    ones.f_gelu("none")?.f_sum(Kind::Float)?.f_backward()
}

/// A convolution with voxels `[n, d, h, w, c]` and a kernel `[c', d, h, w, c]`, channels last and dilated as in the networks.
fn convolve(voxels: [i64; 5], kernel: [i64; 5], stride: i64) -> std::result::Result<(), TchError> {
    let padding = [1, 2, 3].map(|axis| kernel[axis] / 2);
    let dilation = if kernel[2..4] == [1, 1] { [1, 1, 2] } else { [1; 3] };
    let [voxels, kernel] = [voxels, kernel].map(|shape| {
        let ones = Tensor::f_ones(shape, (Kind::Float, Device::Cpu))?;
        ones.f_permute([0, 4, 1, 2, 3])?.f_set_requires_grad(true)
    });
    let out = voxels?.f_conv3d(&kernel?, None::<Tensor>, [stride; 3], padding, dilation, 1)?;
    out.f_sum(Kind::Float)?.f_backward()
}

/// When the first call began, and the milliseconds from there to the last registration.
static START: OnceLock<Instant> = OnceLock::new();
static LAST: AtomicU64 = AtomicU64::new(0);

/// Time between registrations: a thousandth of the age.
fn interval() -> Duration {
    let age = START.get_or_init(Instant::now).elapsed();
    (age / 1000).clamp(Duration::from_millis(2), Duration::from_secs(1))
}

/// Called now and then, when libtorch may have made objects.
pub(super) fn register_if_due() {
    let now = START.get_or_init(Instant::now).elapsed().as_millis() as u64;
    let last = LAST.load(SeqCst);
    let is_due = now >= last + interval().as_millis() as u64;
    if is_due && LAST.compare_exchange(last, now, SeqCst, SeqCst).is_ok() {
        register();
    }
}

fn register() {
    if REGISTERING.swap(true, SeqCst) {
        return;
    }
    // It fails when there is no memory for the entry; the one before does it then.
    atexit(end);
    REGISTERING.store(false, SeqCst);
}

/// Held while a thread registers, and over a fork: glibc's lock on its list, held then, would stay locked in the child for ever.
static REGISTERING: AtomicBool = AtomicBool::new(false);

extern "C" fn before_fork() {
    boundary_after_fork((), || {
        while REGISTERING.swap(true, SeqCst) {
            thread::yield_now();
        }
    })
}

extern "C" fn after_fork() {
    boundary_after_fork((), || REGISTERING.store(false, SeqCst))
}

fn watch_process() {
    PROCESS.get_or_init(process::id);
    pthread_atfork(before_fork, after_fork, after_fork);
    register();
}

extern "C" fn end() {
    boundary_after_fork((), stop_calls)
}

/// Stops the calls and waits for them; at most for a while, as the host wants to end.
fn stop_calls() {
    if PROCESS.get() != Some(&process::id()) || STATE.swap(ENDING, SeqCst) != RUNNING {
        return;
    }
    let start = Instant::now();
    let mine = MINE_ASIDE.get();
    let wait_while = |at_work: &dyn Fn() -> bool, patience: Duration| {
        while at_work() && start.elapsed() < patience {
            thread::sleep(Duration::from_millis(1));
        }
    };
    wait_while(&|| ASIDE.load(SeqCst) > mine, PATIENCE_WITH_THE_HOST);
    wait_while(&|| AT_WORK.load(SeqCst) > 0, PATIENCE);
    STATE.store(CLOSED, SeqCst);
    // Whoever came back in between is stopped, too.
    wait_while(&|| AT_WORK.load(SeqCst) > 0, PATIENCE);
}
