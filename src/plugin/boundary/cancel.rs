//! `cinetomo_cancel`.

use std::sync::atomic::{AtomicBool, Ordering};

use cinetomo_abi::{cinetomo_cancel, cinetomo_error};

use super::{
    guard::{boundary, boundary_or},
    handles::Registry,
    write::OutHandle,
};

pub(super) static CANCELS: Registry<AtomicBool> = Registry::new("cinetomo_cancel");

/// Makes a cancel flag, not raised. Free it with `cinetomo_cancel_free`, after the calls that use it have returned.
///
/// Errors: NULL_ARGUMENT. [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cinetomo_cancel_new(
    out_cancel: *mut *mut cinetomo_cancel,
    out_error: *mut *mut cinetomo_error,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe {
        boundary(out_error, || {
            let out = OutHandle::new(out_cancel, "out_cancel")?;
            out.write(CANCELS.insert(AtomicBool::new(false)));
            Ok(())
        })
    }
}

/// Raises the flag: every call that was given it stops within a batch with CINETOMO_STATUS_CANCELLED, as does every
/// later one. It stays raised. NULL is fine. [any thread, also while the call runs; not from a signal handler]
#[unsafe(no_mangle)]
pub extern "C" fn cinetomo_cancel_raise(cancel: *const cinetomo_cancel) {
    boundary_or((), || {
        if let Some(flag) = CANCELS.find(cancel) {
            flag.store(true, Ordering::Relaxed);
        }
    })
}

/// Frees a cancel flag. NULL is fine. [any thread]
#[unsafe(no_mangle)]
pub extern "C" fn cinetomo_cancel_free(cancel: *mut cinetomo_cancel) {
    boundary_or((), || CANCELS.remove(cancel))
}
