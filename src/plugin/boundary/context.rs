//! `cinetomo_context`: device, threads and log.

use std::{ffi::c_char, ffi::c_void, ptr};

use cinetomo_abi::{
    cinetomo_context, cinetomo_context_options, cinetomo_device as DeviceChoice, cinetomo_error,
    cinetomo_log_level as LogLevel, cinetomo_precision as PrecisionChoice,
};
use log::{Level, LevelFilter};
use tch::Device;

use super::{
    cuda,
    error::to_c_text,
    exit,
    guard::{boundary, boundary_or},
    handles::Registry,
    libtorch,
    read::{self, sized_struct},
    threads,
    write::{self, OutHandle},
};
use crate::{
    backbone::Precision,
    error::{Error, ErrorKind, Result},
    monitor::log_line,
};

/// What a context holds.
pub(super) struct Context {
    pub(super) device: Device,
    pub(super) precision: Precision,
    n_threads: i32,
    pub(super) log: LogSink,
}

impl Context {
    /// Lets the running call use this context's CPU threads.
    pub(super) fn enter(&self) {
        threads::use_threads(self.n_threads);
    }

    /// Lets the running call make, read or write a model, on one of libtorch's threads: files and memory take the time, and
    /// OpenMP's threads would wait on the cores that hash and read (a checkpoint took 1.6 times as long with two).
    pub(super) fn enter_alone(&self) {
        threads::use_threads(1);
    }

    /// CPU threads that a call may use.
    pub(super) fn n_threads(&self) -> usize {
        match self.n_threads {
            0 => threads::n_cores() as usize,
            n => n as usize,
        }
    }

    /// As `enter`, to put something through libtorch's operators.
    pub(super) fn compute(&self) {
        cuda::note_computation();
        self.enter();
        exit::prepare();
    }
}

pub(super) static CONTEXTS: Registry<Context> = Registry::new("cinetomo_context");

sized_struct!(
    cinetomo_context_options,
    40,
    cinetomo_context_options {
        struct_size: size_of::<cinetomo_context_options>(),
        device: DeviceChoice::Auto as i32,
        device_index: 0,
        n_threads: 0,
        log_level: LogLevel::Warn as i32,
        log: None,
        log_user_data: ptr::null_mut(),
        precision: PrecisionChoice::F32 as i32,
        reserved: 0,
    }
);

/// The host's log callback.
pub(super) struct LogSink {
    level: LevelFilter,
    callback: Option<unsafe extern "C" fn(*mut c_void, i32, *const c_char)>,
    user_data: *mut c_void,
}

// SAFETY: the contract asks that a log sink may be called from every thread that calls the library.
unsafe impl Send for LogSink {}
// SAFETY: as above.
unsafe impl Sync for LogSink {}

impl log::Log for LogSink {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        self.callback.is_some() && metadata.level() <= self.level
    }

    fn log(&self, record: &log::Record<'_>) {
        let Some(callback) = self.callback else { return };
        if record.level() > self.level {
            return;
        }
        let level = match record.level() {
            Level::Error => LogLevel::Error,
            Level::Warn => LogLevel::Warn,
            Level::Info => LogLevel::Info,
            Level::Debug => LogLevel::Debug,
            Level::Trace => LogLevel::Trace,
        };
        let message = to_c_text(&record.args().to_string().replace('\n', " "));
        // SAFETY: the host's own function, called as it declared it, on the thread that made the call.
        exit::aside(|| unsafe { callback(self.user_data, level as i32, message.as_ptr()) })
    }

    fn flush(&self) {}
}

/// Fills `out_options` with the defaults. `struct_size` is `sizeof *out_options`.
///
/// Errors: NULL_ARGUMENT, INVALID_ARGUMENT. [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cinetomo_context_options_init(
    out_options: *mut cinetomo_context_options,
    struct_size: usize,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe { boundary(ptr::null_mut(), || write::init(out_options, struct_size)) }
}

/// Chooses the device, the CPU threads and the log sink for the models made with this context. `options` may be NULL
/// for the defaults. Loads the CUDA part of libtorch if CUDA is asked for, or with AUTO if an NVIDIA driver is present;
/// libtorch looks for devices once, so a process that wants CUDA makes its CUDA context before it computes on the CPU.
///
/// Errors: NULL_ARGUMENT; INVALID_ARGUMENT; DEVICE_UNAVAILABLE says whether the CUDA part of libtorch, the driver or
/// the device is missing; RUNTIME_CONFLICT if the process has two copies of libtorch. [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cinetomo_context_new(
    options: *const cinetomo_context_options,
    out_context: *mut *mut cinetomo_context,
    out_error: *mut *mut cinetomo_error,
) -> i32 {
    // SAFETY: pointers are NULL or valid, by contract.
    unsafe {
        boundary(out_error, || {
            let out = OutHandle::new(out_context, "out_context")?;
            let options = read::sized_or_default(options, "options")?;
            out.write(CONTEXTS.insert(new(&options)?));
            Ok(())
        })
    }
}

