//! Where a network puts boxes: its embeddings in the plane.

use cinetomo_host::{Model, abi::cinetomo_separation};

use crate::{
    chunks::{Which, for_chunks},
    failure::Result,
    session::Session,
    truth::Labelled,
};

/// Embeddings on the map at most: more take minutes and cover each other.
const MAX_MAPPED: usize = 2000;

/// Neighbours that vote on the class of an embedding: usual, see `cinetomo_project2d_api`.
const N_NEIGHBORS: usize = 5;

/// Embeddings in the plane.
#[derive(Debug)]
pub struct Map {
    /// A pair for each box.
    pub positions: Vec<[f64; 2]>,
    pub labels: Vec<usize>,
    /// Whether each box is classified as its label says.
    pub is_right: Vec<bool>,
    pub separation: cinetomo_separation,
    /// Length of an embedding.
    pub n_features: usize,
}

impl Map {
    /// Of the boxes `indices`, which have labels; `is_right` has an entry for each. None where they are too few.
    ///
    /// # Errors
    /// A box cannot be read, or a call of the plugin fails.
    pub fn of(
        session: &Session,
        model: &Model,
        data: &Labelled,
        indices: &[usize],
        is_right: &[bool],
    ) -> Result<Option<Map>> {
        // Every so many, so that all inputs are among them.
        let step = indices.len().div_ceil(MAX_MAPPED).max(1);
        let indices: Vec<usize> = indices.iter().copied().step_by(step).collect();
        // What the plugin wants at least, and what neighbours there are to vote.
        if indices.len() <= N_NEIGHBORS {
            return Ok(None);
        }
        let n_features = model.info()?.n_features as usize;
        let mut embeddings = Vec::with_capacity(indices.len() * n_features);
        for_chunks(
            session,
            &data.boxes,
            Which::These(&indices),
            "embedding",
            |volume, hooks| model.embed(volume, hooks),
            |_, found| {
                embeddings.extend(found);
                Ok(())
            },
        )?;
        let projection = session.context.project2d()?;
        let options = projection.options()?;
        let bar = session.console.bar("mapping");
        let positions = session
            .call(&bar, |hooks| projection.tsne(&embeddings, n_features, &options, hooks))?;
        drop(bar);
        let numbers: Vec<i32> = indices.iter().map(|&index| data.labels[index]).collect();
        let pairs = positions.chunks_exact(2);
        Ok(Some(Map {
            positions: pairs.map(|pair| [f64::from(pair[0]), f64::from(pair[1])]).collect(),
            // Those that have a label.
            labels: numbers.iter().map(|&label| label.max(0) as usize).collect(),
            is_right: is_right.iter().copied().step_by(step).collect(),
            separation: projection.separation(&embeddings, n_features, &numbers, N_NEIGHBORS)?,
            n_features,
        }))
    }
}
