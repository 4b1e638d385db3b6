use super::*;
use crate::synthetic::{Axis, SimulationOptions, numbers, reference};

fn simulation(options: SimulationOptions) -> Simulation {
    Simulation::new(options).unwrap()
}

#[test]
fn electrons_have_their_published_wavelength() {
    for case in reference()["wavelength"].as_array().unwrap() {
        let [voltage, wavelength] = numbers(case).try_into().unwrap();
        assert!((electron_wavelength(voltage) / wavelength - 1.0).abs() < 1e-8, "{voltage} kV");
    }
    // Reimer and Kohl, Transmission Electron Microscopy, 2008, table 2.2: 1.97 pm.
    assert!((electron_wavelength(300.0) - 0.0197).abs() < 5e-5);
}

#[test]
fn contrast_transfer_is_that_of_the_reference() {
    for case in reference()["ctf"].as_array().unwrap() {
        let simulation = simulation(SimulationOptions {
            voltage: case["voltage"].as_f64().unwrap(),
            defocus: case["defocus"].as_f64().unwrap(),
            spherical_aberration: case["spherical_aberration"].as_f64().unwrap(),
            ..SimulationOptions::default()
        });
        for pair in case["values"].as_array().unwrap() {
            let [frequency, value] = numbers(pair).try_into().unwrap();
            let ours = contrast_transfer(&simulation, frequency);
            assert!((ours - value).abs() < 1e-6, "{frequency}/A: {ours}, not {value}");
        }
    }
    let in_focus = simulation(SimulationOptions { defocus: 0.0, ..SimulationOptions::default() });
    assert_eq!(contrast_transfer(&in_focus, 0.05), 1.0);
}

#[test]
fn envelope_band_and_detector_are_those_of_the_reference() {
    for case in reference()["curves"].as_array().unwrap() {
        let number = |key: &str| case[key].as_f64().unwrap();
        let simulation = simulation(SimulationOptions {
            voxel_size: number("voxel_size"),
            envelope: number("envelope"),
            band_limit: number("band_limit"),
            band_edge: number("band_edge"),
            mtf: number("mtf"),
            ..SimulationOptions::default()
        });
        for row in case["values"].as_array().unwrap() {
            let [f, by_envelope, by_band, by_detector] = numbers(row).try_into().unwrap();
            for (ours, theirs) in [
                (envelope(&simulation, f), by_envelope),
                (band(&simulation, f), by_band),
                (detector_transfer(&simulation, f), by_detector),
            ] {
                assert!((ours - theirs).abs() < 1e-9, "{f}/A: {ours}, not {theirs} of {row}");
            }
        }
    }
}

#[test]
fn wedge_is_that_of_the_reference() {
    for case in reference()["wedge"].as_array().unwrap() {
        let shape: [f64; 3] = numbers(&case["shape"]).try_into().unwrap();
        let [nz, ny, nx] = shape.map(|extent| extent as usize);
        let [tilt_axis, beam_axis] = ["tilt_axis", "beam_axis"]
            .map(|key| [Axis::Z, Axis::Y, Axis::X][case[key].as_u64().unwrap() as usize]);
        let tilt_range = case["tilt_range"].as_f64().unwrap();
        let options =
            SimulationOptions { tilt_range, tilt_axis, beam_axis, ..SimulationOptions::default() };
        let filters =
            Filters::new(&simulation(options), [nz as i64, ny as i64, nx as i64]).unwrap();
        let rows = case["rows"].as_array().unwrap();
        assert_eq!(rows.len(), nz * ny);
        for (row, bits) in rows.iter().enumerate() {
            let (z, y) = (row / ny, row % ny);
            for (x, &seen) in bits.as_str().unwrap().as_bytes().iter().enumerate() {
                // The other half of the transform is the mirror image of this one.
                let half = nx / 2 + 1;
                let [mz, my, mx] = match x < half {
                    true => [z, y, x],
                    false => [(nz - z) % nz, (ny - y) % ny, nx - x],
                };
                let index = (mz * ny + my) * half + mx;
                let place = format!("{tilt_range} {nz} {ny} {nx}: {z} {y} {x}");
                assert_eq!(filters.detector[index] == 1.0, seen == b'1', "{place}");
                assert!(seen == b'1' || filters.lens[index] == 0.0, "{place}");
            }
        }
    }
}
