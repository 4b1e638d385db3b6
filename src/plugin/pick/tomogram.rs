//! A tomogram that is read block by block: from the host's memory, or through the host's own reader.

use std::fmt;

use tch::{Device, Kind, Tensor};

use super::options::Contrast;
use crate::{
    allocation,
    error::{Error, ErrorKind, Result},
    volume::Dtype,
};

/// Longest edge of a tomogram in voxels: positions are handed out as f32, which counts to 2^24.
const LONGEST_EDGE: i64 = 1 << 20;

/// A box of voxels of a tomogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First voxel `[z, y, x]`.
    pub start: [i64; 3],
    /// Number of voxels along z, y, x.
    pub extent: [i64; 3],
}

impl Region {
    /// Number of voxels.
    pub fn n_voxels(&self) -> usize {
        self.extent.iter().product::<i64>() as usize
    }
}

/// Fills a buffer with the voxels of a region, x fastest.
type ReadBlock<'a> = dyn FnMut(&Region, &mut [f32]) -> Result<()> + 'a;

/// A tomogram, borrowed from the host.
pub struct Tomogram<'a> {
    shape: [i64; 3],
    voxel_size: f64,
    contrast: Contrast,
    read: Box<ReadBlock<'a>>,
}

impl fmt::Debug for Tomogram<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tomogram").field("shape", &self.shape).finish_non_exhaustive()
    }
}

impl<'a> Tomogram<'a> {
    /// A tomogram of `shape` `[z, y, x]` voxels whose regions `read` fetches; `voxel_size` is in angstrom, 0 if
    /// unknown. `read` is called on the thread that works on the tomogram.
    pub fn new(
        shape: [i64; 3],
        voxel_size: f64,
        contrast: Contrast,
        read: impl FnMut(&Region, &mut [f32]) -> Result<()> + 'a,
    ) -> Result<Tomogram<'a>> {
        if shape.iter().any(|extent| !(1..=LONGEST_EDGE).contains(extent)) {
            return Err(Error::invalid(format!(
                "shape is {shape:?} voxels; it must be 1 to {LONGEST_EDGE} along z, y and x"
            )));
        }
        if !voxel_size.is_finite() || voxel_size < 0.0 {
            return Err(Error::invalid(format!(
                "voxel_size {voxel_size}: must be a number of angstrom, or 0 for unknown"
            )));
        }
        Ok(Tomogram { shape, voxel_size, contrast, read: Box::new(read) })
    }

    /// A tomogram in memory: `view` is `[z, y, x]`, with any strides and on any device; `dtype` says how its voxels are
    /// read, as in `Volume::from_view`.
    pub fn from_view(
        view: Tensor,
        dtype: Dtype,
        voxel_size: f64,
        contrast: Contrast,
    ) -> Result<Tomogram<'static>> {
        let shape = view
            .size()
            .try_into()
            .map_err(|shape| Error::invalid(format!("shape {shape:?}: a tomogram is [z, y, x]")))?;
        let read = move |region: &Region, out: &mut [f32]| -> Result<()> {
            let mut block = view.shallow_clone();
            for axis in 0..3 {
                block = block.f_narrow(axis as i64, region.start[axis], region.extent[axis])?;
            }
            let block = block.f_to_device(Device::Cpu)?;
            let block = match dtype {
                Dtype::U16 => block.f_to_kind(Kind::Int)?.f_bitwise_and(0xFFFF)?,
                _ => block,
            };
            block.f_to_kind(Kind::Float)?.f_contiguous()?.f_copy_data(out, out.len())?;
            Ok(())
        };
        Tomogram::new(shape, voxel_size, contrast, read)
    }

    /// Voxels along z, y, x.
    pub fn shape(&self) -> [i64; 3] {
        self.shape
    }

    /// Edge of a voxel in angstrom; 0 = unknown.
    pub fn voxel_size(&self) -> f64 {
        self.voxel_size
    }

    /// Sign of the particles, as the host states it.
    pub fn contrast(&self) -> Contrast {
        self.contrast
    }

    /// The voxels of a region within the tomogram, x fastest, into `out`, whose old contents are lost. Fails with
    /// `NonFinite` if one of them is NaN or infinite.
    pub(super) fn read(&mut self, region: &Region, out: &mut Vec<f32>) -> Result<()> {
        let within = (0..3).all(|axis| {
            let (start, extent) = (region.start[axis], region.extent[axis]);
            start >= 0 && extent > 0 && start + extent <= self.shape[axis]
        });
        if !within {
            let message = format!("{region:?} is not within a tomogram of {:?}", self.shape);
            return Err(Error::new(ErrorKind::Panic, message));
        }
        out.clear();
        allocation::resize(out, region.n_voxels(), 0.0)?;
        (self.read)(region, out)?;
        match out.iter().position(|voxel| !voxel.is_finite()) {
            None => Ok(()),
            Some(index) => {
                let [_, ny, nx] = region.extent;
                let index = index as i64;
                let [z, y, x] = [index / (ny * nx), index / nx % ny, index % nx];
                Err(Error::new(
                    ErrorKind::NonFinite,
                    format!(
                        "the tomogram's voxel z={}, y={}, x={} is NaN or infinite",
                        region.start[0] + z,
                        region.start[1] + y,
                        region.start[2] + x
                    ),
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_of_a_view_are_its_voxels() {
        let voxels: Vec<i16> = (0..4 * 5 * 6).map(|index| index * 300 - 9000).collect();
        // Axes swapped: [x, y, z] in memory.
        let view = Tensor::from_slice(&voxels).view([6, 5, 4]).permute([2, 1, 0]);
        let region = Region { start: [1, 2, 3], extent: [2, 3, 2] };
        for (dtype, offset) in [(Dtype::I16, 0), (Dtype::U16, 65536)] {
            let contrast = Contrast::Dark;
            let mut tomogram =
                Tomogram::from_view(view.shallow_clone(), dtype, 0.0, contrast).unwrap();
            assert_eq!(tomogram.shape(), [4, 5, 6]);
            let mut block = vec![9.0; 50];
            tomogram.read(&region, &mut block).unwrap();
            let mut expected = Vec::new();
            for (z, y, x) in [1, 2]
                .into_iter()
                .flat_map(|z| [2, 3, 4].into_iter().flat_map(move |y| [3, 4].map(|x| (z, y, x))))
            {
                let value = (x * 20 + y * 4 + z) * 300 - 9000;
                expected.push((if value < 0 { value + offset } else { value }) as f32);
            }
            assert_eq!(block, expected);
        }
    }

    #[test]
    fn a_voxel_that_is_no_number_is_named_by_its_place() {
        let read = |region: &Region, out: &mut [f32]| {
            out.fill(0.0);
            out[region.n_voxels() - 2] = f32::NEG_INFINITY;
            Ok(())
        };
        let mut tomogram = Tomogram::new([9, 9, 9], 10.0, Contrast::Dark, read).unwrap();
        let region = Region { start: [2, 3, 4], extent: [5, 4, 3] };
        let error = tomogram.read(&region, &mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NonFinite);
        assert_eq!(error.to_string(), "the tomogram's voxel z=6, y=6, x=5 is NaN or infinite");
    }
}
