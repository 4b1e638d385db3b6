//! Progress, cancellation and logging: the calls that go from the library to the host.

use std::ffi::c_void;

/// A flag that any thread may raise to stop a running call. Freed with `cinetomo_cancel_free`.
#[cfg_attr(feature = "stable-abi", derive(abi_stable::StableAbi), repr(C))]
pub struct cinetomo_cancel {
    _opaque: [u8; 0],
}

/// What a long call is doing.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum cinetomo_stage {
    /// Reading a checkpoint or model file.
    Load = 0,
    /// Computing the fixed features that the linear probe is fitted on.
    Features = 1,
    /// Fitting the linear probe.
    Probe = 2,
    /// Estimating BatchNorm statistics on the caller's subtomograms.
    Recalibrate = 3,
    /// Fine-tuning.
    Train = 4,
    /// Scoring the validation subtomograms.
    Validate = 5,
    /// Classifying.
    Classify = 6,
    /// Computing embeddings.
    Embed = 7,
    /// Simulating subtomograms or a tomogram.
    Simulate = 8,
    /// Picking particles.
    Pick = 9,
    /// Cutting boxes out of a tomogram.
    Extract = 10,
    /// Computing where in the box the evidence for a class lies.
    Explain = 11,
    /// Mapping embeddings into the plane.
    Project = 12,
}

/// How severe a log message is; a sink receives its own level and everything more severe (smaller numbers).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum cinetomo_log_level {
    /// Nothing is logged.
    Off = 0,
    /// The call fails.
    Error = 1,
    /// The call goes on, but the user should know.
    Warn = 2,
    /// What was chosen and measured, a few lines a call.
    Info = 3,
    /// Detail for a developer.
    Debug = 4,
    /// Everything.
    Trace = 5,
}

/// Where a long call stands. Valid only during the callback that receives it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "stable-abi", derive(abi_stable::StableAbi))]
pub struct cinetomo_progress {
    /// Size of this struct as the library knows it. Read no field beyond it.
    pub struct_size: usize,
    /// What is being done: a `CINETOMO_STAGE_*`.
    pub stage: i32,
    /// Epoch, counted from 1; 0 outside training.
    pub epoch: i32,
    /// Number of epochs; 0 outside training.
    pub n_epochs: i32,
    /// Batch within the epoch or call, counted from 1.
    pub step: i32,
    /// Number of batches in the epoch or call.
    pub n_steps: i32,
    /// Zero.
    pub reserved: i32,
    /// How much of the whole call is done, from 0 to 1; never goes back within a call.
    pub fraction: f64,
    /// Mean cross-entropy over the epoch so far, in nats; NaN where no loss is computed.
    pub loss: f64,
    /// Fraction of the epoch's training subtomograms classified correctly so far; NaN outside training.
    pub accuracy: f64,
    /// Accuracy on the validation subtomograms after the last finished epoch; NaN before it, or without validation.
    pub validation_accuracy: f64,
}

/// How the host follows and stops a long call. All zero (after `cinetomo_hooks_init`) means: silently, to the end.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "stable-abi", derive(abi_stable::StableAbi))]
pub struct cinetomo_hooks {
    /// `sizeof(cinetomo_hooks)` as the caller was compiled; set by `cinetomo_hooks_init`.
    pub struct_size: usize,
    /// Handed to `progress` as it is.
    pub user_data: *mut c_void,
    /// Called now and then during long work, or NULL. Always on the thread that made the call, never after the call
    /// returned. Returns 0 to go on, anything else to stop with CINETOMO_STATUS_CANCELLED. Must not throw or longjmp,
    /// and must not free what the running call uses. `progress` is valid during the callback only.
    pub progress: Option<
        unsafe extern "C" fn(user_data: *mut c_void, progress: *const cinetomo_progress) -> i32,
    >,
    /// Cancel flag, or NULL. Checked at least once per batch.
    pub cancel: *const cinetomo_cancel,
}
