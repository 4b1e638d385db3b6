//! Inception-v1 with its kernels inflated along time: what I3D and S3D have in common.
//!
//! Carreira & Zisserman 2017, "Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset", figure 3,
//! <https://arxiv.org/abs/1705.07750>; the widths are those of Szegedy et al. 2015, "Going Deeper with Convolutions",
//! table 1, <https://arxiv.org/abs/1409.4842>.

use tch::Tensor;

use super::{
    BatchNormMode, Stage, View,
    layers::{Chain, Padding, average, concatenate, max_pool3d, spatial_size},
    ledger,
    precision::single,
};
use crate::{error::Result, parameters::Parameters};

/// How a family inflates the network, and names it.
pub struct Inflation {
    /// What the names of a stage's tensors begin with.
    pub prefixes: [&'static str; 12],
    /// What follows for the convolutions of a module: branch 0, the two of branch 1, the two of branch 2, branch 3.
    pub branches: [&'static str; 6],
    /// How pools treat their borders.
    pub padding: Padding,
    /// Creates what stands for a convolution.
    pub unit: fn(&mut Parameters, &str, Unit) -> Result<Chain>,
}

/// A convolution of Inception-v1, inflated or yet to be.
#[derive(Clone, Copy, Debug)]
pub struct Unit {
    /// Input and output channels.
    pub channels: [i64; 2],
    /// Kernel size along each axis.
    pub kernel: i64,
    /// Stride along each axis.
    pub stride: i64,
}

/// Names of the stages before the pooling one, as in figure 3 and the authors' code.
#[rustfmt::skip]
pub const STAGES: [&str; 12] = [
    "Conv3d_1a_7x7", "Conv3d_2b_1x1", "Conv3d_2c_3x3", "Mixed_3b", "Mixed_3c", "Mixed_4b",
    "Mixed_4c", "Mixed_4d", "Mixed_4e", "Mixed_4f", "Mixed_5b", "Mixed_5c",
];

/// A maximum pool ahead of a stage: kernel and stride.
type Pool = ([i64; 3], [i64; 3]);

const PLANE: Option<Pool> = Some(([1, 3, 3], [1, 2, 2]));
const CUBE_3: Option<Pool> = Some(([3, 3, 3], [2, 2, 2]));
const CUBE_2: Option<Pool> = Some(([2, 2, 2], [2, 2, 2]));

/// The stages before the modules.
const CONVOLUTIONS: [(Option<Pool>, Unit); 3] = [
    (None, Unit { channels: [3, 64], kernel: 7, stride: 2 }),
    (PLANE, Unit { channels: [64, 64], kernel: 1, stride: 1 }),
    (None, Unit { channels: [64, 192], kernel: 3, stride: 1 }),
];

/// Output channels of a module's branches: `[0a]`, `[0a, 0b]`, `[0a, 0b]`, `[0b]`.
type Widths = ([i64; 1], [i64; 2], [i64; 2], [i64; 1]);

#[rustfmt::skip]
const MODULES: [(Option<Pool>, Widths); 9] = [
    (PLANE,  ([64],  [96, 128],  [16, 32],  [32])),
    (None,   ([128], [128, 192], [32, 96],  [64])),
    (CUBE_3, ([192], [96, 208],  [16, 48],  [64])),
    (None,   ([160], [112, 224], [24, 64],  [64])),
    (None,   ([128], [128, 256], [24, 64],  [64])),
    (None,   ([112], [144, 288], [32, 64],  [64])),
    (None,   ([256], [160, 320], [32, 128], [128])),
    (CUBE_2, ([256], [160, 320], [32, 128], [128])),
    (None,   ([384], [192, 384], [48, 128], [128])),
];

/// The stages from grey input `[n, 1, z, y, x]` to features `[n, 1024]`.
pub fn build(parameters: &mut Parameters, inflation: &Inflation) -> Result<Vec<Stage>> {
    let padding = inflation.padding;
    let mut stages: Vec<Stage> = Vec::new();
    for (index, (pool, unit)) in CONVOLUTIONS.into_iter().enumerate() {
        parameters.set_stage(index);
        let chain = (inflation.unit)(parameters, inflation.prefixes[index], unit)?;
        let through = if index == 0 { Chain::rectified_grey } else { Chain::rectified };
        stages.push(Stage {
            name: STAGES[index],
            view: View::Map,
            forward: Box::new(move |x, pass| {
                through(&chain, &pooled(x, pool, padding)?, pass.batch_norm)
            }),
        });
    }
    let mut n_channels = 192;
    for (index, (pool, widths)) in (CONVOLUTIONS.len()..).zip(MODULES) {
        parameters.set_stage(index);
        let prefix = inflation.prefixes[index];
        let module = Module::new(parameters, inflation, prefix, n_channels, widths)?;
        n_channels = module.n_out;
        stages.push(Stage {
            name: STAGES[index],
            view: View::Map,
            forward: Box::new(move |x, pass| {
                module.forward(&pooled(x, pool, padding)?, pass.batch_norm)
            }),
        });
    }
    stages.push(Stage {
        name: "AvgPool",
        view: View::Pooled,
        forward: Box::new(|x, _| average_pool(x)),
    });
    Ok(stages)
}

/// The inflated Inception module ("Inc." in figure 3): four branches, concatenated along channels.
struct Module {
    branches: [Chain; 4],
    padding: Padding,
    n_out: i64,
}

impl Module {
    fn new(
        parameters: &mut Parameters,
        inflation: &Inflation,
        prefix: &str,
        n_in: i64,
        ([a], [b_0, b_1], [c_0, c_1], [d]): Widths,
    ) -> Result<Module> {
        let mut unit = |place: usize, channels: [i64; 2], kernel: i64| {
            let name = format!("{prefix}{}", inflation.branches[place]);
            (inflation.unit)(parameters, &name, Unit { channels, kernel, stride: 1 })
        };
        Ok(Module {
            branches: [
                unit(0, [n_in, a], 1)?,
                unit(1, [n_in, b_0], 1)?.then(unit(2, [b_0, b_1], 3)?),
                unit(3, [n_in, c_0], 1)?.then(unit(4, [c_0, c_1], 3)?),
                unit(5, [n_in, d], 1)?,
            ],
            padding: inflation.padding,
            n_out: a + b_1 + c_1 + d,
        })
    }

    fn forward(&self, x: &Tensor, mode: BatchNormMode) -> Result<Tensor> {
        let [branch_0, branch_1, branch_2, branch_3] = &self.branches;
        // On the way back branches wait for the one after them, and their parts of the gradient keep all of it.
        let joining = |branch: &Chain| ledger::joining(x, || branch.rectified(x, mode));
        let outputs = ledger::waiting(ledger::of_map(x, self.n_out), || -> Result<_> {
            Ok([
                joining(branch_0)?,
                joining(branch_1)?,
                joining(branch_2)?,
                branch_3.rectified(&max_pool3d(x, [3; 3], [1; 3], self.padding)?, mode)?,
            ])
        })?;
        concatenate(&outputs)
    }
}

fn pooled(x: &Tensor, pool: Option<Pool>, padding: Padding) -> Result<Tensor> {
    match pool {
        Some((kernel, stride)) => max_pool3d(x, kernel, stride, padding),
        None => Ok(x.shallow_clone()),
    }
}

/// Features `[n, 1024]` of `[n, 1024, z, y, x]`: averages over 2 x 7 x 7 windows, then over all windows.
///
/// The authors' head is linear and averages its scores over the windows, so averaging the features first gives the same
/// scores. Windows of that size fill y and x of a video; smaller inputs get smaller windows here, and larger ones more
/// windows, all of them averaged.
fn average_pool(x: &Tensor) -> Result<Tensor> {
    let [z, y, x_size] = spatial_size(x)?;
    let window = [z.min(2), y.min(7), x_size.min(7)];
    average(&single(x)?.f_avg_pool3d(window, [1; 3], [0; 3], false, true, None)?)
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    #[test]
    fn boxes_of_any_size_are_averaged_over_windows() {
        let value = |position: [i64; 3]| {
            position.iter().fold(0.5, |sum, i| sum * 1.7 + (*i as f64 * 2.3).sin())
        };
        for (size, window) in [
            ([1, 1, 1], [1, 1, 1]),
            ([2, 7, 7], [2, 7, 7]),
            ([3, 4, 7], [2, 4, 7]),
            ([1, 9, 8], [1, 7, 7]),
            ([5, 3, 10], [2, 3, 7]),
        ] {
            let positions = |size: [i64; 3]| {
                let [z, y, x] = size;
                (0..z * y * x).map(move |i| [i / (y * x), i / x % y, i % x])
            };
            let starts: [i64; 3] = std::array::from_fn(|axis| size[axis] - window[axis] + 1);
            let n_windows = starts.iter().product::<i64>() as f64;
            let of_window = |start: [i64; 3]| {
                let inside = positions(window)
                    .map(|at| value(std::array::from_fn(|axis| start[axis] + at[axis])));
                inside.sum::<f64>() / window.iter().product::<i64>() as f64
            };
            let expected = positions(starts).map(of_window).sum::<f64>() / n_windows;

            let values: Vec<f64> = positions(size).map(value).collect();
            let [z, y, x] = size;
            let input = Tensor::from_slice(&values).reshape([1, 1, z, y, x]);
            let found = average_pool(&input).expect("averages");
            assert_eq!((found.size(), found.kind()), (vec![1, 1], Kind::Double));
            assert!((found.double_value(&[0, 0]) - expected).abs() < 1e-12, "{size:?}");
        }
    }
}
