//! How calls fail: as Java exceptions.

use std::{any::Any, fmt};

use cinetomo_host::abi::cinetomo_status;
use jni::{
    Env, JValue,
    errors::{Error, ErrorPolicy},
    jni_sig, jni_str,
    objects::JThrowable,
    refs::Global,
};

/// Why a native method has no result.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A status of the contract and a message: becomes a `CinetomoException`.
    Status(i32, String),
    /// What a listener threw: thrown again.
    Thrown(Global<JThrowable<'static>>),
    /// Java is in the middle of throwing: `OutOfMemoryError` and the like.
    Pending,
}

impl Failure {
    pub(crate) fn new(status: cinetomo_status, message: impl Into<String>) -> Failure {
        Failure::Status(status as i32, message.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Status(_, message) => f.write_str(message),
            Failure::Thrown(_) | Failure::Pending => f.write_str("a Java exception"),
        }
    }
}

impl std::error::Error for Failure {}

impl From<cinetomo_host::Error> for Failure {
    fn from(error: cinetomo_host::Error) -> Failure {
        Failure::Status(error.status(), error.message().to_owned())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        match error {
            Error::JavaException => Failure::Pending,
            Error::NullPtr(what) => {
                Failure::new(cinetomo_status::NullArgument, format!("null ({what})"))
            }
            other => Failure::new(cinetomo_status::Panic, format!("JNI: {other}")),
        }
    }
}

/// Throws what a native method returned as a failure, or panicked with; the method's own value is then 0 or null.
pub(crate) struct Throw;

impl<T: Default> ErrorPolicy<T, Failure> for Throw {
    type Captures<'env: 'method, 'method> = ();

    fn on_error<'env: 'method, 'method>(
        env: &mut Env<'env>,
        (): &mut (),
        failure: Failure,
    ) -> jni::errors::Result<T> {
        let thrown = match failure {
            Failure::Pending => Ok(()),
            Failure::Thrown(throwable) => env.throw(&*throwable),
            Failure::Status(status, message) => throw(env, status, &message),
        };
        match thrown {
            // Throwing has succeeded.
            Err(Error::JavaException) | Ok(()) => Ok(T::default()),
            Err(other) => Err(other),
        }
    }

    fn on_panic<'env: 'method, 'method>(
        env: &mut Env<'env>,
        captures: &mut (),
        payload: Box<dyn Any + Send>,
    ) -> jni::errors::Result<T> {
        let text = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied())
            .unwrap_or("no text");
        let failure =
            Failure::new(cinetomo_status::Panic, format!("cinetomo_jni panicked: {text}"));
        Throw::on_error(env, captures, failure)
    }
}

fn throw(env: &mut Env<'_>, status: i32, message: &str) -> jni::errors::Result<()> {
    let message = env.new_string(message)?;
    let exception = env.new_object(
        jni_str!("org/cinetomo/CinetomoException"),
        jni_sig!((status: jint, message: JString)),
        &[JValue::Int(status), JValue::Object(&message)],
    )?;
    let exception = env.cast_local::<JThrowable>(exception)?;
    env.throw(exception)
}
