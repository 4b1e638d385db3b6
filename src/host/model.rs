//! A model: fine-tuned, asked, saved.

use std::{ffi::c_char, fmt, path::Path};

use cinetomo_abi::{cinetomo_model, cinetomo_model_info, cinetomo_stage};

use crate::{
    Context, FineTuneOptions, Hooks, Volume,
    buffer::fetch,
    error::{Error, c_path, call, text},
};

/// A network with its preprocessing and class names. It never changes: fine-tuning returns a new one.
pub struct Model {
    context: Context,
    handle: *mut cinetomo_model,
}

// SAFETY: every function of the plugin may be called from any thread; calls on one model take turns.
unsafe impl Send for Model {}
// SAFETY: as above.
unsafe impl Sync for Model {}

impl Drop for Model {
    fn drop(&mut self) {
        // SAFETY: the handle is ours and freed once.
        unsafe { (self.context.plugin().api().model_free)(self.handle) }
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Model")
    }
}

/// What a model is; see `cinetomo_model_info`.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelInfo {
    /// Name of the network.
    pub backbone: String,
    /// Names of the classes: label i means the i-th.
    pub class_names: Vec<String>,
    /// Names of the network's stages from input to output.
    pub stage_names: Vec<String>,
    /// Length of an embedding.
    pub n_features: i64,
    /// Trainable numbers in the network and its head.
    pub n_parameters: i64,
    /// Network input along z, y, x; 0 = as the subtomograms come.
    pub input_size: [i64; 3],
    /// Edge in angstrom of the voxels it was fine-tuned on; 0 = unknown.
    pub voxel_size: f64,
    /// A `cinetomo_contrast` as a number.
    pub contrast: i32,
    /// SHA-256 of the video checkpoint; empty for a random start.
    pub checkpoint_sha256: String,
    /// What the model file says of the model, as JSON.
    pub metadata_json: String,
}

impl Model {
    pub(crate) fn new(context: Context, handle: *mut cinetomo_model) -> Model {
        Model { context, handle }
    }

    /// The context that it was made with.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// A new model, trained on subtomograms and their labels (one each, counted from 0).
    pub fn fine_tune(
        &self,
        subtomograms: &Volume<'_>,
        labels: &[i32],
        options: &FineTuneOptions,
        hooks: Hooks<'_>,
    ) -> Result<Model, Error> {
        let api = self.context.plugin().api();
        let options = options.to_c();
        hooks.run(|hooks| {
            // SAFETY: all that is passed lives until the call returns.
            self.context.model(|model, error| unsafe {
                (api.model_fine_tune)(
                    self.handle,
                    subtomograms.raw(),
                    labels.as_ptr(),
                    labels.len(),
                    &raw const options,
                    hooks,
                    model,
                    error,
                )
            })
        })
    }

    /// Class probabilities `[n, n_classes]`.
    pub fn classify(&self, subtomograms: &Volume<'_>, hooks: Hooks<'_>) -> Result<Vec<f32>, Error> {
        let api = self.context.plugin().api();
        hooks.run(|hooks| {
            // SAFETY: all that is passed lives until the call returns; the buffer has the stated capacity.
            fetch(api, |buffer, capacity, len, error| unsafe {
                (api.model_classify)(
                    self.handle,
                    subtomograms.raw(),
                    hooks,
                    buffer,
                    capacity,
                    len,
                    error,
                )
            })
        })
    }

    /// Embeddings `[n, n_features]`: the network's output before its head.
    pub fn embed(&self, subtomograms: &Volume<'_>, hooks: Hooks<'_>) -> Result<Vec<f32>, Error> {
        let api = self.context.plugin().api();
        hooks.run(|hooks| {
            // SAFETY: as in `classify`.
            fetch(api, |buffer, capacity, len, error| unsafe {
                (api.model_embed)(
                    self.handle,
                    subtomograms.raw(),
                    hooks,
                    buffer,
                    capacity,
                    len,
                    error,
                )
            })
        })
    }

    /// Bytes that work on boxes of that size (z, y, x) will take at once, in batches of `batch_size` (0 = the library's
    /// choice); `stage` is classifying, embedding or training. See `cinetomo_memory_estimate`.
    pub fn memory_estimate(
        &self,
        [z, y, x]: [i64; 3],
        batch_size: i64,
        stage: cinetomo_stage,
    ) -> Result<u64, Error> {
        let api = self.context.plugin().api();
        let mut bytes = 0;
        // SAFETY: the handle is ours, the outputs live until the call returns.
        call(api, |error| unsafe {
            let stage = stage as i32;
            (api.memory_estimate)(self.handle, z, y, x, batch_size, stage, &mut bytes, error)
        })?;
        Ok(bytes)
    }

    /// Writes the model to a file; a file of that name is replaced once the new one is whole.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let path = c_path(path.as_ref())?;
        let api = self.context.plugin().api();
        // SAFETY: all that is passed lives until the call returns.
        call(api, |error| unsafe { (api.model_save)(self.handle, path.as_ptr(), error) })
    }

    /// What the model is.
    pub fn info(&self) -> Result<ModelInfo, Error> {
        let api = self.context.plugin().api();
        // SAFETY: all zero is a valid cinetomo_model_info: numbers and pointers.
        let mut info: cinetomo_model_info = unsafe { std::mem::zeroed() };
        info.struct_size = size_of::<cinetomo_model_info>();
        // SAFETY: the struct says its size; the model lives until the strings are copied.
        unsafe {
            call(api, |error| (api.model_info_get)(self.handle, &mut info, error))?;
            Ok(ModelInfo {
                backbone: text(info.backbone),
                class_names: texts(info.class_names, info.n_classes),
                stage_names: texts(info.stage_names, info.n_stages),
                n_features: info.n_features,
                n_parameters: info.n_parameters,
                input_size: info.input_size,
                voxel_size: info.voxel_size,
                contrast: info.contrast,
                checkpoint_sha256: text(info.checkpoint_sha256),
                metadata_json: text(info.metadata_json),
            })
        }
    }

    /// The handle, for functions that this crate does not wrap. Freed with the model.
    pub fn handle(&self) -> *const cinetomo_model {
        self.handle
    }
}

/// # Safety
/// `list` has `n` strings.
unsafe fn texts(list: *const *const c_char, n: usize) -> Vec<String> {
    // SAFETY: as the caller promises.
    (0..n).map(|index| unsafe { text(*list.add(index)) }).collect()
}
