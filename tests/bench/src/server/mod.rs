//! The servers: each framework with its raw WebSocket and with sessions.
//!
//! All answer the same paths: `/raw/KIND` and `/live/…` are WebSockets, `/page/KIND` a page, `/burst/N` sends, `/ready` says
//! how many sockets listen.

mod actix;
mod axum;
mod hyper;
mod raw;
mod warp;

use std::io;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bonito_core::{Endpoint, Limits, Observable, js};
use raw::Hub;
use tokio::net::{TcpListener, TcpSocket};

use crate::process;

/// Length of a message of a raw socket.
pub(crate) const MESSAGE: usize = 100;
/// Length of a value: with the names around it an update is about as long as a raw message.
pub(crate) const PAYLOAD: usize = 60;
/// The read buffer that the tuned sockets have; sessions have it by default.
const TUNED: usize = 4 << 10;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Adapter {
    Actix,
    Axum,
    Hyper,
    Warp,
}

impl Adapter {
    pub(crate) const ALL: [Self; 4] = [Self::Actix, Self::Axum, Self::Hyper, Self::Warp];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Actix => "actix",
            Self::Axum => "axum",
            Self::Hyper => "hyper",
            Self::Warp => "warp",
        }
    }

    /// What there is to compare. The read buffers of actix-ws and of warp's WebSocket cannot be set.
    pub(crate) fn variants(self) -> &'static [Variant] {
        match self {
            Self::Axum | Self::Hyper => &[Variant::Defaults, Variant::Tuned, Variant::Sessions],
            Self::Actix | Self::Warp => &[Variant::Defaults, Variant::Sessions],
        }
    }
}

impl FromStr for Adapter {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|adapter| adapter.name() == name);
        known.ok_or_else(|| format!("expected actix, axum, hyper or warp, {name:?} came"))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variant {
    /// The framework's raw WebSocket with its defaults and `TCP_NODELAY`.
    Defaults,
    /// The same with a read buffer of 4 KiB.
    Tuned,
    Sessions,
}

impl Variant {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Defaults => "raw",
            Self::Tuned => "tuned",
            Self::Sessions => "sessions",
        }
    }

    fn read_buffer(self) -> Option<usize> {
        (self == Self::Tuned).then_some(TUNED)
    }
}

impl FromStr for Variant {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = [Self::Defaults, Self::Tuned, Self::Sessions].into_iter().find(|v| v.name() == name);
        known.ok_or_else(|| format!("expected raw, tuned or sessions, {name:?} came"))
    }
}

/// Serves until it is killed, its address on the first line of what it prints.
pub(crate) fn serve(adapter: Adapter, variant: Variant) -> io::Result<()> {
    process::raise_open_files();
    process::pin(0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = listen()?;
        #[expect(clippy::print_stdout, reason = "the load reads the address here")]
        {
            println!("{}", listener.local_addr()?);
        }
        let app = App::new(variant);
        match adapter {
            Adapter::Actix => actix::serve(app, listener).await,
            Adapter::Axum => axum::serve(app, listener).await,
            Adapter::Hyper => hyper::serve(app, listener).await,
            Adapter::Warp => warp::serve(app, listener).await,
        }
    })
}

/// A listener whose connections have `TCP_NODELAY` from it.
fn listen() -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_nodelay(true)?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    socket.listen(4096)
}

/// What a server does besides its sockets.
#[derive(Clone)]
struct App {
    variant: Variant,
    hub: Hub,
    live: Endpoint,
    shared: Observable<String>,
    open: Arc<AtomicUsize>,
}

impl App {
    fn new(variant: Variant) -> Self {
        let mut limits = Limits::default();
        // Every value is to be sent, so none may give way.
        limits.congestion_bytes = usize::MAX;
        limits.queued_bytes = usize::MAX;
        Self {
            variant,
            hub: Hub::default(),
            live: Endpoint::builder("/live").limits(limits).build(),
            shared: Observable::new(String::new()),
            open: Arc::default(),
        }
    }

    /// The answer to a request that is for no socket.
    fn answer(&self, path: &str) -> String {
        if let Some(kind) = path.strip_prefix("/page/") {
            return self.page(kind);
        }
        if let Some(messages) = path.strip_prefix("/burst/").and_then(|messages| messages.parse().ok()) {
            match self.variant {
                Variant::Sessions => (0..messages).for_each(|_| self.shared.set("x".repeat(PAYLOAD))),
                Variant::Defaults | Variant::Tuned => self.hub.burst(messages),
            }
        }
        (self.hub.listeners() + self.open.load(Ordering::Relaxed)).to_string()
    }

    /// A page whose title names the session and what to write to: `id input`.
    fn page(&self, kind: &str) -> String {
        let session = self.live.session();
        let (input, output) = (Observable::new(String::new()), Observable::new(String::new()));
        match kind {
            "echo" => {
                let echoed = output.clone();
                session.keep(input.on(move |value| echoed.set(value.clone())));
                session.eval(js!("$(input), $(output.read_only())"));
            }
            "sink" => {
                let ended = output.clone();
                session.keep(input.on(move |value| {
                    if value.len() == 1 {
                        ended.set(String::new());
                    }
                }));
                session.eval(js!("$(input), $(output.read_only())"));
            }
            "listen" => {
                session.on_js(&self.shared, js!("() => {}"));
                let open = self.open.clone();
                session.on_open(move |_, _| _ = open.fetch_add(1, Ordering::Relaxed));
            }
            _ => {}
        }
        let title = format!("{} {}", session.id(), input.id());
        session.page(&title, "").to_string()
    }
}
