use super::*;
use crate::{Convolution, Finish, Geometry, Windows};

/// Numbers around 0 that repeat nowhere.
fn waves(n: usize, frequency: f64) -> Vec<f32> {
    let wave = |index: usize| (index as f64 * index as f64 * frequency + index as f64).sin() as f32;
    (0..n).map(wave).collect()
}

struct Case {
    n: usize,
    size: [usize; 3],
    channels: [usize; 2],
    tile: usize,
}

const CASES: [Case; 6] = [
    Case { n: 2, size: [4, 6, 8], channels: [16, 32], tile: 2 },
    Case { n: 1, size: [5, 7, 3], channels: [32, 16], tile: 2 },
    Case { n: 3, size: [1, 1, 1], channels: [48, 80], tile: 2 },
    Case { n: 2, size: [4, 8, 8], channels: [16, 32], tile: 4 },
    // More tiles than are taken at once.
    Case { n: 5, size: [9, 40, 41], channels: [32, 16], tile: 4 },
    Case { n: 3, size: [1, 2, 13], channels: [48, 80], tile: 4 },
];

impl Case {
    /// Each output voxel with each tap and the input voxel under it.
    fn each(&self, mut look: impl FnMut(usize, usize, usize)) {
        let [n_z, n_y, n_x] = self.size;
        for voxel in 0..self.n * n_z * n_y * n_x {
            let at = [voxel / (n_y * n_x) % n_z, voxel / n_x % n_y, voxel % n_x];
            for tap in 0..27 {
                let offset = [tap / 9, tap / 3 % 3, tap % 3];
                let place: [usize; 3] =
                    std::array::from_fn(|axis| (at[axis] + offset[axis]).wrapping_sub(1));
                if std::iter::zip(place, self.size).all(|(place, extent)| place < extent) {
                    let sample = voxel / (n_z * n_y * n_x);
                    let [z, y, x] = place;
                    look(voxel, tap, ((sample * n_z + z) * n_y + y) * n_x + x);
                }
            }
        }
    }
}

/// The greatest difference, over the greatest value; NaN counts as one.
fn apart(expected: &[f64], found: &[f32]) -> f64 {
    assert_eq!(expected.len(), found.len());
    let greatest = expected.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
    let differences = std::iter::zip(expected, found).map(|(a, b)| (a - f64::from(*b)).abs());
    differences.fold(0.0, |most, apart| if apart <= most { most } else { apart }) / greatest
}

#[test]
fn gradients_of_weights_and_input_are_what_their_definition_says() {
    for case in CASES {
        let Case { n, size, channels: [n_in, n_out], tile } = case;
        let n_voxels = n * size.iter().product::<usize>();
        let (input, weights) = (waves(n_voxels * n_in, 0.0071), waves(n_out * n_in * 27, 0.013));
        let gradient = waves(n_voxels * n_out, 0.0173);
        let mut of_weights = vec![0.0; weights.len()];
        let mut of_input = vec![0.0; input.len()];
        case.each(|voxel, tap, under| {
            for o in 0..n_out {
                let gradient = f64::from(gradient[voxel * n_out + o]);
                for i in 0..n_in {
                    let weight = (o * n_in + i) * 27 + tap;
                    of_weights[weight] += gradient * f64::from(input[under * n_in + i]);
                    of_input[under * n_in + i] += gradient * f64::from(weights[weight]);
                }
            }
        });

        let map = |values, n_channels| Map { values, size, n_channels };
        // As another call may have left it.
        let mut scratch = vec![f32::NAN; 5];
        let mut found = |n_threads| {
            let mut out = vec![f32::NAN; weights.len()];
            let (input, gradient) = (map(&input, n_in), map(&gradient, n_out));
            weight_gradient(input, gradient, tile, &mut out, &mut scratch, n_threads).unwrap();
            out
        };
        let of_one_thread = found(1);
        let error = apart(&of_weights, &of_one_thread);
        assert!(error < 1e-5, "weights, {size:?}, tiles of {tile}: {error}");
        for n_threads in [2, 5] {
            assert_eq!(found(n_threads), of_one_thread, "{n_threads} threads");
        }

        let geometry = Geometry { n_in, n_out, kernel: [3; 3], stride: [1; 3] };
        let back = Convolution::back(geometry, tile, &weights, 2).unwrap();
        let mut out = vec![f32::NAN; input.len()];
        let windows = Windows { size, before: [1; 3] };
        let finish = Finish { summand: None, relu: false };
        back.run(map(&gradient, n_out), windows, finish, &mut out, 2).unwrap();
        let error = apart(&of_input, &out);
        assert!(error < 1e-5, "input, {size:?}, tiles of {tile}: {error}");
    }
}

#[test]
fn gradients_that_are_no_numbers_are_not_hidden() {
    let values = vec![f32::NAN; 32 * 16];
    let map = Map { values: &values, size: [2, 4, 4], n_channels: 16 };
    for tile in [2, 4] {
        let mut out = vec![0.0; 16 * 16 * 27];
        weight_gradient(map, map, tile, &mut out, &mut Vec::new(), 1).unwrap();
        assert!(out.iter().all(|value| value.is_nan()));
    }
}
