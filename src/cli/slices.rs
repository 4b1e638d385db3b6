//! Pictures of a box: three orthogonal slices through its middle, with a map of evidence laid over them if there is one.

use ndarray::{Array2, ArrayView3, Axis, Slice};

pub use crate::image::Image;

/// Fraction of a box's extent that a slice is the mean of: single sections of cryo-ET data show noise alone.
const THICKNESS: f64 = 0.16;

/// Fractions of the pixels that are black and white at least: hot voxels must not set the scale.
const SATURATED: f64 = 0.005;

/// How much of an overlay is seen where the evidence is strongest; the particle must show through.
const OPACITY: f32 = 0.75;

/// Evidence for a class: vermilion of Okabe & Ito's palette, which the colour-blind tell from blue.
const FOR: [f32; 3] = [230.0, 97.0, 0.0];

/// Evidence against it: blue of the same palette.
const AGAINST: [f32; 3] = [0.0, 114.0, 178.0];

/// The slices of a box across z, y and x, a pixel a voxel. With a map, evidence for the class is orange on grey, and
/// evidence against it blue; `greatest` is the evidence that is drawn strongest.
pub fn slices(voxels: ArrayView3<'_, f32>, map: Option<(ArrayView3<'_, f32>, f32)>) -> [Image; 3] {
    [0, 1, 2].map(|axis| {
        let grey = grey(&slab(voxels, axis));
        let evidence = map.map(|(map, greatest)| slab(map, axis) / greatest.max(f32::MIN_POSITIVE));
        let (height, width) = grey.dim();
        let mut rgb = Vec::with_capacity(3 * height * width);
        for (place, &level) in grey.indexed_iter() {
            let share = evidence.as_ref().map_or(0.0, |evidence| evidence[place].clamp(-1.0, 1.0));
            let colour = if share < 0.0 { AGAINST } else { FOR };
            // Squared: weak evidence, which is nearly everywhere, leaves the picture grey.
            let opacity = OPACITY * share * share;
            // Between 0 and 255 by construction.
            rgb.extend(colour.map(|c| (level + opacity * (c - level)).round() as u8));
        }
        Image::of(width, height, rgb)
    })
}

/// The strongest evidence of a map, for or against.
pub fn greatest(map: &[f32]) -> f32 {
    map.iter().fold(0.0, |greatest, value| value.abs().max(greatest))
}

/// Mean of the middle sections across an axis.
fn slab(volume: ArrayView3<'_, f32>, axis: usize) -> Array2<f32> {
    let n = volume.len_of(Axis(axis));
    // At most n sections, and at least one.
    let n_sections = ((THICKNESS * n as f64).round() as usize).clamp(1, n.max(1));
    let first = (n - n_sections.min(n)) / 2;
    let sections = volume.slice_axis(Axis(axis), Slice::from(first..first + n_sections.min(n)));
    sections.sum_axis(Axis(axis)) / n_sections as f32
}

/// Grey levels from 0 to 255.
fn grey(slab: &Array2<f32>) -> Array2<f32> {
    let mut sorted: Vec<f32> = slab.iter().copied().collect();
    sorted.sort_by(f32::total_cmp);
    let at = |fraction: f64| {
        let last = sorted.len().saturating_sub(1);
        sorted.get((fraction * last as f64).round() as usize).copied().unwrap_or(0.0)
    };
    let (black, white) = (at(SATURATED), at(1.0 - SATURATED));
    let range = (white - black).max(f32::MIN_POSITIVE);
    slab.mapv(|value| 255.0 * ((value - black) / range).clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    #[test]
    fn slices_are_across_their_axes_and_through_the_middle() {
        // Bright along x in the middle of z and y: a point across x, a line across z and y.
        let is_bright = |z, y| (3..5).contains(&z) && (2..4).contains(&y);
        let volume = Array3::from_shape_fn([8, 6, 10], |(z, y, _)| f32::from(is_bright(z, y)));
        let [z, y, x] = slices(volume.view(), None);
        let extents = |image: &Image| [image.width(), image.height()];
        assert_eq!([extents(&z), extents(&y), extents(&x)], [[10, 6], [10, 8], [6, 8]]);
        let bright = |image: &Image| image.rgb().iter().filter(|&&level| level == 255).count() / 3;
        assert_eq!([bright(&z), bright(&y), bright(&x)], [20, 20, 4]);
    }

    #[test]
    fn evidence_is_orange_or_blue_and_no_evidence_changes_nothing() {
        let volume = Array3::from_shape_fn([4, 4, 4], |(z, y, x)| (z + y + x) as f32);
        let nothing = Array3::zeros([4, 4, 4]);
        let plain = slices(volume.view(), None);
        assert_eq!(slices(volume.view(), Some((nothing.view(), 1.0))), plain);
        let map = Array3::from_shape_fn([4, 4, 4], |(_, _, x)| [1.0, 0.0, 0.0, -1.0][x]);
        let [z, ..] = slices(volume.view(), Some((map.view(), 1.0)));
        let [red, _, blue] = [z.rgb()[0], z.rgb()[1], z.rgb()[2]];
        assert!(red > 150 && blue < 20, "{red} {blue}");
        let [red, _, blue] = [z.rgb()[9], z.rgb()[10], z.rgb()[11]];
        assert!(red < blue, "{red} {blue}");
        assert_eq!(z.rgb()[3..9], plain[0].rgb()[3..9]);
    }
}
