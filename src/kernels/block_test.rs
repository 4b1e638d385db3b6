use super::*;
use crate::attention::Member;

const N_CHANNELS: usize = 48;
const N_HIDDEN: usize = 80;
const N_HEADS: usize = 3;
const EPSILON: f64 = 1e-3;

/// Numbers from -1 to 1 that repeat nowhere.
fn waves(n: usize, frequency: f64) -> Vec<f32> {
    (0..n).map(|index| (index as f64 * (frequency + index as f64 * 1e-3)).sin() as f32).collect()
}

/// The tensors of a block: of each layer weight and bias.
struct Tensors {
    norms: [[Vec<f32>; 2]; 2],
    /// qkv, projection and the two of the perceptron.
    linear: [[Vec<f32>; 2]; 4],
}

impl Tensors {
    fn new() -> Tensors {
        let n = N_CHANNELS;
        let norm = |frequency| [waves(n, frequency), waves(n, frequency + 0.1)];
        let layer = |n_out: usize, n_in: usize, frequency: f64| {
            let scale = 2.0 / (n_in as f32).sqrt();
            let weight = waves(n_out * n_in, frequency).iter().map(|value| value * scale).collect();
            [weight, waves(n_out, frequency + 0.1)]
        };
        let linear = [
            layer(3 * n, n, 0.31),
            layer(n, n, 0.47),
            layer(N_HIDDEN, n, 0.71),
            layer(n, N_HIDDEN, 0.93),
        ];
        Tensors { norms: [norm(1.1), norm(1.7)], linear }
    }

    fn block(&self) -> Block {
        let norm = |[weight, bias]: &[Vec<f32>; 2]| Norm {
            weight: weight.clone(),
            bias: bias.clone(),
            epsilon: EPSILON as f32,
        };
        let [qkv, projection, first, second] =
            self.linear.each_ref().map(|[weight, bias]| Linear::new(weight, bias, 2).unwrap());
        Block {
            norm: norm(&self.norms[0]),
            qkv,
            projection,
            mlp: Perceptron {
                norm: norm(&self.norms[1]),
                layers: [first, second],
                gelu: Gelu::Tanh,
            },
            n_heads: N_HEADS,
        }
    }
}

/// What is said of a block, word for word, in double precision: of one sample.
fn expected(
    tensors: &Tensors,
    tokens: &[f32],
    groups: &[Vec<Member>],
    bias: Option<&[f32]>,
) -> Vec<f64> {
    let n = N_CHANNELS;
    let linear = |index: usize, row: &[f64]| -> Vec<f64> {
        let [weight, bias] = &tensors.linear[index];
        let of_output = |(weights, bias): (&[f32], &f32)| {
            f64::from(*bias) + weights.iter().zip(row).map(|(a, b)| f64::from(*a) * b).sum::<f64>()
        };
        weight.chunks(row.len()).zip(bias).map(of_output).collect()
    };
    let norm = |index: usize, row: &[f64]| -> Vec<f64> {
        let [weight, bias] = &tensors.norms[index];
        let mean = row.iter().sum::<f64>() / n as f64;
        let variance = row.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n as f64;
        let of_channel = |channel: usize| {
            (row[channel] - mean) / (variance + EPSILON).sqrt() * f64::from(weight[channel])
                + f64::from(bias[channel])
        };
        (0..n).map(of_channel).collect()
    };
    let mut rows: Vec<Vec<f64>> =
        tokens.chunks(n).map(|row| row.iter().map(|value| f64::from(*value)).collect()).collect();
    let qkv: Vec<Vec<f64>> = rows.iter().map(|row| linear(0, &norm(0, row))).collect();
    let of_padding: Vec<f64> = tensors.linear[0][1].iter().map(|value| f64::from(*value)).collect();
    let of_token = |token: Option<usize>| token.map_or(&of_padding, |token| &qkv[token]);
    let n_head = n / N_HEADS;
    let n_places = bias.map_or(0, |bias| (bias.len() / N_HEADS).isqrt());
    for group in groups {
        for query in group {
            let Some(token) = query.token else { continue };
            let mut attended = Vec::new();
            for head in 0..N_HEADS {
                let [of_queries, of_keys, of_values] = [0, 1, 2]
                    .map(|which| which * n + head * n_head..which * n + (head + 1) * n_head);
                let score = |key: &Member| {
                    let product = qkv[token][of_queries.clone()]
                        .iter()
                        .zip(&of_token(key.token)[of_keys.clone()])
                        .map(|(a, b)| a * b)
                        .sum::<f64>();
                    let place = (head * n_places + query.place) * n_places + key.place;
                    product / (n_head as f64).sqrt()
                        + bias.map_or(0.0, |bias| f64::from(bias[place]))
                };
                let weights: Vec<f64> = group.iter().map(|key| score(key).exp()).collect();
                let sum = weights.iter().sum::<f64>();
                for channel in of_values {
                    let weighted = group.iter().zip(&weights);
                    let weighted =
                        weighted.map(|(key, weight)| of_token(key.token)[channel] * weight);
                    attended.push(weighted.sum::<f64>() / sum);
                }
            }
            let projected = linear(1, &attended);
            rows[token].iter_mut().zip(projected).for_each(|(value, branch)| *value += branch);
        }
    }
    for row in &mut rows {
        // Of no group at all, only this remains.
        let hidden = linear(2, &norm(1, row)).into_iter().map(|x| {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
            0.5 * x * (1.0 + inner.tanh())
        });
        let branch = linear(3, &hidden.collect::<Vec<f64>>());
        row.iter_mut().zip(branch).for_each(|(value, branch)| *value += branch);
    }
    rows.concat()
}

