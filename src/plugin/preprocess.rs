//! From voxels to the network's input: contrast, size, grey values. Training and classification share it.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::{
    allocation::values,
    error::{Error, ErrorKind, Result},
    volume::Contrast,
};

/// Words of the C contract: how grey values are scaled, and how subtomograms are resized.
pub use cinetomo_abi::{
    cinetomo_interpolation as Interpolation, cinetomo_normalization as Normalization,
};

/// Longest edge that a subtomogram may be resized to, in voxels: eight times the paper's. More is a slip, and would end
/// in an allocation that fails late.
const MAX_INPUT_SIZE: i64 = 1024;

/// Grey values of `Normalization::Unit`: the lowest and the highest.
pub const UNIT_RANGE: [f64; 2] = [0.0, 1.0];

/// A scale of grey values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GreyScale {
    /// The grey value that becomes 0.
    pub mean: f64,
    /// The difference of grey values that becomes 1, above 0.
    pub deviation: f64,
}

impl Default for GreyScale {
    /// Grey values as they come.
    fn default() -> GreyScale {
        GreyScale { mean: 0.0, deviation: 1.0 }
    }
}

impl GreyScale {
    fn is_default(&self) -> bool {
        *self == GreyScale::default()
    }
}

/// What happens to voxels before they reach the network. Part of the model and of its file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocess {
    /// How grey values are brought into the network's range.
    #[serde(with = "NormalizationName")]
    pub normalization: Normalization,
    /// How subtomograms are resized.
    #[serde(with = "InterpolationName")]
    pub interpolation: Interpolation,
    /// Network input along d (beam), h, w, in voxels; 0 = as the subtomograms come.
    pub input_size: [i64; 3],
    /// Lower and upper percentile, 0 to 100, for `Normalization::Percentile`.
    pub percentile: [f64; 2],
    /// Contrast that the network sees; `Unknown` = as the volumes come.
    #[serde(with = "ContrastName")]
    pub contrast: Contrast,
    /// Mirror images of each subtomogram whose probabilities classification averages: the first 1, 4 or 8 of
    /// `augment::MIRROR_IMAGES`.
    pub n_views: i32,
    /// The scale of `Normalization::Fixed`.
    #[serde(default, skip_serializing_if = "GreyScale::is_default")]
    pub fixed: GreyScale,
}

impl Default for Preprocess {
    /// The defaults of `cinetomo_preprocess_init`.
    fn default() -> Preprocess {
        Preprocess {
            normalization: Normalization::MinMax,
            interpolation: Interpolation::Bicubic,
            input_size: [0; 3],
            percentile: [0.5, 99.5],
            contrast: Contrast::Unknown,
            n_views: 8,
            fixed: GreyScale::default(),
        }
    }
}

impl Preprocess {
    /// Fails with `InvalidArgument` if a value makes no sense.
    pub fn validate(&self) -> Result<()> {
        if self.input_size.iter().any(|extent| !(0..=MAX_INPUT_SIZE).contains(extent)) {
            return Err(Error::invalid(format!(
                "input_size {:?}: each must be 0 (as the subtomograms come) to {MAX_INPUT_SIZE} voxels",
                self.input_size
            )));
        }
        let [low, high] = self.percentile;
        if !(0.0 <= low && low < high && high <= 100.0) {
            return Err(Error::invalid(format!(
                "percentiles {low} and {high}: must rise within 0 to 100"
            )));
        }
        // Both as the 32-bit numbers that voxels are: neither may overflow or vanish.
        let GreyScale { mean, deviation } = self.fixed;
        let (mean32, deviation32) = (mean as f32, deviation as f32);
        if !(mean32.is_finite() && deviation32.is_normal() && deviation32 > 0.0) {
            return Err(Error::invalid(format!(
                "fixed_mean is {mean} and fixed_deviation {deviation}; they must be 32-bit numbers, the deviation above 0"
            )));
        }
        if ![1, 4, 8].contains(&self.n_views) {
            return Err(Error::invalid(format!(
                "n_views is {}; it must be 1, 4 or 8 mirror images",
                self.n_views
            )));
        }
        Ok(())
    }

    /// Size d, h, w of the network's input for boxes of size `box_size`.
    pub fn output_size(&self, box_size: [i64; 3]) -> [i64; 3] {
        let mut size = self.input_size;
        for (extent, come) in size.iter_mut().zip(box_size) {
            if *extent == 0 {
                *extent = come;
            }
        }
        size
    }

