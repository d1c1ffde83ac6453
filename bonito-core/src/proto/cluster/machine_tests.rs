//! The machine alone, and frames that no honest node sends. What honest nodes do to each other is simulated.

use proptest::prelude::*;

use super::*;
use crate::proto::cluster::{Outcome, VERSION};

const TTL: Duration = Duration::from_secs(12);

struct Bench {
    machine: ClusterMachine,
    now: Instant,
}

fn other(number: u64) -> NodeId {
    NodeId::new(1000 + number)
}

fn encode(from: NodeId, body: Body) -> Bytes {
    Frame { from, body }.encode().unwrap()
}

fn member(group: &str, serial: u64) -> Change {
    Change::Member { group: group.into(), serial, meta: Blob(Bytes::from_static(b"meta")) }
}

impl Bench {
    fn with(change: impl FnOnce(&mut ClusterOptions)) -> Self {
        let mut options = ClusterOptions::new("test");
        options.lease_ttl = TTL;
        change(&mut options);
        #[expect(clippy::disallowed_methods, reason = "tests start somewhere")]
        let now = Instant::now();
        Self { machine: ClusterMachine::new(NodeId::new(1), options, now), now }
    }

    fn new() -> Self {
        Self::with(|_| {})
    }

    fn hear(&mut self, from: NodeId, body: Body) {
        self.machine.handle_frame(&encode(from, body), self.now);
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.machine.poll_event()).collect()
    }

    fn said(&mut self) -> Vec<(Option<NodeId>, Body)> {
        let (now, options) = (self.now, self.machine.options.clone());
        std::iter::from_fn(|| self.machine.poll_transmit(now))
            .map(|transmit| {
                let frame = Frame::decode(&transmit.bytes, &options).unwrap();
                (transmit.to, frame.body)
            })
            .collect()
    }

    fn pulls(&mut self) -> Vec<Option<u64>> {
        let pull = |(_, body)| match body {
            Body::Pull { have } => Some(have),
            _ => None,
        };
        self.said().into_iter().filter_map(pull).collect()
    }

    /// The other node has said where it stands and sent this in one part.
    fn snapshot(&mut self, from: NodeId, version: u64, entries: Vec<Change>) {
        self.hear(from, Body::Snapshot { version, part: 0, parts: 1, entries });
    }

    fn request(&mut self) -> OpId {
        match self.machine.poll_request().unwrap() {
            Request::Acquire { op, .. } | Request::Renew { op, .. } | Request::Release { op, .. } => op,
        }
    }

    fn held(&mut self, claim: u64, name: &str, epoch: u64) {
        self.machine.claim(ClaimId(claim), &name.into(), claim, self.now);
        let op = self.request();
        self.machine.handle_acquired(op, Ok(Acquired::Granted { epoch }), self.now);
    }
}

#[test]
fn an_owner_acts_three_quarters_of_the_time_after_it_began_to_ask() {
    let mut bench = Bench::new();
    let claim = ClaimId(7);
    bench.machine.claim(claim, &"ada".into(), 1, bench.now);
    let asked = bench.now;
    let op = bench.request();
    bench.now += TTL / 12;
    bench.machine.handle_acquired(op, Ok(Acquired::Granted { epoch: 3 }), bench.now);
    let until = asked + TTL * 3 / 4;
    assert_eq!(bench.events(), [Event::Held { claim, epoch: 3, until }]);
    let last = until - Duration::from_nanos(1);
    assert_eq!((bench.machine.may_act(claim, last), bench.machine.may_act(claim, until)), (Some(3), None));
    bench.machine.handle_timeout(asked + TTL / 3);
    assert!(matches!(bench.machine.poll_request(), Some(Request::Renew { epoch: 3, .. })));
}

#[test]
fn a_renewal_that_comes_too_late_brings_no_name_back() {
    let mut bench = Bench::new();
    bench.held(7, "ada", 3);
    bench.events();
    bench.now += TTL / 3;
    bench.machine.handle_timeout(bench.now);
    let op = bench.request();
    bench.now += TTL / 2;
    bench.machine.handle_renewed(op, Ok(Renewed::Renewed), bench.now);
    assert!(matches!(&bench.events()[..], [Event::Lost { reason: NameLost::Expired, .. }]));
    assert_eq!(bench.machine.may_act(ClaimId(7), bench.now), None);
    assert!(matches!(bench.machine.poll_request(), Some(Request::Release { epoch: 3, .. })));
}

#[test]
fn an_answer_that_comes_too_late_is_no_name() {
    let mut bench = Bench::new();
    bench.machine.claim(ClaimId(7), &"ada".into(), 1, bench.now);
    let op = bench.request();
    bench.now += TTL * 3 / 4;
    bench.machine.handle_acquired(op, Ok(Acquired::Granted { epoch: 3 }), bench.now);
    assert!(matches!(&bench.events()[..], [Event::Lost { reason: NameLost::Unreachable, .. }]));
    assert!(matches!(bench.machine.poll_request(), Some(Request::Release { epoch: 3, .. })));
}

