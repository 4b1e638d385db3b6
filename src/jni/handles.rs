//! What Java holds of ours: numbers. A number that was closed, or was never given out, is an error and no crash; an object
//! that one thread closes while another uses it lives until that call ends. Numbers are never used twice.

use std::{
    collections::BTreeMap,
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cinetomo_host::{Context, Model, abi::cinetomo_status};

use crate::{failure::Failure, shutdown::Call};

/// The contexts: `org.cinetomo.Cinetomo`.
pub(crate) static CONTEXTS: Handles<Context> = Handles::new("Cinetomo");

/// The models: `org.cinetomo.Model`.
pub(crate) static MODELS: Handles<Model> = Handles::new("Model");

/// The objects of one Java class.
pub(crate) struct Handles<T> {
    class: &'static str,
    objects: Mutex<(i64, BTreeMap<i64, Arc<T>>)>,
}

/// An object that a call works with: the JVM does not end before.
pub(crate) struct InUse<T> {
    // Dropped before the call ends, as that may free it.
    object: Arc<T>,
    _call: Call,
}

impl<T> Deref for InUse<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.object
    }
}

impl<T> Handles<T> {
    const fn new(class: &'static str) -> Handles<T> {
        Handles { class, objects: Mutex::new((0, BTreeMap::new())) }
    }

    /// Keeps an object; its number is never 0.
    pub(crate) fn insert(&self, object: T) -> i64 {
        let mut objects = self.lock();
        objects.0 += 1;
        let handle = objects.0;
        objects.1.insert(handle, Arc::new(object));
        handle
    }

    /// The object of that number, for the length of a call.
    pub(crate) fn get(&self, handle: i64) -> Result<InUse<T>, Failure> {
        let call = Call::begin(None)?;
        let object = self.lock().1.get(&handle).cloned().ok_or_else(|| {
            let message = format!("this {} is closed", self.class);
            Failure::new(cinetomo_status::InvalidArgument, message)
        })?;
        Ok(InUse { object, _call: call })
    }

    /// Forgets an object; one that is gone already is fine. It is freed outside the lock, which may take a while; or never,
    /// where the JVM is ending.
    pub(crate) fn remove(&self, handle: i64) {
        if let Ok(_call) = Call::begin(None) {
            let object = self.lock().1.remove(&handle);
            drop(object);
        }
    }

    /// A panic elsewhere leaves the map as it was: every change is one step.
    fn lock(&self) -> MutexGuard<'_, (i64, BTreeMap<i64, Arc<T>>)> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
