//! A picture of a tomogram and the particles in it: its three central slices, rings around particles.

use std::path::Path;

use crate::{
    failure::{Failure, Result},
    image::Image,
    outputs::extension,
    tomogram::OpenTomogram,
};

/// Longest side of a slice in pixels; larger tomograms are shown with several voxels to a pixel, small ones with several
/// pixels to a voxel.
const LONGEST: usize = 1200;

/// Most pixels to a voxel along each axis.
const MOST_PIXELS: usize = 4;

/// Sections that a slice is the mean of, so that particles are seen in noise.
const N_SECTIONS: usize = 5;

/// Pixels between the slices.
const GAP: usize = 4;

/// Greys from this many standard deviations below the mean to as many above.
const DEVIATIONS: f64 = 3.0;

/// Colours of rings, the first for particles without classes, the others for classes in turn: Okabe & Ito's, which
/// colour-blind people tell apart (jfly.uni-koeln.de/color, 2008).
pub const COLOURS: [(&str, [u8; 3]); 7] = [
    ("yellow", [240, 228, 66]),
    ("orange", [230, 159, 0]),
    ("sky blue", [86, 180, 233]),
    ("green", [0, 158, 115]),
    ("vermilion", [213, 94, 0]),
    ("purple", [204, 121, 167]),
    ("blue", [0, 114, 178]),
];

/// Index of the colour of a class, counted from 0.
pub fn colour_of_class(class: usize) -> usize {
    1 + class % (COLOURS.len() - 1)
}

/// A ring to draw.
#[derive(Clone, Copy, Debug)]
pub struct Ring {
    /// `[z, y, x]` in voxels.
    pub position: [f32; 3],
    /// Index among [`COLOURS`].
    pub colour: usize,
}

/// Fails if a picture cannot have this name.
pub fn check(path: &Path) -> Result<()> {
    match extension(path).as_str() {
        "png" => Ok(()),
        other => Err(Failure::Usage(format!(
            "--picture {}: .{other} is no format of pictures; expected .png",
            path.display()
        ))),
    }
}

/// Writes the central slices (y over x; below it z over x; to its right y over z) with the rings of those particles that
/// they cut, of this radius in voxels.
///
/// # Errors
/// The tomogram cannot be read, or the picture not be written.
pub fn write(path: &Path, tomogram: &OpenTomogram, rings: &[Ring], radius: f32) -> Result<()> {
    let shape = tomogram.shape();
    let longest = shape.into_iter().fold(1, usize::max);
    let factor = longest.div_ceil(LONGEST);
    let magnified = (LONGEST / 2 / longest).clamp(1, MOST_PIXELS);
    let scale = magnified as f32 / factor as f32;
    let slice = |axis: usize| Slice::read(tomogram, axis, factor);
    let slices = [slice(0)?, slice(1)?, slice(2)?];
    let [side_z, side_y, side_x] = shape.map(|extent| extent.div_ceil(factor) * magnified);
    let mut image = Image::white(side_x + GAP + side_z, side_y + GAP + side_z);
    let corners = [[0, 0], [side_y + GAP, 0], [0, side_x + GAP]];
    for (axis, (slice, corner)) in slices.iter().zip(corners).enumerate() {
        slice.put(&mut image, corner, magnified);
        let (down, right) = slice.axes;
        let centre = (shape[axis] / 2) as f32;
        for ring in rings {
            let beside = ring.position[axis] - centre;
            let cut = (radius * radius - beside * beside).max(0.0).sqrt() * scale;
            if beside.abs() > radius {
                continue;
            }
            // The centre of a voxel is half a voxel from its edge.
            let place = [ring.position[down], ring.position[right]];
            let place = place.map(|at| (at + 0.5) * scale - 0.5);
            let extents = slice.extents.map(|extent| extent * magnified);
            draw_ring(&mut image, corner, extents, place, cut.max(1.5), COLOURS[ring.colour].1);
        }
    }
    cinetomo_formats::write(path, &image.png()?)?;
    Ok(())
}

/// A slice as a picture.
struct Slice {
    /// Axes of its rows and columns: down and to the right.
    axes: (usize, usize),
    /// Rows and columns.
    extents: [usize; 2],
    greys: Vec<u8>,
}

impl Slice {
    /// The mean of the central sections across `axis`, with `factor` by `factor` voxels to a pixel.
    fn read(tomogram: &OpenTomogram, axis: usize, factor: usize) -> Result<Slice> {
        let shape = tomogram.shape();
        let axes = if axis == 2 { (1, 0) } else { (1 - axis.min(1), 2) };
        let extents = [shape[axes.0], shape[axes.1]].map(|extent| extent.div_ceil(factor));
        let first = (shape[axis] / 2).saturating_sub(N_SECTIONS / 2);
        let last = (first + N_SECTIONS).min(shape[axis]);
        let mut sums = vec![0.0f64; extents[0] * extents[1]];
        let mut counts = vec![0u32; sums.len()];
        for section in first..last {
            let (mut start, mut extent) = ([0; 3], shape);
            (start[axis], extent[axis]) = (section, 1);
            let voxels = tomogram.region(start, extent)?;
            for (index, voxel) in voxels.iter().enumerate() {
                let at = [
                    index / (extent[1] * extent[2]),
                    index / extent[2] % extent[1],
                    index % extent[2],
                ];
                let pixel = at[axes.0] / factor * extents[1] + at[axes.1] / factor;
                if voxel.is_finite() {
                    sums[pixel] += f64::from(*voxel);
                    counts[pixel] += 1;
                }
            }
        }
        let means: Vec<f64> =
            sums.iter().zip(counts).map(|(sum, n)| sum / f64::from(n.max(1))).collect();
        let n = means.len() as f64;
        let mean = means.iter().sum::<f64>() / n;
        let variance = means.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n;
        let range = (2.0 * DEVIATIONS * variance.sqrt()).max(f64::MIN_POSITIVE);
        let grey = |value: &f64| ((value - mean) / range + 0.5).clamp(0.0, 1.0) * 255.0;
        let greys = means.iter().map(|value| grey(value) as u8).collect();
        Ok(Slice { axes, extents, greys })
    }
    fn put(&self, image: &mut Image, [top, left]: [usize; 2], magnified: usize) {
        let [height, width] = self.extents.map(|extent| extent * magnified);
        for row in 0..height {
            let greys = &self.greys[row / magnified * self.extents[1]..];
            for column in 0..width {
                image.set(top + row, left + column, [greys[column / magnified]; 3]);
            }
        }
    }
}

/// A ring of one pixel around `place` (down, right) of a slice, as far as it is within it.
fn draw_ring(
    image: &mut Image,
    [top, left]: [usize; 2],
    extents: [usize; 2],
    place: [f32; 2],
    radius: f32,
    colour: [u8; 3],
) {
    // Steps of half a pixel along the circle.
    let n_steps = (4.0 * std::f32::consts::PI * radius).ceil() as usize;
    for step in 0..n_steps {
        let angle = step as f32 / n_steps as f32 * 2.0 * std::f32::consts::PI;
        let down = (place[0] + radius * angle.sin()).round();
        let right = (place[1] + radius * angle.cos()).round();
        let is_within =
            (0.0..extents[0] as f32).contains(&down) && (0.0..extents[1] as f32).contains(&right);
        if is_within {
            image.set(top + down as usize, left + right as usize, colour);
        }
    }
}
