//! What the calls of a run share: tables, handles, files and voxels; and what every call is held to.

use std::{
    ffi::{CStr, CString, c_void},
    fs::{self, File},
    io::Write,
    mem::MaybeUninit,
    path::Path,
    ptr,
    sync::Mutex,
    thread::ThreadId,
    time::{Duration, Instant},
};

use cinetomo_abi::{cinetomo_status as Status, *};
use cinetomo_tests::library;

use crate::draw::{Draw, Padded};

/// Voxels in each of the buffers.
pub const N_VOXELS: usize = 8 * 16 * 16 * 16;

/// Most models at a time: each has some ten million weights.
const MAX_MODELS: usize = 4;

/// How long a call may go on before its progress callback stops it.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Handles that are live as far as we know, and some that were.
#[derive(Default)]
pub struct Pool {
    live: Vec<usize>,
    freed: Vec<usize>,
}

pub struct World {
    pub api: &'static cinetomo_api,
    pub synthetic: &'static cinetomo_synthetic_api,
    pub picker: &'static cinetomo_pick_api,
    pub project2d: &'static cinetomo_project2d_api,
    pub datasets: &'static cinetomo_dataset_api,
    pub contexts: Mutex<Pool>,
    pub models: Mutex<Pool>,
    pub cancels: Mutex<Pool>,
    /// Paths of files, good and bad, NUL-terminated.
    pub files: Vec<CString>,
    /// Buffers of `N_VOXELS` numbers: ordinary, with a NaN, constant, huge, tiny.
    pub voxels: Vec<Vec<f32>>,
    /// Whether other threads use the same handles.
    pub is_shared: bool,
}

/// A struct as its `_init` function leaves it.
pub fn initialised<T>(init: unsafe extern "C" fn(*mut T, usize) -> i32) -> T {
    let mut value = MaybeUninit::uninit();
    // SAFETY: the size is that of the memory.
    unsafe {
        assert_eq!(init(value.as_mut_ptr(), size_of::<T>()), Status::Ok as i32);
        value.assume_init()
    }
}

fn extension<T>(api: &cinetomo_api, id: &CStr) -> &'static T {
    // SAFETY: the id names this table, which lives as long as the process.
    unsafe { (api.get_extension)(id.as_ptr()).cast::<T>().as_ref() }.expect("the extension")
}

impl World {
    pub fn new(directory: &Path, is_shared: bool) -> World {
        // SAFETY: the library's initialisers are libtorch's; the signature is the contract's.
        let api = unsafe {
            let library = libloading::Library::new(library()).expect("the library loads");
            let get_api: libloading::Symbol<unsafe extern "C" fn(u32) -> *const cinetomo_api> =
                library.get(b"cinetomo_get_api\0").expect("cinetomo_get_api");
            let api = get_api(CINETOMO_ABI_VERSION).as_ref().expect("ABI 1");
            std::mem::forget(library);
            api
        };
        let wave = |scale: f32| (0..N_VOXELS).map(move |i| (i as f32 * 0.37).sin() * scale);
        let mut with_nan: Vec<f32> = wave(1.0).collect();
        with_nan[N_VOXELS / 3] = f32::NAN;
        let world = World {
            api,
            synthetic: extension(api, c"cinetomo.synthetic/1"),
            picker: extension(api, c"cinetomo.pick/1"),
            project2d: extension(api, c"cinetomo.project2d/1"),
            datasets: extension(api, c"cinetomo.dataset/1"),
            contexts: Mutex::default(),
            models: Mutex::default(),
            cancels: Mutex::default(),
            files: files(directory),
            voxels: vec![
                wave(1.0).collect(),
                wave(100.0).collect(),
                with_nan,
                vec![3.0; N_VOXELS],
                wave(1e38).collect(),
                wave(1e-38).collect(),
            ],
            is_shared,
        };
        let options = cinetomo_context_options {
            device: cinetomo_device::Cpu as i32,
            n_threads: 1,
            ..initialised(api.context_options_init)
        };
        let mut context = ptr::null_mut();
        // SAFETY: valid arguments.
        let status = unsafe { (api.context_new)(&options, &mut context, ptr::null_mut()) };
        assert_eq!(status, Status::Ok as i32);
        world.keep(&world.contexts, context);
        world
    }

    /// Takes a new handle in; the oldest model makes room for a new one.
    pub fn keep<C>(&self, pool: &Mutex<Pool>, handle: *mut C) {
        assert!(!handle.is_null(), "no handle on success");
        let mut pool = pool.lock().expect("a pool");
        assert!(!pool.live.contains(&handle.addr()), "a number was used twice");
        pool.live.push(handle.addr());
    }

