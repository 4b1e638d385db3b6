//! The context: where work runs and where log lines go.

use std::ffi::{c_char, c_void};

/// Device, threads and log sink, shared by the models made from it. Freed with `cinetomo_context_free`; models
/// keep what they need of it, so it may be freed before them.
#[cfg_attr(feature = "stable-abi", derive(abi_stable::StableAbi), repr(C))]
pub struct cinetomo_context {
    _opaque: [u8; 0],
}

/// Where a context computes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum cinetomo_device {
    /// CUDA where it is usable, the CPU otherwise.
    Auto = 0,
    /// The CPU.
    Cpu = 1,
    /// An NVIDIA GPU; fails with CINETOMO_STATUS_DEVICE_UNAVAILABLE where that is not possible.
    Cuda = 2,
}

/// In what precision a context's networks multiply. Weights, features, heads, optimisers and losses are single-precision
/// numbers throughout.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum cinetomo_precision {
    /// Single.
    F32 = 0,
    /// What convolutions and matrix products take is rounded to bfloat16, as PyTorch's autocast does: half the memory and, where
    /// the device has instructions for it (GPUs of compute capability 8 on, CPUs with AVX512-BF16 or AMX), less time.
    /// Features change by about a hundredth. Fails with CINETOMO_STATUS_DEVICE_UNAVAILABLE on older GPUs.
    Bf16 = 1,
    /// BF16 on GPUs of compute capability 8 on, F32 elsewhere. Not measured on a GPU, and so not the default.
    Auto = 2,
}

/// What `cinetomo_context_new` makes. Fill with `cinetomo_context_options_init`, then change what you need.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "stable-abi", derive(abi_stable::StableAbi))]
pub struct cinetomo_context_options {
    /// `sizeof(cinetomo_context_options)` as the caller was compiled; set by the `_init`.
    pub struct_size: usize,
    /// A `CINETOMO_DEVICE_*`. Default: AUTO.
    pub device: i32,
    /// Which GPU, counted from 0. Default: 0.
    pub device_index: i32,
    /// CPU threads that a call may use; 0 (default) = one per core available to the process. The host's own OpenMP
    /// setting is restored when a call returns.
    pub n_threads: i32,
    /// A `CINETOMO_LOG_LEVEL_*`: what reaches `log`. Default: WARN.
    pub log_level: i32,
    /// Receives one log line (UTF-8, no newline, valid during the callback) and its `CINETOMO_LOG_LEVEL_*`, always on
    /// the thread that made the call; NULL (default) = no log. Must not throw or longjmp. The library itself never
    /// writes to stdout or stderr.
    pub log:
        Option<unsafe extern "C" fn(user_data: *mut c_void, level: i32, message: *const c_char)>,
    /// Handed to `log` as it is. Must stay valid as long as the context and its models.
    pub log_user_data: *mut c_void,
    /// A `CINETOMO_PRECISION_*`. Default: F32.
    pub precision: i32,
    /// Zero.
    pub reserved: i32,
}
