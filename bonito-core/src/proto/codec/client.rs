use bytes::Bytes;

use super::{EXCEPTION, ID, MESSAGE, MSG_TYPE, NOTHING, PAYLOAD, REPLACE, SESSION, STACKTRACE, SUBSESSION};
use crate::{
    Limits,
    proto::{
        DecodeError, EncodeError,
        error::cut,
        message::{ClientMessage, MAX_TEXT_BYTES, tag},
        scan::{Origin, Scan, check_key, check_room, end_of},
        value::RawValue,
        wire::{Head, Reader, Writer},
    },
};

/// Reads a frame from a browser (`docs/src/protocol.md` §6). What missing and mistyped fields become, says
/// [`ClientMessage`].
///
/// # Errors
///
/// When the frame is not exactly one map of MessagePack, when it passes a bound of `limits`, when it holds what only
/// a server may send (§3.3), or when an update has no id.
#[expect(clippy::needless_pass_by_value, reason = "the message keeps the frame alive")]
pub fn decode_client(frame: Bytes, limits: &Limits) -> Result<ClientMessage, DecodeError> {
    let most = limits.message_bytes.max(limits.inflated_bytes);
    if frame.len() > most {
        return Err(DecodeError::too_large(format!(
            "expected at most {most} bytes, {} came: send less at once",
            frame.len()
        )));
    }
    let fields = Fields::scan(&frame, limits)?;
    let tag = fields.bytes(fields.msg_type).unwrap_or_default();
    Ok(match str::from_utf8(tag).unwrap_or_default() {
        tag::UPDATE_OBSERVABLE => {
            let id = fields.id.filter(|_| fields.is_text(fields.id)).ok_or_else(|| {
                DecodeError::wrong_type("expected an update with the id of an observable, one without came")
            })?;
            let id = fields.name(Some(id), ID)?;
            let payload = fields.payload.map_or(RawValue::NIL, |span| RawValue::checked(part(&frame, span)));
            ClientMessage::UpdateObservable { id, payload }
        }
        tag::JAVASCRIPT_ERROR => ClientMessage::JavascriptError {
            message: fields.text(fields.message),
            exception: fields.text(fields.exception),
            stacktrace: fields.text(fields.stacktrace),
        },
        tag::JAVASCRIPT_WARNING => ClientMessage::JavascriptWarning { message: fields.text(fields.message) },
        tag::DONE_LOADING => ClientMessage::DoneLoading {
            session: fields.name(fields.session, SESSION)?,
            message: fields.text(fields.message),
            exception: fields.exception(),
            stacktrace: fields.text(fields.stacktrace),
        },
        tag::CLOSE_SESSION => ClientMessage::CloseSession {
            session: fields.name(fields.session, SESSION)?,
            subsession: fields.name(fields.subsession, SUBSESSION)?,
        },
        tag::PING_PONG => ClientMessage::PingPong,
        tag::GET_SESSION_DOM => ClientMessage::GetSessionDom {
            session: fields.name(fields.session, SESSION)?,
            replace: fields.name(fields.replace, REPLACE)?,
        },
        _ => ClientMessage::Unknown { tag: fields.name(fields.msg_type, MSG_TYPE)? },
    })
}

/// Start and end of a value in the frame.
type Span = (usize, usize);

/// A part of the frame. It keeps the whole alive unless that is much more: what waits for the application is counted by its
/// own length, and a page may put into a frame what nobody looks at.
fn part(frame: &Bytes, (start, end): Span) -> Bytes {
    const BESIDES: usize = 128;
    if frame.len() > 2 * (end - start) + BESIDES {
        Bytes::copy_from_slice(&frame[start..end])
    } else {
        frame.slice(start..end)
    }
}

/// Where the fields of a message are.
struct Fields<'a> {
    frame: &'a [u8],
    name_bytes: usize,
    msg_type: Option<Span>,
    id: Option<Span>,
    payload: Option<Span>,
    message: Option<Span>,
    exception: Option<Span>,
    stacktrace: Option<Span>,
    session: Option<Span>,
    subsession: Option<Span>,
    replace: Option<Span>,
}

impl<'a> Fields<'a> {
    fn scan(frame: &'a [u8], limits: &Limits) -> Result<Self, DecodeError> {
        let mut fields = Self {
            frame,
            name_bytes: limits.name_bytes,
            msg_type: None,
            id: None,
            payload: None,
            message: None,
            exception: None,
            stacktrace: None,
            session: None,
            subsession: None,
            replace: None,
        };
        let mut reader = Reader::new(frame);
        let len = match reader.head()? {
            Head::Map(len) => len,
            other => {
                return Err(DecodeError::malformed(format!(
                    "expected a message, which is a map, {} came",
                    other.name()
                )));
            }
        };
        let mut scan = Scan::new(Origin::Browser, limits);
        check_room(len.saturating_mul(2), &reader)?;
        scan.count(len)?;
        for _ in 0..len {
            let at = reader.at();
            let head = reader.head()?;
            let start = reader.at();
            check_key(head, &mut reader, at)?;
            let key = if matches!(head, Head::Str(_)) { &frame[start..reader.at()] } else { &[] };
            let start = reader.at();
            scan.value(&mut reader, 1)?;
            if let Some(field) = fields.named(key) {
                *field = Some((start, reader.at()));
            }
        }
        end_of(&reader)?;
        Ok(fields)
    }

