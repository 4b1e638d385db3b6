use super::*;

/// Numbers around 0 that repeat nowhere.
fn waves(n: usize, frequency: f64) -> Vec<f32> {
    (0..n)
        .map(|index| (index as f64 * index as f64 * frequency + index as f64).sin() as f32)
        .collect()
}

struct Case {
    geometry: Geometry,
    method: Method,
    n: usize,
    input: [usize; 3],
    windows: Windows,
}

impl Case {
    fn n_inputs(&self) -> usize {
        self.n * self.input.iter().product::<usize>() * self.geometry.n_in
    }

    /// By the definition, in double precision.
    fn expected(&self, input: &[f32], weights: &[f32], bias: &[f32]) -> Vec<f64> {
        let Geometry { n_in, kernel, stride, .. } = self.geometry;
        let Windows { size, before } = self.windows;
        let [n_z, n_y, n_x] = size;
        let mut output = Vec::new();
        for voxel in 0..self.n * n_z * n_y * n_x {
            let sample = voxel / (n_z * n_y * n_x);
            let at = [voxel / (n_y * n_x) % n_z, voxel / n_x % n_y, voxel % n_x];
            for (o, bias) in bias.iter().enumerate() {
                let mut sum = f64::from(*bias);
                for tap in 0..kernel.iter().product::<usize>() {
                    let tap_at = [
                        tap / (kernel[1] * kernel[2]),
                        tap / kernel[2] % kernel[1],
                        tap % kernel[2],
                    ];
                    let place: [isize; 3] = std::array::from_fn(|axis| {
                        (at[axis] * stride[axis] + tap_at[axis]) as isize - before[axis] as isize
                    });
                    if (0..3)
                        .any(|axis| place[axis] < 0 || place[axis] >= self.input[axis] as isize)
                    {
                        continue;
                    }
                    let [z, y, x] = place.map(|place| place as usize);
                    let start =
                        (((sample * self.input[0] + z) * self.input[1] + y) * self.input[2] + x)
                            * n_in;
                    for i in 0..n_in {
                        let weight =
                            weights[(o * n_in + i) * kernel.iter().product::<usize>() + tap];
                        sum += f64::from(input[start + i]) * f64::from(weight);
                    }
                }
                output.push(sum);
            }
        }
        output
    }

    fn found(
        &self,
        weights: &[f32],
        bias: &[f32],
        input: &[f32],
        finish: Finish<'_>,
        n_threads: usize,
    ) -> Vec<f32> {
        let convolution =
            Convolution::new(self.geometry, self.method, weights, bias, n_threads).unwrap();
        let n_outputs = self.n * self.windows.size.iter().product::<usize>() * self.geometry.n_out;
        let mut out = vec![f32::NAN; n_outputs];
        let map = Map { values: input, size: self.input, n_channels: self.geometry.n_in };
        convolution.run(map, self.windows, finish, &mut out, n_threads).unwrap();
        out
    }
}

#[rustfmt::skip]
fn cases() -> Vec<Case> {
    let case = |method, [n_in, n_out]: [usize; 2], kernel, stride, n, input: [usize; 3], before, size| Case {
        geometry: Geometry { n_in, n_out, kernel, stride },
        method,
        n,
        input,
        windows: Windows { size, before },
    };
    let same = |method, channels, n, input| case(method, channels, [3; 3], [1; 3], n, input, [1; 3], input);
    vec![
        same(Method::Winograd(2), [16, 32], 2, [4, 6, 8]),
        same(Method::Winograd(2), [32, 16], 1, [5, 7, 3]),
        same(Method::Winograd(2), [48, 48], 3, [1, 1, 1]),
        same(Method::Winograd(4), [16, 32], 2, [4, 8, 8]),
        same(Method::Winograd(4), [32, 16], 1, [5, 7, 9]),
        same(Method::Winograd(4), [48, 80], 3, [1, 2, 13]),
        same(Method::Direct, [16, 16], 2, [3, 4, 5]),
        same(Method::Direct, [24, 64], 1, [3, 4, 5]),
        same(Method::Direct, [96, 112], 1, [3, 8, 9]),
        case(Method::Direct, [5, 16], [1, 3, 2], [2, 1, 3], 2, [4, 5, 7], [0, 1, 0], [2, 5, 3]),
        case(Method::Direct, [64, 48], [1; 3], [1; 3], 2, [3, 5, 7], [0; 3], [3, 5, 7]),
        case(Method::Direct, [16, 48], [1; 3], [2; 3], 2, [4, 5, 7], [0; 3], [2, 3, 4]),
        case(Method::Direct, [600, 32], [3; 3], [2; 3], 1, [3, 5, 4], [1; 3], [2, 3, 2]),
        case(Method::Stem, [1, 64], [7; 3], [1, 2, 2], 2, [5, 16, 26], [3; 3], [5, 8, 13]),
        case(Method::Stem, [1, 16], [7; 3], [2; 3], 1, [6, 7, 5], [2; 3], [3, 4, 3]),
        case(Method::Stem, [1, 96], [2, 4, 4], [2, 4, 4], 2, [4, 8, 12], [0; 3], [2, 2, 3]),
        case(Method::Stem, [1, 16], [3; 3], [1; 3], 1, [1, 1, 1], [1; 3], [1, 1, 1]),
    ]
}

