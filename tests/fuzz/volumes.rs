//! MRC and EM files, plain and packed: their names decide where their bytes do not.
#![no_main]

libfuzzer_sys::fuzz_target!(|file: &[u8]| {
    for name in ["v.mrc", "v.mrcs", "v.em", "v.em.gz"] {
        cinetomo_fuzz::voxels::read(name, file);
    }
});
