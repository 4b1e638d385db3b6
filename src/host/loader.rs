//! A loaded plugin: its table, and the calls that need neither context nor model.

use std::{fmt, path::Path};

use cinetomo_abi::{
    CINETOMO_ABI_VERSION, cinetomo_api, cinetomo_calibration_options, cinetomo_context_options,
    cinetomo_fine_tune_options, cinetomo_model_options, cinetomo_preprocess, cinetomo_preset,
    cinetomo_runtime_info, cinetomo_split_options, cinetomo_status,
};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

use crate::{
    Cancel, Context, ContextOptions, FineTuneOptions, Manifest,
    error::{Error, c_path, call, text},
    libtorch, manifest,
};

/// A plugin in this process. It stays loaded to the end: copies are free.
#[derive(Clone, Copy)]
pub struct Plugin {
    api: &'static cinetomo_api,
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plugin {}", self.version())
    }
}

/// # Safety
/// All bits zero is a valid value.
unsafe trait PlainOptions {}
// SAFETY: integers, floats, pointers and optional functions.
unsafe impl PlainOptions for cinetomo_context_options {}
// SAFETY: as above.
unsafe impl PlainOptions for cinetomo_fine_tune_options {}
// SAFETY: as above.
unsafe impl PlainOptions for cinetomo_model_options {}
// SAFETY: as above.
unsafe impl PlainOptions for cinetomo_preprocess {}
// SAFETY: as above.
unsafe impl PlainOptions for cinetomo_calibration_options {}
// SAFETY: as above.
unsafe impl PlainOptions for cinetomo_split_options {}

/// What the plugin found on this machine; see `cinetomo_runtime_info`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeInfo {
    /// Version of cinetomo.
    pub version: String,
    /// Version of libtorch that it was compiled against.
    pub libtorch_version: String,
    /// The `libtorch_cpu.so` in this process.
    pub libtorch_path: String,
    /// The `libtorch_cuda.so` beside it; empty on a CPU-only install.
    pub cuda_path: String,
    /// Version of the NVIDIA driver's CUDA; empty without a driver.
    pub cuda_driver: String,
    /// One sentence: what computes here, or what is missing for CUDA.
    pub summary: String,
    /// CPU cores available to the process.
    pub n_cores: i32,
    /// Whether the CUDA part of libtorch is loaded.
    pub cuda_loaded: bool,
    /// Usable CUDA devices; 0 while the CUDA part is not loaded.
    pub n_cuda_devices: i32,
}

impl Plugin {
    /// Finds a plugin by its manifest (in `place`, or else along the search path; see `manifest::find`) and loads it.
    pub fn find(place: Option<&Path>) -> Result<Plugin, Error> {
        Plugin::load(&manifest::find(place)?.manifest)
    }

    /// Loads the plugin of a manifest.
    pub fn load(manifest: &Manifest) -> Result<Plugin, Error> {
        Plugin::open(&manifest.library, &manifest.entry)
    }

    /// Loads a shared library whose function `entry` returns the table: `cinetomo_get_api`. Fails with
    /// RUNTIME_CONFLICT, before anything is loaded, if the process has another libtorch.
    pub fn open(library: &Path, entry: &str) -> Result<Plugin, Error> {
        type GetApi = unsafe extern "C" fn(u32) -> *const cinetomo_api;
        let unsupported = |reason: String| {
            Error::new(cinetomo_status::Unsupported, format!("{}: {reason}", library.display()))
        };
        libtorch::check_conflict(library)?;
        // SAFETY: loading runs the library's initialisers; the user or the manifest named it as a plugin.
        let loaded = unsafe { Library::open(Some(library), RTLD_NOW | RTLD_LOCAL) };
        let loaded = loaded.map_err(|error| {
            Error::new(cinetomo_status::Io, format!("{}: {}", library.display(), reason(&error)))
        })?;
        // SAFETY: the manifest's format gives the entry symbol this type.
        let get_api = unsafe { loaded.get::<GetApi>(entry.as_bytes()) }
            .map(|symbol| *symbol)
            .map_err(|error| unsupported(reason(&error)))?;
        // SAFETY: as above; the table is valid as long as the library is loaded, which is for ever from here on.
        let api = unsafe { get_api(CINETOMO_ABI_VERSION).as_ref() };
        std::mem::forget(loaded);
        let api = api.ok_or_else(|| {
            unsupported(format!("it does not speak ABI {CINETOMO_ABI_VERSION}, this host's"))
        })?;
        if api.struct_size < size_of::<cinetomo_api>() {
            return Err(unsupported(format!(
                "its table has {} bytes; this host needs {}: it is older than the host",
                api.struct_size,
                size_of::<cinetomo_api>()
            )));
        }
        Ok(Plugin { api })
    }

