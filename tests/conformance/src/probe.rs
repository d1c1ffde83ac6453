//! A behaviour that does what its client says and writes down what happens to it.

use std::sync::{Arc, Mutex};

use bonito_core::{
    CloseCode, Conn, Context, Endpoint, Frame, Limits, Membership, Registration, Registry, SocketOptions,
    Terminate, WebSocketBehaviour,
};
use bytes::Bytes;
use http::{Response, StatusCode};

/// What the cases share with all connections.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shared {
    pub(crate) registry: Registry<Note>,
    ends: Arc<Mutex<Vec<String>>>,
    sees: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Note(pub(crate) Arc<str>);

impl Shared {
    /// The reasons of all connections that have terminated.
    pub(crate) fn ends(&self) -> Vec<String> {
        self.ends.lock().unwrap().clone()
    }

    /// The requests that `connect` was asked about.
    pub(crate) fn sees(&self) -> Vec<String> {
        self.sees.lock().unwrap().clone()
    }
}

struct Probe {
    shared: Shared,
    wanted: Option<String>,
    _name: Option<Registration>,
    _group: Option<Membership>,
}

impl WebSocketBehaviour for Probe {
    type Message = Note;

    async fn connect(conn: &Conn) -> Result<(), Response<Bytes>> {
        let shared = conn.state::<Shared>();
        shared.sees.lock().unwrap().push(format!(
            "{} {} room={:?} a={:?} sid={:?} x-it={:?}",
            conn.method(),
            conn.path(),
            conn.param("room").unwrap_or_default(),
            conn.query_value("a").unwrap_or_default(),
            conn.cookie("sid").unwrap_or_default(),
            conn.headers().get("x-it").map(|value| value.to_str().unwrap()),
        ));
        let Some(status) = conn.query_value("refuse") else { return Ok(()) };
        let mut refusal = Response::new(Bytes::from_static(b"log in first"));
        *refusal.status_mut() = StatusCode::from_bytes(status.as_bytes()).unwrap();
        let headers = refusal.headers_mut();
        headers.insert("www-authenticate", "Bearer".parse().unwrap());
        headers.insert("location", "/login?from=here".parse().unwrap());
        headers.append("set-cookie", "a=1; HttpOnly".parse().unwrap());
        headers.append("set-cookie", "b=2".parse().unwrap());
        Err(refusal)
    }

    async fn init(conn: &Conn, cx: &mut Context<Self>) -> Self {
        let shared = conn.state::<Shared>().clone();
        let wanted = conn.query_value("name");
        let register = |name: &String| shared.registry.unique().register(name, cx.address()).ok();
        let name = wanted.as_ref().and_then(register);
        let group = conn.param("room").map(|room| shared.registry.group().join(room, cx.address()));
        match conn.query_value("greet").as_deref() {
            Some("close") => close(cx),
            Some(_) => {
                cx.push_text("welcome");
                cx.push_binary(&b"\xff\x00"[..]);
            }
            None => {}
        }
        Self { shared, wanted, _name: name, _group: group }
    }

    async fn handle_client_message(&mut self, frame: Frame, cx: &mut Context<Self>) {
        match &frame {
            Frame::Text(text) if text == "!close" => close(cx),
            Frame::Text(text) if text == "!fail" => cx.fail("as was asked for"),
            Frame::Text(text) if text == "!panic" => panic!("as was asked for"),
            _ => cx.push(frame),
        }
    }

    async fn handle_server_message(&mut self, Note(text): Note, cx: &mut Context<Self>) {
        match &*text {
            "!close" => close(cx),
            "!panic" => panic!("as was asked for"),
            text => cx.push_text(text),
        }
    }

    async fn terminate(self, reason: Terminate) {
        let reason = match reason {
            Terminate::Error(error) if error.is_panic() => "Panic".to_owned(),
            Terminate::Error(error) if error.is_callback() => "Failed".to_owned(),
            Terminate::Error(error) if error.is_lost() => "Lost".to_owned(),
            Terminate::Error(error) if error.is_protocol() => "Protocol".to_owned(),
            other => format!("{other:?}"),
        };
        let registry = &self.shared.registry;
        let held = self.wanted.as_ref().is_some_and(|name| registry.unique().find(name).is_some());
        let reason = if held { format!("{reason}, and its name is still taken") } else { reason };
        self.shared.ends.lock().unwrap().push(reason);
    }
}

fn close(cx: &mut Context<Probe>) {
    cx.push_text("before");
    cx.close(CloseCode(4321), "done");
    cx.push_text("after");
}

/// A behaviour of which only what has no default is written down.
struct Plain;

impl WebSocketBehaviour for Plain {
    type Message = ();

    async fn init(_conn: &Conn, cx: &mut Context<Self>) -> Self {
        cx.push_text("plain");
        Self
    }

    async fn handle_client_message(&mut self, frame: Frame, cx: &mut Context<Self>) {
        cx.push(frame);
    }

    async fn handle_server_message(&mut self, (): (), _cx: &mut Context<Self>) {}
}

/// An endpoint with the probe at `/echo` and at `/rooms/{room}`, and with a plain behaviour at `/plain`.
pub(crate) fn probed(options: SocketOptions, change: impl FnOnce(&mut Limits)) -> (Endpoint, Shared) {
    let shared = Shared::default();
    let options = options.state(shared.clone());
    let mut limits = Limits::default();
    change(&mut limits);
    let live = Endpoint::builder("/live")
        .limits(limits)
        .socket_with::<Probe>("/echo", options.clone())
        .socket_with::<Probe>("/rooms/{room}", options)
        .socket::<Plain>("/plain")
        .build();
    (live, shared)
}
