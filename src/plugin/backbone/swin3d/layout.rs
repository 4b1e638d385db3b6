//! How a map of tokens is cut into windows, and put together again.

use cinetomo_kernels::{Groups, Member};
use tch::{Device, Kind, Tensor};

use super::WINDOW;
use crate::{backbone::ledger, error::Result};

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

    /// The tokens of a map `[z, y, x, c]` that attend to each other, without any copy: those of a window, but for pairs that the shift has brought into it
    /// from opposite ends of the map. (Where the network is trained, such a pair gets -100, which leaves e^-100 of its weight.)
    pub fn groups(&self) -> Groups {
        let n_windows: [i64; 3] = std::array::from_fn(|axis| self.padded[axis] / self.window[axis]);
        let windows = places(n_windows).flat_map(|window| {
            let mut by_side = vec![Vec::new(); 8];
            for (place, in_window) in places(self.window).enumerate() {
                let mut side = 0;
                let mut is_token = true;
                let at: [i64; 3] = std::array::from_fn(|axis| {
                    let is_last = window[axis] + 1 == n_windows[axis];
                    let is_behind =
                        is_last && in_window[axis] >= self.window[axis] - self.shift[axis];
                    side = 2 * side + usize::from(is_behind);
                    let rolled = window[axis] * self.window[axis] + in_window[axis];
                    let at = (rolled + self.shift[axis]) % self.padded[axis];
                    is_token &= at < self.size[axis];
                    at
                });
                let [_, n_y, n_x] = self.size;
                let token = is_token.then_some(((at[0] * n_y + at[1]) * n_x + at[2]) as usize);
                by_side[side].push(Member { token, place });
            }
            by_side
        });
        let has_tokens = |group: &Vec<Member>| group.iter().any(|member| member.token.is_some());
        Groups::new(self.size.iter().product::<i64>() as usize, windows.filter(has_tokens))
    }

    /// From a map `[n, z, y, x, c]` to one of whole windows, which begin at its corner: padded, and rolled by the shift.
    pub fn align(&self, map: &Tensor) -> Result<Tensor> {
        let [z, y, x]: [i64; 3] = std::array::from_fn(|axis| self.padded[axis] - self.size[axis]);
        let mut map = map.shallow_clone();
        if [z, y, x] != [0; 3] {
            map = map.f_constant_pad_nd([0, 0, 0, x, 0, y, 0, z])?;
        }
        if self.is_shifted() {
            map = map.f_roll(self.shift.map(|shift| -shift), [1, 2, 3])?;
        }
        Ok(map)
    }

    /// From an aligned map back to one of the size that it had.
    pub fn restore(&self, mut map: Tensor) -> Result<Tensor> {
        if self.is_shifted() {
            map = map.f_roll(self.shift, [1, 2, 3])?;
        }
        for (axis, size) in (1..).zip(self.size) {
            map = map.f_narrow(axis, 0, size)?;
        }
        Ok(map)
    }

    /// Cuts an aligned map in up to eight parts, all of whose windows need the same mask, and joins what `inner` makes of
    /// them. It is told along which axes the windows of a part hold both ends of the map.
    pub fn by_seam(
        &self,
        map: &Tensor,
        inner: &dyn Fn(&Tensor, [bool; 3]) -> Result<Tensor>,
    ) -> Result<Tensor> {
        self.cut(map, 0, [false; 3], inner)
    }

    fn cut(
        &self,
        map: &Tensor,
        axis: usize,
        at_seam: [bool; 3],
        inner: &dyn Fn(&Tensor, [bool; 3]) -> Result<Tensor>,
    ) -> Result<Tensor> {
        if axis == 3 {
            return inner(map, at_seam);
        }
        if self.shift[axis] == 0 {
            return self.cut(map, axis + 1, at_seam, inner);
        }
        let (window, dimension) = (self.window[axis], axis as i64 + 1);
        let before = self.padded[axis] - window;
        let mut at_this = at_seam;
        at_this[axis] = true;
        let first = map.f_narrow(dimension, 0, before)?;
        let last = map.f_narrow(dimension, before, window)?;
        let parts = [
            self.cut(&first, axis + 1, at_seam, inner)?,
            self.cut(&last, axis + 1, at_this, inner)?,
        ];
        let joined = Tensor::f_cat(&parts, dimension)?;
        ledger::enter_for_inference(&joined);
        Ok(joined)
    }

    /// Windows of an aligned map, or of a part of one, along z, y, x.
    fn grid(&self, map: &Tensor) -> Result<[i64; 3]> {
        let (_, z, y, x, _) = map.size5()?;
        Ok([z / self.window[0], y / self.window[1], x / self.window[2]])
    }

    /// From an aligned map `[n, z, y, x, c]`, or a part of one, to windows `[n * windows, tokens, c]`, and how many there
    /// are in each of the batch.
    pub fn partition(&self, map: &Tensor) -> Result<(Tensor, i64)> {
        let (n, _, _, _, c) = map.size5()?;
        let ([grid_z, grid_y, grid_x], [z, y, x]) = (self.grid(map)?, self.window);
        let n_windows = grid_z * grid_y * grid_x;
        let windows = map
            .f_reshape([n, grid_z, z, grid_y, y, grid_x, x, c])?
            .f_permute([0, 1, 3, 5, 2, 4, 6, 7])?
            .f_reshape([n * n_windows, self.volume(), c])?;
        // Gradients need them in the place of the map.
        ledger::folded(n_windows, || ledger::enter_for_inference(&windows));
        Ok((windows, n_windows))
    }

    /// From the windows `[n * windows, tokens, c]` of `map` to a map like it.
    pub fn join(&self, windows: Tensor, map: &Tensor) -> Result<Tensor> {
        let (n, _, _, _, c) = map.size5()?;
        let ([grid_z, grid_y, grid_x], [z, y, x]) = (self.grid(map)?, self.window);
        let joined = windows
            .f_reshape([n, grid_z, grid_y, grid_x, z, y, x, c])?
            .f_permute([0, 1, 4, 2, 5, 3, 6, 7])?
            .f_reshape(map.size())?;
        // Gradients need it in the place of the windows.
        ledger::enter_for_inference(&joined);
        Ok(joined)
    }

    /// -100 between tokens that the shift has brought into one window from opposite ends of the map, else 0:
    /// `[tokens, tokens]`.
    pub fn mask(&self, at_seam: [bool; 3], device: Device) -> Result<Tensor> {
        let [_, n_y, n_x] = self.window;
        // Along an axis a window at the seam holds the map's end and, behind it, what was its beginning.
        let is_behind = |axis: usize, place: i64| {
            at_seam[axis] && place >= self.window[axis] - self.shift[axis]
        };
        let sides: Vec<i64> = (0..self.volume())
            .map(|token| {
                let place = [token / (n_y * n_x), token / n_x % n_y, token % n_x];
                (0..3).fold(0, |sides, axis| 2 * sides + i64::from(is_behind(axis, place[axis])))
            })
            .collect();
        let sides = Tensor::f_from_slice(&sides)?.f_to_device(device)?;
        let apart = sides.f_unsqueeze(0)?.f_ne_tensor(&sides.f_unsqueeze(1)?)?;
        Ok(apart.f_to_kind(Kind::Float)?.f_mul_scalar(-100.0)?)
    }
}

/// The places of a grid in raster order.
fn places([n_z, n_y, n_x]: [i64; 3]) -> impl Iterator<Item = [i64; 3]> {
    (0..n_z * n_y * n_x).map(move |index| [index / (n_y * n_x), index / n_x % n_y, index % n_x])
}

/// What is missing to a multiple of `unit` along z, y, x.
pub fn missing(size: [i64; 3], unit: [i64; 3]) -> [i64; 3] {
    std::array::from_fn(|axis| (unit[axis] - size[axis] % unit[axis]) % unit[axis])
}
