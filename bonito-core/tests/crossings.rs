//! What meets in one moment: the application's own code where a lock could be held, and threads that come from two sides.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests spawn, wait and expect")]

mod support;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use bonito_core::proto::codec;
use bonito_core::proto::message::ClientMessage;
use bonito_core::{
    CloseReason, ClusterOptions, Disconnect, DualWebSocketConnection, FrontendConnection, Lane, Membership,
    Observable, Registry, Script, SendError, Session, Status, WebSocketConnection, js,
};
use bonito_testkit::LocalCluster;
use bytes::Bytes;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use support::model::loaded;
use support::region::{Subs, reasons};
use support::stream::{Stream, page_key};
use support::{Page, endpoint, said, settle};

/// Fails where a deadlock would hang.
fn within_seconds<R: Send + 'static>(run: impl FnOnce() -> R + Send + 'static) -> R {
    let (tell, told) = channel();
    std::thread::spawn(move || tell.send(run()));
    told.recv_timeout(Duration::from_secs(20)).expect("it hangs")
}

/// Looks at a session while it is encoded, as a value does that locks what somebody else holds who asks the session.
struct Nosy(Session);

impl Serialize for Nosy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0.binding_count() as u64)
    }
}

/// The values of a part's observables were encoded under the lock of the page's names.
#[test]
fn values_of_a_part_are_encoded_under_no_lock() {
    within_seconds(|| {
        let session = endpoint().session();
        let (nosy, step) = (Observable::new(Nosy(session.clone())), Observable::new(1));
        let region =
            session.render(&step, move |sub, _| format!("<p {}></p>", sub.attribute("data-n", &nosy)));
        assert!(session.page("t", region).contains("<p "));
    });
}

/// A value that came while the first content of a late part was being made overtook it: the page then showed the older one,
/// and the part followed its observable no more.
#[tokio::test]
async fn a_value_that_comes_while_a_late_part_is_first_made_waits_for_it() {
    let live = endpoint();
    let session = live.session();
    let _html = session.page("t", "");
    let page = Page::open(&live, &session).await;
    let (value, subs) = (Observable::new(1), Subs::default());
    let (seen, meanwhile) = (subs.clone(), value.clone());
    let _region = session.render(&value, move |sub, value| {
        seen.add(sub);
        if *value == 1 {
            meanwhile.set(2);
        }
        value.to_string()
    });
    settle().await;
    let swaps = || page.received().iter().filter(|said| *said == "swap").count();
    assert_eq!((subs.len(), swaps()), (1, 0));
    for shown in 1..=3 {
        page.send(&loaded(&subs.last().id().to_string(), None));
        settle().await;
        if shown > 1 {
            value.set(shown + 1);
            settle().await;
        }
        assert_eq!((subs.len(), swaps()), (shown as usize + 1, 1), "after {shown}");
    }
    assert_eq!(subs.last().status(), Status::Displayed);
}

/// A payload that is a part of its frame kept the whole frame, of which the page may fill the rest with what nobody reads:
/// a thousand messages of one byte each held a gigabyte, and counted as a thousand bytes.
#[test]
fn a_small_value_does_not_keep_a_large_frame() {
    let payload = bonito_core::proto::value::RawValue::encode(&7).unwrap();
    let update = codec::encode_client(&ClientMessage::UpdateObservable { id: "o1".into(), payload }).unwrap();
    let mut stuffed = update.to_vec();
    stuffed[0] += 1;
    stuffed.extend(b"\xa4junk\xc5\x13\x88");
    stuffed.extend([0; 5_000]);
    for (frame, is_kept) in [(update, true), (Bytes::from(stuffed), false)] {
        let (frame, seen) = (Bytes::from(frame.to_vec()), frame.len());
        let kept = frame.clone();
        let message = codec::decode_client(frame, &bonito_core::Limits::default()).unwrap();
        let ClientMessage::UpdateObservable { payload, .. } = &message else { panic!("{message:?}") };
        assert_eq!(payload.decode::<i32>().unwrap(), 7);
        assert_eq!(!kept.is_unique(), is_kept, "a frame of {seen} bytes");
    }
}

