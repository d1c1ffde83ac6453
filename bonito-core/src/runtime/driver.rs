//! One future per socket: reads, writes, pings, and ends in order.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};

mod stream;

use super::clock;
use crate::connection::{Lanes, WebSocketHandler};
use crate::frame::{CloseCode, CloseFrame, Frame, Lane};
use crate::host::Drain;
use crate::proto::heartbeat::{Beat, Heartbeat};
use crate::proto::later;
use crate::proto::resume::{Refusal, is_control};
use crate::proto::session::{CloseReason, Epoch};
use crate::session::{Attach, Pull, Session, SessionError};
use crate::transport::{Transport, TransportError, TransportErrorKind};
use stream::Stream;
pub use stream::run_resumable_connection_loop;
pub(crate) use stream::run_resumable_connection_loop_as;

/// Frames that are read before the loop looks at what there is to write.
const READS: usize = 64;
/// Turns of the loop before other tasks get theirs.
const TURNS: usize = 8;

/// Why a socket's loop ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum Disconnect {
    /// The peer closed the socket, with this frame.
    Closed(Option<CloseFrame>),
    /// The socket failed or ended without a close frame.
    Lost(Option<TransportError>),
    /// The peer was silent for too long.
    TimedOut,
    /// The peer broke the protocol or a limit, and was told so with this code.
    Refused(CloseCode),
    /// The peer may not have the session, and was told so.
    Rejected(Refusal),
    /// Another socket serves the session now.
    Superseded,
    /// The session is over.
    SessionClosed(CloseReason),
    /// The application closed the [`WebSocketHandler`], or its behaviour the connection.
    HandlerClosed,
    /// The process that holds the session has ended the socket, or is gone; see
    /// [`EndpointBuilder::cluster`](crate::EndpointBuilder::cluster).
    Relayed,
    /// The endpoint [drains](crate::Endpoint::drain); the peer was told so with 1012, that of a behaviour with 1001.
    Drained,
}

impl Disconnect {
    /// Whether another socket serves the session now, so that closing the session would take it from that one.
    pub fn is_superseded(&self) -> bool {
        matches!(self, Self::Superseded | Self::Rejected(Refusal::Stale))
    }

    /// What the peer is told.
    fn close_frame(&self) -> Option<CloseFrame> {
        match self {
            Self::Closed(frame) => {
                Some(frame.clone().unwrap_or_else(|| CloseFrame::new(CloseCode::NORMAL, "")))
            }
            Self::Lost(_) | Self::Relayed | Self::Drained => None,
            Self::TimedOut => Some(CloseFrame::new(CloseCode::TIMED_OUT, "nothing was heard for too long")),
            Self::Refused(code) => Some(CloseFrame::new(*code, "")),
            Self::Rejected(refusal) => Some(refusal.close_frame()),
            Self::Superseded => {
                Some(CloseFrame::new(CloseCode::SUPERSEDED, "the session has another socket now"))
            }
            Self::SessionClosed(_) => Some(CloseFrame::new(CloseCode::SESSION_CLOSED, "the session is over")),
            Self::HandlerClosed => Some(CloseFrame::new(CloseCode::NORMAL, "")),
        }
    }
}

/// Serves a session over an upgraded WebSocket until one of them ends. [`Accepted::run`](crate::Accepted::run) calls it for
/// the endpoint's own routes; call it yourself in the route of a server that you manage.
///
/// `handler` is the one that the session's connection writes to, and no other session's: a socket of a second session is
/// refused with code 1011. The socket takes the session over: one that served it before is told so and ends.
///
/// When this returns the session is soft-closed, or closed if the policy allows no soft close; unless another socket serves
/// it, see [`Disconnect::is_superseded`]. Calling [`Session::soft_close`] then is harmless.
///
/// # Cancel safety
///
/// Dropping the future drops the socket and soft-closes the session; messages that the socket had not taken are kept.
pub async fn run_connection_loop<T: Transport>(
    session: &Session,
    handler: &WebSocketHandler,
    transport: T,
) -> Disconnect {
    let mut transport = pin!(transport);
    let disconnect = match attach(session, handler).await {
        Ok(epoch) => serve(session, handler, epoch, transport.as_mut(), None).await,
        Err(disconnect) => disconnect,
    };
    let frame = disconnect.close_frame();
    end(session, transport.as_mut(), &disconnect, frame).await;
    disconnect
}

