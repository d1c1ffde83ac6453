//! One future per socket of a behaviour: reads, runs one callback at a time, writes, and ends in order.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join;
use tokio::time::{Sleep, timeout_at};

use super::driver::{Disconnect, say_goodbye, timer};
use super::{clock, driver};
use crate::behaviour::{CallbackFuture, Socket, Terminate, TerminateError};
use crate::frame::{CloseCode, CloseFrame, Frame};
use crate::host::{BoxFuture, Host};
use crate::proto::idle::{Due, Idle};
use crate::proto::later;
use crate::transport::{Transport, TransportError, TransportErrorKind};

/// Callbacks before what they pushed is flushed and other tasks get their turn.
const BATCH: usize = 64;

/// What the loop is told about its socket.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) idle_timeout: Duration,
    pub(crate) keep_alive: Option<Duration>,
    /// Where in a drain this socket leaves, from 0 to 1.
    pub(crate) fraction: f64,
    pub(crate) counters: Arc<Counters>,
}

/// Frames of all connections of one behaviour.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) frames_in: AtomicU64,
    pub(crate) frames_out: AtomicU64,
}

/// Why the loop ended, as everybody concerned is told.
struct End {
    reason: Terminate,
    disconnect: Disconnect,
    /// The close frame, or `None` if there is nobody to send it to.
    close: Option<Option<CloseFrame>>,
}

/// Runs a behaviour over an upgraded WebSocket until one of them ends.
pub(crate) async fn run_behaviour<T: Transport>(
    socket: Box<dyn Socket>,
    host: Arc<dyn Host>,
    settings: Settings,
    transport: T,
) -> Disconnect {
    let mut transport = pin!(transport);
    let mut running = Running { socket: Some(socket), host: host.clone() };
    let mut link = Link {
        transport: transport.as_mut(),
        outbox: VecDeque::new(),
        flush: false,
        idle: Idle::new(settings.idle_timeout, settings.keep_alive, clock::now()),
        counters: settings.counters.clone(),
        lost: None,
    };
    let End { reason, disconnect, close } = match running.socket.as_deref_mut() {
        Some(socket) => serve(socket, &*host, &settings, &mut link).await,
        None => return Disconnect::Lost(None),
    };
    tracing::debug!(?disconnect, "the socket of a behaviour ends");
    let outbox = link.outbox;
    let terminating = running.end(reason);
    let peer_is_done = matches!(disconnect, Disconnect::Closed(_));
    let mut deadline = later(clock::now(), host.limits().close_timeout);
    if let Some(drain) = host.drain() {
        deadline = deadline.min(later(drain.deadline, host.limits().close_timeout));
    }
    let leaving = async {
        if let Some(close) = close {
            let goodbye = goodbye(transport.as_mut(), outbox, close, peer_is_done);
            let _ = timeout_at(deadline.into(), goodbye).await;
        }
    };
    join(leaving, terminating).await;
    disconnect
}

/// Sends what was pushed before the end, and the close frame.
async fn goodbye<T: Transport>(
    mut transport: Pin<&mut T>,
    outbox: VecDeque<Frame>,
    close: Option<CloseFrame>,
    peer_is_done: bool,
) -> Result<(), TransportError> {
    // Whoever has closed takes no more frames.
    for frame in outbox.into_iter().filter(|_| !peer_is_done) {
        poll_fn(|cx| transport.as_mut().poll_ready(cx)).await?;
        transport.as_mut().start_send(frame)?;
    }
    say_goodbye(transport, close, peer_is_done).await
}

