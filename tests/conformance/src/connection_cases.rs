//! The cases for a connection of one's own, each with the reason why it is one. Each takes a function that makes a far end.

macro_rules! case {
    ($(#[doc = $why:literal])* $name:ident($session:ident, $far:ident) $body:block) => {
        case! { $(#[doc = $why])* $name(spawn) {
            let live = Endpoint::builder("/live").build();
            #[allow(unused_mut, reason = "not every case sends")]
            let mut $far = spawn(live.clone()).await;
            let $session = live.session_with($far.connection());
            $body
        } }
    };
    ($(#[doc = $why:literal])* $name:ident($spawn:ident) $body:block) => {
        $(#[doc = $why])*
        pub async fn $name<F: FarEnd>($spawn: impl AsyncFn(Endpoint) -> F) {
            $body
        }

        #[doc(hidden)]
        pub mod $name {
            /// The reason, for the table in the book.
            pub const WHY: &str = concat!($($why),*);
        }
    };
}

mod bounds;
mod order;
mod ways;

pub use bounds::*;
pub use order::*;
pub use ways::*;

use bonito_core::proto::codec::encode_client;
use bonito_core::proto::message::ClientMessage;
use bonito_core::{Script, Session, Status};
use bytes::Bytes;

use crate::FarEnd;
use crate::client::{PING, loaded, patiently, until};

/// A script that can be told from others, with this much more in it.
fn step(n: usize, ballast: usize) -> Script {
    Script::new(format!("step({n})//{}", "x".repeat(ballast)))
}

/// Which script of [`step`] a message is.
fn number(message: &[u8]) -> Option<usize> {
    let at = message.windows(5).position(|part| part == b"step(")? + 5;
    let digits: Vec<u8> = message[at..].iter().copied().take_while(u8::is_ascii_digit).collect();
    String::from_utf8(digits).ok()?.parse().ok()
}

/// The page comes, for the first time or again, and has loaded.
async fn open(session: &Session, far: &mut impl FarEnd) {
    far.connect(session).await;
    far.send(loaded(session).into_data()).await;
    until(|| session.status() == Status::Open).await;
}

/// All steps that come before the answer to a ping: whatever was sent before, and nothing else.
async fn heard(far: &mut impl FarEnd) -> Vec<usize> {
    far.send(Bytes::from_static(PING)).await;
    let mut steps = Vec::new();
    loop {
        let message = patiently(far.receive(), "nothing came").await.expect("the way is gone");
        match number(&message) {
            Some(n) => steps.push(n),
            None if message == PING => return steps,
            None => panic!("expected a step or the answer to a ping, got {message:?}"),
        }
    }
}

/// A value that the page sets.
fn update(id: &str, value: u32) -> Bytes {
    crate::client::update(id, value).into_data()
}

/// A message that is longer than the default limit.
fn too_large() -> Bytes {
    let message = "x".repeat(3 << 20);
    encode_client(&ClientMessage::JavascriptWarning { message }).unwrap()
}
