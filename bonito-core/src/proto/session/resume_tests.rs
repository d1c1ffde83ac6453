use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::Limits;
use crate::id::{ObservableId, SessionId};
use crate::proto::message::ClientMessage;
use crate::proto::session::SendOutcome;

fn key(n: u8) -> Key {
    Key::new([n; 32])
}

fn instance(n: u8) -> Instance {
    Instance::new([n; 16])
}

/// One session, and the secrets that are drawn for it: 1, 2, 3 and so on. The page key is 0.
struct Bench {
    machine: SessionMachine,
    now: Instant,
    drawn: u8,
    takeover: Takeover,
}

impl Bench {
    fn new() -> Self {
        Self::with(&Limits::default())
    }

    fn with(limits: &Limits) -> Self {
        let now = Instant::now();
        let mut machine = SessionMachine::new(SessionId::random().unwrap(), limits, now);
        assert!(machine.set_page_key(&key(0)));
        assert!(machine.render().is_some());
        machine.display(now);
        Self { machine, now, drawn: 0, takeover: Takeover::Fork }
    }

    /// A session whose page, the instance 1, has loaded; and the stream.
    fn open() -> (Self, Epoch, StreamId) {
        let mut bench = Self::new();
        let (epoch, welcome) = bench.hello(1, 0, None, 0).unwrap();
        bench.loaded(epoch);
        bench.events();
        (bench, epoch, welcome.stream)
    }

    fn hello(
        &mut self,
        by: u8,
        with: u8,
        stream: Option<StreamId>,
        received: u64,
    ) -> Result<(Epoch, Welcome), Refusal> {
        let arrival = self.machine.handle_arrival();
        self.hello_of(arrival, by, with, stream, received)
    }

    fn hello_of(
        &mut self,
        arrival: Arrival,
        by: u8,
        with: u8,
        stream: Option<StreamId>,
        received: u64,
    ) -> Result<(Epoch, Welcome), Refusal> {
        self.drawn += 1;
        let fresh = Fresh { stream: StreamId::new([self.drawn; 16]), key: key(self.drawn) };
        let hello = Hello { instance: instance(by), key: key(with), stream, received };
        self.machine.handle_hello(arrival, &hello, fresh, self.takeover, self.now)
    }

    fn loaded(&mut self, epoch: Epoch) -> bool {
        let session = self.machine.id.to_string();
        let message = ClientMessage::DoneLoading {
            session,
            message: String::new(),
            exception: None,
            stacktrace: String::new(),
        };
        self.machine.handle_message(epoch, message, self.now)
    }

    fn ack(&mut self, epoch: Epoch, received: u64) -> Result<(), Refusal> {
        self.machine.handle_ack(epoch, received, self.now)
    }

    fn warn(&mut self, epoch: Epoch) -> bool {
        let message = ClientMessage::JavascriptWarning { message: String::new() };
        self.machine.handle_message(epoch, message, self.now)
    }

    fn send(&mut self, text: &'static str) -> SendOutcome {
        self.machine.send(Bytes::from(text))
    }

    fn transmits(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(transmit) = self.machine.poll_transmit().or_else(|| self.machine.poll_large_transmit())
        {
            all.push(String::from_utf8_lossy(&transmit.bytes).into_owned());
        }
        all
    }

    fn events(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.machine.poll_event()).map(|event| format!("{event:?}")).collect()
    }

    fn resume(&mut self, with: u8, stream: StreamId, received: u64) -> (Epoch, Welcome) {
        self.hello(1, with, Some(stream), received).unwrap()
    }
}

#[test]
fn the_first_hello_begins_a_stream_that_opens_when_the_page_has_loaded() {
    let mut bench = Bench::new();
    bench.send("queued");
    assert!(bench.machine.is_resumable() && !bench.machine.has_stream());
    let (epoch, welcome) = bench.hello(1, 0, None, 0).unwrap();
    assert_eq!(
        welcome,
        Welcome {
            resumed: false,
            stream: StreamId::new([1; 16]),
            key: key(1),
            received: 0,
            message_bytes: 1 << 20
        }
    );
    assert!(bench.machine.has_stream());
    assert_eq!(bench.transmits(), [""; 0], "the server holds its messages until the page has loaded");
    assert!(bench.loaded(epoch));
    assert_eq!(bench.machine.received(), 1);
    assert_eq!(bench.events(), ["Opened { again: false, resumed: false }"]);
    assert_eq!(bench.transmits(), ["queued"]);
    assert_eq!(bench.machine.sent(), 1);
}

