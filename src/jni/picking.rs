//! Particles in a tomogram, and boxes around them. A tomogram is a direct buffer, or a reader that Java provides.

#![expect(clippy::too_many_arguments, reason = "they are those of the Java methods")]

use std::cell::RefCell;

use cinetomo_host::{
    Tomogram,
    abi::{cinetomo_contrast, cinetomo_status},
};
use jni::{
    Env, JValue, JavaVM,
    errors::Error,
    jni_sig, jni_str,
    objects::{JClass, JDoubleArray, JFloatArray, JLongArray, JObject},
};

use crate::{
    arguments::{floats, missing, settings, shape, volume},
    failure::Failure,
    handles::CONTEXTS,
    listeners,
    methods::{Texts, java_floats},
    options,
};

/// Rows of z, y, x and score.
pub(crate) fn pick<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    context: i64,
    voxels: JObject<'local>,
    reader: JObject<'local>,
    extent: JLongArray<'local>,
    voxel_size: f64,
    contrast: i32,
    names: Texts<'local>,
    values: JDoubleArray<'local>,
    progress: JObject<'local>,
) -> Result<JFloatArray<'local>, Failure> {
    let context = CONTEXTS.get(context)?;
    let pick = context.pick()?;
    let options = options::pick(pick.pick_options()?, &settings(env, &names, &values)?)?;
    let thrown = RefCell::new(None);
    let mut tomogram = tomogram(env, &voxels, &reader, &extent, voxel_size, contrast, &thrown)?;
    let picked = listeners::with_progress(context.plugin(), &progress, |hooks| {
        pick.pick(&mut tomogram, &options, hooks)
    });
    drop(tomogram);
    let picked = first(thrown, picked)?;
    let rows: Vec<f32> = picked
        .iter()
        .flat_map(|particle| particle.position.into_iter().chain([particle.score]))
        .collect();
    java_floats(env, &rows)
}

pub(crate) fn extract<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    context: i64,
    voxels: JObject<'local>,
    reader: JObject<'local>,
    extent: JLongArray<'local>,
    voxel_size: f64,
    contrast: i32,
    positions: JFloatArray<'local>,
    names: Texts<'local>,
    values: JDoubleArray<'local>,
    progress: JObject<'local>,
) -> Result<JObject<'local>, Failure> {
    let context = CONTEXTS.get(context)?;
    let pick = context.pick()?;
    let options = options::extract(pick.extract_options()?, &settings(env, &names, &values)?)?;
    let positions = floats(env, &positions, "positions")?;
    let (positions, _) = positions.as_chunks::<3>();
    let thrown = RefCell::new(None);
    let mut tomogram = tomogram(env, &voxels, &reader, &extent, voxel_size, contrast, &thrown)?;
    let extracted = listeners::with_progress(context.plugin(), &progress, |hooks| {
        pick.extract(&mut tomogram, positions, &options, hooks)
    });
    drop(tomogram);
    let extracted = first(thrown, extracted)?;
    let voxels = java_floats(env, &extracted.voxels)?;
    let indices = JLongArray::new(env, extracted.indices.len())?;
    indices.set_region(env, 0, &extracted.indices)?;
    Ok(env.new_object(
        jni_str!("org/cinetomo/Extracted"),
        jni_sig!((voxels: jfloat[], indices: jlong[])),
        &[JValue::Object(&voxels), JValue::Object(&indices)],
    )?)
}

/// What a reader threw comes before what that led to.
fn first<T>(thrown: RefCell<Option<Failure>>, outcome: Result<T, Failure>) -> Result<T, Failure> {
    match thrown.into_inner() {
        Some(failure) => Err(failure),
        None => outcome,
    }
}

fn tomogram<'a>(
    env: &mut Env<'_>,
    voxels: &'a JObject<'_>,
    reader: &'a JObject<'_>,
    extent: &JLongArray<'_>,
    voxel_size: f64,
    contrast: i32,
    thrown: &'a RefCell<Option<Failure>>,
) -> Result<Tomogram<'a>, Failure> {
    if !voxels.is_null() {
        return Ok(Tomogram::in_memory(volume(env, voxels)?));
    }
    if reader.is_null() {
        return Err(missing("tomogram"));
    }
    use cinetomo_contrast::{Bright, Dark, Unknown};
    let contrast = [Unknown, Dark, Bright]
        .into_iter()
        .find(|known| *known as i32 == contrast)
        .ok_or_else(|| {
            let message = format!("contrast is {contrast}, no CINETOMO_CONTRAST");
            Failure::new(cinetomo_status::InvalidArgument, message)
        })?;
    let read = move |start: [i64; 3], extent: [i64; 3], out: &mut [f32]| {
        let answer = JavaVM::singleton()
            .map_err(Failure::from)
            .and_then(|vm| vm.attach_current_thread(|env| ask(env, reader, start, extent, out)));
        answer.map_err(|failure| {
            let message = failure.to_string();
            *thrown.borrow_mut() = Some(failure);
            message
        })
    };
    Ok(Tomogram::read_by(shape(env, extent)?, voxel_size, contrast, read))
}

/// Asks the reader for voxels.
fn ask(
    env: &mut Env<'_>,
    reader: &JObject<'_>,
    start: [i64; 3],
    extent: [i64; 3],
    out: &mut [f32],
) -> Result<(), Failure> {
    let [z0, y0, x0, nz, ny, nx] =
        [start[0], start[1], start[2], extent[0], extent[1], extent[2]].map(JValue::Long);
    // A frame of its own: a tomogram is read in many pieces within one call.
    env.with_local_frame(8, |env| {
        let answer = env.call_static_method(
            jni_str!("org/cinetomo/Native"),
            jni_str!("read"),
            jni_sig!((
                reader: org.cinetomo.TomogramReader, z0: jlong, y0: jlong, x0: jlong, nz: jlong, ny: jlong, nx: jlong
            ) -> jfloat[]),
            &[JValue::Object(reader), z0, y0, x0, nz, ny, nx],
        );
        let voxels = match answer {
            Ok(answer) => answer.l()?,
            Err(Error::JavaException) => return Err(listeners::take(env)?),
            Err(other) => return Err(other.into()),
        };
        let voxels = env.cast_local::<JFloatArray>(voxels)?;
        // `Native.read` has checked their number.
        Ok(voxels.get_region(env, 0, out)?)
    })
}
