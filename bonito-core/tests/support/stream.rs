//! A page that resumes, as far as the server sees it: protocol.md §18.

use std::collections::VecDeque;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bonito_core::proto::codec;
use bonito_core::proto::message::ClientMessage;
use bonito_core::proto::resume::{Control, Hello, Instance, Key, PROTOCOL, StreamId, Welcome, is_control};
use bonito_core::proto::value::RawValue;
use bonito_core::{
    Accepted, CloseFrame, Endpoint, Frame, Outcome, Session, WebSocketHandler, run_resumable_connection_loop,
};
use bytes::Bytes;

use super::{Page, pair, said, settle, upgrade_request};

/// The key in the HTML of a page.
pub fn page_key(html: &str) -> Option<Key> {
    let (_, rest) = html.split_once("atob(\"")?;
    let bundle = STANDARD.decode(rest.split_once('"')?.0).unwrap();
    let mark = b"\xa6resume\xd9\x2b";
    let at = bundle.windows(mark.len()).position(|window| window == mark)? + mark.len();
    let key = URL_SAFE_NO_PAD.decode(&bundle[at..at + 43]).unwrap();
    Some(Key::new(key.try_into().unwrap()))
}

/// A request for a socket that offers to resume.
pub fn offer(session: &Session) -> http::request::Parts {
    let request = upgrade_request(session).header("sec-websocket-protocol", PROTOCOL);
    request.body(()).unwrap().into_parts().0
}

pub fn copy(key: &Key) -> Key {
    Key::new(*key.as_bytes())
}

/// One load of a page.
pub struct Stream {
    pub live: Endpoint,
    pub session: Session,
    pub instance: Instance,
    pub key: Key,
    pub id: Option<StreamId>,
    /// Data frames had.
    pub received: u64,
    /// Data frames sent that the server has not had.
    pub unacknowledged: VecDeque<Bytes>,
    /// Those that it has had.
    pub acknowledged: u64,
    /// What the server has sent, in order.
    pub log: Vec<String>,
    pub controls: Vec<Control>,
    pub socket: Option<Page>,
}

impl Stream {
    /// A page that has been loaded and has no socket yet.
    pub fn new(live: &Endpoint, session: &Session, key: Key) -> Self {
        Self::instance(live, session, key, 1)
    }

    pub fn instance(live: &Endpoint, session: &Session, key: Key, instance: u8) -> Self {
        Self {
            live: live.clone(),
            session: session.clone(),
            instance: Instance::new([instance; 16]),
            key,
            id: None,
            received: 0,
            unacknowledged: VecDeque::new(),
            acknowledged: 0,
            log: Vec::new(),
            controls: Vec::new(),
            socket: None,
        }
    }

    /// A page with a socket, which has said that it has loaded.
    pub async fn open(live: &Endpoint, session: &Session) -> Self {
        let html = session.page("t", "").to_string();
        let mut page = Self::new(live, session, page_key(&html).unwrap());
        let welcome = page.connect().await.unwrap();
        assert!(!welcome.resumed);
        page.loaded();
        settle().await;
        page
    }

    pub fn loaded(&mut self) {
        self.send(&ClientMessage::DoneLoading {
            session: self.session.id().to_string(),
            message: String::new(),
            exception: None,
            stacktrace: String::new(),
        });
    }

    pub fn hello(&self) -> Hello {
        Hello { instance: self.instance, key: copy(&self.key), stream: self.id, received: self.received }
    }

    /// A new socket, on which nothing has been said yet.
    pub async fn dial(&mut self) {
        let Outcome::Upgrade(accepted) = self.live.handle(&offer(&self.session)).await else {
            panic!("refused")
        };
        self.dial_accepted(accepted);
    }

    /// The same by a request that was accepted.
    pub fn dial_accepted(&mut self, accepted: Accepted) {
        assert_eq!(accepted.protocol(), Some(PROTOCOL));
        let (wire, socket) = pair();
        let serving = tokio::spawn(accepted.run(socket));
        self.socket = Some(Page { wire, session: self.session.id().to_string(), serving });
    }

