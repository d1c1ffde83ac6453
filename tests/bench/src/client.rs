//! The load: sockets that speak the protocol as far as a page's network end does.

use std::io;
use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bonito_core::proto::codec::encode_client;
use bonito_core::proto::message::ClientMessage;
use bonito_core::proto::resume::{Control, Hello, Instance, Key, PROTOCOL, is_control};
use bonito_core::proto::value::RawValue;
use bytes::Bytes;
use futures_util::future::try_join_all;
use futures_util::{SinkExt, StreamExt};
use http::HeaderValue;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::server::{MESSAGE, PAYLOAD, Variant};

/// Sockets that are opened at the same time.
const LANES: usize = 16;

/// One socket, and what it sends.
pub(crate) struct Client {
    socket: WebSocketStream<TcpStream>,
    variant: Variant,
    /// The observable that a session's updates are for.
    input: String,
    /// An ordinary message, encoded.
    pub(crate) message: Bytes,
    /// The data frames that a page which resumes has had, and those that it has acknowledged.
    stream: Option<(u64, u64)>,
}

impl Client {
    /// Opens sockets, several at a time; those of sessions with a page before each.
    pub(crate) async fn open_all(
        address: SocketAddr,
        variant: Variant,
        resume: bool,
        kind: &str,
        count: usize,
    ) -> io::Result<Vec<Self>> {
        let lanes = LANES.min(count);
        let lane = async |nth: usize| {
            let mut pages = Pages::connect(address).await?;
            let mut all = Vec::new();
            for _ in (nth..count).step_by(lanes) {
                all.push(Self::open(&mut pages, variant, resume, kind).await?);
            }
            io::Result::Ok(all)
        };
        Ok(try_join_all((0..lanes).map(lane)).await?.into_iter().flatten().collect())
    }

    async fn open(pages: &mut Pages, variant: Variant, resume: bool, kind: &str) -> io::Result<Self> {
        let address = pages.address;
        if variant != Variant::Sessions {
            let socket = connect(address, &format!("/raw/{kind}"), false).await?;
            let message = Bytes::from(vec![b'x'; MESSAGE]);
            return Ok(Self { socket, variant, input: String::new(), message, stream: None });
        }
        let page = pages.get(&format!("/page/{kind}")).await?;
        let title = page.split("<title>").nth(1).and_then(|rest| rest.split("</title>").next());
        let (id, input) =
            title.and_then(|title| title.split_once(' ')).ok_or_else(|| io::Error::other("no title"))?;
        let socket = connect(address, &format!("/live/{id}"), resume).await?;
        let loaded = ClientMessage::DoneLoading {
            session: id.to_owned(),
            message: String::new(),
            exception: None,
            stacktrace: String::new(),
        };
        let stream = resume.then_some((0, 0));
        let mut client = Self { socket, variant, input: input.to_owned(), message: Bytes::new(), stream };
        if resume {
            let (instance, key) = (Instance::new([1; 16]), page_key(&page).ok_or_else(no_key)?);
            let hello = Hello { instance, key, stream: None, received: 0 };
            client.send(Control::Hello(hello).encode()).await?;
        }
        client.send(encode_client(&loaded).map_err(io::Error::other)?).await?;
        client.message = client.encode(PAYLOAD)?;
        Ok(client)
    }

    /// A message with as many bytes of the application's.
    pub(crate) fn encode(&self, bytes: usize) -> io::Result<Bytes> {
        if self.variant != Variant::Sessions {
            return Ok(vec![b'x'; bytes].into());
        }
        let payload = RawValue::encode(&"x".repeat(bytes)).map_err(io::Error::other)?;
        let update = ClientMessage::UpdateObservable { id: self.input.clone(), payload };
        encode_client(&update).map_err(io::Error::other)
    }

    pub(crate) async fn send(&mut self, bytes: Bytes) -> io::Result<()> {
        self.socket.send(Message::Binary(bytes)).await.map_err(io::Error::other)
    }

    /// Hands a message to the socket without waiting for it to go out.
    pub(crate) async fn feed(&mut self, bytes: Bytes) -> io::Result<()> {
        self.socket.feed(Message::Binary(bytes)).await.map_err(io::Error::other)
    }

    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        self.socket.flush().await.map_err(io::Error::other)
    }

    /// Counts a data frame, and says after some how many there were.
    async fn acknowledge(&mut self) -> io::Result<()> {
        let Some((had, acknowledged)) = &mut self.stream else { return Ok(()) };
        *had += 1;
        if *had - *acknowledged < 32 {
            return Ok(());
        }
        *acknowledged = *had;
        let ack = Control::Ack(*had).encode();
        self.send(ack).await
    }

    /// The next so many binary messages; answers how long the last one was.
    pub(crate) async fn receive(&mut self, messages: usize) -> io::Result<usize> {
        let (mut received, mut len) = (0, 0);
        while received < messages {
            match self.socket.next().await {
                Some(Ok(Message::Binary(bytes))) if self.stream.is_some() && is_control(&bytes) => {}
                Some(Ok(Message::Binary(bytes))) => {
                    (received, len) = (received + 1, bytes.len());
                    self.acknowledge().await?;
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(io::Error::other(error)),
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        Ok(len)
    }
}

/// The key in the HTML of a page.
fn page_key(page: &str) -> Option<Key> {
    let (_, bundle) = page.split_once("atob(\"")?;
    let bundle = STANDARD.decode(bundle.split_once('"')?.0).ok()?;
    let mark = b"\xa6resume\xd9\x2b";
    let at = bundle.windows(mark.len()).position(|window| window == mark)? + mark.len();
    URL_SAFE_NO_PAD.decode(bundle.get(at..at + 43)?).ok()?.try_into().ok().map(Key::new)
}

fn no_key() -> io::Error {
    io::Error::other("no key in the page")
}

async fn connect(address: SocketAddr, path: &str, resume: bool) -> io::Result<WebSocketStream<TcpStream>> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    let config = WebSocketConfig::default().read_buffer_size(4 << 10);
    let mut request = format!("ws://{address}{path}").into_client_request().map_err(io::Error::other)?;
    if resume {
        let protocol = HeaderValue::from_static(PROTOCOL);
        request.headers_mut().insert("sec-websocket-protocol", protocol);
    }
    let (socket, _) = client_async_with_config(request, tcp, Some(config)).await.map_err(io::Error::other)?;
    Ok(socket)
}

/// A connection over which pages are asked for, one after the other.
pub(crate) struct Pages {
    address: SocketAddr,
    tcp: BufReader<TcpStream>,
}

impl Pages {
    pub(crate) async fn connect(address: SocketAddr) -> io::Result<Self> {
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        Ok(Self { address, tcp: BufReader::new(tcp) })
    }

    /// The body of the answer.
    pub(crate) async fn get(&mut self, path: &str) -> io::Result<String> {
        let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", self.address);
        self.tcp.write_all(request.as_bytes()).await?;
        let (mut line, mut length) = (String::new(), 0);
        loop {
            line.clear();
            if self.tcp.read_line(&mut line).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let header = line.trim_end().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
        }
        let mut body = vec![0; length];
        self.tcp.read_exact(&mut body).await?;
        String::from_utf8(body).map_err(io::Error::other)
    }
}