    fn named(&mut self, key: &[u8]) -> Option<&mut Option<Span>> {
        Some(match str::from_utf8(key).ok()? {
            MSG_TYPE => &mut self.msg_type,
            ID => &mut self.id,
            PAYLOAD => &mut self.payload,
            MESSAGE => &mut self.message,
            EXCEPTION => &mut self.exception,
            STACKTRACE => &mut self.stacktrace,
            SESSION => &mut self.session,
            SUBSESSION => &mut self.subsession,
            REPLACE => &mut self.replace,
            _ => return None,
        })
    }

    /// The bytes of a field that is text.
    fn bytes(&self, span: Option<Span>) -> Option<&'a [u8]> {
        let (start, end) = span?;
        let mut reader = Reader::new(&self.frame[start..end]);
        match reader.head() {
            Ok(Head::Str(len)) => reader.take(len).ok(),
            _ => None,
        }
    }

    fn is_text(&self, span: Option<Span>) -> bool {
        self.bytes(span).is_some()
    }

    /// Text that names something.
    fn name(&self, span: Option<Span>, field: &str) -> Result<String, DecodeError> {
        let bytes = self.bytes(span).unwrap_or_default();
        if bytes.len() > self.name_bytes {
            return Err(DecodeError::too_large(format!(
                "expected at most {} bytes of {field}, {} came",
                self.name_bytes,
                bytes.len()
            )));
        }
        Ok(match str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => String::from_utf8_lossy(bytes).into_owned(),
        })
    }

    /// Text for people, cut where it is huge.
    fn text(&self, span: Option<Span>) -> String {
        let bytes = self.bytes(span).unwrap_or_default();
        match str::from_utf8(bytes) {
            Ok(text) => cut(text, MAX_TEXT_BYTES).to_owned(),
            Err(_) => {
                let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_TEXT_BYTES)]);
                cut(&text, MAX_TEXT_BYTES).to_owned()
            }
        }
    }

    /// Why loading failed.
    fn exception(&self) -> Option<String> {
        let (start, _) = self.exception?;
        if matches!(Reader::new(&self.frame[start..]).head(), Ok(Head::Nil)) {
            return None;
        }
        Some(self.text(self.exception)).filter(|text| text != NOTHING)
    }
}

/// Writes a message the way a browser does, its keys in the order of `docs/src/protocol.md` §6.
///
/// # Errors
///
/// When the message is longer than 4 GiB.
pub fn encode_client(message: &ClientMessage) -> Result<Bytes, EncodeError> {
    let mut out = Writer::with_capacity(64);
    let mut texts = |tag: &str, fields: &[(&str, &str)]| {
        out.map(fields.len() + 1);
        out.str(MSG_TYPE);
        out.str(tag);
        for (key, text) in fields {
            out.str(key);
            out.str(text);
        }
    };
    match message {
        ClientMessage::UpdateObservable { id, payload } => {
            out.map(3);
            out.str(MSG_TYPE);
            out.str(tag::UPDATE_OBSERVABLE);
            out.str(ID);
            out.str(id);
            out.str(PAYLOAD);
            out.raw(payload.as_bytes());
        }
        ClientMessage::JavascriptError { message, exception, stacktrace } => texts(
            tag::JAVASCRIPT_ERROR,
            &[(MESSAGE, message), (EXCEPTION, exception), (STACKTRACE, stacktrace)],
        ),
        ClientMessage::JavascriptWarning { message } => texts(tag::JAVASCRIPT_WARNING, &[(MESSAGE, message)]),
        ClientMessage::DoneLoading { session, message, exception, stacktrace } => texts(
            tag::DONE_LOADING,
            &[
                (SESSION, session),
                (MESSAGE, message),
                (EXCEPTION, exception.as_deref().unwrap_or(NOTHING)),
                (STACKTRACE, stacktrace),
            ],
        ),
        ClientMessage::CloseSession { session, subsession } => {
            texts(tag::CLOSE_SESSION, &[(SESSION, session), (SUBSESSION, subsession)]);
        }
        ClientMessage::PingPong => texts(tag::PING_PONG, &[]),
        ClientMessage::GetSessionDom { session, replace } => {
            texts(tag::GET_SESSION_DOM, &[(SESSION, session), (REPLACE, replace)]);
        }
        ClientMessage::Unknown { tag } => texts(tag, &[]),
    }
    out.finish()
}
