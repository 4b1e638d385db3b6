//! Calls back into Java, always on the thread that called us. An exception there is taken away at once, as JNI allows
//! hardly anything while one is pending: that of a progress listener stops the call and is thrown when it has ended, that of
//! a log listener is dropped.

use std::{ops::ControlFlow, sync::Arc};

use cinetomo_host::{Hooks, Plugin, Progress, abi::cinetomo_status};
use jni::{Env, JValue, JavaVM, errors::Error, jni_sig, jni_str, objects::JObject, refs::Global};

use crate::{failure::Failure, shutdown::Call};

/// Runs a long call of the plugin, whose progress goes to `listener`, a `ProgressListener` or null.
pub(crate) fn with_progress<T>(
    plugin: Plugin,
    listener: &JObject<'_>,
    call: impl FnOnce(Hooks<'_>) -> Result<T, cinetomo_host::Error>,
) -> Result<T, Failure> {
    let cancel = Arc::new(plugin.cancel()?);
    let _call = Call::begin(Some(cancel.clone()))?;
    if listener.is_null() {
        return Ok(call(Hooks::none().cancel(&cancel))?);
    }
    let mut thrown = None;
    let mut report = |progress: &Progress| {
        let answer = JavaVM::singleton()
            .map_err(Failure::from)
            .and_then(|vm| vm.attach_current_thread(|env| tell(env, listener, progress)));
        match answer {
            Ok(true) => ControlFlow::Continue(()),
            Ok(false) => ControlFlow::Break(()),
            Err(failure) => {
                thrown = Some(failure);
                ControlFlow::Break(())
            }
        }
    };
    let outcome = call(Hooks::progress(&mut report).cancel(&cancel));
    match thrown {
        Some(failure) => Err(failure),
        None => Ok(outcome?),
    }
}

/// Whether the listener wants the call to go on.
fn tell(env: &mut Env<'_>, listener: &JObject<'_>, progress: &Progress) -> Result<bool, Failure> {
    let answer = env.call_static_method(
        jni_str!("org/cinetomo/Native"),
        jni_str!("progress"),
        jni_sig!((
            listener: org.cinetomo.ProgressListener, stage: jint, epoch: jint, n_epochs: jint, step: jint, n_steps: jint,
            fraction: jdouble, loss: jdouble, accuracy: jdouble, validation_accuracy: jdouble
        ) -> jboolean),
        &[
            JValue::Object(listener),
            JValue::Int(progress.stage),
            JValue::Int(progress.epoch),
            JValue::Int(progress.n_epochs),
            JValue::Int(progress.step),
            JValue::Int(progress.n_steps),
            JValue::Double(progress.fraction),
            JValue::Double(progress.loss),
            JValue::Double(progress.accuracy),
            JValue::Double(progress.validation_accuracy),
        ],
    );
    match answer {
        Ok(answer) => Ok(answer.z()?),
        Err(Error::JavaException) => Err(take(env)?),
        Err(other) => Err(other.into()),
    }
}

/// Takes the pending exception away.
pub(crate) fn take(env: &mut Env<'_>) -> Result<Failure, Failure> {
    let Some(throwable) = env.exception_occurred() else {
        return Ok(Failure::new(
            cinetomo_status::Panic,
            "JNI reports an exception that is not there",
        ));
    };
    env.exception_clear();
    Ok(Failure::Thrown(env.new_global_ref(throwable)?))
}

/// A log sink that hands lines to a `LogListener`.
pub(crate) fn log(listener: Global<JObject<'static>>) -> impl Fn(i32, &str) + Send + Sync {
    move |level, line| {
        let told = JavaVM::singleton().and_then(|vm| {
            vm.attach_current_thread(|env| -> Result<(), Error> {
                let told = tell_line(env, &listener, level, line);
                env.exception_clear();
                told
            })
        });
        // A log is no place to fail.
        drop(told);
    }
}

fn tell_line(
    env: &mut Env<'_>,
    listener: &JObject<'_>,
    level: i32,
    line: &str,
) -> Result<(), Error> {
    let line = env.new_string(line)?;
    env.call_static_method(
        jni_str!("org/cinetomo/Native"),
        jni_str!("log"),
        jni_sig!((listener: org.cinetomo.LogListener, level: jint, line: JString)),
        &[JValue::Object(listener), JValue::Int(level), JValue::Object(&line)],
    )?;
    Ok(())
}
