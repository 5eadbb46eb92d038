//! Whose turn it is: tests run beside each other, but for those that do something to the whole machine.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

static MACHINE: RwLock<()> = RwLock::new(());

/// Runs beside others, once nobody has the machine for itself.
pub(crate) fn share() -> RwLockReadGuard<'static, ()> {
    // A test that has failed leaves nothing behind.
    MACHINE.read().unwrap_or_else(PoisonError::into_inner)
}

/// Has the machine for itself, once the others have ended.
pub(crate) fn alone() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().unwrap_or_else(PoisonError::into_inner)
}
