use bytes::Bytes;

use super::{
    DOM_NODE_SELECTOR, HTML, ID, MESSAGES, MSG_TYPE, OBS, PAYLOAD, REPLACE, SESSION_ID, SESSION_STATUS,
};
use crate::{
    Limits,
    proto::{
        DecodeError,
        message::{Body, CacheEntry, Code, Envelope, Packet, ServerMessage, SessionStatus, tag},
        scan::{MAX_DEPTH, Origin, Scan, end_of},
        value::RawValue,
        wire::{Head, Reader, ext},
    },
};

/// Reads what a server sent: a frame or a bundle, with every form that the browser takes (`docs/src/protocol.md` §4).
///
/// Values in the packet are slices of `frame`.
///
/// # Errors
///
/// When `frame` is not exactly one packet, or passes a bound of `limits`.
#[expect(clippy::needless_pass_by_value, reason = "the packet keeps the frame alive")]
pub fn decode_packet(frame: Bytes, limits: &Limits) -> Result<Packet, DecodeError> {
    Scan::new(Origin::Server, limits).whole(&frame)?;
    let mut parse = Parse { frame: &frame, reader: Reader::new(&frame), depth: limits.depth.min(MAX_DEPTH) };
    parse.packet()
}

/// Reads scanned bytes.
struct Parse<'a> {
    frame: &'a Bytes,
    reader: Reader<'a>,
    /// Levels that may still be entered.
    depth: usize,
}

impl<'a> Parse<'a> {
    fn packet(&mut self) -> Result<Packet, DecodeError> {
        let mut ahead = self.reader.clone();
        if let Head::Ext(ext::ENVELOPE, len) = ahead.head()? {
            let body = ahead.take(len)?;
            self.reader = ahead;
            return self.within(body, Self::envelope).map(Packet::Enveloped);
        }
        self.message().map(Packet::Bare)
    }

    /// Reads a part that is one value.
    fn within<T>(
        &self,
        part: &'a [u8],
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        let Some(depth) = self.depth.checked_sub(1) else {
            return Err(DecodeError::malformed(
                "expected a packet whose depth was checked, a deeper one came",
            ));
        };
        let mut inner = Self { frame: self.frame, reader: Reader::new(part), depth };
        let value = read(&mut inner)?;
        end_of(&inner.reader)?;
        Ok(value)
    }

    fn envelope(&mut self) -> Result<Envelope, DecodeError> {
        let Head::Array(4) = self.reader.head()? else {
            return Err(DecodeError::wrong_type("expected the four parts of an envelope, other parts came"));
        };
        let session = self.text("the session of an envelope")?;
        let status = self.status()?;
        let cache = self.wrapped("the cache of an envelope")?;
        let cache = self.within(cache, Self::cache)?;
        let data = self.wrapped("the data of an envelope")?;
        let body = self.within(data, |parse| match parse.reader.peek()? {
            Head::Array(_) => parse.packets().map(Body::Bundle),
            _ => parse.message().map(Body::Message),
        })?;
        Ok(Envelope { session, status, cache, body })
    }

