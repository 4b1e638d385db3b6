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
