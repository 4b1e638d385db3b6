//! Panics that become errors of a call print nothing: the terminal is the host's.
//!
//! Rust's standard library has one hook that panics run first, and the default one prints. The shared library has a standard
//! library of its own, so no host sees this hook; to other panics it is the hook that was there before.

use std::{
    cell::{Cell, RefCell},
    panic::{self, PanicHookInfo},
    sync::Once,
};

thread_local! {
    /// Whether this thread works for a call.
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
    /// Where the last panic of a quiet thread was.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// While it lives, panics of this thread print nothing.
pub(crate) struct Quiet {
    was: bool,
}

impl Quiet {
    pub(crate) fn new() -> Quiet {
        static HOOK: Once = Once::new();
        // Hooks cannot be changed while a thread panics, as one may that uses the crate without the shared library.
        if !std::thread::panicking() {
            HOOK.call_once(|| {
                let before = panic::take_hook();
                panic::set_hook(Box::new(move |info| note(info, &before)));
            });
        }
        Quiet { was: IS_QUIET.replace(true) }
    }

    /// One for a thread that works for this one, if this one is quiet.
    pub(crate) fn inherited(parent: bool) -> Option<Quiet> {
        parent.then(Quiet::new)
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        IS_QUIET.set(self.was);
    }
}

/// Whether panics of this thread print nothing.
pub(crate) fn is_quiet() -> bool {
    IS_QUIET.get()
}

/// Where the last panic of this thread was, `file:line`; told once.
pub(crate) fn place() -> Option<String> {
    PLACE.try_with(RefCell::take).ok().flatten()
}

fn note(info: &PanicHookInfo<'_>, before: &(dyn Fn(&PanicHookInfo<'_>) + Sync + Send)) {
    if !IS_QUIET.get() {
        return before(info);
    }
    // A panic within a panic, what is borrowed already stays; while the thread ends, there is no place any more.
    let _ = PLACE.try_with(|place| {
        if let Ok(mut place) = place.try_borrow_mut() {
            *place = info.location().map(|at| format!("{}:{}", at.file(), at.line()));
        }
    });
}
