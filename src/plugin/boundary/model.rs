//! `cinetomo_model`: made, asked, saved, loaded.

use std::{
    ffi::{CString, c_char},
    path::Path,
    ptr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cinetomo_abi::{
    cinetomo_context, cinetomo_error, cinetomo_hooks, cinetomo_model, cinetomo_model_info,
    cinetomo_model_options, cinetomo_preprocess, cinetomo_volume,
};

use super::{
    context::{CONTEXTS, Context},
    error::to_c_text,
    guard::{boundary, boundary_or},
    handles::Registry,
    hooks,
    read::{self, sized_struct},
    volume,
    write::{self, OutBuffer, OutHandle},
};
use crate::{
    error::{Error, Result},
    model::{Model, ModelConfig, Origin},
    model_file,
    monitor::Monitor,
    preprocess::{Interpolation, Normalization, Preprocess},
    volume::{Contrast, Volume},
};

/// What a model handle stands for.
pub(super) struct ModelObject {
    pub(super) context: Arc<Context>,
    model: Mutex<Model>,
    info: Info,
}

impl ModelObject {
    pub(super) fn new(context: Arc<Context>, model: Model) -> ModelObject {
        let info = Info::new(&model);
        ModelObject { context, model: Mutex::new(model), info }
    }

    /// The model, for one call at a time. It is never changed, so a panic in an earlier call does not matter.
    pub(super) fn lock(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
            backbone: to_c_text(model.network.spec.name),
            class_names: TextList::new(model.class_names.iter().map(String::as_str)),
            stage_names: TextList::new(model.network.stages.iter().map(|stage| stage.name)),
            checkpoint_sha256: to_c_text(match &model.origin {
                Origin::Video { sha256, .. } => sha256,
                Origin::Random { .. } => "",
            }),
            metadata_json: to_c_text(&model_file::metadata_json(model)),
            n_features: model.network.spec.n_features,
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
    cinetomo_preprocess,
    64,
    cinetomo_preprocess {
        struct_size: size_of::<cinetomo_preprocess>(),
        input_size: [0; 3],
        percentile_low: 0.5,
        percentile_high: 99.5,
        normalization: Normalization::MinMax as i32,
        interpolation: Interpolation::Bicubic as i32,
        contrast: Contrast::Unknown as i32,
        n_views: 8,
    }
);

sized_struct!(
    cinetomo_model_options,
    56,
    cinetomo_model_options {
        struct_size: size_of::<cinetomo_model_options>(),
        backbone: ptr::null(),
        class_names: ptr::null(),
        n_classes: 0,
        preprocess: ptr::null(),
        seed: 0,
        dropout: 0.0,
    }
);

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

/// Fills `out_preprocess` with the defaults. `struct_size` is `sizeof *out_preprocess`.
///
/// Errors: NULL_ARGUMENT, INVALID_ARGUMENT. [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cinetomo_preprocess_init(
    out_preprocess: *mut cinetomo_preprocess,
    struct_size: usize,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe { boundary(ptr::null_mut(), || write::init(out_preprocess, struct_size)) }
}

/// Fills `out_options` with the defaults. `struct_size` is `sizeof *out_options`.
///
/// Errors: NULL_ARGUMENT, INVALID_ARGUMENT. [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cinetomo_model_options_init(
    out_options: *mut cinetomo_model_options,
    struct_size: usize,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe { boundary(ptr::null_mut(), || write::init(out_options, struct_size)) }
}

/// Makes a model whose network is initialised from video: reads a checkpoint that was trained on Kinetics, keeps its
/// network and gives it a new head with `options->n_classes` outputs, started at random. Fine-tune it before use.
///
/// `checkpoint_path` is UTF-8. It may be `i3d-kinetics-400.ckpt` (a pickle of numpy arrays; nothing in it is executed).
/// The network is recognised from the tensors. `hooks` may be NULL. The stem's three colour kernels are summed over the
/// single grey channel: the same as showing the grey value three times.
///
/// Errors: NULL_ARGUMENT; INVALID_ARGUMENT; UNSUPPORTED as for `cinetomo_model_random`; IO; FORMAT if the file is no checkpoint that this release reads, is damaged,
/// or asks for anything but arrays; MODEL_MISMATCH lists every tensor that is missing, unexpected or of another shape;
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
            context.enter();
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
            context.enter();
            let model = Model::random(config, context.device)?;
            out.write(MODELS.insert(ModelObject::new(context, model)));
            Ok(())
        })
    }
}

