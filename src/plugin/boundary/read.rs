//! What comes in: pointers from C become checked Rust values.

use std::ffi::{CStr, c_char};

use crate::error::{Error, ErrorKind, Result};

/// A C struct that starts with `struct_size` and may grow in later releases.
pub(super) trait Growable: Copy {
    /// Name of the C type.
    const NAME: &'static str;
    /// Its size in the first release of ABI 1: no caller can have a smaller one.
    const FIRST_SIZE: usize;
    /// Every field at its default, `struct_size` included.
    fn defaults() -> Self;
}

/// Declares a struct as growable. `FIRST_SIZE` is pinned here: a field appended later must not change it.
macro_rules! sized_struct {
    ($type:ty, $first_size:literal, $defaults:expr) => {
        const _: () = assert!($first_size <= size_of::<$type>());
        impl $crate::boundary::read::Growable for $type {
            const NAME: &'static str = stringify!($type);
            const FIRST_SIZE: usize = $first_size;
            fn defaults() -> Self {
                $defaults
            }
        }
    };
}
pub(super) use sized_struct;

/// No struct of ours comes near; a larger `struct_size` is an uninitialised one.
const LARGEST_STRUCT: usize = 4096;

pub(super) fn null_argument(argument: &str) -> Error {
    Error::new(ErrorKind::NullArgument, format!("{argument} is NULL"))
}

/// Checks a `struct_size` that a caller stated.
pub(super) fn check_size<T: Growable>(struct_size: usize, argument: &str) -> Result<()> {
    if (T::FIRST_SIZE..=LARGEST_STRUCT).contains(&struct_size) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{argument}: struct_size is {struct_size}, a {} has at least {} bytes; fill it with {}_init",
        T::NAME,
        T::FIRST_SIZE,
        T::NAME
    )))
}

/// A copy of the caller's struct; fields that an older caller does not have keep their defaults.
///
/// # Safety
/// `pointer` is NULL or points to `struct_size` readable bytes, `struct_size` being their first word.
pub(super) unsafe fn sized<T: Growable>(pointer: *const T, argument: &str) -> Result<T> {
    if pointer.is_null() {
        return Err(null_argument(argument));
    }
    // SAFETY: every such struct starts with its size; unaligned reads accept packed memory.
    let struct_size = unsafe { pointer.cast::<usize>().read_unaligned() };
    check_size::<T>(struct_size, argument)?;
    let known = struct_size.min(size_of::<T>());
    // SAFETY: the caller says that so many bytes are readable.
    let unknown =
        unsafe { std::slice::from_raw_parts(pointer.cast::<u8>().add(known), struct_size - known) };
    if unknown.iter().any(|&byte| byte != 0) {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "{argument}: a field beyond byte {known} of {} is set that cinetomo {} does not know; use a newer \
                 library or leave it 0",
                T::NAME,
                env!("CARGO_PKG_VERSION")
            ),
        ));
    }
    let mut value = T::defaults();
    // SAFETY: both sides hold `known` bytes; every bit pattern is valid for these integer, float and pointer fields.
    unsafe {
        std::ptr::copy_nonoverlapping(pointer.cast::<u8>(), (&raw mut value).cast::<u8>(), known);
    }
    Ok(value)
}

/// As `sized`; NULL means the defaults.
///
/// # Safety
/// As `sized`.
pub(super) unsafe fn sized_or_default<T: Growable>(pointer: *const T, argument: &str) -> Result<T> {
    if pointer.is_null() {
        return Ok(T::defaults());
    }
    // SAFETY: passed on.
    unsafe { sized(pointer, argument) }
}

/// The caller's array.
///
/// # Safety
/// `pointer` is NULL or points to `len` readable values that stay unchanged for `'a`.
pub(super) unsafe fn slice<'a, T>(
    pointer: *const T,
    len: usize,
    argument: &str,
) -> Result<&'a [T]> {
    if len == 0 {
        return Ok(&[]);
    }
    if pointer.is_null() {
        return Err(null_argument(argument));
    }
    check_array(pointer, len, argument)?;
    // SAFETY: not NULL, aligned, of a size that fits the address space, readable as the caller promises.
    Ok(unsafe { std::slice::from_raw_parts(pointer, len) })
}

/// That an array of `len` values can exist at `pointer`.
pub(super) fn check_array<T>(pointer: *const T, len: usize, argument: &str) -> Result<()> {
    if !pointer.is_aligned() {
        return Err(Error::invalid(format!(
            "{argument}: address {pointer:p} is not a multiple of {}",
            align_of::<T>()
        )));
    }
    if len.checked_mul(size_of::<T>()).is_none_or(|bytes| bytes > isize::MAX as usize) {
        return Err(Error::invalid(format!("{argument}: {len} elements do not fit into memory")));
    }
    Ok(())
}

/// The caller's text.
///
/// # Safety
/// `pointer` is NULL or points to a NUL-terminated string that stays unchanged for `'a`.
pub(super) unsafe fn text<'a>(pointer: *const c_char, argument: &str) -> Result<&'a str> {
    if pointer.is_null() {
        return Err(null_argument(argument));
    }
    // SAFETY: terminated, as the caller promises.
    let bytes = unsafe { CStr::from_ptr(pointer) }.to_bytes();
    str::from_utf8(bytes).map_err(|error| {
        Error::invalid(format!("{argument} is not UTF-8 from byte {}", error.valid_up_to()))
    })
}

/// The variant of a C enum that `number` stands for; `known` lists their numbers.
pub(super) fn choice<T: Copy>(number: i32, known: &[(i32, T)], argument: &str) -> Result<T> {
    known.iter().find(|(value, _)| *value == number).map(|(_, variant)| *variant).ok_or_else(|| {
        let values: Vec<String> = known.iter().map(|(value, _)| value.to_string()).collect();
        Error::invalid(format!("{argument} is {number}; it must be one of {}", values.join(", ")))
    })
}

/// That reserved fields are zero, so that they can get a meaning later.
pub(super) fn check_reserved(reserved: i32, argument: &str) -> Result<()> {
    if reserved == 0 {
        return Ok(());
    }
    Err(Error::invalid(format!("{argument}: reserved is {reserved}; it must be 0")))
}
