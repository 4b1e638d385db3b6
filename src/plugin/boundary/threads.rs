//! CPU threads: libtorch's share for one call, the host's own setting before and after, and our own kernels' work on libtorch's threads.

use std::{
    any::Any,
    ffi::{c_int, c_uint, c_void},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    ptr,
    sync::{Mutex, OnceLock, PoisonError},
};

use libloading::os::unix::{Library, RTLD_LAZY, Symbol};

use super::guard::boundary_after_fork;

/// glibc's and musl's `RTLD_NOLOAD`.
const RTLD_NOLOAD: c_int = 4;

struct OpenMp {
    get_max_threads: Symbol<unsafe extern "C" fn() -> c_int>,
    set_num_threads: Symbol<unsafe extern "C" fn(c_int)>,
    parallel: Symbol<Parallel>,
}

/// libgomp's entry for `#pragma omp parallel`: the body, what it is called with, threads (0 = as many as are set), where they may run (0 = anywhere).
type Parallel = unsafe extern "C" fn(extern "C" fn(*mut c_void), *mut c_void, c_uint, c_uint);

/// The OpenMP runtime that libtorch uses. It is shared with the host where both name it `libgomp.so.1`.
fn open_mp() -> Option<&'static OpenMp> {
    static OPEN_MP: OnceLock<Option<OpenMp>> = OnceLock::new();
    OPEN_MP
        .get_or_init(|| {
            // SAFETY: the library is already loaded (it is a dependency of libtorch), so no initialiser runs.
            let library =
                unsafe { Library::open(Some("libgomp.so.1"), RTLD_LAZY | RTLD_NOLOAD) }.ok()?;
            // SAFETY: the signatures are those of the OpenMP specification and of libgomp 4.9 and later (gcc/omp-builtins.def).
            let functions = unsafe {
                OpenMp {
                    get_max_threads: library.get(b"omp_get_max_threads\0").ok()?,
                    set_num_threads: library.get(b"omp_set_num_threads\0").ok()?,
                    parallel: library.get(b"GOMP_parallel\0").ok()?,
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
    if open_mp().is_some() {
        cinetomo_kernels::employ(on_open_mp);
    }
    tch::set_num_threads(if n_threads == 0 { n_cores() } else { n_threads });
}

/// Cores available to the process.
pub(super) fn n_cores() -> i32 {
    std::thread::available_parallelism().map_or(1, |n| i32::try_from(n.get()).unwrap_or(i32::MAX))
}

/// Work of our kernels, on OpenMP's threads.
struct Shared<'a> {
    work: &'a (dyn Fn() + Sync),
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

/// The same threads as libtorch's. Those wait for its next operator by turning round, and threads of our own had to share the cores with them. All take
/// part, as in libtorch's operators, even if there is nothing to do for some: a smaller team would end the others.
fn on_open_mp(_: usize, work: &(dyn Fn() + Sync)) {
    let Some(functions) = open_mp() else { return work() };
    let shared = Shared { work, panic: Mutex::new(None) };
    // SAFETY: `enter` takes such a thing, which lives until all threads have left it: that is when `parallel` returns.
    unsafe { (functions.parallel)(enter, ptr::from_ref(&shared).cast_mut().cast(), 0, 0) }
    if let Some(panic) = shared.panic.into_inner().unwrap_or_else(PoisonError::into_inner) {
        resume_unwind(panic);
    }
}

extern "C" fn enter(shared: *mut c_void) {
    boundary_after_fork((), || {
        // SAFETY: what `on_open_mp` handed over; several threads only read it.
        let shared = unsafe { &*shared.cast::<Shared<'_>>() };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(shared.work)) {
            *shared.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
        }
    })
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, thread};

    use super::*;

    #[test]
    fn work_is_done_by_as_many_threads_as_are_set_and_panics_come_back() {
        let _setting = OpenMpSetting::save();
        for n_threads in [1, 2, 3] {
            use_threads(n_threads);
            let threads = Mutex::new(HashSet::new());
            on_open_mp(1, &|| _ = threads.lock().unwrap().insert(thread::current().id()));
            let threads = threads.into_inner().unwrap();
            assert_eq!(threads.len(), n_threads as usize);
            assert!(threads.contains(&thread::current().id()));
            let caller = thread::current().id();
            for of_caller in [true, false] {
                let work = || {
                    let is_caller = thread::current().id() == caller;
                    assert!(is_caller != of_caller, "a defect, planted");
                };
                let panics = n_threads > 1 || of_caller;
                assert_eq!(catch_unwind(|| on_open_mp(1, &work)).is_err(), panics);
            }
        }
    }
}