type Serving = Pin<Box<dyn Future<Output = Disconnect> + Send>>;

/// The loop of a second socket, polled by the writer of the first in the middle of its work.
#[derive(Default)]
struct Crossed {
    inner: WebSocketConnection,
    /// Whoever comes, and with which of the large messages.
    comes: Mutex<Option<(usize, Serving)>>,
    large: AtomicUsize,
}

impl std::fmt::Debug for Crossed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Crossed")
    }
}

impl FrontendConnection for Crossed {
    fn write(&self, bytes: Bytes, lane: Lane) -> Result<(), SendError> {
        if lane == Lane::LargeData {
            let number = self.large.fetch_add(1, Ordering::Relaxed) + 1;
            if let Some((when, serving)) = &mut *self.comes.lock().unwrap()
                && *when == number
            {
                assert!(serving.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            }
        }
        self.inner.write(bytes, lane)
    }

    fn is_open(&self) -> bool {
        self.inner.is_open()
    }

    fn close(&self) {
        self.inner.close();
    }

    fn setup_connection(&self, _: &Session) -> Option<Script> {
        None
    }
}

/// Whoever took a session over waited for the writer of one lane only. What the writer of the other had in hand went to the new
/// socket before what that one was to send first.
#[tokio::test]
async fn a_socket_that_takes_over_waits_for_the_writer_of_large_messages() {
    let crossed = Arc::new(Crossed::default());
    let live = endpoint();
    let session = live.session_with(crossed.clone());
    let _html = session.page("t", "");
    let handler = crossed.inner.socket_handler("").unwrap();
    let old = Page::over(&session, &handler).await;
    old.loaded();
    settle().await;
    let (new, serving) = Page::by_hand(&session, &handler);
    *crossed.comes.lock().unwrap() = Some((2, Box::pin(serving)));
    (1..=3).for_each(|n| _ = session.send_large(Script::new(format!("large({n})"))));
    settle().await;
    let (_, mut serving) = crossed.comes.lock().unwrap().take().unwrap();
    tokio::spawn(poll_fn(move |cx| serving.as_mut().poll(cx)));
    settle().await;
    new.loaded();
    settle().await;
    // The page has read what had reached its old socket.
    assert_eq!([old.received(), new.received()].concat(), ["large(1)", "large(2)", "large(3)"]);
}

/// The second half of a connection is a plain socket. It was let in beside a page that resumes, and was handed what that one is
/// to have again.
#[tokio::test]
async fn a_leg_is_not_let_into_a_stream() {
    let live = endpoint();
    let session = live.session();
    let dual = DualWebSocketConnection::new();
    let [low, high] = ["low_latency", "large_data"].map(|query| dual.socket_handler(query).unwrap());
    let html = session.page("t", "").to_string();
    let mut page = Stream::new(&live, &session, page_key(&html).unwrap());
    page.dial_over(&low);
    page.greet().await.unwrap();
    page.loaded();
    settle().await;
    let leg = Page::over(&session, &high).await;
    session.send_large(Script::new("large()"));
    settle().await;
    assert_eq!(leg.received(), [] as [&str; 0]);
    assert_eq!(page.news(), ["large()"]);
}

/// Each value that the page may not set was answered with the whole value that holds: little that comes made much that goes.
#[tokio::test]
async fn values_that_are_refused_one_after_the_other_are_answered_once() {
    static ENCODED: AtomicUsize = AtomicUsize::new(0);
    struct Costly;
    impl Serialize for Costly {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            ENCODED.fetch_add(1, Ordering::Relaxed);
            serializer.serialize_str("costly")
        }
    }
    let live = endpoint();
    let session = live.session();
    let costly = Observable::new(Costly);
    let binding = session.attribute("title", &costly);
    let _html = session.page("t", format!("<p {binding}></p>"));
    let page = Page::open(&live, &session).await;
    let before = ENCODED.load(Ordering::Relaxed);
    page.received();
    (0..500).for_each(|n| page.update(costly.id(), n));
    settle().await;
    let id = costly.id();
    let encoded = ENCODED.load(Ordering::Relaxed) - before;
    assert!((1..=20).contains(&encoded), "{encoded}");
    assert_eq!(page.received().last(), Some(&format!("{id}=\"costly\"")), "what holds comes last");
}

