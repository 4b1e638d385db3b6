//! `cinetomo_split`: the same division for every host.

use std::ptr;

use cinetomo_abi::{cinetomo_error, cinetomo_split_options};

use super::{
    guard::boundary,
    read::{self, sized_struct},
    write::{self, OutBuffer},
};
use crate::train::{Fractions, partition};

sized_struct!(
    cinetomo_split_options,
    40,
    cinetomo_split_options {
        struct_size: size_of::<cinetomo_split_options>(),
        // 3:1:1, the paper's division of its experimental data.
        training_fraction: 0.6,
        validation_fraction: 0.2,
        test_fraction: 0.2,
        seed: 0,
    }
);

/// Fills `out_options` with the defaults: 0.6 to train on, 0.2 to choose by, 0.2 to measure on. `struct_size` is
/// `sizeof *out_options`.
///
/// Errors: NULL_ARGUMENT, INVALID_ARGUMENT. [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cinetomo_split_options_init(
    out_options: *mut cinetomo_split_options,
    struct_size: usize,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe { boundary(ptr::null_mut(), || write::init(out_options, struct_size)) }
}

/// Divides labelled subtomograms, class by class and at random, into those to train on, those to choose and calibrate by,
/// and those to measure on once everything is chosen: the same for every host that has the same labels and seed.
///
/// `labels` are counted from 0; -1 marks a subtomogram without label, which belongs to no part. `groups` (NULL = none)
/// holds the number of each subtomogram's tomogram, `n_labels` of them: then test and validation are whole tomograms, and
/// no subtomogram of theirs is trained on; neighbours share noise, and a test on them flatters. The fractions are then met as well as
/// whole tomograms allow. `options` may be NULL (defaults). `out_parts` receives a `CINETOMO_PART_*` for each subtomogram;
/// `*out_len` their number, `n_labels`. With `capacity` 0 that is all that happens.
///
/// The test part does not depend on the other fractions, and a larger `training_fraction` adds to what a smaller one
/// chose: studies with 5, 10 or 25 % of the labels to train on have one test set. No class loses its last example to
/// test or validation.
///
/// Errors: NULL_ARGUMENT; INVALID_ARGUMENT names the option or label, or says that there are too few tomograms to divide;
/// BUFFER_TOO_SMALL. [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cinetomo_split(
    labels: *const i32,
    groups: *const i32,
    n_labels: usize,
    options: *const cinetomo_split_options,
    out_parts: *mut i32,
    capacity: usize,
    out_len: *mut usize,
    out_error: *mut *mut cinetomo_error,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe {
        boundary(out_error, || {
            let out = OutBuffer::new(out_parts, capacity, out_len, "out_parts")?;
            let labels = read::slice(labels, n_labels, "labels")?;
            let groups = match groups.is_null() {
                true => None,
                false => Some(read::slice(groups, n_labels, "groups")?),
            };
            let options = read::sized_or_default(options, "options")?;
            let fractions = Fractions {
                training: options.training_fraction,
                validation: options.validation_fraction,
                test: options.test_fraction,
            };
            let parts = partition(labels, groups, &fractions, options.seed)?;
            out.fill(parts.into_iter().map(|part| part as i32))
        })
    }
}
