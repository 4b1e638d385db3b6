//! The native methods of `org.cinetomo.Native`, in its order; those of contexts and models, and how results become Java's.

#![expect(clippy::too_many_arguments, reason = "they are those of the Java methods")]

use std::path::Path;

use cinetomo_host::{Plugin, abi::cinetomo_log_level};
use jni::{
    Env, JValue, NativeMethod, jni_sig, jni_str, native_method,
    objects::{
        JClass, JDoubleArray, JFloatArray, JIntArray, JLongArray, JObject, JObjectArray, JString,
    },
};

use crate::{
    arguments::{integers, optional_text, settings, text, texts, volume},
    evaluation::{
        evaluate, evaluate_classes, evaluate_reliability, evaluate_roc, model_calibrate,
        model_confidence, split,
    },
    failure::{Failure, Throw},
    handles::{CONTEXTS, MODELS},
    listeners, options,
    picking::{extract, pick},
    shutdown::{self, Call},
    simulation::{phantom_density, phantom_names, simulate, simulate_tomogram},
};

pub(crate) type Texts<'local> = JObjectArray<'local, JString<'local>>;

/// A static native method whose failures are thrown.
macro_rules! method {
    ($($signature:tt)*) => {
        native_method! { error_policy = Throw, static fn $($signature)* }
    };
}

/// What `JNI_OnLoad` registers.
pub(crate) const METHODS: &[NativeMethod] = &[
    method!(shut_down()),
    method!(context_new(plugin: JString, device: jint, device_index: jint, n_threads: jint, log_level: jint,
        log: org.cinetomo.LogListener) -> jlong),
    method!(context_free(context: jlong)),
    method!(runtime_info(context: jlong) -> JString[]),
    method!(weights_inspect(context: jlong, path: JString) -> JString),
    method!(model_from_video(context: jlong, checkpoint: JString, backbone: JString, class_names: JString[],
        preset: jint, names: JString[], values: jdouble[], progress: org.cinetomo.ProgressListener) -> jlong),
    method!(model_random(context: jlong, backbone: JString, class_names: JString[], preset: jint, names: JString[],
        values: jdouble[]) -> jlong),
    method!(model_load(context: jlong, path: JString) -> jlong),
    method!(model_save(model: jlong, path: JString)),
    method!(model_free(model: jlong)),
    method!(model_info(model: jlong) -> org.cinetomo.ModelInfo),
    method!(model_fine_tune(model: jlong, subtomograms: org.cinetomo.Subtomograms, labels: jint[], preset: jint,
        names: JString[], values: jdouble[], checkpoint: JString, progress: org.cinetomo.ProgressListener) -> jlong),
    method!(model_classify(model: jlong, subtomograms: org.cinetomo.Subtomograms,
        progress: org.cinetomo.ProgressListener) -> jfloat[]),
    method!(model_embed(model: jlong, subtomograms: org.cinetomo.Subtomograms,
        progress: org.cinetomo.ProgressListener) -> jfloat[]),
    method!(model_predict(model: jlong, subtomograms: org.cinetomo.Subtomograms, reject: jint,
        progress: org.cinetomo.ProgressListener) -> org.cinetomo.Predictions),
    method!(model_grad_cam(model: jlong, subtomograms: org.cinetomo.Subtomograms, stage: JString, class_index: jint,
        method: jint, rectify: jint, progress: org.cinetomo.ProgressListener) -> jfloat[]),
    method!(model_calibrate(model: jlong, subtomograms: org.cinetomo.Subtomograms, labels: jint[], names: JString[],
        values: jdouble[], progress: org.cinetomo.ProgressListener) -> jlong),
    method!(model_confidence(model: jlong) -> jdouble[]),
    method!(evaluate(context: jlong, scores: jfloat[], labels: jint[], n_classes: jint) -> jdouble[]),
    method!(evaluate_classes(context: jlong, scores: jfloat[], labels: jint[], n_classes: jint) -> jdouble[]),
    method!(evaluate_roc(context: jlong, scores: jfloat[], labels: jint[], n_classes: jint, class_index: jint)
        -> jdouble[]),
    method!(evaluate_reliability(context: jlong, scores: jfloat[], labels: jint[], n_classes: jint, n_bins: jint)
        -> jdouble[]),
    method!(split(context: jlong, labels: jint[], groups: jint[], names: JString[], values: jdouble[]) -> jint[]),
    method!(phantom_names(context: jlong) -> JString[]),
    method!(phantom_density(context: jlong, phantom_index: jint, box_size: jint, voxel_size: jdouble) -> jfloat[]),
    method!(simulate(context: jlong, densities: org.cinetomo.Subtomograms, labels: jint[], liu_2020: jboolean,
        names: JString[], values: jdouble[], progress: org.cinetomo.ProgressListener) -> org.cinetomo.Simulated),
    method!(simulate_tomogram(context: jlong, densities: org.cinetomo.Subtomograms, labels: jint[], shape: jlong[],
        liu_2020: jboolean, names: JString[], values: jdouble[], progress: org.cinetomo.ProgressListener)
        -> org.cinetomo.Simulated),
    method!(pick(context: jlong, voxels: org.cinetomo.Subtomograms, reader: org.cinetomo.TomogramReader, shape: jlong[],
        voxel_size: jdouble, contrast: jint, names: JString[], values: jdouble[], progress: org.cinetomo.ProgressListener)
        -> jfloat[]),
    method!(extract(context: jlong, voxels: org.cinetomo.Subtomograms, reader: org.cinetomo.TomogramReader, shape: jlong[],
        voxel_size: jdouble, contrast: jint, positions: jfloat[], names: JString[], values: jdouble[],
        progress: org.cinetomo.ProgressListener) -> org.cinetomo.Extracted),
];

