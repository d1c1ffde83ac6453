//! A behaviour that writes down what happens to it and does what its client says.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bonito_core::{
    Address, CloseCode, CloseFrame, Conn, Context, Endpoint, Frame, SocketOptions, Terminate,
    WebSocketBehaviour,
};
use bytes::Bytes;
use http::{Response, StatusCode};
use tokio::sync::Notify;

use crate::support::{Page, settle, upgrade};

/// What the tests see of all connections.
#[derive(Default)]
pub struct Journal {
    lines: Mutex<Vec<String>>,
    pub addresses: Mutex<Vec<Address<u32>>>,
    /// Callbacks that are told `wait` go on.
    pub go_on: Notify,
}

impl Journal {
    pub fn note(&self, line: impl Into<String>) {
        self.lines.lock().unwrap().push(line.into());
    }

    /// What has been written down since the last time.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.lines.lock().unwrap())
    }

    pub fn address(&self) -> Address<u32> {
        self.addresses.lock().unwrap().last().unwrap().clone()
    }
}

pub struct Probe {
    journal: Arc<Journal>,
    count: u32,
}

impl WebSocketBehaviour for Probe {
    type Message = u32;

    async fn connect(conn: &Conn) -> Result<(), Response<Bytes>> {
        let journal = conn.state::<Arc<Journal>>();
        journal.note("connect");
        match conn.query() {
            Some("refused") => {
                let mut refusal = Response::new(Bytes::from_static(b"log in first"));
                *refusal.status_mut() = StatusCode::UNAUTHORIZED;
                refusal.headers_mut().insert("www-authenticate", "Bearer".parse().unwrap());
                Err(refusal)
            }
            Some("connect-panics") => panic!("connect"),
            Some("connect-waits") => {
                journal.go_on.notified().await;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn init(conn: &Conn, cx: &mut Context<Self>) -> Self {
        let journal = conn.state::<Arc<Journal>>().clone();
        journal.note("init");
        journal.addresses.lock().unwrap().push(cx.address().clone());
        match conn.query() {
            Some("init-panics") => panic!("init"),
            Some("init-closes") => cx.close(CloseCode::NORMAL, "at once"),
            Some("init-waits") => journal.go_on.notified().await,
            Some("greeting") => {
                cx.push_text("welcome");
                cx.push_binary(&b"\x01"[..]);
            }
            _ => {}
        }
        Self { journal, count: 0 }
    }

    async fn handle_client_message(&mut self, frame: Frame, cx: &mut Context<Self>) {
        self.count += 1;
        let Frame::Text(text) = &frame else {
            self.journal.note("binary");
            return cx.push(frame);
        };
        self.journal.note(format!("client {text}"));
        match text.as_str() {
            "count" => cx.push_text(self.count.to_string()),
            "three" => (1..=3).for_each(|n| cx.push_text(n.to_string())),
            "close" => {
                cx.push_text("before");
                cx.close(CloseCode(4321), "done");
                cx.push_text("after");
                cx.close(CloseCode::NORMAL, "twice");
            }
            "close without a code" => cx.push(Frame::Close(None)),
            "close with a bad code" => cx.push(Frame::Close(Some(CloseFrame::new(CloseCode(1006), "")))),
            "panic" => panic!("at the disco"),
            "panic after a while" => {
                tokio::task::yield_now().await;
                panic!("later");
            }
            "close and panic" => {
                cx.close(CloseCode::NORMAL, "");
                panic!("all the same");
            }
            "fail" => {
                cx.push_text("before");
                cx.fail("the database is gone");
                cx.push_text("after");
            }
            "flood" => (0..9).for_each(|_| cx.push_binary(vec![0; 1 << 20])),
            "a long ping" => cx.push(Frame::Ping(vec![0; 126].into())),
            "wait" => {
                self.journal.go_on.notified().await;
                self.journal.note("went on");
                cx.push_text("went on");
            }
            _ => cx.push(frame),
        }
    }

    async fn handle_server_message(&mut self, message: u32, cx: &mut Context<Self>) {
        self.journal.note(format!("server {message}"));
        if message == 666 {
            panic!("server message");
        }
        cx.push_text(format!("message {message}"));
    }

    async fn terminate(self, reason: Terminate) {
        self.journal.note(format!("terminate {}", shown(&reason)));
        if self.count == 4 {
            self.journal.go_on.notified().await;
            self.journal.note("terminated");
        }
    }
}

fn shown(reason: &Terminate) -> String {
    match reason {
        Terminate::Error(error) => {
            let (panic, callback, lost, protocol) =
                (error.is_panic(), error.is_callback(), error.is_lost(), error.is_protocol());
            format!("Error panic={panic} callback={callback} lost={lost} protocol={protocol}")
        }
        other => format!("{other:?}"),
    }
}

/// An endpoint with the probe at `/probe`, and its journal.
pub fn probed(options: SocketOptions) -> (Endpoint, Arc<Journal>) {
    let journal = Arc::new(Journal::default());
    let options = options.state(journal.clone());
    (Endpoint::builder("/live").socket_with::<Probe>("/probe", options).build(), journal)
}

/// A connection to the probe, that has been through `init`.
pub async fn open(live: &Endpoint) -> Page {
    let page = Page::at(live, upgrade("/live/probe")).await.unwrap();
    settle().await;
    page
}

/// The same, and the journal begins after it.
pub async fn opened() -> (Endpoint, Arc<Journal>, Page) {
    let (live, journal) = probed(SocketOptions::new());
    let page = open(&live).await;
    assert_eq!(journal.take(), ["connect", "init"]);
    (live, journal, page)
}

pub fn say(page: &Page, text: &str) {
    page.send_frame(Frame::Text(text.into()));
}

/// The frames that have come, as texts.
pub fn heard(page: &Page) -> Vec<String> {
    let shown = |frame| match frame {
        Frame::Text(text) => text,
        Frame::Binary(bytes) => format!("binary {}", bytes.len()),
        Frame::Close(Some(close)) => format!("close {} {}", close.code.0, close.reason),
        Frame::Close(None) => "close".to_owned(),
        Frame::Ping(_) => "ping".to_owned(),
        Frame::Pong(payload) => format!("pong {payload:?}"),
    };
    page.frames().into_iter().map(shown).collect()
}

pub const SECOND: Duration = Duration::from_secs(1);
