//! A clustered registry where connections to the broker break, processes die, and nodes talk nonsense.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests spawn, wait and expect")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bonito_core::{
    Address, ClusterBackend, ClusterOptions, DeliverError, Endpoint, NameLost, Posted, PresenceChange,
    RegisterError, Registry, Session,
};
use bonito_testkit::{LocalCluster, LocalNode};
use bytes::Bytes;
use serde::{Deserialize, Serialize, Serializer};
use tokio::time::{Instant, sleep, timeout};

const TTL: Duration = Duration::from_secs(12);
const MILLISECOND: Duration = Duration::from_millis(1);

fn options() -> ClusterOptions {
    let mut options = ClusterOptions::new("app");
    options.lease_ttl = TTL;
    options
}

/// A process: its registry, and its connection to the broker.
async fn process(cluster: &LocalCluster) -> (Registry<String, String>, Arc<LocalNode>) {
    let node = cluster.node();
    (Registry::clustered(node.clone(), options()).await.unwrap(), node)
}

struct Ear {
    session: Session,
    address: Address<String>,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Ear {
    fn new() -> Self {
        let session = Endpoint::builder("/live").build().session();
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let hears = heard.clone();
        let address = session.on_message(move |message: String| hears.lock().unwrap().push(message));
        Self { session, address, heard }
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

async fn until(condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            sleep(MILLISECOND).await;
        }
    };
    timeout(10 * TTL, waiting).await.expect("the condition never came true");
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_is_cut_off_knows_that_it_lost_before_another_can_have_the_name() {
    let cluster = LocalCluster::new();
    let ((here, cut), (there, _)) = (process(&cluster).await, process(&cluster).await);
    let (ada, other) = (Ear::new(), Ear::new());
    let tell = |reason| format!("lost: {reason:?}");
    let name = here.unique().register_or_tell("ada", &ada.address, tell).unwrap();
    name.held().await.unwrap();
    let first = name.epoch().unwrap();
    cut.cut();
    let lost = Instant::now();
    let next = tokio::spawn(async move {
        loop {
            let claim = there.unique().register("ada", &other.address).unwrap();
            if claim.held().await.is_ok() {
                return (Instant::now(), claim.epoch().unwrap());
            }
            drop(claim);
            sleep(MILLISECOND).await;
        }
    });
    assert_eq!(name.lost().await, NameLost::Expired);
    let told = Instant::now();
    assert!(!name.is_held() && name.epoch().is_none());
    assert!(told - lost <= TTL * 3 / 4, "it stops three quarters of the time after its last renewal");
    assert_eq!(here.unique().send("ada", "hello".into()), Posted::Nobody);
    until(|| ada.heard() == ["lost: Expired"]).await;
    assert!(!next.is_finished(), "nobody has it yet");
    let (taken, second) = next.await.unwrap();
    assert!(taken - told >= TTL / 5, "between the two is time for clocks that differ");
    assert!(second > first);
}

#[tokio::test(start_paused = true)]
async fn a_short_cut_costs_no_name() {
    let cluster = LocalCluster::new();
    let (here, node) = process(&cluster).await;
    let ada = Ear::new();
    let name = here.unique().register("ada", &ada.address).unwrap();
    name.held().await.unwrap();
    let epoch = name.epoch();
    for _ in 0..5 {
        node.cut();
        sleep(TTL / 4).await;
        node.heal();
        sleep(TTL / 2).await;
        assert_eq!(name.epoch(), epoch);
    }
    assert_eq!(here.unique().send("ada", "hello".into()), Posted::Queued);
}

#[tokio::test(start_paused = true)]
async fn the_name_of_a_process_that_died_is_free_after_its_lease() {
    let cluster = LocalCluster::new();
    let ((here, dead), (there, _)) = (process(&cluster).await, process(&cluster).await);
    let (ada, other) = (Ear::new(), Ear::new());
    let name = here.unique().register("ada", &ada.address).unwrap();
    name.held().await.unwrap();
    dead.cut();
    let early = there.unique().register("ada", &other.address).unwrap();
    assert_eq!(early.held().await, Err(NameLost::Taken), "it may still be alive");
    drop(early);
    sleep(TTL + MILLISECOND).await;
    let late = there.unique().register("ada", &other.address).unwrap();
    late.held().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_is_not_answered_fails_and_what_it_left_is_no_obstacle() {
    let cluster = LocalCluster::new();
    let (here, node) = process(&cluster).await;
    let ada = Ear::new();
    node.lose_answers();
    let name = here.unique().register("ada", &ada.address).unwrap();
    assert_eq!(name.held().await, Err(NameLost::Unreachable));
    assert_eq!(cluster.leases(), 1, "the claim has reached the broker");
    assert_eq!(here.unique().send("ada", "hello".into()), Posted::Nobody);
    node.heal();
    let again = here.unique().register("ada", &ada.address).unwrap();
    again.held().await.unwrap();
    assert_eq!(cluster.leases(), 1);
}

#[tokio::test(start_paused = true)]
async fn members_of_a_process_that_died_leave_and_those_of_one_that_was_cut_off_come_back() {
    let cluster = LocalCluster::new();
    let ((here, _), (there, cut)) = (process(&cluster).await, process(&cluster).await);
    let (ada, bob) = (Ear::new(), Ear::new());
    let one = here.group().join_as("lobby", &ada.address, "ada".into());
    let two = there.group().join_as("lobby", &bob.address, "bob".into());
    until(|| here.group().members("lobby").len() == 2 && there.group().members("lobby").len() == 2).await;
    let mut presence = here.group().watch("lobby");
    for _ in 0..2 {
        assert!(matches!(presence.next().await, PresenceChange::Joined(_)));
    }
    cut.cut();
    let start = Instant::now();
    assert!(matches!(presence.next().await, PresenceChange::Left(member) if member.meta() == "bob"));
    assert!(start.elapsed() <= TTL && start.elapsed() >= TTL / 2);
    assert_eq!(here.group().publish("lobby", "hello".into()).elsewhere, 0);
    until(|| there.group().members("lobby").len() == 1).await;
    // Much happens on both sides meanwhile.
    let eve = Ear::new();
    let three = there.group().join_as("lobby", &eve.address, "eve".into());
    let fresh = there.group().join_as("lobby", &bob.address, "bob again".into());
    drop(one);
    cut.heal();
    let mut metas: Vec<String> = Vec::new();
    while metas.len() < 2 {
        if let PresenceChange::Joined(member) = presence.next().await {
            metas.push(member.meta().clone());
        }
    }
    metas.sort();
    assert_eq!(metas, ["bob again", "eve"]);
    until(|| there.group().members("lobby").len() == 2).await;
    assert_eq!(here.group().publish("lobby", "welcome".into()).elsewhere, 2);
    until(|| bob.heard() == ["welcome"] && eve.heard() == ["welcome"]).await;
    drop((two, three, fresh));
}

#[tokio::test(start_paused = true)]
async fn what_is_missed_while_cut_off_shortly_is_learned_afterwards() {
    let cluster = LocalCluster::new();
    let ((here, _), (there, cut)) = (process(&cluster).await, process(&cluster).await);
    until(|| here.nodes().len() == 1 && there.nodes().len() == 1).await;
    cut.cut();
    let ears: Vec<_> = (0..2000).map(|_| Ear::new()).collect();
    let joined: Vec<_> = ears.iter().map(|ear| here.group().join("lobby", &ear.address)).collect();
    sleep(TTL / 4).await;
    cut.heal();
    until(|| there.group().members("lobby").len() == 2000).await;
    drop(joined);
    until(|| there.group().is_empty()).await;
}

/// Nobody can have such a name, so the backend is not asked: it may refuse a key of that length, or not be there.
#[tokio::test(start_paused = true)]
async fn a_message_to_a_name_that_is_too_long_is_for_nobody() {
    let cluster = LocalCluster::new();
    let (here, node) = process(&cluster).await;
    node.cut();
    assert_eq!(here.unique().deliver(&"x".repeat(400), "hello".into()).await.unwrap(), Posted::Nobody);
    assert!(
        here.unique().deliver(&"x".repeat(256), "hello".into()).await.is_err(),
        "of this one it cannot know"
    );
}

#[tokio::test(start_paused = true)]
async fn a_full_mailbox_is_an_answer_across_processes() {
    let cluster = LocalCluster::new();
    let ((here, _), (there, _)) = (process(&cluster).await, process(&cluster).await);
    // A connection that takes nothing: its handler waits for the first message to be let go.
    let session = Endpoint::builder("/live").build().session();
    let count = Arc::new(AtomicUsize::new(0));
    let counts = count.clone();
    let address = session.on_message(move |_: String| _ = counts.fetch_add(1, Ordering::Relaxed));
    let name = here.unique().register("ada", &address).unwrap();
    name.held().await.unwrap();
    let sends = (0..1000).map(|n: u32| there.unique().deliver("ada", n.to_string()));
    let answers = futures_util::future::join_all(sends).await;
    let queued = answers.iter().filter(|answer| matches!(answer, Ok(Posted::Queued))).count();
    let refused = answers.iter().filter(|answer| matches!(answer, Ok(Posted::Refused))).count();
    assert_eq!(queued + refused, 1000);
    assert!(refused > 0, "a thousand at once are more than a mailbox holds");
    until(|| count.load(Ordering::Relaxed) == queued).await;
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_the_sender_knows_that_it_does_not_know() {
    let cluster = LocalCluster::new();
    let ((here, cut), (there, sender)) = (process(&cluster).await, process(&cluster).await);
    let ada = Ear::new();
    let name = here.unique().register("ada", &ada.address).unwrap();
    name.held().await.unwrap();
    until(|| there.unique().find("ada").is_some()).await;
    cut.cut();
    let answer = there.unique().deliver("ada", "hello".into()).await;
    assert!(matches!(answer, Err(DeliverError::Unconfirmed)), "{answer:?}");
    sender.cut();
    until(|| there.unique().find("ada").is_none()).await;
    let answer = there.unique().deliver("ada", "hello".into()).await;
    assert!(matches!(&answer, Err(DeliverError::Backend(error)) if error.is_unreachable()), "{answer:?}");
    drop(ada.session);
}

/// A message that counts how often it is written.
#[derive(Clone, Debug, Deserialize)]
struct Counted(String);

static WRITTEN: AtomicUsize = AtomicUsize::new(0);

impl Serialize for Counted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        WRITTEN.fetch_add(1, Ordering::Relaxed);
        serializer.serialize_newtype_struct("Counted", &self.0)
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_to_a_group_is_written_once_and_to_this_process_alone_never() {
    let cluster = LocalCluster::new();
    let mut nodes = Vec::new();
    for _ in 0..4 {
        nodes.push(Registry::<Counted>::clustered(cluster.node(), options()).await.unwrap());
    }
    let heard = Arc::new(AtomicUsize::new(0));
    let mut kept = Vec::new();
    let mut join = |node: &Registry<Counted>, group: &str| {
        let session = Endpoint::builder("/live").build().session();
        let hears = heard.clone();
        let address = session.on_message(move |_: Counted| _ = hears.fetch_add(1, Ordering::Relaxed));
        kept.push((node.group().join(group, &address), session));
    };
    for node in &nodes {
        (0..25).for_each(|_| join(node, "lobby"));
    }
    join(&nodes[0], "here only");
    until(|| nodes[0].group().members("lobby").len() == 100).await;
    let published = nodes[0].group().publish("lobby", Counted("hello".into()));
    assert_eq!((published.addressed, published.elsewhere), (100, 75));
    until(|| heard.load(Ordering::Relaxed) == 100).await;
    assert_eq!(WRITTEN.load(Ordering::Relaxed), 1);
    assert_eq!(nodes[0].group().publish("here only", Counted("hello".into())).addressed, 1);
    assert_eq!(WRITTEN.load(Ordering::Relaxed), 1, "nothing is written for this process");
}

#[tokio::test(start_paused = true)]
async fn messages_of_one_sender_come_in_order_by_whatever_names() {
    let cluster = LocalCluster::new();
    cluster.set_delay(3 * MILLISECOND);
    let ((here, _), (there, _)) = (process(&cluster).await, process(&cluster).await);
    let ada = Ear::new();
    let name = here.unique().register("ada", &ada.address).unwrap();
    let lobby = here.group().join("lobby", &ada.address);
    name.held().await.unwrap();
    until(|| there.unique().find("ada").is_some() && there.group().members("lobby").len() == 1).await;
    for n in 0..200 {
        if n % 2 == 0 {
            assert!(there.unique().send("ada", n.to_string()).is_queued());
        } else {
            assert_eq!(there.group().publish("lobby", n.to_string()).elsewhere, 1);
        }
    }
    until(|| ada.heard().len() == 200).await;
    assert_eq!(ada.heard(), (0..200).map(|n| n.to_string()).collect::<Vec<_>>());
    drop(lobby);
}

#[tokio::test(start_paused = true)]
async fn nonsense_from_other_nodes_is_refused_and_harms_nobody() {
    let cluster = LocalCluster::new();
    let ((here, _), (there, _)) = (process(&cluster).await, process(&cluster).await);
    until(|| here.nodes().len() == 1).await;
    let hostile = cluster.node();
    let to_one = format!("app.node.{}", there.nodes()[0]);
    for subject in ["app.nodes", &to_one] {
        for frame in
            [&b""[..], b"\x01", b"\x02\x80", b"\x01\xdf\xff\xff\xff\xff", b"\x01\xc6\xff\xff\xff\xff", b"{}"]
        {
            hostile.publish(subject, Bytes::from_static(frame)).await.unwrap();
        }
        hostile.publish(subject, vec![1; 4 << 20].into()).await.unwrap();
        // Deep nesting, in place of a frame.
        hostile.publish(subject, [&[1][..], &[0x91; 100_000]].concat().into()).await.unwrap();
    }
    sleep(TTL * 2).await;
    assert_eq!((here.nodes().len(), there.nodes().len()), (1, 1));
    let ada = Ear::new();
    let name = here.unique().register("ada", &ada.address).unwrap();
    name.held().await.unwrap();
    assert_eq!(there.unique().deliver("ada", "hello".into()).await.unwrap(), Posted::Queued);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_the_owner_cannot_read_is_answered() {
    let cluster = LocalCluster::new();
    let (here, _) = process(&cluster).await;
    let other = Registry::<u64, String>::clustered(cluster.node(), options()).await.unwrap();
    let ada = Ear::new();
    let name = here.unique().register("ada", &ada.address).unwrap();
    name.held().await.unwrap();
    let answer = other.unique().deliver("ada", 7).await;
    assert!(matches!(answer, Err(DeliverError::Unreadable)), "{answer:?}");
    assert!(ada.heard().is_empty());
}

#[tokio::test(start_paused = true)]
async fn scopes_do_not_meet() {
    let cluster = LocalCluster::new();
    let one = Registry::<String>::clustered(cluster.node(), ClusterOptions::new("one")).await.unwrap();
    let two = Registry::<String>::clustered(cluster.node(), ClusterOptions::new("two")).await.unwrap();
    let (ada, other) = (Ear::new(), Ear::new());
    let names = [
        one.unique().register("ada", &ada.address).unwrap(),
        two.unique().register("ada", &other.address).unwrap(),
    ];
    for name in &names {
        name.held().await.unwrap();
    }
    sleep(TTL).await;
    assert!(one.nodes().is_empty() && two.nodes().is_empty());
    let refused = Registry::<String>::clustered(cluster.node(), ClusterOptions::new("a b")).await;
    assert!(refused.is_err_and(|error| error.is_refused()));
}

#[tokio::test(start_paused = true)]
async fn more_than_may_wait_is_refused() {
    let cluster = LocalCluster::new();
    let ((here, _), (there, _)) = (process(&cluster).await, process(&cluster).await);
    let ada = Ear::new();
    let name = here.unique().register("ada", &ada.address).unwrap();
    name.held().await.unwrap();
    until(|| there.unique().find("ada").is_some()).await;
    assert_eq!(there.unique().send("ada", "x".repeat(600 << 10)), Posted::Refused, "longer than a frame");
    let sent = (0..100).map(|_| there.unique().send("ada", "x".repeat(400 << 10)));
    let refused = sent.filter(|posted| posted.is_refused()).count();
    assert!(refused > 70 && refused < 100, "8 MiB may wait, {refused} were refused");
    until(|| ada.heard().len() == 100 - refused).await;
    assert_eq!(there.unique().send("ada", "again".into()), Posted::Queued);
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_is_dropped_leaves() {
    let cluster = LocalCluster::new();
    let ((here, _), (there, _)) = (process(&cluster).await, process(&cluster).await);
    let ada = Ear::new();
    let name = here.unique().register("ada", &ada.address).unwrap();
    name.held().await.unwrap();
    until(|| there.nodes().len() == 1).await;
    drop(here);
    timeout(TTL / 6, until(|| there.nodes().is_empty() && cluster.leases() == 0)).await.unwrap();
    assert_eq!(name.lost().await, NameLost::Left);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ends_while_its_claim_is_under_way_leaves_nothing() {
    let cluster = LocalCluster::new();
    cluster.set_delay(50 * MILLISECOND);
    let ((here, _), (there, _)) = (process(&cluster).await, process(&cluster).await);
    for n in 0..20 {
        let ada = Ear::new();
        let name = here.unique().register("ada", &ada.address).unwrap();
        sleep(n * 10 * MILLISECOND).await;
        ada.session.close();
        drop(name);
    }
    sleep(TTL / 6).await;
    assert_eq!((cluster.leases(), here.unique().len(), there.unique().len()), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_process_that_is_cut_off_leaves_in_time() {
    let cluster = LocalCluster::new();
    let (here, node) = process(&cluster).await;
    let ears: Vec<_> = (0..300).map(|_| Ear::new()).collect();
    let mut names = Vec::new();
    for (n, ear) in ears.iter().enumerate() {
        names.push(here.unique().register(&n.to_string(), &ear.address).unwrap());
    }
    for name in &names {
        name.held().await.unwrap();
    }
    node.cut();
    timeout(TTL / 4, here.leave()).await.expect("leaving takes a sixth of the lease time at most");
    assert_eq!(names[7].lost().await, NameLost::Left);
    assert_eq!(here.unique().register("ada", &ears[0].address).unwrap_err(), RegisterError::Left);
    let lobby = here.group().join("lobby", &ears[0].address);
    let published = here.group().publish("lobby", "hello".into());
    assert_eq!((published.addressed, published.elsewhere), (1, 0), "groups go on in this process");
    drop(lobby);
}

#[tokio::test(start_paused = true)]
async fn a_busy_process_is_not_taken_for_a_dead_one() {
    let cluster = LocalCluster::new();
    let ((here, _), (there, _), (third, _)) =
        (process(&cluster).await, process(&cluster).await, process(&cluster).await);
    let ada = Ear::new();
    let name = here.unique().register("ada", &ada.address).unwrap();
    name.held().await.unwrap();
    until(|| there.unique().find("ada").is_some() && third.nodes().len() == 2).await;
    let end = Instant::now() + 2 * TTL;
    while Instant::now() < end {
        // All that is said between two looks goes to one process; the third hears nothing of it.
        for _ in 0..50 {
            let _ = there.unique().send("ada", "news".into());
        }
        sleep(10 * MILLISECOND).await;
        assert_eq!(third.nodes().len(), 2);
    }
}
