//! Options of the calls. They start with the plugin's defaults; what they point to is owned here, and pointers and
//! sizes inside are set anew for each call, so that no value of a field can make a call unsound.

use std::{
    ffi::{CString, c_char},
    ops::{Deref, DerefMut},
    path::Path,
    ptr, slice,
};

use cinetomo_abi::{
    cinetomo_calibration_options, cinetomo_context_options, cinetomo_fine_tune_options,
    cinetomo_log_level, cinetomo_model_options, cinetomo_preprocess,
};

use crate::{
    Plugin,
    error::{Error, c_path, c_string},
};

/// Receives log lines: a `cinetomo_log_level` as a number, and the text.
pub type Log = dyn Fn(i32, &str) + Send + Sync;

/// Device, threads and log of a context; the fields are those of `cinetomo_context_options`.
pub struct ContextOptions {
    pub(crate) raw: cinetomo_context_options,
    pub(crate) log: Option<Box<Log>>,
}

impl ContextOptions {
    pub(crate) fn new(raw: cinetomo_context_options) -> ContextOptions {
        ContextOptions { raw, log: None }
    }

    /// Sends log lines of this level and more severe ones to `log`, on the thread that makes the call.
    pub fn log(
        mut self,
        level: cinetomo_log_level,
        log: impl Fn(i32, &str) + Send + Sync + 'static,
    ) -> ContextOptions {
        self.raw.log_level = level as i32;
        self.log = Some(Box::new(log));
        self
    }
}

/// How a model is trained; the fields are those of `cinetomo_fine_tune_options`.
#[derive(Clone)]
pub struct FineTuneOptions {
    raw: cinetomo_fine_tune_options,
    milestones: Vec<i32>,
    checkpoint: Option<CString>,
    regularizer_stages: Option<CString>,
    calibration: Option<cinetomo_calibration_options>,
}

impl FineTuneOptions {
    pub(crate) fn new(raw: cinetomo_fine_tune_options) -> FineTuneOptions {
        let milestones = match raw.milestones.is_null() {
            true => Vec::new(),
            // SAFETY: the library's own milestones live as long as the process.
            false => unsafe { slice::from_raw_parts(raw.milestones, raw.n_milestones) }.to_vec(),
        };
        let (checkpoint, regularizer_stages) = (None, None);
        FineTuneOptions { raw, milestones, checkpoint, regularizer_stages, calibration: None }
    }

    /// Where the state of the training is kept, and from where it goes on if it is there.
    pub fn checkpoint(mut self, path: &Path) -> Result<FineTuneOptions, Error> {
        self.checkpoint = Some(c_path(path)?);
        Ok(self)
    }

    /// Names of the stages whose feature maps DELTA compares.
    pub fn regularizer_stages(mut self, names: &[String]) -> Result<FineTuneOptions, Error> {
        self.regularizer_stages = Some(c_string(&names.join(","), "regularizer_stages")?);
        Ok(self)
    }

    /// Epochs after which the STEP schedule lowers the learning rate.
    pub fn milestones(mut self, milestones: impl Into<Vec<i32>>) -> FineTuneOptions {
        self.milestones = milestones.into();
        self
    }

    /// What is learnt on the validation subtomograms.
    pub fn calibration(mut self, options: cinetomo_calibration_options) -> FineTuneOptions {
        let struct_size = size_of::<cinetomo_calibration_options>();
        self.calibration = Some(cinetomo_calibration_options { struct_size, ..options });
        self
    }

    /// The options as C sees them, valid while `self` is.
    pub(crate) fn to_c(&self) -> cinetomo_fine_tune_options {
        cinetomo_fine_tune_options {
            struct_size: size_of::<cinetomo_fine_tune_options>(),
            milestones: if self.milestones.is_empty() {
                ptr::null()
            } else {
                self.milestones.as_ptr()
            },
            n_milestones: self.milestones.len(),
            checkpoint: self.checkpoint.as_ref().map_or(ptr::null(), |path| path.as_ptr()),
            regularizer_stages: self
                .regularizer_stages
                .as_ref()
                .map_or(ptr::null(), |names| names.as_ptr()),
            calibration: self.calibration.as_ref().map_or(ptr::null(), ptr::from_ref),
            ..self.raw
        }
    }
}

macro_rules! deref {
    ($($options:ty => $raw:ty),*) => {
        $(impl Deref for $options {
            type Target = $raw;

            fn deref(&self) -> &$raw {
                &self.raw
            }
        }

        impl DerefMut for $options {
            fn deref_mut(&mut self) -> &mut $raw {
                &mut self.raw
            }
        })*
    };
}
deref!(ContextOptions => cinetomo_context_options, FineTuneOptions => cinetomo_fine_tune_options);

/// What network to make.
#[derive(Clone, Default)]
pub struct ModelOptions {
    /// Name of the network; `None` = recognised from the checkpoint.
    pub backbone: Option<String>,
    /// Names of the classes, at least two: label i means the i-th.
    pub class_names: Vec<String>,
    /// Preprocessing; `None` = the plugin's defaults.
    pub preprocess: Option<cinetomo_preprocess>,
    /// Seed of what starts as random numbers.
    pub seed: u64,
    /// Dropout before the head while training.
    pub dropout: f64,
}

impl ModelOptions {
    /// Defaults, and these classes.
    pub fn new(class_names: impl IntoIterator<Item = impl Into<String>>) -> ModelOptions {
        ModelOptions {
            class_names: class_names.into_iter().map(Into::into).collect(),
            ..ModelOptions::default()
        }
    }

    /// Runs `function` with the options as C sees them.
    pub(crate) fn with_c<T>(
        &self,
        plugin: Plugin,
        function: impl FnOnce(*const cinetomo_model_options) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let backbone =
            self.backbone.as_deref().map(|name| c_string(name, "backbone")).transpose()?;
        let texts: Vec<CString> = self
            .class_names
            .iter()
            .map(|name| c_string(name, "class name"))
            .collect::<Result<_, _>>()?;
        let names: Vec<*const c_char> = texts.iter().map(|name| name.as_ptr()).collect();
        let preprocess = self.preprocess.map(|preprocess| cinetomo_preprocess {
            struct_size: size_of::<cinetomo_preprocess>(),
            ..preprocess
        });
        let mut options = plugin.model_options();
        options.backbone = backbone.as_ref().map_or(ptr::null(), |name| name.as_ptr());
        options.class_names = names.as_ptr();
        options.n_classes = names.len();
        options.preprocess = preprocess.as_ref().map_or(ptr::null(), ptr::from_ref);
        options.seed = self.seed;
        options.dropout = self.dropout;
        function(&raw const options)
    }
}
