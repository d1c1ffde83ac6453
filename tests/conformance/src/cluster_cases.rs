//! The cases for a cluster backend, each with the reason why it is one. Each takes a function that connects one more process.

macro_rules! case {
    ($(#[doc = $why:literal])* $name:ident($connect:ident) $body:block) => {
        $(#[doc = $why])*
        pub async fn $name($connect: impl AsyncFn() -> Arc<dyn ClusterBackend>) $body

        #[doc(hidden)]
        pub mod $name {
            /// The reason, for the table in the book.
            pub const WHY: &str = concat!($($why),*);
        }
    };
}

mod leases;
mod messages;
mod registry;

pub use leases::*;
pub use messages::*;
pub use registry::*;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long the cases take leases for.
pub const TTL: Duration = Duration::from_secs(2);

/// What no other run of a case uses: a key, a subject, a scope.
fn unused(what: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    format!(
        "{what}-{:x}-{:x}-{:x}",
        since.as_nanos(),
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}
