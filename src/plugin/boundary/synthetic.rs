//! Extension `cinetomo.synthetic/1`.

use std::{
    ffi::{CString, c_char},
    ptr,
    sync::{Arc, OnceLock},
};

use cinetomo_abi::{
    cinetomo_axis as Axis, cinetomo_context, cinetomo_contrast as Contrast, cinetomo_error,
    cinetomo_hooks, cinetomo_synthetic_api, cinetomo_synthetic_options,
    cinetomo_synthetic_particle, cinetomo_volume,
};
use tch::{Device, Tensor};

use super::{
    context::{CONTEXTS, Context},
    error::to_c_text,
    guard::{boundary, boundary_or},
    hooks,
    read::{self, sized_struct},
    volume,
    write::{self, OutArray, OutBuffer},
};
use crate::{
    allocation,
    error::{Error, Result},
    synthetic::{self, Particle, Simulation, SimulationOptions, phantoms},
};

sized_struct!(cinetomo_synthetic_options, 88, to_c(&SimulationOptions::default()));

fn to_c(options: &SimulationOptions) -> cinetomo_synthetic_options {
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
        envelope: options.envelope,
        band_limit: options.band_limit,
        band_edge: options.band_edge,
        noise_before: options.noise_before,
        mtf: options.mtf,
        n_neighbours: options.n_neighbours,
        tilt_axis: options.tilt_axis as i32,
        beam_axis: options.beam_axis as i32,
        reserved_2: 0,
    }
}

pub(super) static API: cinetomo_synthetic_api = cinetomo_synthetic_api {
    struct_size: size_of::<cinetomo_synthetic_api>(),
    n_phantoms,
    phantom_name,
    options_init,
    phantom_density,
    simulate,
    options_init_liu_2020,
    simulate_particles,
    simulate_tomogram,
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
                out.write(&allocation::values(&phantoms::density(
                    phantom_index,
                    box_size,
                    voxel_size,
                )?)?);
            }
            Ok(())
        })
    }
}

unsafe extern "C" fn options_init_liu_2020(
    out_options: *mut cinetomo_synthetic_options,
    struct_size: usize,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe {
        boundary(ptr::null_mut(), || {
            write::init(out_options, struct_size)?;
            write::sized(out_options, struct_size, to_c(&SimulationOptions::liu_2020()));
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
            let request = Request::read(context, densities, labels, n_labels, options)?;
            let particles = OutArray::none();
            request.subtomograms(hooks, out, particles)
        })
    }
}

unsafe extern "C" fn simulate_particles(
    context: *const cinetomo_context,
    densities: *const cinetomo_volume,
    labels: *const i32,
    n_labels: usize,
    options: *const cinetomo_synthetic_options,
    hooks: *const cinetomo_hooks,
    out_voxels: *mut f32,
    capacity: usize,
    out_len: *mut usize,
    out_particles: *mut cinetomo_synthetic_particle,
    particle_capacity: usize,
    out_error: *mut *mut cinetomo_error,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe {
        boundary(out_error, || {
            let out = OutBuffer::new(out_voxels, capacity, out_len, "out_voxels")?;
            let particles = OutArray::new(out_particles, particle_capacity, "out_particles")?;
            let request = Request::read(context, densities, labels, n_labels, options)?;
            request.subtomograms(hooks, out, particles)
        })
    }
}

unsafe extern "C" fn simulate_tomogram(
    context: *const cinetomo_context,
    densities: *const cinetomo_volume,
    labels: *const i32,
    n_labels: usize,
    shape: *const i64,
    options: *const cinetomo_synthetic_options,
    hooks: *const cinetomo_hooks,
    out_voxels: *mut f32,
    capacity: usize,
    out_len: *mut usize,
    out_particles: *mut cinetomo_synthetic_particle,
    particle_capacity: usize,
    out_error: *mut *mut cinetomo_error,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe {
        boundary(out_error, || {
            let out = OutBuffer::new(out_voxels, capacity, out_len, "out_voxels")?;
            let particles = OutArray::new(out_particles, particle_capacity, "out_particles")?;
            let shape = read::slice(shape, 3, "shape")?;
            let request = Request::read(context, densities, labels, n_labels, options)?;
            request.tomogram([shape[0], shape[1], shape[2]], hooks, out, particles)
        })
    }
}

/// What is to be simulated, checked but for the densities.
struct Request<'a> {
    context: Arc<Context>,
    densities: *const cinetomo_volume,
    labels: &'a [i32],
    simulation: Simulation,
}

