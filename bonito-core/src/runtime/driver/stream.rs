//! The socket of a page that resumes: the hello before it gets the session, and the control frames between its messages.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use tokio::time::timeout_at;

use super::{Disconnect, Driver, claim, clock, end, failed, say_goodbye, serve, timer};
use crate::connection::WebSocketHandler;
use crate::frame::{CloseCode, CloseFrame, Frame};
use crate::proto::later;
use crate::proto::resume::{Acks, Control, Hello, Refusal, Welcome};
use crate::proto::session::{Arrival, CloseReason, Epoch};
use crate::session::Session;
use crate::transport::Transport;

/// Serves a session over an upgraded WebSocket whose answer named the subprotocol of [`Session::protocol`], until one of them
/// ends. [`Accepted::run`](crate::Accepted::run) calls it for the endpoint's own routes; call it yourself in the route of a
/// server that you manage.
///
/// The socket gets the session when its page has shown that it may, and until then disturbs nobody. In what the page sends
/// and is sent nothing is lost or comes twice, over any number of sockets; where that cannot be,
/// [`Session::on_continuity_lost`] tells. Source: protocol.md §18.
///
/// The loop takes the messages from the session itself:
/// [`FrontendConnection::write`](crate::FrontendConnection::write) is not called. What is written to the `handler` goes out
/// too, as a message like all others. The rest is as for [`run_connection_loop`](crate::run_connection_loop).
///
/// # Cancel safety
///
/// Dropping the future drops the socket and soft-closes the session; the page has all messages when it comes back.
pub async fn run_resumable_connection_loop<T: Transport>(
    session: &Session,
    handler: &WebSocketHandler,
    transport: T,
) -> Disconnect {
    run_resumable_connection_loop_as(session.0.arrival(), session, handler, transport).await
}

/// The same for a socket that was let in before.
pub(crate) async fn run_resumable_connection_loop_as<T: Transport>(
    arrival: Arrival,
    session: &Session,
    handler: &WebSocketHandler,
    transport: T,
) -> Disconnect {
    let mut transport = pin!(transport);
    let disconnect = match greet(arrival, session, handler, transport.as_mut()).await {
        Ok((epoch, stream)) => serve(session, handler, epoch, transport.as_mut(), Some(stream)).await,
        Err(disconnect) => disconnect,
    };
    let frame = match disconnect {
        Disconnect::SessionClosed(reason) => Some(Refusal::Closed(reason).close_frame()),
        _ => disconnect.close_frame(),
    };
    end(session, transport.as_mut(), &disconnect, frame).await;
    disconnect
}

/// Reads the hello, and gets the session if that is right.
async fn greet<T: Transport>(
    arrival: Arrival,
    session: &Session,
    handler: &WebSocketHandler,
    mut transport: Pin<&mut T>,
) -> Result<(Epoch, Stream), Disconnect> {
    claim(session, handler)?;
    let hello = read_hello(session, transport.as_mut()).await?;
    let greeted = poll_fn(|cx| session.0.poll_greet(handler, arrival, &hello, cx.waker())).await;
    let (epoch, welcome) = greeted.map_err(|refusal| reject(session, refusal))?;
    Ok((epoch, Stream::new(welcome)))
}

/// Who may not have the session is told so; where both sides disagree, neither may go on.
fn reject(session: &Session, refusal: Refusal) -> Disconnect {
    tracing::warn!(session = ?session.id(), "a socket is refused: {refusal}");
    if refusal.is_mismatch() {
        session.0.close(CloseReason::Mismatch);
    }
    Disconnect::Rejected(refusal)
}

async fn read_hello<T: Transport>(
    session: &Session,
    mut transport: Pin<&mut T>,
) -> Result<Hello, Disconnect> {
    let limits = session.host().limits();
    let mut timeout = pin!(timer(later(clock::now(), limits.hello_timeout)));
    let mut draining = session.host().drain_begins();
    loop {
        let frame = poll_fn(|cx| {
            if let Poll::Ready(frame) = transport.as_mut().poll_next(cx) {
                return Poll::Ready(frame.map_or(Err(Disconnect::Lost(None)), |frame| frame.map_err(failed)));
            }
            if timeout.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(Disconnect::TimedOut));
            }
            draining.as_mut().poll(cx).map(|()| Err(Disconnect::Drained))
        });
        let frame = match frame.await {
            Err(Disconnect::Drained) => {
                say_restart(session, transport).await;
                return Err(Disconnect::Drained);
            }
            frame => frame?,
        };
        let refused = match frame {
            Frame::Binary(bytes) => match Control::decode(&bytes) {
                Ok(Some(Control::Hello(hello))) => return Ok(hello),
                Ok(_) => CloseCode::PROTOCOL,
                Err(error) => {
                    tracing::warn!(session = ?session.id(), "the first frame is no hello: {error}");
                    CloseCode::PROTOCOL
                }
            },
            // Nothing is sent before the hello; browsers send no pings.
            Frame::Ping(_) | Frame::Pong(_) => continue,
            Frame::Close(frame) => return Err(Disconnect::Closed(frame)),
            Frame::Text(_) => CloseCode::UNSUPPORTED,
        };
        return Err(Disconnect::Refused(refused));
    }
}

