//! The clock. Tests that pause tokio's time pause this one.

use std::time::Instant;

pub(crate) fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    tokio::time::Instant::now().into_std()
}