async fn serve<T: Transport>(
    socket: &mut dyn Socket,
    host: &dyn Host,
    settings: &Settings,
    link: &mut Link<'_, T>,
) -> End {
    let mut clockwork = Clockwork {
        host,
        fraction: settings.fraction,
        drain_begins: host.drain_begins(),
        alarm: link.idle.poll_timeout(),
        timer: Box::pin(timer(link.idle.poll_timeout())),
    };
    if let Some(end) = clockwork.attend(socket.init(), link).await {
        return end;
    }
    let (mut mailbox_first, mut callbacks) = (false, 0);
    loop {
        if let Some(end) = link.take_pushed(socket) {
            return end;
        }
        let event = poll_fn(|cx| {
            if callbacks >= BATCH {
                callbacks = 0;
                link.poll_write(cx, true);
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            poll_event(cx, socket, link, &mut clockwork, mailbox_first)
        })
        .await;
        callbacks += 1;
        let callback = match event {
            Event::Frame(frame) => {
                mailbox_first = true;
                settings.counters.frames_in.fetch_add(1, Ordering::Relaxed);
                socket.handle_client_message(frame)
            }
            Event::Message => {
                mailbox_first = false;
                socket.handle_server_message()
            }
            Event::End(end) => return end,
        };
        if let Some(end) = clockwork.attend(callback, link).await {
            return end;
        }
    }
}

enum Event {
    Frame(Frame),
    Message,
    End(End),
}

fn poll_event<T: Transport>(
    cx: &mut Context<'_>,
    socket: &mut dyn Socket,
    link: &mut Link<'_, T>,
    clockwork: &mut Clockwork<'_>,
    mailbox_first: bool,
) -> Poll<Event> {
    loop {
        link.poll_write(cx, false);
        if let Some(error) = link.lost.take() {
            return Poll::Ready(Event::End(failed(error)));
        }
        // Whoever does not take what it gets is not given more work to answer.
        let blocked = !link.outbox.is_empty();
        link.idle.handle_blocked(blocked, clock::now());
        if !blocked {
            if mailbox_first && socket.poll_mailbox(cx).is_ready() {
                return Poll::Ready(Event::Message);
            }
            match link.poll_read(cx) {
                Poll::Ready(event) => return Poll::Ready(event),
                Poll::Pending => {}
            }
            if !mailbox_first && socket.poll_mailbox(cx).is_ready() {
                return Poll::Ready(Event::Message);
            }
        }
        let now = clock::now();
        if let Some(end) = clockwork.poll_leave(cx, now) {
            return Poll::Ready(Event::End(end));
        }
        while let Some(due) = link.idle.poll(now) {
            match due {
                Due::Ping => link.outbox.push_back(Frame::Ping(Bytes::new())),
                Due::Timeout => return Poll::Ready(Event::End(timed_out())),
            }
        }
        link.poll_write(cx, true);
        if clockwork.poll_timer(cx, link.idle.poll_timeout()).is_pending() && link.lost.is_none() {
            return Poll::Pending;
        }
    }
}

/// The socket, and what waits for it.
struct Link<'a, T> {
    transport: Pin<&'a mut T>,
    outbox: VecDeque<Frame>,
    flush: bool,
    idle: Idle,
    counters: Arc<Counters>,
    /// Writing has failed.
    lost: Option<TransportError>,
}

impl<T: Transport> Link<'_, T> {
    /// Takes over what the callback has pushed. Answers the end, if it wanted that.
    fn take_pushed(&mut self, socket: &mut dyn Socket) -> Option<End> {
        let pushed = socket.pushed();
        self.outbox.extend(pushed.take());
        if let Some(error) = pushed.failed.take() {
            return Some(End {
                reason: Terminate::Error(error),
                disconnect: Disconnect::Refused(CloseCode::INTERNAL),
                close: Some(Some(CloseFrame::new(CloseCode::INTERNAL, ""))),
            });
        }
        let close = pushed.closed.take()?;
        Some(End { reason: Terminate::Normal, disconnect: Disconnect::HandlerClosed, close: Some(close) })
    }

    /// Writes what waits, as far as there is room.
    fn poll_write(&mut self, cx: &mut Context<'_>, flush: bool) {
        if let Err(error) = self.try_write(cx, flush) {
            self.lost.get_or_insert(error);
        }
    }

    fn try_write(&mut self, cx: &mut Context<'_>, flush: bool) -> Result<(), TransportError> {
        while !self.outbox.is_empty() {
            match self.transport.as_mut().poll_ready(cx) {
                Poll::Ready(result) => result?,
                Poll::Pending => return Ok(()),
            }
            let Some(frame) = self.outbox.pop_front() else { break };
            self.transport.as_mut().start_send(frame)?;
            self.counters.frames_out.fetch_add(1, Ordering::Relaxed);
            self.idle.handle_progress(clock::now());
            self.flush = true;
        }
        if flush
            && self.flush
            && let Poll::Ready(result) = self.transport.as_mut().poll_flush(cx)
        {
            result?;
            self.flush = false;
        }
        Ok(())
    }

    /// The next frame for the behaviour, or the end.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        for _ in 0..BATCH {
            let frame = match self.transport.as_mut().poll_next(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => {
                    let reason = Terminate::Error(TerminateError::ended());
                    return Poll::Ready(Event::End(End {
                        reason,
                        disconnect: Disconnect::Lost(None),
                        close: None,
                    }));
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Event::End(failed(error))),
                Poll::Ready(Some(Ok(frame))) => frame,
            };
            self.idle.handle_received(clock::now());
            match frame {
                Frame::Text(_) | Frame::Binary(_) => return Poll::Ready(Event::Frame(frame)),
                Frame::Ping(payload) => {
                    self.outbox.push_back(Frame::Pong(payload));
                    self.poll_write(cx, false);
                    // Whoever pings and does not take the pongs waits like anybody else.
                    if !self.outbox.is_empty() {
                        return Poll::Pending;
                    }
                }
                Frame::Pong(_) => {}
                Frame::Close(frame) => return Poll::Ready(Event::End(closed(frame))),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// What comes by time: the idle timeout, and the turn of this socket in a drain.
struct Clockwork<'a> {
    host: &'a dyn Host,
    fraction: f64,
    drain_begins: BoxFuture,
    timer: Pin<Box<Sleep>>,
    /// What the timer is set to.
    alarm: Instant,
}

