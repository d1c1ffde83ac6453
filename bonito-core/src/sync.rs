//! One way to take a lock.

use std::any::Any;
use std::sync::PoisonError;
pub(crate) use std::sync::{Mutex, MutexGuard};

/// Locks. No user code runs under any lock of this crate, so a poisoned one still guards whole data.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs user code; a panic is logged, on one line whatever is in it, and goes no further.
pub(crate) fn guard<R>(what: &str, run: impl FnOnce() -> R) -> Option<R> {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
        Ok(result) => Some(result),
        Err(panic) => {
            log_panic(what, &*panic);
            None
        }
    }
}

/// Logs a panic of user code, on one line whatever is in it.
pub(crate) fn log_panic(what: &str, panic: &(dyn Any + Send)) {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    tracing::error!("{what} panicked: {message:?}");
}