impl Request<'_> {
    /// # Safety
    /// As the exports that call it.
    unsafe fn read<'a>(
        context: *const cinetomo_context,
        densities: *const cinetomo_volume,
        labels: *const i32,
        n_labels: usize,
        options: *const cinetomo_synthetic_options,
    ) -> Result<Request<'a>> {
        // SAFETY: passed on from the caller.
        unsafe {
            Ok(Request {
                context: CONTEXTS.get(context, "context")?,
                densities,
                labels: read::slice(labels, n_labels, "labels")?,
                simulation: simulation(&read::sized_or_default(options, "options")?)?,
            })
        }
    }

    /// # Safety
    /// As the exports that call it.
    unsafe fn subtomograms(
        &self,
        hooks: *const cinetomo_hooks,
        out: OutBuffer<f32>,
        particles: OutArray<cinetomo_synthetic_particle>,
    ) -> Result<()> {
        let too_many = || {
            Error::invalid(format!(
                "n_labels is {}; that many subtomograms do not fit into memory",
                self.labels.len()
            ))
        };
        let options = self.simulation.options();
        let n_voxels = (options.box_size.pow(3) as usize)
            .checked_mul(self.labels.len())
            .ok_or_else(too_many)?;
        let n_particles = (1 + options.n_neighbours as usize)
            .checked_mul(self.labels.len())
            .ok_or_else(too_many)?;
        // SAFETY: passed on from the caller.
        unsafe {
            let mut monitor = hooks::monitor(hooks, &self.context)?;
            if out.wants(n_voxels)? {
                particles.check(n_particles)?;
                self.context.compute();
                let densities = self.densities(self.context.device)?;
                let all =
                    synthetic::simulate(&densities, self.labels, &self.simulation, &mut monitor)?;
                let rows = all.particles.iter().zip(&all.snr);
                let rows = rows.flat_map(|(of_box, &snr)| of_box.iter().map(move |p| row(p, snr)));
                particles.write(rows);
                out.write(&all.voxels);
            }
        }
        Ok(())
    }

    /// # Safety
    /// As the exports that call it.
    unsafe fn tomogram(
        &self,
        shape: [i64; 3],
        hooks: *const cinetomo_hooks,
        out: OutBuffer<f32>,
        particles: OutArray<cinetomo_synthetic_particle>,
    ) -> Result<()> {
        synthetic::check_tomogram_shape(shape)?;
        // SAFETY: passed on from the caller.
        unsafe {
            let mut monitor = hooks::monitor(hooks, &self.context)?;
            if out.wants(shape.iter().product::<i64>() as usize)? {
                particles.check(self.labels.len())?;
                self.context.compute();
                // Transforms of whole tomograms would fill the memory of many a GPU.
                let densities = self.densities(Device::Cpu)?;
                let tomogram = synthetic::simulate_tomogram(
                    &densities,
                    self.labels,
                    shape,
                    &self.simulation,
                    &mut monitor,
                )?;
                particles.write(tomogram.particles.iter().map(|p| row(p, tomogram.snr)));
                out.write(&tomogram.voxels);
            }
        }
        Ok(())
    }

    /// The caller's densities, or the phantoms.
    ///
    /// # Safety
    /// As the exports that call it.
    unsafe fn densities(&self, device: Device) -> Result<Tensor> {
        let SimulationOptions { box_size, voxel_size, .. } = *self.simulation.options();
        if self.densities.is_null() {
            return Ok(phantoms::densities(box_size, voxel_size)?.f_to_device(device)?);
        }
        // SAFETY: passed on from the caller.
        let volume = unsafe { volume::volume(self.densities, "densities") }?;
        // Resampling a density is the caller's affair; a mismatch would silently simulate particles of another size.
        if volume.voxel_size() > 0.0 && (volume.voxel_size() / voxel_size - 1.0).abs() > 0.01 {
            return Err(Error::invalid(format!(
                "densities have voxels of {} angstrom, options.voxel_size is {voxel_size}; they must be the same",
                volume.voxel_size()
            )));
        }
        let all: Vec<usize> = (0..volume.len()).collect();
        volume.gather(&all, device)
    }
}

fn row(particle: &Particle, snr: f64) -> cinetomo_synthetic_particle {
    let mut rotation = [0.0; 9];
    rotation.copy_from_slice(particle.rotation.as_flattened());
    cinetomo_synthetic_particle {
        position: particle.position,
        rotation,
        radius: particle.radius,
        snr,
        label: particle.label,
        reserved: 0,
    }
}

fn simulation(options: &cinetomo_synthetic_options) -> Result<Simulation> {
    read::check_reserved(options.reserved | options.reserved_2, "options")?;
    let axis = |number, argument| {
        read::choice(number, &[Axis::Z, Axis::Y, Axis::X].map(|a| (a as i32, a)), argument)
    };
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
        envelope: options.envelope,
        band_limit: options.band_limit,
        band_edge: options.band_edge,
        noise_before: options.noise_before,
        mtf: options.mtf,
        n_neighbours: options.n_neighbours,
        tilt_axis: axis(options.tilt_axis, "options.tilt_axis")?,
        beam_axis: axis(options.beam_axis, "options.beam_axis")?,
    })
}
