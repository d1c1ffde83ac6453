//! The halves of a socket of actix-ws.

use std::io::ErrorKind;
use std::pin::Pin;
use std::str::Utf8Error;
use std::task::{Context, Poll};

use actix_web::{Error, FromRequest, HttpRequest, dev, web::Payload};
use actix_ws::{AggregatedMessage, CloseReason, Closed, Message, MessageStream, ProtocolError, Session};
use bonito_core::{CloseCode, CloseFrame, Frame, Limits, Transport, TransportError, TransportErrorKind};
use futures_util::{Sink, StreamExt};

use crate::TooLarge;

/// The payload of a request for `actix_ws::handle`, bounded by `limits`: a message that is too long is refused by its header,
/// and one in too many fragments by the first that is too much. actix-ws itself gathers a frame before it looks at its size,
/// and does not count fragments.
///
/// # Errors
///
/// Those of actix-web, which takes any payload so far.
pub fn guard(request: &HttpRequest, payload: Payload, limits: &Limits) -> Result<Payload, Error> {
    let guarded = crate::guard(payload, limits);
    Payload::from_request(request, &mut dev::Payload::Stream { payload: Box::pin(guarded) }).into_inner()
}

/// A socket of actix-ws as the library sees it, for [`run_connection_loop`](bonito_core::run_connection_loop) in a route of
/// your own, in a task of `actix_web::rt`. Pings are answered by the library.
///
/// `stream` should read a payload that [`guard`] has bounded. Without that, a peer makes the server hold a frame of any size
/// before it is refused, fragments are not counted, and a message whose fragments are too long together ends its socket
/// without a close code.
///
/// Compared with `bonito_actix::upgrade`: actix-ws holds up to 32 messages more for a peer that does not read, whatever their
/// size; it reads into buffers of its own; and each message is copied once more on its way out.
pub fn transport(session: Session, stream: MessageStream, limits: &Limits) -> impl Transport + use<> {
    let stream = stream.max_frame_size(limits.message_bytes);
    let stream = stream.aggregate_continuations().max_continuation_size(limits.message_bytes);
    let reader = stream.map(|message| message.map(from_message).map_err(failure));
    bonito_core::join(reader, Writer(session))
}

/// Says at each call that the socket is gone: `sink_map_err` can say so only once, and panics when it is asked again.
struct Writer(Session);

impl Sink<Frame> for Writer {
    type Error = TransportError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Pin::new(&mut self.0).poll_ready(cx).map_err(gone)
    }

    fn start_send(mut self: Pin<&mut Self>, frame: Frame) -> Result<(), Self::Error> {
        Pin::new(&mut self.0).start_send(to_message(frame)).map_err(gone)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Pin::new(&mut self.0).poll_flush(cx).map_err(gone)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Pin::new(&mut self.0).poll_close(cx).map_err(gone)
    }
}

fn gone(error: Closed) -> TransportError {
    TransportError::new(TransportErrorKind::Io, error)
}

fn from_message(message: AggregatedMessage) -> Frame {
    match message {
        AggregatedMessage::Text(text) => Frame::Text(text.into()),
        AggregatedMessage::Binary(bytes) => Frame::Binary(bytes),
        AggregatedMessage::Ping(payload) => Frame::Ping(payload),
        AggregatedMessage::Pong(payload) => Frame::Pong(payload),
        AggregatedMessage::Close(reason) => Frame::Close(reason.map(|reason| {
            CloseFrame::new(CloseCode(reason.code.into()), reason.description.unwrap_or_default())
        })),
    }
}

fn to_message(frame: Frame) -> Message {
    match frame {
        Frame::Text(text) => Message::Text(text.into()),
        Frame::Binary(bytes) => Message::Binary(bytes),
        Frame::Ping(payload) => Message::Ping(payload),
        Frame::Pong(payload) => Message::Pong(payload),
        Frame::Close(frame) => Message::Close(frame.map(|CloseFrame { code, reason, .. }| CloseReason {
            code: code.0.into(),
            description: Some(reason.into_owned()),
        })),
    }
}

fn failure(error: ProtocolError) -> TransportError {
    let kind = match &error {
        ProtocolError::Overflow => TransportErrorKind::TooLarge,
        ProtocolError::Io(error) if TooLarge::is_behind(error) => TransportErrorKind::TooLarge,
        ProtocolError::Io(error) if error.kind() == ErrorKind::InvalidData => {
            // It is this error too for a reserved bit.
            let is_text = error.get_ref().is_some_and(|inner| inner.is::<Utf8Error>());
            if is_text { TransportErrorKind::InvalidUtf8 } else { TransportErrorKind::Protocol }
        }
        ProtocolError::Io(_) => TransportErrorKind::Io,
        _ => TransportErrorKind::Protocol,
    };
    TransportError::new(kind, error)
}
