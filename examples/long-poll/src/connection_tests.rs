use std::time::Duration;

use bonito_core::proto::codec;
use bonito_core::proto::message::ClientMessage;
use bonito_core::{Endpoint, Limits, Observable, Script, Status};
use futures_util::FutureExt;

use super::*;

/// A session over polls, and what its page knows.
struct Page {
    live: Endpoint,
    connection: LongPoll,
    session: Session,
    polls: u64,
    next: u64,
    sent: u64,
}

impl Page {
    fn new() -> Self {
        let live = Endpoint::builder("/live").build();
        let connection = LongPoll::new(&Sessions::default(), false);
        let session = live.session_with(Arc::new(connection.clone()));
        let _html = session.page("", "");
        Self { live, connection, session, polls: 0, next: 0, sent: 0 }
    }

    async fn alive() -> Self {
        let mut page = Self::new();
        assert_eq!(page.poll(true).await, Polled::Nothing);
        let loaded = page.loaded();
        page.send(vec![loaded]).await;
        assert_eq!(page.session.status(), Status::Open);
        page
    }

    fn loaded(&self) -> Bytes {
        let message = ClientMessage::DoneLoading {
            session: self.session.id().to_string(),
            message: String::new(),
            exception: None,
            stacktrace: String::new(),
        };
        codec::encode_client(&message).unwrap()
    }

    async fn send(&mut self, messages: Vec<Bytes>) {
        let count = messages.len() as u64;
        let received = self.connection.receive(&self.session, self.sent, messages).await;
        self.sent += count;
        assert!(matches!(received, Received::UpTo(next) if next == self.sent), "{received:?}");
    }

    /// Asks once. What comes is had only if the caller says so by [`take`](Self::take).
    async fn poll(&mut self, open: bool) -> Polled {
        self.polls += 1;
        self.connection.poll(&self.session, self.polls, self.next, open).await
    }

    /// Begins to ask, and lets the server know.
    async fn ask(&mut self) -> tokio::task::JoinHandle<Polled> {
        self.polls += 1;
        let (connection, session) = (self.connection.clone(), self.session.clone());
        let (number, from) = (self.polls, self.next);
        let asked = tokio::spawn(async move { connection.poll(&session, number, from, false).await });
        tokio::task::yield_now().await;
        asked
    }

    /// The texts of a batch's messages that are new.
    fn take(&mut self, polled: Polled) -> Vec<String> {
        let Polled::Messages(batch) = polled else { panic!("{polled:?}") };
        let (first, messages) = batch::decode(batch).unwrap();
        let skip = (self.next - first) as usize;
        self.next = first + messages.len() as u64;
        messages.iter().skip(skip).map(said).collect()
    }
}

/// The source of a script message.
fn said(message: &Bytes) -> String {
    let text = String::from_utf8_lossy(message);
    let at = text.find("step(").unwrap();
    text[at..=at + text[at..].find(')').unwrap()].to_owned()
}

fn step(session: &Session, n: usize) {
    session.eval(Script::new(format!("step({n})")));
}

#[tokio::test(start_paused = true)]
async fn a_poll_waits_for_a_message() {
    let mut page = Page::alive().await;
    let asked = page.ask().await;
    assert!(!asked.is_finished());
    step(&page.session, 1);
    assert_eq!(page.take(asked.await.unwrap()), ["step(1)"]);
}

