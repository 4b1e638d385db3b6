//! The native side of cinetomo's Java classes (`examples/fiji`): each native method of `org.cinetomo.Native` makes one call
//! of `cinetomo-host` and turns its outcome into a Java value or a `CinetomoException`.
//!
//! What must never happen is the death of the JVM. So a Java object is a number here, looked up for each call (`handles`);
//! panics and errors become exceptions (`failure`); no exception is pending while cinetomo works (`listeners`); the JVM does
//! not end before our calls have (`shutdown`); and `RegisterNatives` holds the methods' types against those that Java declares when the library is loaded.

mod arguments;
mod evaluation;
mod failure;
mod handles;
mod listeners;
mod methods;
mod options;
mod picking;
mod shutdown;
mod simulation;

use std::{
    ffi::c_void,
    panic::{AssertUnwindSafe, catch_unwind},
};

use jni::{JNIVersion, JavaVM, errors::Error, jni_str, sys};

/// Called by `System.load`: gives `org.cinetomo.Native` its methods. Where they do not fit, loading fails with an error.
///
/// # Safety
/// `vm` is the running JVM; it alone calls this.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn JNI_OnLoad(vm: *mut sys::JavaVM, _: *mut c_void) -> sys::jint {
    let register = || {
        // SAFETY: as the JVM promises.
        let vm = unsafe { JavaVM::from_raw(vm) };
        vm.with_top_local_frame(|env| -> Result<(), Error> {
            // SAFETY: `native_method!` made functions of the types that they are registered with.
            unsafe {
                env.register_native_methods(jni_str!("org/cinetomo/Native"), methods::METHODS)
            }
        })
    };
    match catch_unwind(AssertUnwindSafe(register)) {
        Ok(Ok(())) => JNIVersion::V1_8.into(),
        _ => sys::JNI_ERR,
    }
}
