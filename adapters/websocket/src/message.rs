//! tungstenite's words for what the library says in its own.

use bonito_core::{CloseCode, CloseFrame, Frame, TransportError, TransportErrorKind};
use bytes::Bytes;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::{Error, Message, protocol};

use crate::TooLarge;

pub(crate) fn from_message(message: Message) -> Frame {
    match message {
        Message::Text(text) => Frame::Text(text.to_string()),
        Message::Binary(bytes) => Frame::Binary(bytes),
        Message::Pong(payload) => Frame::Pong(payload),
        // A ping has its pong already; like a pong it says that the peer lives.
        Message::Ping(_) | Message::Frame(_) => Frame::Pong(Bytes::new()),
        Message::Close(frame) => {
            Frame::Close(frame.map(|f| CloseFrame::new(CloseCode(f.code.into()), f.reason.to_string())))
        }
    }
}

pub(crate) fn to_message(frame: Frame) -> Message {
    match frame {
        Frame::Text(text) => Message::Text(text.into()),
        Frame::Binary(bytes) => Message::Binary(bytes),
        Frame::Ping(payload) => Message::Ping(payload),
        Frame::Pong(payload) => Message::Pong(payload),
        Frame::Close(None) => Message::Close(None),
        Frame::Close(Some(CloseFrame { code, reason, .. })) => {
            let (code, reason) = (code.0.into(), reason.into_owned().into());
            Message::Close(Some(protocol::CloseFrame { code, reason }))
        }
    }
}

pub(crate) fn failure(error: Error) -> TransportError {
    let kind = match &error {
        Error::Capacity(_) => TransportErrorKind::TooLarge,
        Error::Io(error) if TooLarge::is_behind(error) => TransportErrorKind::TooLarge,
        Error::Utf8(_) => TransportErrorKind::InvalidUtf8,
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => TransportErrorKind::Io,
        Error::Protocol(_) => TransportErrorKind::Protocol,
        _ => TransportErrorKind::Io,
    };
    TransportError::new(kind, error)
}