    /// The network's input for `boxes` (f32, `[n, 1, d, h, w]`, any device), which are the subtomograms `indices` of a
    /// volume of contrast `volume_contrast`: negated if both contrasts are stated and opposite, resized, then
    /// normalised each by itself (the order of the paper's code) to `range`, the lowest and highest grey value that
    /// the network was trained on, which only `MinMax` and `Percentile` use. Fails with `InvalidArgument`, naming the box by its
    /// index, if nothing is left to scale by, and with `NonFinite` if its values overflow.
    pub fn apply(
        &self,
        boxes: &Tensor,
        indices: &[usize],
        volume_contrast: Contrast,
        range: [f64; 2],
    ) -> Result<Tensor> {
        let opposite = matches!(
            (self.contrast, volume_contrast),
            (Contrast::Dark, Contrast::Bright) | (Contrast::Bright, Contrast::Dark)
        );
        let boxes = if opposite { boxes.f_neg()? } else { boxes.shallow_clone() };
        self.normalise(&self.resize(&boxes)?, indices, range)
    }

    /// Boxes of `output_size`: first h and w, then d.
    fn resize(&self, boxes: &Tensor) -> Result<Tensor> {
        let (n, _, depth, height, width) = boxes.size5()?;
        let size = self.output_size([depth, height, width]);
        if self.interpolation == Interpolation::Nearest {
            return nearest(boxes, size);
        }
        // libtorch's antialiasing kernels are made to agree with Pillow: half-pixel centres, weights renormalised at
        // the border, the kernel widened by the factor of shrinking; the cubic one has a = -0.5 (Keys 1981).
        let mut boxes = boxes.shallow_clone();
        if [height, width] != size[1..] {
            let sections = boxes.f_reshape([n, depth, height, width])?;
            boxes = match self.interpolation {
                Interpolation::Bicubic => {
                    sections.f_internal_upsample_bicubic2d_aa(&size[1..], false, None, None)?
                }
                _ => sections.f_internal_upsample_bilinear2d_aa(&size[1..], false, None, None)?,
            };
        }
        if depth != size[0] {
            // Sections as rows of an image that keeps its width: one kernel resizes all of them.
            let width = size[1] * size[2];
            let columns = boxes.f_reshape([n, 1, depth, width])?;
            boxes =
                columns.f_internal_upsample_bilinear2d_aa([size[0], width], false, None, None)?;
        }
        Ok(boxes.f_reshape([n, 1, size[0], size[1], size[2]])?)
    }

    fn normalise(&self, boxes: &Tensor, indices: &[usize], range: [f64; 2]) -> Result<Tensor> {
        let n = boxes.size()[0];
        let flat = boxes.f_reshape([n, boxes.size()[1..].iter().product()])?;
        let min_max = || -> Result<Tensor> {
            let (low, high) = flat.f_aminmax(1, true)?;
            between(&flat, &low, &high, indices, "minimum and maximum")
        };
        let scaled = match self.normalization {
            Normalization::MinMax => stretched(min_max()?, range)?,
            Normalization::Unit => stretched(min_max()?, UNIT_RANGE)?,
            Normalization::Percentile => {
                let [low, high] = self.percentile;
                let what = format!("percentiles {low} and {high}");
                let (low, high) = (percentile(&flat, low)?, percentile(&flat, high)?);
                let mut unit = between(&flat, &low, &high, indices, &what)?;
                stretched(unit.f_clamp_(0.0, 1.0)?, range)?
            }
            Normalization::ZScore => z_score(&flat, indices)?,
            Normalization::Fixed => fixed(&flat, self.fixed, indices)?,
        };
        Ok(scaled.f_reshape(boxes.size())?)
    }
}

/// Boxes of size `size` by the nearest voxel. Centres are added up as Pillow's NEAREST does it (`ImagingScaleAffine`), so
/// that ties fall to the same side; libtorch's own kernel breaks them otherwise.
fn nearest(boxes: &Tensor, size: [i64; 3]) -> Result<Tensor> {
    let mut boxes = boxes.shallow_clone();
    for (axis, extent) in (2..).zip(size) {
        let come = boxes.size()[axis as usize];
        if come == extent {
            continue;
        }
        let step = come as f64 / extent as f64;
        let mut centre = step * 0.5;
        // At most `MAX_INPUT_SIZE`: it needs no care.
        let mut places = Vec::new();
        for _ in 0..extent {
            places.push((centre as i64).min(come - 1));
            centre += step;
        }
        let places = Tensor::f_from_slice(&places)?.f_to_device(boxes.device())?;
        boxes = boxes.f_index_select(axis, &places)?;
    }
    Ok(boxes)
}

