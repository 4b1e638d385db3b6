//! `cinetomo_model`: made, asked, saved, loaded.

use std::{
    ffi::{CString, c_char},
    ops::Deref,
    path::Path,
    ptr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, ThreadId},
};

use cinetomo_abi::{
    cinetomo_confidence, cinetomo_context, cinetomo_error, cinetomo_hooks, cinetomo_model,
    cinetomo_model_info, cinetomo_model_options,
};

use super::{
    calibrate,
    context::{CONTEXTS, Context},
    error::to_c_text,
    exit,
    guard::{boundary, boundary_or},
    handles::Registry,
    hooks,
    model_options::model_config,
    read::{self, sized_struct},
    write::{self, OutHandle},
};
use crate::{
    error::{Error, Result},
    model::{Model, Origin},
    model_file,
    volume::Contrast,
};

/// What a model handle stands for.
pub(super) struct ModelObject {
    pub(super) context: Arc<Context>,
    model: Mutex<Model>,
    /// The thread whose call has the model.
    holder: Mutex<Option<ThreadId>>,
    info: Info,
    confidence: cinetomo_confidence,
}

impl ModelObject {
    pub(super) fn new(context: Arc<Context>, mut model: Model) -> ModelObject {
        model.network.precision = context.precision;
        let (info, confidence) = (Info::new(&model), calibrate::confidence(&model));
        ModelObject {
            context,
            model: Mutex::new(model),
            holder: Mutex::new(None),
            info,
            confidence,
        }
    }

    /// How sure the model is.
    pub(super) fn confidence(&self) -> cinetomo_confidence {
        self.confidence
    }

    /// The model, for one call at a time. Refuses a callback that asks for the model of its own call: it would wait for
    /// itself.
    pub(super) fn lock(&self) -> Result<HeldModel<'_>> {
        let here = thread::current().id();
        if *held(&self.holder) == Some(here) {
            return Err(Error::invalid(
                "model is at work in the call whose callback this is; use it after that call has returned",
            ));
        }
        let model = exit::aside(|| held(&self.model));
        exit::check()?;
        *held(&self.holder) = Some(here);
        Ok(HeldModel { model, holder: &self.holder })
    }
}

impl HeldModel<'_> {
    /// The model for a thread that works for this call: only one thread can have it at a time. It is not changed.
    pub(super) fn for_another_thread(&mut self) -> &mut Model {
        &mut self.model
    }
}

/// A model that no other call can use until this is dropped.
pub(super) struct HeldModel<'a> {
    model: MutexGuard<'a, Model>,
    holder: &'a Mutex<Option<ThreadId>>,
}

impl Deref for HeldModel<'_> {
    type Target = Model;

    fn deref(&self) -> &Model {
        &self.model
    }
}

impl Drop for HeldModel<'_> {
    fn drop(&mut self) {
        *held(self.holder) = None;
    }
}

/// The value behind a lock. It is only ever replaced whole, so a panic under an earlier guard does not matter.
fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) static MODELS: Registry<ModelObject> = Registry::new("cinetomo_model");

/// The strings behind `cinetomo_model_info`, kept as long as the model.
struct Info {
    backbone: CString,
    class_names: TextList,
    stage_names: TextList,
    checkpoint_sha256: CString,
    metadata_json: CString,
    n_features: i64,
    n_parameters: i64,
    input_size: [i64; 3],
    voxel_size: f64,
    contrast: i32,
}

impl Info {
    fn new(model: &Model) -> Info {
        Info {
            backbone: to_c_text(&model.network.architecture.to_string()),
            class_names: TextList::new(model.class_names.iter().map(String::as_str)),
            stage_names: TextList::new(model.network.stages.iter().map(|stage| stage.name)),
            checkpoint_sha256: to_c_text(match &model.origin {
                Origin::Video { sha256, .. } => sha256,
                Origin::Random { .. } => "",
            }),
            metadata_json: to_c_text(&model_file::metadata_json(model)),
            n_features: model.network.n_features,
            n_parameters: model.network.parameters.n_weights()
                + (model.head.weight.numel() + model.head.bias.numel()) as i64,
            input_size: model.preprocess.input_size,
            voxel_size: model.voxel_size,
            contrast: model.contrast as i32,
        }
    }