#[test]
fn what_was_not_had_comes_again_and_nothing_twice() {
    let (mut bench, epoch, stream) = Bench::open();
    for text in ["1", "2", "3"] {
        bench.send(text);
    }
    assert_eq!(bench.transmits(), ["1", "2", "3"]);
    assert!(bench.machine.handle_detached(epoch, bench.now));
    bench.send("4");
    let (_, welcome) = bench.resume(1, stream, 2);
    assert_eq!((welcome.resumed, welcome.received), (true, 1));
    assert_eq!(bench.transmits(), ["3", "4"]);
    assert_eq!(bench.machine.sent(), 4);
    assert_eq!(bench.events(), ["SoftClosed", "Opened { again: true, resumed: true }"]);
    assert_eq!(bench.machine.status(), Status::Open, "the page announces nothing again");
}

#[test]
fn it_resumes_any_number_of_times() {
    let (mut bench, mut epoch, stream) = Bench::open();
    let mut had = 0;
    for round in 1..100u8 {
        for text in ["a", "b", "c"] {
            bench.send(text);
        }
        let expected: &[&str] = if round == 1 { &["a", "b", "c"] } else { &["c", "a", "b", "c"] };
        assert_eq!(bench.transmits(), expected, "{round}");
        had = if round == 1 { 2 } else { had + 3 };
        bench.ack(epoch, had).unwrap();
        bench.machine.handle_detached(epoch, bench.now);
        (epoch, _) = bench.resume(round, stream, had);
    }
}

#[test]
fn a_stale_attachment_counts_for_nothing() {
    let (mut bench, old, stream) = Bench::open();
    bench.send("1");
    bench.transmits();
    let (new, _) = bench.resume(1, stream, 0);
    assert!(!bench.warn(old) && bench.ack(old, 77).is_ok());
    bench.machine.handle_malformed(old);
    assert!(!bench.machine.handle_ping(old, bench.now));
    assert!(!bench.machine.handle_detached(old, bench.now));
    assert_eq!((bench.machine.received(), bench.machine.sent()), (1, 0));
    assert!(bench.machine.is_current(new) && bench.machine.is_ready());
}

#[test]
fn a_hello_that_was_under_way_for_long_does_not_take_the_stream_back() {
    let (mut bench, epoch, stream) = Bench::open();
    bench.machine.handle_detached(epoch, bench.now);
    let (slow, fast) = (bench.machine.handle_arrival(), bench.machine.handle_arrival());
    let (current, welcome) = bench.hello_of(fast, 1, 1, Some(stream), 0).unwrap();
    assert_eq!(bench.hello_of(slow, 1, 1, Some(stream), 0).err(), Some(Refusal::Stale));
    assert!(bench.machine.is_current(current));
    let key = welcome.key.as_bytes()[0];
    assert!(bench.hello(1, key, Some(stream), 0).is_ok(), "the key that the page has still opens");
}

#[test]
fn a_malformed_frame_counts() {
    let (mut bench, epoch, _) = Bench::open();
    bench.machine.handle_malformed(epoch);
    assert_eq!(bench.machine.received(), 2);
}

#[test]
fn a_stolen_id_alone_gets_nothing() {
    let (mut bench, epoch, stream) = Bench::open();
    bench.send("secret");
    for (by, stream) in [(1, None), (1, Some(stream)), (2, None), (2, Some(stream))] {
        assert_eq!(bench.hello(by, 99, stream, 0).err(), Some(Refusal::Key));
    }
    assert_eq!(bench.machine.handle_attached(bench.now), None, "no plain socket either");
    assert!(bench.machine.is_current(epoch) && bench.events().is_empty());
    assert_eq!(bench.transmits(), ["secret"]);
}

#[test]
fn a_stolen_key_without_the_instance_opens_nothing() {
    let (mut bench, _, stream) = Bench::open();
    assert_eq!(bench.hello(2, 1, Some(stream), 0).err(), Some(Refusal::Key));
}

#[test]
fn a_key_that_was_used_is_worth_nothing() {
    let (mut bench, epoch, stream) = Bench::open();
    assert_eq!(bench.hello(1, 0, None, 0).err(), Some(Refusal::Key), "the page key, by the first page");
    let (epoch2, welcome) = bench.resume(1, stream, 0);
    assert!(epoch < epoch2);
    assert!(bench.machine.handle_ping(epoch2, bench.now), "any frame behind the hello shows the new one");
    assert_eq!(bench.hello(1, 1, Some(stream), 0).err(), Some(Refusal::Key));
    assert!(bench.hello(1, welcome.key.as_bytes()[0], Some(stream), 0).is_ok());
}

#[test]
fn a_welcome_that_is_lost_locks_nobody_out() {
    let (mut bench, _, stream) = Bench::open();
    for _ in 0..10 {
        let (_, welcome) = bench.resume(1, stream, 0);
        assert!(welcome.resumed);
    }
}

