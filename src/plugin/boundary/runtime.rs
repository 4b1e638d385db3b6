//! What is on this machine: libtorch, CUDA, cores.

use std::{
    collections::BTreeMap,
    ffi::{CStr, CString, c_char},
    path::PathBuf,
    ptr,
    sync::{Mutex, PoisonError},
};

use cinetomo_abi::{CINETOMO_ABI_VERSION, cinetomo_error, cinetomo_runtime_info};

use super::{
    cuda, error::to_c_text, guard::boundary, libtorch, read::sized_struct, threads, write,
};

sized_struct!(
    cinetomo_runtime_info,
    72,
    cinetomo_runtime_info {
        struct_size: size_of::<cinetomo_runtime_info>(),
        version: c"".as_ptr(),
        libtorch_version: c"".as_ptr(),
        libtorch_path: c"".as_ptr(),
        cuda_path: c"".as_ptr(),
        cuda_driver: c"".as_ptr(),
        summary: c"".as_ptr(),
        abi_version: 0,
        n_cores: 0,
        cuda_loaded: 0,
        n_cuda_devices: 0,
    }
);

/// Fills `out_info` with empty values. `struct_size` is `sizeof *out_info`.
///
/// Errors: NULL_ARGUMENT, INVALID_ARGUMENT. [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cinetomo_runtime_info_init(
    out_info: *mut cinetomo_runtime_info,
    struct_size: usize,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe { boundary(ptr::null_mut(), || write::init(out_info, struct_size)) }
}

/// Says what the library is and what it found: versions, paths, cores, and whether CUDA can be used or what is missing.
/// Does not load the CUDA part of libtorch.
///
/// Errors: NULL_ARGUMENT, INVALID_ARGUMENT. [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cinetomo_runtime_info_get(
    out_info: *mut cinetomo_runtime_info,
    out_error: *mut *mut cinetomo_error,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe {
        boundary(out_error, || {
            let struct_size = write::stated_size(out_info, "out_info")?;
            write::sized(out_info, struct_size, info());
            Ok(())
        })
    }
}

/// Version of cinetomo, such as "0.1.0". Valid for the life of the process. [any thread]
#[unsafe(no_mangle)]
pub extern "C" fn cinetomo_version() -> *const c_char {
    super::guard::boundary_or(VERSION.as_ptr(), || VERSION.as_ptr())
}

/// Version of the contract that the library serves: `CINETOMO_ABI_VERSION` of the header it was built with. [any thread]
#[unsafe(no_mangle)]
pub extern "C" fn cinetomo_abi_version() -> u32 {
    super::guard::boundary_or(CINETOMO_ABI_VERSION, || CINETOMO_ABI_VERSION)
}

const VERSION: &CStr =
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => panic!("a version has no NUL"),
    };

fn info() -> cinetomo_runtime_info {
    let path = |path: Option<PathBuf>| forever(&path.unwrap_or_default().to_string_lossy());
    cinetomo_runtime_info {
        struct_size: size_of::<cinetomo_runtime_info>(),
        version: VERSION.as_ptr(),
        libtorch_version: forever(env!("CINETOMO_LIBTORCH_VERSION")),
        libtorch_path: path(libtorch::path()),
        cuda_path: path(cuda::part()),
        cuda_driver: forever(cuda::driver().unwrap_or_default()),
        summary: forever(&summary()),
        abi_version: CINETOMO_ABI_VERSION,
        n_cores: threads::n_cores(),
        cuda_loaded: cuda::is_loaded().into(),
        n_cuda_devices: i32::try_from(cuda::n_devices()).unwrap_or(i32::MAX),
    }
}

fn summary() -> String {
    let cores = threads::n_cores();
    match (cuda::part(), cuda::driver()) {
        (None, _) => format!("CPU only, {cores} cores: the CUDA part of libtorch is not installed"),
        (_, None) => format!("CPU only, {cores} cores: there is no NVIDIA driver"),
        (_, Some(driver)) if !cuda::is_loaded() => format!(
            "{cores} cores; the CUDA part of libtorch and a driver for CUDA {driver} are here and not yet loaded"
        ),
        (_, Some(driver)) => {
            format!(
                "{cores} cores and {} CUDA devices, driver for CUDA {driver}",
                cuda::n_devices()
            )
        }
    }
}

/// Text that is valid for the life of the process; the same text is kept once.
fn forever(text: &str) -> *const c_char {
    static TEXTS: Mutex<BTreeMap<CString, ()>> = Mutex::new(BTreeMap::new());
    let text = to_c_text(text);
    let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    texts.entry(text.clone()).or_default();
    // A CString's bytes stay where they are when the map moves it, and nothing is ever removed.
    texts.get_key_value(&text).map_or(ptr::null(), |(kept, ())| kept.as_ptr())
}
