//! Voxels: a batch of subtomograms in the host's memory or fetched by it, and how boxes are taken from it.

use std::{cell::RefCell, fmt};

use tch::{Device, Kind, Tensor};

use crate::{
    allocation::{collected, values},
    error::{Error, ErrorKind, Result},
};

/// Words of the C contract: an axis, the sign of the particles, the type of a voxel.
pub use cinetomo_abi::{
    cinetomo_axis as Axis, cinetomo_contrast as Contrast, cinetomo_dtype as Dtype,
};

/// Boxes that are not in memory.
pub trait FetchBoxes {
    /// Says that these boxes will be fetched next, so that it can begin.
    fn announce(&mut self, indices: &[usize]);

    /// The voxels `[k, z, y, x]` of these boxes, x fastest.
    fn fetch(&mut self, indices: &[usize]) -> Result<Vec<f32>>;
}

/// Where voxels are.
enum Voxels<'a> {
    /// The host's own, `[n, beam, other, other]` in the host's type (u16 as the i16 of the same bits).
    Memory(Tensor, Dtype),
    /// Somewhere else.
    Elsewhere(RefCell<Box<dyn FetchBoxes + 'a>>),
}

/// A batch of subtomograms: borrowed from the host, never written.
pub struct Volume<'a> {
    voxels: Voxels<'a>,
    len: usize,
    box_size: [i64; 3],
    voxel_size: f64,
    contrast: Contrast,
    beam_axis: Axis,
    identity: Option<String>,
}

impl fmt::Debug for Volume<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (n, size) = (self.len, self.box_size);
        f.debug_struct("Volume").field("len", &n).field("box_size", &size).finish_non_exhaustive()
    }
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
        let shape = <[i64; 4]>::try_from(shape.as_slice()).map_err(|_| misshapen(&shape))?;
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
        let view = view.f_movedim_int(1 + beam_axis as i64, 1)?;
        Volume::new(Voxels::Memory(view, dtype), shape, voxel_size, contrast, beam_axis)
    }

    /// A batch of `shape` `[n, z, y, x]` whose voxels `boxes` fetches. `identity` names them, if somebody has named them:
    /// of two batches of the same name, all voxels are the same.
    pub fn elsewhere(
        boxes: impl FetchBoxes + 'a,
        shape: [i64; 4],
        voxel_size: f64,
        contrast: Contrast,
        beam_axis: Axis,
        identity: Option<String>,
    ) -> Result<Volume<'a>> {
        let voxels = Voxels::Elsewhere(RefCell::new(Box::new(boxes)));
        let volume = Volume::new(voxels, shape, voxel_size, contrast, beam_axis)?;
        Ok(Volume { identity, ..volume })
    }

    fn new(
        voxels: Voxels<'a>,
        shape: [i64; 4],
        voxel_size: f64,
        contrast: Contrast,
        beam_axis: Axis,
    ) -> Result<Volume<'a>> {
        if shape.iter().any(|&extent| extent < 1) {
            return Err(misshapen(&shape));
        }
        if !voxel_size.is_finite() || voxel_size < 0.0 {
            return Err(Error::invalid(format!(
                "voxel_size {voxel_size}: must be a number of angstrom, or 0 for unknown"
            )));
        }
        let [n, z, y, x] = shape;
        let box_size = match beam_axis {
            Axis::Z => [z, y, x],
            Axis::Y => [y, z, x],
            Axis::X => [x, z, y],
        };
        let len = n as usize;
        Ok(Volume { voxels, len, box_size, voxel_size, contrast, beam_axis, identity: None })
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
        self.len
    }

    /// Voxels of a subtomogram in the network's order: along the beam, then along the other axes in z, y, x order.
    pub fn box_size(&self) -> [i64; 3] {
        self.box_size
    }

    /// Edge of a voxel in angstrom; 0 = unknown.
    pub fn voxel_size(&self) -> f64 {
        self.voxel_size
    }

    /// Sign of the particles, as the host states it.
    pub fn contrast(&self) -> Contrast {
        self.contrast
    }

    /// What stands for the voxels, if they have a name.
    pub fn identity(&self) -> Option<&str> {
        self.identity.as_deref()
    }

    /// Says that these subtomograms will be gathered next: where they have to be fetched, that can begin.
    pub fn announce(&self, indices: &[usize]) {
        if let (Voxels::Elsewhere(boxes), false) = (&self.voxels, indices.is_empty()) {
            boxes.borrow_mut().announce(indices);
        }
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
        let boxes = match &self.voxels {
            Voxels::Memory(view, dtype) => {
                let index = collected(indices.iter().map(|&index| index as i64))?;
                let index = Tensor::f_from_slice(&index)?.f_to_device(view.device())?;
                // Voxels cross to the device in the host's type, which is never wider than f32.
                let boxes = view.f_index_select(0, &index)?.f_to_device(device)?;
                match dtype {
                    Dtype::U16 => boxes.f_to_kind(Kind::Int)?.f_bitwise_and(0xFFFF)?,
                    _ => boxes,
                }
            }
            Voxels::Elsewhere(boxes) => {
                let voxels = boxes.borrow_mut().fetch(indices)?;
                let [z, y, x] = self.in_callers_order(self.box_size);
                let boxes = Tensor::f_from_slice(&voxels)?;
                let boxes = boxes.f_reshape([indices.len() as i64, z, y, x])?;
                // In the order in memory that the host's own voxels are gathered in: the results are the same bits.
                let boxes = boxes.f_movedim_int(1 + self.beam_axis as i64, 1)?.f_contiguous()?;
                boxes.f_to_device(device)?
            }
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
        let (lowest, highest) = (values::<f32>(&lowest)?, values::<f32>(&highest)?);
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

    /// What belongs to the axes of the network as what belongs to z, y, x of the caller.
    fn in_callers_order<T>(&self, [beam, first, second]: [T; 3]) -> [T; 3] {
        match self.beam_axis {
            Axis::Z => [beam, first, second],
            Axis::Y => [first, beam, second],
            Axis::X => [first, second, beam],
        }
    }

    /// The error for a box whose voxels, in the network's order, are not all finite.
    fn not_finite(&self, index: usize, voxels: &Tensor) -> Result<Error> {
        let places = voxels.f_isfinite()?.f_logical_not()?.f_nonzero()?;
        let n = places.size()[0];
        let first = places.f_int64_value(&[0, 0])?;
        let [_, height, width] = self.box_size();
        let [beam, row, column] = [first / (height * width), first / width % height, first % width];
        let [z, y, x] = self.in_callers_order([beam, row, column]);
        Ok(Error::new(
            ErrorKind::NonFinite,
            format!(
                "box {index}: {n} {} NaN or infinite, the first at z={z}, y={y}, x={x}",
                if n == 1 { "voxel is" } else { "voxels are" }
            ),
        ))
    }
}

fn misshapen(shape: &[i64]) -> Error {
    Error::invalid(format!("shape {shape:?}: a volume is [n, z, y, x], each at least 1"))
}

#[cfg(test)]
#[path = "volume_test.rs"]
mod volume_test;
