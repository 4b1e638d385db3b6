//! The paper's variations: the same crop or affine map for every section of a subtomogram.
//!
//! Figures and definitions are those of torchvision's `RandomResizedCrop` and `RandomAffine` on tensors, which the
//! paper's code uses: crops bilinear without antialiasing, affine maps nearest with voxels from outside set to the
//! lowest grey value, each with probability 1/2.

use std::f64::consts::PI;

use rand::{Rng, RngExt};
use tch::{Kind, Tensor};

use crate::{allocation::collected, error::Result};

/// Probability of a crop, and of an affine map (paper, section 4.3.1).
const PROBABILITY: f64 = 0.5;

/// Part of the area that a crop keeps, at least (paper), and its ratio of width to height, at most (torchvision).
const LEAST_AREA: f64 = 0.5;
const MOST_RATIO: f64 = 4.0 / 3.0;

/// Rotation in degrees, shift as a part of the edge, and change of scale, each at most and in both directions (paper).
const ROTATION: f64 = 45.0;
const SHIFT: f64 = 0.1;
const SCALING: f64 = 0.1;

/// A part of every section, stretched to the whole section.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Crop {
    /// First row and column.
    pub start: [i64; 2],
    /// Rows and columns.
    pub size: [i64; 2],
}

impl Crop {
    /// A crop of sections of `size` h, w with probability 1/2.
    pub fn draw(size: [i64; 2], generator: &mut impl Rng) -> Option<Crop> {
        if !generator.random_bool(PROBABILITY) {
            return None;
        }
        let [height, width] = size;
        let limit = MOST_RATIO.ln();
        for _ in 0..10 {
            let area = (height * width) as f64 * generator.random_range(LEAST_AREA..=1.0);
            let ratio = generator.random_range(-limit..=limit).exp();
            let h = (area / ratio).sqrt().round() as i64;
            let w = (area * ratio).sqrt().round() as i64;
            if (1..=height).contains(&h) && (1..=width).contains(&w) {
                let start = [height - h, width - w].map(|room| generator.random_range(0..=room));
                return Some(Crop { start, size: [h, w] });
            }
        }
        // Sections far from square, for which ten draws did not fit.
        None
    }
}

/// A map of the plane of the sections onto itself, about its centre.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Affine {
    /// Rotation in degrees, clockwise as seen with h downwards and w to the right.
    pub angle: f64,
    /// Shift along h, w in voxels.
    pub shift: [f64; 2],
    /// Magnification.
    pub scale: f64,
}

impl Affine {
    /// A rotation alone.
    pub fn rotation(angle: f64) -> Affine {
        Affine { angle, shift: [0.0; 2], scale: 1.0 }
    }

    /// A map of sections of `size` h, w with probability 1/2.
    pub fn draw(size: [i64; 2], generator: &mut impl Rng) -> Option<Affine> {
        if !generator.random_bool(PROBABILITY) {
            return None;
        }
        let angle = generator.random_range(-ROTATION..=ROTATION);
        let shift = size.map(|extent| {
            let most = SHIFT * extent as f64;
            generator.random_range(-most..=most).round()
        });
        let scale = generator.random_range(1.0 - SCALING..=1.0 + SCALING);
        Some(Affine { angle, shift, scale })
    }

    /// From a place in the output, relative to the centre, to that in the input: `h' = m00 h + m01 w + m02` and so on.
    fn inverse(&self) -> [f64; 6] {
        let (sin, cos) = (self.angle * PI / 180.0).sin_cos();
        let [h, w] = self.shift;
        let [a, b, c, d] = [cos, -sin, sin, cos].map(|value| value / self.scale);
        [a, b, -a * h - b * w, c, d, -c * h - d * w]
    }
}

/// How values between voxels are taken; libtorch's numbers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sampling {
    /// From the four voxels around.
    Linear = 0,
    /// From the nearest voxel.
    Nearest = 1,
}

/// Outside a box there are zeros; libtorch's number.
const ZEROS: i64 = 0;