    /// One model too many, to be freed.
    pub fn surplus(&self) -> Option<*mut cinetomo_model> {
        let mut pool = self.models.lock().expect("a pool");
        if pool.live.len() <= MAX_MODELS {
            return None;
        }
        let oldest = pool.live.remove(0);
        pool.freed.push(oldest);
        Some(ptr::without_provenance_mut(oldest))
    }

    /// Mostly a live handle of this pool; else NULL, a freed one, one of another pool, or a number.
    pub fn handle<C>(&self, pool: &Mutex<Pool>, draw: &mut Draw) -> *mut C {
        let number = match if draw.is_sane { 9 } else { draw.below(12) } {
            0 => 0,
            1 => [1, 8, 16, 17, usize::MAX, draw.bits() as usize][draw.below(6)],
            2 => {
                let others = [&self.contexts, &self.models, &self.cancels];
                let other = draw.of(&others).lock().expect("a pool");
                other.live.first().copied().unwrap_or(0)
            }
            3 => {
                let pool = pool.lock().expect("a pool");
                pool.freed.last().copied().unwrap_or(0)
            }
            _ => {
                let pool = pool.lock().expect("a pool");
                match pool.live.len() {
                    0 => 0,
                    n => pool.live[draw.below(n)],
                }
            }
        };
        ptr::without_provenance_mut(number)
    }

    /// Takes a live handle out of the pool, for its `_free`.
    pub fn take<C>(&self, pool: &Mutex<Pool>, draw: &mut Draw) -> *mut C {
        let mut pool = pool.lock().expect("a pool");
        if pool.live.is_empty() {
            return ptr::null_mut();
        }
        let index = draw.below(pool.live.len());
        let number = pool.live.swap_remove(index);
        pool.freed.push(number);
        ptr::without_provenance_mut(number)
    }

    pub fn file(&self, draw: &mut Draw) -> *const std::ffi::c_char {
        match draw.fault(20) {
            true => ptr::null(),
            false => self.files[draw.below(self.files.len())].as_ptr(),
        }
    }
}

/// The files that calls read; the first is written by `model_save`.
fn files(directory: &Path) -> Vec<CString> {
    let header = br#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    let mut foreign = (header.len() as u64).to_le_bytes().to_vec();
    foreign.extend(header);
    foreign.extend([0; 8]);
    for (name, bytes) in [
        ("empty", &b""[..]),
        ("text", b"<!DOCTYPE html>"),
        ("pickle", b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R."),
        ("foreign.safetensors", &foreign),
        ("zip.pt", b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
    ] {
        fs::write(directory.join(name), bytes).expect("a file");
    }
    let inside = [
        "model.safetensors",
        "model.safetensors",
        "second.safetensors",
        "empty",
        "text",
        "pickle",
        "foreign.safetensors",
        "zip.pt",
        "missing",
        "missing/file",
        "text/inside",
        "",
    ]
    .map(|name| directory.join(name).into_os_string().into_encoded_bytes());
    let others = ["", ".", "/", "/dev/null", "/dev/zero", "/proc/self/mem"].map(Vec::from);
    let long = [vec![b'x'; 5000], b"\xff\xfe".to_vec()];
    inside.into_iter().chain(others).chain(long).map(|p| CString::new(p).expect("no NUL")).collect()
}

/// A call in progress: its name, its thread, and what its callbacks were told.
pub struct Call<'w> {
    pub world: &'w World,
    pub name: &'static str,
    thread: ThreadId,
    started: Instant,
    cpu_before: Duration,
    last: f64,
    n_reports: u32,
    stop_after: u32,
    has_stopped: bool,
    /// The model at work, which callbacks may not ask for.
    pub model: *const cinetomo_model,
    error: *mut cinetomo_error,
    wants_error: bool,
}

/// Runs a call: writes it down first, so that it can be found if the process dies, and judges what came of it.
pub fn call<'w>(
    world: &'w World,
    log: &mut File,
    draw: &mut Draw,
    name: &'static str,
    body: impl FnOnce(&mut Call<'w>, &mut Draw) -> i32,
) -> i32 {
    draw.is_sane = draw.below(3) > 0;
    writeln!(log, "{:?} {name}", std::thread::current().id()).expect("the log");
    let mut call = Call {
        world,
        name,
        thread: std::thread::current().id(),
        started: Instant::now(),
        cpu_before: cpu_time(),
        last: 0.0,
        n_reports: 0,
        stop_after: draw.of(&[1, 3, 1000, 1000, 1000, 1000, 1000, 1000]),
        has_stopped: false,
        model: ptr::null(),
        // Must be overwritten.
        error: ptr::without_provenance_mut(7),
        wants_error: !draw.once_in(8),
    };
    let status = body(&mut call, draw);
    writeln!(log, "{:?} {status}", std::thread::current().id()).expect("the log");
    call.judge(status);
    status
}

impl Call<'_> {
    /// Where the error goes, if anywhere.
    pub fn out_error(&mut self) -> *mut *mut cinetomo_error {
        match self.wants_error {
            true => &raw mut self.error,
            false => ptr::null_mut(),
        }
    }

    fn judge(&mut self, status: i32) {
        let (name, took) = (self.name, cpu_time().saturating_sub(self.cpu_before));
        let api = self.world.api;
        let mut message = String::new();
        if self.wants_error && self.error.addr() != 7 {
            // SAFETY: an error of this thread's, or NULL.
            unsafe {
                assert_eq!((api.error_status)(self.error), status, "{name}");
                message = CStr::from_ptr((api.error_message)(self.error))
                    .to_str()
                    .expect("UTF-8")
                    .to_owned();
                assert_eq!(message.is_empty(), status == Status::Ok as i32, "{name}: {message}");
                (api.error_free)(self.error);
                assert_eq!(
                    (api.error_status)(self.error),
                    if self.error.is_null() { 0 } else { 2 }
                );
            }
        }
        let defects =
            [Status::Panic as i32, Status::Backend as i32, Status::RuntimeConflict as i32];
        assert!((0..=14).contains(&status), "{name}: status {status}");
        assert!(!defects.contains(&status), "{name}: status {status}: {message}");
        if self.has_stopped {
            let expected = [Status::Cancelled as i32, Status::Ok as i32];
            assert!(expected.contains(&status), "{name} was stopped: status {status}: {message}");
        }
        assert!(took < Duration::from_secs(20), "{name} took {took:?}: status {status}: {message}");
        if took > Duration::from_secs(4) {
            eprintln!("slow: {name} took {took:?}, status {status}: {message}");
        }
    }

    /// Hooks, or NULL; the callback comes back to this call.
    pub fn hooks(&mut self, draw: &mut Draw) -> Padded<cinetomo_hooks> {
        let mut hooks = cinetomo_hooks {
            user_data: ptr::from_mut(self).cast(),
            progress: Some(report),
            ..initialised(self.world.api.hooks_init)
        };
        if draw.once_in(6) {
            hooks.cancel = self.world.handle(&self.world.cancels, draw);
        }
        Padded::new(hooks).size(draw, |hooks| &mut hooks.struct_size)
    }
}

