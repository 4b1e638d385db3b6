//! TIFF files and PNG montages.
#![no_main]

libfuzzer_sys::fuzz_target!(|file: &[u8]| cinetomo_fuzz::voxels::read("v", file));
