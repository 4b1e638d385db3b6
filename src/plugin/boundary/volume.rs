//! `cinetomo_volume`: from the host's description of its memory to a checked view of it.

use std::ptr;

use cinetomo_abi::{
    cinetomo_axis as Axis, cinetomo_contrast as Contrast, cinetomo_dtype as Dtype,
    cinetomo_memory as Memory, cinetomo_volume,
};
use tch::{Device, Kind, Tensor};

use super::{
    cuda,
    guard::boundary,
    read::{self, sized_struct},
    write,
};
use crate::{
    error::{Error, ErrorKind, Result},
    pick::Tomogram,
    volume::Volume,
};

sized_struct!(
    cinetomo_volume,
    120,
    cinetomo_volume {
        struct_size: size_of::<cinetomo_volume>(),
        data: ptr::null(),
        data_bytes: 0,
        shape: [0; 4],
        strides: [0; 4],
        voxel_size: 0.0,
        dtype: Dtype::F32 as i32,
        memory: Memory::Cpu as i32,
        memory_index: 0,
        contrast: Contrast::Unknown as i32,
        beam_axis: Axis::Z as i32,
        reserved: 0,
    }
);

/// Fills `out_volume` with the defaults: no data, f32 on the CPU, contiguous, beam along z. `struct_size` is
/// `sizeof *out_volume`.
///
/// Errors: NULL_ARGUMENT, INVALID_ARGUMENT. [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cinetomo_volume_init(
    out_volume: *mut cinetomo_volume,
    struct_size: usize,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe { boundary(ptr::null_mut(), || write::init(out_volume, struct_size)) }
}

/// Most subtomograms in one call: their results must fit into counters that C can hold.
const MOST_SUBTOMOGRAMS: i64 = i32::MAX as i64;

/// Longest edge of a subtomogram; a whole tomogram passed by mistake is refused before memory is.
const LONGEST_EDGE: i64 = 1024;

/// A view of the caller's voxels.
///
/// # Safety
/// `pointer` is NULL or a valid `cinetomo_volume`, whose data stay readable and unchanged for `'a`.
pub(super) unsafe fn volume<'a>(
    pointer: *const cinetomo_volume,
    argument: &'static str,
) -> Result<Volume<'a>> {
    // SAFETY: passed on from the caller.
    let host = unsafe { read::sized(pointer, argument) }?;
    // SAFETY: passed on from the caller.
    unsafe { view(&host) }.map_err(|error| error.within(argument))
}

/// # Safety
/// As `volume`.
unsafe fn view<'a>(host: &cinetomo_volume) -> Result<Volume<'a>> {
    check_shape(host.shape)?;
    let (contrast, beam_axis) = words(host)?;
    // SAFETY: passed on from the caller.
    let (view, dtype) = unsafe { memory(host) }?;
    Volume::from_view(view, dtype, host.voxel_size, contrast, beam_axis)
}

/// A view of the caller's tomogram, which is one volume of any size.
///
/// # Safety
/// `pointer` is NULL or a valid `cinetomo_volume`, whose data stay readable and unchanged for `'a`.
pub(super) unsafe fn tomogram<'a>(
    pointer: *const cinetomo_volume,
    argument: &'static str,
) -> Result<Tomogram<'a>> {
    // SAFETY: passed on from the caller.
    let host = unsafe { read::sized(pointer, argument) }?;
    let checked = || -> Result<Tomogram<'a>> {
        if host.shape[0] != 1 || host.shape.iter().any(|extent| !(1..=1 << 20).contains(extent)) {
            return Err(Error::invalid(format!(
                "shape is {:?}; a tomogram is 1, z, y, x with at most 2^20 voxels along each",
                host.shape
            )));
        }
        let (contrast, _) = words(&host)?;
        // SAFETY: passed on from the caller.
        let (view, dtype) = unsafe { memory(&host) }?;
        Tomogram::from_view(view.f_squeeze_dim(0)?, dtype, host.voxel_size, contrast)
    };
    checked().map_err(|error| error.within(argument))
}

/// Contrast and beam axis.
fn words(host: &cinetomo_volume) -> Result<(Contrast, Axis)> {
    Ok((contrast(host.contrast, "contrast")?, beam_axis(host.beam_axis, "beam_axis")?))
}

/// The axis of that number.
pub(super) fn beam_axis(number: i32, argument: &str) -> Result<Axis> {
    read::choice(number, &[Axis::Z, Axis::Y, Axis::X].map(|a| (a as i32, a)), argument)
}

/// The contrast of that number.
pub(super) fn contrast(number: i32, argument: &str) -> Result<Contrast> {
    let known = [Contrast::Unknown, Contrast::Dark, Contrast::Bright].map(|c| (c as i32, c));
    read::choice(number, &known, argument)
}

