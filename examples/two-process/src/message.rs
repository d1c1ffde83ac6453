//! What travels over a link.

use bonito_core::{CloseCode, CloseFrame, Frame, TransportErrorKind};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use serde::{Deserialize, Serialize};

/// A message, and the stream that it belongs to: one request of a browser and, when it is upgraded, its socket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) stream: u32,
    pub(crate) body: Body,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Body {
    /// To the app: a browser asks.
    Request(Head),
    /// To the front: the answer.
    Answer(Answer),
    /// A frame of the socket. Each costs a place until it is [`Taken`](Self::Taken).
    Frame(Piece),
    /// The other side has worked a frame off.
    Taken,
    /// The stream is over.
    End,
}

/// The head of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Head {
    method: String,
    uri: String,
    headers: Headers,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Answer {
    status: u16,
    headers: Headers,
    body: Bytes,
    /// The request is to be upgraded; the rest of the answer means nothing.
    pub(crate) upgrade: bool,
}

type Headers = Vec<(String, Bytes)>;

/// A frame, or why there is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Piece {
    Text(String),
    Binary(Bytes),
    Ping(Bytes),
    Pong(Bytes),
    Close(Option<(u16, String)>),
    Failed(Failure),
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Failure {
    Io,
    Protocol,
    InvalidUtf8,
    TooLarge,
}

impl Head {
    pub(crate) fn of(parts: &Parts) -> Self {
        Self {
            method: parts.method.to_string(),
            uri: parts.uri.to_string(),
            headers: to_headers(&parts.headers),
        }
    }

    /// All headers go along, and repeated ones as often as they came. `None` if this is no request.
    pub(crate) fn parts(self) -> Option<Parts> {
        let (mut parts, ()) = http::Request::new(()).into_parts();
        parts.method = self.method.parse().ok()?;
        parts.uri = self.uri.parse().ok()?;
        parts.headers = from_headers(self.headers)?;
        Some(parts)
    }
}

impl Answer {
    pub(crate) fn respond(response: Response<Bytes>) -> Self {
        let (parts, body) = response.into_parts();
        Self { status: parts.status.as_u16(), headers: to_headers(&parts.headers), body, upgrade: false }
    }

    pub(crate) fn upgrade() -> Self {
        Self { status: 101, headers: Vec::new(), body: Bytes::new(), upgrade: true }
    }

    pub(crate) fn response(self) -> Option<Response<Bytes>> {
        let mut response = Response::new(self.body);
        *response.status_mut() = StatusCode::from_u16(self.status).ok()?;
        *response.headers_mut() = from_headers(self.headers)?;
        Some(response)
    }
}

fn to_headers(headers: &HeaderMap) -> Headers {
    headers.iter().map(|(name, value)| (name.to_string(), Bytes::copy_from_slice(value.as_bytes()))).collect()
}

fn from_headers(headers: Headers) -> Option<HeaderMap> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(name.parse::<HeaderName>().ok()?, HeaderValue::from_maybe_shared(value).ok()?);
    }
    Some(map)
}

impl From<Frame> for Piece {
    fn from(frame: Frame) -> Self {
        match frame {
            Frame::Text(text) => Self::Text(text),
            Frame::Binary(bytes) => Self::Binary(bytes),
            Frame::Ping(bytes) => Self::Ping(bytes),
            Frame::Pong(bytes) => Self::Pong(bytes),
            Frame::Close(frame) => Self::Close(frame.map(|frame| (frame.code.0, frame.reason.into_owned()))),
        }
    }
}

impl From<TransportErrorKind> for Piece {
    fn from(kind: TransportErrorKind) -> Self {
        Self::Failed(match kind {
            TransportErrorKind::Protocol => Failure::Protocol,
            TransportErrorKind::InvalidUtf8 => Failure::InvalidUtf8,
            TransportErrorKind::TooLarge => Failure::TooLarge,
            _ => Failure::Io,
        })
    }
}

impl From<Piece> for Result<Frame, TransportErrorKind> {
    fn from(piece: Piece) -> Self {
        Ok(match piece {
            Piece::Text(text) => Frame::Text(text),
            Piece::Binary(bytes) => Frame::Binary(bytes),
            Piece::Ping(bytes) => Frame::Ping(bytes),
            Piece::Pong(bytes) => Frame::Pong(bytes),
            Piece::Close(frame) => {
                Frame::Close(frame.map(|(code, reason)| CloseFrame::new(CloseCode(code), reason)))
            }
            Piece::Failed(failure) => {
                return Err(match failure {
                    Failure::Io => TransportErrorKind::Io,
                    Failure::Protocol => TransportErrorKind::Protocol,
                    Failure::InvalidUtf8 => TransportErrorKind::InvalidUtf8,
                    Failure::TooLarge => TransportErrorKind::TooLarge,
                });
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_arrives_as_it_was_sent() {
        let request = http::Request::get("/live/1?low_latency")
            .header("origin", "http://a.example")
            .header("origin", "http://b.example")
            .header("x", HeaderValue::from_bytes(b"\xff").unwrap());
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let copy = Head::of(&parts).parts().unwrap();
        assert_eq!((copy.method, copy.uri), (parts.method, parts.uri));
        assert_eq!(copy.headers, parts.headers);
    }

    #[test]
    fn an_answer_arrives_as_it_was_sent() {
        let response =
            Response::builder().status(426).header("upgrade", "websocket").body(Bytes::from("no")).unwrap();
        let copy = Answer::respond(response).response().unwrap();
        assert_eq!((copy.status().as_u16(), copy.body().as_ref()), (426, &b"no"[..]));
        assert_eq!(copy.headers()["upgrade"], "websocket");
    }

    #[test]
    fn frames_and_failures_arrive_as_they_were_sent() {
        for frame in [
            Frame::Text("a".to_owned()),
            Frame::Binary(Bytes::from_static(&[0, 255])),
            Frame::Ping(Bytes::from_static(b"p")),
            Frame::Pong(Bytes::new()),
            Frame::Close(None),
            Frame::Close(Some(CloseFrame::new(CloseCode::SESSION_CLOSED, "over"))),
        ] {
            let copy: Result<Frame, TransportErrorKind> = Piece::from(frame.clone()).into();
            assert_eq!(copy, Ok(frame));
        }
        for kind in [
            TransportErrorKind::Io,
            TransportErrorKind::Protocol,
            TransportErrorKind::InvalidUtf8,
            TransportErrorKind::TooLarge,
        ] {
            assert_eq!(Result::from(Piece::from(kind)), Err::<Frame, _>(kind));
        }
    }
}
