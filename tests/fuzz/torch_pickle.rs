//! The pickle of a PyTorch archive: its members would keep a fuzzer from it.
#![no_main]

use cinetomo_fuzz::written::{Member, zip};

libfuzzer_sys::fuzz_target!(|pickle: &[u8]| {
    let storage = |key: &str, n| Member::plain(&format!("archive/data/{key}"), vec![0; n]);
    let mut members = vec![Member::plain("archive/data.pkl", pickle.to_vec())];
    members.extend((0..20).map(|key| storage(&key.to_string(), [4, 8, 96][key % 3])));
    cinetomo_fuzz::read(zip(&members));
});
