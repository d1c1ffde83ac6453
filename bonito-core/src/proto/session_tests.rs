//! The machine alone: no socket, no clock, no threads.

use std::time::Duration;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

struct Bench {
    machine: SessionMachine,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        let now = Instant::now();
        let id = SessionId::random().unwrap();
        Self { machine: SessionMachine::new(id, &Limits::default(), now), now }
    }

    fn displayed() -> Self {
        let mut bench = Self::new();
        assert!(bench.machine.render().is_some());
        bench.machine.display(bench.now);
        bench
    }

    fn later(&mut self, by: Duration) -> Instant {
        self.now += by;
        self.now
    }

    fn attach(&mut self) -> Epoch {
        self.machine.handle_attached(self.now).unwrap()
    }

    fn loaded(&mut self, epoch: Epoch) -> bool {
        let session = self.machine.id.to_string();
        self.done(epoch, &session, None)
    }

    fn done(&mut self, epoch: Epoch, session: &str, exception: Option<&str>) -> bool {
        let message = ClientMessage::DoneLoading {
            session: session.into(),
            message: String::new(),
            exception: exception.map(Into::into),
            stacktrace: String::new(),
        };
        self.machine.handle_message(epoch, message, self.now)
    }

    fn send(&mut self, text: &'static str) -> SendOutcome {
        self.machine.send(Bytes::from(text))
    }

    fn transmits(&mut self) -> Vec<String> {
        let bytes = std::iter::from_fn(|| self.machine.poll_transmit());
        bytes.map(|transmit| String::from_utf8_lossy(&transmit.bytes).into_owned()).collect()
    }

    fn events(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.machine.poll_event()).map(|event| format!("{event:?}")).collect()
    }
}

#[test]
fn the_states_follow_each_other() {
    let mut bench = Bench::new();
    assert_eq!(bench.machine.status(), Status::Uninitialized);
    bench.machine.render();
    assert_eq!(bench.machine.status(), Status::Rendered);
    bench.machine.display(bench.now);
    assert_eq!(bench.machine.status(), Status::Displayed);
    let epoch = bench.attach();
    assert_eq!(bench.machine.status(), Status::Displayed, "a socket alone is not a page that has loaded");
    bench.loaded(epoch);
    assert_eq!(bench.machine.status(), Status::Open);
    bench.machine.handle_detached(epoch, bench.now);
    assert_eq!(bench.machine.status(), Status::SoftClosed);
    let epoch = bench.attach();
    bench.loaded(epoch);
    assert_eq!(bench.machine.status(), Status::Open);
    assert!(bench.machine.close(CloseReason::Application, bench.now));
    assert_eq!(bench.machine.status(), Status::Closed);
    assert_eq!(
        bench.events(),
        [
            "Opened { again: false, resumed: false }",
            "SoftClosed",
            "Opened { again: true, resumed: false }",
            "Closed(Application)"
        ]
    );
}

#[test]
fn no_way_leads_back_from_closed() {
    let mut bench = Bench::displayed();
    let epoch = bench.attach();
    bench.loaded(epoch);
    assert!(bench.machine.close(CloseReason::Cleanup, bench.now));
    assert!(!bench.machine.close(CloseReason::Application, bench.now), "closes once");
    assert!(bench.machine.handle_attached(bench.now).is_none());
    assert!(!bench.loaded(epoch));
    assert!(bench.machine.render().is_none());
    assert_eq!(bench.send("x"), SendOutcome::Refused);
    bench.machine.handle_unsent(vec![Transmit::barrier(Bytes::from("y"))]);
    assert_eq!(bench.transmits(), [] as [&str; 0]);
    assert_eq!(bench.machine.close_reason(), Some(CloseReason::Cleanup));
    assert_eq!(bench.machine.info().queued_bytes, 0);
}

#[test]
fn inputs_of_an_older_attachment_are_ignored() {
    let mut bench = Bench::displayed();
    let old = bench.attach();
    bench.loaded(old);
    let new = bench.attach();
    assert!(new > old);
    assert!(!bench.loaded(old));
    assert!(!bench.machine.is_ready(), "the stale socket cannot speak for the new one");
    bench.loaded(new);
    assert!(!bench.machine.handle_detached(old, bench.now), "nor take it down");
    assert!(bench.machine.is_ready());
    assert_eq!(
        bench.events(),
        ["Opened { again: false, resumed: false }", "SoftClosed", "Opened { again: true, resumed: false }"]
    );
}

#[test]
fn another_sessions_word_opens_nothing() {
    let mut bench = Bench::displayed();
    let epoch = bench.attach();
    bench.done(epoch, "somebody-else", None);
    bench.done(epoch, "", None);
    assert!(!bench.machine.is_ready());
}

