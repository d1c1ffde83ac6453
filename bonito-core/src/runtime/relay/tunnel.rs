//! Carries frames between a local socket and the other end of a relay, until one of them ends.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::line::{Inbound, Line, WINDOW};
use super::node::Node;
use super::wire::{Answer, Assembly, Body, PART, Part, Read, encode_frame};
use crate::frame::{CloseFrame, Frame};
use crate::runtime::clock;

/// One end of a relayed socket. Dropping it tells the other end that there is no more.
#[derive(Debug)]
pub(crate) struct Tunnel {
    pub(crate) node: Arc<Node>,
    pub(crate) line: Arc<Line>,
    inbox: mpsc::Receiver<Inbound>,
    /// Whether the other end waits for anything.
    open: bool,
}

/// How a tunnel ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The local socket did, with this close frame if with any.
    Local(Option<Option<CloseFrame>>),
    /// The other end did. Whether the local socket has been written a close frame.
    Remote { closed: bool },
    /// The other end is gone, or something is missing.
    Lost,
}

impl Tunnel {
    pub(crate) fn new(node: Arc<Node>, line: Arc<Line>, inbox: mpsc::Receiver<Inbound>) -> Self {
        Self { node, line, inbox, open: true }
    }

    /// The owner's answer, if it comes in time.
    pub(crate) async fn answer(&mut self, within: Duration) -> Option<Answer> {
        match timeout(within, self.inbox.recv()).await {
            Ok(Some(Inbound::Answer(answer))) => {
                self.open = answer.status == 101;
                Some(answer)
            }
            _ => None,
        }
    }

    /// Whether the browser's socket is up in time.
    pub(crate) async fn started(&mut self, within: Duration) -> bool {
        matches!(timeout(within, self.inbox.recv()).await, Ok(Some(Inbound::Start)))
    }

    /// Carries frames. `most` is the longest that may come from the other end. When this returns the local socket still is to be
    /// closed, as the case may be.
    ///
    /// Of what was under way when a tunnel is lost, nothing is known.
    pub(crate) async fn run<R, W>(&mut self, reader: R, mut writer: W, most: usize) -> Ended
    where
        R: Stream<Item = Read> + Unpin,
        W: Sink<Read> + Unpin,
    {
        let (node, line) = (self.node.clone(), self.line.clone());
        let close_timeout = node.times().close_timeout;
        let mut closed = false;
        let outbound = pin!(outbound(&node, &line, reader));
        let ended = {
            let inbound = pin!(inbound(&node, &line, &mut self.inbox, &mut writer, most, &mut closed));
            let watching = pin!(watch(&node, &line));
            match select(select(outbound, inbound), watching).await {
                // The other end has something to say to that.
                Either::Left((Either::Left((ended @ Ended::Local(_), inbound)), _)) => {
                    let _ = timeout(close_timeout, inbound).await;
                    return ended;
                }
                Either::Left((Either::Left((ended, _)), _)) => return ended,
                Either::Left((Either::Right((ended, outbound)), _)) => (ended, Some(outbound)),
                Either::Right((ended, _)) => (ended, None),
            }
        };
        match ended {
            // What the local side says to its close frame.
            (Ended::Remote { .. }, Some(outbound)) if closed => {
                let _ = timeout(close_timeout, outbound).await;
                Ended::Remote { closed }
            }
            (Ended::Remote { .. }, _) => Ended::Remote { closed },
            (ended, _) => ended,
        }
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.node.forget(&self.line);
        if self.open && self.line.ended().is_none() {
            let (node, line) = (self.node.clone(), self.line.clone());
            self.node.spawn(async move {
                let _ = node.say(&line, Body::End).await;
            });
        }
    }
}

/// From the local socket to the other end.
async fn outbound<R: Stream<Item = Read> + Unpin>(node: &Node, line: &Line, mut reader: R) -> Ended {
    let mut close = None;
    loop {
        // What there is no room for is left where it is, so that its sender is held up.
        line.room().await;
        let Some(read) = reader.next().await else { break };
        if let Ok(Frame::Close(frame)) = &read {
            close = Some(frame.clone());
        }
        if send(node, line, encode_frame(read)).await.is_none() {
            return Ended::Lost;
        }
    }
    if node.say(line, Body::End).await.is_err() { Ended::Lost } else { Ended::Local(close) }
}

/// Sends a frame, in parts. `None` if the other end cannot be reached.
async fn send(node: &Node, line: &Line, mut frame: Bytes) -> Option<()> {
    loop {
        line.room().await;
        let bytes = frame.split_to(frame.len().min(PART));
        let last = frame.is_empty();
        let number = line.sent.load(Ordering::Relaxed) + 1;
        node.say(line, Body::Part(Part { number, last, bytes })).await.ok()?;
        line.sent.store(number, Ordering::Release);
        if last {
            return Some(());
        }
    }
}

/// From the other end to the local socket.
async fn inbound<W: Sink<Read> + Unpin>(
    node: &Node,
    line: &Line,
    inbox: &mut mpsc::Receiver<Inbound>,
    writer: &mut W,
    most: usize,
    closed: &mut bool,
) -> Ended {
    let mut assembly = Assembly::default();
    let (mut taken, mut told) = (0, 0);
    loop {
        let next = match inbox.try_recv() {
            Ok(next) => next,
            Err(_) => {
                // What has come together goes out together.
                if writer.flush().await.is_err() {
                    return Ended::Local(None);
                }
                match inbox.recv().await {
                    Some(next) => next,
                    None => return Ended::Lost,
                }
            }
        };
        match next {
            Inbound::Part(part) => {
                let frame = match assembly.push(part, most) {
                    Ok(frame) => frame,
                    Err(kind) => {
                        tracing::warn!(?kind, "a relayed frame is refused");
                        Some(Err(kind))
                    }
                };
                if let Some(frame) = frame {
                    *closed |= matches!(frame, Ok(Frame::Close(_)));
                    if writer.feed(frame).await.is_err() {
                        return Ended::Local(None);
                    }
                }
                taken += 1;
                line.taken.store(taken, Ordering::Relaxed);
                if taken - told >= WINDOW / 2 {
                    told = taken;
                    if node.say(line, Body::Taken(taken)).await.is_err() {
                        return Ended::Lost;
                    }
                }
            }
            Inbound::End => {
                let _ = writer.flush().await;
                return Ended::Remote { closed: *closed };
            }
            Inbound::Answer(_) | Inbound::Start => {}
        }
    }
}

/// Says that this end lives, and looks whether the other one does.
async fn watch(node: &Node, line: &Line) -> Ended {
    let times = node.times();
    let mut beaten = clock::now();
    loop {
        let _ = timeout(times.beat, line.over()).await;
        let now = clock::now();
        if line.is_broken() {
            tracing::warn!(peer = ?line.peer, "messages between processes were lost: a relayed socket ends");
            return Ended::Lost;
        }
        // A local socket that takes nothing keeps its end from being seen in its place.
        if line.ended().is_some_and(|ended| now.saturating_duration_since(ended) >= times.close_timeout) {
            return Ended::Remote { closed: false };
        }
        if now.saturating_duration_since(line.heard()) >= times.dead_after {
            tracing::warn!(peer = ?line.peer, "another process is silent: a relayed socket ends");
            return Ended::Lost;
        }
        if now.saturating_duration_since(beaten) >= times.beat {
            beaten = now;
            let beat = Body::Beat {
                sent: line.sent.load(Ordering::Acquire),
                taken: line.taken.load(Ordering::Relaxed),
            };
            if node.say(line, beat).await.is_err() {
                return Ended::Lost;
            }
        }
    }
}
