use std::pin::pin;

use bonito_core::CloseCode;
use futures_util::FutureExt;
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::*;

fn head() -> Head {
    let (parts, ()) = http::Request::get("/live/1").body(()).unwrap().into_parts();
    Head::of(&parts)
}

/// Two sides of a link, and what the second is asked for.
fn pair() -> (Link, Link, UnboundedReceiver<Asked>) {
    let (near, far) = duplex(1 << 16);
    let (asked, asks) = unbounded_channel();
    let (front, running) = Link::over(near, drop);
    tokio::spawn(running);
    let (app, running) = Link::over(far, move |ask| asked.send(ask).unwrap());
    tokio::spawn(running);
    (front, app, asks)
}

/// A stream with both of its ends.
async fn open(front: &Link, asks: &mut UnboundedReceiver<Asked>) -> (Frames, Frames) {
    let app = async {
        let asked = asks.recv().await.unwrap();
        assert_eq!(asked.head, head());
        asked.frames.answer(Answer::upgrade());
        asked.frames
    };
    let (front, app) = tokio::join!(front.request(head()), app);
    let (answer, front) = front.unwrap();
    assert!(answer.upgrade);
    (front, app)
}

fn binary(n: u32) -> Frame {
    Frame::Binary(n.to_be_bytes().to_vec().into())
}

