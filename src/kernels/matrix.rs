//! Matrix products whose right factor is packed once and used many times.

use std::{collections::TryReserveError, ops::Range};

use pulp::Simd;

use crate::{convolution::zeros, threads::divided};

/// Columns of a panel: as many as fill the widest registers, and a multiple of what fills the others.
pub const PANEL: usize = 16;

/// Rows that are multiplied at once: with four panels of AVX-512, or one of AVX2, what the registers hold.
pub const ROWS: usize = 6;

/// A matrix `[k, n]` in panels of 16 columns, `[n / 16, k, 16]`; the last is filled up with zeros.
pub struct Packed {
    values: Vec<f32>,
    n_rows: usize,
}

impl Packed {
    /// Packs weights `[n_out, n_in, taps]` as the matrix `[taps * n_in, n_out]` on up to `n_threads` threads. Fails if there is no memory.
    pub fn new(
        weights: &[f32],
        [n_in, n_out]: [usize; 2],
        n_threads: usize,
    ) -> Result<Packed, TryReserveError> {
        let n_taps = weights.len() / (n_in * n_out).max(1);
        let n_rows = n_taps * n_in;
        let mut values = zeros(n_out.div_ceil(PANEL) * n_rows * PANEL)?;
        let (n_panels, start) = (n_out.div_ceil(PANEL), |panel: usize| panel * n_rows * PANEL);
        divided(n_threads, n_panels, start, &mut values, |panels, out| {
            for (panel, out) in panels.zip(out.chunks_exact_mut(n_rows * PANEL)) {
                let columns = panel * PANEL..n_out.min((panel + 1) * PANEL);
                let weights = &weights[columns.start * n_rows..columns.end * n_rows];
                // The taps of a column and channel lie together here; there a tap of all columns does. Both are read and written as wholes, as columns here and
                // taps there lie at distances that a cache has little room for.
                let mut taps = vec![[0.0; PANEL]; n_taps];
                for channel in 0..n_in {
                    for (lane, column) in weights.chunks_exact(n_rows).enumerate() {
                        let of_column = &column[channel * n_taps..][..n_taps];
                        for (lanes, value) in std::iter::zip(&mut taps, of_column) {
                            lanes[lane] = *value;
                        }
                    }
                    for (tap, lanes) in taps.iter().enumerate() {
                        out[(tap * n_in + channel) * PANEL..][..PANEL].copy_from_slice(lanes);
                    }
                }
            }
        });
        Ok(Packed { values, n_rows })
    }

    /// It, to multiply with.
    fn panels(&self) -> Panels<'_> {
        let n_panels = self.values.len() / (self.n_rows * PANEL).max(1);
        let (values, n_rows) = (&self.values[..], self.n_rows);
        Panels { values, n_rows, n_panels, step: n_rows * PANEL }
    }

    /// Bytes that it takes.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        size_of_val(&self.values[..])
    }

    /// `out` `[rows, n_columns]` becomes `a` `[rows, band]` times a band of this matrix's rows. With `add`, the product is added to `out`.
    #[inline(always)]
    pub fn multiply_rows<S: Simd>(
        &self,
        simd: S,
        a: &[f32],
        band: Range<usize>,
        out: &mut [f32],
        add: bool,
    ) {
        let lines = std::iter::once(Line { values: a, first_row: band.start });
        self.multiply_lines(simd, Lines { lines, step: band.len(), length: band.len() }, out, add);
    }

    /// `out` `[rows, n_columns]` becomes the sum over `lines` of the products of their windows with as many of this matrix's rows. Row r of `out` has
    /// windows that begin at `r * step`. With `add`, the sum is added to `out`.
    #[inline(always)]
    pub fn multiply_lines<'a, S: Simd>(
        &self,
        simd: S,
        lines: Lines<impl Iterator<Item = Line<'a>> + Clone>,
        out: &mut [f32],
        add: bool,
    ) {
        Product { simd, lines, b: self.panels(), add }.write(out);
    }
}

/// A matrix `[k, n]` whose panels lie anywhere in some values, at regular distances.
#[derive(Clone, Copy)]
pub struct Panels<'a> {
    /// The values, from the first panel on.
    pub values: &'a [f32],
    /// k.
    pub n_rows: usize,
    /// n / 16.
    pub n_panels: usize,
    /// Values from one panel to the next.
    pub step: usize,
}

impl Panels<'_> {
    /// `out` `[rows, n]` becomes `a` `[rows, k]` times this.
    #[inline(always)]
    pub fn multiply<S: Simd>(self, simd: S, a: &[f32], out: &mut [f32]) {
        let lines = std::iter::once(Line { values: a, first_row: 0 });
        let lines = Lines { lines, step: self.n_rows, length: self.n_rows };
        Product { simd, lines, b: self, add: false }.write(out);
    }

    fn n_columns(self) -> usize {
        self.n_panels * PANEL
    }
}

/// Values with windows at regular distances, and which rows of a matrix these are multiplied with.
#[derive(Clone, Copy)]
pub struct Line<'a> {
    /// The values.
    pub values: &'a [f32],
    /// The first row; there are as many as a window has values.
    pub first_row: usize,
}

/// Lines with the same windows.
pub struct Lines<I> {
    /// They.
    pub lines: I,
    /// Values from the beginning of a window to that of the next.
    pub step: usize,
    /// Values of a window.
    pub length: usize,
}

/// A product in the making.
struct Product<'b, S, I> {
    simd: S,
    lines: Lines<I>,
    b: Panels<'b>,
    add: bool,
}

impl<'a, S: Simd, I: Iterator<Item = Line<'a>> + Clone> Product<'_, S, I> {
    #[inline(always)]
    fn write(&self, out: &mut [f32]) {
        match S::F32_LANES {
            16 => self.wide(out),
            8 => self.narrow::<2>(out),
            4 => self.narrow::<4>(out),
            _ => self.narrow::<PANEL>(out),
        }
    }

    /// With registers of a whole panel: four panels at once.
    #[inline(always)]
    fn wide(&self, out: &mut [f32]) {
        let n_panels = self.b.n_panels;
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
        for panel in 0..self.b.n_panels {
            self.panels::<1, V>(panel, out);
        }
    }

    /// `P` panels of the result, the first of which is `panel`; a panel takes `V` registers.
    #[inline(always)]
    fn panels<const P: usize, const V: usize>(&self, panel: usize, out: &mut [f32]) {
        let n_rows = out.len() / self.b.n_columns();
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
        let (simd, n) = (self.simd, self.b.n_columns());
        let Lines { step, length, .. } = self.lines;
        let mut sums = [[[simd.splat_f32s(0.0); V]; P]; R];
        for line in self.lines.lines.clone() {
            let a: [&[f32]; R] =
                std::array::from_fn(|r| &line.values[(row + r) * step..][..length]);
            let b: [&[S::f32s]; P] = std::array::from_fn(|p| {
                let start = (panel + p) * self.b.step + line.first_row * PANEL;
                S::as_simd_f32s(&self.b.values[start..][..length * PANEL]).0
            });
            for k in 0..length {
                let factors: [[S::f32s; V]; P] =
                    std::array::from_fn(|p| std::array::from_fn(|v| b[p][k * V + v]));
                for r in 0..R {
                    let factor = simd.splat_f32s(a[r][k]);
                    for p in 0..P {
                        for v in 0..V {
                            sums[r][p][v] =
                                simd.mul_add_e_f32s(factor, factors[p][v], sums[r][p][v]);
                        }
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
