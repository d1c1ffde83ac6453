use bytes::Bytes;
use serde::Serialize;

use super::{
    DOM_NODE_SELECTOR, HTML, ID, MESSAGES, MSG_TYPE, OBS, PAYLOAD, REPLACE, SESSION_ID, SESSION_STATUS,
};
use crate::proto::{
    EncodeError,
    message::{Body, CacheEntry, Envelope, Packet, ServerMessage, SessionStatus, tag},
    value::{RawValue, USUAL_BYTES, encode_to, write_observable, write_text_ext},
    wire::{Writer, ext},
};

/// Writes a message without an envelope.
///
/// # Errors
///
/// When a value of its code is called `"__proto__"`, or when it is longer than 4 GiB.
pub fn encode_message(message: &ServerMessage) -> Result<Bytes, EncodeError> {
    let mut out = Writer::with_capacity(message_guess(message));
    write_message(&mut out, message)?;
    out.finish()
}

/// Writes a packet.
///
/// # Errors
///
/// Those of [`encode_message`].
pub fn encode_packet(packet: &Packet) -> Result<Bytes, EncodeError> {
    let mut out = Writer::with_capacity(packet_guess(packet));
    write_packet(&mut out, packet)?;
    out.finish()
}

/// Puts one encoded message into an envelope.
///
/// # Errors
///
/// When the whole is longer than 4 GiB.
pub fn encode_envelope(
    session: &str,
    status: SessionStatus,
    cache: &[CacheEntry],
    message: &[u8],
) -> Result<Bytes, EncodeError> {
    let guess = message.len() + envelope_guess(session, cache);
    let mut out = Writer::with_capacity(guess + 12);
    write_envelope(&mut out, session, status, cache, message.len(), |out| {
        out.raw(message);
        Ok(())
    })?;
    out.finish()
}

/// Puts encoded packets into the bundle that a session starts with (`docs/src/protocol.md` §1, §7).
///
/// # Errors
///
/// When the whole is longer than 4 GiB.
pub fn encode_bundle(
    session: &str,
    status: SessionStatus,
    cache: &[CacheEntry],
    items: &[Bytes],
) -> Result<Bytes, EncodeError> {
    let len = items.iter().map(Bytes::len).sum::<usize>() + 5;
    let mut out = Writer::with_capacity(len + envelope_guess(session, cache) + 12);
    write_envelope(&mut out, session, status, cache, len, |out| {
        out.array(items.len());
        for item in items {
            out.raw(item);
        }
        Ok(())
    })?;
    out.finish()
}

/// Writes the message that puts a sub-session into the place of a node of the page (`docs/src/protocol.md` §9.1), from
/// encoded packets that run behind it.
///
/// # Errors
///
/// When the whole is longer than 4 GiB.
pub(crate) fn encode_update_session(
    session: &str,
    items: &[Bytes],
    html: &RawValue,
    selector: &str,
) -> Result<Bytes, EncodeError> {
    let len = items.iter().map(Bytes::len).sum::<usize>();
    let mut out = Writer::with_capacity(len + html.as_bytes().len() + session.len() + selector.len() + 100);
    out.map(6);
    write_tag(&mut out, tag::UPDATE_SESSION);
    out.str(SESSION_ID);
    out.str(session);
    out.str(MESSAGES);
    out.array(items.len());
    for item in items {
        out.raw(item);
    }
    out.str(HTML);
    out.raw(html.as_bytes());
    out.str(REPLACE);
    out.bool(true);
    out.str(DOM_NODE_SELECTOR);
    out.str(selector);
    out.finish()
}

/// The part of an observable's updates that never changes, so that an update costs two copies.
#[derive(Clone, Debug)]
pub struct UpdatePrefix(Bytes);

impl UpdatePrefix {
    /// Writes what comes before the value.
    pub fn new(observable_id: &str) -> Self {
        let mut out = Writer::with_capacity(observable_id.len() + 32);
        write_update_prefix(&mut out, observable_id);
        Self(Bytes::from(out.into_vec()))
    }

    /// An update to `payload`, as a frame without an envelope.
    pub fn frame(&self, payload: &RawValue) -> Bytes {
        let mut frame = Vec::with_capacity(self.0.len() + payload.as_bytes().len());
        self.append(payload, &mut frame);
        Bytes::from(frame)
    }

    /// An update to a value that is written here, in one pass.
    ///
    /// # Errors
    ///
    /// Those of [`RawValue::encode`].
    pub fn encode<T: Serialize + ?Sized>(&self, value: &T) -> Result<Bytes, EncodeError> {
        let mut frame = Vec::with_capacity(self.0.len() + USUAL_BYTES);
        frame.extend_from_slice(&self.0);
        encode_to(value, &mut frame)?;
        // A frame may wait for long, so what is not used of a large one goes back.
        if frame.capacity() - frame.len() > USUAL_BYTES {
            frame.shrink_to_fit();
        }
        Ok(Bytes::from(frame))
    }

    /// Appends what [`frame`](Self::frame) returns to a buffer.
    pub fn append(&self, payload: &RawValue, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
        out.extend_from_slice(payload.as_bytes());
    }
}

fn write_update_prefix(out: &mut Writer, id: &str) {
    out.map(3);
    write_tag(out, tag::UPDATE_OBSERVABLE);
    out.str(ID);
    out.str(id);
    out.str(PAYLOAD);
}

fn write_tag(out: &mut Writer, tag: &str) {
    out.str(MSG_TYPE);
    out.str(tag);
}

