//! PDB and mmCIF files, and the density of what they hold.
#![no_main]

use std::path::Path;

use cinetomo_formats::structure::{DensityOptions, Structure, density};

libfuzzer_sys::fuzz_target!(|file: &[u8]| {
    let Ok(structure) = Structure::parse(file, Path::new("structure")) else { return };
    assert!(!structure.atoms.is_empty());
    let options = DensityOptions { box_size: Some(64), voxel_size: 20.0, resolution: 40.0 };
    if let Ok(density) = density(&structure, &options) {
        assert!(density.values.iter().all(|value| value.is_finite()));
    }
});
