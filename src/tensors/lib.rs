//! The memory of libtorch's CPU tensors as Rust slices, so that code without libtorch computes on it without a copy.

use tch::{Device, Kind, TchError, Tensor};

/// The values of a contiguous f32 tensor on the CPU, in its order; `None` of any other.
///
/// They stay borrowed from this handle. Whoever has another handle of the same storage must not write to it meanwhile, as nobody may write to
/// a tensor that libtorch is reading.
pub fn values(tensor: &Tensor) -> Option<&[f32]> {
    if tensor.f_kind().ok()? != Kind::Float
        || tensor.device() != Device::Cpu
        || !tensor.is_contiguous()
    {
        return None;
    }
    let n = tensor.numel();
    if n == 0 {
        return Some(&[]);
    }
    // SAFETY: a contiguous f32 tensor on the CPU has `n` values from its data pointer on, which live as long as the handle that is borrowed;
    // f32 has no invalid bits.
    Some(unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast::<f32>(), n) })
}

/// A new f32 tensor on the CPU whose values `fill` writes. They start as any numbers. Fails as libtorch's allocator does, and with what `fill`
/// fails with.
pub fn filled<E: From<TchError>>(
    size: &[i64],
    fill: impl FnOnce(&mut [f32]) -> Result<(), E>,
) -> Result<Tensor, E> {
    let tensor = Tensor::f_empty(size, (Kind::Float, Device::Cpu))?;
    let n = tensor.numel();
    let values: &mut [f32] = if n == 0 {
        &mut []
    } else {
        // SAFETY: libtorch has just allocated `n` values for this tensor, of which there is no other handle; f32 has no invalid bits, and libtorch's
        // memory comes from outside of Rust, so its contents are some bits rather than uninitialised.
        unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast::<f32>(), n) }
    };
    fill(values)?;
    Ok(tensor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_the_tensor() {
        let tensor = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0]).reshape([2, 3]);
        assert_eq!(values(&tensor), Some(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0][..]));
        assert_eq!(values(&tensor.get(1)), Some(&[4.0, 5.0, 6.0][..]));
        assert_eq!(values(&tensor.transpose(0, 1)), None);
        assert_eq!(values(&tensor.to_kind(Kind::Double)), None);
        assert_eq!(values(&Tensor::zeros([0, 3], (Kind::Float, Device::Cpu))), Some(&[][..]));
    }

    #[test]
    fn what_is_filled_in_is_the_tensor() {
        let fill = |values: &mut [f32]| -> Result<(), TchError> {
            values.iter_mut().enumerate().for_each(|(index, value)| *value = index as f32);
            Ok(())
        };
        let tensor = filled(&[2, 2], fill).unwrap();
        assert_eq!(tensor, Tensor::from_slice2(&[[0.0f32, 1.0], [2.0, 3.0]]));
        assert_eq!(filled(&[0, 2], fill).unwrap().size(), [0, 2]);
        let refuse = |_: &mut [f32]| Err(TchError::Shape("enough".to_owned()));
        assert!(filled(&[2], refuse).is_err());
    }
}