async fn end<T: Transport>(
    session: &Session,
    mut transport: Pin<&mut T>,
    disconnect: &Disconnect,
    frame: Option<CloseFrame>,
) {
    tracing::debug!(session = ?session.id(), ?disconnect, "the socket ends");
    let deadline = Instant::from_std(later(clock::now(), session.host().limits().close_timeout));
    if matches!(disconnect, Disconnect::Drained) {
        let _ = timeout_at(deadline, poll_fn(|cx| transport.as_mut().poll_close(cx))).await;
    } else if let Some(frame) = frame {
        let peer_is_done = matches!(disconnect, Disconnect::Closed(_));
        let _ = timeout_at(deadline, say_goodbye(transport, Some(frame), peer_is_done)).await;
    }
}

/// Takes the session over, when its turn has come.
async fn attach(session: &Session, handler: &WebSocketHandler) -> Result<Epoch, Disconnect> {
    if !session.host().resumption().plain_clients {
        return Err(Disconnect::Rejected(Refusal::Plain));
    }
    claim(session, handler)?;
    if handler.is_large() {
        let ticket = session.0.leg_ticket();
        return poll_fn(|cx| session.0.poll_attach_leg(handler, ticket, cx.waker()).into_poll(session)).await;
    }
    let ticket = session.0.ticket();
    let mut truce = None;
    poll_fn(|cx| {
        loop {
            let until = match session.0.poll_attach(handler, &ticket, cx.waker()) {
                Attach::Wait(Some(until)) => until,
                attach => return attach.into_poll(session),
            };
            let timer = truce.insert(Box::pin(timer(until)));
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await
}

/// A handler is for one session.
fn claim(session: &Session, handler: &WebSocketHandler) -> Result<(), Disconnect> {
    if handler.claim(session.id()) {
        return Ok(());
    }
    // What waits in it is for the page of the other.
    tracing::error!(
        session = ?session.id(),
        "a socket is refused: the handler of this session's connection is another session's; make one for each"
    );
    Err(Disconnect::Refused(CloseCode::INTERNAL))
}

impl Attach {
    fn into_poll(self, session: &Session) -> Poll<Result<Epoch, Disconnect>> {
        match self {
            Self::Done(epoch) => Poll::Ready(Ok(epoch)),
            Self::Superseded => Poll::Ready(Err(Disconnect::Superseded)),
            Self::Plain => Poll::Ready(Err(Disconnect::Rejected(Refusal::Plain))),
            Self::Closed => {
                let reason = session.0.close_reason().unwrap_or(CloseReason::Application);
                Poll::Ready(Err(Disconnect::SessionClosed(reason)))
            }
            Self::Wait(_) => Poll::Pending,
        }
    }
}

async fn serve<T: Transport>(
    session: &Session,
    handler: &WebSocketHandler,
    epoch: Epoch,
    transport: Pin<&mut T>,
    stream: Option<Stream>,
) -> Disconnect {
    let _attached = Attached { session, handler, epoch };
    let mut heartbeat = Heartbeat::new(session.host().limits(), clock::now());
    if handler.is_large() || stream.is_some() {
        // The page says nothing here, or has said it.
        heartbeat.handle_hello();
    }
    let alarm = heartbeat.poll_timeout();
    let mut timer = pin!(timer(alarm));
    let mut driver = Driver {
        session,
        handler,
        epoch,
        transport,
        heartbeat,
        stream,
        heard: false,
        pong: None,
        ping: false,
        flush: false,
        alarm,
        leaving: None,
    };
    poll_fn(|cx| driver.poll(cx, timer.as_mut())).await
}

/// The attachment of a socket, which ends with it in any case.
struct Attached<'a> {
    session: &'a Session,
    handler: &'a WebSocketHandler,
    epoch: Epoch,
}

impl Drop for Attached<'_> {
    fn drop(&mut self) {
        if self.handler.is_large() {
            self.session.0.detach_leg(self.epoch, self.handler);
        } else {
            self.session.0.detach(self.epoch, self.handler);
        }
    }
}

/// Sends the close frame and waits for the peer's.
pub(super) async fn say_goodbye<T: Transport>(
    mut transport: Pin<&mut T>,
    frame: Option<CloseFrame>,
    peer_is_done: bool,
) -> Result<(), TransportError> {
    poll_fn(|cx| transport.as_mut().poll_ready(cx)).await?;
    // Fails where the framework has answered the peer's close frame itself; that answer is flushed all the same.
    let _ = transport.as_mut().start_send(Frame::Close(frame));
    poll_fn(|cx| transport.as_mut().poll_flush(cx)).await?;
    if !peer_is_done {
        while !matches!(transport.next().await, Some(Ok(Frame::Close(_)) | Err(_)) | None) {}
    }
    poll_fn(|cx| transport.as_mut().poll_close(cx)).await
}

struct Driver<'a, T> {
    session: &'a Session,
    handler: &'a WebSocketHandler,
    epoch: Epoch,
    transport: Pin<&'a mut T>,
    heartbeat: Heartbeat,
    /// What is between the messages of a page that resumes.
    stream: Option<Stream>,
    /// Something has come since the heartbeat was told.
    heard: bool,
    pong: Option<Bytes>,
    ping: bool,
    flush: bool,
    /// What the timer is set to.
    alarm: std::time::Instant,
    /// The close frame is out, and until then the peer may answer.
    leaving: Option<std::time::Instant>,
}

