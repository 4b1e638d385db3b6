//! The extension `cinetomo.project2d/1`: embeddings as a map in the plane, and how well classes are apart in them.

use std::ffi::CStr;

use cinetomo_abi::{
    cinetomo_project2d_api, cinetomo_separation, cinetomo_status, cinetomo_tsne_options,
};

use crate::{
    Context, Hooks,
    buffer::fetch,
    error::{Error, call},
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
        // SAFETY: the id is a string; the plugin stays loaded and its tables with it.
        let table = unsafe {
            (context.plugin().api().get_extension)(ID.as_ptr())
                .cast::<cinetomo_project2d_api>()
                .as_ref()
        };
        match table {
            Some(table) if table.struct_size >= size_of::<cinetomo_project2d_api>() => {
                Ok(Project2d { context, table })
            }
            _ => Err(Error::new(
                cinetomo_status::Unsupported,
                format!("the plugin has no extension {}", ID.to_string_lossy()),
            )),
        }
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