/// What this thread has computed: the machine may have other work, and calls on one model take turns.
fn cpu_time() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let nanoseconds = text.split(' ').next().and_then(|n| n.parse().ok());
    Duration::from_nanos(nanoseconds.expect("nanoseconds"))
}

unsafe extern "C" fn report(call: *mut c_void, progress: *const cinetomo_progress) -> i32 {
    // SAFETY: the call that these hooks were made for, and progress that the library vouches for.
    let (call, progress) = unsafe { (&mut *call.cast::<Call>(), &*progress) };
    let name = call.name;
    assert_eq!(call.thread, std::thread::current().id(), "{name}: a callback on another thread");
    assert!(!call.has_stopped, "{name}: a callback after it had said stop");
    assert!(
        (call.last..=1.0).contains(&progress.fraction),
        "{name}: {progress:?} after {}",
        call.last
    );
    call.last = progress.fraction;
    call.n_reports += 1;
    if !call.model.is_null() && call.n_reports == 1 {
        let world = call.world;
        let mut info = initialised(world.api.model_info_init);
        // SAFETY: valid arguments; whatever comes of it.
        unsafe { (world.api.model_info_get)(call.model, &mut info, ptr::null_mut()) };
    }
    call.has_stopped = call.n_reports >= call.stop_after || call.started.elapsed() > PATIENCE;
    i32::from(call.has_stopped)
}

/// What an output of `len` of a `capacity` must look like after a call.
pub fn check_len(name: &str, status: i32, capacity: usize, len: usize) -> usize {
    const UNTOUCHED: usize = 7;
    if status == Status::Ok as i32 {
        assert!(capacity == 0 || len <= capacity, "{name}: {len} of {capacity}");
        return if capacity == 0 { 0 } else { len };
    }
    if status == Status::BufferTooSmall as i32 {
        // Or it is an array beside this one, whose length the caller knows.
        assert!(len > capacity || len == UNTOUCHED, "{name}: {len} of {capacity} is too small");
    } else {
        assert_eq!(len, UNTOUCHED, "{name}: output on failure {status}");
    }
    0
}