    fn to_c(&self) -> cinetomo_model_info {
        cinetomo_model_info {
            struct_size: size_of::<cinetomo_model_info>(),
            backbone: self.backbone.as_ptr(),
            class_names: self.class_names.pointers.as_ptr().cast(),
            n_classes: self.class_names.pointers.len(),
            stage_names: self.stage_names.pointers.as_ptr().cast(),
            n_stages: self.stage_names.pointers.len(),
            n_features: self.n_features,
            n_parameters: self.n_parameters,
            input_size: self.input_size,
            voxel_size: self.voxel_size,
            contrast: self.contrast,
            reserved: 0,
            checkpoint_sha256: self.checkpoint_sha256.as_ptr(),
            metadata_json: self.metadata_json.as_ptr(),
        }
    }
}

/// A C array of strings: addresses, and the strings that they point into.
struct TextList {
    pointers: Vec<usize>,
    _texts: Vec<CString>,
}

impl TextList {
    fn new<'a>(texts: impl Iterator<Item = &'a str>) -> TextList {
        let texts: Vec<CString> = texts.map(to_c_text).collect();
        // Exposed as numbers so that the list may move between threads; C reads them as `const char *`.
        let pointers = texts.iter().map(|text| text.as_ptr().expose_provenance()).collect();
        TextList { pointers, _texts: texts }
    }
}

sized_struct!(
    cinetomo_model_info,
    120,
    cinetomo_model_info {
        struct_size: size_of::<cinetomo_model_info>(),
        backbone: c"".as_ptr(),
        class_names: ptr::null(),
        n_classes: 0,
        stage_names: ptr::null(),
        n_stages: 0,
        n_features: 0,
        n_parameters: 0,
        input_size: [0; 3],
        voxel_size: 0.0,
        contrast: Contrast::Unknown as i32,
        reserved: 0,
        checkpoint_sha256: c"".as_ptr(),
        metadata_json: c"".as_ptr(),
    }
);

/// Makes a model whose network is initialised from video: reads a checkpoint that was trained on Kinetics, keeps its
/// network and gives it a new head with `options->n_classes` outputs, started at random. Fine-tune it before use.
///
/// `checkpoint_path` is UTF-8. The file may be a PyTorch checkpoint (of `torch.save`, old format or new; of a network or of
/// a training with a network in it), a safetensors file, the `.index.json` of either in parts, an npz archive, or a pickled
/// flax checkpoint such as `i3d-kinetics-400.ckpt`; its content tells. Nothing in it is executed. It is read a tensor at a
/// time. Names may begin with `module.`, `model.` and the like. `cinetomo_weights_inspect` says what a file holds.
/// The network is recognised from the tensors; a video head may be missing. `hooks` may be NULL. The stem's three colour kernels are summed over the
/// single grey channel: the same as showing the grey value three times.
///
/// Errors: NULL_ARGUMENT; INVALID_ARGUMENT; UNSUPPORTED as for `cinetomo_model_random`; IO; FORMAT if the file is no checkpoint that this release reads, is damaged,
/// or asks for any code but that of tensors; MODEL_MISMATCH lists every tensor that is missing, unexpected or of another shape;
/// NON_FINITE; OUT_OF_MEMORY; CANCELLED. [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cinetomo_model_from_video(
    context: *const cinetomo_context,
    checkpoint_path: *const c_char,
    options: *const cinetomo_model_options,
    hooks: *const cinetomo_hooks,
    out_model: *mut *mut cinetomo_model,
    out_error: *mut *mut cinetomo_error,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe {
        boundary(out_error, || {
            let out = OutHandle::new(out_model, "out_model")?;
            let context = CONTEXTS.get(context, "context")?;
            let path = Path::new(read::text(checkpoint_path, "checkpoint_path")?);
            let config = model_config(options)?;
            let mut monitor = hooks::monitor(hooks, &context)?;
            context.enter_alone();
            let model = Model::from_video(path, config, context.device, &mut monitor)?;
            drop(monitor);
            out.write(MODELS.insert(ModelObject::new(context, model)));
            Ok(())
        })
    }
}

