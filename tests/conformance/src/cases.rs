//! The cases, each with the reason why it is one. Each takes the function that serves an app with the endpoint in it.

macro_rules! case {
    ($(#[doc = $why:literal])* $name:ident(($live:ident, $shared:ident) = $probed:expr, $address:ident) $body:block) => {
        $(#[doc = $why])*
        pub async fn $name(serve: impl AsyncFn(Endpoint) -> SocketAddr) {
            let ($live, $shared) = $probed;
            let $address = serve($live.clone()).await;
            $body
        }

        #[doc(hidden)]
        pub mod $name {
            /// The reason, for the table in the book.
            pub const WHY: &str = concat!($($why),*);
        }
    };
    ($(#[doc = $why:literal])* $name:ident($live:ident, $address:ident) $body:block) => {
        case! { $(#[doc = $why])* $name($live = Endpoint::builder("/live").build(), $address) $body }
    };
    ($(#[doc = $why:literal])* $name:ident($live:ident = $endpoint:expr, $address:ident) $body:block) => {
        $(#[doc = $why])*
        pub async fn $name(serve: impl AsyncFn(Endpoint) -> SocketAddr) {
            let $live: Endpoint = $endpoint;
            let $address = serve($live.clone()).await;
            $body
        }

        #[doc(hidden)]
        pub mod $name {
            /// The reason, for the table in the book.
            pub const WHY: &str = concat!($($why),*);
        }
    };
}

mod behaviours;
mod callbacks;
mod ends;
mod framing;
mod load;
mod messages;
mod refusals;
mod requests;
mod resume;
mod sizes;
mod utf8;

pub use behaviours::*;
pub use callbacks::*;
pub use ends::*;
pub use framing::*;
pub use load::*;
pub use messages::*;
pub use refusals::*;
pub use requests::*;
pub use resume::*;
pub use sizes::*;
pub use utf8::*;

use bonito_core::{Endpoint, Limits};

/// An endpoint with these of its limits changed.
fn with(change: impl FnOnce(&mut Limits)) -> Endpoint {
    let mut limits = Limits::default();
    change(&mut limits);
    Endpoint::builder("/live").limits(limits).build()
}
