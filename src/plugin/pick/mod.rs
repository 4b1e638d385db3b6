//! From a tomogram to subtomograms: where particles are, by difference of Gaussians, and boxes around them.
//!
//! Tomograms are read block by block, so that one larger than memory can be worked on, and nothing that is found
//! depends on the size of the blocks.

mod blocks;
mod difference;
mod dog;
mod extract;
mod gaussian;
mod options;
mod resample;
mod select;
mod tomogram;

pub use dog::pick;
pub use extract::{Boxes, extract, kept};
pub use options::{
    Contrast, Edge, ExtractOptions, Extraction, PickOptions, Picking, Resampling, ThresholdRule,
};
pub use select::Peak;
pub use tomogram::{Region, Tomogram};

/// What tests/reference/pick.py computed.
#[cfg(test)]
fn reference() -> serde_json::Value {
    serde_json::from_str(include_str!("../../../tests/reference/pick.json")).unwrap()
}

/// The numbers of a nested JSON list, one after the other.
#[cfg(test)]
fn numbers(value: &serde_json::Value) -> Vec<f64> {
    match value {
        serde_json::Value::Array(list) => list.iter().flat_map(numbers).collect(),
        number => vec![number.as_f64().unwrap()],
    }
}

/// The volume `noise` of tests/reference/pick.py: integers from 0 to 65535 without order.
#[cfg(test)]
fn noise(shape: [i64; 3], seed: u64) -> Vec<f32> {
    let n = shape.iter().product::<i64>() as u64;
    (0..n)
        .map(|index| {
            let value = (index + seed * 1_000_003) * 2_654_435_761 % (1 << 32);
            let value = (value ^ (value >> 15)) * 2_246_822_519 % (1 << 32);
            (value >> 16 & 0xFFFF) as f32
        })
        .collect()
}

/// A tomogram of these voxels, read region by region.
#[cfg(test)]
fn tomogram_of(voxels: &[f32], shape: [i64; 3], contrast: Contrast) -> Tomogram<'_> {
    let read = move |region: &Region, out: &mut [f32]| {
        let [nz, ny, nx] = region.extent;
        let mut values = out.iter_mut();
        for z in region.start[0]..region.start[0] + nz {
            for y in region.start[1]..region.start[1] + ny {
                let start = ((z * shape[1] + y) * shape[2] + region.start[2]) as usize;
                for voxel in &voxels[start..start + nx as usize] {
                    *values.next().unwrap() = *voxel;
                }
            }
        }
        Ok(())
    };
    Tomogram::new(shape, 10.0, contrast, read).unwrap()
}
