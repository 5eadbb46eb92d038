//! Locks whose data a panic leaves whole: each change to it is one assignment, one insertion or one sum.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes such a lock.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
