use super::*;

#[test]
fn windows_have_their_maximum() {
    for (kernel, stride, before, input, size) in [
        ([3; 3], [2; 3], [1; 3], [5, 6, 7], [3, 3, 4]),
        ([3; 3], [1; 3], [1; 3], [3, 4, 5], [3, 4, 5]),
        ([1, 3, 3], [1, 2, 2], [0; 3], [2, 7, 8], [2, 3, 4]),
        ([2; 3], [2; 3], [0; 3], [3, 4, 5], [2, 2, 3]),
    ] {
        let (n, n_channels) = (2, 32);
        let n_voxels: usize = input.iter().product();
        let values: Vec<f32> =
            (0..n * n_voxels * n_channels).map(|i| (i as f32 * 1.7).sin() - 2.0).collect();
        let [n_z, n_y, n_x] = size;
        let mut expected = Vec::new();
        for voxel in 0..n * n_z * n_y * n_x {
            let sample = voxel / (n_z * n_y * n_x);
            let at = [voxel / (n_y * n_x) % n_z, voxel / n_x % n_y, voxel % n_x];
            for channel in 0..n_channels {
                let mut greatest = f32::NEG_INFINITY;
                for place in 0..n_voxels {
                    let there = [
                        place / (input[1] * input[2]),
                        place / input[2] % input[1],
                        place % input[2],
                    ];
                    let inside = (0..3).all(|axis| {
                        let first = at[axis] * stride[axis];
                        (first..first + kernel[axis]).contains(&(there[axis] + before[axis]))
                    });
                    if inside {
                        greatest = greatest
                            .max(values[(sample * n_voxels + place) * n_channels + channel]);
                    }
                }
                expected.push(greatest);
            }
        }
        for n_threads in [1, 2, 5] {
            let mut out = vec![f32::NAN; expected.len()];
            let map = Map { values: &values, size: input, n_channels };
            max_pool(map, [kernel, stride], Windows { size, before }, &mut out, n_threads);
            assert_eq!(out, expected, "{kernel:?} {stride:?}");
        }
    }
}

/// Values with many equal ones: the first of the greatest in a window gets its gradient, in the order z, y, x, as in PyTorch.
#[test]
fn gradients_go_to_the_first_maximum_of_each_window() {
    for (kernel, stride, before, input, size) in [
        ([3; 3], [2; 3], [1; 3], [5, 6, 7], [3, 3, 4]),
        ([3; 3], [1; 3], [1; 3], [3, 4, 5], [3, 4, 5]),
        ([1, 3, 3], [1, 2, 2], [0; 3], [2, 7, 8], [2, 3, 4]),
    ] {
        let (n, n_channels) = (3, 16);
        let [in_z, in_y, in_x] = input;
        let [n_z, n_y, n_x] = size;
        let n_values = n * in_z * in_y * in_x * n_channels;
        let values: Vec<f32> = (0..n_values).map(|i| (i as f32 * 1.7).sin().round()).collect();
        let n_outputs = n * n_z * n_y * n_x * n_channels;
        let gradient: Vec<f32> = (0..n_outputs).map(|i| (i % 64) as f32 - 20.0).collect();
        let mut expected = vec![0.0; n_values];
        for (output, gradient) in gradient.iter().enumerate() {
            let (voxel, channel) = (output / n_channels, output % n_channels);
            let sample = voxel / (n_z * n_y * n_x);
            let at = [voxel / (n_y * n_x) % n_z, voxel / n_x % n_y, voxel % n_x];
            let mut greatest: Option<usize> = None;
            for place in 0..in_z * in_y * in_x {
                let there = [place / (in_y * in_x), place / in_x % in_y, place % in_x];
                let inside = (0..3).all(|axis| {
                    let first = at[axis] * stride[axis];
                    (first..first + kernel[axis]).contains(&(there[axis] + before[axis]))
                });
                let index = (sample * in_z * in_y * in_x + place) * n_channels + channel;
                if inside && greatest.is_none_or(|greatest| values[index] > values[greatest]) {
                    greatest = Some(index);
                }
            }
            expected[greatest.expect("no window is empty")] += gradient;
        }
        let (map, windows) =
            (Map { values: &values, size: input, n_channels }, Windows { size, before });
        let mut maxima = vec![f32::NAN; n_outputs];
        max_pool(map, [kernel, stride], windows, &mut maxima, 2);
        for n_threads in [1, 2, 5] {
            let mut out = vec![f32::NAN; n_values];
            max_pool_back(
                map,
                [kernel, stride],
                windows,
                [&maxima, &gradient],
                &mut out,
                n_threads,
            );
            assert_eq!(out, expected, "{kernel:?} {stride:?}");
        }
    }
}
