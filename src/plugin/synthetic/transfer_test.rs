use super::*;
use crate::synthetic::{SimulationOptions, numbers, reference};

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
fn wedge_is_that_of_the_reference() {
    for case in reference()["wedge"].as_array().unwrap() {
        let box_size = case["box_size"].as_i64().unwrap();
        let tilt_range = case["tilt_range"].as_f64().unwrap();
        let options = SimulationOptions { box_size, tilt_range, ..SimulationOptions::default() };
        let (wedge, transfer) = filters(&simulation(options));
        let edge = box_size as usize;
        let half = edge / 2 + 1;
        let mut n_seen = 0;
        for (z, row) in case["plane_zx"].as_array().unwrap().iter().enumerate() {
            let row = row.as_str().unwrap().as_bytes();
            for y in 0..edge {
                for (x, &seen) in row.iter().enumerate() {
                    // The other half of the transform is the mirror image of this one.
                    let [mz, my, mx] =
                        if x < half { [z, y, x] } else { [z, y, x].map(|i| (edge - i) % edge) };
                    let index = (mz * edge + my) * half + mx;
                    assert_eq!(wedge[index] == 1.0, seen == b'1', "{box_size}: {z} {y} {x}");
                    assert!(wedge[index] == 1.0 || transfer[index] == 0.0);
                    n_seen += u64::from(wedge[index] == 1.0);
                }
            }
        }
        assert_eq!(n_seen, case["n_seen"].as_u64().unwrap());
    }
}
