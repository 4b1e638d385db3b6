//! What can go wrong: in finding and loading the plugin, and in its calls.

use std::{
    ffi::{CStr, CString},
    fmt, ptr,
};

use cinetomo_abi::{cinetomo_api, cinetomo_error, cinetomo_status};

/// A status of the contract and a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    status: i32,
    message: String,
}

impl Error {
    pub(crate) fn new(status: cinetomo_status, message: impl Into<String>) -> Error {
        Error { status: status as i32, message: message.into() }
    }

    /// The status as a number: a plugin that is newer than this crate may have codes that it does not know.
    pub fn status(&self) -> i32 {
        self.status
    }

    /// Whether the status is this one.
    pub fn is(&self, status: cinetomo_status) -> bool {
        self.status == status as i32
    }

    /// What was wrong, where, and what would be right.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// Makes a call of the plugin and turns its status and error object into a `Result`.
pub(crate) fn call(
    api: &cinetomo_api,
    function: impl FnOnce(*mut *mut cinetomo_error) -> i32,
) -> Result<(), Error> {
    let mut error = ptr::null_mut();
    let status = function(&mut error);
    if status == cinetomo_status::Ok as i32 {
        return Ok(());
    }
    // SAFETY: after a failure the object is NULL or ours; the message lives as long as it.
    unsafe {
        let message = (api.error_message)(error);
        let message = if message.is_null() { String::new() } else { text(message) };
        (api.error_free)(error);
        Err(Error { status, message })
    }
}

/// A copy of a string of the plugin.
///
/// # Safety
/// The pointer is a NUL-terminated string.
pub(crate) unsafe fn text(pointer: *const std::ffi::c_char) -> String {
    // SAFETY: as the caller promises.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}

/// A string for the plugin.
pub(crate) fn c_string(text: &str, what: &str) -> Result<CString, Error> {
    CString::new(text).map_err(|_| {
        Error::new(
            cinetomo_status::InvalidArgument,
            format!("{what} {text:?} has a NUL character inside"),
        )
    })
}

/// A path for the plugin, which takes UTF-8.
pub(crate) fn c_path(path: &std::path::Path) -> Result<CString, Error> {
    let text = path.to_str().ok_or_else(|| {
        Error::new(cinetomo_status::InvalidArgument, format!("path {path:?} is not UTF-8"))
    })?;
    c_string(text, "path")
}