/// Classifies subtomograms. `out_probabilities` receives one row of `n_classes` probabilities per subtomogram, in the
/// order of the model's class names, each row adding up to 1; `*out_len` their number. With `capacity` 0 only
/// `*out_len` is written. `hooks` may be NULL.
///
/// A log line warns if voxel size (by more than 10 %) or contrast differ from what the model was fine-tuned on.
///
/// Errors: NULL_ARGUMENT; INVALID_ARGUMENT, among others for a subtomogram that is constant; NON_FINITE names the
/// subtomogram; MODEL_MISMATCH if the box is too small for the network; BUFFER_TOO_SMALL; OUT_OF_MEMORY; CANCELLED.
/// [any thread; calls on one model take turns]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cinetomo_model_classify(
    model: *const cinetomo_model,
    subtomograms: *const cinetomo_volume,
    hooks: *const cinetomo_hooks,
    out_probabilities: *mut f32,
    capacity: usize,
    out_len: *mut usize,
    out_error: *mut *mut cinetomo_error,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe {
        boundary(out_error, || {
            let out = OutBuffer::new(out_probabilities, capacity, out_len, "out_probabilities")?;
            infer(model, subtomograms, hooks, out, |model| model.class_names.len(), Model::classify)
        })
    }
}

/// Computes embeddings: the pooled features that the head sees. `out_embeddings` receives one row of `n_features`
/// numbers per subtomogram (see `cinetomo_model_info`); otherwise as `cinetomo_model_classify`.
/// [any thread; calls on one model take turns]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cinetomo_model_embed(
    model: *const cinetomo_model,
    subtomograms: *const cinetomo_volume,
    hooks: *const cinetomo_hooks,
    out_embeddings: *mut f32,
    capacity: usize,
    out_len: *mut usize,
    out_error: *mut *mut cinetomo_error,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe {
        boundary(out_error, || {
            let out = OutBuffer::new(out_embeddings, capacity, out_len, "out_embeddings")?;
            let n_features = |model: &Model| model.network.spec.n_features as usize;
            infer(model, subtomograms, hooks, out, n_features, Model::embed)
        })
    }
}

/// One row of `row_len` numbers per subtomogram, from `compute`.
///
/// # Safety
/// As the exports that call it.
unsafe fn infer(
    model: *const cinetomo_model,
    subtomograms: *const cinetomo_volume,
    hooks: *const cinetomo_hooks,
    out: OutBuffer<f32>,
    row_len: impl Fn(&Model) -> usize,
    compute: impl Fn(&Model, &Volume<'_>, &mut Monitor<'_>) -> Result<Vec<f32>>,
) -> Result<()> {
    // SAFETY: passed on from the caller.
    unsafe {
        let object = MODELS.get(model, "model")?;
        let volume = volume::volume(subtomograms, "subtomograms")?;
        let mut monitor = hooks::monitor(hooks, &object.context)?;
        let model = object.lock();
        // `volume` bounds the number of subtomograms and no row is long: this does not overflow.
        if out.wants(volume.len() * row_len(&model))? {
            object.context.compute();
            out.write(&compute(&model, &volume, &mut monitor)?);
        }
        Ok(())
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
            object.context.enter();
            model_file::save(&object.lock(), path)
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
            context.enter();
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

/// # Safety
/// `options` is NULL or valid, with valid pointers in it.
unsafe fn model_config(options: *const cinetomo_model_options) -> Result<ModelConfig> {
    // SAFETY: passed on from the caller.
    unsafe {
        let options = read::sized(options, "options")?;
        let backbone = match options.backbone.is_null() {
            true => None,
            false => Some(read::text(options.backbone, "options.backbone")?.to_owned()),
        };
        // Checked before names are made up, so that a huge count does not fill the memory.
        if !(2..=MOST_CLASSES).contains(&options.n_classes) {
            return Err(Error::invalid(format!(
                "options.n_classes is {}; it must be 2 to {MOST_CLASSES}",
                options.n_classes
            )));
        }
        let class_names = match options.class_names.is_null() {
            true => (0..options.n_classes).map(|index| format!("class_{index}")).collect(),
            false => read::slice(options.class_names, options.n_classes, "options.class_names")?
                .iter()
                .enumerate()
                .map(|(index, &name)| {
                    read::text(name, &format!("options.class_names[{index}]")).map(str::to_owned)
                })
                .collect::<Result<_>>()?,
        };
        Ok(ModelConfig {
            backbone,
            class_names,
            preprocess: preprocess(&read::sized_or_default(options.preprocess, "preprocess")?)?,
            seed: options.seed,
            dropout: options.dropout,
        })
    }
}

/// More classes than any atlas of macromolecules distinguishes.
const MOST_CLASSES: usize = 10_000;

fn preprocess(options: &cinetomo_preprocess) -> Result<Preprocess> {
    let preprocess = Preprocess {
        normalization: read::choice(
            options.normalization,
            &[Normalization::MinMax, Normalization::ZScore, Normalization::Percentile]
                .map(|n| (n as i32, n)),
            "preprocess.normalization",
        )?,
        interpolation: read::choice(
            options.interpolation,
            &[Interpolation::Bicubic, Interpolation::Linear, Interpolation::Nearest]
                .map(|i| (i as i32, i)),
            "preprocess.interpolation",
        )?,
        input_size: options.input_size,
        percentile: [options.percentile_low, options.percentile_high],
        contrast: read::choice(
            options.contrast,
            &[Contrast::Unknown, Contrast::Dark, Contrast::Bright].map(|c| (c as i32, c)),
            "preprocess.contrast",
        )?,
        n_views: options.n_views,
    };
    preprocess.validate()?;
    Ok(preprocess)
}