fn shut_down<'local>(_: &mut Env<'local>, _: JClass<'local>) -> Result<(), Failure> {
    shutdown::stop_all();
    Ok(())
}

fn context_new<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    plugin: JString<'local>,
    device: i32,
    device_index: i32,
    n_threads: i32,
    log_level: i32,
    log: JObject<'local>,
) -> Result<i64, Failure> {
    let place = optional_text(env, &plugin)?;
    let _call = Call::begin(None)?;
    let plugin = Plugin::find(place.as_deref().map(Path::new))?;
    let mut options = plugin.context_options();
    if !log.is_null() {
        let log = listeners::log(env.new_global_ref(&log)?);
        options = options.log(cinetomo_log_level::Warn, log);
    }
    options.device = device;
    options.device_index = device_index;
    options.n_threads = n_threads;
    options.log_level = log_level;
    Ok(CONTEXTS.insert(plugin.context(options)?))
}

fn context_free<'local>(
    _: &mut Env<'local>,
    _: JClass<'local>,
    context: i64,
) -> Result<(), Failure> {
    CONTEXTS.remove(context);
    Ok(())
}

fn runtime_info<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    context: i64,
) -> Result<Texts<'local>, Failure> {
    let info = CONTEXTS.get(context)?.plugin().runtime_info()?;
    let texts = [
        info.version,
        info.libtorch_version,
        info.libtorch_path,
        info.cuda_path,
        info.cuda_driver,
        info.summary,
    ];
    java_texts(env, &texts)
}

fn weights_inspect<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    context: i64,
    path: JString<'local>,
) -> Result<JString<'local>, Failure> {
    let path = text(env, &path, "path")?;
    let json = CONTEXTS.get(context)?.plugin().weights_inspect(path)?;
    Ok(env.new_string(json)?)
}

