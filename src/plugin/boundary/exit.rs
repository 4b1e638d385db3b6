//! The end of the process. `exit()` destroys libtorch's static objects while other threads go on, and one that computes then
//! crashes. So a handler that runs before they are destroyed stops the calls, waits until they have left, and lets none begin.
//!
//! Handlers run in the reverse order of their registration, and libtorch makes such objects whenever it uses a kernel for the
//! first time. So ours is registered anew while a call computes: every 2 ms at first, at last once a second. The first of them
//! that runs does it all; an entry takes 32 bytes.

use std::{
    cell::Cell,
    ffi::c_int,
    process,
    sync::{
        Arc, Once, OnceLock,
        atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

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

unsafe extern "C" {
    /// C11 7.22.4.2. Of this library's own copy in glibc, so that the handler belongs to the library.
    safe fn atexit(handler: extern "C" fn()) -> c_int;
}

/// A call, which the end of the process waits for, until it is dropped.
pub(super) struct Call(());

impl Call {
    /// Fails once the process is ending.
    pub(super) fn begin() -> Result<Call> {
        static FIRST: Once = Once::new();
        FIRST.call_once(register);
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

/// A computation, until it is dropped: a thread beside it keeps the handler the newest one.
pub(super) struct Computation {
    ended: Arc<AtomicBool>,
    watcher: Option<JoinHandle<()>>,
}

impl Computation {
    pub(super) fn begin() -> Computation {
        let ended = Arc::new(AtomicBool::new(false));
        let flag = ended.clone();
        let watch = move || {
            while !flag.load(SeqCst) && !is_ending() {
                register_if_due();
                thread::park_timeout(interval());
            }
        };
        // Without a thread the handler is registered between calls alone.
        let watcher = thread::Builder::new().stack_size(64 << 10).spawn(watch).ok();
        Computation { ended, watcher }
    }
}

impl Drop for Computation {
    fn drop(&mut self) {
        self.ended.store(true, SeqCst);
        if let Some(watcher) = self.watcher.take() {
            watcher.thread().unpark();
            // It does not panic; if it did, nothing would follow from it.
            drop(watcher.join());
        }
    }
}

/// When the first call began, and the milliseconds from there to the last registration.
static START: OnceLock<Instant> = OnceLock::new();
static LAST: AtomicU64 = AtomicU64::new(0);

/// Time between registrations: a thousandth of the age.
fn interval() -> Duration {
    let age = START.get_or_init(Instant::now).elapsed();
    (age / 1000).clamp(Duration::from_millis(2), Duration::from_secs(1))
}

fn register_if_due() {
    let now = START.get_or_init(Instant::now).elapsed().as_millis() as u64;
    let last = LAST.load(SeqCst);
    let is_due = now >= last + interval().as_millis() as u64;
    if is_due && LAST.compare_exchange(last, now, SeqCst, SeqCst).is_ok() {
        register();
    }
}

fn register() {
    PROCESS.get_or_init(process::id);
    // It fails when there is no memory for the entry; the one before does it then.
    atexit(end);
}

/// Stops the calls and waits for them; at most for a while, as the host wants to end.
extern "C" fn end() {
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
