//! `cinetomo_hooks`: progress and cancellation of one call.

use std::sync::atomic::Ordering;

use cinetomo_abi::{cinetomo_hooks, cinetomo_progress};

use super::{
    cancel::CANCELS,
    context::Context,
    exit,
    guard::boundary,
    read::{self, sized_struct},
    write,
};
use crate::{
    error::Result,
    monitor::{Monitor, Progress},
};

sized_struct!(
    cinetomo_hooks,
    32,
    cinetomo_hooks {
        struct_size: size_of::<cinetomo_hooks>(),
        user_data: std::ptr::null_mut(),
        progress: None,
        cancel: std::ptr::null(),
    }
);

/// Fills `out_hooks` with the defaults: no progress, no cancel flag. `struct_size` is `sizeof *out_hooks`.
///
/// Errors: NULL_ARGUMENT, INVALID_ARGUMENT. [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cinetomo_hooks_init(
    out_hooks: *mut cinetomo_hooks,
    struct_size: usize,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe { boundary(std::ptr::null_mut(), || write::init(out_hooks, struct_size)) }
}

/// The monitor that the caller's hooks and the context's log describe.
///
/// # Safety
/// `hooks` is NULL or a valid `cinetomo_hooks` whose callback and user data may be used while `'a` lasts.
pub(super) unsafe fn monitor<'a>(
    hooks: *const cinetomo_hooks,
    context: &'a Context,
) -> Result<Monitor<'a>> {
    // SAFETY: passed on from the caller.
    let hooks = unsafe { read::sized_or_default(hooks, "hooks") }?;
    let cancel = match hooks.cancel.is_null() {
        true => None,
        false => Some(CANCELS.get(hooks.cancel, "hooks.cancel")?),
    };
    let report = move |progress: &Progress| {
        exit::register_if_due();
        let Some(callback) = hooks.progress else { return true };
        let progress = to_c(progress);
        // SAFETY: the host's own function, called as it declared it, on the thread that made the call.
        exit::aside(|| unsafe { callback(hooks.user_data, &raw const progress) == 0 })
    };
    let cancelled = move || {
        exit::is_ending() || cancel.as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed))
    };
    Ok(Monitor::new(report, cancelled, &context.log))
}

fn to_c(progress: &Progress) -> cinetomo_progress {
    let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    cinetomo_progress {
        struct_size: size_of::<cinetomo_progress>(),
        stage: progress.stage as i32,
        epoch: count(progress.epoch),
        n_epochs: count(progress.n_epochs),
        step: count(progress.step),
        n_steps: count(progress.n_steps),
        reserved: 0,
        fraction: progress.fraction,
        loss: progress.loss,
        accuracy: progress.accuracy,
        validation_accuracy: progress.validation_accuracy,
    }
}