/// Tells a page that has not said hello that the endpoint drains.
async fn say_restart<T: Transport>(session: &Session, transport: Pin<&mut T>) {
    let now = clock::now();
    let pause = session.host().drain().map_or(0, |drain| drain.retry_after(session.id(), now).as_millis());
    let frame = CloseFrame::new(CloseCode::RESTART, format!("retry-after={pause}"));
    let deadline = later(now, session.host().limits().close_timeout).into();
    let _ = timeout_at(deadline, say_goodbye(transport, Some(frame), false)).await;
}

/// What one socket of a stream has to send.
#[derive(Debug)]
pub(super) struct Stream {
    welcome: Option<Bytes>,
    pong: bool,
    ack: bool,
    pub(super) acks: Acks,
    /// Messages that the session counts as sent.
    batch: VecDeque<Bytes>,
}

impl Stream {
    fn new(welcome: Welcome) -> Self {
        let welcome = Some(Control::Welcome(welcome).encode());
        Self { welcome, pong: false, ack: false, acks: Acks::new(), batch: VecDeque::new() }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.acks.poll_timeout()
    }

    pub(super) fn poll_ack(&mut self, now: Instant) {
        self.ack |= self.acks.poll(now);
    }
}

impl<T: Transport> Driver<'_, T> {
    /// The next frame of a stream: the welcome, then what says something of the stream, then messages.
    pub(super) fn next_in_stream(&mut self, cx: &Context<'_>) -> Option<Bytes> {
        let stream = self.stream.as_mut()?;
        if let Some(welcome) = stream.welcome.take() {
            return Some(welcome);
        }
        if std::mem::take(&mut stream.pong) {
            return Some(Control::Pong.encode());
        }
        // A session that was closed in the meantime has forgotten what it had.
        if std::mem::take(&mut stream.ack)
            && let Some(received) = self.session.0.received(self.epoch)
        {
            return Some(Control::Ack(received).encode());
        }
        loop {
            if let Some(bytes) = stream.batch.pop_front() {
                return Some(bytes);
            }
            let room = self.session.host().limits().congestion_bytes;
            if self.session.0.pull_stream(self.epoch, room, &mut stream.batch) {
                continue;
            }
            self.session.0.adopt(self.handler.poll_pop(self.epoch, cx.waker())?);
        }
    }

    /// A page that finds that it cannot go on says so as it closes, and does not come back.
    pub(super) fn handle_given_up(&self, frame: Option<&CloseFrame>) {
        let Some(frame) = frame.filter(|frame| frame.code == CloseCode::CONTINUITY_LOST) else { return };
        if self.stream.is_some() && self.session.0.is_current(self.epoch) {
            let overflow = frame.reason == "overflow";
            self.session.0.close(if overflow { CloseReason::Overflow } else { CloseReason::Mismatch });
        }
    }

    pub(super) fn handle_control(&mut self, frame: &[u8]) -> Result<(), Disconnect> {
        let control = Control::decode(frame).map_err(|error| {
            tracing::warn!(session = ?self.session.id(), "{error}");
            Disconnect::Refused(CloseCode::PROTOCOL)
        })?;
        match control {
            Some(Control::Ack(received)) => {
                let result = self.session.0.receive_ack(self.epoch, received);
                result.map_err(|refusal| reject(self.session, refusal))?;
            }
            Some(Control::Ping) => {
                self.session.0.receive_ping(self.epoch);
                if let Some(stream) = &mut self.stream {
                    stream.pong = true;
                }
            }
            None => self.session.0.receive_ping(self.epoch),
            Some(Control::Hello(_) | Control::Welcome(_) | Control::Pong) => {
                tracing::warn!(session = ?self.session.id(), "a control frame came that no page may send now");
                return Err(Disconnect::Refused(CloseCode::PROTOCOL));
            }
        }
        Ok(())
    }
}
