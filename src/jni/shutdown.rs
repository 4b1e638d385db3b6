//! The end of the JVM, which may come while other threads compute. The plugin's exit handler stops calls, too, but may come
//! too late for a first batch, and a thread on its way back into Java never leaves once the JVM has stopped. So a shutdown hook
//! stops the calls first, and lets none begin.

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use cinetomo_host::{Cancel, abi::cinetomo_status};

use crate::failure::Failure;

/// How long the end of the JVM waits for calls to stop, which they do after a batch.
const PATIENCE: Duration = Duration::from_secs(30);

static CALLS: Mutex<Calls> =
    Mutex::new(Calls { stopping: false, n_begun: 0, running: BTreeMap::new() });
static ENDED: Condvar = Condvar::new();

struct Calls {
    stopping: bool,
    n_begun: u64,
    /// By what each running call is stopped, where it can be.
    running: BTreeMap<u64, Option<Arc<Cancel>>>,
}

/// A call into the plugin, until it is dropped.
pub(crate) struct Call(u64);

impl Call {
    /// Fails once the JVM is ending.
    pub(crate) fn begin(cancel: Option<Arc<Cancel>>) -> Result<Call, Failure> {
        let mut calls = lock();
        if calls.stopping {
            return Err(Failure::new(cinetomo_status::Cancelled, "the JVM is shutting down"));
        }
        calls.n_begun += 1;
        let number = calls.n_begun;
        calls.running.insert(number, cancel);
        Ok(Call(number))
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        lock().running.remove(&self.0);
        ENDED.notify_all();
    }
}

/// Stops the calls and waits for their end.
pub(crate) fn stop_all() {
    let mut calls = lock();
    calls.stopping = true;
    for cancel in calls.running.values().flatten() {
        cancel.raise();
    }
    let waited = ENDED.wait_timeout_while(calls, PATIENCE, |calls| !calls.running.is_empty());
    drop(waited);
}

/// A panic elsewhere leaves the map as it was: every change is one step.
fn lock() -> MutexGuard<'static, Calls> {
    CALLS.lock().unwrap_or_else(PoisonError::into_inner)
}