#[test]
fn the_next_claim_of_a_name_gets_an_epoch_of_its_own() {
    let mut bench = Bench::new();
    bench.held(7, "ada", 3);
    bench.machine.release(ClaimId(7), bench.now);
    bench.machine.claim(ClaimId(8), &"ada".into(), 2, bench.now);
    let Some(Request::Release { op, epoch: 3, .. }) = bench.machine.poll_request() else {
        panic!("expected the first lease to be released")
    };
    assert_eq!(bench.machine.poll_request(), None, "one call at a time");
    bench.machine.handle_released(op, Ok(()), bench.now);
    let Some(Request::Acquire { op, .. }) = bench.machine.poll_request() else { panic!("expected a claim") };
    bench.machine.handle_acquired(op, Ok(Acquired::Granted { epoch: 4 }), bench.now);
    assert_eq!(bench.machine.may_act(ClaimId(8), bench.now), Some(4));
}

#[test]
fn a_message_of_another_epoch_comes_to_nobody() {
    let mut bench = Bench::new();
    bench.held(7, "ada", 3);
    bench.events();
    for epoch in [2, 4] {
        let message = Blob(Bytes::new());
        bench.hear(other(1), Body::Send { name: "ada".into(), epoch, receipt: Some(epoch), message });
    }
    assert_eq!(bench.events(), []);
    let said = bench.said();
    for receipt in [2, 4] {
        assert!(said.contains(&(Some(other(1)), Body::Receipt { receipt, outcome: Outcome::Nobody })));
    }
    bench
        .hear(other(1), Body::Send { name: "ada".into(), epoch: 3, receipt: None, message: Blob::default() });
    assert!(matches!(&bench.events()[..], [Event::Deliver { claim: ClaimId(7), .. }]));
}

#[test]
fn a_frame_of_another_version_is_refused() {
    let mut bench = Bench::new();
    let mut frame = encode(other(1), Body::Hello { version: 0, digest: 0 }).to_vec();
    frame[0] = VERSION + 1;
    bench.machine.handle_frame(&frame, bench.now);
    assert_eq!((bench.machine.refused_frames(), bench.machine.nodes().count()), (1, 0));
    frame[0] = VERSION;
    bench.machine.handle_frame(&frame, bench.now);
    assert_eq!((bench.machine.refused_frames(), bench.machine.nodes().count()), (1, 1));
}

#[test]
fn a_roster_that_adds_up_to_something_else_is_asked_for_anew() {
    let mut bench = Bench::new();
    let entries = vec![member("lobby", 1)];
    let digest = entries[0].digest();
    bench.hear(other(1), Body::Hello { version: 5, digest });
    assert_eq!(bench.pulls(), [None]);
    bench.snapshot(other(1), 5, entries);
    bench.hear(other(1), Body::Hello { version: 5, digest });
    assert!(bench.pulls().is_empty());
    bench.hear(other(1), Body::Hello { version: 5, digest: digest ^ 1 });
    assert_eq!(bench.pulls(), [None], "it has missed nothing, and yet knows something else");
}

#[test]
fn a_change_that_is_missing_is_asked_for_once_and_what_is_known_is_not_applied_again() {
    let mut bench = Bench::new();
    bench.snapshot(other(1), 5, vec![member("lobby", 1)]);
    bench.events();
    bench.said();
    let delta = |base, serial| Body::Delta { base, changes: vec![member("lobby", serial)] };
    bench.hear(other(1), delta(7, 3));
    bench.hear(other(1), delta(8, 4));
    assert_eq!(bench.pulls(), [Some(5)]);
    bench.now += TTL / 5;
    bench.hear(other(1), delta(9, 5));
    assert_eq!(bench.pulls(), [Some(5)], "the answer may have been lost");
    let changes = (2..6).map(|serial| member("lobby", serial)).collect();
    bench.hear(other(1), Body::Delta { base: 4, changes });
    assert_eq!(bench.events().len(), 3, "the first of them was known");
    bench.hear(other(1), delta(5, 9));
    assert_eq!(bench.events(), []);
    assert_eq!(bench.machine.members("lobby"), [(other(1), 4)]);
}

#[test]
fn a_snapshot_changes_nothing_before_it_is_whole() {
    let mut bench = Bench::new();
    let part = |version, part, serial| Body::Snapshot {
        version,
        part,
        parts: 2,
        entries: vec![member("a", serial)],
    };
    bench.hear(other(1), part(5, 0, 1));
    bench.hear(other(1), part(6, 1, 2));
    bench.hear(other(1), part(5, 0, 1));
    assert_eq!(bench.events(), []);
    bench.hear(other(1), part(5, 1, 2));
    assert_eq!(bench.events().len(), 2);
}

