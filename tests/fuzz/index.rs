//! The index of a checkpoint in parts, each of which holds the tensor `a`.
#![no_main]

const PART: &[u8] = b"\x36\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}\0\0\0\0";

libfuzzer_sys::fuzz_target!(|index: &[u8]| {
    cinetomo_fuzz::read_with(index.to_vec(), |_| Ok(Box::new(PART.to_vec())));
});
