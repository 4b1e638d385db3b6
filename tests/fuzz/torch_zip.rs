#![no_main]

libfuzzer_sys::fuzz_target!(|file: &[u8]| cinetomo_fuzz::read(file.to_vec()));