#[test]
fn when_the_first_welcome_is_lost_all_begins_anew() {
    let mut bench = Bench::new();
    let (_, first) = bench.hello(1, 0, None, 0).unwrap();
    let (epoch, second) = bench.hello(1, 0, None, 0).unwrap();
    assert!(!second.resumed && second.stream != first.stream);
    bench.loaded(epoch);
    assert_eq!(bench.hello(1, 2, None, 0).err(), Some(Refusal::Stream), "something has been received");
}

#[test]
fn another_stream_is_a_mismatch() {
    let (mut bench, ..) = Bench::open();
    let refusal = bench.hello(1, 1, Some(StreamId::new([99; 16])), 0).unwrap_err();
    assert_eq!(refusal, Refusal::Stream);
    assert!(refusal.is_mismatch());
    let mut bench = Bench::new();
    assert_eq!(bench.hello(1, 0, Some(StreamId::new([99; 16])), 0).err(), Some(Refusal::Stream));
    assert_eq!(bench.hello(1, 0, None, 1).err(), Some(Refusal::Count));
}

#[test]
fn an_impossible_count_is_a_mismatch_and_both_sides_are_told() {
    let (mut bench, epoch, stream) = Bench::open();
    bench.send("1");
    bench.transmits();
    assert_eq!(bench.hello(1, 1, Some(stream), 2).err(), Some(Refusal::Count));
    assert_eq!(bench.ack(epoch, 2), Err(Refusal::Count), "never sent");
    bench.ack(epoch, 1).unwrap();
    assert_eq!(bench.ack(epoch, 0), Err(Refusal::Count), "less than before");
    assert_eq!(bench.hello(1, 1, Some(stream), 0).err(), Some(Refusal::Count), "less than before");
    assert!(bench.machine.close(CloseReason::Mismatch, bench.now));
    assert_eq!(bench.events(), ["ContinuityLost(Mismatch)", "Closed(Mismatch)"]);
    assert_eq!(bench.machine.continuity_lost(), Some(ContinuityLost::Mismatch));
    assert_eq!(bench.hello(1, 1, None, 0).err(), Some(Refusal::Closed(CloseReason::Mismatch)));
}

#[test]
fn a_duplicated_tab_is_sent_away_by_default() {
    let (mut bench, epoch, _) = Bench::open();
    assert_eq!(bench.hello(2, 0, None, 0).err(), Some(Refusal::Fork));
    bench.takeover = Takeover::Reject;
    assert_eq!(bench.hello(2, 0, None, 0).err(), Some(Refusal::Duplicate));
    assert!(bench.machine.is_current(epoch) && bench.events().is_empty());
}

#[test]
fn the_newest_takes_over_and_the_application_is_told() {
    let (mut bench, old, stream) = Bench::open();
    bench.takeover = Takeover::Newest;
    bench.send("for the first");
    bench.transmits();
    let (new, welcome) = bench.hello(2, 0, None, 0).unwrap();
    assert!(!welcome.resumed && welcome.stream != stream);
    assert!(bench.machine.is_current(new) && !bench.machine.is_current(old));
    bench.loaded(new);
    assert_eq!(
        bench.events(),
        ["SoftClosed", "ContinuityLost(TakenOver)", "Opened { again: true, resumed: false }"]
    );
    bench.send("for the second");
    assert_eq!(bench.transmits(), ["for the second"], "what the first was sent is not the second's");
    assert_eq!(bench.hello(1, 1, Some(stream), 1).err(), Some(Refusal::Key), "the first is out");
}

#[test]
fn a_plain_socket_may_have_the_session_until_somebody_resumes() {
    let mut bench = Bench::new();
    let plain = bench.machine.handle_attached(bench.now).unwrap();
    let (epoch, _) = bench.hello(1, 0, None, 0).unwrap();
    assert!(!bench.machine.is_current(plain) && bench.machine.is_current(epoch));
    assert_eq!(bench.machine.handle_attached(bench.now), None);
}

#[test]
fn the_window_closes_and_an_acknowledgement_opens_it() {
    let limits = Limits { replay_messages: 2, ..Limits::default() };
    let mut bench = Bench::with(&limits);
    let (epoch, _) = bench.hello(1, 0, None, 0).unwrap();
    bench.loaded(epoch);
    for text in ["1", "2", "3", "4", "5"] {
        bench.send(text);
    }
    assert_eq!(bench.transmits(), ["1", "2"]);
    assert!(!bench.machine.has_transmit() && bench.machine.is_held_back());
    let a = ObservableId::next();
    assert_eq!(bench.machine.send_update(a, Bytes::from("a1")), SendOutcome::Queued);
    assert_eq!(bench.machine.send_update(a, Bytes::from("a2")), SendOutcome::Compacted);
    bench.ack(epoch, 1).unwrap();
    assert!(bench.machine.has_transmit());
    assert_eq!(bench.transmits(), ["3"]);
    bench.ack(epoch, 3).unwrap();
    assert_eq!(bench.transmits(), ["4", "5"]);
    bench.ack(epoch, 5).unwrap();
    assert_eq!(bench.transmits(), ["a2"]);
}