/// `boxes` `[n, voxels]` moved and scaled so that `low` becomes 0 and `high` 1 (both `[n, 1]`).
fn between(
    boxes: &Tensor,
    low: &Tensor,
    high: &Tensor,
    indices: &[usize],
    what: &str,
) -> Result<Tensor> {
    let extent = high.f_sub(low)?;
    check_scale(&extent, indices, what)?;
    Ok(boxes.f_sub(low)?.f_div_(&extent)?)
}

/// `unit`, values from 0 to 1, in place as values from the lowest to the highest of `range`.
fn stretched(mut unit: Tensor, [low, high]: [f64; 2]) -> Result<Tensor> {
    Ok(unit.f_mul_scalar_(high - low)?.f_add_scalar_(low)?)
}

/// `boxes` `[n, voxels]` on a scale that is the same for all.
fn fixed(boxes: &Tensor, scale: GreyScale, indices: &[usize]) -> Result<Tensor> {
    let mut boxes = boxes.f_sub_scalar(scale.mean)?;
    let boxes = boxes.f_div_scalar_(scale.deviation)?;
    let finite = values::<bool>(&boxes.f_isfinite()?.f_all_dim(1, false)?)?;
    match finite.iter().position(|finite| !finite) {
        None => Ok(boxes),
        Some(row) => Err(Error::new(
            ErrorKind::NonFinite,
            format!(
                "box {}: its grey values overflow 32-bit numbers when divided by fixed_deviation {}",
                indices.get(row).copied().unwrap_or(row),
                scale.deviation
            ),
        )),
    }
}

/// `boxes` `[n, voxels]` with mean 0 and standard deviation 1. The deviation is that of the population (divided by n),
/// as numpy's `std` and RELION's particle normalisation have it.
fn z_score(boxes: &Tensor, indices: &[usize]) -> Result<Tensor> {
    let mut centred = boxes.f_sub(&boxes.f_mean_dim(1, true, Kind::Float)?)?;
    // A second pass takes off what rounding left of a mean that is large against the deviation.
    let rest = centred.f_mean_dim(1, true, Kind::Float)?;
    let mut centred = centred.f_sub_(&rest)?;
    let deviation = centred.f_square()?.f_mean_dim(1, true, Kind::Float)?.f_sqrt()?;
    check_scale(&deviation, indices, "mean and standard deviation")?;
    Ok(centred.f_div_(&deviation)?)
}

/// The `q`-th percentile of each row of `boxes` `[n, voxels]`, as `[n, 1]`: linear between the two nearest ranks,
/// numpy's default.
fn percentile(boxes: &Tensor, q: f64) -> Result<Tensor> {
    let last = boxes.size()[1] - 1;
    let rank = q / 100.0 * last as f64;
    let below = (rank.floor() as i64).clamp(0, last);
    let (low, _) = boxes.f_kthvalue(below + 1, 1, true)?;
    let fraction = rank - below as f64;
    if fraction == 0.0 {
        return Ok(low);
    }
    let (high, _) = boxes.f_kthvalue((below + 2).min(last + 1), 1, true)?;
    Ok(low.f_lerp(&high, fraction)?)
}

/// Fails unless every value in `scale` can be divided by.
fn check_scale(scale: &Tensor, indices: &[usize], what: &str) -> Result<()> {
    let scale = values::<f32>(scale)?;
    for (row, scale) in scale.into_iter().enumerate() {
        let index = indices.get(row).copied().unwrap_or(row);
        if !scale.is_finite() {
            return Err(Error::new(
                ErrorKind::NonFinite,
                format!("box {index}: {what} are too far apart for 32-bit numbers"),
            ));
        }
        if scale == 0.0 {
            return Err(Error::invalid(format!(
                "box {index}: {what} leave no range of grey values to normalise by"
            )));
        }
    }
    Ok(())
}

/// Names of `Normalization` in model files.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Normalization", rename_all = "snake_case")]
enum NormalizationName {
    MinMax,
    ZScore,
    Percentile,
    Unit,
    Fixed,
}

/// Names of `Interpolation` in model files.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Interpolation", rename_all = "snake_case")]
enum InterpolationName {
    Bicubic,
    Linear,
    Nearest,
}

/// Names of `Contrast` in model files.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Contrast", rename_all = "snake_case")]
pub(crate) enum ContrastName {
    Unknown,
    Dark,
    Bright,
}

#[cfg(test)]
#[path = "preprocess_test.rs"]
mod preprocess_test;
