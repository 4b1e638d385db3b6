//! Following and stopping a long call.

use std::{
    any::Any,
    ffi::c_void,
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    ptr,
};

use cinetomo_abi::{cinetomo_api, cinetomo_cancel, cinetomo_hooks, cinetomo_progress};

use crate::error::{Error, call};

/// Where a long call stands.
pub use cinetomo_abi::cinetomo_progress as Progress;

/// A flag that any thread may raise to stop a running call.
pub struct Cancel {
    api: &'static cinetomo_api,
    handle: *mut cinetomo_cancel,
}

// SAFETY: every function of the plugin may be called from any thread, and the flag is made for it.
unsafe impl Send for Cancel {}
// SAFETY: as above.
unsafe impl Sync for Cancel {}

impl Cancel {
    pub(crate) fn new(api: &'static cinetomo_api) -> Result<Cancel, Error> {
        let mut handle = ptr::null_mut();
        // SAFETY: both places are writable.
        call(api, |error| unsafe { (api.cancel_new)(&mut handle, error) })?;
        Ok(Cancel { api, handle })
    }

    /// Stops the calls that this flag was given to, and every later one.
    pub fn raise(&self) {
        // SAFETY: the handle is ours and alive.
        unsafe { (self.api.cancel_raise)(self.handle) }
    }
}

impl Drop for Cancel {
    fn drop(&mut self) {
        // SAFETY: the handle is ours and freed once.
        unsafe { (self.api.cancel_free)(self.handle) }
    }
}

/// A function that receives progress; `Break` stops the call.
type ProgressFn<'a> = dyn FnMut(&Progress) -> ControlFlow<()> + 'a;

/// What a long call does with its progress, and what may stop it.
#[derive(Default)]
pub struct Hooks<'a> {
    progress: Option<&'a mut ProgressFn<'a>>,
    cancel: Option<&'a Cancel>,
}

impl<'a> Hooks<'a> {
    /// Silently, to the end.
    pub fn none() -> Hooks<'a> {
        Hooks::default()
    }

    /// Progress goes to this function, on the calling thread; `Break` stops the call with status CANCELLED.
    pub fn progress(progress: &'a mut ProgressFn<'a>) -> Hooks<'a> {
        Hooks { progress: Some(progress), cancel: None }
    }

    /// This flag stops the call, too.
    pub fn cancel(mut self, cancel: &'a Cancel) -> Hooks<'a> {
        self.cancel = Some(cancel);
        self
    }

    /// Runs `function` with these hooks as C sees them. A panic in the progress function stops the call and goes on
    /// when it has returned: it must not unwind through C.
    pub(crate) fn run<T>(self, function: impl FnOnce(*const cinetomo_hooks) -> T) -> T {
        let mut state = State { progress: self.progress, panic: None };
        let hooks = cinetomo_hooks {
            struct_size: size_of::<cinetomo_hooks>(),
            user_data: (&raw mut state).cast::<c_void>(),
            progress: state.progress.is_some().then_some(forward as _),
            cancel: self.cancel.map_or(ptr::null(), |cancel| cancel.handle.cast_const()),
        };
        let result = function(&raw const hooks);
        if let Some(panic) = state.panic {
            resume_unwind(panic);
        }
        result
    }
}

struct State<'a> {
    progress: Option<&'a mut ProgressFn<'a>>,
    panic: Option<Box<dyn Any + Send>>,
}

unsafe extern "C" fn forward(state: *mut c_void, progress: *const cinetomo_progress) -> i32 {
    // SAFETY: the plugin hands back what `run` gave it, on the same thread, while `run` waits for it.
    let (state, progress) = unsafe { (&mut *state.cast::<State<'_>>(), &*progress) };
    let Some(function) = &mut state.progress else { return 0 };
    if state.panic.is_some() {
        return 1;
    }
    match catch_unwind(AssertUnwindSafe(|| function(progress))) {
        Ok(ControlFlow::Continue(())) => 0,
        Ok(ControlFlow::Break(())) => 1,
        Err(panic) => {
            state.panic = Some(panic);
            1
        }
    }
}
