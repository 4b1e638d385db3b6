//! The extension `cinetomo.synthetic/1`: simulated subtomograms.

use std::{ffi::CStr, ptr};

use cinetomo_abi::{cinetomo_status, cinetomo_synthetic_api, cinetomo_synthetic_options};

use crate::{
    Context, Hooks, Volume,
    buffer::fetch,
    error::{Error, call, text},
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
        // SAFETY: the id is a string; the plugin stays loaded and its tables with it.
        let table = unsafe {
            (context.plugin().api().get_extension)(ID.as_ptr())
                .cast::<cinetomo_synthetic_api>()
                .as_ref()
        };
        match table {
            Some(table) if table.struct_size >= size_of::<cinetomo_synthetic_api>() => {
                Ok(Synthetic { context, table })
            }
            _ => Err(Error::new(
                cinetomo_status::Unsupported,
                format!("the plugin has no extension {}", ID.to_string_lossy()),
            )),
        }
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
        // SAFETY: all zero is a valid cinetomo_synthetic_options, and the function may fill all of it.
        unsafe {
            let mut options: cinetomo_synthetic_options = std::mem::zeroed();
            let size = size_of::<cinetomo_synthetic_options>();
            call(self.context.plugin().api(), |_| (self.table.options_init)(&mut options, size))?;
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
}