/// Tokens of three groups, with padding in one of them and places that have gaps.
fn scattered(n_tokens: usize) -> Vec<Vec<Member>> {
    let mut groups = vec![Vec::new(); 3];
    for token in 0..n_tokens {
        let group: &mut Vec<Member> =
            &mut groups[if token % 7 == 3 { 2 } else { token * 2 / n_tokens }];
        let place = group.last().map_or(1, |last| last.place + 1 + usize::from(token % 5 == 0));
        group.push(Member { token: Some(token), place });
        if token % 9 == 1 {
            group.push(Member { token: None, place: place + 1 });
        }
    }
    groups
}

fn assert_near(found: &[f32], expected: &[f64], tolerance: f64) {
    let greatest = expected.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(*found) - expected).abs() / greatest;
        assert!(error < tolerance, "value {index}: {found}, not {expected}");
    }
}

fn check(
    [n_samples, n_tokens]: [usize; 2],
    members: &[Vec<Member>],
    bias: Option<&[f32]>,
    tolerance: f64,
) {
    let tensors = Tensors::new();
    let block = tensors.block();
    let tokens = waves(n_samples * n_tokens * N_CHANNELS, 0.213);
    let groups = Groups::new(n_tokens, members.iter().cloned());
    let run = |n_threads| {
        let mut out = vec![f32::NAN; tokens.len()];
        block.run(&tokens, &groups, bias, &mut out, n_threads).unwrap();
        out
    };
    let found = run(1);
    let truth = tokens.chunks(n_tokens * N_CHANNELS);
    let truth: Vec<f64> =
        truth.flat_map(|tokens| expected(&tensors, tokens, members, bias)).collect();
    assert_near(&found, &truth, tolerance);
    for n_threads in [2, 5] {
        assert_eq!(run(n_threads), found, "{n_threads} threads");
    }
}

#[test]
fn a_block_is_that_of_double_precision() {
    let whole = |n: usize| vec![(0..n).map(|i| Member { token: Some(i), place: i }).collect()];
    for n_tokens in [1, 16, 50, 117] {
        check([1, n_tokens], &whole(n_tokens), None, 2e-6);
    }
    // Several samples at once, and the rest of them.
    check([7, 200], &whole(200), None, 2e-6);
    let members = scattered(117);
    let n_places = 1 + members.iter().flatten().map(|member| member.place).max().unwrap();
    let bias = waves(N_HEADS * n_places * n_places, 0.77);
    check([3, 117], &members, Some(&bias), 2e-6);
    check([2, 117], &members, None, 2e-6);
}

#[test]
fn a_perceptron_is_that_of_double_precision() {
    let tensors = Tensors::new();
    let tokens = waves(101 * N_CHANNELS, 0.213);
    let truth = expected(&tensors, &tokens, &[], None);
    for n_threads in [1, 3] {
        let mut out = vec![f32::NAN; tokens.len()];
        tensors.block().mlp.run(&tokens, &mut out, n_threads).unwrap();
        assert_near(&out, &truth, 2e-6);
    }
}

#[test]
fn scores_far_apart_and_nan_stay_what_they_are() {
    let tensors = Tensors::new();
    let mut tokens = waves(40 * N_CHANNELS, 0.213);
    let bias: Vec<f32> = waves(N_HEADS * 1600, 0.77).iter().map(|value| value * 300.0).collect();
    let members = vec![(0..40).map(|i| Member { token: Some(i), place: i }).collect()];
    // Scores of some hundreds are known to some 1e-5.
    check([1, 40], &members, Some(&bias), 1e-4);
    tokens[7] = f32::NAN;
    let mut out = vec![0.0; tokens.len()];
    tensors.block().run(&tokens, &Groups::whole(40), None, &mut out, 2).unwrap();
    assert!(out.iter().all(|value| value.is_nan()));
}

#[test]
fn pairs_are_counted() {
    assert_eq!(Groups::whole(50).n_pairs(), 2500);
    let members = scattered(117);
    let n_pairs = |group: &Vec<Member>| {
        group.iter().filter(|member| member.token.is_some()).count() * group.len()
    };
    let expected: usize = members.iter().map(n_pairs).sum();
    assert_eq!(Groups::new(117, members).n_pairs(), expected);
}
