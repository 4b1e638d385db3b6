//! What Java hands over, checked and made Rust's. Voxels stay where they are: in a direct buffer.

use cinetomo_host::{
    Volume,
    abi::{cinetomo_memory, cinetomo_status, cinetomo_volume},
};
use jni::{
    Env, jni_sig, jni_str,
    objects::{
        JByteBuffer, JDoubleArray, JFloatArray, JIntArray, JLongArray, JObject, JObjectArray,
        JString,
    },
    refs::IntoAuto,
};

use crate::{failure::Failure, options::Setting};

/// A text that must be there.
pub(crate) fn text(env: &Env<'_>, text: &JString<'_>, what: &str) -> Result<String, Failure> {
    optional_text(env, text)?.ok_or_else(|| missing(what))
}

/// A text, or `None` for null.
pub(crate) fn optional_text(env: &Env<'_>, text: &JString<'_>) -> Result<Option<String>, Failure> {
    if text.is_null() { Ok(None) } else { Ok(Some(text.try_to_string(env)?)) }
}

/// The texts of an array, none of which may be null.
pub(crate) fn texts(
    env: &mut Env<'_>,
    array: &JObjectArray<'_, JString<'_>>,
    what: &str,
) -> Result<Vec<String>, Failure> {
    if array.is_null() {
        return Err(missing(what));
    }
    let mut texts = Vec::new();
    for index in 0..array.len(env)? {
        let element = array.get_element(env, index)?;
        let element = element.auto();
        texts.push(text(env, &element, what)?);
    }
    Ok(texts)
}

/// Options by name: two arrays of one length.
pub(crate) fn settings(
    env: &mut Env<'_>,
    names: &JObjectArray<'_, JString<'_>>,
    values: &JDoubleArray<'_>,
) -> Result<Vec<Setting>, Failure> {
    let names = texts(env, names, "names of options")?;
    if values.is_null() {
        return Err(missing("values of options"));
    }
    let mut numbers = vec![0.0; values.len(env)?];
    values.get_region(env, 0, &mut numbers)?;
    if names.len() != numbers.len() {
        return Err(Failure::new(
            cinetomo_status::InvalidArgument,
            format!("{} values for {} options", numbers.len(), names.len()),
        ));
    }
    Ok(names.into_iter().zip(numbers).collect())
}

/// A copy of an array of labels, or of what else is one whole number a subtomogram.
pub(crate) fn integers(
    env: &Env<'_>,
    array: &JIntArray<'_>,
    what: &str,
) -> Result<Vec<i32>, Failure> {
    if array.is_null() {
        return Err(missing(what));
    }
    let mut integers = vec![0; array.len(env)?];
    array.get_region(env, 0, &mut integers)?;
    Ok(integers)
}

/// A copy of an array of numbers.
pub(crate) fn floats(
    env: &Env<'_>,
    array: &JFloatArray<'_>,
    what: &str,
) -> Result<Vec<f32>, Failure> {
    if array.is_null() {
        return Err(missing(what));
    }
    let mut floats = vec![0.0; array.len(env)?];
    array.get_region(env, 0, &mut floats)?;
    Ok(floats)
}

/// A shape `[z, y, x]`.
pub(crate) fn shape(env: &Env<'_>, array: &JLongArray<'_>) -> Result<[i64; 3], Failure> {
    if array.is_null() {
        return Err(missing("shape"));
    }
    let mut shape = [0; 3];
    match array.len(env)? {
        3 => array.get_region(env, 0, &mut shape)?,
        n => {
            return Err(Failure::new(
                cinetomo_status::InvalidArgument,
                format!("shape has {n} numbers; it must have 3"),
            ));
        }
    }
    Ok(shape)
}

/// A number of something, or an index.
pub(crate) fn count(number: i32, what: &str) -> Result<usize, Failure> {
    usize::try_from(number).map_err(|_| {
        Failure::new(
            cinetomo_status::InvalidArgument,
            format!("{what} is {number}; it must not be negative"),
        )
    })
}

/// An `org.cinetomo.Subtomograms` as `volume` takes it, or `None` for null.
pub(crate) fn optional_volume<'a>(
    env: &mut Env<'_>,
    subtomograms: &'a JObject<'_>,
) -> Result<Option<Volume<'a>>, Failure> {
    if subtomograms.is_null() { Ok(None) } else { Ok(Some(volume(env, subtomograms)?)) }
}

/// An `org.cinetomo.Subtomograms`, whose buffer Java keeps while it keeps the object.
pub(crate) fn volume<'a>(
    env: &mut Env<'_>,
    subtomograms: &'a JObject<'_>,
) -> Result<Volume<'a>, Failure> {
    if subtomograms.is_null() {
        return Err(missing("subtomograms"));
    }
    let buffer =
        env.get_field(subtomograms, jni_str!("voxels"), jni_sig!(java.nio.ByteBuffer))?.l()?;
    let buffer = env.cast_local::<JByteBuffer>(buffer)?;
    let (data, data_bytes) =
        (env.get_direct_buffer_address(&buffer)?, env.get_direct_buffer_capacity(&buffer)?);
    if data_bytes == 0 {
        // The plugin would take a size of 0 for "not stated" and trust the shape.
        return Err(Failure::new(cinetomo_status::InvalidArgument, "there are no voxels"));
    }
    let shape = env.get_field(subtomograms, jni_str!("shape"), jni_sig!([jlong]))?.l()?;
    let shape = env.cast_local::<JLongArray>(shape)?;
    let mut extent = [0; 4];
    shape.get_region(env, 0, &mut extent)?;
    let mut number =
        |name| env.get_field(subtomograms, name, jni_sig!(jint)).and_then(|value| value.i());
    let (dtype, contrast, beam_axis) =
        (number(jni_str!("dtype"))?, number(jni_str!("contrast"))?, number(jni_str!("beamAxis"))?);
    let voxel_size = env.get_field(subtomograms, jni_str!("voxelSize"), jni_sig!(jdouble))?.d()?;
    let raw = cinetomo_volume {
        struct_size: size_of::<cinetomo_volume>(),
        data: data.cast_const().cast(),
        data_bytes,
        shape: extent,
        strides: [0; 4],
        voxel_size,
        dtype,
        memory: cinetomo_memory::Cpu as i32,
        memory_index: 0,
        contrast,
        beam_axis,
        reserved: 0,
    };
    // SAFETY: the buffer has that many bytes, which the plugin holds the shape against; the object keeps the buffer.
    Ok(unsafe { Volume::from_raw(raw) })
}

pub(crate) fn missing(what: &str) -> Failure {
    Failure::new(cinetomo_status::NullArgument, format!("{what}: null"))
}
