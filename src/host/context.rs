//! A context: where work runs, and the making of models.

use std::{
    ffi::{CStr, c_char, c_void},
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    ptr,
    sync::Arc,
};

use cinetomo_abi::{cinetomo_context, cinetomo_context_options, cinetomo_model};

use crate::{
    Hooks, Model, ModelOptions, Pick, Plugin, Project2d, Synthetic,
    error::{Error, c_path, call},
    options::{ContextOptions, Log},
};

/// Device, threads and log; models made with it keep it alive.
#[derive(Clone)]
pub struct Context(Arc<Inner>);

struct Inner {
    plugin: Plugin,
    handle: *mut cinetomo_context,
    /// The plugin holds a pointer to the inner box until the context and all its models are gone.
    _log: Option<Box<Box<Log>>>,
}

// SAFETY: every function of the plugin may be called from any thread, and the log is Send and Sync.
unsafe impl Send for Inner {}
// SAFETY: as above.
unsafe impl Sync for Inner {}

impl Drop for Inner {
    fn drop(&mut self) {
        // SAFETY: the handle is ours and freed once.
        unsafe { (self.plugin.api().context_free)(self.handle) }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Context")
    }
}

impl Context {
    pub(crate) fn new(plugin: Plugin, options: ContextOptions) -> Result<Context, Error> {
        let log = options.log.map(Box::new);
        let raw = cinetomo_context_options {
            struct_size: size_of::<cinetomo_context_options>(),
            log: log.is_some().then_some(forward as _),
            log_user_data: log
                .as_ref()
                .map_or(ptr::null_mut(), |log| ptr::from_ref::<Box<Log>>(log).cast_mut().cast()),
            ..options.raw
        };
        let api = plugin.api();
        let mut handle = ptr::null_mut();
        // SAFETY: the options are whole, the places writable, the log lives as long as `Inner`.
        call(api, |error| unsafe { (api.context_new)(&raw const raw, &mut handle, error) })?;
        Ok(Context(Arc::new(Inner { plugin, handle, _log: log })))
    }

    /// The plugin that it belongs to.
    pub fn plugin(&self) -> Plugin {
        self.0.plugin
    }

    /// A network whose weights come from a video checkpoint.
    pub fn model_from_video(
        &self,
        checkpoint: impl AsRef<Path>,
        options: &ModelOptions,
        hooks: Hooks<'_>,
    ) -> Result<Model, Error> {
        let path = c_path(checkpoint.as_ref())?;
        let api = self.plugin().api();
        options.with_c(self.plugin(), |options| {
            hooks.run(|hooks| {
                // SAFETY: all that is passed lives until the call returns.
                self.model(|model, error| unsafe {
                    (api.model_from_video)(
                        self.0.handle,
                        path.as_ptr(),
                        options,
                        hooks,
                        model,
                        error,
                    )
                })
            })
        })
    }

    /// A network whose weights are random numbers: the baseline.
    pub fn model_random(&self, options: &ModelOptions) -> Result<Model, Error> {
        let api = self.plugin().api();
        options.with_c(self.plugin(), |options| {
            // SAFETY: all that is passed lives until the call returns.
            self.model(|model, error| unsafe {
                (api.model_random)(self.0.handle, options, model, error)
            })
        })
    }

    /// A model from a file that `Model::save` wrote.
    pub fn model_load(&self, path: impl AsRef<Path>) -> Result<Model, Error> {
        let path = c_path(path.as_ref())?;
        let api = self.plugin().api();
        // SAFETY: all that is passed lives until the call returns.
        self.model(|model, error| unsafe {
            (api.model_load)(self.0.handle, path.as_ptr(), model, error)
        })
    }

    /// The extension `cinetomo.synthetic/1`; fails with UNSUPPORTED where the plugin does not have it.
    pub fn synthetic(&self) -> Result<Synthetic, Error> {
        Synthetic::new(self.clone())
    }

    /// The extension `cinetomo.project2d/1`; fails with UNSUPPORTED where the plugin does not have it.
    pub fn project2d(&self) -> Result<Project2d, Error> {
        Project2d::new(self.clone())
    }

    /// The extension `cinetomo.pick/1`; fails with UNSUPPORTED where the plugin does not have it.
    pub fn pick(&self) -> Result<Pick, Error> {
        Pick::new(self.clone())
    }

    pub(crate) fn handle(&self) -> *const cinetomo_context {
        self.0.handle
    }

    /// Wraps a model that a call of the plugin makes.
    pub(crate) fn model(
        &self,
        make: impl FnOnce(*mut *mut cinetomo_model, *mut *mut cinetomo_abi::cinetomo_error) -> i32,
    ) -> Result<Model, Error> {
        let mut handle = ptr::null_mut();
        call(self.plugin().api(), |error| make(&mut handle, error))?;
        Ok(Model::new(self.clone(), handle))
    }
}

/// Hands a log line to the host's closure. A panic there is dropped: it must not unwind through C.
unsafe extern "C" fn forward(log: *mut c_void, level: i32, message: *const c_char) {
    // SAFETY: the plugin hands back the pointer of `Context::new`, whose box is alive, and a string.
    let (log, message) = unsafe { (&*log.cast::<Box<Log>>(), CStr::from_ptr(message)) };
    let _ = catch_unwind(AssertUnwindSafe(|| log(level, &message.to_string_lossy())));
}