    /// The same at a route of the application's own, as it does it.
    pub fn dial_over(&mut self, handler: &WebSocketHandler) {
        let (request, session, handler) = (offer(&self.session), self.session.clone(), handler.clone());
        assert_eq!(session.protocol(&request), Some(PROTOCOL));
        let (wire, socket) = pair();
        let serving =
            tokio::spawn(async move { run_resumable_connection_loop(&session, &handler, socket).await });
        self.socket = Some(Page { wire, session: self.session.id().to_string(), serving });
    }

    /// A new socket, and the answer to its hello. What the server has not had is sent again.
    pub async fn connect(&mut self) -> Result<Welcome, CloseFrame> {
        self.dial().await;
        self.greet().await
    }

    /// Says hello on the socket that there is.
    pub async fn greet(&mut self) -> Result<Welcome, CloseFrame> {
        self.say(&Control::Hello(self.hello()));
        settle().await;
        let mut frames = VecDeque::from(self.socket().frames());
        let welcome = match frames.pop_front().expect("a hello is answered") {
            Frame::Binary(bytes) => match Control::decode(&bytes).unwrap() {
                Some(Control::Welcome(welcome)) => welcome,
                other => panic!("{other:?} came before the welcome"),
            },
            Frame::Close(frame) => return Err(frame.unwrap()),
            other => panic!("{other:?}"),
        };
        self.key = copy(&welcome.key);
        if !welcome.resumed {
            assert_eq!((self.received, welcome.received), (0, 0));
            self.acknowledged = 0;
        }
        self.id = Some(welcome.stream);
        self.had(welcome.received);
        for frame in &self.unacknowledged {
            self.socket().send_frame(Frame::Binary(frame.clone()));
        }
        frames.into_iter().for_each(|frame| self.take(frame));
        settle().await;
        Ok(welcome)
    }

    pub fn socket(&self) -> &Page {
        self.socket.as_ref().expect("no socket")
    }

    pub fn say(&self, control: &Control) {
        self.socket().send_frame(Frame::Binary(control.encode()));
    }

    /// Sends a message, at once or with the next socket.
    pub fn send(&mut self, message: &ClientMessage) {
        let frame = codec::encode_client(message).unwrap();
        self.unacknowledged.push_back(frame.clone());
        if let Some(socket) = &self.socket {
            socket.send_frame(Frame::Binary(frame));
        }
    }

    pub fn update(&mut self, id: impl std::fmt::Display, value: impl serde::Serialize) {
        let payload = RawValue::encode(&value).unwrap();
        self.send(&ClientMessage::UpdateObservable { id: id.to_string(), payload });
    }

    pub fn ack(&self) {
        self.say(&Control::Ack(self.received));
    }

    /// The line is cut: what the server has written is had, or lost with the socket.
    pub async fn cut(&mut self, had: bool) {
        if had {
            self.read();
        }
        if let Some(socket) = self.socket.take() {
            socket.cut();
        }
        settle().await;
    }

    /// Reads all that has come.
    pub fn read(&mut self) -> &[String] {
        let frames = self.socket().frames();
        frames.into_iter().for_each(|frame| self.take(frame));
        &self.log
    }

    /// What has come since the last call.
    pub fn news(&mut self) -> Vec<String> {
        self.read();
        std::mem::take(&mut self.log)
    }

    /// Reads so many frames and no more.
    pub fn read_some(&mut self, count: usize) {
        for frame in self.socket().frames_up_to(count) {
            self.take(frame);
        }
    }

    pub fn take(&mut self, frame: Frame) {
        match frame {
            Frame::Binary(bytes) if is_control(&bytes) => {
                let control = Control::decode(&bytes).unwrap().unwrap();
                if let Control::Ack(received) = control {
                    self.had(received);
                }
                self.controls.push(control);
            }
            Frame::Binary(bytes) => {
                self.received += 1;
                self.log.extend(said(&bytes));
            }
            Frame::Ping(_) => {}
            other => panic!("{other:?}"),
        }
    }

    /// The server has had so many data frames.
    fn had(&mut self, received: u64) {
        assert!(received >= self.acknowledged, "less than before");
        while self.acknowledged < received {
            self.unacknowledged.pop_front().expect("what was never sent cannot be had");
            self.acknowledged += 1;
        }
    }
}
