//! Handles: numbers that stand for the library's objects.
//!
//! A handle looks like a pointer to C and is never dereferenced here. It is looked up in the registry of its type, so a
//! handle that was freed, belongs to another type or was never ours is an error message and not a crash, and an
//! object that one thread frees while another uses it lives until that call ends. Numbers are never used twice.

use std::{
    collections::BTreeMap,
    ptr,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::error::{Error, ErrorKind, Result};

/// The live objects of one type.
pub(super) struct Registry<T> {
    /// Name of the C type.
    name: &'static str,
    live: RwLock<BTreeMap<usize, Arc<T>>>,
}

impl<T> Registry<T> {
    pub(super) const fn new(name: &'static str) -> Registry<T> {
        Registry { name, live: RwLock::new(BTreeMap::new()) }
    }

    /// Takes an object in; the caller of the library owns the handle.
    pub(super) fn insert<C>(&self, object: T) -> *mut C {
        /// Shared by all types, so that no handle of one type is ever valid for another. Low, aligned and
        /// never 0: dereferenced by mistake, it faults at once.
        static NEXT: AtomicUsize = AtomicUsize::new(16);
        let number = NEXT.fetch_add(16, Ordering::Relaxed);
        // The map stays sound whatever panicked: it only ever holds whole entries.
        self.live.write().unwrap_or_else(PoisonError::into_inner).insert(number, Arc::new(object));
        ptr::without_provenance_mut(number)
    }

    /// The object of a handle.
    pub(super) fn get<C>(&self, handle: *const C, argument: &str) -> Result<Arc<T>> {
        if handle.is_null() {
            return Err(Error::new(ErrorKind::NullArgument, format!("{argument} is NULL")));
        }
        self.find(handle).ok_or_else(|| {
            Error::invalid(format!(
                "{argument} is not a live {}: it was freed, is of another type, or was never made by this library",
                self.name
            ))
        })
    }

    /// The object of a handle, if there is one.
    pub(super) fn find<C>(&self, handle: *const C) -> Option<Arc<T>> {
        self.live.read().unwrap_or_else(PoisonError::into_inner).get(&handle.addr()).cloned()
    }

    /// Ends a handle. NULL and handles that are not live are left alone.
    pub(super) fn remove<C>(&self, handle: *mut C) {
        let object =
            self.live.write().unwrap_or_else(PoisonError::into_inner).remove(&handle.addr());
        // Dropped after the lock is released: a large model takes a while.
        drop(object);
    }
}
