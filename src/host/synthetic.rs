//! The extension `cinetomo.synthetic/1`: simulated subtomograms and tomograms.

use std::{ffi::CStr, ptr};

use cinetomo_abi::{
    cinetomo_synthetic_api, cinetomo_synthetic_options, cinetomo_synthetic_particle,
};

use crate::{
    Context, Hooks, Volume,
    buffer::fetch,
    error::{Error, call, text},
    extension::extension,
};

/// Id of the extension.
const ID: &CStr = c"cinetomo.synthetic/1";

/// The simulator of a plugin.
#[derive(Clone, Debug)]
pub struct Synthetic {
    context: Context,
    table: &'static cinetomo_synthetic_api,
}

impl Synthetic {
    pub(crate) fn new(context: Context) -> Result<Synthetic, Error> {
        // SAFETY: the id is that of the table.
        let table = unsafe {
            extension(context.plugin(), ID, |table: &cinetomo_synthetic_api| table.struct_size)?
        };
        Ok(Synthetic { context, table })
    }

    /// Names of the built-in phantoms, in the order of their labels.
    pub fn phantom_names(&self) -> Vec<String> {
        // SAFETY: indices below the number have a name.
        unsafe {
            (0..(self.table.n_phantoms)())
                .map(|index| text((self.table.phantom_name)(index)))
                .collect()
        }
    }

    /// The defaults; the fields are those of `cinetomo_synthetic_options`.
    pub fn options(&self) -> Result<cinetomo_synthetic_options, Error> {
        self.options_of(self.table.options_init)
    }

    /// The settings of the simulator behind the paper's simulated data (Liu et al. 2020).
    pub fn options_liu_2020(&self) -> Result<cinetomo_synthetic_options, Error> {
        self.options_of(self.table.options_init_liu_2020)
    }

    fn options_of(
        &self,
        init: unsafe extern "C" fn(*mut cinetomo_synthetic_options, usize) -> i32,
    ) -> Result<cinetomo_synthetic_options, Error> {
        // SAFETY: all zero is a valid cinetomo_synthetic_options, and the function may fill all of it.
        unsafe {
            let mut options: cinetomo_synthetic_options = std::mem::zeroed();
            let size = size_of::<cinetomo_synthetic_options>();
            call(self.context.plugin().api(), |_| init(&mut options, size))?;
            Ok(options)
        }
    }

    /// The density of a built-in phantom in a cube of `box_size` voxels `[z, y, x]`, each of `voxel_size` angstrom.
    pub fn phantom_density(
        &self,
        phantom_index: usize,
        box_size: i64,
        voxel_size: f64,
    ) -> Result<Vec<f32>, Error> {
        // SAFETY: the buffer has the stated capacity.
        fetch(self.context.plugin().api(), |buffer, capacity, len, error| unsafe {
            (self.table.phantom_density)(
                phantom_index,
                box_size,
                voxel_size,
                buffer,
                capacity,
                len,
                error,
            )
        })
    }

    /// One subtomogram for each label, `[n, z, y, x]`: the density of that index, turned, moved, with wedge and
    /// noise. Without densities the built-in phantoms are used.
    pub fn simulate(
        &self,
        densities: Option<&Volume<'_>>,
        labels: &[i32],
        options: &cinetomo_synthetic_options,
        hooks: Hooks<'_>,
    ) -> Result<Vec<f32>, Error> {
        let options = cinetomo_synthetic_options {
            struct_size: size_of::<cinetomo_synthetic_options>(),
            ..*options
        };
        hooks.run(|hooks| {
            // SAFETY: all that is passed lives until the call returns; the buffer has the stated capacity.
            fetch(self.context.plugin().api(), |buffer, capacity, len, error| unsafe {
                (self.table.simulate)(
                    self.context.handle(),
                    densities.map_or(ptr::null(), Volume::raw),
                    labels.as_ptr(),
                    labels.len(),
                    &raw const options,
                    hooks,
                    buffer,
                    capacity,
                    len,
                    error,
                )
            })
        })
    }

    /// As `simulate`, with what is in each subtomogram: 1 + `n_neighbours` particles, the target first.
    pub fn simulate_particles(
        &self,
        densities: Option<&Volume<'_>>,
        labels: &[i32],
        options: &cinetomo_synthetic_options,
        hooks: Hooks<'_>,
    ) -> Result<(Vec<f32>, Vec<cinetomo_synthetic_particle>), Error> {
        let options = cinetomo_synthetic_options {
            struct_size: size_of::<cinetomo_synthetic_options>(),
            ..*options
        };
        // The plugin refuses a number that is not between 0 and 32.
        let n_each = 1 + usize::try_from(options.n_neighbours).unwrap_or(0).min(32);
        let mut particles = vec![NO_PARTICLE; labels.len() * n_each];
        let voxels = hooks.run(|hooks| {
            // SAFETY: all that is passed lives until the call returns; the buffers have the stated capacities.
            fetch(self.context.plugin().api(), |buffer, capacity, len, error| unsafe {
                (self.table.simulate_particles)(
                    self.context.handle(),
                    densities.map_or(ptr::null(), Volume::raw),
                    labels.as_ptr(),
                    labels.len(),
                    &raw const options,
                    hooks,
                    buffer,
                    capacity,
                    len,
                    particles.as_mut_ptr(),
                    particles.len(),
                    error,
                )
            })
        })?;
        Ok((voxels, particles))
    }

    /// A tomogram of `shape` `[z, y, x]` voxels with one particle for each label, and where the particles are.
    pub fn simulate_tomogram(
        &self,
        densities: Option<&Volume<'_>>,
        labels: &[i32],
        shape: [i64; 3],
        options: &cinetomo_synthetic_options,
        hooks: Hooks<'_>,
    ) -> Result<(Vec<f32>, Vec<cinetomo_synthetic_particle>), Error> {
        let options = cinetomo_synthetic_options {
            struct_size: size_of::<cinetomo_synthetic_options>(),
            ..*options
        };
        let mut particles = vec![NO_PARTICLE; labels.len()];
        let voxels = hooks.run(|hooks| {
            // SAFETY: all that is passed lives until the call returns; the buffers have the stated capacities.
            fetch(self.context.plugin().api(), |buffer, capacity, len, error| unsafe {
                (self.table.simulate_tomogram)(
                    self.context.handle(),
                    densities.map_or(ptr::null(), Volume::raw),
                    labels.as_ptr(),
                    labels.len(),
                    shape.as_ptr(),
                    &raw const options,
                    hooks,
                    buffer,
                    capacity,
                    len,
                    particles.as_mut_ptr(),
                    particles.len(),
                    error,
                )
            })
        })?;
        Ok((voxels, particles))
    }
}

/// What a list holds before the plugin fills it.
const NO_PARTICLE: cinetomo_synthetic_particle = cinetomo_synthetic_particle {
    position: [0.0; 3],
    rotation: [0.0; 9],
    radius: 0.0,
    snr: 0.0,
    label: 0,
    reserved: 0,
};