impl<T: Transport> Driver<'_, T> {
    fn poll(&mut self, cx: &mut Context<'_>, mut timer: Pin<&mut Sleep>) -> Poll<Disconnect> {
        for _ in 0..TURNS {
            if let Some(end) = self.poll_end(cx) {
                return Poll::Ready(end);
            }
            // What has come counts before silence does: the pause may have been ours.
            let more = match self.read(cx) {
                Ok(more) => more,
                Err(end) => {
                    return Poll::Ready(if self.leaving.is_some() { Disconnect::Drained } else { end });
                }
            };
            let now = clock::now();
            if std::mem::take(&mut self.heard) {
                self.heartbeat.handle_received(now);
            }
            let drain = self.session.host().drain();
            if self.leaving.is_some_and(|until| until <= now)
                || drain.is_some_and(|drain| drain.deadline <= now)
            {
                return Poll::Ready(Disconnect::Drained);
            }
            while let Some(beat) = self.heartbeat.poll(now) {
                match beat {
                    Beat::Ping => self.ping = true,
                    Beat::Dead | Beat::NoHello => return Poll::Ready(Disconnect::TimedOut),
                }
            }
            if let Err(end) = self.write(cx, drain, now) {
                return Poll::Ready(end);
            }
            if more {
                continue;
            }
            // A deadline that moves on leaves the timer alone: one that fires too early is set again then.
            let due = self.poll_timeout(drain);
            if due >= self.alarm && timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.alarm = due;
            timer.as_mut().reset(Instant::from_std(due));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_end(&self, cx: &Context<'_>) -> Option<Disconnect> {
        if self.handler.is_large() {
            self.session.0.poll_leg_end(self.epoch, self.handler, cx.waker())
        } else {
            self.session.0.poll_end(self.epoch, self.handler, cx.waker())
        }
    }

    /// When something is due, whether or not anything happens before.
    fn poll_timeout(&self, drain: Option<Drain>) -> std::time::Instant {
        let mut beat = self.heartbeat.poll_timeout();
        if let Some(ack) = self.stream.as_ref().and_then(Stream::poll_timeout) {
            beat = beat.min(ack);
        }
        let leave = match (self.leaving, drain) {
            (Some(until), _) => Some(until),
            (None, Some(drain)) => {
                let leave = drain.leave(self.session.id());
                // Past that time, the socket waits for room and is woken by it.
                Some(if leave > clock::now() { leave } else { drain.deadline })
            }
            (None, None) => None,
        };
        leave.map_or(beat, |leave| leave.min(beat))
    }

    /// Writes all that is ready, and flushes once. A socket whose time has come in a drain says goodbye behind it.
    fn write(
        &mut self,
        cx: &mut Context<'_>,
        drain: Option<Drain>,
        now: std::time::Instant,
    ) -> Result<(), Disconnect> {
        if let Some(stream) = &mut self.stream {
            stream.poll_ack(now);
        }
        while self.leaving.is_none()
            && let Some(frame) = self.next_frame(cx)?
        {
            self.transport.as_mut().start_send(frame).map_err(lost)?;
            self.flush = true;
        }
        let id = self.session.id();
        if let (None, Some(drain)) = (self.leaving, drain)
            && drain.leave(id) <= now
            // The page is let go when it has all, and its other socket goes first.
            && (self.handler.lanes() != Lanes::Only(Lane::LowLatency) || !self.session.0.has_leg())
            && !(self.stream.is_some() && self.session.0.is_held_back())
            && let Poll::Ready(result) = self.transport.as_mut().poll_ready(cx)
        {
            result.map_err(lost)?;
            let pause = format!("retry-after={}", drain.retry_after(id, now).as_millis());
            let frame = CloseFrame::new(CloseCode::RESTART, pause);
            self.transport.as_mut().start_send(Frame::Close(Some(frame))).map_err(lost)?;
            self.flush = true;
            self.leaving = Some(later(now, self.session.host().limits().close_timeout));
        }
        if self.flush
            && let Poll::Ready(result) = self.transport.as_mut().poll_flush(cx)
        {
            result.map_err(lost)?;
            self.flush = false;
        }
        Ok(())
    }

    /// The next frame, if there is one and the socket takes it.
    fn next_frame(&mut self, cx: &mut Context<'_>) -> Result<Option<Frame>, Disconnect> {
        match self.transport.as_mut().poll_ready(cx) {
            Poll::Ready(result) => result.map_err(lost)?,
            Poll::Pending => return Ok(None),
        }
        if let Some(payload) = self.pong.take() {
            return Ok(Some(Frame::Pong(payload)));
        }
        if std::mem::take(&mut self.ping) {
            return Ok(Some(Frame::Ping(Bytes::new())));
        }
        if self.stream.is_some() {
            return Ok(self.next_in_stream(cx).map(Frame::Binary));
        }
        loop {
            if let Some(bytes) = self.handler.pop(self.epoch) {
                return Ok(Some(Frame::Binary(bytes)));
            }
            let room = self.session.host().limits().congestion_bytes;
            match self.session.0.pull(self.epoch, self.handler.lanes(), room, cx.waker()) {
                Pull::Taken => {}
                Pull::Empty => {
                    return Ok(self.handler.poll_pop(self.epoch, cx.waker()).map(Frame::Binary));
                }
                Pull::Lost => return Err(self.lose_connection(cx)),
            }
        }
    }

    /// The connection refuses as if there were no socket: it has just been closed, or it is not this socket's.
    fn lose_connection(&self, cx: &Context<'_>) -> Disconnect {
        self.poll_end(cx).unwrap_or_else(|| {
            tracing::error!(
                session = ?self.session.id(),
                "the session's connection is closed while a socket serves it: does its write lead to the handler?"
            );
            Disconnect::Refused(CloseCode::INTERNAL)
        })
    }

    /// Reads what has come. Answers whether there may be more.
    fn read(&mut self, cx: &mut Context<'_>) -> Result<bool, Disconnect> {
        let mut full = !self.handler.is_large();
        for _ in 0..READS {
            if full && self.session.0.poll_inbox(cx.waker()).is_pending() {
                // Whoever is not listened to is not silent.
                self.heard = true;
                return Ok(false);
            }
            let frame = match self.transport.as_mut().poll_next(cx) {
                Poll::Pending => return Ok(false),
                Poll::Ready(None) => return Err(Disconnect::Lost(None)),
                Poll::Ready(Some(Err(error))) => return Err(failed(error)),
                Poll::Ready(Some(Ok(frame))) => frame,
            };
            self.heard = true;
            match frame {
                Frame::Binary(_) if self.handler.is_large() => {
                    return Err(Disconnect::Refused(CloseCode::UNSUPPORTED));
                }
                Frame::Binary(bytes) => {
                    self.heartbeat.handle_hello();
                    if let Some(stream) = &mut self.stream {
                        if is_control(&bytes) {
                            self.handle_control(&bytes)?;
                            continue;
                        }
                        stream.acks.handle_received(bytes.len(), clock::now());
                    }
                    full = self.session.0.receive(self.epoch, bytes).map_err(|error| self.refuse(&error))?;
                }
                Frame::Ping(payload) => self.pong = Some(payload),
                Frame::Pong(_) => {}
                Frame::Close(frame) => {
                    self.handle_given_up(frame.as_ref());
                    return Err(Disconnect::Closed(frame));
                }
                Frame::Text(_) => return Err(Disconnect::Refused(CloseCode::UNSUPPORTED)),
            }
        }
        Ok(true)
    }

    fn refuse(&self, error: &SessionError) -> Disconnect {
        let code = match error {
            // In a stream the frame has counted and does not come again: its page is to go on behind it.
            error if error.is_too_large() && self.stream.is_none() => CloseCode::TOO_LARGE,
            error if error.is_forbidden() => CloseCode::POLICY,
            _ => CloseCode::INVALID_DATA,
        };
        let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
        tracing::warn!(session = ?self.session.id(), code = code.0, "{error}: {cause}");
        Disconnect::Refused(code)
    }
}

fn lost(error: TransportError) -> Disconnect {
    Disconnect::Lost(Some(error))
}

pub(super) fn failed(error: TransportError) -> Disconnect {
    match error.kind() {
        TransportErrorKind::TooLarge => Disconnect::Refused(CloseCode::TOO_LARGE),
        TransportErrorKind::InvalidUtf8 => Disconnect::Refused(CloseCode::INVALID_DATA),
        TransportErrorKind::Protocol => Disconnect::Refused(CloseCode::PROTOCOL),
        TransportErrorKind::Io => lost(error),
    }
}

#[expect(clippy::disallowed_methods, reason = "the runtime waits")]
pub(super) fn timer(at: std::time::Instant) -> Sleep {
    sleep_until(Instant::from_std(at))
}