/// The boxes `[n, 1, d, h, w]`, those with a crop replaced by it.
pub(super) fn crop(boxes: &Tensor, crops: &[Option<Crop>]) -> Result<Tensor> {
    replace(boxes, crops, |sections, crops| {
        let (_, _, height, width) = sections.size4()?;
        let device = sections.device();
        // Places along an axis in the input, [k, extent], kept inside the crop; in libtorch's units: -1 and 1 are the
        // outer edges of the section.
        let along = |extent: i64, axis: usize| -> Result<Tensor> {
            let of = |part: fn(&Crop, usize) -> i64| -> Result<Tensor> {
                let values = collected(crops.iter().map(|crop| part(crop, axis) as f32))?;
                Ok(Tensor::f_from_slice(&values)?.f_reshape([-1, 1])?.f_to_device(device)?)
            };
            let (start, size) =
                (of(|crop, axis| crop.start[axis])?, of(|crop, axis| crop.size[axis])?);
            let place = Tensor::f_arange(extent, (Kind::Float, device))?.f_add_scalar(0.5)?;
            let place = place.f_mul(&size)?.f_div_scalar(extent as f64)?.f_sub_scalar(0.5)?;
            let inside = place.f_clamp_min(0.0)?.f_minimum(&size.f_sub_scalar(1.0)?)?;
            normalised(&inside.f_add(&start)?, extent)
        };
        let (h, w) = (along(height, 0)?, along(width, 1)?);
        let shape = [crops.len() as i64, height, width];
        let h = h.f_unsqueeze(2)?.f_expand(shape, false)?;
        let w = w.f_unsqueeze(1)?.f_expand(shape, false)?;
        sample(sections, &h, &w, Sampling::Linear)
    })
}

/// The boxes `[n, 1, d, h, w]`, those with a map mapped; what comes from outside is `fill`.
pub(super) fn transform(
    boxes: &Tensor,
    maps: &[Option<Affine>],
    sampling: Sampling,
    fill: f64,
) -> Result<Tensor> {
    replace(boxes, maps, |sections, maps| {
        let (_, _, height, width) = sections.size4()?;
        let device = sections.device();
        let coefficients = maps.iter().flat_map(Affine::inverse).map(|value| value as f32);
        let coefficients = collected(coefficients)?;
        let coefficients =
            Tensor::f_from_slice(&coefficients)?.f_reshape([-1, 6, 1, 1])?.f_to_device(device)?;
        let m = |index: i64| coefficients.f_select(1, index);
        let centred = |extent: i64| -> Result<Tensor> {
            let middle = 0.5 * (extent - 1) as f64;
            Ok(Tensor::f_arange(extent, (Kind::Float, device))?.f_sub_scalar(middle)?)
        };
        let (h, w) = (centred(height)?.f_unsqueeze(1)?, centred(width)?);
        let place = |row: i64, extent: i64| -> Result<Tensor> {
            let place = m(row)?.f_mul(&h)?.f_add(&m(row + 1)?.f_mul(&w)?)?.f_add(&m(row + 2)?)?;
            Ok(place.f_div_scalar(0.5 * extent as f64)?)
        };
        let from_fill = sections.f_sub_scalar(fill)?;
        let moved = sample(&from_fill, &place(0, height)?, &place(3, width)?, sampling)?;
        Ok(moved.f_add_scalar(fill)?)
    })
}

/// Voxel numbers along an edge of `extent` voxels in libtorch's units.
fn normalised(place: &Tensor, extent: i64) -> Result<Tensor> {
    Ok(place
        .f_mul_scalar(2.0)?
        .f_add_scalar(1.0)?
        .f_div_scalar(extent as f64)?
        .f_sub_scalar(1.0)?)
}

/// Sections `[k, d, h, w]` at the places h, w `[k, h, w]`.
fn sample(sections: &Tensor, h: &Tensor, w: &Tensor, sampling: Sampling) -> Result<Tensor> {
    let grid = Tensor::f_stack(&[w, h], -1)?;
    Ok(sections.f_grid_sampler(&grid, sampling as i64, ZEROS, false)?)
}

/// The boxes `[n, 1, d, h, w]` with `change` applied to those that have a parameter, as sections `[k, d, h, w]`.
fn replace<P: Copy>(
    boxes: &Tensor,
    parameters: &[Option<P>],
    change: impl FnOnce(&Tensor, &[P]) -> Result<Tensor>,
) -> Result<Tensor> {
    let chosen = collected(parameters.iter().copied().flatten())?;
    let rows = (0..).zip(parameters).filter(|(_, parameter)| parameter.is_some());
    let rows: Vec<i64> = collected(rows.map(|(row, _)| row))?;
    if rows.is_empty() {
        return Ok(boxes.shallow_clone());
    }
    let rows = Tensor::f_from_slice(&rows)?.f_to_device(boxes.device())?;
    let sections = boxes.f_index_select(0, &rows)?.f_squeeze_dim(1)?;
    let changed = change(&sections, &chosen)?.f_unsqueeze(1)?;
    Ok(boxes.f_index_copy(0, &rows, &changed)?)
}
