//! The difference of two Gaussian filters of a block: on threads, or with tensor operators on a GPU.
//!
//! On a GPU each filter is a sum of shifted copies, and no convolution: cuDNN chooses the order of its sums by the size
//! of the block, and rounds to ten bits where it may (TF32). Tap after tap, the same products and sums are made as in
//! [`gaussian`](super::gaussian), so that neither the division into blocks nor the device changes what is found. Peaks
//! are looked for on threads in either case: that takes a fraction of the time, and no second definition of a peak.

use std::ops::Range;

use tch::{Device, Tensor};

use super::gaussian::{Along, Gaussian, Passes};
use crate::error::Result;

/// What computes the difference.
#[derive(Debug)]
pub(super) enum Difference {
    /// Threads of ours; the fastest on CPUs.
    Threads(Passes),
    /// Tensor operators on a device, for a tomogram of a shape.
    Tensors(Device, [i64; 3]),
}

impl Difference {
    /// What suits a device, for a tomogram of `shape` voxels.
    pub(super) fn on(device: Device, shape: [i64; 3], n_threads: usize) -> Difference {
        match device {
            Device::Cpu => Difference::Threads(Passes::new(shape, n_threads)),
            _ => Difference::Tensors(device, shape),
        }
    }

    /// Buffers as large as a block with its surroundings that are held at a time.
    pub(super) fn n_buffers(&self) -> u64 {
        match self {
            // Voxels, after the first pass, after the second, difference.
            Difference::Threads(_) => 4,
            // Voxels here and there, voxels with mirror images, two copies that are summed up, difference here and there.
            Difference::Tensors(..) => 7,
        }
    }

    /// The block `voxels`, which holds the part `input` of the tomogram, filtered with the first Gaussian minus filtered
    /// with the second, times `sign`: the part `output` of it goes to `out`.
    pub(super) fn compute(
        &mut self,
        gaussians: &[Gaussian; 2],
        sign: f32,
        voxels: &[f32],
        ranges: [&[Range<i64>; 3]; 2],
        out: &mut [f32],
    ) -> Result<()> {
        match self {
            Difference::Threads(passes) => {
                passes.filter(&gaussians[0], voxels, ranges, out, |out, row| {
                    out.iter_mut().zip(row).for_each(|(out, &value)| *out = sign * value);
                })?;
                passes.filter(&gaussians[1], voxels, ranges, out, |out, row| {
                    out.iter_mut().zip(row).for_each(|(out, &value)| *out -= sign * value);
                })?;
                Ok(())
            }
            Difference::Tensors(device, shape) => {
                let extents = ranges[0].clone().map(|range| range.end - range.start);
                let block = Tensor::f_from_slice(voxels)?.f_view(extents)?.f_to_device(*device)?;
                let filtered = |gaussian| filtered(&block, gaussian, ranges, *shape);
                let mut difference = filtered(&gaussians[0])?;
                let _ =
                    difference.f_sub_(&filtered(&gaussians[1])?)?.f_mul_scalar_(f64::from(sign))?;
                let difference = difference.f_to_device(Device::Cpu)?.f_contiguous()?;
                difference.f_copy_data(out, out.len())?;
                Ok(())
            }
        }
    }
}

/// A block filtered along z, y and x.
fn filtered(
    block: &Tensor,
    gaussian: &Gaussian,
    [input, output]: [&[Range<i64>; 3]; 2],
    shape: [i64; 3],
) -> Result<Tensor> {
    let mut filtered = block.shallow_clone();
    for axis in 0..3 {
        let along = Along::new(&input[axis], &output[axis], shape[axis], gaussian.reach());
        // Indices within a block in memory fit into an i64.
        let sources: Vec<i64> = along.sources.iter().map(|&source| source as i64).collect();
        let sources = Tensor::f_from_slice(&sources)?.f_to_device(block.device())?;
        let (dim, reach) = (axis as i64, gaussian.reach() as i64);
        let wide = filtered.f_index_select(dim, &sources)?;
        drop(filtered);
        let n = along.n_out as i64;
        let weights = gaussian.half();
        let mut sum = wide.f_narrow(dim, reach, n)?.f_mul_scalar(f64::from(weights[0]))?;
        for (k, &weight) in (1..).zip(&weights[1..]) {
            let mut pair =
                wide.f_narrow(dim, reach - k, n)?.f_add(&wide.f_narrow(dim, reach + k, n)?)?;
            let _ = sum.f_add_(&pair.f_mul_scalar_(f64::from(weight))?)?;
        }
        filtered = sum;
    }
    Ok(filtered)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pick::{noise, numbers, reference};

    /// The tensors on the CPU stand for those on a GPU.
    #[test]
    fn tensors_filter_as_scipy_does() {
        for case in reference()["filtered"].as_array().unwrap() {
            let shape: [f64; 3] = numbers(&case["shape"]).try_into().unwrap();
            let shape = shape.map(|extent| extent as i64);
            let voxels = noise(shape, case["seed"].as_u64().unwrap());
            let gaussian = Gaussian::new(case["sigma"].as_f64().unwrap());
            let whole = shape.map(|extent| 0..extent);
            let block = Tensor::from_slice(&voxels).view(shape);
            let ours = filtered(&block, &gaussian, [&whole, &whole], shape).unwrap();
            for (index, theirs) in numbers(&case["values"]).into_iter().enumerate() {
                let [z, y, x] = [index / 15, index / 5 % 3, index % 5].map(|along| along as i64);
                let ours = ours.double_value(&[z, y, x]);
                assert!((ours - theirs).abs() < 0.02, "{z} {y} {x}: {ours}, not {theirs}");
            }
        }
    }
}
