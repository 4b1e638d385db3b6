//! Maps with the channels last, and what is done to sums before they become values of one.

use pulp::Simd;

/// A map `[n, z, y, x, channels]`.
#[derive(Clone, Copy, Debug)]
pub struct Map<'a> {
    /// Its values.
    pub values: &'a [f32],
    /// Along z, y, x.
    pub size: [usize; 3],
    /// Values of a voxel.
    pub n_channels: usize,
}

impl Map<'_> {
    /// Number of maps.
    pub fn n(&self) -> usize {
        let of_one = self.size.iter().product::<usize>() * self.n_channels;
        self.values.len().checked_div(of_one).unwrap_or(0)
    }
}

/// What is done to the sums of a convolution.
#[derive(Clone, Copy, Debug)]
pub struct Finish<'a> {
    /// Added, of the shape of the output.
    pub summand: Option<&'a [f32]>,
    /// Whether what is below 0 then becomes 0.
    pub relu: bool,
}

impl Finish<'_> {
    /// Of some channels of a voxel, which begin at `start` in the output.
    #[inline(always)]
    pub fn apply<S: Simd>(self, simd: S, sum: S::f32s, bias: S::f32s, start: usize) -> S::f32s {
        let mut value = simd.add_f32s(sum, bias);
        if let Some(summand) = self.summand {
            value = simd.add_f32s(value, load::<S>(summand, start));
        }
        // In this order NaN stays NaN.
        if self.relu { simd.max_f32s(simd.splat_f32s(0.0), value) } else { value }
    }
}

/// A register full of values from `start` on.
#[inline(always)]
pub fn load<S: Simd>(values: &[f32], start: usize) -> S::f32s {
    S::as_simd_f32s(&values[start..][..S::F32_LANES]).0[0]
}

/// Writes a register to the values from `start` on.
#[inline(always)]
pub fn store<S: Simd>(values: &mut [f32], start: usize, register: S::f32s) {
    S::as_mut_simd_f32s(&mut values[start..][..S::F32_LANES]).0[0] = register;
}