#[test]
fn of_two_nodes_that_say_to_have_a_name_the_later_epoch_has_it() {
    let mut bench = Bench::new();
    let name = |serial, epoch| Change::Name { name: "ada".into(), serial, epoch };
    bench.snapshot(other(1), 1, vec![name(1, 8)]);
    bench.snapshot(other(2), 1, vec![name(2, 7)]);
    assert_eq!(bench.machine.owner("ada"), Some(Owner { node: other(1), serial: 1, epoch: 8 }));
    bench.hear(other(1), Body::Bye);
    assert_eq!(bench.machine.owner("ada"), Some(Owner { node: other(2), serial: 2, epoch: 7 }));
    bench.now += TTL / 3;
    bench.machine.handle_timeout(bench.now);
    bench.now += TTL / 3;
    bench.machine.handle_timeout(bench.now);
    bench.now += TTL / 3;
    bench.machine.handle_timeout(bench.now);
    assert_eq!(bench.machine.owner("ada"), None, "a silent node is not there");
}

#[test]
fn a_process_that_has_slept_does_not_take_the_others_for_gone() {
    let mut bench = Bench::new();
    bench.snapshot(other(1), 1, vec![member("lobby", 1)]);
    bench.events();
    bench.now += 10 * TTL;
    bench.machine.handle_timeout(bench.now);
    assert_eq!(bench.events(), []);
    assert!(bench.said().iter().any(|(to, body)| to.is_none() && matches!(body, Body::Hello { .. })));
}

#[test]
fn what_is_over_a_bound_is_refused() {
    let mut bench = Bench::with(|options| (options.nodes, options.entries) = (2, 10));
    for node in 0..5 {
        bench.hear(other(node), Body::Hello { version: 0, digest: 0 });
    }
    assert_eq!(bench.machine.nodes().count(), 2);
    bench.snapshot(other(0), 5, (0..11).map(|serial| member("lobby", serial)).collect());
    bench.snapshot(other(1), 5, (0..10).map(|serial| member("lobby", serial)).collect());
    assert_eq!(bench.machine.members("lobby"), [(other(1), 10)]);
    bench.hear(other(1), Body::Delta { base: 5, changes: vec![member("attic", 1)] });
    assert_eq!(bench.machine.members("lobby"), [], "it counts as empty");
    let long = "x".repeat(NAME_BYTES + 1);
    let refused = bench.machine.refused_frames();
    bench.snapshot(other(0), 6, vec![member(&long, 1)]);
    bench.hear(other(0), Body::Publish { group: long.clone(), message: Blob::default() });
    assert_eq!(bench.machine.refused_frames(), refused + 2);
    assert!(!bench.machine.join(&long.into(), 1, Bytes::new()));
    assert!((0..20).filter(|serial| bench.machine.join(&"a".into(), *serial, Bytes::new())).count() == 10);
    bench.machine.claim(ClaimId(1), &"ada".into(), 1, bench.now);
    assert!(matches!(bench.events().last(), Some(Event::Lost { reason: NameLost::Refused, .. })));
}

#[test]
fn a_large_roster_goes_in_parts_and_not_as_often_as_it_is_asked_for() {
    let mut bench = Bench::new();
    for serial in 0..20_000 {
        assert!(bench.machine.join(&"lobby".into(), serial, Bytes::from(vec![7; 100])));
    }
    bench.hear(other(1), Body::Hello { version: 0, digest: 0 });
    bench.said();
    let mut parts = Vec::new();
    for _ in 0..3 {
        bench.hear(other(1), Body::Pull { have: None });
        while let Some(transmit) = bench.machine.poll_transmit(bench.now) {
            assert!(transmit.bytes.len() <= bench.machine.options.frame_bytes);
            parts.push(transmit.bytes);
        }
    }
    let mut reader = Bench::new();
    reader.machine = ClusterMachine::new(other(1), reader.machine.options.clone(), reader.now);
    for part in &parts {
        reader.machine.handle_frame(part, reader.now);
    }
    assert_eq!(reader.machine.members("lobby"), [(NodeId::new(1), 20_000)]);
    let entries = 20_000 * (100 + 64);
    assert!(parts.iter().map(Bytes::len).sum::<usize>() < entries, "all of it is sent once");
}

