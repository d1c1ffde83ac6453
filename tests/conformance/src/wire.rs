//! A client that sends any bytes and reads frames as they stand on the wire.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::patiently;

/// A socket whose frames the case makes itself.
pub(crate) struct Wire(TcpStream);

/// A frame from the server: its first byte and its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Raw(pub(crate) u8, pub(crate) Vec<u8>);

pub(crate) const FIN: u8 = 0x80;
pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// A masked frame; `first` holds FIN, the reserved bits and the opcode.
pub(crate) fn frame(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let payload = payload.as_ref();
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..=125 => bytes.push(0x80 | short as u8),
        medium @ 126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend((medium as u16).to_be_bytes());
        }
        long => {
            bytes.push(0x80 | 127);
            bytes.extend((long as u64).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// A close frame with this code and reason.
pub(crate) fn close(code: u16, reason: impl AsRef<[u8]>) -> Vec<u8> {
    frame(FIN | CLOSE, [&code.to_be_bytes()[..], reason.as_ref()].concat())
}

impl Wire {
    /// A socket, or the panic that there is none.
    pub(crate) async fn open(address: SocketAddr, path: &str) -> Self {
        let (tcp, head) = Self::ask(address, path).await;
        let head = head.to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 101"), "{head}");
        // RFC 6455, section 1.3, has this key and this answer.
        assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"), "{head}");
        // Every browser offers one. Without, reserved bits have no meaning, and payloads are what they are.
        assert!(!head.contains("sec-websocket-extensions"), "{head}");
        Self(tcp)
    }

    /// Head and body of the response that refuses a socket.
    pub(crate) async fn refused(address: SocketAddr, path: &str) -> (String, String) {
        let (mut tcp, head) = Self::ask(address, path).await;
        let length = head.lines().find_map(|line| {
            let (name, length) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length").then(|| length.parse().unwrap())
        });
        let mut body = vec![0; length.expect("the length of the body")];
        patiently(tcp.read_exact(&mut body), "the body does not come").await.unwrap();
        (head, String::from_utf8(body).unwrap())
    }

    async fn ask(address: SocketAddr, path: &str) -> (TcpStream, String) {
        let mut tcp = TcpStream::connect(address).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             sec-websocket-extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
        );
        tcp.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(patiently(tcp.read_u8(), "the handshake was not answered").await.unwrap());
        }
        (tcp, String::from_utf8(head).unwrap())
    }

    /// The network is gone, in the kernel's words.
    pub(crate) fn reset(self) {
        self.0.set_zero_linger().unwrap();
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Sends in pieces of so many bytes, each on its way before the next.
    pub(crate) async fn send_in(&mut self, bytes: impl AsRef<[u8]>, size: usize) {
        for piece in bytes.as_ref().chunks(size) {
            self.send(piece).await;
            tokio::task::yield_now().await;
        }
    }

    /// The next frame; `None` when the server has hung up.
    pub(crate) async fn next(&mut self) -> Option<Raw> {
        patiently(self.read(), "nothing came").await
    }

    async fn read(&mut self) -> Option<Raw> {
        let first = self.0.read_u8().await.ok()?;
        let length = match self.0.read_u8().await.ok()? {
            126 => {
                let length = usize::from(self.0.read_u16().await.ok()?);
                assert!(length > 125, "a length that fits into less");
                length
            }
            127 => {
                let length = usize::try_from(self.0.read_u64().await.ok()?).unwrap();
                assert!(length > 0xffff, "a length that fits into less");
                length
            }
            short => {
                assert!(short < 126, "a server's frames are not masked");
                usize::from(short)
            }
        };
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload).await.ok()?;
        Some(Raw(first, payload))
    }

    /// The next frame is this text.
    pub(crate) async fn hears(&mut self, text: &str) {
        assert_eq!(self.next().await, Some(Raw(FIN | TEXT, text.into())));
    }

    /// All that still comes is a close frame with this code, or one without, and then the server hangs up. It is answered.
    pub(crate) async fn closes(mut self, code: Option<u16>, what: &str) {
        let Some(Raw(first, payload)) = self.next().await else { panic!("{what}: no close frame came") };
        assert_eq!(first, FIN | CLOSE, "{what}: {payload:?}");
        let came = payload.get(..2).map(|code| u16::from_be_bytes([code[0], code[1]]));
        assert_eq!(came, code, "{what}");
        let _ = self.0.write_all(&frame(FIN | CLOSE, &payload)).await;
        // Some servers wait a while for the client to hang up first.
        let _ = self.0.shutdown().await;
        assert_eq!(self.next().await, None, "{what}");
    }
}
