//! Every pointer of every function, NULL.

mod dataset;
mod evaluate;
mod model;
mod pick;
mod project2d;
mod synthetic;

use std::{collections::BTreeSet, fs, ptr};

use cinetomo_tests::root;

use crate::fixture::*;

/// All of them.
pub fn cases() -> Vec<Case> {
    [
        CASES,
        model::CASES,
        evaluate::CASES,
        synthetic::CASES,
        pick::CASES,
        project2d::CASES,
        dataset::CASES,
    ]
    .concat()
}

/// Contexts, and what needs none.
const CASES: &[Case] = &[
    ("runtime_info_get", NULL, &["out_info"], |f, e| {
        raw!((f.api.runtime_info_get)(ptr::null_mut(), e))
    }),
    ("context_new", NULL, &["out_context"], |f, e| {
        raw!((f.api.context_new)(ptr::null(), ptr::null_mut(), e))
    }),
    ("cancel_new", NULL, &["out_cancel"], |f, e| raw!((f.api.cancel_new)(ptr::null_mut(), e))),
    ("weights_inspect", NULL, &["path"], |f, e| {
        let mut len = 0;
        raw!((f.api.weights_inspect)(ptr::null(), ptr::null_mut(), 0, &mut len, e))
    }),
    ("weights_inspect", NULL, &["out_json"], |f, e| {
        let mut len = 0;
        raw!((f.api.weights_inspect)(c"x".as_ptr(), ptr::null_mut(), 9, &mut len, e))
    }),
    ("weights_inspect", NULL, &["out_len"], |f, e| {
        raw!((f.api.weights_inspect)(c"x".as_ptr(), ptr::null_mut(), 0, ptr::null_mut(), e))
    }),
];

#[test]
fn null_is_named_everywhere() {
    let fixture = Fixture::new();
    let cases = cases();
    check(&fixture, &cases);
    // Every function of the flat contract that stores an error has a case.
    let covered: BTreeSet<String> =
        cases.iter().map(|(function, ..)| format!("cinetomo_{function}")).collect();
    let header = fs::read_to_string(root().join("include/cinetomo.h")).expect("the header");
    for declaration in header.split(";\n").filter(|text| text.contains("\nint32_t cinetomo_")) {
        let signature = declaration.rsplit("\nint32_t ").next().expect("a declaration");
        let name = signature.split('(').next().expect("a name");
        if signature.contains("out_error") {
            assert!(covered.contains(name), "{name} has no NULL case");
        }
    }
    // And of the extensions' tables, whose entries are pointers in the header.
    for extension in ["synthetic", "pick", "project2d", "dataset"] {
        let table = header
            .split(&format!("typedef struct cinetomo_{extension}_api {{"))
            .nth(1)
            .and_then(|rest| rest.split("\n} ").next())
            .expect("the table");
        for entry in table.split("int32_t (*").skip(1) {
            let (name, rest) = entry.split_once(')').expect("a name");
            let signature = rest.split(';').next().expect("a signature");
            let case = format!("cinetomo_{extension} {name}");
            let has_case = signature.contains("out_error").then(|| covered.contains(&case));
            assert!(has_case.unwrap_or(true), "{case} has no NULL case");
        }
    }
}