#[test]
fn many_who_ask_for_a_large_roster_leave_room_for_messages() {
    let mut bench = Bench::new();
    let outbox = bench.machine.options.outbox_bytes;
    let entry = 1000;
    let entries = outbox * 3 / 5 / entry;
    for serial in 0..entries {
        assert!(bench.machine.join(&"lobby".into(), serial as u64, Bytes::from(vec![7; entry])));
    }
    let askers = [1, 2, 3].map(other);
    for asker in askers {
        bench.hear(asker, Body::Hello { version: 0, digest: 0 });
    }
    bench.said();
    for asker in askers {
        bench.hear(asker, Body::Pull { have: None });
    }
    let first = bench.machine.poll_transmit(bench.now).unwrap();
    assert!(bench.machine.has_room(1000));
    let options = bench.machine.options.clone();
    let mut served = BTreeSet::new();
    let rest: Vec<_> = std::iter::from_fn(|| bench.machine.poll_transmit(bench.now)).collect();
    for transmit in std::iter::once(first).chain(rest) {
        if let Body::Snapshot { part, parts, .. } = Frame::decode(&transmit.bytes, &options).unwrap().body
            && part + 1 == parts
        {
            assert!(served.insert(transmit.to), "all of it is sent once");
        }
    }
    assert_eq!(served, askers.map(Some).into());
}

/// The two subjects of a node are not in order to each other.
#[test]
fn a_node_that_has_left_does_not_come_back_by_what_it_said_before() {
    let mut bench = Bench::new();
    bench.snapshot(other(1), 1, vec![member("g", 1)]);
    bench.hear(other(1), Body::Bye);
    bench.events();
    bench.snapshot(other(1), 2, vec![member("g", 1)]);
    bench.hear(other(1), Body::Hello { version: 2, digest: 0 });
    assert_eq!(bench.machine.nodes().count(), 0);
    assert!(bench.machine.members("g").is_empty());
    let message = Blob(Bytes::from_static(b"last word"));
    bench.hear(other(1), Body::Publish { group: "g".into(), message });
    assert!(matches!(&bench.events()[..], [Event::Published { .. }]), "but its messages are not lost");
    assert_eq!(bench.machine.nodes().count(), 0);

    bench.now += TTL;
    bench.machine.handle_timeout(bench.now);
    bench.snapshot(other(1), 2, vec![member("g", 1)]);
    assert_eq!(bench.machine.nodes().count(), 1, "nobody is kept out for good");
}

#[test]
fn a_flood_of_nodes_that_leave_is_not_remembered() {
    let mut bench = Bench::with(|options| options.nodes = 2);
    for number in 1..=3 {
        bench.hear(other(number), Body::Bye);
        bench.now += Duration::from_millis(1);
    }
    let mut left = (1..=3).map(|number| bench.machine.peers.has_left(other(number)));
    assert!(left.by_ref().eq([false, true, true]));
}

#[test]
fn a_node_with_nothing_to_say_says_where_it_stands_four_times_a_lease() {
    let mut bench = Bench::new();
    bench.said();
    let mut hellos = 0;
    for _ in 0..400 {
        bench.now += TTL / 100;
        if bench.machine.poll_timeout() <= bench.now {
            bench.machine.handle_timeout(bench.now);
            hellos += bench.said().len();
        }
    }
    assert_eq!(hellos, 16);
}

proptest! {
    /// Whatever a node says, nobody panics, and no bound is passed.
    #[test]
    fn hostile_frames_harm_nobody(
        frames in prop::collection::vec((0usize..6, any::<u64>(), any::<u32>(), prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4)), 1..40),
    ) {
        let mut bench = Bench::with(|options| options.entries = 8);
        bench.held(7, "ada", 3);
        for (kind, number, small, flips) in frames {
            let body = match kind {
                0 => Body::Hello { version: number, digest: number },
                1 => Body::Pull { have: (number % 2 == 0).then_some(number) },
                2 => Body::Delta { base: number % 3, changes: vec![member("lobby", number), Change::NameGone { name: "ada".into() }] },
                3 => Body::Delta { base: u64::MAX - number % 3, changes: vec![member("lobby", 1); 4] },
                4 => Body::Snapshot { version: u64::MAX - number % 2, part: small % 2, parts: small % 4, entries: vec![member("lobby", number); 3] },
                _ => Body::Send { name: "ada".into(), epoch: number % 5, receipt: Some(number), message: Blob::default() },
            };
            let mut frame = encode(other(number % 3), body).to_vec();
            for (at, byte) in flips {
                let at = at.index(frame.len());
                frame[at] = byte;
            }
            bench.now += TTL / 50;
            bench.machine.handle_frame(&frame, bench.now);
            bench.machine.handle_timeout(bench.now);
            while bench.machine.poll_event().is_some() {}
            while bench.machine.poll_transmit(bench.now).is_some() {}
            while bench.machine.poll_request().is_some() {}
        }
        let members: usize = bench.machine.members("lobby").iter().map(|(_, members)| members).sum();
        prop_assert!(members <= 8 * bench.machine.nodes().count());
    }
}