    /// The body of a wrapper: an extension value of any code but a timestamp's.
    fn wrapped(&mut self, what: &str) -> Result<&'a [u8], DecodeError> {
        match self.reader.head()? {
            Head::Ext(code, len) if code != ext::TIMESTAMP => self.reader.take(len),
            other => Err(DecodeError::wrong_type(format!(
                "expected {what} in an extension value, {} came",
                other.name()
            ))),
        }
    }

    /// A session cache, or its list alone. Any other value is an empty one.
    fn cache(&mut self) -> Result<Vec<CacheEntry>, DecodeError> {
        match self.reader.peek()? {
            Head::Ext(ext::SESSION_CACHE, len) => {
                self.reader.head()?;
                let body = self.reader.take(len)?;
                self.within(body, |parse| {
                    let Head::Array(3) = parse.reader.head()? else {
                        return Err(DecodeError::wrong_type("expected the three parts of a session cache"));
                    };
                    parse.text("the session of a cache")?;
                    parse.text("the status of a cache")?;
                    let list = parse.wrapped("the list of a cache")?;
                    parse.within(list, Self::cache_list)
                })
            }
            Head::Array(_) => self.cache_list(),
            _ => {
                self.raw()?;
                Ok(Vec::new())
            }
        }
    }

    fn cache_list(&mut self) -> Result<Vec<CacheEntry>, DecodeError> {
        let Head::Array(len) = self.reader.head()? else {
            return Err(DecodeError::wrong_type("expected an array of the objects of a cache"));
        };
        const SHORTEST_ENTRY: usize = 3;
        let mut entries = Vec::with_capacity(len.min(self.reader.remaining() / SHORTEST_ENTRY));
        for _ in 0..len {
            let head = self.reader.head()?;
            let Head::Ext(code @ (ext::OBSERVABLE | ext::TRACK), len) = head else {
                return Err(DecodeError::wrong_type(format!(
                    "expected an observable (101) or a tracked key (109) in a cache, {} came",
                    head.name()
                )));
            };
            let body = self.reader.take(len)?;
            entries.push(self.within(body, |parse| {
                if code == ext::TRACK {
                    return parse.text("a tracked key").map(CacheEntry::Track);
                }
                let Head::Array(2) = parse.reader.head()? else {
                    return Err(DecodeError::wrong_type("expected the id and the value of an observable"));
                };
                let id = parse.text("the id of an observable")?;
                Ok(CacheEntry::Observable { id, value: parse.raw()? })
            })?);
        }
        Ok(entries)
    }

    fn packets(&mut self) -> Result<Vec<Packet>, DecodeError> {
        let head = self.reader.head()?;
        let Head::Array(len) = head else {
            return Err(DecodeError::wrong_type(format!(
                "expected an array of messages, {} came",
                head.name()
            )));
        };
        const SHORTEST_MESSAGE: usize = 12;
        let mut packets = Vec::with_capacity(len.min(self.reader.remaining() / SHORTEST_MESSAGE));
        for _ in 0..len {
            packets.push(self.packet()?);
        }
        Ok(packets)
    }

    fn message(&mut self) -> Result<ServerMessage, DecodeError> {
        let head = self.reader.head()?;
        let Head::Map(len) = head else {
            return Err(DecodeError::wrong_type(format!(
                "expected a message, which is a map, {} came",
                head.name()
            )));
        };
        let mut fields = Fields::default();
        for _ in 0..len {
            let key = self.raw()?;
            let value = self.raw()?;
            fields.put(&key, value);
        }
        let Some(tag) = fields.msg_type.as_ref() else {
            return Err(DecodeError::wrong_type("expected a message with msg_type, one without came"));
        };
        match self.read(tag, |parse| parse.text("msg_type"))?.as_str() {
            tag::UPDATE_OBSERVABLE => Ok(ServerMessage::UpdateObservable {
                id: self.read(need(fields.id.as_ref(), ID)?, |parse| parse.text(ID))?,
                payload: fields.payload.unwrap_or_default(),
            }),
            tag::ONJS_CALLBACK => Ok(ServerMessage::OnjsCallback {
                observable: need(fields.obs.as_ref(), OBS)?.clone(),
                code: self.code(fields.payload.as_ref())?,
            }),
            tag::EVAL_JAVASCRIPT => {
                Ok(ServerMessage::EvalJavascript { code: self.code(fields.payload.as_ref())? })
            }
            tag::FUSED => self.read(need(fields.payload.as_ref(), PAYLOAD)?, |parse| {
                parse.packets().map(ServerMessage::Fused)
            }),
            tag::PING_PONG => Ok(ServerMessage::PingPong),
            tag::UPDATE_SESSION => Ok(ServerMessage::UpdateSession {
                session_id: self
                    .read(need(fields.session_id.as_ref(), SESSION_ID)?, |parse| parse.text(SESSION_ID))?,
                session_status: match &fields.session_status {
                    Some(status) => Some(self.read(status, |parse| parse.status())?),
                    None => None,
                },
                messages: self.read(need(fields.messages.as_ref(), MESSAGES)?, |parse| parse.packets())?,
                html: need(fields.html.as_ref(), HTML)?.clone(),
                replace: fields.replace.is_some_and(|replace| replace.as_bytes() == [0xc3]),
                dom_node_selector: self
                    .read(need(fields.selector.as_ref(), DOM_NODE_SELECTOR)?, |parse| {
                        parse.text(DOM_NODE_SELECTOR)
                    })?,
            }),
            tag => Err(DecodeError::wrong_type(format!(
                "expected a message that servers send, one with msg_type {:?} came",
                crate::proto::error::cut(tag, 64)
            ))),
        }
    }

    /// Reads a field that was found.
    fn read<T>(
        &self,
        field: &RawValue,
        read: impl FnOnce(&mut Parse<'_>) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        let Some(depth) = self.depth.checked_sub(1) else {
            return Err(DecodeError::malformed(
                "expected a packet whose depth was checked, a deeper one came",
            ));
        };
        let bytes = field.clone().into_bytes();
        let mut inner = Parse { frame: &bytes, reader: Reader::new(&bytes), depth };
        read(&mut inner)
    }

    fn code(&self, payload: Option<&RawValue>) -> Result<Code, DecodeError> {
        let payload = need(payload, PAYLOAD)?.clone().into_bytes();
        let mut reader = Reader::new(&payload);
        match reader.head()? {
            Head::Ext(ext::CODE, len) => Code::read(&payload.slice_ref(reader.take(len)?)),
            other => Err(DecodeError::wrong_type(format!("expected JavaScript code, {} came", other.name()))),
        }
    }

    fn text(&mut self, what: &str) -> Result<String, DecodeError> {
        crate::proto::message::text(&mut self.reader, what)
    }

    fn status(&mut self) -> Result<SessionStatus, DecodeError> {
        match self.text("the status of a session")?.as_str() {
            "root" => Ok(SessionStatus::Root),
            "sub" => Ok(SessionStatus::Sub),
            _ => Err(DecodeError::wrong_type("expected \"root\" or \"sub\" as the status of a session")),
        }
    }

    /// The next value, whatever it is.
    fn raw(&mut self) -> Result<RawValue, DecodeError> {
        let start = self.reader.at();
        Scan::uncounted(MAX_DEPTH).value(&mut self.reader, 0)?;
        let part = &self.reader.bytes()[start..self.reader.at()];
        Ok(RawValue::checked(self.frame.slice_ref(part)))
    }
}

