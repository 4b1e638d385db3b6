//! Extension `cinetomo.project2d/1`.

use std::ptr;

use cinetomo_abi::{
    cinetomo_context, cinetomo_error, cinetomo_hooks, cinetomo_project2d_api, cinetomo_separation,
    cinetomo_tsne_options,
};

use super::{
    context::CONTEXTS,
    guard::boundary,
    hooks,
    read::{self, sized_struct},
    write::{self, OutBuffer},
};
use crate::{
    error::{Error, Result},
    insight::{self, Points, Separation, TsneConfig},
};

sized_struct!(cinetomo_tsne_options, 32, {
    let config = TsneConfig::default();
    cinetomo_tsne_options {
        struct_size: size_of::<cinetomo_tsne_options>(),
        // 0 stands for `None`.
        perplexity: 0.0,
        seed: config.seed,
        n_iterations: config.n_iterations as i32,
        reserved: 0,
    }
});

sized_struct!(
    cinetomo_separation,
    32,
    to_c(&Separation { n_evaluated: 0, silhouette: f64::NAN, knn_accuracy: f64::NAN })
);

pub(super) static API: cinetomo_project2d_api = cinetomo_project2d_api {
    struct_size: size_of::<cinetomo_project2d_api>(),
    options_init,
    separation_init,
    tsne,
    separation,
};

unsafe extern "C" fn options_init(
    out_options: *mut cinetomo_tsne_options,
    struct_size: usize,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe { boundary(ptr::null_mut(), || write::init(out_options, struct_size)) }
}

unsafe extern "C" fn separation_init(
    out_separation: *mut cinetomo_separation,
    struct_size: usize,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe { boundary(ptr::null_mut(), || write::init(out_separation, struct_size)) }
}

unsafe extern "C" fn tsne(
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
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe {
        boundary(out_error, || {
            let out = OutBuffer::new(out_positions, capacity, out_len, "out_positions")?;
            let context = CONTEXTS.get(context, "context")?;
            let embeddings = read::slice(embeddings, n_values, "embeddings")?;
            let config = config(&read::sized_or_default(options, "options")?)?;
            let mut monitor = hooks::monitor(hooks, &context)?;
            let n = insight::n_points(embeddings, n_features)?;
            config.perplexity_for(n)?;
            if out.wants(2 * n)? {
                context.compute();
                let points = Points::new(embeddings, n_features, context.device)?;
                out.write(&insight::tsne(&points, &config, &mut monitor)?);
            }
            Ok(())
        })
    }
}

unsafe extern "C" fn separation(
    context: *const cinetomo_context,
    embeddings: *const f32,
    n_values: usize,
    n_features: usize,
    labels: *const i32,
    n_labels: usize,
    n_neighbors: usize,
    out_separation: *mut cinetomo_separation,
    out_error: *mut *mut cinetomo_error,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe {
        boundary(out_error, || {
            let struct_size = write::stated_size(out_separation, "out_separation")?;
            let context = CONTEXTS.get(context, "context")?;
            let embeddings = read::slice(embeddings, n_values, "embeddings")?;
            let labels = read::slice(labels, n_labels, "labels")?;
            context.compute();
            let device = context.device;
            let found = insight::separation(embeddings, n_features, labels, n_neighbors, device)?;
            write::sized(out_separation, struct_size, to_c(&found));
            Ok(())
        })
    }
}

fn config(options: &cinetomo_tsne_options) -> Result<TsneConfig> {
    read::check_reserved(options.reserved, "options")?;
    Ok(TsneConfig {
        // Exactly 0 leaves it to the number of embeddings; anything else is checked.
        perplexity: (options.perplexity != 0.0).then_some(options.perplexity),
        n_iterations: usize::try_from(options.n_iterations).map_err(|_| {
            Error::invalid(format!(
                "options.n_iterations is {}; it must not be negative",
                options.n_iterations
            ))
        })?,
        seed: options.seed,
    })
}

fn to_c(separation: &Separation) -> cinetomo_separation {
    cinetomo_separation {
        struct_size: size_of::<cinetomo_separation>(),
        n_evaluated: separation.n_evaluated as i64,
        silhouette: separation.silhouette,
        knn_accuracy: separation.knn_accuracy,
    }
}