/// What the page's names own was dropped where the list of its parts was made: a panic there left them running.
#[tokio::test]
async fn a_drop_that_panics_keeps_no_part_alive() {
    #[derive(Serialize)]
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("on purpose");
        }
    }
    let live = endpoint();
    let session = live.session();
    let (step, subs) = (Observable::new(1), Subs::default());
    let seen = subs.clone();
    let region = session.render(&step, move |sub, _| {
        seen.add(sub);
        sub.spawn(std::future::pending());
        ""
    });
    // The page's names are all that is left of it.
    let binding = session.attribute("title", &Observable::new(Bomb));
    let _html = session.page("t", format!("{region}<i {binding}></i>"));
    let told = reasons(&subs.last());
    session.close();
    settle().await;
    assert_eq!(*told.lock().unwrap(), [CloseReason::Application]);
    assert_eq!((subs.last().status(), live.stats().tasks), (Status::Closed, 0));
}

/// What members tell was encoded under the lock that whoever joins or leaves has to take.
#[test]
fn what_a_member_tells_is_encoded_under_no_lock() {
    #[derive(Clone, Default, Deserialize)]
    struct Tells {
        #[serde(skip)]
        leaves: Arc<Mutex<Option<Membership>>>,
    }
    impl Serialize for Tells {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            drop(self.leaves.lock().unwrap().take());
            serializer.serialize_map(Some(0))?.end()
        }
    }
    within_seconds(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let cluster = LocalCluster::new();
            let options = || ClusterOptions::new("app");
            let here = Registry::<String, Tells>::clustered(cluster.node(), options()).await.unwrap();
            let there = Registry::<String, Tells>::clustered(cluster.node(), options()).await.unwrap();
            let session = endpoint().session();
            let address = session.on_message(|_: String| {});
            let tells = Tells::default();
            *tells.leaves.lock().unwrap() = Some(here.group().join("hall", &address));
            let _member = here.group().join_as("room", &address, tells);
            while there.group().members("room").is_empty() || !there.group().members("hall").is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
    });
}

/// A message that was queued while another one was being refused waited for the one after it.
#[test]
fn what_comes_while_another_message_is_refused_makes_both_be_tried_again() {
    #[derive(Debug, Default)]
    struct Refuses(Mutex<Option<Session>>, Mutex<Vec<String>>);
    impl FrontendConnection for Refuses {
        fn write(&self, bytes: Bytes, _: Lane) -> Result<(), SendError> {
            let session = self.0.lock().unwrap().take();
            if let Some(session) = session {
                // Another thread's, which finds somebody writing.
                std::thread::spawn(move || session.eval(js!("second()"))).join().unwrap();
                return Err(SendError::full(bytes));
            }
            self.1.lock().unwrap().extend(said(&bytes));
            Ok(())
        }
        fn is_open(&self) -> bool {
            true
        }
        fn close(&self) {}
        fn setup_connection(&self, _: &Session) -> Option<Script> {
            None
        }
    }
    let refuses = Arc::new(Refuses::default());
    let session = endpoint().session_with(refuses.clone());
    let _html = session.page("t", "");
    let loaded = loaded(&session.id().to_string(), None);
    session.process_message(codec::encode_client(&loaded).unwrap()).unwrap();
    *refuses.0.lock().unwrap() = Some(session.clone());
    session.eval(js!("first()"));
    assert_eq!(*refuses.1.lock().unwrap(), ["first()", "second()"]);
}