fn write_packet(out: &mut Writer, packet: &Packet) -> Result<(), EncodeError> {
    match packet {
        Packet::Bare(message) => write_message(out, message),
        Packet::Enveloped(Envelope { session, status, cache, body }) => {
            write_envelope(out, session, *status, cache, body_guess(body), |out| match body {
                Body::Message(message) => write_message(out, message),
                Body::Bundle(packets) => write_packets(out, packets),
            })
        }
    }
}

fn write_packets(out: &mut Writer, packets: &[Packet]) -> Result<(), EncodeError> {
    out.array(packets.len());
    packets.iter().try_for_each(|packet| write_packet(out, packet))
}

fn write_message(out: &mut Writer, message: &ServerMessage) -> Result<(), EncodeError> {
    match message {
        ServerMessage::UpdateObservable { id, payload } => {
            write_update_prefix(out, id);
            out.raw(payload.as_bytes());
        }
        ServerMessage::OnjsCallback { observable, code } => {
            out.map(3);
            write_tag(out, tag::ONJS_CALLBACK);
            out.str(OBS);
            out.raw(observable.as_bytes());
            out.str(PAYLOAD);
            code.write(out)?;
        }
        ServerMessage::EvalJavascript { code } => {
            out.map(2);
            write_tag(out, tag::EVAL_JAVASCRIPT);
            out.str(PAYLOAD);
            code.write(out)?;
        }
        ServerMessage::Fused(packets) => {
            out.map(2);
            write_tag(out, tag::FUSED);
            out.str(PAYLOAD);
            write_packets(out, packets)?;
        }
        ServerMessage::PingPong => {
            out.map(1);
            write_tag(out, tag::PING_PONG);
        }
        ServerMessage::UpdateSession {
            session_id,
            session_status,
            messages,
            html,
            replace,
            dom_node_selector,
        } => {
            out.map(6 + usize::from(session_status.is_some()));
            write_tag(out, tag::UPDATE_SESSION);
            out.str(SESSION_ID);
            out.str(session_id);
            if let Some(status) = session_status {
                out.str(SESSION_STATUS);
                out.str(status.as_str());
            }
            out.str(MESSAGES);
            write_packets(out, messages)?;
            out.str(HTML);
            out.raw(html.as_bytes());
            out.str(REPLACE);
            out.bool(*replace);
            out.str(DOM_NODE_SELECTOR);
            out.str(dom_node_selector);
        }
    }
    Ok(())
}

/// Writes `[session, status, cache, data]`; the guess of the data's length saves a move.
fn write_envelope(
    out: &mut Writer,
    session: &str,
    status: SessionStatus,
    cache: &[CacheEntry],
    data_guess: usize,
    data: impl FnOnce(&mut Writer) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let envelope = out.open_ext(data_guess + envelope_guess(session, cache));
    out.array(4);
    out.str(session);
    out.str(status.as_str());

    let list_guess = cache_guess(cache);
    let wrapper = out.open_ext(list_guess + session.len() + 12);
    let session_cache = out.open_ext(list_guess + session.len() + 9);
    out.array(3);
    out.str(session);
    out.str(status.as_str());
    let list = out.open_ext(list_guess);
    out.array(cache.len());
    for entry in cache {
        match entry {
            CacheEntry::Observable { id, value } => write_observable(out, id, value),
            CacheEntry::Track(key) => write_text_ext(out, ext::TRACK, key),
        }
    }
    out.close_ext(&list, ext::BYTES);
    out.close_ext(&session_cache, ext::SESSION_CACHE);
    out.close_ext(&wrapper, ext::BYTES);

    let wrapper = out.open_ext(data_guess);
    data(out)?;
    out.close_ext(&wrapper, ext::BYTES);
    out.close_ext(&envelope, ext::ENVELOPE);
    Ok(())
}

fn envelope_guess(session: &str, cache: &[CacheEntry]) -> usize {
    2 * session.len() + cache_guess(cache) + 28
}

fn cache_guess(cache: &[CacheEntry]) -> usize {
    let entry = |entry: &CacheEntry| match entry {
        CacheEntry::Observable { id, value } => id.len() + value.as_bytes().len() + 6,
        CacheEntry::Track(key) => key.len() + 4,
    };
    cache.iter().map(entry).sum::<usize>() + 1
}

fn packet_guess(packet: &Packet) -> usize {
    match packet {
        Packet::Bare(message) => message_guess(message),
        Packet::Enveloped(envelope) => {
            body_guess(&envelope.body) + envelope_guess(&envelope.session, &envelope.cache)
        }
    }
}

fn body_guess(body: &Body) -> usize {
    match body {
        Body::Message(message) => message_guess(message),
        Body::Bundle(packets) => packets.iter().map(packet_guess).sum::<usize>() + 3,
    }
}

fn message_guess(message: &ServerMessage) -> usize {
    match message {
        ServerMessage::UpdateObservable { id, payload } => id.len() + payload.as_bytes().len() + 25,
        ServerMessage::OnjsCallback { observable, code } => {
            observable.as_bytes().len() + code.size_guess() + 24
        }
        ServerMessage::EvalJavascript { code } => code.size_guess() + 20,
        ServerMessage::Fused(packets) => packets.iter().map(packet_guess).sum::<usize>() + 24,
        ServerMessage::PingPong => 13,
        ServerMessage::UpdateSession { session_id, messages, html, dom_node_selector, .. } => {
            session_id.len()
                + messages.iter().map(packet_guess).sum::<usize>()
                + html.as_bytes().len()
                + dom_node_selector.len()
                + 100
        }
    }
}