fn model_from_video<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    context: i64,
    checkpoint: JString<'local>,
    backbone: JString<'local>,
    class_names: Texts<'local>,
    preset: i32,
    names: Texts<'local>,
    values: JDoubleArray<'local>,
    progress: JObject<'local>,
) -> Result<i64, Failure> {
    let context = CONTEXTS.get(context)?;
    let checkpoint = text(env, &checkpoint, "checkpoint")?;
    let backbone = optional_text(env, &backbone)?;
    let class_names = texts(env, &class_names, "class names")?;
    let settings = settings(env, &names, &values)?;
    let options = options::model(context.plugin(), backbone, class_names, preset, &settings)?;
    let model = listeners::with_progress(context.plugin(), &progress, |hooks| {
        context.model_from_video(&checkpoint, &options, hooks)
    })?;
    Ok(MODELS.insert(model))
}

fn model_random<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    context: i64,
    backbone: JString<'local>,
    class_names: Texts<'local>,
    preset: i32,
    names: Texts<'local>,
    values: JDoubleArray<'local>,
) -> Result<i64, Failure> {
    let context = CONTEXTS.get(context)?;
    let backbone = optional_text(env, &backbone)?;
    let class_names = texts(env, &class_names, "class names")?;
    let settings = settings(env, &names, &values)?;
    let options = options::model(context.plugin(), backbone, class_names, preset, &settings)?;
    Ok(MODELS.insert(context.model_random(&options)?))
}

fn model_load<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    context: i64,
    path: JString<'local>,
) -> Result<i64, Failure> {
    let path = text(env, &path, "path")?;
    Ok(MODELS.insert(CONTEXTS.get(context)?.model_load(path)?))
}

fn model_save<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    model: i64,
    path: JString<'local>,
) -> Result<(), Failure> {
    let path = text(env, &path, "path")?;
    Ok(MODELS.get(model)?.save(path)?)
}

fn model_free<'local>(_: &mut Env<'local>, _: JClass<'local>, model: i64) -> Result<(), Failure> {
    MODELS.remove(model);
    Ok(())
}

fn model_info<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    model: i64,
) -> Result<JObject<'local>, Failure> {
    let info = MODELS.get(model)?.info()?;
    let backbone = env.new_string(&info.backbone)?;
    let class_names = java_texts(env, &info.class_names)?;
    let stage_names = java_texts(env, &info.stage_names)?;
    let input_size = JLongArray::new(env, 3)?;
    input_size.set_region(env, 0, &info.input_size)?;
    let checkpoint_sha256 = env.new_string(&info.checkpoint_sha256)?;
    let metadata_json = env.new_string(&info.metadata_json)?;
    Ok(env.new_object(
        jni_str!("org/cinetomo/ModelInfo"),
        jni_sig!((
            backbone: JString, class_names: JString[], stage_names: JString[], n_features: jlong, n_parameters: jlong,
            input_size: jlong[], voxel_size: jdouble, contrast: jint, checkpoint_sha256: JString, metadata_json: JString
        )),
        &[
            JValue::Object(&backbone),
            JValue::Object(&class_names),
            JValue::Object(&stage_names),
            JValue::Long(info.n_features),
            JValue::Long(info.n_parameters),
            JValue::Object(&input_size),
            JValue::Double(info.voxel_size),
            JValue::Int(info.contrast),
            JValue::Object(&checkpoint_sha256),
            JValue::Object(&metadata_json),
        ],
    )?)
}

fn model_fine_tune<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    model: i64,
    subtomograms: JObject<'local>,
    classes: JIntArray<'local>,
    preset: i32,
    names: Texts<'local>,
    values: JDoubleArray<'local>,
    checkpoint: JString<'local>,
    progress: JObject<'local>,
) -> Result<i64, Failure> {
    let model = MODELS.get(model)?;
    let volume = volume(env, &subtomograms)?;
    let classes = integers(env, &classes, "labels")?;
    let settings = settings(env, &names, &values)?;
    let mut options = options::fine_tune(model.context().plugin(), preset, &settings)?;
    if let Some(path) = optional_text(env, &checkpoint)? {
        options = options.checkpoint(Path::new(&path))?;
    }
    let tuned = listeners::with_progress(model.context().plugin(), &progress, |hooks| {
        model.fine_tune(&volume, &classes, &options, hooks)
    })?;
    Ok(MODELS.insert(tuned))
}

