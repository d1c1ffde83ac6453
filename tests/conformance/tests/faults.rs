//! A transport that breaks when it is told to, and does nothing else to what it carries.

#![allow(clippy::unwrap_used, reason = "tests expect")]

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bonito_core::proto::codec::encode_client;
use bonito_core::proto::message::ClientMessage;
use bonito_core::{
    CloseCode, CloseFrame, Disconnect, Endpoint, Frame, SendOutcome, Session, Status, Transport,
    TransportError, TransportErrorKind, WebSocketConnection, WebSocketHandler, join, js, run_connection_loop,
};
use bonito_testkit::{Faults, Flaky};
use bytes::Bytes;
use futures_channel::mpsc;
use futures_util::{FutureExt, Sink, SinkExt, StreamExt};
use tokio::time::{Instant, sleep, timeout};

/// The other end of a transport in memory.
struct Far {
    sends: mpsc::Sender<Result<Frame, TransportError>>,
    receives: mpsc::Receiver<Frame>,
}

/// Both directions hold a frame or two.
fn pair() -> (impl Transport + Unpin, Far) {
    let (sends, comes) = mpsc::channel(0);
    let (goes, receives) = mpsc::channel(0);
    let gone = |_| TransportError::from(TransportErrorKind::Io);
    let goes = goes.with(|frame| std::future::ready(Ok::<_, mpsc::SendError>(frame)));
    (join(comes, Mapped(goes, gone)), Far { sends, receives })
}

/// Maps errors, as often as there are some.
struct Mapped<S, F>(S, F);

impl<S, F> Sink<Frame> for Mapped<S, F>
where
    S: Sink<Frame> + Unpin,
    F: Fn(S::Error) -> TransportError + Unpin,
{
    type Error = TransportError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.0.poll_ready_unpin(cx).map_err(&self.1)
    }

    fn start_send(mut self: Pin<&mut Self>, frame: Frame) -> Result<(), TransportError> {
        self.0.start_send_unpin(frame).map_err(&self.1)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.0.poll_flush_unpin(cx).map_err(&self.1)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.0.poll_close_unpin(cx).map_err(&self.1)
    }
}

fn frame(n: u8) -> Frame {
    Frame::Binary(Bytes::from(vec![n; 10]))
}

fn numbers(frames: &[Frame]) -> Vec<u8> {
    frames
        .iter()
        .map(|frame| if let Frame::Binary(bytes) = frame { bytes[0] } else { panic!("{frame:?}") })
        .collect()
}

impl Far {
    /// Sends the numbers, as far as anybody takes them.
    fn say(&self, numbers: impl IntoIterator<Item = u8> + Send + 'static) -> tokio::task::JoinHandle<()> {
        let (mut sends, frames) = (self.sends.clone(), numbers.into_iter().map(frame).collect::<Vec<_>>());
        tokio::spawn(async move {
            for frame in frames {
                if sends.send(Ok(frame)).await.is_err() {
                    return;
                }
            }
        })
    }

    /// Reads until the connection is gone.
    async fn hear_all(&mut self) -> Vec<u8> {
        let mut frames = Vec::new();
        while let Some(frame) = self.receives.next().await {
            frames.push(frame);
        }
        numbers(&frames)
    }
}

fn is_cut(item: &Option<Result<Frame, TransportError>>) -> bool {
    matches!(item, Some(Err(error)) if error.kind() == TransportErrorKind::Io)
}

/// Nothing comes in an hour.
async fn is_silent<T: Transport + Unpin>(flaky: &mut Flaky<T>) -> bool {
    timeout(Duration::from_secs(3600), flaky.next()).await.is_err()
}

#[tokio::test(start_paused = true)]
async fn without_faults_everything_passes_as_it_is() {
    let faults = Faults::with_seed(1);
    let (transport, mut far) = pair();
    let flaky = faults.wrap(transport);
    let (mut goes, mut comes) = flaky.split();
    let frames = [
        Frame::Text("text".into()),
        Frame::Binary(Bytes::from_static(b"bytes")),
        Frame::Ping(Bytes::from_static(b"ping")),
        Frame::Pong(Bytes::new()),
        Frame::Close(Some(CloseFrame::new(CloseCode::GOING_AWAY, "bye"))),
    ];
    let before = Instant::now();
    for frame in &frames {
        far.sends.try_send(Ok(frame.clone())).unwrap();
        assert_eq!(comes.next().await.unwrap().unwrap(), *frame);
        let (sent, heard) = tokio::join!(goes.send(frame.clone()), far.receives.next());
        sent.unwrap();
        assert_eq!(heard.unwrap(), *frame);
    }
    far.sends.try_send(Err(TransportErrorKind::TooLarge.into())).unwrap();
    assert_eq!(comes.next().await.unwrap().unwrap_err().kind(), TransportErrorKind::TooLarge);
    drop(far);
    assert!(comes.next().await.is_none());
    assert_eq!(Instant::now(), before, "at once");
}