#[test]
fn what_is_sent_again_goes_out_though_the_window_is_closed() {
    let limits = Limits { replay_messages: 2, ..Limits::default() };
    let mut bench = Bench::with(&limits);
    let (epoch, welcome) = bench.hello(1, 0, None, 0).unwrap();
    bench.loaded(epoch);
    for text in ["1", "2", "3"] {
        bench.send(text);
    }
    assert_eq!(bench.transmits(), ["1", "2"]);
    let (epoch, _) = bench.resume(1, welcome.stream, 0);
    assert!(bench.machine.has_transmit());
    assert_eq!(bench.transmits(), ["1", "2"]);
    bench.ack(epoch, 2).unwrap();
    assert_eq!(bench.transmits(), ["3"]);
}

#[test]
fn both_lanes_have_one_count() {
    let (mut bench, _, stream) = Bench::open();
    bench.machine.send_large(Bytes::from("large"));
    bench.send("small");
    assert_eq!(bench.transmits(), ["small", "large"]);
    assert_eq!(bench.machine.sent(), 2);
    bench.resume(1, stream, 1);
    assert_eq!(bench.transmits(), ["large"]);
}

#[test]
fn what_was_polled_and_not_sent_is_still_to_be_sent() {
    let (mut bench, _, _) = Bench::open();
    bench.send("1");
    bench.send("2");
    let first = bench.machine.poll_transmit();
    let second = bench.machine.poll_transmit();
    assert!(first.is_some());
    bench.machine.handle_unsent(second.into_iter().collect());
    assert_eq!(bench.machine.sent(), 1);
    assert_eq!(bench.transmits(), ["2"]);
}

#[test]
fn memory_is_bounded_while_the_page_is_away() {
    let (mut bench, epoch, _) = Bench::open();
    bench.machine.handle_detached(epoch, bench.now);
    let ids: Vec<_> = (0..100).map(|_| ObservableId::next()).collect();
    for _ in 0..1000 {
        for id in &ids {
            bench.machine.send_update(*id, Bytes::from(vec![0; 100]));
        }
    }
    assert!(bench.machine.held_bytes() <= 100 * 100, "{}", bench.machine.held_bytes());
    assert!(!bench.machine.poll_overflow());
}

#[test]
fn continuity_is_lost_when_something_waited_and_only_then() {
    type Prepare = fn(&mut Bench, Epoch);
    let nothing: Prepare = |_, _| {};
    let waits: Prepare = |bench, epoch| {
        bench.machine.handle_detached(epoch, bench.now);
        bench.send("1");
    };
    let unacknowledged: Prepare = |bench, _| {
        bench.send("1");
        bench.transmits();
    };
    for (prepare, reason, lost) in [
        (nothing, CloseReason::Cleanup, None),
        (waits, CloseReason::Cleanup, Some(ContinuityLost::Expired)),
        (unacknowledged, CloseReason::Cleanup, Some(ContinuityLost::Expired)),
        (unacknowledged, CloseReason::Disconnected, Some(ContinuityLost::Expired)),
        (nothing, CloseReason::Capacity, None),
        (waits, CloseReason::Capacity, Some(ContinuityLost::Evicted)),
        (nothing, CloseReason::Overflow, Some(ContinuityLost::Overflow)),
        (nothing, CloseReason::Mismatch, Some(ContinuityLost::Mismatch)),
        (waits, CloseReason::Application, None),
    ] {
        let (mut bench, epoch, _) = Bench::open();
        prepare(&mut bench, epoch);
        bench.machine.close(reason, bench.now);
        assert_eq!(bench.machine.continuity_lost(), lost, "{reason:?}");
    }
    let mut plain = SessionMachine::new(SessionId::random().unwrap(), &Limits::default(), Instant::now());
    plain.close(CloseReason::Overflow, Instant::now());
    assert_eq!(plain.continuity_lost(), None, "a page that cannot resume is promised nothing");
}

#[test]
fn idle_for_longer_than_anything_is_kept_it_resumes_all_the_same() {
    let (mut bench, epoch, stream) = Bench::open();
    bench.send("1");
    bench.transmits();
    bench.ack(epoch, 1).unwrap();
    bench.now += Duration::from_secs(86_400);
    bench.machine.handle_detached(epoch, bench.now);
    bench.now += Duration::from_secs(50);
    assert!(bench.resume(1, stream, 1).1.resumed);
    assert_eq!(bench.transmits(), [""; 0]);
}
