//! What stands around every export: nothing unwinds into the host, nothing runs after a fork or while the process ends, and
//! the host's OpenMP setting survives.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    process,
    sync::OnceLock,
};

use cinetomo_abi::cinetomo_error;

use super::{error, exit::Call, threads::OpenMpSetting};
use crate::{
    error::{Error, ErrorKind, Result},
    quiet::{self, Quiet},
};

/// Runs the body of a fallible export: returns its status and stores its error.
///
/// # Safety
/// `out_error` is NULL or points to a writable `cinetomo_error *`.
pub(super) unsafe fn boundary(
    out_error: *mut *mut cinetomo_error,
    body: impl FnOnce() -> Result<()>,
) -> i32 {
    let _quiet = Quiet::new();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let _entry = Entry::new()?;
        body()
    }))
    .unwrap_or_else(|payload| Err(panicked(payload)));
    // SAFETY: passed on from the caller.
    unsafe { error::store(outcome, out_error) }
}

/// Runs the body of an export that cannot fail; `fallback` is the answer after a fork, while the process ends, or for a defect
/// of ours.
pub(super) fn boundary_or<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    let _quiet = Quiet::new();
    catch_unwind(AssertUnwindSafe(|| Entry::new().ok().map(|_entry| body())))
        .unwrap_or_default()
        .unwrap_or(fallback)
}

/// As `boundary_or`, also in a forked child and while the process ends: for what reads the error that these get, and touches no libtorch.
pub(super) fn boundary_after_fork<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    let _quiet = Quiet::new();
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(fallback)
}

/// The host's thread within the library.
struct Entry {
    // Fields are dropped in this order: the end of the process waits for the setting, too.
    _setting: OpenMpSetting,
    _call: Call,
}

impl Entry {
    fn new() -> Result<Entry> {
        check_process()?;
        let call = Call::begin()?;
        Ok(Entry { _setting: OpenMpSetting::save(), _call: call })
    }
}

/// libtorch's threads and locks do not survive a fork, so neither do we.
fn check_process() -> Result<()> {
    static FIRST: OnceLock<u32> = OnceLock::new();
    let (here, first) = (process::id(), *FIRST.get_or_init(process::id));
    if here == first {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Unsupported,
        format!(
            "process {here} was forked from process {first}, which uses cinetomo; libtorch does \
             not survive fork(): start a new program (exec, spawn) instead"
        ),
    ))
}

fn panicked(payload: Box<dyn Any + Send>) -> Error {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    // Dropping an arbitrary payload may panic again.
    std::mem::forget(payload);
    Error::from_panic(&text, &quiet::place().unwrap_or_default())
}