#[test]
fn convolutions_are_what_their_definition_says() {
    for case in cases() {
        let Geometry { n_in, n_out, kernel, .. } = case.geometry;
        let fan_in = n_in * kernel.iter().product::<usize>();
        let weights: Vec<f32> = waves(fan_in * n_out, 0.013)
            .iter()
            .map(|value| value / (fan_in as f32).sqrt())
            .collect();
        let (bias, input) = (waves(n_out, 0.3), waves(case.n_inputs(), 0.0071));
        let expected = case.expected(&input, &weights, &bias);
        let finish = Finish { summand: None, relu: false };
        let found = case.found(&weights, &bias, &input, finish, 1);
        let apart = |expected: &[f64], found: &[f32]| {
            assert_eq!(expected.len(), found.len());
            let differences =
                std::iter::zip(expected, found).map(|(a, b)| (a - f64::from(*b)).abs());
            // NaN must not pass for a small difference.
            differences
                .fold(0.0, |most, difference| if difference <= most { most } else { difference })
        };
        let error = apart(&expected, &found);
        // The outputs are around 1: what rounding may do to a few hundred products.
        assert!(error < 1e-5, "{:?} {:?}: {error}", case.method, case.geometry);

        let summand = waves(found.len(), 0.17);
        let finish = Finish { summand: Some(&summand), relu: true };
        let ended: Vec<f64> = std::iter::zip(&expected, &summand)
            .map(|(sum, summand)| (sum + f64::from(*summand)).max(0.0))
            .collect();
        let of_one_thread = case.found(&weights, &bias, &input, finish, 1);
        assert!(apart(&ended, &of_one_thread) < 1e-5, "{:?} {:?}", case.method, case.geometry);
        for n_threads in [2, 3, 16] {
            let found = case.found(&weights, &bias, &input, finish, n_threads);
            assert_eq!(found, of_one_thread, "{:?}, {n_threads} threads", case.method);
        }
    }
}

/// Sums of products that all have the same sign, of a layer as large as the networks' largest of its method.
#[test]
fn rounding_of_large_layers_stays_small() {
    for (method, n_channels) in [(Method::Winograd(4), 192), (Method::Winograd(2), 384)] {
        let geometry = Geometry { n_in: n_channels, n_out: 16, kernel: [3; 3], stride: [1; 3] };
        let size = [2, 4, 4];
        let case =
            Case { geometry, method, n: 1, input: size, windows: Windows { size, before: [1; 3] } };
        let weights: Vec<f32> =
            waves(n_channels * 16 * 27, 0.013).iter().map(|value| value.abs()).collect();
        let input: Vec<f32> =
            waves(case.n_inputs(), 0.0071).iter().map(|value| value.abs()).collect();
        let expected = case.expected(&input, &weights, &[0.0; 16]);
        let finish = Finish { summand: None, relu: false };
        let found = case.found(&weights, &[0.0; 16], &input, finish, 1);
        let worst = std::iter::zip(&expected, found)
            .map(|(expected, found)| (f64::from(found) / expected - 1.0).abs())
            .fold(0.0, f64::max);
        assert!(worst < 1e-5, "{method:?}: {worst}");
    }
}

#[test]
fn values_that_are_no_numbers_are_not_hidden() {
    for case in cases() {
        let Geometry { n_in, n_out, kernel, .. } = case.geometry;
        let weights = vec![f32::NAN; n_in * kernel.iter().product::<usize>() * n_out];
        let finish = Finish { summand: None, relu: true };
        let found =
            case.found(&weights, &vec![0.0; n_out], &waves(case.n_inputs(), 0.1), finish, 2);
        assert!(found.iter().all(|value| value.is_nan()), "{:?}", case.method);
    }
}

#[test]
fn bytes_are_those_that_are_taken() {
    for case in cases() {
        let Geometry { n_in, n_out, kernel, .. } = case.geometry;
        let weights = vec![0.0; n_in * kernel.iter().product::<usize>() * n_out];
        let convolution =
            Convolution::new(case.geometry, case.method, &weights, &vec![0.0; n_out], 2).unwrap();
        let taken = match &convolution.weights {
            Weights::Direct(weights) => weights.bytes(),
            Weights::Stem(weights) => weights.bytes(),
            Weights::Winograd(weights) => weights.own_bytes(),
        };
        assert_eq!(taken, Convolution::bytes(case.geometry, case.method), "{:?}", case.method);
    }
}
