//! The framework: HTTP/1.1 over plain TCP, as much of it as this example needs.
//!
//! It knows nothing of live sessions. It has what an adapter asks of any framework: a way to see a request's head, a way to
//! answer, and a way to take the connection over after an answer.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Cursor};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

const HEAD_BYTES: usize = 16 << 10;
const HEADERS: usize = 64;
/// For the head of a request to come, the wait between two requests included.
const PATIENCE: Duration = Duration::from_secs(20);
const CONNECTIONS: u32 = 10_000;
/// Pause after a connection that could not be accepted: no file handle was left, or the peer had gone already.
const PAUSE: Duration = Duration::from_millis(50);

/// The head of a request. Requests with bodies are not taken.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "part of an app")]
pub struct Request {
    /// `GET` and the like.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// In their order.
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Request {
    fn header(&self, name: &str) -> Option<&[u8]> {
        let found = self.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_slice())
    }
}

/// An answer with its body.
#[derive(Clone, Debug)]
pub struct Response {
    status: u16,
    headers: Vec<(String, Vec<u8>)>,
    body: Bytes,
}

impl Response {
    /// An empty one.
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    /// A page.
    pub fn html(body: String) -> Self {
        Self::new(200).header("content-type", b"text/html; charset=utf-8").body(body)
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &[u8]) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }
}

/// What a handler returns, whatever it is.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// An upgraded connection.
pub type Connection = Pin<Box<dyn ReadWrite>>;

/// Reads and writes.
pub trait ReadWrite: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> ReadWrite for T {}

/// What a handler makes of a request.
#[expect(clippy::exhaustive_enums, reason = "part of an app")]
pub enum Answer {
    /// This response.
    Respond(Response),
    /// This response, and then the connection is for this function.
    Upgrade(Response, Box<dyn FnOnce(Connection) -> BoxFuture<()> + Send>),
}

impl Answer {
    /// An answer after which the connection is for this function.
    pub fn upgrade<F>(response: Response, then: impl FnOnce(Connection) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::Upgrade(response, Box::new(move |connection| Box::pin(then(connection))))
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Respond(response) => f.debug_tuple("Respond").field(response).finish(),
            Self::Upgrade(response, _) => f.debug_tuple("Upgrade").field(response).finish_non_exhaustive(),
        }
    }
}

type Handler = Box<dyn Fn(Request) -> BoxFuture<Answer> + Send + Sync>;

/// Paths and what answers there.
#[derive(Default)]
pub struct App {
    exact: HashMap<String, Handler>,
    under: Vec<(String, Handler)>,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").finish_non_exhaustive()
    }
}

impl App {
    /// One that answers 404.
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers at a path.
    #[must_use]
    pub fn at<F>(mut self, path: &str, handler: impl Fn(Request) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        self.exact.insert(path.to_owned(), Box::new(move |request| Box::pin(handler(request))));
        self
    }

    /// Answers at all paths that begin so.
    #[must_use]
    pub fn under<F>(mut self, prefix: &str, handler: impl Fn(Request) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        self.under.push((prefix.to_owned(), Box::new(move |request| Box::pin(handler(request)))));
        self
    }

    async fn answer(&self, request: Request) -> Answer {
        let path = request.target.split('?').next().unwrap_or_default();
        let under = || self.under.iter().find(|(prefix, _)| path.starts_with(prefix)).map(|(_, found)| found);
        match self.exact.get(path).or_else(under) {
            Some(handler) => handler(request).await,
            None => Answer::Respond(Response::new(404)),
        }
    }
}

/// Serves until `stop`, and then to the end of what has begun.
pub async fn serve(listener: TcpListener, app: App, stop: impl Future<Output = ()>) -> io::Result<()> {
    let (app, places) = (Arc::new(app), Arc::new(Semaphore::new(CONNECTIONS as usize)));
    let (serving, served) = watch::channel(());
    let mut stop = pin!(stop);
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
            io::Result::Ok((listener.accept().await, place))
        };
        let (accepted, place) = tokio::select! {
            next = next => next?,
            () = &mut stop => break,
        };
        let tcp = match accepted {
            Ok((tcp, _)) => tcp,
            Err(error) => {
                eprintln!("cannot accept: {error}");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let (app, served) = (app.clone(), served.clone());
        tokio::spawn(async move {
            // A connection that fails is its peer's affair.
            let _ = converse(tcp, &app, served).await;
            drop(place);
        });
    }
    drop((listener, serving));
    // All places are free again when all connections have ended.
    places.acquire_many(CONNECTIONS).await.map(drop).map_err(io::Error::other)
}