/// Frees a context. Models made with it go on working. NULL is fine. [any thread]
#[unsafe(no_mangle)]
pub extern "C" fn cinetomo_context_free(context: *mut cinetomo_context) {
    boundary_or((), || CONTEXTS.remove(context))
}

fn new(options: &cinetomo_context_options) -> Result<Context> {
    libtorch::check_single()?;
    let level = read::choice(
        options.log_level,
        &[
            (LogLevel::Off as i32, LevelFilter::Off),
            (LogLevel::Error as i32, LevelFilter::Error),
            (LogLevel::Warn as i32, LevelFilter::Warn),
            (LogLevel::Info as i32, LevelFilter::Info),
            (LogLevel::Debug as i32, LevelFilter::Debug),
            (LogLevel::Trace as i32, LevelFilter::Trace),
        ],
        "options.log_level",
    )?;
    let log = LogSink { level, callback: options.log, user_data: options.log_user_data };
    // libtorch allocates per thread; far more threads than any machine has is a mistake.
    if !(0..=4096).contains(&options.n_threads) {
        return Err(Error::invalid(format!(
            "options.n_threads is {}; it must be 0 (one per core) to 4096",
            options.n_threads
        )));
    }
    let choice = read::choice(
        options.device,
        &[
            (DeviceChoice::Auto as i32, DeviceChoice::Auto),
            (DeviceChoice::Cpu as i32, DeviceChoice::Cpu),
            (DeviceChoice::Cuda as i32, DeviceChoice::Cuda),
        ],
        "options.device",
    )?;
    let index = usize::try_from(options.device_index).map_err(|_| {
        Error::invalid(format!(
            "options.device_index is {}; GPUs are counted from 0",
            options.device_index
        ))
    })?;
    let device = match choice {
        DeviceChoice::Cpu => Device::Cpu,
        DeviceChoice::Cuda => cuda_device(index)?,
        DeviceChoice::Auto if cuda::driver().is_none() => Device::Cpu,
        DeviceChoice::Auto => cuda_device(index).unwrap_or_else(|reason| {
            log_line(&log, Level::Warn, format_args!("computing on the CPU: {reason}"));
            Device::Cpu
        }),
    };
    let precision = precision(options, device)?;
    log_line(&log, Level::Info, format_args!("computing on {device:?} in {precision:?}"));
    Ok(Context { device, precision, n_threads: options.n_threads, log })
}

fn precision(options: &cinetomo_context_options, device: Device) -> Result<Precision> {
    read::check_reserved(options.reserved, "options")?;
    let choice = read::choice(
        options.precision,
        &[PrecisionChoice::F32, PrecisionChoice::Bf16, PrecisionChoice::Auto]
            .map(|p| (p as i32, p)),
        "options.precision",
    )?;
    let generation = match device {
        Device::Cuda(index) => cuda::generation(index),
        _ => None,
    };
    let has_bf16 = generation.is_some_and(|generation| generation >= BF16_GENERATION);
    match choice {
        PrecisionChoice::F32 => Ok(Precision::F32),
        PrecisionChoice::Auto => Ok(if has_bf16 { Precision::Bf16 } else { Precision::F32 }),
        PrecisionChoice::Bf16 if has_bf16 || device == Device::Cpu => Ok(Precision::Bf16),
        PrecisionChoice::Bf16 => Err(Error::new(
            ErrorKind::DeviceUnavailable,
            format!(
                "options.precision is BF16, which GPUs of compute capability {BF16_GENERATION} on have; {device:?} is {}",
                generation.map_or("of an unknown one".to_owned(), |number| format!("of {number}"))
            ),
        )),
    }
}

/// Compute capability from which on GPUs multiply bfloat16 (CUDA C++ Programming Guide, table of arithmetic instructions).
const BF16_GENERATION: i32 = 8;

fn cuda_device(index: usize) -> Result<Device> {
    cuda::load()?;
    let n = cuda::n_devices();
    if index < n {
        return Ok(Device::Cuda(index));
    }
    Err(Error::new(
        ErrorKind::DeviceUnavailable,
        match n {
            0 => "the CUDA part of libtorch and the NVIDIA driver are here, but the driver shows no device \
                  (is CUDA_VISIBLE_DEVICES empty?)"
                .to_owned(),
            _ => format!("there is no CUDA device {index}; this machine has 0 to {}", n - 1),
        },
    ))
}
