//! Memory that may not be there: large arrays are asked for in a way that can fail, as Rust ends the process where a plain
//! `vec!` gets none, and the process is the host's.

use tch::Tensor;

use crate::error::{Error, ErrorKind, Result};

/// An empty array with room for `n` values. Fails with `OutOfMemory`.
pub(crate) fn room<T>(n: usize) -> Result<Vec<T>> {
    let mut values = Vec::new();
    reserve(&mut values, n)?;
    Ok(values)
}

/// `n` times `value`. Fails with `OutOfMemory`.
pub(crate) fn filled<T: Clone>(n: usize, value: T) -> Result<Vec<T>> {
    let mut values = Vec::new();
    resize(&mut values, n, value)?;
    Ok(values)
}

/// As `Vec::resize`. Fails with `OutOfMemory`.
pub(crate) fn resize<T: Clone>(values: &mut Vec<T>, n: usize, value: T) -> Result<()> {
    reserve(values, n.saturating_sub(values.len()))?;
    values.resize(n, value);
    Ok(())
}

/// The values of an f32 tensor of any shape, copied to the CPU if need be. Fails with `OutOfMemory`.
pub(crate) fn values(tensor: &Tensor) -> Result<Vec<f32>> {
    let mut values = filled(tensor.numel(), 0.0)?;
    tensor.f_detach()?.f_contiguous()?.f_copy_data(&mut values, tensor.numel())?;
    Ok(values)
}

/// Room for `n` values more. Fails with `OutOfMemory`.
pub(crate) fn reserve<T>(values: &mut Vec<T>, n: usize) -> Result<()> {
    values.try_reserve_exact(n).map_err(|_| {
        let bytes = n.saturating_mul(size_of::<T>());
        Error::new(ErrorKind::OutOfMemory, format!("there is no memory for {bytes} bytes more"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_machine_has_is_an_error_and_not_the_end() {
        for n in [usize::MAX, 1 << 60, 1 << 50] {
            let errors = [filled(n, 0.0f32).unwrap_err(), room::<u64>(n).unwrap_err()];
            assert!(errors.iter().all(|error| error.kind() == ErrorKind::OutOfMemory), "{n}");
        }
        let mut values = vec![1];
        resize(&mut values, 3, 2).unwrap();
        assert_eq!(values, [1, 2, 2]);
        assert_eq!(resize(&mut values, 1 << 60, 2).unwrap_err().kind(), ErrorKind::OutOfMemory);
        resize(&mut values, 1, 2).unwrap();
        assert_eq!(values, [1]);
    }

    #[test]
    fn values_come_in_the_order_of_the_shape() {
        let tensor = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0]).reshape([2, 2]);
        assert_eq!(values(&tensor.transpose(0, 1)).unwrap(), [1.0, 3.0, 2.0, 4.0]);
    }
}
