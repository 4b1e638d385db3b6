use super::*;

fn picking(options: PickOptions, voxel_size: f64) -> Result<Picking> {
    Picking::new(options, voxel_size)
}

#[test]
fn sigma_comes_from_what_is_known() {
    let defaults = PickOptions::default;
    // The paper's rule: 7 nm, rounded down, at least 2 voxels.
    for (voxel_size, sigma) in [(10.0, 7.0), (13.48, 5.0), (20.0, 3.0), (60.0, 2.0)] {
        assert_eq!(picking(defaults(), voxel_size).unwrap().sigmas()[0], sigma);
    }
    let stated = picking(PickOptions { sigma: 2.5, ..defaults() }, 0.0).unwrap();
    assert_eq!(stated.sigmas(), [2.5, 2.75]);
    assert_eq!(stated.min_distance(), 2.5);
    // A ball of radius 6 voxels answers most at 6 / 3^(1/2), which is the geometric mean of both.
    let by_size = picking(PickOptions { particle_diameter: 120.0, ..defaults() }, 10.0).unwrap();
    let [narrow, wide] = by_size.sigmas();
    assert!(((narrow * wide).sqrt() - 6.0 / 3f64.sqrt()).abs() < 1e-12);
}

#[test]
fn picking_options_out_of_range_are_named() {
    let defaults = PickOptions::default;
    for (options, voxel_size, message) in [
        (defaults(), 0.0, "sigma is 0, and the tomogram's voxel size is unknown"),
        (PickOptions { sigma: 0.4, ..defaults() }, 10.0, "sigma is 0.4; it must be 0.5 to 100"),
        (PickOptions { sigma: f64::NAN, ..defaults() }, 10.0, "sigma is NaN"),
        (
            PickOptions { particle_diameter: 100.0, ..defaults() },
            0.0,
            "particle_diameter is stated, and the tomogram's voxel size is unknown",
        ),
        (
            PickOptions { particle_diameter: 20.0, ..defaults() },
            20.0,
            "particle_diameter is 20 angstrom, for which sigma would be 0.28 voxels",
        ),
        (
            PickOptions { sigma_ratio: 1.0, ..defaults() },
            10.0,
            "sigma_ratio is 1; it must be above 1",
        ),
        (PickOptions { min_distance: -1.0, ..defaults() }, 10.0, "min_distance is -1"),
        (PickOptions { threshold: f64::INFINITY, ..defaults() }, 10.0, "threshold is inf"),
        (PickOptions { n_max: 0, ..defaults() }, 10.0, "n_max is 0; it must be 1 to 10000000"),
        (PickOptions { border: -1, ..defaults() }, 10.0, "border is -1"),
        (PickOptions { max_memory: 5, ..defaults() }, 10.0, "max_memory is 5 bytes"),
    ] {
        let error = picking(options, voxel_size).unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}, not {message}");
    }
}

#[test]
fn extraction_options_out_of_range_are_named() {
    let defaults = ExtractOptions::default;
    for (options, voxel_size, contrast, message) in [
        (ExtractOptions { box_size: 1, ..defaults() }, 10.0, Contrast::Dark, "box_size is 1"),
        (
            ExtractOptions { voxel_size: f64::NAN, ..defaults() },
            10.0,
            Contrast::Dark,
            "voxel_size is NaN",
        ),
        (
            ExtractOptions { voxel_size: 8.0, ..defaults() },
            0.0,
            Contrast::Dark,
            "voxel_size is 8 angstrom, and the tomogram's is unknown",
        ),
        (
            ExtractOptions { voxel_size: 200.0, ..defaults() },
            10.0,
            Contrast::Dark,
            "voxel_size is 200 angstrom, 20.0000 times",
        ),
        (
            ExtractOptions { voxel_size: 8.0, resampling: Resampling::Nearest, ..defaults() },
            10.0,
            Contrast::Dark,
            "voxel_size is 8 angstrom and the tomogram's is 10: resampling NEAREST",
        ),
        (
            ExtractOptions { contrast: Contrast::Bright, ..defaults() },
            10.0,
            Contrast::Unknown,
            "contrast is asked for, and the tomogram's is unknown",
        ),
    ] {
        let error = Extraction::new(options, voxel_size, contrast).unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}, not {message}");
    }
    for (wanted, given, inverts) in [
        (Contrast::Unknown, Contrast::Dark, false),
        (Contrast::Dark, Contrast::Dark, false),
        (Contrast::Bright, Contrast::Dark, true),
    ] {
        let options = ExtractOptions { contrast: wanted, ..defaults() };
        assert_eq!(Extraction::new(options, 0.0, given).unwrap().inverts(), inverts);
    }
}