/// Makes a model whose network starts from random numbers: the baseline that video initialisation is measured against.
///
/// Errors: NULL_ARGUMENT; INVALID_ARGUMENT; UNSUPPORTED if `options->backbone` is no network of this release;
/// OUT_OF_MEMORY. [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cinetomo_model_random(
    context: *const cinetomo_context,
    options: *const cinetomo_model_options,
    out_model: *mut *mut cinetomo_model,
    out_error: *mut *mut cinetomo_error,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe {
        boundary(out_error, || {
            let out = OutHandle::new(out_model, "out_model")?;
            let context = CONTEXTS.get(context, "context")?;
            let config = model_config(options)?;
            context.enter_alone();
            let model = Model::random(config, context.device)?;
            out.write(MODELS.insert(ModelObject::new(context, model)));
            Ok(())
        })
    }
}

/// Saves a model as one safetensors file that holds everything: network, head, preprocessing, class names, training
/// history. `path` is UTF-8; an existing file is replaced in one step, so that a crash leaves the old file or the new.
///
/// Errors: NULL_ARGUMENT, INVALID_ARGUMENT, IO. [any thread; calls on one model take turns]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cinetomo_model_save(
    model: *const cinetomo_model,
    path: *const c_char,
    out_error: *mut *mut cinetomo_error,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe {
        boundary(out_error, || {
            let object = MODELS.get(model, "model")?;
            let path = Path::new(read::text(path, "path")?);
            object.context.enter_alone();
            model_file::save(&*object.lock()?, path)
        })
    }
}

/// Loads a model that `cinetomo_model_save` wrote. It scores exactly as the saved one on the same device.
///
/// Errors: NULL_ARGUMENT; INVALID_ARGUMENT; IO; FORMAT if the file is damaged, no cinetomo model, or of a newer format;
/// MODEL_MISMATCH if its tensors are not those of its network; NON_FINITE. [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cinetomo_model_load(
    context: *const cinetomo_context,
    path: *const c_char,
    out_model: *mut *mut cinetomo_model,
    out_error: *mut *mut cinetomo_error,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe {
        boundary(out_error, || {
            let out = OutHandle::new(out_model, "out_model")?;
            let context = CONTEXTS.get(context, "context")?;
            let path = Path::new(read::text(path, "path")?);
            context.enter_alone();
            let model = model_file::load(path, context.device)?;
            out.write(MODELS.insert(ModelObject::new(context, model)));
            Ok(())
        })
    }
}

/// Fills `out_info` with empty values. `struct_size` is `sizeof *out_info`.
///
/// Errors: NULL_ARGUMENT, INVALID_ARGUMENT. [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cinetomo_model_info_init(
    out_info: *mut cinetomo_model_info,
    struct_size: usize,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe { boundary(ptr::null_mut(), || write::init(out_info, struct_size)) }
}

/// Tells what a model is: network, classes, sizes, history. The pointers in `*out_info` are valid until the model is
/// freed.
///
/// Errors: NULL_ARGUMENT, INVALID_ARGUMENT. [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cinetomo_model_info_get(
    model: *const cinetomo_model,
    out_info: *mut cinetomo_model_info,
    out_error: *mut *mut cinetomo_error,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe {
        boundary(out_error, || {
            let object = MODELS.get(model, "model")?;
            let struct_size = write::stated_size(out_info, "out_info")?;
            write::sized(out_info, struct_size, object.info.to_c());
            Ok(())
        })
    }
}

/// Frees a model. NULL is fine. A call that uses it on another thread still ends well. [any thread]
#[unsafe(no_mangle)]
pub extern "C" fn cinetomo_model_free(model: *mut cinetomo_model) {
    boundary_or((), || MODELS.remove(model))
}
