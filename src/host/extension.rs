//! Tables of functions beside the first one, found by their id.

use std::ffi::CStr;

use cinetomo_abi::cinetomo_status;

use crate::{Plugin, error::Error};

/// The table of that id; fails with UNSUPPORTED where the plugin has none, or an older one. `struct_size` reads the size that it states.
///
/// # Safety
/// `T` is the table that the id stands for.
pub(crate) unsafe fn extension<T>(
    plugin: Plugin,
    id: &CStr,
    struct_size: impl FnOnce(&T) -> usize,
) -> Result<&'static T, Error> {
    // SAFETY: the id is a string, and of such a table; the plugin stays loaded and its tables with it.
    let table = unsafe { (plugin.api().get_extension)(id.as_ptr()).cast::<T>().as_ref() };
    table.filter(|table| struct_size(table) >= size_of::<T>()).ok_or_else(|| {
        let message = format!("the plugin has no extension {}", id.to_string_lossy());
        Error::new(cinetomo_status::Unsupported, message)
    })
}
