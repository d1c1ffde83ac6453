//! What headers of frames tell as their bytes go by: a message that is too long or in too many fragments is refused before it
//! has come.

use std::error::Error;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bonito_core::Limits;
use bytes::Bytes;
use futures_util::{Stream, stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Two bytes, and eight more for the length of a long payload.
const LONGEST_HEADER: usize = 10;
const MASK: u64 = 4;
/// The longest payload of a control frame, RFC 6455, section 5.5.
const LONGEST_CONTROL: u64 = 125;

/// Follows the frames of one peer. It knows no more of a frame than its place and its kind: whether it is a good one is for
/// the WebSocket library to say, which sees all that is let through.
#[derive(Debug)]
struct Guard {
    most_bytes: u64,
    most_fragments: usize,
    /// The message that is under way.
    bytes: u64,
    fragments: usize,
    header: [u8; LONGEST_HEADER],
    /// How much of the header has come.
    known: usize,
    /// How much of the frame is still to come after its header.
    rest: u64,
}

impl Guard {
    fn new(limits: &Limits) -> Self {
        Self {
            most_bytes: u64::try_from(limits.message_bytes).unwrap_or(u64::MAX),
            most_fragments: limits.message_fragments.max(1),
            bytes: 0,
            fragments: 0,
            header: [0; LONGEST_HEADER],
            known: 0,
            rest: 0,
        }
    }

    /// Follows what comes next. An error says how many of the bytes stand before the frame that is refused.
    fn follow(&mut self, bytes: &[u8]) -> Result<(), usize> {
        let (mut at, mut begin) = (0, 0);
        while let Some(left) = bytes.get(at..).filter(|left| !left.is_empty()) {
            if self.rest > 0 {
                let skipped = usize::try_from(self.rest).map_or(left.len(), |rest| rest.min(left.len()));
                self.rest -= skipped as u64;
                at += skipped;
                continue;
            }
            if self.known == 0 {
                begin = at;
            }
            self.header[self.known] = left[0];
            self.known += 1;
            at += 1;
            let Some(length) = self.length() else { continue };
            self.known = 0;
            if !self.admits(length) {
                return Err(begin);
            }
            let is_masked = self.header[1] & 0x80 != 0;
            self.rest = length.saturating_add(if is_masked { MASK } else { 0 });
        }
        Ok(())
    }

    /// Whether what has come ends with the end of a message, or is nothing but control frames.
    fn is_between_messages(&self) -> bool {
        self.known == 0 && self.rest == 0 && self.fragments == 0
    }

    /// The payload's, as soon as enough of the header is known.
    fn length(&self) -> Option<u64> {
        let header = &self.header;
        match (self.known, header[1] & 0x7f) {
            (0 | 1, _) => None,
            (4, 126) => Some(u64::from(u16::from_be_bytes([header[2], header[3]]))),
            (10, 127) => Some(header[2..].iter().fold(0, |length, byte| length << 8 | u64::from(*byte))),
            (_, 126 | 127) => None,
            (_, length) => Some(u64::from(length)),
        }
    }

    fn admits(&mut self, length: u64) -> bool {
        let (is_last, opcode) = (self.header[0] & 0x80 != 0, self.header[0] & 0x0f);
        if opcode >= 8 {
            // Control frames may stand between the fragments of a message. That they are short is for the library to say, but
            // none may make it gather more than a message.
            return length <= self.most_bytes.max(LONGEST_CONTROL);
        }
        if opcode != 0 {
            (self.bytes, self.fragments) = (0, 0);
        }
        self.bytes = self.bytes.saturating_add(length);
        self.fragments = self.fragments.saturating_add(1);
        let admitted = self.bytes <= self.most_bytes && self.fragments <= self.most_fragments;
        if is_last {
            (self.bytes, self.fragments) = (0, 0);
        }
        admitted
    }
}

/// A message was refused by the header of one of its frames: it is longer than [`Limits::message_bytes`], or in more fragments
/// than [`Limits::message_fragments`]. Comes as the inner error of an [`io::Error`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct TooLarge;

impl TooLarge {
    /// Whether it is what an error comes from.
    pub fn is_behind(error: &(dyn Error + 'static)) -> bool {
        let mut next = Some(error);
        while let Some(error) = next {
            if error.is::<Self>() {
                return true;
            }
            // An `io::Error` names as its source what is behind the error in it.
            next = match error.downcast_ref::<io::Error>() {
                Some(error) => error.get_ref().map(|inner| inner as &(dyn Error + 'static)),
                None => error.source(),
            };
        }
        false
    }
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message is longer than the limit, or in more fragments")
    }
}

impl Error for TooLarge {}

fn refusal() -> io::Error {
    io::Error::other(TooLarge)
}

/// Passes the bytes of a peer's frames on, up to the first that `limits` refuse by its header: there the stream fails with
/// [`TooLarge`]. For a WebSocket of a framework that gathers a frame before it looks at its size, or does not count fragments.
pub fn guard<S, E>(bytes: S, limits: &Limits) -> impl Stream<Item = Result<Bytes, E>> + Unpin + use<S, E>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: From<io::Error>,
{
    let (mut bytes, mut guard, mut refused, mut pause) = (bytes, Guard::new(limits), false, false);
    stream::poll_fn(move |cx| {
        if std::mem::take(&mut pause) {
            // A reader that takes all there is before it looks at it would find the error first.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if refused {
            return Poll::Ready(Some(Err(refusal().into())));
        }
        let mut chunk = match ready!(Pin::new(&mut bytes).poll_next(cx)) {
            Some(Ok(chunk)) => chunk,
            other => return Poll::Ready(other),
        };
        if let Err(admitted) = guard.follow(&chunk) {
            (refused, pause) = (true, admitted > 0);
            if !pause {
                return Poll::Ready(Some(Err(refusal().into())));
            }
            chunk.truncate(admitted);
        }
        Poll::Ready(Some(Ok(chunk)))
    })
}

/// A connection that fails with [`TooLarge`] where a frame is refused.
#[derive(Debug)]
pub(crate) struct Guarded<S> {
    pub(crate) connection: S,
    guard: Guard,
    refused: bool,
}

impl<S> Guarded<S> {
    pub(crate) fn new(connection: S, limits: &Limits) -> Self {
        Self { connection, guard: Guard::new(limits), refused: false }
    }

    /// Nothing of a message is under way: whoever has taken all that came holds no part of one.
    pub(crate) fn is_between_messages(&self) -> bool {
        !self.refused && self.guard.is_between_messages()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.refused {
            return Poll::Ready(Err(refusal()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.connection).poll_read(cx, buf))?;
        if let Err(admitted) = this.guard.follow(&buf.filled()[before..]) {
            this.refused = true;
            buf.set_filled(before + admitted);
            if admitted == 0 {
                return Poll::Ready(Err(refusal()));
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
