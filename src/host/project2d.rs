//! The extension `cinetomo.project2d/1`: embeddings as a map in the plane, and how well classes are apart in them.

use std::ffi::CStr;

use cinetomo_abi::{cinetomo_project2d_api, cinetomo_separation, cinetomo_tsne_options};

use crate::{
    Context, Hooks,
    buffer::fetch,
    error::{Error, call},
    extension::extension,
};

/// Id of the extension.
const ID: &CStr = c"cinetomo.project2d/1";

/// What a plugin makes of embeddings.
#[derive(Clone, Debug)]
pub struct Project2d {
    context: Context,
    table: &'static cinetomo_project2d_api,
}

impl Project2d {
    pub(crate) fn new(context: Context) -> Result<Project2d, Error> {
        // SAFETY: the id is that of the table.
        let table = unsafe {
            extension(context.plugin(), ID, |table: &cinetomo_project2d_api| table.struct_size)?
        };
        Ok(Project2d { context, table })
    }

    /// The defaults; the fields are those of `cinetomo_tsne_options`.
    pub fn options(&self) -> Result<cinetomo_tsne_options, Error> {
        // SAFETY: all zero is a valid cinetomo_tsne_options, and the function may fill all of it.
        unsafe {
            let mut options: cinetomo_tsne_options = std::mem::zeroed();
            let size = size_of::<cinetomo_tsne_options>();
            call(self.context.plugin().api(), |_| (self.table.options_init)(&mut options, size))?;
            Ok(options)
        }
    }

    /// Positions `[n, 2]` in a plane of embeddings `[n, n_features]`: neighbours lie together.
    pub fn tsne(
        &self,
        embeddings: &[f32],
        n_features: usize,
        options: &cinetomo_tsne_options,
        hooks: Hooks<'_>,
    ) -> Result<Vec<f32>, Error> {
        let options =
            cinetomo_tsne_options { struct_size: size_of::<cinetomo_tsne_options>(), ..*options };
        hooks.run(|hooks| {
            // SAFETY: all that is passed lives until the call returns; the buffer has the stated capacity.
            fetch(self.context.plugin().api(), |buffer, capacity, len, error| unsafe {
                (self.table.tsne)(
                    self.context.handle(),
                    embeddings.as_ptr(),
                    embeddings.len(),
                    n_features,
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

    /// How well the classes `labels` of embeddings `[n, n_features]` are apart; `n_neighbors` vote.
    pub fn separation(
        &self,
        embeddings: &[f32],
        n_features: usize,
        labels: &[i32],
        n_neighbors: usize,
    ) -> Result<cinetomo_separation, Error> {
        let mut found = cinetomo_separation {
            struct_size: size_of::<cinetomo_separation>(),
            n_evaluated: 0,
            silhouette: f64::NAN,
            knn_accuracy: f64::NAN,
        };
        // SAFETY: all that is passed lives until the call returns; the struct says its size.
        call(self.context.plugin().api(), |error| unsafe {
            (self.table.separation)(
                self.context.handle(),
                embeddings.as_ptr(),
                embeddings.len(),
                n_features,
                labels.as_ptr(),
                labels.len(),
                n_neighbors,
                &mut found,
                error,
            )
        })?;
        Ok(found)
    }
}
