//! What the library found on this machine.

use std::ffi::c_char;

/// Versions, paths and devices. Every string is valid for the life of the process.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "stable-abi", derive(abi_stable::StableAbi))]
pub struct cinetomo_runtime_info {
    /// In: `sizeof(cinetomo_runtime_info)` as the caller was compiled; set by the `_init`. Nothing beyond it is written.
    pub struct_size: usize,
    /// Version of cinetomo, such as "0.1.0".
    pub version: *const c_char,
    /// Version of libtorch that cinetomo was compiled against, such as "2.13.0".
    pub libtorch_version: *const c_char,
    /// The `libtorch_cpu.so` in this process.
    pub libtorch_path: *const c_char,
    /// The `libtorch_cuda.so` beside it; "" where this is a CPU-only install.
    pub cuda_path: *const c_char,
    /// Version of the NVIDIA driver's CUDA, such as "13.0"; "" without a driver.
    pub cuda_driver: *const c_char,
    /// One sentence: what computes here, or what is missing for CUDA.
    pub summary: *const c_char,
    /// Version of the contract, `CINETOMO_ABI_VERSION`.
    pub abi_version: u32,
    /// CPU cores available to the process.
    pub n_cores: i32,
    /// 1 once the CUDA part of libtorch is loaded, else 0. It is loaded only when a context wants CUDA.
    pub cuda_loaded: i32,
    /// Usable CUDA devices; 0 while the CUDA part is not loaded.
    pub n_cuda_devices: i32,
}