#[tokio::test(start_paused = true)]
async fn frames_go_both_ways_in_order() {
    let (front, _app, mut asks) = pair();
    let (near, far) = open(&front, &mut asks).await;
    let (mut near, mut far) = (near.transport(), far.transport());
    for n in 0..10 * WINDOW as u32 {
        near.send(binary(n)).await.unwrap();
        assert_eq!(far.next().await.unwrap().unwrap(), binary(n));
        far.send(binary(n)).await.unwrap();
        assert_eq!(near.next().await.unwrap().unwrap(), binary(n));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_not_read_holds_up_no_other() {
    let (front, _app, mut asks) = pair();
    let (slow, slow_app) = open(&front, &mut asks).await;
    let (quick, quick_app) = open(&front, &mut asks).await;
    let mut slow_app = slow_app.transport();
    for n in 0..WINDOW as u32 {
        slow_app.send(binary(n)).await.unwrap();
    }
    // The window is full, so the session learns that its browser does not keep up.
    let more = async {
        slow_app.send(binary(99)).await.unwrap();
        slow_app.flush().await.unwrap();
        slow_app
    };
    let mut more = Box::pin(more);
    let (mut quick, mut quick_app) = (quick.transport(), quick_app.transport());
    for n in 0..10 * WINDOW as u32 {
        quick_app.send(binary(n)).await.unwrap();
        assert_eq!(quick.next().await.unwrap().unwrap(), binary(n));
        assert!(more.as_mut().now_or_never().is_none());
    }
    let mut slow = slow.transport();
    assert_eq!(slow.next().await.unwrap().unwrap(), binary(0));
    let _slow_app = more.await;
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_stream_is_told_and_leaves_nothing() {
    let (front, app, mut asks) = pair();
    let (near, far) = open(&front, &mut asks).await;
    let mut far = far.transport();
    drop(near);
    assert!(far.next().await.is_none());
    drop(far);
    assert_eq!(front.streams().as_ref().unwrap().len(), 0);
    assert_eq!(app.streams().as_ref().unwrap().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_lost_link_ends_its_streams_and_takes_no_more() {
    let (near, far) = duplex(1 << 16);
    let (asked, mut asks) = unbounded_channel();
    let (front, running) = Link::over(near, drop);
    let running = tokio::spawn(running);
    let (_app, serving) = Link::over(far, move |ask| asked.send(ask).unwrap());
    tokio::spawn(serving);
    let (near, far) = open(&front, &mut asks).await;
    let (mut near, mut far) = (near.transport(), far.transport());
    running.abort();
    assert!(near.next().await.is_none());
    assert!(far.next().await.is_none());
    let failed = async {
        far.send(binary(1)).await?;
        far.flush().await
    };
    assert!(failed.await.is_err());
    assert!(matches!(front.request(head()).await, Err(Lost)));
}

#[tokio::test(start_paused = true)]
async fn an_app_that_goes_away_answers_nobody() {
    let (front, app, mut asks) = pair();
    let mut request = pin!(front.request(head()));
    assert!(request.as_mut().now_or_never().is_none());
    let asked = asks.recv().await.unwrap();
    drop(asked);
    assert!(matches!(request.await, Err(Lost)));
    drop(app);
}

/// A peer that speaks for itself.
async fn say(peer: &mut DuplexStream, messages: &[Message]) {
    for message in messages {
        let bytes = rmp_serde::to_vec(message).unwrap();
        peer.write_u32(bytes.len() as u32).await.unwrap();
        peer.write_all(&bytes).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_breaks_the_rules_loses_the_link() {
    let request = Message { stream: 1, body: Body::Request(head()) };
    let frame = Message { stream: 1, body: Body::Frame(Frame::Close(None).into()) };
    let taken = Message { stream: 1, body: Body::Taken };
    let mut beyond_the_window = vec![request.clone()];
    beyond_the_window.extend(vec![frame; WINDOW + 2]);
    for messages in [beyond_the_window, vec![request.clone(), request.clone()], vec![request, taken]] {
        let (mut peer, connection) = duplex(1 << 16);
        let kept = Arc::new(Mutex::new(Vec::new()));
        let keep = kept.clone();
        let (_link, running) = Link::over(connection, move |asked| keep.lock().unwrap().push(asked));
        let running = tokio::spawn(running);
        say(&mut peer, &messages).await;
        running.await.unwrap();
    }
    let (mut peer, connection) = duplex(1 << 16);
    let (_link, running) = Link::over(connection, drop);
    peer.write_all(&[0, 0, 0, 2, 0xc1, 0xc1]).await.unwrap();
    running.await;
}

/// A browser's socket, of which the front knows no more.
fn socket(
    frames: Vec<Result<Frame, TransportError>>,
    more: bool,
) -> (impl Transport, UnboundedReceiver<Frame>) {
    let (sent, received) = unbounded_channel();
    let frames = stream::iter(frames);
    let frames = if more { frames.chain(stream::pending()).left_stream() } else { frames.right_stream() };
    let sink = sink::unfold(sent, |sent, frame| async move {
        let _ = sent.send(frame);
        Ok(sent)
    });
    (join(frames, Box::pin(sink)), received)
}

#[tokio::test(start_paused = true)]
async fn the_app_learns_why_a_socket_ended() {
    for (frames, expected) in [
        (vec![Ok(binary(1))], TransportErrorKind::Io),
        (vec![Ok(binary(1)), Err(TransportErrorKind::TooLarge.into())], TransportErrorKind::TooLarge),
    ] {
        let (front, _app, mut asks) = pair();
        let (near, far) = open(&front, &mut asks).await;
        let (socket, mut said) = socket(frames, false);
        let relaying = tokio::spawn(near.relay(socket, Duration::from_secs(30)));
        let mut far = far.transport();
        assert_eq!(far.next().await.unwrap().unwrap(), binary(1));
        assert_eq!(far.next().await.unwrap().unwrap_err().kind(), expected);
        // The last word is the app's.
        let close = Frame::Close(Some(bonito_core::CloseFrame::new(CloseCode::TOO_LARGE, "")));
        far.send(close.clone()).await.unwrap();
        far.flush().await.unwrap();
        assert_eq!(said.recv().await, Some(close));
        drop(far);
        relaying.await.unwrap();
        assert_eq!(said.recv().await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_browser_that_takes_nothing_is_left() {
    let (front, _app, mut asks) = pair();
    let (near, far) = open(&front, &mut asks).await;
    let stalled = sink::unfold((), |(), _: Frame| std::future::pending::<Result<(), TransportError>>());
    let relaying =
        tokio::spawn(near.relay(join(stream::pending(), Box::pin(stalled)), Duration::from_secs(30)));
    let mut far = far.transport();
    far.send(binary(1)).await.unwrap();
    assert!(far.next().await.is_none());
    relaying.await.unwrap();
}

/// Asks, and gives the answer that `answer` becomes.
async fn ask(front: &Link, asks: &mut UnboundedReceiver<Asked>, answer: Answer) -> (u16, usize) {
    let app = async { asks.recv().await.unwrap().frames.answer(answer) };
    let (answered, ()) = tokio::join!(front.request(head()), app);
    let response = answered.unwrap().0.response().unwrap();
    (response.status().as_u16(), response.body().len())
}

fn answer(bytes: usize) -> Answer {
    Answer::respond(Response::new(Bytes::from(vec![0; bytes])))
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_no_link_takes_is_502_and_harms_no_other() {
    let (front, _app, mut asks) = pair();
    let (near, far) = open(&front, &mut asks).await;
    assert_eq!(ask(&front, &mut asks, answer(LONGEST)).await, (502, 0));
    assert_eq!(ask(&front, &mut asks, answer(LONGEST / 2)).await, (200, LONGEST / 2));
    let (mut near, mut far) = (near.transport(), far.transport());
    far.send(binary(1)).await.unwrap();
    assert_eq!(near.next().await.unwrap().unwrap(), binary(1));
}

#[tokio::test(start_paused = true)]
async fn without_room_requests_are_refused_and_frames_wait() {
    let (front, app, mut asks) = pair();
    let (near, far) = open(&front, &mut asks).await;
    let (mut near, mut far) = (near.transport(), far.transport());
    let full = app.0.room.clone().try_acquire_many_owned(WAITING).unwrap();
    assert_eq!(ask(&front, &mut asks, answer(1)).await, (503, 0));
    let mut sent = Box::pin(async {
        far.send(binary(1)).await.unwrap();
        far
    });
    assert!(sent.as_mut().now_or_never().is_none());
    drop(full);
    let _far = sent.await;
    assert_eq!(near.next().await.unwrap().unwrap(), binary(1));

    let full = front.0.room.clone().try_acquire_many_owned(WAITING).unwrap();
    assert!(front.request(head()).await.is_err());
    drop(full);
    assert_eq!(ask(&front, &mut asks, answer(1)).await, (200, 1));
    assert_eq!(app.0.room.available_permits(), WAITING as usize, "what is written makes room");
}
