//! The extension `cinetomo.pick/1`: particles in a tomogram, and boxes around them.

use std::{ffi::CStr, ptr};

use cinetomo_abi::{cinetomo_extract_options, cinetomo_pick_api, cinetomo_pick_options};

use crate::{
    Context, Hooks, Tomogram,
    buffer::fetch,
    error::{Error, call},
    extension::extension,
};

/// Id of the extension.
const ID: &CStr = c"cinetomo.pick/1";

/// The picker of a plugin.
#[derive(Clone, Debug)]
pub struct Pick {
    context: Context,
    table: &'static cinetomo_pick_api,
}

/// A particle that was picked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Picked {
    /// `[z, y, x]` in voxels, counted from the centre of the first voxel.
    pub position: [f32; 3],
    /// More is better.
    pub score: f32,
}

/// Boxes that were cut out.
#[derive(Clone, Debug, PartialEq)]
pub struct Extracted {
    /// `[n, z, y, x]`, x fastest.
    pub voxels: Vec<f32>,
    /// For each box the index of its particle.
    pub indices: Vec<i64>,
}

impl Pick {
    pub(crate) fn new(context: Context) -> Result<Pick, Error> {
        // SAFETY: the id is that of the table.
        let table = unsafe {
            extension(context.plugin(), ID, |table: &cinetomo_pick_api| table.struct_size)?
        };
        Ok(Pick { context, table })
    }

    /// The defaults; the fields are those of `cinetomo_pick_options`.
    pub fn pick_options(&self) -> Result<cinetomo_pick_options, Error> {
        // SAFETY: all zero is a valid cinetomo_pick_options, and the function may fill all of it.
        unsafe {
            let mut options: cinetomo_pick_options = std::mem::zeroed();
            let size = size_of::<cinetomo_pick_options>();
            let init = self.table.pick_options_init;
            call(self.context.plugin().api(), |_| init(&mut options, size))?;
            Ok(options)
        }
    }

    /// The defaults; the fields are those of `cinetomo_extract_options`.
    pub fn extract_options(&self) -> Result<cinetomo_extract_options, Error> {
        // SAFETY: all zero is a valid cinetomo_extract_options, and the function may fill all of it.
        unsafe {
            let mut options: cinetomo_extract_options = std::mem::zeroed();
            let size = size_of::<cinetomo_extract_options>();
            let init = self.table.extract_options_init;
            call(self.context.plugin().api(), |_| init(&mut options, size))?;
            Ok(options)
        }
    }

    /// Picks particles, the best first.
    pub fn pick(
        &self,
        tomogram: &mut Tomogram<'_>,
        options: &cinetomo_pick_options,
        hooks: Hooks<'_>,
    ) -> Result<Vec<Picked>, Error> {
        let options =
            cinetomo_pick_options { struct_size: size_of::<cinetomo_pick_options>(), ..*options };
        let api = self.context.plugin().api();
        hooks.run(|hooks| {
            tomogram.with_c(|tomogram| {
                let mut positions = Vec::new();
                // SAFETY: all that is passed lives until the call returns; the buffers have the stated capacities.
                let scores = fetch(api, |scores, capacity, n, error| unsafe {
                    positions.resize(3 * capacity, 0.0f32);
                    (self.table.pick)(
                        self.context.handle(),
                        tomogram,
                        &raw const options,
                        hooks,
                        if capacity == 0 { ptr::null_mut() } else { positions.as_mut_ptr() },
                        scores,
                        capacity,
                        n,
                        error,
                    )
                })?;
                let (positions, _) = positions.as_chunks::<3>();
                let pairs = positions.iter().zip(scores);
                Ok(pairs.map(|(&position, score)| Picked { position, score }).collect())
            })
        })
    }

    /// Cuts out boxes around positions `[z, y, x]` in voxels.
    pub fn extract(
        &self,
        tomogram: &mut Tomogram<'_>,
        positions: &[[f32; 3]],
        options: &cinetomo_extract_options,
        hooks: Hooks<'_>,
    ) -> Result<Extracted, Error> {
        let options = cinetomo_extract_options {
            struct_size: size_of::<cinetomo_extract_options>(),
            ..*options
        };
        let api = self.context.plugin().api();
        let mut indices = vec![0i64; positions.len()];
        let voxels = hooks.run(|hooks| {
            tomogram.with_c(|tomogram| {
                // SAFETY: all that is passed lives until the call returns; the buffers have the stated capacities.
                fetch(api, |voxels, capacity, len, error| unsafe {
                    (self.table.extract)(
                        self.context.handle(),
                        tomogram,
                        positions.as_flattened().as_ptr(),
                        positions.len(),
                        &raw const options,
                        hooks,
                        voxels,
                        capacity,
                        len,
                        indices.as_mut_ptr(),
                        indices.len(),
                        error,
                    )
                })
            })
        })?;
        // The plugin has checked that it is at least 2.
        let n_voxels = usize::try_from(options.box_size).unwrap_or(1).max(1).pow(3);
        indices.truncate(voxels.len() / n_voxels);
        Ok(Extracted { voxels, indices })
    }
}