fn need<'f>(field: Option<&'f RawValue>, name: &str) -> Result<&'f RawValue, DecodeError> {
    field.ok_or_else(|| DecodeError::wrong_type(format!("expected a message with {name}, one without came")))
}

/// The fields of a message, of which the last of a name counts.
#[derive(Default)]
struct Fields {
    msg_type: Option<RawValue>,
    id: Option<RawValue>,
    payload: Option<RawValue>,
    obs: Option<RawValue>,
    session_id: Option<RawValue>,
    session_status: Option<RawValue>,
    messages: Option<RawValue>,
    html: Option<RawValue>,
    replace: Option<RawValue>,
    selector: Option<RawValue>,
}

impl Fields {
    fn put(&mut self, key: &RawValue, value: RawValue) {
        let mut reader = Reader::new(key.as_bytes());
        let Ok(Head::Str(len)) = reader.head() else {
            return;
        };
        let field = match reader.take(len).ok().and_then(|name| str::from_utf8(name).ok()) {
            Some(MSG_TYPE) => &mut self.msg_type,
            Some(ID) => &mut self.id,
            Some(PAYLOAD) => &mut self.payload,
            Some(OBS) => &mut self.obs,
            Some(SESSION_ID) => &mut self.session_id,
            Some(SESSION_STATUS) => &mut self.session_status,
            Some(MESSAGES) => &mut self.messages,
            Some(HTML) => &mut self.html,
            Some(REPLACE) => &mut self.replace,
            Some(DOM_NODE_SELECTOR) => &mut self.selector,
            _ => return,
        };
        *field = Some(value);
    }
}
