//! Ctrl-C: the first asks the run to stop within a batch, the second ends the process.

use std::{
    io::Write,
    process,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use cinetomo_host::Cancel;

use crate::failure::{Failure, Result};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static CANCEL: OnceLock<Cancel> = OnceLock::new();

/// From now on SIGINT, SIGTERM and SIGHUP raise the flag.
///
/// # Errors
/// The system refuses a handler.
pub fn listen() -> Result<()> {
    ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::SeqCst) {
            process::exit(i32::from(Failure::Interrupted.exit_code()));
        }
        let message = "cinetomo: stopping after this batch; press Ctrl-C again to end at once";
        // Nothing can be done about a stderr that is closed.
        _ = writeln!(std::io::stderr(), "{message}");
        if let Some(cancel) = CANCEL.get() {
            cancel.raise();
        }
    })
    .map_err(|error| Failure::Error(format!("cannot listen for Ctrl-C: {error}")))
}

/// The flag that stops calls of the plugin; the first one given stays.
pub fn cancel(flag: impl FnOnce() -> Result<Cancel>) -> Result<&'static Cancel> {
    if CANCEL.get().is_none() {
        // Another thread cannot have been faster: there is one session a process.
        _ = CANCEL.set(flag()?);
        raise_if_interrupted();
    }
    CANCEL.get().ok_or_else(|| Failure::Error("no cancel flag".to_owned()))
}

/// Asks the run to stop, as Ctrl-C does.
pub fn request() {
    INTERRUPTED.store(true, Ordering::SeqCst);
    raise_if_interrupted();
}

fn raise_if_interrupted() {
    if let (true, Some(cancel)) = (INTERRUPTED.load(Ordering::SeqCst), CANCEL.get()) {
        cancel.raise();
    }
}

/// Fails if the run has been asked to stop.
pub fn check() -> Result<()> {
    if INTERRUPTED.load(Ordering::SeqCst) { Err(Failure::Interrupted) } else { Ok(()) }
}
