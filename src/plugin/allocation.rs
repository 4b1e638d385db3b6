//! Memory that may not be there: arrays that grow with what the host hands in are asked for in a way that can fail, as Rust
//! ends the process where a plain `vec!` gets none, and the process is the host's.

use tch::{Tensor, kind::Element};

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

/// As `Iterator::collect`. Fails with `OutOfMemory`.
pub(crate) fn collected<T>(items: impl IntoIterator<Item = T>) -> Result<Vec<T>> {
    let items = items.into_iter();
    let mut values = room(items.size_hint().0)?;
    for item in items {
        push(&mut values, item)?;
    }
    Ok(values)
}

/// As `Vec::push`. Fails with `OutOfMemory`.
pub(crate) fn push<T>(values: &mut Vec<T>, value: T) -> Result<()> {
    if values.len() == values.capacity() {
        values.try_reserve(1).map_err(|_| no_memory_for::<T>(values.len().max(1)))?;
    }
    values.push(value);
    Ok(())
}

/// The values of a tensor of this kind and any shape, copied to the CPU if need be. Fails with `OutOfMemory`.
pub(crate) fn values<T: Element + Copy + Default>(tensor: &Tensor) -> Result<Vec<T>> {
    let mut values = filled(tensor.numel(), T::default())?;
    tensor.f_detach()?.f_contiguous()?.f_copy_data(&mut values, tensor.numel())?;
    Ok(values)
}

/// Room for `n` values more. Fails with `OutOfMemory`.
pub(crate) fn reserve<T>(values: &mut Vec<T>, n: usize) -> Result<()> {
    values.try_reserve_exact(n).map_err(|_| no_memory_for::<T>(n))
}

/// The error where there is no memory for `n` values more.
pub(crate) fn no_memory_for<T>(n: usize) -> Error {
    let bytes = n.saturating_mul(size_of::<T>());
    Error::new(ErrorKind::OutOfMemory, format!("there is no memory for {bytes} bytes more"))
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
        let endless = collected((0..usize::MAX).map(|n| n as u64)).unwrap_err();
        assert_eq!(endless.kind(), ErrorKind::OutOfMemory);
    }

    #[test]
    fn what_is_collected_comes_in_order() {
        let odd = |n: &usize| n % 2 == 1;
        assert_eq!(
            collected((0..100).filter(odd)).unwrap(),
            (1..100).step_by(2).collect::<Vec<_>>()
        );
        let mut values = collected([3, 4]).unwrap();
        push(&mut values, 5).unwrap();
        assert_eq!(values, [3, 4, 5]);
    }

    #[test]
    fn values_come_in_the_order_of_the_shape() {
        let tensor = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0]).reshape([2, 2]);
        assert_eq!(values::<f32>(&tensor.transpose(0, 1)).unwrap(), [1.0, 3.0, 2.0, 4.0]);
    }
}
