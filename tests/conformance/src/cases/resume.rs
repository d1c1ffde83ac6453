//! Pages that resume: the subprotocol and what rests on it. Source: protocol.md §18.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bonito_core::proto::resume::{Control, Hello, Instance, Key, PROTOCOL, StreamId, Welcome, is_control};
use bonito_core::{Endpoint, Observable, Script, Session, Status, js};
use bytes::Bytes;
use futures_util::SinkExt;
use tokio_tungstenite::tungstenite::Message;

use crate::client::{Socket, attach, close_code, loaded, next, offer, until, update};

/// One load of a page, which counts what it gets and keeps what it sends.
struct Page {
    address: SocketAddr,
    session: Session,
    instance: Instance,
    key: Key,
    stream: Option<StreamId>,
    received: u64,
    /// What the server may not have had, and how many frames it has had.
    sent: Vec<Message>,
    had: usize,
    log: Vec<String>,
}

impl Page {
    fn new(address: SocketAddr, session: &Session, key: Key, instance: u8) -> Self {
        Self {
            address,
            session: session.clone(),
            instance: Instance::new([instance; 16]),
            key,
            stream: None,
            received: 0,
            sent: Vec::new(),
            had: 0,
            log: Vec::new(),
        }
    }

    async fn greet(&self) -> Socket {
        let mut socket = offer(self.address, &self.session, PROTOCOL).await;
        let key = Key::new(*self.key.as_bytes());
        let hello = Hello { instance: self.instance, key, stream: self.stream, received: self.received };
        socket.send(Message::Binary(Control::Hello(hello).encode())).await.unwrap();
        socket
    }

    async fn connect(&mut self) -> Socket {
        let mut socket = self.greet().await;
        let answer = data(&mut socket).await;
        let Some(Control::Welcome(Welcome { stream, key, received, resumed, .. })) =
            Control::decode(&answer).unwrap()
        else {
            panic!("{answer:?} is no welcome")
        };
        assert_eq!(resumed, self.stream.is_some());
        (self.stream, self.key) = (Some(stream), key);
        let received = usize::try_from(received).unwrap();
        self.sent.drain(..received - self.had);
        self.had = received;
        for message in &self.sent {
            socket.send(message.clone()).await.unwrap();
        }
        socket
    }

    async fn open(&mut self) -> Socket {
        let mut socket = self.connect().await;
        self.send(&mut socket, loaded(&self.session)).await;
        until(|| self.session.status() == Status::Open).await;
        socket
    }

    async fn send(&mut self, socket: &mut Socket, message: Message) {
        self.sent.push(message.clone());
        socket.send(message).await.unwrap();
    }

    /// Takes the next data frame.
    async fn take(&mut self, socket: &mut Socket) {
        loop {
            let frame = data(socket).await;
            if is_control(&frame) {
                continue;
            }
            self.received += 1;
            let text = String::from_utf8_lossy(&frame);
            let (_, step) = text.split_once("step(").unwrap();
            self.log.push(step.split_once(')').unwrap().0.to_owned());
            return;
        }
    }
}

async fn data(socket: &mut Socket) -> Bytes {
    loop {
        match next(socket).await.unwrap().unwrap() {
            Message::Binary(bytes) => return bytes,
            Message::Ping(_) => {}
            other => panic!("{other:?} came"),
        }
    }
}

/// A session whose page has been handed out, and the key in its HTML.
fn keyed(live: &Endpoint) -> (Session, Key) {
    let session = live.session();
    let html = session.page("t", "").to_string();
    (session, key_in(&html))
}

fn key_in(html: &str) -> Key {
    let (_, bundle) = html.split_once("atob(\"").unwrap();
    let bundle = STANDARD.decode(bundle.split_once('"').unwrap().0).unwrap();
    let mark = b"\xa6resume\xd9\x2b";
    let at = bundle.windows(mark.len()).position(|window| window == mark).unwrap() + mark.len();
    Key::new(URL_SAFE_NO_PAD.decode(&bundle[at..at + 43]).unwrap().try_into().unwrap())
}

case! {
    /// A browser that offers a subprotocol fails a socket whose answer names another, and resumes only where it is named.
    the_offer_to_resume_is_answered(live, address) {
        let (session, key) = keyed(&live);
        let mut page = Page::new(address, &session, key, 1);
        let mut socket = page.open().await;
        session.eval(js!("step(0)"));
        page.take(&mut socket).await;
        assert_eq!(page.log, ["0"]);
    }
}

case! {
    /// What a cut connection had swallowed comes again, once and in order, in both directions.
    a_socket_that_is_cut_resumes_and_nothing_is_lost(live, address) {
        let session = live.session();
        let input = Observable::new(0);
        let heard = Arc::<Mutex<Vec<u32>>>::default();
        let log = heard.clone();
        session.keep(input.on(move |value| log.lock().unwrap().push(*value)));
        session.eval(js!("$(input)"));
        let html = session.page("t", "").to_string();
        let mut page = Page::new(address, &session, key_in(&html), 1);
        let mut socket = page.open().await;
        let (mut sent, mut set) = (0, 0);
        for round in 0..30 {
            for _ in 0..5 {
                session.eval(Script::new(format!("step({sent})")));
                sent += 1;
                set += 1;
                page.send(&mut socket, update(&input.id().to_string(), set)).await;
            }
            for _ in 0..round % 4 {
                page.take(&mut socket).await;
            }
            drop(socket);
            socket = page.connect().await;
        }
        while page.log.len() < sent {
            page.take(&mut socket).await;
        }
        assert_eq!(page.log, (0..sent).map(|n| n.to_string()).collect::<Vec<_>>());
        until(|| heard.lock().unwrap().len() >= set as usize).await;
        assert_eq!(*heard.lock().unwrap(), (1..=set).collect::<Vec<_>>());
        until(|| live.stats().sockets == 1).await;
    }
}

case! {
    /// A session's id stands in URLs and logs: without the key it gets nothing, and the page notices nothing.
    a_foreign_key_is_refused_and_disturbs_nobody(live, address) {
        let (session, key) = keyed(&live);
        let mut page = Page::new(address, &session, key, 1);
        let mut socket = page.open().await;
        for instance in [1, 2] {
            let thief = Page::new(address, &session, Key::new([9; 32]), instance);
            assert_eq!(close_code(&mut thief.greet().await).await, Some(4003));
        }
        session.eval(js!("step(0)"));
        page.take(&mut socket).await;
        assert_eq!(session.status(), Status::Open);
    }
}

case! {
    /// 4003: who cannot resume would take the session from the page without a key.
    a_plain_socket_is_refused_once_a_page_resumes(live, address) {
        let (session, key) = keyed(&live);
        let mut page = Page::new(address, &session, key, 1);
        let mut socket = page.open().await;
        assert_eq!(close_code(&mut attach(address, &session).await).await, Some(4003));
        session.eval(js!("step(0)"));
        page.take(&mut socket).await;
        assert_eq!(session.status(), Status::Open);
    }
}
