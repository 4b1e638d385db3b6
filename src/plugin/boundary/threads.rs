//! CPU threads: libtorch's share for one call, the host's own setting before and after.

use std::{ffi::c_int, sync::OnceLock};

use libloading::os::unix::{Library, RTLD_LAZY, Symbol};

/// glibc's and musl's `RTLD_NOLOAD`.
const RTLD_NOLOAD: c_int = 4;

struct OpenMp {
    get_max_threads: Symbol<unsafe extern "C" fn() -> c_int>,
    set_num_threads: Symbol<unsafe extern "C" fn(c_int)>,
}

/// The OpenMP runtime that libtorch uses. It is shared with the host where both name it `libgomp.so.1`.
fn open_mp() -> Option<&'static OpenMp> {
    static OPEN_MP: OnceLock<Option<OpenMp>> = OnceLock::new();
    OPEN_MP
        .get_or_init(|| {
            // SAFETY: the library is already loaded (it is a dependency of libtorch), so no initialiser runs.
            let library =
                unsafe { Library::open(Some("libgomp.so.1"), RTLD_LAZY | RTLD_NOLOAD) }.ok()?;
            // SAFETY: the signatures are those of the OpenMP specification.
            let functions = unsafe {
                OpenMp {
                    get_max_threads: library.get(b"omp_get_max_threads\0").ok()?,
                    set_num_threads: library.get(b"omp_set_num_threads\0").ok()?,
                }
            };
            // The symbols must outlive this function; libtorch keeps the library loaded anyway.
            std::mem::forget(library);
            Some(functions)
        })
        .as_ref()
}

/// The host's OpenMP thread count on this thread, restored on drop: even asking libtorch for its thread count sets it.
pub(super) struct OpenMpSetting(Option<c_int>);

impl OpenMpSetting {
    pub(super) fn save() -> OpenMpSetting {
        // SAFETY: a plain query without arguments.
        OpenMpSetting(open_mp().map(|functions| unsafe { (functions.get_max_threads)() }))
    }
}

impl Drop for OpenMpSetting {
    fn drop(&mut self) {
        if let (Some(n), Some(functions)) = (self.0, open_mp()) {
            // SAFETY: `n` came from the matching query.
            unsafe { (functions.set_num_threads)(n) }
        }
    }
}

/// Lets libtorch use `n_threads` on this thread until the running call returns; 0 = one per core of the process.
pub(super) fn use_threads(n_threads: i32) {
    tch::set_num_threads(if n_threads == 0 { n_cores() } else { n_threads });
}

/// Cores available to the process.
pub(super) fn n_cores() -> i32 {
    std::thread::available_parallelism().map_or(1, |n| i32::try_from(n.get()).unwrap_or(i32::MAX))
}