#[test]
fn a_failed_load_is_told_and_may_be_mended() {
    let mut bench = Bench::displayed();
    let epoch = bench.attach();
    let id = bench.machine.id.to_string();
    bench.done(epoch, &id, Some("Error: no"));
    assert!(!bench.machine.is_ready());
    bench.loaded(epoch);
    assert!(bench.machine.is_ready());
    assert_eq!(bench.events().len(), 2);
}

#[test]
fn a_repeated_word_opens_once() {
    let mut bench = Bench::displayed();
    let epoch = bench.attach();
    for _ in 0..3 {
        bench.loaded(epoch);
    }
    assert_eq!(bench.events(), ["Opened { again: false, resumed: false }"]);
}

#[test]
fn what_the_page_is_made_of_leaves_with_it() {
    let mut bench = Bench::new();
    bench.machine.send_on_load(Bytes::from("last"));
    bench.send("first");
    let (queued, on_load) = bench.machine.render().unwrap();
    assert_eq!((queued, on_load), (vec![Bytes::from("first")], vec![Bytes::from("last")]));
    assert!(bench.machine.render().is_none(), "one page a session");
    bench.machine.send_on_load(Bytes::from("later"));
    let epoch = bench.attach();
    bench.loaded(epoch);
    assert_eq!(bench.transmits(), ["later"]);
}

#[test]
fn the_clock_of_the_page_starts_when_it_is_handed_out() {
    let mut bench = Bench::new();
    let created = bench.now;
    bench.later(100 * SECOND);
    bench.machine.render();
    let now = bench.later(100 * SECOND);
    bench.machine.display(now);
    let info = bench.machine.info();
    assert_eq!((info.created, info.displayed, info.disconnected), (created, Some(now), Some(now)));
    let epoch = bench.attach();
    assert_eq!(bench.machine.info().disconnected, None);
    let now = bench.later(SECOND);
    bench.machine.handle_detached(epoch, now);
    assert_eq!(bench.machine.info().disconnected, Some(now));
    assert_eq!(bench.machine.status(), Status::Displayed, "it has never been open");
}

#[test]
fn outcomes_say_what_became_of_a_message() {
    let mut bench = Bench::displayed();
    let id = ObservableId::next();
    assert_eq!(bench.send("a"), SendOutcome::Queued);
    assert_eq!(bench.machine.send_update(id, Bytes::from("1")), SendOutcome::Queued);
    assert_eq!(bench.machine.send_update(id, Bytes::from("2")), SendOutcome::Compacted);
    let epoch = bench.attach();
    assert_eq!(bench.send("b"), SendOutcome::Queued);
    bench.loaded(epoch);
    assert_eq!(bench.send("c"), SendOutcome::Sent);
    assert_eq!(bench.machine.send_update(id, Bytes::from("3")), SendOutcome::Sent);
    assert_eq!(bench.machine.send_update(id, Bytes::from("4")), SendOutcome::Sent);
    assert_eq!(bench.transmits(), ["a", "2", "b", "c", "3", "4"]);
}

#[test]
fn a_pong_answers_only_a_page_that_has_loaded() {
    let mut bench = Bench::displayed();
    let epoch = bench.attach();
    bench.machine.handle_message(epoch, ClientMessage::PingPong, bench.now);
    bench.loaded(epoch);
    assert_eq!(bench.transmits(), [] as [&str; 0]);
    bench.machine.handle_message(epoch, ClientMessage::PingPong, bench.now);
    assert_eq!(bench.machine.poll_transmit().unwrap().bytes, PONG);
}

#[test]
fn one_large_message_is_no_overflow_and_a_second_is() {
    let mut bench = Bench::displayed();
    bench.machine.send(vec![0; 10 << 20].into());
    assert!(!bench.machine.poll_overflow());
    bench.send("one more");
    assert!(bench.machine.poll_overflow());
}

#[test]
fn counters_count() {
    let mut bench = Bench::displayed();
    let epoch = bench.attach();
    bench.loaded(epoch);
    bench.send("a");
    bench.send("b");
    let unsent = vec![bench.machine.poll_transmit().unwrap(), bench.machine.poll_transmit().unwrap()];
    assert_eq!(bench.machine.info().messages_out, 2);
    bench.machine.handle_unsent(unsent);
    let info = bench.machine.info();
    assert_eq!((info.messages_in, info.messages_out, info.queued_messages, info.queued_bytes), (1, 0, 2, 2));
    assert_eq!(bench.transmits(), ["a", "b"]);
}
