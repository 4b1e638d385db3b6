//! `cinetomo_error` and the status codes.

use std::ffi::{CStr, CString, c_char};

use cinetomo_abi::{cinetomo_error, cinetomo_status as Status};

use super::{guard::boundary_after_fork, handles::Registry};
use crate::error::Result;

struct ErrorObject {
    status: Status,
    message: CString,
}

static ERRORS: Registry<ErrorObject> = Registry::new("cinetomo_error");

/// Turns an outcome into a status; stores the error, or NULL on success, in `*out_error`.
///
/// # Safety
/// `out_error` is NULL or points to a writable `cinetomo_error *`.
pub(super) unsafe fn store(outcome: Result<()>, out_error: *mut *mut cinetomo_error) -> i32 {
    let (status, handle) = match outcome {
        Ok(()) => (Status::Ok, std::ptr::null_mut()),
        Err(error) => {
            let status = error.kind();
            if out_error.is_null() {
                return status as i32;
            }
            let message = to_c_text(&error.to_string());
            (status, ERRORS.insert(ErrorObject { status, message }))
        }
    };
    if !out_error.is_null() {
        // SAFETY: not NULL, and writable as the caller promises; hosts may pass packed memory.
        unsafe { out_error.write_unaligned(handle) }
    }
    status as i32
}

/// Text for C. A NUL inside, which no message of ours should have, is shown as a replacement character.
pub(super) fn to_c_text(text: &str) -> CString {
    CString::new(text.replace('\0', "\u{fffd}")).unwrap_or_default()
}

const STATUSES: [(Status, &CStr); 15] = [
    (Status::Ok, c"OK"),
    (Status::NullArgument, c"NULL_ARGUMENT"),
    (Status::InvalidArgument, c"INVALID_ARGUMENT"),
    (Status::BufferTooSmall, c"BUFFER_TOO_SMALL"),
    (Status::Unsupported, c"UNSUPPORTED"),
    (Status::NonFinite, c"NON_FINITE"),
    (Status::Io, c"IO"),
    (Status::Format, c"FORMAT"),
    (Status::ModelMismatch, c"MODEL_MISMATCH"),
    (Status::DeviceUnavailable, c"DEVICE_UNAVAILABLE"),
    (Status::OutOfMemory, c"OUT_OF_MEMORY"),
    (Status::Cancelled, c"CANCELLED"),
    (Status::RuntimeConflict, c"RUNTIME_CONFLICT"),
    (Status::Backend, c"BACKEND"),
    (Status::Panic, c"PANIC"),
];

/// Name of a status, such as "FORMAT"; "UNKNOWN" for a number that is none. Valid for the life of the process.
/// [any thread]
#[unsafe(no_mangle)]
pub extern "C" fn cinetomo_status_name(status: i32) -> *const c_char {
    boundary_after_fork(c"UNKNOWN".as_ptr(), || {
        STATUSES
            .iter()
            .find(|(known, _)| *known as i32 == status)
            .map_or(c"UNKNOWN", |(_, name)| name)
            .as_ptr()
    })
}

/// Status of an error, a `CINETOMO_STATUS_*`. OK for NULL; INVALID_ARGUMENT for a handle that is not a live error.
/// [any thread]
#[unsafe(no_mangle)]
pub extern "C" fn cinetomo_error_status(error: *const cinetomo_error) -> i32 {
    boundary_after_fork(Status::Panic as i32, || match ERRORS.find(error) {
        Some(object) => object.status as i32,
        None if error.is_null() => Status::Ok as i32,
        None => Status::InvalidArgument as i32,
    })
}

/// Message of an error: UTF-8, one or more sentences that say what was wrong, the values, and what would be right.
/// Valid until the error is freed. "" for NULL. [any thread]
#[unsafe(no_mangle)]
pub extern "C" fn cinetomo_error_message(error: *const cinetomo_error) -> *const c_char {
    boundary_after_fork(c"".as_ptr(), || match ERRORS.find(error) {
        // The registry keeps the object, and so the text, until the error is freed.
        Some(object) => object.message.as_ptr(),
        None if error.is_null() => c"".as_ptr(),
        None => c"this is not a live cinetomo_error".as_ptr(),
    })
}

/// Frees an error. NULL is fine. [any thread]
#[unsafe(no_mangle)]
pub extern "C" fn cinetomo_error_free(error: *mut cinetomo_error) {
    boundary_after_fork((), || ERRORS.remove(error))
}
