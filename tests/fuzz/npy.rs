//! An array of an npz archive.
#![no_main]

use cinetomo_fuzz::written::{Member, zip};

libfuzzer_sys::fuzz_target!(|array: &[u8]| {
    cinetomo_fuzz::read(zip(&[Member::plain("array.npy", array.to_vec())]));
});
