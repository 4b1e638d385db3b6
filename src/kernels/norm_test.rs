use super::*;

const N_CHANNELS: usize = 20;

/// Numbers around 3 that repeat nowhere.
fn waves(n: usize, frequency: f64) -> Vec<f32> {
    let wave = |index: usize| (index as f64 * index as f64 * frequency + index as f64).sin() as f32;
    (0..n).map(|index| 3.0 + wave(index)).collect()
}

/// Sum over the voxels of each channel, in double precision.
fn sum(n_voxels: usize, term: impl Fn(usize, usize) -> f64) -> Vec<f64> {
    let of_channel =
        |channel| (0..n_voxels).map(|voxel| term(voxel * N_CHANNELS + channel, channel)).sum();
    (0..N_CHANNELS).map(of_channel).collect()
}

fn assert_near(found: impl IntoIterator<Item = f64>, expected: &[f64], what: &str) {
    let greatest = expected.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
    for (found, expected) in found.into_iter().zip(expected) {
        // NaN is near nothing.
        assert!((found - expected).abs() <= 1e-6 * greatest, "{what}: {found}, not {expected}");
    }
}

#[test]
fn moments_are_those_of_the_channels() {
    for n_voxels in [1, 255, 256, 1000] {
        let values = waves(n_voxels * N_CHANNELS, 0.0071);
        let n = n_voxels as f64;
        let mean = sum(n_voxels, |index, _| f64::from(values[index]) / n);
        let variance =
            sum(n_voxels, |index, channel| (f64::from(values[index]) - mean[channel]).powi(2) / n);
        for n_threads in [1, 3] {
            let found = moments(&values, N_CHANNELS, n_threads).unwrap();
            assert_near(found.mean, &mean, "mean");
            assert_near(found.variance, &variance, "variance");
        }
    }
}

#[test]
fn values_are_scaled_shifted_added_to_and_rectified() {
    let n = 7 * N_CHANNELS;
    let (values, summand) = (waves(n, 0.3), waves(n, 0.7));
    let (scale, shift) = (waves(N_CHANNELS, 0.1), waves(N_CHANNELS, 0.2));
    let shift: Vec<f32> = shift.iter().map(|value| value - 15.0).collect();
    for (summand, relu) in [(None, false), (None, true), (Some(&summand[..]), true)] {
        let mut out = vec![f32::NAN; n];
        scale_and_shift(&values, [&scale, &shift], summand, relu, &mut out, 2);
        for (index, out) in out.into_iter().enumerate() {
            let channel = index % N_CHANNELS;
            let sum = values[index] * scale[channel]
                + shift[channel]
                + summand.map_or(0.0, |summand| summand[index]);
            let expected = if relu { sum.max(0.0) } else { sum };
            assert!((out - expected).abs() < 1e-5, "{out}, not {expected}");
        }
    }
}

#[test]
fn gradients_pass_where_a_relu_lets_them() {
    let n_voxels = 300;
    let n = n_voxels * N_CHANNELS;
    let (gradient, input) = (waves(n, 0.3), waves(n, 0.7));
    let rectified: Vec<f32> = waves(n, 0.9).iter().map(|value| (value - 3.0).max(0.0)).collect();
    let mean = waves(N_CHANNELS, 0.1);
    let [a, b, c] = [0.2, 0.4, 0.6].map(|frequency| waves(N_CHANNELS, frequency));
    for rectified in [None, Some(&rectified[..])] {
        let back = Back { gradient: &gradient, rectified, input: &input };
        let passed = |index: usize| match rectified {
            Some(rectified) if rectified[index] == 0.0 => 0.0,
            _ => f64::from(gradient[index]),
        };
        let [sums, products] = back.sums(&mean, 2).unwrap();
        assert_eq!(back.sums(&mean, 1).unwrap(), [sums.clone(), products.clone()]);
        assert_near(sums, &sum(n_voxels, |index, _| passed(index)), "sums");
        let product = |index: usize, channel: usize| {
            passed(index) * (f64::from(input[index]) - f64::from(mean[channel]))
        };
        assert_near(products, &sum(n_voxels, product), "products");
        let (mut combined, mut plain) = (vec![f32::NAN; n], vec![f32::NAN; n]);
        back.combine([&a, &b, &c], &mut combined, 2);
        back.pass(&mut plain, 2);
        for index in 0..n {
            let channel = index % N_CHANNELS;
            let [a, b, c] = [&a, &b, &c].map(|factors| f64::from(factors[channel]));
            let expected = passed(index) * a + f64::from(input[index]) * b + c;
            assert!((f64::from(combined[index]) - expected).abs() < 1e-5);
            assert_eq!(f64::from(plain[index]), passed(index));
        }
    }
}
