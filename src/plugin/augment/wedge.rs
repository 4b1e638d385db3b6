//! A further missing wedge, as if the tilt series had ended earlier.

use std::f64::consts::PI;

use rand::{Rng, RngExt};
use tch::{Kind, Tensor};

use crate::{allocation::collected, error::Result};

/// Highest tilt of the series that is imitated, in degrees: from what thick samples allow to the usual 60.
const TILTS: [f64; 2] = [40.0, 60.0];

/// What a tilt series about an axis in the plane of the sections leaves out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Wedge {
    /// Highest tilt, in degrees.
    pub tilt: f64,
    /// Direction of the tilt axis in the plane of the sections, in degrees from h towards w.
    pub axis: f64,
}

impl Wedge {
    /// A tilt range, and an axis of any direction.
    pub fn draw(generator: &mut impl Rng) -> Wedge {
        Wedge {
            tilt: generator.random_range(TILTS[0]..=TILTS[1]),
            axis: generator.random_range(0.0..180.0),
        }
    }
}

/// The boxes `[n, 1, d, h, w]` without the spatial frequencies in their wedges; their means stay.
///
/// A projection at tilt t gives the frequencies of a plane that contains the tilt axis and is inclined by t to the
/// sections: those whose part along the beam is at most tan(tilt) times the part across the axis were seen.
pub(super) fn apply(boxes: &Tensor, wedges: &[Wedge]) -> Result<Tensor> {
    if wedges.is_empty() {
        return Ok(boxes.shallow_clone());
    }
    let (_, _, depth, height, width) = boxes.size5()?;
    let options = (Kind::Float, boxes.device());
    // Cycles a voxel along each axis.
    let d = Tensor::f_fft_fftfreq(depth, 1.0, options)?.f_reshape([-1, 1, 1])?;
    let h = Tensor::f_fft_fftfreq(height, 1.0, options)?.f_reshape([-1, 1])?;
    let w = Tensor::f_fft_rfftfreq(width, 1.0, options)?;
    let each = |value: &dyn Fn(&Wedge) -> f64| -> Result<Tensor> {
        let values = collected(wedges.iter().map(|wedge| value(wedge) as f32))?;
        Ok(Tensor::f_from_slice(&values)?.f_reshape([-1, 1, 1, 1])?.f_to_device(boxes.device())?)
    };
    let radians = PI / 180.0;
    let across_h = each(&|wedge| -(wedge.axis * radians).sin())?;
    let across_w = each(&|wedge| (wedge.axis * radians).cos())?;
    let slope = each(&|wedge| (wedge.tilt * radians).tan())?;
    let across = across_h.f_mul(&h)?.f_add(&across_w.f_mul(&w)?)?;
    let seen = d.f_abs()?.f_le_tensor(&across.f_abs()?.f_mul(&slope)?)?;

    let axes = [1i64, 2, 3];
    let volumes = boxes.f_squeeze_dim(1)?;
    let spectrum = volumes.f_fft_rfftn(None::<i64>, axes.as_slice(), "backward")?;
    let kept = spectrum.f_mul(&seen)?;
    let size = [depth, height, width];
    let filtered = kept.f_fft_irfftn(size.as_slice(), axes.as_slice(), "backward")?;
    Ok(filtered.f_unsqueeze(1)?)
}