/// The caller's voxels, whose shape has been checked to be of positive numbers with a product below 2^61.
///
/// # Safety
/// As `volume`.
unsafe fn memory(host: &cinetomo_volume) -> Result<(Tensor, Dtype)> {
    read::check_reserved(host.reserved, "volume")?;
    if host.data.is_null() {
        return Err(read::null_argument("data"));
    }
    let (dtype, kind, voxel_bytes) = dtype(host.dtype)?;
    if !host.data.addr().is_multiple_of(voxel_bytes) {
        return Err(Error::invalid(format!(
            "data is at address {:p}, which is not a multiple of the {voxel_bytes} bytes of a voxel",
            host.data
        )));
    }
    let strides = match host.strides {
        [0, 0, 0, 0] => contiguous(host.shape),
        strides => strides,
    };
    check_extent(host, strides, voxel_bytes)?;
    let device = device(host.memory, host.memory_index)?;
    // SAFETY: not NULL, aligned; shape and strides span memory that the caller declares readable. The view is only read.
    let view =
        unsafe { Tensor::f_from_blob(host.data.cast(), &host.shape, &strides, kind, device) }?;
    Ok((view, dtype))
}

/// The dtype, how libtorch names it, and its size. libtorch has no arithmetic on u16: `Volume` mends the sign.
fn dtype(number: i32) -> Result<(Dtype, Kind, usize)> {
    let known = [
        (Dtype::F32, Kind::Float, 4),
        (Dtype::F16, Kind::Half, 2),
        (Dtype::U8, Kind::Uint8, 1),
        (Dtype::I8, Kind::Int8, 1),
        (Dtype::U16, Kind::Int16, 2),
        (Dtype::I16, Kind::Int16, 2),
    ];
    read::choice(number, &known.map(|entry| (entry.0 as i32, entry)), "dtype")
}

fn device(memory: i32, index: i32) -> Result<Device> {
    let memory =
        read::choice(memory, &[Memory::Cpu, Memory::Cuda].map(|m| (m as i32, m)), "memory")?;
    if matches!(memory, Memory::Cpu) {
        return Ok(Device::Cpu);
    }
    let n = cuda::n_devices();
    match usize::try_from(index) {
        Ok(index) if index < n => Ok(Device::Cuda(index)),
        _ => Err(Error::new(
            ErrorKind::DeviceUnavailable,
            format!(
                "the voxels are said to be on CUDA device {index}, but {n} CUDA devices are in use; make a CUDA \
                 context first, or pass CPU memory"
            ),
        )),
    }
}

/// That a batch of that shape `[n, z, y, x]` can be worked on.
pub(super) fn check_shape(shape: [i64; 4]) -> Result<()> {
    let [n, edges @ ..] = shape;
    if !(1..=MOST_SUBTOMOGRAMS).contains(&n) {
        return Err(Error::invalid(format!(
            "shape[0], the number of subtomograms, is {n}; it must be 1 to {MOST_SUBTOMOGRAMS}"
        )));
    }
    for (axis, edge) in ["z", "y", "x"].into_iter().zip(edges) {
        if !(1..=LONGEST_EDGE).contains(&edge) {
            return Err(Error::invalid(format!(
                "shape along {axis} is {edge} voxels; it must be 1 to {LONGEST_EDGE}"
            )));
        }
    }
    Ok(())
}

/// Strides of a dense array; the product of the shape is bounded to 2^61.
fn contiguous([_, z, y, x]: [i64; 4]) -> [i64; 4] {
    [z * y * x, y * x, x, 1]
}

/// That the last voxel can be addressed, and lies within `data_bytes` where the caller states them.
fn check_extent(host: &cinetomo_volume, strides: [i64; 4], voxel_bytes: usize) -> Result<()> {
    if let Some(index) = strides.iter().position(|&stride| stride < 0) {
        return Err(Error::invalid(format!(
            "strides[{index}] is {}; strides are counted in voxels and cannot be negative",
            strides[index]
        )));
    }
    let bytes = host
        .shape
        .iter()
        .zip(strides)
        .try_fold(0i64, |last, (&extent, stride)| {
            last.checked_add((extent - 1).checked_mul(stride)?)
        })
        .and_then(|last| last.checked_add(1)?.checked_mul(voxel_bytes as i64))
        .and_then(|bytes| usize::try_from(bytes).ok())
        .filter(|&bytes| host.data.addr().checked_add(bytes).is_some());
    match bytes {
        None => Err(Error::invalid(format!(
            "shape {:?} with strides {strides:?} does not fit into memory",
            host.shape
        ))),
        Some(bytes) if host.data_bytes != 0 && bytes > host.data_bytes => {
            Err(Error::invalid(format!(
                "shape {:?} with strides {strides:?} needs {bytes} bytes, data has {}",
                host.shape, host.data_bytes
            )))
        }
        Some(_) => Ok(()),
    }
}
