//! CUDA on demand: one library for machines with and without it.
//!
//! The library is linked against the CPU part of libtorch alone. The CUDA part registers itself when it is loaded, and
//! libtorch remembers the answer to the first question about CUDA for the life of the process. So it must be loaded
//! before anything asks, and this module is the only one that asks.

use std::{
    ffi::c_int,
    path::PathBuf,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_LAZY, RTLD_LOCAL, RTLD_NOW};

use super::libtorch;
use crate::error::{Error, ErrorKind, Result};

/// Whether the CUDA part is in the process.
static LOADED: AtomicBool = AtomicBool::new(false);

/// Whether libtorch has computed without the CUDA part: its first convolution asks about CUDA, and its first training
/// counts the devices.
static COMPUTED_BEFORE: AtomicBool = AtomicBool::new(false);

fn unavailable(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::DeviceUnavailable, message)
}

/// The file with the CUDA part of libtorch, beside the CPU part.
pub(super) fn part() -> Option<PathBuf> {
    let path = libtorch::path()?.with_file_name("libtorch_cuda.so");
    path.exists().then_some(path)
}

/// The CUDA version that the NVIDIA driver serves, such as "13.0"; none without a driver.
pub(super) fn driver() -> Option<&'static str> {
    static DRIVER: OnceLock<Option<String>> = OnceLock::new();
    DRIVER
        .get_or_init(|| {
            // SAFETY: the driver's library does nothing until cuInit; it stays loaded.
            let library =
                unsafe { Library::open(Some("libcuda.so.1"), RTLD_LAZY | RTLD_LOCAL) }.ok()?;
            let mut version: c_int = 0;
            // SAFETY: `CUresult cuDriverGetVersion(int *)`, which needs no initialisation.
            let status = unsafe {
                library
                    .get::<unsafe extern "C" fn(*mut c_int) -> c_int>(b"cuDriverGetVersion\0")
                    .ok()?(&raw mut version)
            };
            std::mem::forget(library);
            // 1000 * major + 10 * minor.
            (status == 0).then(|| format!("{}.{}", version / 1000, version % 1000 / 10))
        })
        .as_deref()
}

/// Major number of the compute capability of a device, counted as libtorch counts them; none if the driver does not tell.
pub(super) fn generation(index: usize) -> Option<i32> {
    // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR of the driver's interface.
    const MAJOR: c_int = 75;
    let index = c_int::try_from(index).ok()?;
    let [mut device, mut major] = [0 as c_int; 2];
    // SAFETY: functions of the driver with the types of its header (cuda.h), which may be called in this order at any
    // time; the library was loaded by `driver` and stays.
    unsafe {
        let library = Library::open(Some("libcuda.so.1"), RTLD_LAZY | RTLD_LOCAL).ok()?;
        let init = library.get::<unsafe extern "C" fn(u32) -> c_int>(b"cuInit\0").ok()?;
        let get = library
            .get::<unsafe extern "C" fn(*mut c_int, c_int) -> c_int>(b"cuDeviceGet\0")
            .ok()?;
        let attribute = library
            .get::<unsafe extern "C" fn(*mut c_int, c_int, c_int) -> c_int>(
                b"cuDeviceGetAttribute\0",
            )
            .ok()?;
        let failed = init(0) != 0
            || get(&raw mut device, index) != 0
            || attribute(&raw mut major, MAJOR, device) != 0;
        (!failed).then_some(major)
    }
}

/// Loads the CUDA part of libtorch, once. Fails with what is missing: the part, the driver, or its order of loading.
pub(super) fn load() -> Result<()> {
    static LOADING: Mutex<()> = Mutex::new(());
    let _turn = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
    if !is_loaded() {
        let path = part().ok_or_else(|| {
            unavailable(format!(
                "the CUDA part of libtorch is missing: this is a CPU-only install, without \
                 libtorch_cuda.so beside {}",
                libtorch::path().unwrap_or_default().display()
            ))
        })?;
        if COMPUTED_BEFORE.load(Ordering::SeqCst) {
            return Err(unavailable(
                "this process computed on the CPU before its first CUDA context was made, and libtorch does not look for \
                 devices twice: make the CUDA context first",
            ));
        }
        // SAFETY: libtorch's own library, whose initialisers register the CUDA backend. GLOBAL, as the parts of
        // libtorch find each other's symbols that way.
        let library =
            unsafe { Library::open(Some(&path), RTLD_NOW | RTLD_GLOBAL) }.map_err(|error| {
                unavailable(format!(
                    "the CUDA part of libtorch is here but cannot be loaded: {}",
                    libtorch::with_cause(&error)
                ))
            })?;
        std::mem::forget(library);
        LOADED.store(true, Ordering::SeqCst);
        if !tch::utils::has_cudart() {
            return Err(Error::new(
                ErrorKind::RuntimeConflict,
                "something in this process asked libtorch about CUDA before its CUDA part was loaded; make the CUDA \
                 context before other uses of libtorch",
            ));
        }
    }
    if driver().is_none() {
        return Err(unavailable(
            "the NVIDIA driver is missing: libcuda.so.1 is not on this machine",
        ));
    }
    Ok(())
}

/// Whether the CUDA part is in the process.
pub(super) fn is_loaded() -> bool {
    LOADED.load(Ordering::SeqCst)
}

/// Usable devices; 0 as long as the CUDA part is not loaded, without asking libtorch.
pub(super) fn n_devices() -> usize {
    if !is_loaded() || driver().is_none() {
        return 0;
    }
    usize::try_from(tch::Cuda::device_count()).unwrap_or(0)
}

/// Notes that libtorch is about to compute.
pub(super) fn note_computation() {
    if !is_loaded() {
        COMPUTED_BEFORE.store(true, Ordering::SeqCst);
    }
}