#[tokio::test(start_paused = true)]
async fn a_cut_is_an_error_here_and_the_end_there() {
    let faults = Faults::with_seed(1);
    let (transport, mut far) = pair();
    let mut flaky = faults.wrap(transport);
    far.sends.try_send(Ok(frame(1))).unwrap();
    assert_eq!(flaky.next().await.unwrap().unwrap(), frame(1));
    assert_eq!(faults.connections(), 1);
    let (item, ()) = tokio::join!(flaky.next(), async {
        sleep(Duration::from_secs(1)).await;
        faults.cut();
    });
    assert!(is_cut(&item), "{item:?}");
    assert_eq!(faults.connections(), 0);
    assert!(flaky.next().await.is_none());
    for _ in 0..3 {
        assert_eq!(flaky.send(frame(2)).await.unwrap_err().kind(), TransportErrorKind::Io);
        assert!(flaky.close().await.is_err());
    }
    assert!(far.hear_all().await.is_empty(), "the real connection has ended too");
    assert!(far.sends.try_send(Ok(frame(3))).is_err());

    let (transport, far) = pair();
    let mut next = faults.wrap(transport);
    far.say([4]);
    assert_eq!(next.next().await.unwrap().unwrap(), frame(4), "connections that come later are well");
}

#[tokio::test(start_paused = true)]
async fn a_cut_reaches_every_connection_and_each_direction_of_it() {
    let faults = Faults::with_seed(1);
    let ends: Vec<_> = (0..10)
        .map(|_| {
            let (transport, far) = pair();
            let (mut goes, mut comes) = faults.wrap(transport).split();
            let reading = tokio::spawn(async move { comes.next().await });
            // The far end does not read, so this one waits.
            let writing = tokio::spawn(async move { while goes.send(frame(0)).await.is_ok() {} });
            (reading, writing, far)
        })
        .collect();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(faults.connections(), 10);
    faults.cut();
    for (reading, writing, _far) in ends {
        assert!(is_cut(&timeout(Duration::from_secs(1), reading).await.unwrap().unwrap()));
        timeout(Duration::from_secs(1), writing).await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_half_open_connection_takes_everything_and_hears_nothing() {
    let faults = Faults::with_seed(1);
    let (transport, mut far) = pair();
    let mut flaky = faults.wrap(transport);
    faults.half_open();
    far.sends.try_send(Ok(frame(1))).unwrap();
    for n in 0..100 {
        flaky.send(frame(n)).await.unwrap();
    }
    assert!(is_silent(&mut flaky).await);
    assert!(far.receives.next().now_or_never().is_none(), "neither a frame nor an end");
    faults.heal();
    assert!(is_silent(&mut flaky).await, "it does not recover");
    assert_eq!(faults.connections(), 1);
    faults.cut();
    assert!(is_cut(&flaky.next().await));
}

#[tokio::test(start_paused = true)]
async fn latency_delays_both_directions_and_keeps_their_order() {
    let latency = Duration::from_millis(50)..=Duration::from_millis(500);
    let faults = Faults::with_seed(7);
    faults.latency(latency.clone());
    let (transport, mut far) = pair();
    let (mut goes, mut comes) = faults.wrap(transport).split();
    let began = Instant::now();
    far.say(0..100);
    let heard_here = tokio::spawn(async move {
        let mut heard = Vec::new();
        while heard.len() < 100 {
            heard.push((comes.next().await.unwrap().unwrap(), began.elapsed()));
        }
        heard
    });
    let sent = tokio::spawn(async move {
        for n in 0..100 {
            goes.feed(frame(n)).await.unwrap();
        }
        goes.flush().await.unwrap();
        began.elapsed()
    });
    let mut heard_there = Vec::new();
    while heard_there.len() < 100 {
        heard_there.push((far.receives.next().await.unwrap(), began.elapsed()));
    }
    let sent = sent.await.unwrap();
    for heard in [heard_here.await.unwrap(), heard_there] {
        let (frames, times): (Vec<_>, Vec<_>) = heard.into_iter().unzip();
        assert_eq!(numbers(&frames), (0..100).collect::<Vec<u8>>());
        assert!(times.is_sorted());
        assert!(times[0] >= *latency.start(), "{:?}", times[0]);
        // They were all sent at the same time, so none is later than the longest.
        assert!(times[99] <= *latency.end() + Duration::from_millis(1), "{:?}", times[99]);
        assert!(times[99] > Duration::from_millis(400), "some draw a long one: {:?}", times[99]);
        assert!(times[0] < times[99], "and not all the same");
    }
    assert!(sent > Duration::from_millis(400), "a flush lasts until all has gone: {sent:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_is_bounded_and_lost_in_a_cut() {
    let faults = Faults::with_seed(7);
    faults.latency(Duration::from_secs(10)..=Duration::from_secs(10));
    let (transport, mut far) = pair();
    let mut flaky = faults.wrap(transport);
    let mut taken = 0;
    while flaky.feed(frame(0)).now_or_never().is_some() {
        taken += 1;
    }
    assert_eq!(taken, 256);
    faults.cut();
    assert!(flaky.flush().await.is_err());
    assert!(far.hear_all().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_arrives_when_latency_ends() {
    let faults = Faults::with_seed(7);
    faults.latency(Duration::from_secs(10)..=Duration::from_secs(10));
    let (transport, mut far) = pair();
    let mut flaky = faults.wrap(transport);
    flaky.feed(frame(1)).await.unwrap();
    faults.heal();
    let began = Instant::now();
    let (heard, sent) =
        tokio::join!(async { [far.receives.next().await, far.receives.next().await] }, async {
            flaky.send(frame(2)).await
        });
    sent.unwrap();
    assert_eq!(heard, [Some(frame(1)), Some(frame(2))], "the order is kept");
    assert_eq!(began.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_stalled_reader_holds_up_who_sends_and_misses_nothing() {
    let faults = Faults::with_seed(1);
    let (transport, mut far) = pair();
    let mut flaky = faults.wrap(transport);
    faults.stall_reading(true);
    let said = far.say(0..50);
    assert!(is_silent(&mut flaky).await);
    assert!(!said.is_finished(), "the far end waits");
    let (sent, heard) = tokio::join!(flaky.send(frame(1)), far.receives.next());
    sent.unwrap();
    assert_eq!(heard, Some(frame(1)), "the other direction is well");
    faults.stall_reading(false);
    let frames: Vec<_> = flaky.by_ref().take(50).map(Result::unwrap).collect().await;
    assert_eq!(numbers(&frames), (0..50).collect::<Vec<u8>>());
}

#[tokio::test(start_paused = true)]
async fn a_stalled_writer_takes_no_more_and_loses_nothing() {
    let faults = Faults::with_seed(1);
    let (transport, mut far) = pair();
    let mut flaky = faults.wrap(transport);
    faults.stall_writing(true);
    assert!(flaky.feed(frame(0)).now_or_never().is_none(), "not even one, to be kept");
    let (mut goes, mut comes) = flaky.split();
    let writing = tokio::spawn(async move {
        for n in 0..50 {
            goes.send(frame(n)).await.unwrap();
        }
    });
    far.say([9]);
    assert_eq!(comes.next().await.unwrap().unwrap(), frame(9), "the other direction is well");
    sleep(Duration::from_secs(3600)).await;
    assert!(far.receives.next().now_or_never().is_none());
    assert!(!writing.is_finished());
    faults.heal();
    drop(comes);
    assert_eq!(far.hear_all().await, (0..50).collect::<Vec<u8>>());
    writing.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_cut_after_so_many_frames() {
    let faults = Faults::with_seed(1);
    faults.cut_after_frames(5..=5);
    let (transport, mut far) = pair();
    let mut flaky = faults.wrap(transport);
    far.say(0..3);
    for n in 0..3 {
        assert_eq!(flaky.next().await.unwrap().unwrap(), frame(n));
    }
    let hearing = tokio::spawn(async move { far.hear_all().await });
    for n in 3..5 {
        flaky.send(frame(n)).await.unwrap();
    }
    assert_eq!(flaky.send(frame(5)).await.unwrap_err().kind(), TransportErrorKind::Io);
    assert!(is_cut(&flaky.next().await));
    assert_eq!(hearing.await.unwrap(), [3, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_cut_after_so_many_bytes() {
    let faults = Faults::with_seed(1);
    let (transport, far) = pair();
    let mut flaky = faults.wrap(transport);
    // Frames of ten bytes: the fourth is too much.
    faults.cut_after_bytes(39..=39);
    far.say(0..10);
    let frames: Vec<_> = flaky.by_ref().collect().await;
    assert_eq!(frames.len(), 4);
    assert!(frames[..3].iter().all(Result::is_ok) && is_cut(&frames.into_iter().nth(3)));
}

#[tokio::test(start_paused = true)]
async fn healing_takes_back_what_was_to_come() {
    let faults = Faults::with_seed(1);
    faults.cut_after_frames(1..=1);
    faults.cut_after_bytes(1..=1);
    let (transport, far) = pair();
    let mut flaky = faults.wrap(transport);
    faults.heal();
    far.say(0..100);
    let frames: Vec<_> = flaky.by_ref().take(100).map(Result::unwrap).collect().await;
    assert_eq!(frames.len(), 100);
}

/// How many frames each of ten connections carries, and when those come.
async fn story(seed: u64) -> Vec<(usize, Duration)> {
    let faults = Faults::with_seed(seed);
    faults.cut_after_frames(0..=100);
    faults.latency(Duration::ZERO..=Duration::from_millis(100));
    let mut story = Vec::new();
    for _ in 0..10 {
        let (transport, far) = pair();
        let mut flaky = faults.wrap(transport);
        let began = Instant::now();
        far.say(0..150);
        let frames: Vec<_> = flaky.by_ref().collect().await;
        story.push((frames.len() - 1, began.elapsed()));
    }
    story
}

#[tokio::test(start_paused = true)]
async fn a_seed_repeats_what_was_drawn() {
    let first = story(42).await;
    assert_eq!(first, story(42).await);
    assert_ne!(first, story(43).await);
    assert_eq!(Faults::with_seed(42).seed(), 42);
    assert_ne!(Faults::new().seed(), Faults::new().seed());
}

/// What a page sends first.
fn loaded(session: &Session) -> Frame {
    let message = ClientMessage::DoneLoading {
        session: session.id().to_string(),
        message: String::new(),
        exception: None,
        stacktrace: String::new(),
    };
    Frame::Binary(encode_client(&message).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_session_outlives_every_kind_of_break() {
    let (live, faults) = (Endpoint::builder("/live").build(), Faults::with_seed(1));
    let handler = WebSocketHandler::new();
    let session = live.session_with(Arc::new(WebSocketConnection::new(handler.clone())));
    let _html = session.page("Flaky", "");

    // Cut: the loop ends at once.
    let (transport, mut far) = pair();
    far.sends.try_send(Ok(loaded(&session))).unwrap();
    let (disconnect, ()) =
        tokio::join!(run_connection_loop(&session, &handler, faults.wrap(transport)), async {
            session.eval(js!("'first'"));
            assert!(format!("{:?}", far.receives.next().await).contains("first"));
            assert_eq!(session.status(), Status::Open);
            faults.cut();
        });
    assert!(matches!(disconnect, Disconnect::Lost(Some(_))), "{disconnect:?}");
    assert_eq!(session.status(), Status::SoftClosed);

    // Half-open: nobody tells, and the silence is noticed in its time.
    let (transport, mut far) = pair();
    far.sends.try_send(Ok(loaded(&session))).unwrap();
    let began = Instant::now();
    session.eval(js!("'second'"));
    let (disconnect, ()) =
        tokio::join!(run_connection_loop(&session, &handler, faults.wrap(transport)), async {
            assert!(format!("{:?}", far.receives.next().await).contains("second"));
            faults.half_open();
            assert_eq!(session.eval(js!("'nowhere'")), SendOutcome::Sent);
        });
    assert!(matches!(disconnect, Disconnect::TimedOut), "{disconnect:?}");
    assert!(began.elapsed() >= live.limits().dead_after, "{:?}", began.elapsed());
    assert_eq!(session.status(), Status::SoftClosed);
    assert!(far.receives.next().await.is_none(), "it was written into a connection that carried nothing");
}