fn model_classify<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    model: i64,
    subtomograms: JObject<'local>,
    progress: JObject<'local>,
) -> Result<JFloatArray<'local>, Failure> {
    let (model, volume) = (MODELS.get(model)?, volume(env, &subtomograms)?);
    let probabilities = listeners::with_progress(model.context().plugin(), &progress, |hooks| {
        model.classify(&volume, hooks)
    })?;
    java_floats(env, &probabilities)
}

fn model_embed<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    model: i64,
    subtomograms: JObject<'local>,
    progress: JObject<'local>,
) -> Result<JFloatArray<'local>, Failure> {
    let (model, volume) = (MODELS.get(model)?, volume(env, &subtomograms)?);
    let embeddings = listeners::with_progress(model.context().plugin(), &progress, |hooks| {
        model.embed(&volume, hooks)
    })?;
    java_floats(env, &embeddings)
}

fn model_predict<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    model: i64,
    subtomograms: JObject<'local>,
    reject: i32,
    progress: JObject<'local>,
) -> Result<JObject<'local>, Failure> {
    let (model, volume) = (MODELS.get(model)?, volume(env, &subtomograms)?);
    let found = listeners::with_progress(model.context().plugin(), &progress, |hooks| {
        model.predict(&volume, reject, hooks)
    })?;
    let labels = JIntArray::new(env, found.labels.len())?;
    labels.set_region(env, 0, &found.labels)?;
    let probabilities = java_floats(env, &found.probabilities)?;
    let distances = match &found.distances {
        Some(distances) => java_floats(env, distances)?,
        None => JFloatArray::null(),
    };
    Ok(env.new_object(
        jni_str!("org/cinetomo/Predictions"),
        jni_sig!((labels: jint[], probabilities: jfloat[], distances: jfloat[])),
        &[JValue::Object(&labels), JValue::Object(&probabilities), JValue::Object(&distances)],
    )?)
}

fn model_grad_cam<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    model: i64,
    subtomograms: JObject<'local>,
    stage: JString<'local>,
    class_index: i32,
    method: i32,
    rectify: i32,
    progress: JObject<'local>,
) -> Result<JFloatArray<'local>, Failure> {
    let (model, volume) = (MODELS.get(model)?, volume(env, &subtomograms)?);
    let stage = optional_text(env, &stage)?;
    let options = options::grad_cam(stage, class_index, method, rectify)?;
    let maps = listeners::with_progress(model.context().plugin(), &progress, |hooks| {
        model.grad_cam(&volume, &options, hooks)
    })?;
    java_floats(env, &maps)
}

pub(crate) fn java_doubles<'local>(
    env: &mut Env<'local>,
    values: &[f64],
) -> Result<JDoubleArray<'local>, Failure> {
    let array = JDoubleArray::new(env, values.len())?;
    array.set_region(env, 0, values)?;
    Ok(array)
}

pub(crate) fn java_floats<'local>(
    env: &mut Env<'local>,
    values: &[f32],
) -> Result<JFloatArray<'local>, Failure> {
    let array = JFloatArray::new(env, values.len())?;
    array.set_region(env, 0, values)?;
    Ok(array)
}

pub(crate) fn java_texts<'local>(
    env: &mut Env<'local>,
    texts: &[String],
) -> Result<Texts<'local>, Failure> {
    let array = JObjectArray::<JString>::new(env, texts.len(), JString::null())?;
    for (index, text) in texts.iter().enumerate() {
        let text = env.new_string(text)?;
        array.set_element(env, index, &text)?;
        env.delete_local_ref(text);
    }
    Ok(array)
}
