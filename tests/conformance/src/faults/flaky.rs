//! A transport that can be broken.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bonito_core::{Frame, Transport, TransportError, TransportErrorKind};
use futures_util::{Sink, Stream};

use super::Faults;
use super::delay::Delay;
use super::state::{Latency, Leave, Shared, Way};

/// What a read gives.
type Item = Option<Result<Frame, TransportError>>;

/// A [`Transport`] that breaks when its [`Faults`] say so. As long as they say nothing, it is the transport that it was made of.
///
/// It is a transport itself, so it goes wherever one goes: into [`run_connection_loop`](bonito_core::run_connection_loop) or
/// into [`Accepted::run`](bonito_core::Accepted::run).
pub struct Flaky<T> {
    /// Gone when the connection has been cut.
    transport: Option<Pin<Box<T>>>,
    line: Line,
    incoming: Delay<Item>,
    outgoing: Delay<Frame>,
    /// What ends the stream has been read, or has been told.
    ended: bool,
}

/// The place among the connections of the faults, until it is left.
struct Line {
    shared: Arc<Shared>,
    id: u64,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.shared.exit(self.id);
    }
}

impl<T> Flaky<T> {
    /// A transport that the faults can break from now on.
    pub fn new(transport: T, faults: &Faults) -> Self {
        let shared = faults.0.clone();
        let (id, [reading, writing]) = shared.enter();
        Self {
            transport: Some(Box::pin(transport)),
            line: Line { shared, id },
            incoming: Delay::new(reading),
            outgoing: Delay::new(writing),
            ended: false,
        }
    }

    fn leave(&mut self, way: Way, cx: &Context<'_>) -> Leave {
        let leave = self.line.shared.watch(self.line.id, way, cx.waker());
        match leave {
            Leave::Cut => self.lose(),
            Leave::HalfOpen => {
                self.incoming.clear();
                self.outgoing.clear();
            }
            Leave::Pass(_) | Leave::Stalled => {}
        }
        leave
    }

    /// The connection is gone, and what was under way with it.
    fn lose(&mut self) {
        self.transport = None;
        self.incoming.clear();
        self.outgoing.clear();
    }
}

impl<T: Transport> Flaky<T> {
    /// Puts on the way what has come.
    fn take_in(&mut self, cx: &mut Context<'_>, latency: Latency) {
        let Some(transport) = &mut self.transport else { return };
        while !self.ended && self.incoming.has_room(latency) {
            let Poll::Ready(item) = transport.as_mut().poll_next(cx) else { return };
            self.ended = !matches!(item, Some(Ok(_)));
            let bytes = match &item {
                Some(Ok(frame)) => len(frame),
                _ => 0,
            };
            self.incoming.push(item, bytes, latency);
        }
    }

    /// Writes what has been on the way for long enough.
    fn poll_let_out(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        while ready!(self.outgoing.poll_due(cx)).is_some() {
            let Some(transport) = &mut self.transport else { return Poll::Ready(Err(cut())) };
            ready!(transport.as_mut().poll_ready(cx))?;
            let Some(frame) = self.outgoing.pop() else { break };
            if !self.line.shared.carry(self.line.id, len(&frame)) {
                self.lose();
                return Poll::Ready(Err(cut()));
            }
            transport.as_mut().start_send(frame)?;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_out(
        &mut self,
        cx: &mut Context<'_>,
        then: impl FnOnce(Pin<&mut T>, &mut Context<'_>) -> Poll<Result<(), TransportError>>,
    ) -> Poll<Result<(), TransportError>> {
        match self.leave(Way::Writing, cx) {
            Leave::Cut => return Poll::Ready(Err(cut())),
            Leave::HalfOpen => return Poll::Ready(Ok(())),
            Leave::Stalled => return Poll::Pending,
            Leave::Pass(_) => ready!(self.poll_let_out(cx))?,
        }
        match &mut self.transport {
            Some(transport) => then(transport.as_mut(), cx),
            None => Poll::Ready(Err(cut())),
        }
    }
}

impl<T: Transport> Stream for Flaky<T> {
    type Item = Result<Frame, TransportError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        match this.leave(Way::Reading, cx) {
            Leave::Cut if std::mem::replace(&mut this.ended, true) => return Poll::Ready(None),
            Leave::Cut => return Poll::Ready(Some(Err(cut()))),
            Leave::HalfOpen | Leave::Stalled => return Poll::Pending,
            Leave::Pass(latency) => this.take_in(cx, latency),
        }
        if ready!(this.incoming.poll_due(cx)).is_none() {
            // Nothing is under way: either it has been asked for, or all is over.
            return if this.ended { Poll::Ready(None) } else { Poll::Pending };
        }
        let Some(item) = this.incoming.pop() else { return Poll::Pending };
        if let Some(Ok(frame)) = &item
            && !this.line.shared.carry(this.line.id, len(frame))
        {
            this.lose();
            this.ended = true;
            return Poll::Ready(Some(Err(cut())));
        }
        Poll::Ready(item)
    }
}

impl<T: Transport> Sink<Frame> for Flaky<T> {
    type Error = TransportError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        let this = self.get_mut();
        match this.leave(Way::Writing, cx) {
            Leave::Cut => Poll::Ready(Err(cut())),
            Leave::HalfOpen => Poll::Ready(Ok(())),
            Leave::Stalled => Poll::Pending,
            Leave::Pass(latency) => match this.poll_let_out(cx) {
                Poll::Pending if this.outgoing.has_room(latency) => Poll::Ready(Ok(())),
                poll => poll,
            },
        }
    }

    fn start_send(self: Pin<&mut Self>, frame: Frame) -> Result<(), Self::Error> {
        let this = self.get_mut();
        match this.line.shared.leave(this.line.id, Way::Writing) {
            Leave::Cut => return Err(cut()),
            Leave::HalfOpen => {}
            leave @ (Leave::Pass(_) | Leave::Stalled) => {
                let (bytes, latency) = (len(&frame), leave.latency());
                this.outgoing.push(frame, bytes, latency);
            }
        }
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.get_mut().poll_out(cx, |transport, cx| transport.poll_flush(cx))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.get_mut().poll_out(cx, |transport, cx| transport.poll_close(cx))
    }
}

impl<T> fmt::Debug for Flaky<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flaky").field("id", &self.line.id).finish_non_exhaustive()
    }
}

/// Bytes of payload.
fn len(frame: &Frame) -> usize {
    match frame {
        Frame::Text(text) => text.len(),
        Frame::Binary(bytes) | Frame::Ping(bytes) | Frame::Pong(bytes) => bytes.len(),
        Frame::Close(frame) => frame.as_ref().map_or(0, |frame| 2 + frame.reason.len()),
    }
}

fn cut() -> TransportError {
    TransportError::new(TransportErrorKind::Io, "the connection was cut on purpose")
}
