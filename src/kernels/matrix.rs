//! Matrix products whose right factor is packed once and used many times.

use std::{collections::TryReserveError, ops::Range};

use pulp::Simd;

use crate::convolution::zeros;

/// Columns of a panel: as many as fill the widest registers, and a multiple of what fills the others.
pub const PANEL: usize = 16;

/// Rows that are multiplied at once: with four panels of AVX-512, or one of AVX2, what the registers hold.
const ROWS: usize = 6;

/// A matrix `[k, n]` in panels of 16 columns, `[n / 16, k, 16]`; the last is filled up with zeros.
pub struct Packed {
    values: Vec<f32>,
    n_rows: usize,
}

impl Packed {
    /// Packs the matrix with the value `value(row, column)`. Fails if there is no memory.
    pub fn new(
        n_rows: usize,
        n_columns: usize,
        value: impl Fn(usize, usize) -> f32,
    ) -> Result<Packed, TryReserveError> {
        let mut values = zeros(n_columns.div_ceil(PANEL) * n_rows * PANEL)?;
        for (index, value_there) in values.iter_mut().enumerate() {
            let (panel, row) = (index / (n_rows * PANEL), index / PANEL % n_rows);
            let column = panel * PANEL + index % PANEL;
            if column < n_columns {
                *value_there = value(row, column);
            }
        }
        Ok(Packed { values, n_rows })
    }

    /// Columns, with those of zeros.
    pub fn n_columns(&self) -> usize {
        self.values.len() / self.n_rows.max(1)
    }

    /// `out` `[rows, n_columns]` becomes `a` `[rows, k]` times this.
    #[inline(always)]
    pub fn multiply<S: Simd>(&self, simd: S, a: &[f32], out: &mut [f32]) {
        self.multiply_rows(simd, a, 0..self.n_rows, out, false);
    }

    /// The same with a band of this matrix's rows: `a` is `[rows, band]`. With `add`, the product is added to `out`.
    #[inline(always)]
    pub fn multiply_rows<S: Simd>(
        &self,
        simd: S,
        a: &[f32],
        band: Range<usize>,
        out: &mut [f32],
        add: bool,
    ) {
        let product = Product { simd, a, b: self, band, add };
        match S::F32_LANES {
            16 => product.wide(out),
            8 => product.narrow::<2>(out),
            4 => product.narrow::<4>(out),
            _ => product.narrow::<PANEL>(out),
        }
    }
}

/// A product in the making.
struct Product<'a, S> {
    simd: S,
    a: &'a [f32],
    b: &'a Packed,
    band: Range<usize>,
    add: bool,
}

impl<S: Simd> Product<'_, S> {
    /// With registers of a whole panel: four panels at once.
    #[inline(always)]
    fn wide(&self, out: &mut [f32]) {
        let n_panels = self.b.n_columns() / PANEL;
        let mut panel = 0;
        while panel + 4 <= n_panels {
            self.panels::<4, 1>(panel, out);
            panel += 4;
        }
        if panel + 2 <= n_panels {
            self.panels::<2, 1>(panel, out);
            panel += 2;
        }
        if panel < n_panels {
            self.panels::<1, 1>(panel, out);
        }
    }

    /// With registers of a fraction of a panel.
    #[inline(always)]
    fn narrow<const V: usize>(&self, out: &mut [f32]) {
        for panel in 0..self.b.n_columns() / PANEL {
            self.panels::<1, V>(panel, out);
        }
    }

    /// `P` panels of the result, the first of which is `panel`; a panel takes `V` registers.
    #[inline(always)]
    fn panels<const P: usize, const V: usize>(&self, panel: usize, out: &mut [f32]) {
        let k = self.band.len();
        let n_rows = self.a.len() / k;
        let mut row = 0;
        while row + ROWS <= n_rows {
            self.block::<ROWS, P, V>(row, panel, out);
            row += ROWS;
        }
        if row + 4 <= n_rows {
            self.block::<4, P, V>(row, panel, out);
            row += 4;
        }
        if row + 2 <= n_rows {
            self.block::<2, P, V>(row, panel, out);
            row += 2;
        }
        if row < n_rows {
            self.block::<1, P, V>(row, panel, out);
        }
    }

    /// `R` rows of `P` panels of the result.
    #[inline(always)]
    fn block<const R: usize, const P: usize, const V: usize>(
        &self,
        row: usize,
        panel: usize,
        out: &mut [f32],
    ) {
        let (simd, k, n) = (self.simd, self.band.len(), self.b.n_columns());
        let a: [&[f32]; R] = std::array::from_fn(|r| &self.a[(row + r) * k..][..k]);
        let b: [&[S::f32s]; P] = std::array::from_fn(|p| {
            let start = (panel + p) * self.b.n_rows + self.band.start;
            let (panel, _) = S::as_simd_f32s(&self.b.values[start * PANEL..][..k * PANEL]);
            &panel[..k * V]
        });
        let mut sums = [[[simd.splat_f32s(0.0); V]; P]; R];
        for step in 0..k {
            let factors: [[S::f32s; V]; P] =
                std::array::from_fn(|p| std::array::from_fn(|v| b[p][step * V + v]));
            for r in 0..R {
                let factor = simd.splat_f32s(a[r][step]);
                for p in 0..P {
                    for v in 0..V {
                        sums[r][p][v] = simd.mul_add_e_f32s(factor, factors[p][v], sums[r][p][v]);
                    }
                }
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            let there = &mut out[(row + r) * n + panel * PANEL..][..P * PANEL];
            let (there, _) = S::as_mut_simd_f32s(there);
            for (there, sum) in there.iter_mut().zip(sums.as_flattened()) {
                *there = if self.add { simd.add_f32s(*there, *sum) } else { *sum };
            }
        }
    }
}