/// Ends where it waits for a request and `served` has no sender any more.
async fn converse(mut tcp: TcpStream, app: &App, mut served: watch::Receiver<()>) -> io::Result<()> {
    // Without this, small replies wait for the acknowledgement of the ones before.
    let _ = tcp.set_nodelay(true);
    let mut buffer = BytesMut::new();
    loop {
        let read = tokio::select! {
            _ = served.changed() => return Ok(()),
            read = tokio::time::timeout(PATIENCE, read(&mut tcp, &mut buffer)) => read??,
        };
        let (request, lasts) = match read {
            Some(Ok(read)) => read,
            Some(Err(status)) => return write(&mut tcp, Response::new(status), false, false).await,
            None => return Ok(()),
        };
        let is_head = request.method == "HEAD";
        match app.answer(request).await {
            Answer::Respond(response) => {
                write(&mut tcp, response, is_head, lasts).await?;
                if !lasts {
                    return Ok(());
                }
            }
            Answer::Upgrade(response, then) => {
                write(&mut tcp, response, true, true).await?;
                let (reader, writer) = tcp.into_split();
                // The peer may have been quick: what it has sent since is the connection's already.
                let reader = AsyncReadExt::chain(Cursor::new(buffer.freeze()), reader);
                then(Box::pin(tokio::io::join(reader, writer))).await;
                return Ok(());
            }
        }
    }
}

/// The next request and whether others may follow it; or the status of a refusal; or nothing, if the peer is done.
async fn read(
    tcp: &mut TcpStream,
    buffer: &mut BytesMut,
) -> io::Result<Option<Result<(Request, bool), u16>>> {
    loop {
        match parse(buffer) {
            Ok(None) if buffer.len() < HEAD_BYTES => {}
            Ok(None) => return Ok(Some(Err(431))),
            Ok(Some((request, lasts, length))) => {
                buffer.advance(length);
                return Ok(Some(Ok((request, lasts))));
            }
            Err(status) => return Ok(Some(Err(status))),
        }
        if tcp.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

/// A request, whether others may follow it on its connection, and how many bytes it takes.
fn parse(bytes: &[u8]) -> Result<Option<(Request, bool, usize)>, u16> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut head = httparse::Request::new(&mut headers);
    let length = match head.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(431),
        Err(_) => return Err(400),
    };
    let (Some(method), Some(target), Some(version)) = (head.method, head.path, head.version) else {
        return Err(400);
    };
    let headers = head.headers.iter().map(|header| (header.name.to_owned(), header.value.to_owned()));
    let request =
        Request { method: method.to_owned(), target: target.to_owned(), headers: headers.collect() };
    let has_body = request.header("content-length").is_some_and(|length| length != b"0");
    if has_body || request.header("transfer-encoding").is_some() {
        return Err(413);
    }
    let closes = request.header("connection").is_some_and(|value| value.eq_ignore_ascii_case(b"close"));
    Ok(Some((request, version == 1 && !closes, length)))
}

async fn write(tcp: &mut TcpStream, response: Response, head_only: bool, lasts: bool) -> io::Result<()> {
    let Response { status, headers, body } = response;
    let mut bytes = format!("HTTP/1.1 {status} \r\n").into_bytes();
    let mut has_length = status == 101;
    for (name, value) in headers {
        has_length |= name.eq_ignore_ascii_case("content-length");
        for part in [name.as_bytes(), b": ", &value, b"\r\n"] {
            bytes.extend_from_slice(part);
        }
    }
    if !has_length {
        bytes.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
    }
    if !lasts {
        bytes.extend_from_slice(b"connection: close\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    if !head_only {
        bytes.extend_from_slice(&body);
    }
    tokio::time::timeout(PATIENCE, tcp.write_all(&bytes)).await?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_whole_or_refused() {
        let parsed = |text: &str| parse(text.as_bytes()).map(|read| read.map(|(_, lasts, n)| (lasts, n)));
        assert_eq!(parsed("GET / HTTP/1.1\r\n\r\nx"), Ok(Some((true, 18))));
        assert_eq!(parsed("GET / HTTP/1.0\r\n\r\n"), Ok(Some((false, 18))));
        assert_eq!(parsed("GET / HTTP/1.1\r\nConnection: close\r\n\r\n"), Ok(Some((false, 37))));
        assert_eq!(parsed("GET / HTTP/1.1\r\n"), Ok(None));
        assert_eq!(parsed("GET / HTTP/3.0\r\n\r\n"), Err(400));
        assert_eq!(parsed("POST / HTTP/1.1\r\ncontent-length: 1\r\n\r\n"), Err(413));
        assert_eq!(parsed("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"), Err(413));
        assert_eq!(parsed(&format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(HEADERS + 1))), Err(431));
    }
}
