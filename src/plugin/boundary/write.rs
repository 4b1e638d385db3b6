//! What goes out: results reach the caller's memory only after everything else has succeeded.

use super::read::{Growable, check_array, check_size, null_argument};
use crate::{
    allocation::collected,
    error::{Error, ErrorKind, Result},
};

/// Where a new handle goes.
pub(super) struct OutHandle<C>(*mut *mut C);

impl<C> OutHandle<C> {
    /// Checks the pointer before any work is done.
    pub(super) fn new(pointer: *mut *mut C, argument: &str) -> Result<OutHandle<C>> {
        if pointer.is_null() { Err(null_argument(argument)) } else { Ok(OutHandle(pointer)) }
    }

    /// # Safety
    /// The pointer is writable.
    pub(super) unsafe fn write(self, handle: *mut C) {
        // SAFETY: not NULL; writable as the caller promises.
        unsafe { self.0.write_unaligned(handle) }
    }
}

/// A caller's buffer for a result whose length the library knows first.
pub(super) struct OutBuffer<T> {
    pointer: *mut T,
    capacity: usize,
    out_len: *mut usize,
    argument: &'static str,
}

impl<T: Copy> OutBuffer<T> {
    pub(super) fn new(
        pointer: *mut T,
        capacity: usize,
        out_len: *mut usize,
        argument: &'static str,
    ) -> Result<OutBuffer<T>> {
        if out_len.is_null() {
            return Err(null_argument("out_len"));
        }
        if capacity > 0 && pointer.is_null() {
            return Err(null_argument(argument));
        }
        check_array(pointer, capacity, argument)?;
        Ok(OutBuffer { pointer, capacity, out_len, argument })
    }

    /// Whether the caller wants the result and not only its length. Answers a question for the length at once.
    ///
    /// # Safety
    /// `out_len` is writable.
    pub(super) unsafe fn wants(&self, len: usize) -> Result<bool> {
        if self.capacity >= len {
            return Ok(true);
        }
        // SAFETY: not NULL; writable as the caller promises.
        unsafe { self.out_len.write_unaligned(len) }
        if self.capacity == 0 {
            return Ok(false);
        }
        Err(too_small(self.argument, self.capacity, len))
    }

    /// Writes a result of which the length alone was as much work, or answers a question for its length.
    ///
    /// # Safety
    /// `out_len` and `capacity` elements of the buffer are writable.
    pub(super) unsafe fn fill(self, values: impl Iterator<Item = T>) -> Result<()> {
        let values = collected(values)?;
        // SAFETY: passed on from the caller; the length is asked about before anything is written.
        unsafe {
            if self.wants(values.len())? {
                self.write(&values);
            }
        }
        Ok(())
    }

    /// # Safety
    /// The buffer has `capacity` writable elements, and `wants` was asked about this length.
    pub(super) unsafe fn write(self, values: &[T]) {
        debug_assert!(values.len() <= self.capacity);
        // SAFETY: the capacity was checked against the length; the caller's buffer overlaps nothing of ours.
        unsafe {
            std::ptr::copy_nonoverlapping(values.as_ptr(), self.pointer, values.len());
            self.out_len.write_unaligned(values.len());
        }
    }
}

/// A caller's array that goes along with other results, of a length that both sides know; it may be left out.
pub(super) struct OutArray<T> {
    /// NULL if it is left out.
    pointer: *mut T,
    capacity: usize,
    argument: &'static str,
}

impl<T: Copy> OutArray<T> {
    /// An array that the caller cannot ask for.
    pub(super) fn none() -> OutArray<T> {
        OutArray { pointer: std::ptr::null_mut(), capacity: 0, argument: "" }
    }

    /// An argument, which is left out with capacity 0.
    pub(super) fn new(
        pointer: *mut T,
        capacity: usize,
        argument: &'static str,
    ) -> Result<OutArray<T>> {
        if capacity == 0 {
            return Ok(OutArray::none());
        }
        if pointer.is_null() {
            return Err(null_argument(argument));
        }
        OutArray::field(pointer, capacity, argument)
    }

    /// A field of a struct, which is left out with NULL.
    pub(super) fn field(
        pointer: *mut T,
        capacity: usize,
        argument: &'static str,
    ) -> Result<OutArray<T>> {
        if !pointer.is_null() {
            check_array(pointer, capacity, argument)?;
        }
        Ok(OutArray { pointer, capacity, argument })
    }

    pub(super) fn is_wanted(&self) -> bool {
        !self.pointer.is_null()
    }

    /// That there is room for `n` elements, or none are wanted.
    pub(super) fn check(&self, n: usize) -> Result<()> {
        if !self.is_wanted() || self.capacity >= n {
            return Ok(());
        }
        Err(too_small(self.argument, self.capacity, n))
    }

    /// # Safety
    /// The array is left out or has `capacity` writable elements.
    pub(super) unsafe fn write(self, values: impl IntoIterator<Item = T>) {
        if self.is_wanted() {
            for (index, value) in values.into_iter().take(self.capacity).enumerate() {
                // SAFETY: below the capacity; the caller's array overlaps nothing of ours.
                unsafe { self.pointer.add(index).write(value) }
            }
        }
    }
}

fn too_small(argument: &str, capacity: usize, n: usize) -> Error {
    Error::new(
        ErrorKind::BufferTooSmall,
        format!("{argument} holds {capacity} elements; the result has {n}"),
    )
}

/// Fills a caller's struct with defaults, no further than the caller knows it. For the `_init` functions.
///
/// # Safety
/// `pointer` is NULL or points to `struct_size` writable bytes.
pub(super) unsafe fn init<T: Growable>(pointer: *mut T, struct_size: usize) -> Result<()> {
    // SAFETY: passed on.
    unsafe { init_with(pointer, struct_size, T::defaults()) }
}

/// The same with other values.
///
/// # Safety
/// As `init`.
pub(super) unsafe fn init_with<T: Growable>(
    pointer: *mut T,
    struct_size: usize,
    value: T,
) -> Result<()> {
    if pointer.is_null() {
        return Err(null_argument(T::NAME));
    }
    check_size::<T>(struct_size, T::NAME)?;
    // SAFETY: writable as the caller promises.
    unsafe { sized(pointer, struct_size, value) }
    Ok(())
}

/// Writes a struct into the caller's, no further than the caller knows it; bytes that we do not know become 0.
///
/// # Safety
/// `pointer` points to `struct_size` writable bytes, and `check_size` accepted that size.
pub(super) unsafe fn sized<T: Growable>(pointer: *mut T, struct_size: usize, value: T) {
    let known = struct_size.min(size_of::<T>());
    // SAFETY: `known` bytes exist on both sides, the rest belongs to the caller; `struct_size` is the first word.
    unsafe {
        let bytes = pointer.cast::<u8>();
        std::ptr::copy_nonoverlapping((&raw const value).cast::<u8>(), bytes, known);
        std::ptr::write_bytes(bytes.add(known), 0, struct_size - known);
        pointer.cast::<usize>().write_unaligned(struct_size);
    }
}

/// The size that the caller wrote into a struct that receives a result.
///
/// # Safety
/// `pointer` is NULL or starts with a readable `struct_size`.
pub(super) unsafe fn stated_size<T: Growable>(pointer: *const T, argument: &str) -> Result<usize> {
    if pointer.is_null() {
        return Err(null_argument(argument));
    }
    // SAFETY: every such struct starts with its size.
    let struct_size = unsafe { pointer.cast::<usize>().read_unaligned() };
    check_size::<T>(struct_size, argument)?;
    Ok(struct_size)
}
