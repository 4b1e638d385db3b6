//! Options of maps in the plane.

use std::ptr;

use cinetomo_abi::{cinetomo_status as Status, *};

use crate::fixture::*;

#[test]
fn maps_without_meaning_are_refused() {
    check(
        &Fixture::new(),
        &[
            ("project2d tsne", INVALID, &["perplexity is 30", "1 to 16.3"], |f, e| {
                with_map(f, e, |o| o.perplexity = 30.0)
            }),
            ("project2d tsne", INVALID, &["perplexity is NaN"], |f, e| {
                with_map(f, e, |o| o.perplexity = f64::NAN)
            }),
            ("project2d tsne", INVALID, &["perplexity is -1"], |f, e| {
                with_map(f, e, |o| o.perplexity = -1.0)
            }),
            ("project2d tsne", INVALID, &["n_iterations is 249"], |f, e| {
                with_map(f, e, |o| o.n_iterations = 249)
            }),
            ("project2d tsne", INVALID, &["n_iterations is -1"], |f, e| {
                with_map(f, e, |o| o.n_iterations = -1)
            }),
            ("project2d tsne", INVALID, &["n_iterations is 2147483647"], |f, e| {
                with_map(f, e, |o| o.n_iterations = i32::MAX)
            }),
            ("project2d tsne", INVALID, &["reserved is 7"], |f, e| {
                with_map(f, e, |o| o.reserved = 7)
            }),
            ("project2d tsne", INVALID, &["3 embeddings", "at least 4"], |f, e| {
                f.tsne((3, 5), &initialised(f.project2d().options_init), e)
            }),
            ("project2d tsne", INVALID, &["0 numbers"], |f, e| {
                f.tsne((0, 5), &initialised(f.project2d().options_init), e)
            }),
            ("project2d tsne", INVALID, &["n_features is 0"], |f, e| {
                f.tsne((5, 0), &initialised(f.project2d().options_init), e)
            }),
            ("project2d tsne", Status::NonFinite, &["embedding 1: feature 2"], |f, e| {
                let (mut values, mut len) = ([0.5; 12], 0);
                values[5] = f32::INFINITY;
                let mut positions = [0.0; 8];
                raw!((f.project2d().tsne)(
                    f.context,
                    values.as_ptr(),
                    12,
                    3,
                    ptr::null(),
                    ptr::null(),
                    positions.as_mut_ptr(),
                    8,
                    &mut len,
                    e
                ))
            }),
            ("project2d separation", INVALID, &["18 numbers for 6 labels"], |f, e| {
                f.separation(2, 1, e)
            }),
            ("project2d separation", INVALID, &["n_features"], |f, e| f.separation(0, 1, e)),
            ("project2d separation", INVALID, &["features"], |f, e| f.separation(usize::MAX, 1, e)),
            ("project2d separation", INVALID, &["n_neighbors is 6", "1 to 5"], |f, e| {
                f.separation(3, 6, e)
            }),
            ("project2d separation", INVALID, &["n_neighbors is 0"], |f, e| f.separation(3, 0, e)),
        ],
    );
}

/// A map of 50 embeddings of 8 numbers.
fn with_map(fixture: &Fixture, error: OutError, spoil: fn(&mut cinetomo_tsne_options)) -> i32 {
    let mut options = initialised(fixture.project2d().options_init);
    spoil(&mut options);
    fixture.tsne((50, 8), &options, error)
}
