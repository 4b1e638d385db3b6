//! Extension `cinetomo.synthetic/1`.

use std::{
    ffi::{CString, c_char},
    ptr,
    sync::OnceLock,
};

use cinetomo_abi::{
    cinetomo_context, cinetomo_contrast as Contrast, cinetomo_error, cinetomo_hooks,
    cinetomo_synthetic_api, cinetomo_synthetic_options, cinetomo_volume,
};
use tch::Tensor;

use super::{
    context::{CONTEXTS, Context},
    error::to_c_text,
    guard::{boundary, boundary_or},
    hooks,
    read::{self, sized_struct},
    volume,
    write::{self, OutBuffer},
};
use crate::{
    error::{Error, Result},
    synthetic::{self, Simulation, SimulationOptions, phantoms},
};

sized_struct!(cinetomo_synthetic_options, 88, {
    let options = SimulationOptions::default();
    cinetomo_synthetic_options {
        struct_size: size_of::<cinetomo_synthetic_options>(),
        box_size: options.box_size,
        voxel_size: options.voxel_size,
        snr: options.snr,
        tilt_range: options.tilt_range,
        max_shift: options.max_shift,
        defocus: options.defocus,
        voltage: options.voltage,
        spherical_aberration: options.spherical_aberration,
        seed: options.seed,
        contrast: options.contrast as i32,
        reserved: 0,
    }
});

pub(super) static API: cinetomo_synthetic_api = cinetomo_synthetic_api {
    struct_size: size_of::<cinetomo_synthetic_api>(),
    n_phantoms,
    phantom_name,
    options_init,
    phantom_density,
    simulate,
};

extern "C" fn n_phantoms() -> usize {
    boundary_or(0, || phantoms::names().len())
}

extern "C" fn phantom_name(phantom_index: usize) -> *const c_char {
    boundary_or(ptr::null(), || {
        names().get(phantom_index).map_or(ptr::null(), |name| name.as_ptr())
    })
}

/// Names of the phantoms, for C.
fn names() -> &'static [CString] {
    static NAMES: OnceLock<Vec<CString>> = OnceLock::new();
    NAMES.get_or_init(|| phantoms::names().map(to_c_text).collect())
}

unsafe extern "C" fn options_init(
    out_options: *mut cinetomo_synthetic_options,
    struct_size: usize,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe { boundary(ptr::null_mut(), || write::init(out_options, struct_size)) }
}

unsafe extern "C" fn phantom_density(
    phantom_index: usize,
    box_size: i64,
    voxel_size: f64,
    out_density: *mut f32,
    capacity: usize,
    out_len: *mut usize,
    out_error: *mut *mut cinetomo_error,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe {
        boundary(out_error, || {
            let out = OutBuffer::new(out_density, capacity, out_len, "out_density")?;
            synthetic::check_grid(box_size, voxel_size)?;
            if out.wants(box_size.pow(3) as usize)? {
                out.write(&to_vec(&phantoms::density(phantom_index, box_size, voxel_size)?)?);
            }
            Ok(())
        })
    }
}

unsafe extern "C" fn simulate(
    context: *const cinetomo_context,
    densities: *const cinetomo_volume,
    labels: *const i32,
    n_labels: usize,
    options: *const cinetomo_synthetic_options,
    hooks: *const cinetomo_hooks,
    out_voxels: *mut f32,
    capacity: usize,
    out_len: *mut usize,
    out_error: *mut *mut cinetomo_error,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe {
        boundary(out_error, || {
            let out = OutBuffer::new(out_voxels, capacity, out_len, "out_voxels")?;
            let context = CONTEXTS.get(context, "context")?;
            let labels = read::slice(labels, n_labels, "labels")?;
            let simulation = simulation(&read::sized_or_default(options, "options")?)?;
            let n_voxels = (simulation.options().box_size.pow(3) as usize)
                .checked_mul(labels.len())
                .ok_or_else(|| {
                    Error::invalid(format!(
                        "n_labels is {n_labels}; that many subtomograms do not fit into memory"
                    ))
                })?;
            let mut monitor = hooks::monitor(hooks, &context)?;
            if out.wants(n_voxels)? {
                context.compute();
                let densities = self::densities(densities, &simulation, &context)?;
                let subtomograms =
                    synthetic::simulate(&densities, labels, &simulation, &mut monitor)?;
                out.write(&to_vec(&subtomograms)?);
            }
            Ok(())
        })
    }
}

/// The caller's densities, or the phantoms.
///
/// # Safety
/// `densities` is NULL or a valid volume.
unsafe fn densities(
    densities: *const cinetomo_volume,
    simulation: &Simulation,
    context: &Context,
) -> Result<Tensor> {
    let SimulationOptions { box_size, voxel_size, .. } = *simulation.options();
    if densities.is_null() {
        return Ok(phantoms::densities(box_size, voxel_size)?.f_to_device(context.device)?);
    }
    // SAFETY: passed on from the caller.
    let volume = unsafe { volume::volume(densities, "densities") }?;
    // Resampling a density is the caller's affair; a mismatch would silently simulate particles of another size.
    if volume.voxel_size() > 0.0 && (volume.voxel_size() / voxel_size - 1.0).abs() > 0.01 {
        return Err(Error::invalid(format!(
            "densities have voxels of {} angstrom, options.voxel_size is {voxel_size}; they must be the same",
            volume.voxel_size()
        )));
    }
    let all: Vec<usize> = (0..volume.len()).collect();
    volume.gather(&all, context.device)
}

fn simulation(options: &cinetomo_synthetic_options) -> Result<Simulation> {
    read::check_reserved(options.reserved, "options")?;
    Simulation::new(SimulationOptions {
        box_size: options.box_size,
        voxel_size: options.voxel_size,
        snr: options.snr,
        tilt_range: options.tilt_range,
        max_shift: options.max_shift,
        defocus: options.defocus,
        voltage: options.voltage,
        spherical_aberration: options.spherical_aberration,
        seed: options.seed,
        contrast: read::choice(
            options.contrast,
            &[Contrast::Unknown, Contrast::Dark, Contrast::Bright].map(|c| (c as i32, c)),
            "options.contrast",
        )?,
    })
}

/// The values of an f32 tensor on the CPU.
fn to_vec(tensor: &Tensor) -> Result<Vec<f32>> {
    let mut values = vec![0.0; tensor.numel()];
    tensor.f_contiguous()?.f_copy_data(&mut values, tensor.numel())?;
    Ok(values)
}
