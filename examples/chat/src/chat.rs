//! One window of the chat.

use std::sync::Arc;
use std::time::Duration;

use app_parts::{COOKIE, People, Person};
use axum::http::{Response, StatusCode};
use bonito_core::{
    CloseCode, Conn, Context, Frame, Membership, NameLost, RegisterError, Registration, WebSocketBehaviour,
};
use bytes::Bytes;
use serde::Deserialize;
use tokio::task::JoinSet;

use crate::room::{Event, News, Room, Rooms};

/// The longest message, in characters.
const LONGEST: usize = 2000;
/// How long a window that has lost its name waits before it asks for it again: at first, and at most.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];

// [shown]
/// One window of somebody in a room.
pub(crate) struct Chat {
    name: Arc<str>,
    room: Arc<Room>,
    rooms: Rooms,
    /// `None` in a second window: direct messages go to the first.
    direct: Option<Registration>,
    pause: Duration,
    /// They end with the window.
    tasks: JoinSet<()>,
    _member: [Membership; 2],
}

/// What a window is told by the server.
#[derive(Debug)]
pub(crate) enum Told {
    News(News),
    /// The name of the window is another's, or could not be kept.
    Lost(NameLost),
    /// It is time to ask for the name again.
    Again,
    /// Whose window it is has logged out.
    LoggedOut,
}

impl From<News> for Told {
    fn from(news: News) -> Self {
        Self::News(news)
    }
}

/// What a page sends.
#[derive(Debug, Deserialize)]
struct Said {
    text: String,
    /// Whom it is for; the room without.
    to: Option<String>,
}

impl WebSocketBehaviour for Chat {
    type Message = Told;

    async fn connect(conn: &Conn) -> Result<(), Response<Bytes>> {
        if person(conn).is_none() {
            return Err(refusal(StatusCode::UNAUTHORIZED, "log in first"));
        }
        match room(conn) {
            Some(_) => Ok(()),
            None => Err(refusal(StatusCode::NOT_FOUND, "there is no such room")),
        }
    }

    async fn init(conn: &Conn, cx: &mut Context<Self>) -> Self {
        let rooms = conn.state::<Rooms>().clone();
        let (mut tasks, window) = (JoinSet::new(), cx.address().clone());
        let person = person(conn);
        let name: Arc<str> = person.as_ref().map_or("nobody", Person::name).into();
        tasks.spawn(async move {
            // At once if that was since `connect`.
            if let Some(person) = person {
                person.logged_out().await;
            }
            let _ = window.send(Told::LoggedOut);
        });
        let room = room(conn).unwrap_or_else(|| rooms.lobby());
        // Another process may turn out to have it.
        let direct = register(&rooms, &name, cx).ok();
        let (member, welcome) = room.enter(&rooms, &name, direct.is_some(), cx.address());
        cx.push_text(welcome);
        Self { name, room, rooms, direct, pause: PAUSES[0], tasks, _member: member }
    }

    async fn handle_client_message(&mut self, frame: Frame, cx: &mut Context<Self>) {
        if person(cx.conn()).is_none() {
            return cx.close(CloseCode::POLICY, "logged out");
        }
        let Frame::Text(json) = frame else {
            return cx.close(CloseCode::UNSUPPORTED, "a chat is text");
        };
        let Ok(Said { text, to }) = serde_json::from_str(&json) else {
            return cx.close(CloseCode::INVALID_DATA, "expected {\"text\": …}");
        };
        let text = text.trim();
        if text.is_empty() || text.chars().count() > LONGEST {
            return;
        }
        match to {
            None => self.room.say(&self.rooms, &self.name, text),
            Some(to) => {
                let direct = Event::Direct { from: &self.name, to: &to, text }.encode();
                if self.rooms.registry().unique().send(&to, direct.clone()).is_queued() {
                    cx.push_text(&*direct.0);
                } else {
                    cx.push_text(&*Event::Unreachable { to: &to }.encode().0);
                }
            }
        }
    }

    async fn handle_server_message(&mut self, told: Told, cx: &mut Context<Self>) {
        if person(cx.conn()).is_none() {
            return cx.close(CloseCode::POLICY, "logged out");
        }
        match told {
            Told::News(news) => cx.push_text(&*news.0),
            Told::Lost(reason) => {
                self.direct = None;
                match reason {
                    NameLost::Taken => cx.push_text(&*Event::Indirect.encode().0),
                    NameLost::Left => {}
                    // It was this window's until now.
                    NameLost::Expired => {
                        self.pause = PAUSES[0];
                        self.ask_later(cx);
                    }
                    _ => self.ask_later(cx),
                }
            }
            Told::Again => match register(&self.rooms, &self.name, cx) {
                Ok(direct) => self.direct = Some(direct),
                Err(_) => cx.push_text(&*Event::Indirect.encode().0),
            },
            Told::LoggedOut => cx.close(CloseCode::POLICY, "logged out"),
        }
    }
}

impl Chat {
    /// The broker is out of reach: each time it is asked later.
    fn ask_later(&mut self, cx: &Context<Self>) {
        let (pause, window) = (self.pause, cx.address().clone());
        self.pause = (2 * pause).min(PAUSES[1]);
        self.tasks.spawn(async move {
            // A full mailbox is read in time.
            loop {
                tokio::time::sleep(pause).await;
                if window.send(Told::Again).is_queued() {
                    break;
                }
            }
        });
    }
}

fn register(rooms: &Rooms, name: &str, cx: &Context<Chat>) -> Result<Registration, RegisterError> {
    rooms.registry().unique().register_or_tell(name, cx.address(), Told::Lost)
}
// [/shown]

fn person(conn: &Conn) -> Option<Person> {
    conn.state::<People>().find(conn.cookie(COOKIE)?)
}

fn room(conn: &Conn) -> Option<Arc<Room>> {
    conn.state::<Rooms>().find(conn.param("room")?)
}

fn refusal(status: StatusCode, text: &'static str) -> Response<Bytes> {
    let mut refusal = Response::new(Bytes::from_static(text.as_bytes()));
    *refusal.status_mut() = status;
    refusal
}
