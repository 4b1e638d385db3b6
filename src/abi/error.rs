//! Status codes and the error object.

/// What a call came to. Codes are never renumbered; new ones are appended.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum cinetomo_status {
    /// Done.
    Ok = 0,
    /// A required pointer is NULL.
    NullArgument = 1,
    /// An argument has a value that makes no sense here; the message says which values do.
    InvalidArgument = 2,
    /// The caller's buffer is smaller than the result; `*out_len` holds the length that is needed.
    BufferTooSmall = 3,
    /// The request is sound but this library, build or process cannot serve it.
    Unsupported = 4,
    /// A voxel, weight or loss is NaN or infinite.
    NonFinite = 5,
    /// A file could not be read or written.
    Io = 6,
    /// A file is not what it claims to be, or is damaged.
    Format = 7,
    /// A checkpoint or model file does not fit the network, or a volume does not fit the model.
    ModelMismatch = 8,
    /// The device that was asked for is not usable; the message says what is missing.
    DeviceUnavailable = 9,
    /// Memory ran out, on the host or on the device.
    OutOfMemory = 10,
    /// A hook or a `cinetomo_cancel` stopped the call.
    Cancelled = 11,
    /// Another copy of libtorch is already in the process.
    RuntimeConflict = 12,
    /// libtorch failed in a way that no other code describes.
    Backend = 13,
    /// A defect in cinetomo; the host is safe, the call did nothing. Please report the message.
    Panic = 14,
}

/// Why a call failed: a status and a full message. Owned by the caller once stored, freed with `cinetomo_error_free`.
#[cfg_attr(feature = "stable-abi", derive(abi_stable::StableAbi), repr(C))]
pub struct cinetomo_error {
    _opaque: [u8; 0],
}
