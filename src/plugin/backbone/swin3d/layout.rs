//! How a map of tokens is cut into windows, and put together again.

use tch::{Device, Kind, Tensor};

use super::WINDOW;
use crate::{
    backbone::ledger::{self, F32},
    error::Result,
};

/// How the windows lie over a map of tokens.
pub struct Layout {
    /// Size of the map along z, y, x.
    size: [i64; 3],
    /// The same, padded to whole windows.
    padded: [i64; 3],
    /// Size of a window: along an axis that is no longer than a window, that of the map.
    window: [i64; 3],
    /// How far the windows are shifted: not at all along an axis with one window.
    shift: [i64; 3],
}

impl Layout {
    pub fn new(size: [i64; 3], shifted: bool) -> Layout {
        let window: [i64; 3] = std::array::from_fn(|axis| size[axis].min(WINDOW[axis]));
        let missing = missing(size, window);
        Layout {
            size,
            padded: std::array::from_fn(|axis| size[axis] + missing[axis]),
            window,
            shift: std::array::from_fn(|axis| match shifted && size[axis] > WINDOW[axis] {
                true => WINDOW[axis] / 2,
                false => 0,
            }),
        }
    }

    pub fn is_shifted(&self) -> bool {
        self.shift != [0; 3]
    }

    /// Tokens of a window.
    pub fn volume(&self) -> i64 {
        self.window.iter().product()
    }

    /// Windows along z, y, x.
    fn grid(&self) -> [i64; 3] {
        std::array::from_fn(|axis| self.padded[axis] / self.window[axis])
    }

    pub fn n_windows(&self) -> i64 {
        self.grid().iter().product()
    }

    /// From a map `[n, z, y, x, c]` to windows `[n * windows, tokens, c]`.
    pub fn partition(&self, map: &Tensor) -> Result<Tensor> {
        let (n, _, _, _, c) = map.size5()?;
        let [z, y, x]: [i64; 3] = std::array::from_fn(|axis| self.padded[axis] - self.size[axis]);
        let mut map = map.shallow_clone();
        if [z, y, x] != [0; 3] {
            map = map.f_constant_pad_nd([0, 0, 0, x, 0, y, 0, z])?;
        }
        if self.is_shifted() {
            map = map.f_roll(self.shift.map(|shift| -shift), [1, 2, 3])?;
        }
        let ([grid_z, grid_y, grid_x], [z, y, x]) = (self.grid(), self.window);
        let windows = map
            .f_reshape([n, grid_z, z, grid_y, y, grid_x, x, c])?
            .f_permute([0, 1, 3, 5, 2, 4, 6, 7])?
            .f_reshape([n * self.n_windows(), self.volume(), c])?;
        ledger::folded(self.n_windows(), || ledger::enter(&windows, F32, 0));
        Ok(windows)
    }

    /// From windows `[n * windows, tokens, c]` back to a map `[n, z, y, x, c]`.
    pub fn join(&self, windows: Tensor, [n, c]: [i64; 2]) -> Result<Tensor> {
        let ([grid_z, grid_y, grid_x], [z, y, x]) = (self.grid(), self.window);
        let [padded_z, padded_y, padded_x] = self.padded;
        let mut map = windows
            .f_reshape([n, grid_z, grid_y, grid_x, z, y, x, c])?
            .f_permute([0, 1, 4, 2, 5, 3, 6, 7])?
            .f_reshape([n, padded_z, padded_y, padded_x, c])?;
        drop(windows);
        ledger::enter(&map, F32, 0);
        if self.is_shifted() {
            map = map.f_roll(self.shift, [1, 2, 3])?;
        }
        for (axis, size) in (1..).zip(self.size) {
            map = map.f_narrow(axis, 0, size)?;
        }
        Ok(map)
    }

    /// -100 between tokens that the shift has brought into one window from opposite ends of the map, else 0:
    /// `[windows, tokens, tokens]`.
    pub fn mask(&self, device: Device) -> Result<Tensor> {
        // Along an axis the last window holds the map's end and, behind it, what was its beginning.
        let region = |axis: usize, place: i64| {
            let (size, window, shift) = (self.padded[axis], self.window[axis], self.shift[axis]);
            i64::from(place >= size - window) + i64::from(place >= size - shift)
        };
        let [n_z, n_y, n_x] = self.padded;
        let regions: Vec<i64> = (0..n_z * n_y * n_x)
            .map(|token| {
                let place = [token / (n_y * n_x), token / n_x % n_y, token % n_x];
                (0..3).fold(0, |sum, axis| 3 * sum + region(axis, place[axis]))
            })
            .collect();
        let ([grid_z, grid_y, grid_x], [z, y, x]) = (self.grid(), self.window);
        let regions = Tensor::f_from_slice(&regions)?
            .f_reshape([grid_z, z, grid_y, y, grid_x, x])?
            .f_permute([0, 2, 4, 1, 3, 5])?
            .f_reshape([self.n_windows(), self.volume()])?
            .f_to_device(device)?;
        let apart = regions.f_unsqueeze(1)?.f_ne_tensor(&regions.f_unsqueeze(2)?)?;
        Ok(apart.f_to_kind(Kind::Float)?.f_mul_scalar(-100.0)?)
    }
}

/// What is missing to a multiple of `unit` along z, y, x.
pub fn missing(size: [i64; 3], unit: [i64; 3]) -> [i64; 3] {
    std::array::from_fn(|axis| (unit[axis] - size[axis] % unit[axis]) % unit[axis])
}
