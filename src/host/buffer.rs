//! Results of a length that the plugin knows: asked for first, then fetched.

use std::ptr;

use cinetomo_abi::{cinetomo_api, cinetomo_error};

use crate::error::{Error, call};

/// Calls `function(buffer, capacity, out_len, out_error)` twice: for the length, then for the values. With capacity 0
/// the plugin does no work.
pub(crate) fn fetch<T: Copy + Default>(
    api: &cinetomo_api,
    mut function: impl FnMut(*mut T, usize, *mut usize, *mut *mut cinetomo_error) -> i32,
) -> Result<Vec<T>, Error> {
    let mut len = 0;
    call(api, |error| function(ptr::null_mut(), 0, &mut len, error))?;
    let mut values = vec![T::default(); len];
    call(api, |error| function(values.as_mut_ptr(), values.len(), &mut len, error))?;
    values.truncate(len);
    Ok(values)
}
