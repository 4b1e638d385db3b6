//! Simulated subtomograms and tomograms.

#![expect(clippy::too_many_arguments, reason = "they are those of the Java methods")]

use cinetomo_host::{
    Synthetic,
    abi::{cinetomo_synthetic_options, cinetomo_synthetic_particle},
};
use jni::{
    Env, JValue, jni_sig, jni_str,
    objects::{JClass, JDoubleArray, JFloatArray, JIntArray, JLongArray, JObject},
};

use crate::{
    arguments::{count, integers, optional_volume, settings, shape},
    failure::Failure,
    handles::CONTEXTS,
    listeners,
    methods::{Texts, java_doubles, java_floats, java_texts},
    options,
};

pub(crate) fn phantom_names<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    context: i64,
) -> Result<Texts<'local>, Failure> {
    let names = CONTEXTS.get(context)?.synthetic()?.phantom_names();
    java_texts(env, &names)
}

pub(crate) fn phantom_density<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    context: i64,
    phantom_index: i32,
    box_size: i32,
    voxel_size: f64,
) -> Result<JFloatArray<'local>, Failure> {
    let context = CONTEXTS.get(context)?;
    let synthetic = context.synthetic()?;
    let index = count(phantom_index, "phantom_index")?;
    java_floats(env, &synthetic.phantom_density(index, box_size.into(), voxel_size)?)
}

pub(crate) fn simulate<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    context: i64,
    densities: JObject<'local>,
    labels: JIntArray<'local>,
    liu_2020: bool,
    names: Texts<'local>,
    values: JDoubleArray<'local>,
    progress: JObject<'local>,
) -> Result<JObject<'local>, Failure> {
    let context = CONTEXTS.get(context)?;
    let synthetic = context.synthetic()?;
    let labels = integers(env, &labels, "labels")?;
    let options = options(env, &synthetic, liu_2020, &names, &values)?;
    let densities = optional_volume(env, &densities)?;
    let simulated = listeners::with_progress(context.plugin(), &progress, |hooks| {
        synthetic.simulate_particles(densities.as_ref(), &labels, &options, hooks)
    })?;
    java_simulated(env, &simulated)
}

pub(crate) fn simulate_tomogram<'local>(
    env: &mut Env<'local>,
    _: JClass<'local>,
    context: i64,
    densities: JObject<'local>,
    labels: JIntArray<'local>,
    extent: JLongArray<'local>,
    liu_2020: bool,
    names: Texts<'local>,
    values: JDoubleArray<'local>,
    progress: JObject<'local>,
) -> Result<JObject<'local>, Failure> {
    let context = CONTEXTS.get(context)?;
    let synthetic = context.synthetic()?;
    let (labels, extent) = (integers(env, &labels, "labels")?, shape(env, &extent)?);
    let options = options(env, &synthetic, liu_2020, &names, &values)?;
    let densities = optional_volume(env, &densities)?;
    let simulated = listeners::with_progress(context.plugin(), &progress, |hooks| {
        synthetic.simulate_tomogram(densities.as_ref(), &labels, extent, &options, hooks)
    })?;
    java_simulated(env, &simulated)
}

fn options(
    env: &mut Env<'_>,
    synthetic: &Synthetic,
    liu_2020: bool,
    names: &Texts<'_>,
    values: &JDoubleArray<'_>,
) -> Result<cinetomo_synthetic_options, Failure> {
    let start = if liu_2020 { synthetic.options_liu_2020()? } else { synthetic.options()? };
    options::synthetic(start, &settings(env, names, values)?)
}

/// Voxels, and of each particle position, rotation, radius, SNR and label: fifteen numbers.
fn java_simulated<'local>(
    env: &mut Env<'local>,
    (voxels, particles): &(Vec<f32>, Vec<cinetomo_synthetic_particle>),
) -> Result<JObject<'local>, Failure> {
    let rows: Vec<f64> = particles
        .iter()
        .flat_map(|particle| {
            let last = [particle.radius, particle.snr, particle.label.into()];
            particle.position.into_iter().chain(particle.rotation).chain(last)
        })
        .collect();
    let (voxels, rows) = (java_floats(env, voxels)?, java_doubles(env, &rows)?);
    Ok(env.new_object(
        jni_str!("org/cinetomo/Simulated"),
        jni_sig!((voxels: jfloat[], particles: jdouble[])),
        &[JValue::Object(&voxels), JValue::Object(&rows)],
    )?)
}
