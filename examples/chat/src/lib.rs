//! A chat over a WebSocket behaviour, in an ordinary axum app with a login of its own.

mod chat;
mod pages;
mod room;

pub use room::Rooms;

use std::time::Duration;

use app_parts::People;
use axum::Router;
use bonito_core::{Endpoint, Limits, SocketOptions};

use chat::Chat;

/// The longest message, with what JSON adds to it.
const MESSAGE_BYTES: usize = 16 << 10;

/// What the pages share.
#[derive(Clone, Debug)]
struct App {
    people: People,
    rooms: Rooms,
}

// [shown]
/// The endpoint with the chat in it.
pub fn endpoint(people: &People, rooms: &Rooms) -> Endpoint {
    let mut limits = Limits::default();
    limits.message_bytes = MESSAGE_BYTES;
    let options =
        SocketOptions::new().state(people.clone()).state(rooms.clone()).keep_alive(Duration::from_secs(25));
    Endpoint::builder("/live").limits(limits).socket_with::<Chat>("/rooms/{room}", options).build()
}

/// The whole app.
pub fn router(people: People, rooms: Rooms, live: &Endpoint) -> Router {
    pages::routes().merge(bonito_axum::routes(live)).with_state(App { people, rooms })
}
// [/shown]
