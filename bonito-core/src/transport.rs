//! The seam to a framework's socket: a stream and a sink of frames, and nothing to implement.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::{Sink, Stream};

use crate::Frame;

/// An upgraded WebSocket as the library sees it: a stream and a sink of [`Frame`]s.
///
/// Implemented for everything that is both, so an adapter maps its framework's message type to [`Frame`] and back and
/// is done. There is no `Send` bound: actix workers are not `Send`.
///
/// What an adapter owes:
/// * fragments are joined, and a message larger than [`Limits::message_bytes`](crate::Limits::message_bytes) is an
///   error whose [`TransportErrorKind`] is `TooLarge`;
/// * a [`Frame::Ping`] is handed on only if the framework has not answered it; the library answers those it sees;
/// * after a close frame has been read the stream ends.
pub trait Transport:
    Stream<Item = Result<Frame, TransportError>> + Sink<Frame, Error = TransportError>
{
}

impl<T> Transport for T where
    T: Stream<Item = Result<Frame, TransportError>> + Sink<Frame, Error = TransportError>
{
}

/// Why a socket failed.
#[derive(Debug)]
pub struct TransportError {
    kind: TransportErrorKind,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What kind of failure a [`TransportError`] is; it decides the close code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransportErrorKind {
    /// The connection is gone.
    Io,
    /// The peer broke the WebSocket protocol: close code 1002.
    Protocol,
    /// A text message was not UTF-8: close code 1007.
    InvalidUtf8,
    /// A message or frame was larger than allowed: close code 1009.
    TooLarge,
}

impl TransportError {
    /// An error of this kind with the framework's own error as its source.
    pub fn new(
        kind: TransportErrorKind,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { kind, source: Some(source.into()) }
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> TransportErrorKind {
        self.kind
    }
}

impl From<TransportErrorKind> for TransportError {
    fn from(kind: TransportErrorKind) -> Self {
        Self { kind, source: None }
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            TransportErrorKind::Io => "the connection is gone",
            TransportErrorKind::Protocol => "the peer broke the WebSocket protocol",
            TransportErrorKind::InvalidUtf8 => "a text message was not UTF-8",
            TransportErrorKind::TooLarge => "a message was larger than the limit",
        })
    }
}

impl std::error::Error for TransportError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}

/// Joins the two halves that some frameworks hand out into one [`Transport`].
pub fn join<R, W>(reader: R, writer: W) -> Joined<R, W>
where
    R: Stream<Item = Result<Frame, TransportError>> + Unpin,
    W: Sink<Frame, Error = TransportError> + Unpin,
{
    Joined { reader, writer }
}

/// What [`join`] returns.
#[derive(Debug)]
pub struct Joined<R, W> {
    reader: R,
    writer: W,
}

impl<R: Stream + Unpin, W: Unpin> Stream for Joined<R, W> {
    type Item = R::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.reader).poll_next(cx)
    }
}

impl<R: Unpin, W: Sink<Frame> + Unpin> Sink<Frame> for Joined<R, W> {
    type Error = W::Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Pin::new(&mut self.writer).poll_ready(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, frame: Frame) -> Result<(), Self::Error> {
        Pin::new(&mut self.writer).start_send(frame)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Pin::new(&mut self.writer).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Pin::new(&mut self.writer).poll_close(cx)
    }
}