impl Clockwork<'_> {
    /// Runs a callback, and goes on writing meanwhile. It is dropped at the deadline of a drain.
    async fn attend<T: Transport>(
        &mut self,
        mut callback: CallbackFuture<'_>,
        link: &mut Link<'_, T>,
    ) -> Option<End> {
        poll_fn(|cx| {
            loop {
                if callback.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(None);
                }
                link.poll_write(cx, true);
                let deadline = self.poll_drain(cx).map(|drain| drain.deadline);
                let Some(deadline) = deadline else { return Poll::Pending };
                if deadline <= clock::now() {
                    return Poll::Ready(Some(stopped(Duration::ZERO)));
                }
                if self.poll_timer(cx, deadline).is_pending() {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Option<crate::host::Drain> {
        let drain = self.host.drain();
        if drain.is_none() && self.drain_begins.as_mut().poll(cx).is_ready() {
            return self.host.drain();
        }
        drain
    }

    /// The end, if the endpoint drains and this socket's turn has come.
    fn poll_leave(&mut self, cx: &mut Context<'_>, now: Instant) -> Option<End> {
        let drain = self.poll_drain(cx)?;
        (drain.leave_at(self.fraction) <= now).then(|| stopped(drain.pause(self.fraction, now)))
    }

    /// Waits for the turn in a drain, or for `due` if that is earlier.
    fn poll_timer(&mut self, cx: &mut Context<'_>, due: Instant) -> Poll<()> {
        let leave = self.host.drain().map(|drain| drain.leave_at(self.fraction));
        let due = leave.filter(|leave| *leave > clock::now()).map_or(due, |leave| leave.min(due));
        // A deadline that moves on leaves the timer alone: one that fires too early is set again then.
        if due >= self.alarm && self.timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.alarm = due;
        self.timer.as_mut().reset(due.into());
        self.timer.as_mut().poll(cx)
    }
}

/// A behaviour that runs. However its future ends, the behaviour is told, once.
struct Running {
    socket: Option<Box<dyn Socket>>,
    host: Arc<dyn Host>,
}

impl Running {
    /// Releases the names and begins `terminate`.
    fn end(&mut self, reason: Terminate) -> Terminating {
        let callback = self.socket.take().and_then(|mut socket| {
            socket.end();
            socket.terminate(reason)
        });
        Terminating { callback, host: self.host.clone() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.end(Terminate::Stop));
    }
}

/// The call of `terminate`. If its future is dropped before its end, the rest runs as a task of its own.
struct Terminating {
    callback: Option<CallbackFuture<'static>>,
    host: Arc<dyn Host>,
}

impl Future for Terminating {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(callback) = &mut self.callback {
            std::task::ready!(callback.as_mut().poll(cx));
            self.callback = None;
        }
        Poll::Ready(())
    }
}

impl Drop for Terminating {
    fn drop(&mut self) {
        if let Some(callback) = self.callback.take()
            && !self.host.try_spawn(callback)
        {
            tracing::error!("a socket was dropped outside any runtime: its terminate does not run");
        }
    }
}

fn closed(frame: Option<CloseFrame>) -> End {
    // Not every WebSocket library takes such a frame for the error that it is.
    if frame.as_ref().is_some_and(|frame| !frame.code.may_be_sent()) {
        return failed(TransportErrorKind::Protocol.into());
    }
    let reason = match &frame {
        Some(frame) => Terminate::RemoteWith(frame.code, frame.reason.clone().into_owned()),
        None => Terminate::Remote,
    };
    End { reason, close: Some(frame.clone()), disconnect: Disconnect::Closed(frame) }
}

fn timed_out() -> End {
    let close = CloseFrame::new(CloseCode::TIMED_OUT, "nothing was heard for too long");
    End { reason: Terminate::Timeout, disconnect: Disconnect::TimedOut, close: Some(Some(close)) }
}

fn stopped(pause: Duration) -> End {
    let close = CloseFrame::new(CloseCode::GOING_AWAY, format!("retry-after={}", pause.as_millis()));
    End { reason: Terminate::Stop, disconnect: Disconnect::Drained, close: Some(Some(close)) }
}

fn failed(error: TransportError) -> End {
    let reason = Terminate::Error(TerminateError::transport(error.kind(), text(&error)));
    let disconnect = driver::failed(error);
    let close = match disconnect {
        Disconnect::Refused(code) => Some(Some(CloseFrame::new(code, ""))),
        _ => None,
    };
    End { reason, disconnect, close }
}

/// The framework's own words.
fn text(error: &TransportError) -> String {
    std::error::Error::source(error).map(ToString::to_string).unwrap_or_default()
}
