//! Extension `cinetomo.project2d/1`: embeddings as a map in the plane, and how well classes are apart in them.

use super::{cinetomo_context, cinetomo_error, cinetomo_hooks};

/// How a map is made. Fill with `options_init` of the extension's table.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "stable-abi", derive(abi_stable::StableAbi))]
pub struct cinetomo_tsne_options {
    /// `sizeof(cinetomo_tsne_options)` as the caller was compiled; set by `options_init`.
    pub struct_size: usize,
    /// About how many neighbours of an embedding count, from 1 to a third of the others; 0 (default) = 30, or as many as
    /// the embeddings allow.
    pub perplexity: f64,
    /// Seed of the noise on the start. Same embeddings, same seed: same map, bit by bit. Default: 0.
    pub seed: u64,
    /// Iterations, at least 250. Default: 1000.
    pub n_iterations: i32,
    /// Zero.
    pub reserved: i32,
}

/// How well classes are apart in embeddings, without any training.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "stable-abi", derive(abi_stable::StableAbi))]
pub struct cinetomo_separation {
    /// In: `sizeof(cinetomo_separation)` as the caller was compiled; set by `separation_init`. Nothing beyond it is written.
    pub struct_size: usize,
    /// Embeddings whose label is not -1.
    pub n_evaluated: i64,
    /// Mean silhouette (Rousseeuw 1987), from -1 to 1: how much nearer an embedding is to its own class than to the next
    /// one. NaN if there is one class, or each embedding is a class of its own.
    pub silhouette: f64,
    /// Fraction of the embeddings that the majority of its nearest neighbours, itself left out, classifies correctly.
    pub knn_accuracy: f64,
}

/// The functions of `cinetomo.project2d/1`, from `cinetomo_get_extension`. Valid for the life of the process.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "stable-abi", derive(abi_stable::StableAbi))]
pub struct cinetomo_project2d_api {
    /// Size of this table as the library knows it.
    pub struct_size: usize,
    /// Fills `options` with the defaults; `struct_size` is `sizeof *options`. [any thread]
    pub options_init:
        unsafe extern "C" fn(out_options: *mut cinetomo_tsne_options, struct_size: usize) -> i32,
    /// Fills `separation` with that of nothing; `struct_size` is `sizeof *separation`. [any thread]
    pub separation_init:
        unsafe extern "C" fn(out_separation: *mut cinetomo_separation, struct_size: usize) -> i32,
    /// Maps embeddings into the plane so that neighbours stay together: t-SNE with Barnes-Hut trees (van der Maaten 2014),
    /// started from the first two principal components. Distances between groups, their sizes and the axes mean nothing.
    ///
    /// `embeddings` holds `n_values` numbers, one row of `n_features` each (as `cinetomo_model_embed` gives them).
    /// `out_positions` receives a row of 2 numbers for each; `*out_len` their number; with `capacity` 0 that is all that
    /// happens. `options` and `hooks` may be NULL. The map is computed by one thread, which ends before the call does.
    ///
    /// Errors: NULL_ARGUMENT; INVALID_ARGUMENT, among others if the perplexity is too large for so few embeddings (at
    /// least 4); NON_FINITE names the embedding; BUFFER_TOO_SMALL; OUT_OF_MEMORY; CANCELLED. [any thread]
    pub tsne: unsafe extern "C" fn(
        context: *const cinetomo_context,
        embeddings: *const f32,
        n_values: usize,
        n_features: usize,
        options: *const cinetomo_tsne_options,
        hooks: *const cinetomo_hooks,
        out_positions: *mut f32,
        capacity: usize,
        out_len: *mut usize,
        out_error: *mut *mut cinetomo_error,
    ) -> i32,
    /// Tells how well the classes `labels` (one for each embedding, -1 = left out) are apart. `n_neighbors` vote, at least
    /// 1 and fewer than there are labels; 5 is usual.
    ///
    /// Errors: as `tsne`; INVALID_ARGUMENT too if the sizes do not fit. [any thread]
    pub separation: unsafe extern "C" fn(
        context: *const cinetomo_context,
        embeddings: *const f32,
        n_values: usize,
        n_features: usize,
        labels: *const i32,
        n_labels: usize,
        n_neighbors: usize,
        out_separation: *mut cinetomo_separation,
        out_error: *mut *mut cinetomo_error,
    ) -> i32,
}
