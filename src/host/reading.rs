//! What goes wrong while the plugin has a function of the host read voxels: neither errors nor panics may unwind through C.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

use cinetomo_abi::cinetomo_status;

use crate::Error;

/// What a function came to in all its calls.
#[derive(Default)]
pub(crate) struct Reading {
    failed: Option<String>,
    panic: Option<Box<dyn Any + Send>>,
}

impl Reading {
    /// Reads; 0 where that succeeds, as C has it.
    pub(crate) fn call(&mut self, read: impl FnOnce() -> Result<(), String>) -> i32 {
        match catch_unwind(AssertUnwindSafe(read)) {
            Ok(Ok(())) => return 0,
            Ok(Err(message)) => self.failed = Some(message),
            Err(panic) => self.panic = Some(panic),
        }
        1
    }

    /// What the call of the plugin came to, or what the function failed with, with status IO; its panic goes on.
    pub(crate) fn outcome<T>(self, result: Result<T, Error>) -> Result<T, Error> {
        if let Some(panic) = self.panic {
            resume_unwind(panic);
        }
        match self.failed {
            Some(message) => Err(Error::new(cinetomo_status::Io, message)),
            None => result,
        }
    }
}
