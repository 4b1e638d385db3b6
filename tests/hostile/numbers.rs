//! Options and labels out of range.

mod dataset;
mod evaluate;
mod model;
mod pick;
mod project2d;
mod synthetic;
mod training;

use cinetomo_abi::*;

use crate::fixture::*;

#[test]
fn contexts_without_meaning_are_refused() {
    check(
        &Fixture::new(),
        &[
            ("context_new", INVALID, &["device", "3", "0, 1, 2"], |f, e| {
                f.context(
                    &cinetomo_context_options {
                        device: 3,
                        ..initialised(f.api.context_options_init)
                    },
                    e,
                )
            }),
            ("context_new", INVALID, &["precision is 3"], |f, e| {
                f.context(
                    &cinetomo_context_options {
                        precision: 3,
                        ..initialised(f.api.context_options_init)
                    },
                    e,
                )
            }),
            ("context_new", INVALID, &["reserved is 1"], |f, e| {
                f.context(
                    &cinetomo_context_options {
                        device: cinetomo_device::Cpu as i32,
                        reserved: 1,
                        ..initialised(f.api.context_options_init)
                    },
                    e,
                )
            }),
            ("context_new", INVALID, &["device_index", "-1"], |f, e| {
                f.context(
                    &cinetomo_context_options {
                        device_index: -1,
                        ..initialised(f.api.context_options_init)
                    },
                    e,
                )
            }),
            ("context_new", INVALID, &["n_threads", "-2"], |f, e| {
                f.context(
                    &cinetomo_context_options {
                        n_threads: -2,
                        ..initialised(f.api.context_options_init)
                    },
                    e,
                )
            }),
            ("context_new", INVALID, &["n_threads"], |f, e| {
                f.context(
                    &cinetomo_context_options {
                        n_threads: i32::MAX,
                        ..initialised(f.api.context_options_init)
                    },
                    e,
                )
            }),
            ("context_new", INVALID, &["log_level", "9"], |f, e| {
                f.context(
                    &cinetomo_context_options {
                        log_level: 9,
                        ..initialised(f.api.context_options_init)
                    },
                    e,
                )
            }),
        ],
    );
}
