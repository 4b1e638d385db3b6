//! Voxels: a batch of subtomograms in the host's memory, and how boxes are taken from it.

use std::marker::PhantomData;

use tch::{Device, Kind, Tensor};

use crate::error::{Error, ErrorKind, Result};

/// Words of the C contract: an axis, the sign of the particles, the type of a voxel.
pub use cinetomo_abi::{
    cinetomo_axis as Axis, cinetomo_contrast as Contrast, cinetomo_dtype as Dtype,
};

/// A batch of subtomograms: borrowed from the host, never written.
#[derive(Debug)]
pub struct Volume<'a> {
    /// The host's voxels `[n, beam, other, other]` in the host's type (u16 as the i16 of the same bits).
    view: Tensor,
    dtype: Dtype,
    voxel_size: f64,
    contrast: Contrast,
    beam_axis: Axis,
    borrowed: PhantomData<&'a ()>,
}

impl<'a> Volume<'a> {
    /// A batch over `view`, shaped `[n, z, y, x]`, on any device and with any strides. `dtype` says how its voxels
    /// are read: `U16` is a view of kind `Int16` whose bits mean unsigned numbers. `voxel_size` is the edge of a voxel
    /// in angstrom, 0 if unknown. Fails with `InvalidArgument` if one of them makes no sense.
    pub fn from_view(
        view: Tensor,
        dtype: Dtype,
        voxel_size: f64,
        contrast: Contrast,
        beam_axis: Axis,
    ) -> Result<Volume<'a>> {
        let shape = view.size();
        if shape.len() != 4 || shape.iter().any(|&extent| extent < 1) {
            return Err(Error::invalid(format!(
                "shape {shape:?}: a volume is [n, z, y, x], each at least 1"
            )));
        }
        let expected = match dtype {
            Dtype::F32 => Kind::Float,
            Dtype::F16 => Kind::Half,
            Dtype::U8 => Kind::Uint8,
            Dtype::I8 => Kind::Int8,
            Dtype::U16 | Dtype::I16 => Kind::Int16,
        };
        if view.f_kind()? != expected {
            return Err(Error::invalid(format!(
                "a view of {:?} does not hold voxels of type {dtype:?}",
                view.f_kind()?
            )));
        }
        if !voxel_size.is_finite() || voxel_size < 0.0 {
            return Err(Error::invalid(format!(
                "voxel_size {voxel_size}: must be a number of angstrom, or 0 for unknown"
            )));
        }
        let view = view.f_movedim_int(1 + beam_axis as i64, 1)?;
        Ok(Volume { view, dtype, voxel_size, contrast, beam_axis, borrowed: PhantomData })
    }

    /// A batch of f32 voxels shaped `[n, z, y, x]`, x fastest, which are copied. The beam is along z, voxel size and
    /// contrast are unknown.
    pub fn from_slice(voxels: &[f32], shape: [i64; 4]) -> Result<Volume<'static>> {
        let n_voxels = shape.iter().try_fold(1i64, |n, &extent| n.checked_mul(extent));
        if n_voxels != i64::try_from(voxels.len()).ok() {
            return Err(Error::invalid(format!("{} voxels do not fill {shape:?}", voxels.len())));
        }
        let view = Tensor::f_from_slice(voxels)?.f_reshape(shape)?;
        Volume::from_view(view, Dtype::F32, 0.0, Contrast::Unknown, Axis::Z)
    }

    /// Number of subtomograms, at least 1.
    #[allow(clippy::len_without_is_empty, reason = "a volume is never empty")]
    pub fn len(&self) -> usize {
        self.view.size()[0] as usize
    }

    /// Voxels of a subtomogram in the network's order: along the beam, then along the other axes in z, y, x order.
    pub fn box_size(&self) -> [i64; 3] {
        let shape = self.view.size();
        [shape[1], shape[2], shape[3]]
    }

    /// Edge of a voxel in angstrom; 0 = unknown.
    pub fn voxel_size(&self) -> f64 {
        self.voxel_size
    }

    /// Sign of the particles, as the host states it.
    pub fn contrast(&self) -> Contrast {
        self.contrast
    }

    /// Maps `[k, d, h, w]` in the network's order of axes as `[k, z, y, x]` in the caller's.
    pub fn in_callers_axes(&self, maps: &Tensor) -> Result<Tensor> {
        Ok(maps.f_movedim_int(1, 1 + self.beam_axis as i64)?)
    }

    /// The subtomograms `indices`, copied to `device`: f32, `[k, 1, d, h, w]`, d along the beam. Fails with
    /// `NonFinite` if a voxel is NaN or infinite, with `InvalidArgument` if an index is out of range or all voxels of
    /// a box are equal; the message names the box by its index in the volume.
    pub fn gather(&self, indices: &[usize], device: Device) -> Result<Tensor> {
        if let Some(index) = indices.iter().find(|&&index| index >= self.len()) {
            return Err(Error::invalid(format!(
                "box {index}: the volume has {} subtomograms",
                self.len()
            )));
        }
        let index: Vec<i64> = indices.iter().map(|&index| index as i64).collect();
        let index = Tensor::f_from_slice(&index)?.f_to_device(self.view.device())?;
        // Voxels cross to the device in the host's type, which is never wider than f32.
        let boxes = self.view.f_index_select(0, &index)?.f_to_device(device)?;
        let boxes = match self.dtype {
            Dtype::U16 => boxes.f_to_kind(Kind::Int)?.f_bitwise_and(0xFFFF)?,
            _ => boxes,
        };
        let boxes = boxes.f_to_kind(Kind::Float)?;
        self.check(&boxes, indices)?;
        Ok(boxes.f_unsqueeze(1)?)
    }

    /// Fails if one of the boxes `[k, d, h, w]` is constant or not finite.
    fn check(&self, boxes: &Tensor, indices: &[usize]) -> Result<()> {
        let n_voxels: i64 = self.box_size().iter().product();
        let boxes = boxes.f_reshape([indices.len() as i64, n_voxels])?;
        // NaN wins against every number in both, so two values tell all of a box.
        let (lowest, highest) = boxes.f_aminmax(1, false)?;
        let (lowest, highest) = (Vec::<f32>::try_from(&lowest)?, Vec::<f32>::try_from(&highest)?);
        for (row, (&index, (lowest, highest))) in
            indices.iter().zip(lowest.into_iter().zip(highest)).enumerate()
        {
            if !lowest.is_finite() || !highest.is_finite() {
                return Err(self.not_finite(index, &boxes.f_select(0, row as i64)?)?);
            }
            if lowest == highest {
                return Err(Error::invalid(format!(
                    "box {index}: standard deviation is 0 (every voxel is {lowest}); a subtomogram must not be constant"
                )));
            }
        }
        Ok(())
    }

    /// The error for a box whose voxels, in the network's order, are not all finite.
    fn not_finite(&self, index: usize, voxels: &Tensor) -> Result<Error> {
        let places = voxels.f_isfinite()?.f_logical_not()?.f_nonzero()?;
        let n = places.size()[0];
        let first = places.f_int64_value(&[0, 0])?;
        let [_, height, width] = self.box_size();
        let [beam, row, column] = [first / (height * width), first / width % height, first % width];
        let [z, y, x] = match self.beam_axis {
            Axis::Z => [beam, row, column],
            Axis::Y => [row, beam, column],
            Axis::X => [row, column, beam],
        };
        Ok(Error::new(
            ErrorKind::NonFinite,
            format!(
                "box {index}: {n} {} NaN or infinite, the first at z={z}, y={y}, x={x}",
                if n == 1 { "voxel is" } else { "voxels are" }
            ),
        ))
    }
}

#[cfg(test)]
#[path = "volume_test.rs"]
mod volume_test;