#[tokio::test(start_paused = true)]
async fn a_poll_without_messages_ends_before_proxies_do() {
    let mut page = Page::alive().await;
    let began = Instant::now();
    assert_eq!(page.poll(false).await, Polled::Nothing);
    assert_eq!(began.elapsed(), POLL);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_comes_again() {
    let mut page = Page::alive().await;
    step(&page.session, 1);
    let lost = page.poll(false).await;
    assert!(matches!(lost, Polled::Messages(_)));
    step(&page.session, 2);
    let polled = page.poll(false).await;
    assert_eq!(page.take(polled), ["step(1)", "step(2)"]);
    // Asking for what follows confirms these.
    step(&page.session, 3);
    let polled = page.poll(false).await;
    assert_eq!(page.take(polled), ["step(3)"]);
}

#[tokio::test(start_paused = true)]
async fn what_waited_while_the_page_was_away_comes_in_order() {
    let mut page = Page::alive().await;
    step(&page.session, 1);
    let _lost = page.poll(false).await;
    tokio::time::sleep(PATIENCE * 2).await;
    assert_eq!(page.session.status(), Status::SoftClosed);
    step(&page.session, 2);
    assert_eq!(page.poll(false).await, Polled::NotOpen);
    let polled = page.poll(true).await;
    assert_eq!(page.take(polled), ["step(1)"]);
    let loaded = page.loaded();
    page.send(vec![loaded]).await;
    let polled = page.poll(false).await;
    assert_eq!(page.take(polled), ["step(2)"]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_repeated_counts_once() {
    let mut page = Page::new();
    let count = Observable::new(0);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let list = seen.clone();
    let _subscription = count.on(move |n: &i32| list.lock().unwrap().push(*n));
    page.session.on_input(&count);
    assert_eq!(page.poll(true).await, Polled::Nothing);
    let id = count.id().to_string();
    let update = |n: i32| {
        let payload = bonito_core::proto::value::RawValue::encode(&n).unwrap();
        codec::encode_client(&ClientMessage::UpdateObservable { id: id.clone(), payload }).unwrap()
    };
    page.send(vec![page.loaded(), update(1), update(2)]).await;
    // The answer was lost, so the page sends two of them again, and a new one.
    let again = page.connection.receive(&page.session, 1, vec![update(1), update(2), update(3)]).await;
    assert!(matches!(again, Received::UpTo(4)), "{again:?}");
    assert_eq!(*seen.lock().unwrap(), [1, 2, 3]);
    let gap = page.connection.receive(&page.session, 6, vec![update(9)]).await;
    assert!(matches!(gap, Received::Gap), "{gap:?}");
    assert_eq!(*seen.lock().unwrap(), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_message_is_passed_over() {
    let mut page = Page::alive().await;
    let loaded = page.loaded();
    page.send(vec![Bytes::from_static(b"\xc1"), Bytes::new(), loaded]).await;
    page.session.close();
    let closed = page.connection.receive(&page.session, page.sent, vec![Bytes::new()]).await;
    assert!(matches!(closed, Received::Closed), "{closed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_later_poll_takes_over_from_an_earlier_one() {
    let mut page = Page::alive().await;
    let earlier = page.ask().await;
    let later = page.ask().await;
    assert_eq!(earlier.await.unwrap(), Polled::Superseded);
    step(&page.session, 1);
    assert_eq!(page.take(later.await.unwrap()), ["step(1)"]);
    // One that was held up on the way changes nothing.
    let newest = page.ask().await;
    assert_eq!(page.connection.poll(&page.session, 1, 0, true).await, Polled::Superseded);
    assert!(!newest.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_the_browser_repeats_takes_over() {
    let mut page = Page::alive().await;
    let lost = page.ask().await;
    page.polls -= 1;
    let repeated = page.ask().await;
    assert_eq!(lost.await.unwrap(), Polled::Superseded);
    step(&page.session, 1);
    assert_eq!(page.take(repeated.await.unwrap()), ["step(1)"]);
}

#[tokio::test(start_paused = true)]
async fn without_polls_the_session_is_soft_closed_and_comes_back() {
    let mut page = Page::alive().await;
    let asked = page.ask().await;
    asked.abort();
    let _ = asked.await;
    tokio::time::sleep(PATIENCE - Duration::from_millis(1)).await;
    assert_eq!(page.session.status(), Status::Open);
    tokio::time::sleep(Duration::from_millis(2)).await;
    assert_eq!(page.session.status(), Status::SoftClosed);
    assert!(!page.connection.is_open());
    assert_eq!(page.poll(true).await, Polled::Nothing);
    let loaded = page.loaded();
    page.send(vec![loaded]).await;
    assert_eq!(page.session.status(), Status::Open);
    // And again.
    tokio::time::sleep(PATIENCE * 2).await;
    assert_eq!(page.session.status(), Status::SoftClosed);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_polls_is_there() {
    let mut page = Page::alive().await;
    for _ in 0..4 {
        assert_eq!(page.poll(false).await, Polled::Nothing);
    }
    assert_eq!(page.session.status(), Status::Open);
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_has_a_bound_and_the_rest_waits_in_the_session() {
    let mut page = Page::alive().await;
    let large = "x".repeat(ROOM / 4);
    for n in 1..=6 {
        page.session.eval(Script::new(format!("step({n}) // {large}")));
    }
    assert!(page.session.info().queued_messages > 0);
    let mut steps = Vec::new();
    while steps.len() < 6 {
        let polled = page.poll(false).await;
        let kept = page.connection.state().bytes;
        assert!(kept <= ROOM, "{kept}");
        steps.extend(page.take(polled));
    }
    assert_eq!(steps, ["step(1)", "step(2)", "step(3)", "step(4)", "step(5)", "step(6)"]);
    assert_eq!(page.session.info().queued_messages, 0);
}

#[tokio::test(start_paused = true)]
async fn a_page_cannot_confirm_what_it_cannot_have() {
    let mut page = Page::alive().await;
    page.next = 1;
    assert_eq!(page.poll(false).await, Polled::Unknown);
    assert_eq!(page.poll(true).await, Polled::Unknown);
    page.next = u64::MAX;
    assert_eq!(page.poll(false).await, Polled::Unknown);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_ends_its_polls() {
    let mut page = Page::alive().await;
    let asked = page.ask().await;
    page.session.close();
    assert_eq!(asked.await.unwrap(), Polled::Closed);
    assert_eq!(page.poll(true).await, Polled::Closed);
    tokio::task::yield_now().await;
    assert_eq!(page.session.task_count(), 0);
    assert_eq!(page.live.stats().sessions, 0);
}

/// A page whose line is cut in the middle of a request sends its batch again while the server is still at the first one. It was
/// told 503 once, and the console of a page that had lost nothing showed an error.
#[tokio::test(start_paused = true)]
async fn a_batch_that_comes_again_waits_for_the_one_that_is_worked_off() {
    let page = Page::alive().await;
    let turn = Turn::take(&page.connection).unwrap();
    let (connection, session, loaded) = (page.connection.clone(), page.session.clone(), page.loaded());
    let again = tokio::spawn(async move { connection.receive(&session, 1, vec![loaded]).await });
    tokio::task::yield_now().await;
    assert!(!again.is_finished());
    drop(turn);
    let again = again.await.unwrap();
    assert!(matches!(again, Received::UpTo(2)), "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn a_batch_does_not_wait_for_ever_for_its_turn() {
    let mut page = Page::alive().await;
    let turn = Turn::take(&page.connection).unwrap();
    let loaded = page.loaded();
    let refused = page.connection.receive(&page.session, page.sent, vec![loaded.clone()]).await;
    assert!(matches!(refused, Received::Busy), "{refused:?}");
    drop(turn);
    page.send(vec![loaded]).await;
}

#[tokio::test(start_paused = true)]
async fn a_page_that_sends_more_than_the_limits_allow_is_told_where_to_go_on() {
    let mut limits = Limits::default();
    limits.inbox_messages = 1;
    let live = Endpoint::builder("/live").limits(limits).build();
    let connection = LongPoll::new(&Sessions::default(), false);
    let session = live.session_with(Arc::new(connection.clone()));
    let _html = session.page("", "");
    let warning = codec::encode_client(&ClientMessage::JavascriptWarning { message: "w".into() }).unwrap();
    // While the hook runs, the inbox takes one message, and not a second.
    let (inner, told) = (connection.clone(), Arc::new(Mutex::new(None)));
    let (tell, again) = (told.clone(), warning.clone());
    session.on_javascript_warning(move |session, _| {
        if tell.lock().unwrap().is_none() {
            *tell.lock().unwrap() = Some(0);
            inner.state().receiving = false;
            if let Some(Received::UpTo(next)) =
                inner.receive(session, 0, vec![again.clone(); 3]).now_or_never()
            {
                *tell.lock().unwrap() = Some(next);
            }
        }
    });
    connection.receive(&session, 0, vec![warning]).await;
    assert_eq!(*told.lock().unwrap(), Some(1));
}