    /// The table, for functions that this crate does not wrap.
    pub fn api(self) -> &'static cinetomo_api {
        self.api
    }

    /// Version of the plugin.
    pub fn version(self) -> String {
        // SAFETY: a string that lives as long as the library.
        unsafe { text((self.api.version)()) }
    }

    /// Name of a status, such as "INVALID_ARGUMENT".
    pub fn status_name(self, status: i32) -> String {
        // SAFETY: a string that lives as long as the library.
        unsafe { text((self.api.status_name)(status)) }
    }

    /// Versions, paths and devices.
    pub fn runtime_info(self) -> Result<RuntimeInfo, Error> {
        // SAFETY: all zero is a valid struct; it says its size; the strings live as long as the process.
        unsafe {
            let mut info: cinetomo_runtime_info = std::mem::zeroed();
            info.struct_size = size_of::<cinetomo_runtime_info>();
            call(self.api, |error| (self.api.runtime_info_get)(&mut info, error))?;
            Ok(RuntimeInfo {
                version: text(info.version),
                libtorch_version: text(info.libtorch_version),
                libtorch_path: text(info.libtorch_path),
                cuda_path: text(info.cuda_path),
                cuda_driver: text(info.cuda_driver),
                summary: text(info.summary),
                n_cores: info.n_cores,
                cuda_loaded: info.cuda_loaded != 0,
                n_cuda_devices: info.n_cuda_devices,
            })
        }
    }

    /// A context: device, threads and log.
    pub fn context(self, options: ContextOptions) -> Result<Context, Error> {
        Context::new(self, options)
    }

    /// A cancel flag.
    pub fn cancel(self) -> Result<Cancel, Error> {
        Cancel::new(self.api)
    }

    /// The defaults of a context.
    pub fn context_options(self) -> ContextOptions {
        ContextOptions::new(self.defaults(self.api.context_options_init))
    }

    /// The defaults of training.
    pub fn fine_tune_options(self) -> FineTuneOptions {
        FineTuneOptions::new(self.defaults(self.api.fine_tune_options_init))
    }

    /// The training that a preset names.
    pub fn fine_tune_preset(self, preset: cinetomo_preset) -> FineTuneOptions {
        let mut raw = self.defaults(self.api.fine_tune_options_init);
        // SAFETY: the struct is ours and of that size; the preset is one of the contract's, so that this cannot fail.
        unsafe {
            (self.api.fine_tune_options_preset)(&mut raw, size_of_val(&raw), preset as i32);
        }
        FineTuneOptions::new(raw)
    }

    /// The defaults of preprocessing.
    pub fn preprocess_options(self) -> cinetomo_preprocess {
        self.defaults(self.api.preprocess_init)
    }

    /// The preprocessing that goes with a preset.
    pub fn preprocess_preset(self, preset: cinetomo_preset) -> cinetomo_preprocess {
        let mut raw = self.preprocess_options();
        // SAFETY: as in `fine_tune_preset`.
        unsafe {
            (self.api.preprocess_preset)(&mut raw, size_of_val(&raw), preset as i32);
        }
        raw
    }

    /// The defaults of calibration.
    pub fn calibration_options(self) -> cinetomo_calibration_options {
        self.defaults(self.api.calibration_options_init)
    }

    /// The defaults of a split: 3 parts to train on, 1 to choose by, 1 to measure on.
    pub fn split_options(self) -> cinetomo_split_options {
        self.defaults(self.api.split_options_init)
    }

    pub(crate) fn model_options(self) -> cinetomo_model_options {
        self.defaults(self.api.model_options_init)
    }

    fn defaults<T: PlainOptions>(self, init: unsafe extern "C" fn(*mut T, usize) -> i32) -> T {
        // SAFETY: all zero is a valid T, and the function may fill all of it.
        unsafe {
            let mut options: T = std::mem::zeroed();
            // It fails only for a NULL pointer or a size that no release of this ABI had.
            init(&mut options, size_of::<T>());
            options
        }
    }

    /// Looks into a checkpoint of a video network without loading it: a JSON object whose fields
    /// `cinetomo_weights_inspect` documents.
    pub fn weights_inspect(self, path: impl AsRef<Path>) -> Result<String, Error> {
        let path = c_path(path.as_ref())?;
        // SAFETY: the path is terminated; the buffer has the stated length.
        let json = crate::buffer::fetch(self.api, |buffer, capacity, len, error| unsafe {
            (self.api.weights_inspect)(path.as_ptr(), buffer, capacity, len, error)
        })?;
        let bytes = json.iter().map(|character| *character as u8);
        let bytes: Vec<u8> = bytes.take_while(|byte| *byte != 0).collect();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// What the dynamic linker said.
fn reason(error: &libloading::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), |cause| cause.to_string())
}
