//! A link between two processes: many streams over one connection, each with its own flow control, so that a browser that
//! does not read holds up nobody else.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bonito_core::{Frame, Transport, TransportError, TransportErrorKind, join};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt, sink, stream};
use http::header::RETRY_AFTER;
use http::{HeaderValue, Response, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::codec::{FramedRead, FramedWrite, LengthDelimitedCodec};

use crate::message::{Answer, Body, Head, Message, Piece};

/// The longest message on a link. What one session sends at a time has to fit.
const LONGEST: usize = 64 << 20;
/// Frames of one stream and direction that may be under way.
const WINDOW: usize = 16;
/// Streams of one link.
const STREAMS: usize = 10_000;
/// Bytes that may wait for a link to take them. A frame waits for room; a request or an answer that finds none is refused.
const WAITING: u32 = 64 << 20;

/// One side of a link. A clone is another handle to the same.
#[derive(Clone)]
pub struct Link(Arc<Inner>);

struct Inner {
    outbox: mpsc::UnboundedSender<Outgoing>,
    /// Room for bytes in it. What ends streams and gives places back needs none: it is small, and windows bound it.
    room: Arc<Semaphore>,
    /// `None` once the link is lost.
    streams: Mutex<Option<HashMap<u32, End>>>,
    last: AtomicU32,
}

/// An encoded message, and the room that it takes until it is written.
struct Outgoing {
    bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

/// Where what comes for a stream goes.
struct End {
    inbox: mpsc::Sender<Body>,
    room: Arc<Semaphore>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Link")
    }
}

/// The link is lost, or has all the streams that it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "part of an app")]
pub struct Lost;

impl Link {
    /// Runs a link over this connection. The future ends when the link is lost, and with it all its streams; dropping it
    /// loses the link. `accept` gets what the other side asks for.
    pub fn over<S, F>(connection: S, accept: F) -> (Self, impl Future<Output = ()> + use<S, F>)
    where
        S: AsyncRead + AsyncWrite,
        F: Fn(Asked),
    {
        let (outbox, messages) = mpsc::unbounded_channel();
        let link = Self(Arc::new(Inner {
            outbox,
            room: Arc::new(Semaphore::new(WAITING as usize)),
            streams: Mutex::new(Some(HashMap::new())),
            last: AtomicU32::new(0),
        }));
        let guard = OnDrop(link.clone());
        let running = async move {
            let (reader, writer) = tokio::io::split(connection);
            let codec = LengthDelimitedCodec::builder().max_frame_length(LONGEST).new_codec();
            let reader = FramedRead::new(reader, codec.clone());
            let writer = FramedWrite::new(writer, codec);
            tokio::select! {
                () = write(writer, messages) => {}
                () = guard.0.read(reader, accept) => {}
            }
        };
        (link, running)
    }

    /// Asks the other side, and gives the stream for what follows the answer.
    pub(crate) async fn request(&self, head: Head) -> Result<(Answer, Frames), Lost> {
        let stream = self.0.last.fetch_add(1, Ordering::Relaxed);
        let mut frames = self.begin(stream).ok_or(Lost)?;
        self.try_send(stream, Body::Request(head)).map_err(|_| Lost)?;
        match frames.inbox.recv().await {
            Some(Body::Answer(answer)) => Ok((answer, frames)),
            _ => Err(Lost),
        }
    }

    fn streams(&self) -> MutexGuard<'_, Option<HashMap<u32, End>>> {
        self.0.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends what is small.
    fn send(&self, stream: u32, body: Body) {
        if let Ok(bytes) = encode(stream, body) {
            self.push(bytes, None);
        }
    }

    /// Sends if there is room now.
    fn try_send(&self, stream: u32, body: Body) -> Result<(), Refused> {
        let bytes = encode(stream, body)?;
        let room = self.0.room.clone().try_acquire_many_owned(bytes.len() as u32);
        self.push(bytes, Some(room.map_err(|_| Refused::Full)?));
        Ok(())
    }

    /// Sends when there is room.
    async fn send_frame(&self, stream: u32, piece: Piece) -> Result<(), TransportErrorKind> {
        let bytes = encode(stream, Body::Frame(piece)).map_err(|_| TransportErrorKind::TooLarge)?;
        let room = self.0.room.clone().acquire_many_owned(bytes.len() as u32).await;
        self.push(bytes, Some(room.map_err(|_| TransportErrorKind::Io)?));
        Ok(())
    }

    fn push(&self, bytes: Bytes, room: Option<OwnedSemaphorePermit>) {
        // Without a receiver the link is lost, and its streams end.
        let _ = self.0.outbox.send(Outgoing { bytes, _room: room });
    }

    /// A new stream, unless its number is taken.
    fn begin(&self, stream: u32) -> Option<Frames> {
        let mut streams = self.streams();
        let streams = streams.as_mut().filter(|streams| streams.len() < STREAMS)?;
        if streams.contains_key(&stream) {
            return None;
        }
        // One place more, for the answer.
        let (inbox, received) = mpsc::channel(WINDOW + 1);
        let room = Arc::new(Semaphore::new(WINDOW));
        streams.insert(stream, End { inbox, room: room.clone() });
        Some(Frames { ending: Ending { link: self.clone(), stream }, inbox: received, room })
    }

    async fn read<R: AsyncRead + Unpin>(
        &self,
        mut reader: FramedRead<R, LengthDelimitedCodec>,
        accept: impl Fn(Asked),
    ) {
        while let Some(Ok(bytes)) = reader.next().await {
            let Ok(message) = rmp_serde::from_slice::<Message>(&bytes) else { return };
            if !self.handle(message, &accept) {
                return;
            }
        }
    }

    /// Answers whether the other side keeps to the rules.
    fn handle(&self, Message { stream, body }: Message, accept: &impl Fn(Asked)) -> bool {
        if let Body::Request(head) = body {
            let frames = self.begin(stream);
            let fits = frames.is_some();
            if let Some(frames) = frames {
                accept(Asked { head, frames });
            }
            return fits;
        }
        let mut streams = self.streams();
        let Some(streams) = streams.as_mut() else { return false };
        // What was under way when a stream ended comes for nobody.
        let Some(end) = streams.get(&stream) else { return true };
        match body {
            Body::Taken => {
                end.room.add_permits(1);
                end.room.available_permits() <= WINDOW
            }
            Body::End => {
                streams.remove(&stream);
                true
            }
            // Full is more than the window allows; closed is a stream about to end.
            body => !matches!(end.inbox.try_send(body), Err(mpsc::error::TrySendError::Full(_))),
        }
    }
}

/// Why a message was not sent.
enum Refused {
    TooLong,
    Full,
}

fn encode(stream: u32, body: Body) -> Result<Bytes, Refused> {
    let bytes = rmp_serde::to_vec(&Message { stream, body }).map_err(|_| Refused::TooLong)?;
    if bytes.len() > LONGEST { Err(Refused::TooLong) } else { Ok(bytes.into()) }
}

async fn write<W: AsyncWrite + Unpin>(
    mut writer: FramedWrite<W, LengthDelimitedCodec>,
    mut messages: mpsc::UnboundedReceiver<Outgoing>,
) {
    while let Some(Outgoing { bytes, _room }) = messages.recv().await {
        // What waits goes out together.
        let last = messages.is_empty();
        let written = if last { writer.send(bytes).await } else { writer.feed(bytes).await };
        if written.is_err() {
            return;
        }
    }
}

/// Ends all streams with their link.
struct OnDrop(Link);

impl Drop for OnDrop {
    fn drop(&mut self) {
        let streams = self.0.streams().take();
        drop(streams);
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.room.close();
    }
}

/// A request of the other side.
#[derive(Debug)]
pub struct Asked {
    pub(crate) head: Head,
    pub(crate) frames: Frames,
}

/// A stream of frames, both ways.
#[derive(Debug)]
pub(crate) struct Frames {
    ending: Ending,
    inbox: mpsc::Receiver<Body>,
    room: Arc<Semaphore>,
}

impl Frames {
    /// Answers; with 503 instead if there is no room, and with 502 if no link takes so much.
    pub(crate) fn answer(&self, answer: Answer) {
        let Ending { link, stream } = &self.ending;
        if answer.upgrade {
            return link.send(*stream, Body::Answer(answer));
        }
        let status = match link.try_send(*stream, Body::Answer(answer)) {
            Ok(()) => return,
            Err(Refused::TooLong) => StatusCode::BAD_GATEWAY,
            Err(Refused::Full) => StatusCode::SERVICE_UNAVAILABLE,
        };
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = status;
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        link.send(*stream, Body::Answer(Answer::respond(response)));
    }

    // [transport]
    /// As a socket. A frame is taken when whoever serves the socket has asked for it.
    pub(crate) fn transport(self) -> impl Transport + Send {
        let Self { ending, inbox, room } = self;
        let (link, stream) = (ending.link.clone(), ending.stream);
        let received = stream::unfold((inbox, ending), |(mut inbox, ending)| async {
            let Body::Frame(piece) = inbox.recv().await? else { return None };
            ending.link.send(ending.stream, Body::Taken);
            let frame: Result<Frame, TransportErrorKind> = piece.into();
            Some((frame.map_err(TransportError::from), (inbox, ending)))
        });
        let sent = sink::unfold((link, room), move |(link, room), frame: Frame| async move {
            // The place comes back when the frame has been taken.
            room.acquire().await.map_err(|_| TransportError::from(TransportErrorKind::Io))?.forget();
            link.send_frame(stream, frame.into()).await?;
            Ok((link, room))
        });
        join(Box::pin(received), Box::pin(sent))
    }
    // [/transport]

    /// Relays a browser's socket until the other side ends the stream. It decides, so it is told why the socket ended and not
    /// just left. A browser that takes nothing for as long as `patience` is gone.
    pub(crate) async fn relay(self, socket: impl Transport, patience: Duration) {
        let Self { ending, mut inbox, room } = self;
        let (mut to_browser, mut from_browser) = socket.split();
        let inward = async {
            loop {
                let piece = match from_browser.next().await {
                    Some(Ok(frame)) => Piece::from(frame),
                    Some(Err(error)) => error.kind().into(),
                    None => TransportErrorKind::Io.into(),
                };
                let (last, mut sent) = (matches!(piece, Piece::Failed(_)), true);
                if let Ok(place) = room.acquire().await {
                    place.forget();
                    sent = ending.link.send_frame(ending.stream, piece).await.is_ok();
                }
                if last || !sent {
                    return std::future::pending().await;
                }
            }
        };
        let outward = async {
            while let Some(Body::Frame(piece)) = inbox.recv().await {
                let frame: Result<Frame, TransportErrorKind> = piece.into();
                let Ok(frame) = frame else { break };
                if !matches!(timeout(patience, to_browser.send(frame)).await, Ok(Ok(()))) {
                    return;
                }
                ending.link.send(ending.stream, Body::Taken);
            }
            let _ = timeout(patience, to_browser.close()).await;
        };
        tokio::select! {
            () = inward => {}
            () = outward => {}
        }
    }
}

/// Tells the other side.
#[derive(Debug)]
struct Ending {
    link: Link,
    stream: u32,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let removed = self.link.streams().as_mut().and_then(|streams| streams.remove(&self.stream));
        if removed.is_some() {
            self.link.send(self.stream, Body::End);
        }
    }
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;
