//! Sockets that land on another process than their session's.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests spawn, wait and expect")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bonito_core::{
    Acquired, BackendFuture, ClusterBackend, Endpoint, EndpointBuilder, Frame, Held, Incoming, Limits,
    Observable, Outcome, RelayOptions, Renewed, Script, Session, Status, js,
};
use bonito_testkit::{LocalCluster, LocalNode};
use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};
use support::{Page, upgrade};

const SECOND: Duration = Duration::from_secs(1);

/// What the app's middleware leaves in a request.
#[derive(Clone)]
struct User(&'static str);

/// A broker and two processes of an app.
struct Cluster {
    local: LocalCluster,
    owner: Endpoint,
    owner_node: Arc<LocalNode>,
    edge: Endpoint,
    edge_node: Arc<LocalNode>,
}

fn process(node: Arc<dyn ClusterBackend>, change: impl FnOnce(&mut Limits)) -> EndpointBuilder {
    let mut limits = Limits::default();
    change(&mut limits);
    Endpoint::builder("/live")
        .limits(limits)
        .identity(|parts| parts.extensions.get::<User>().map(|user| user.0.to_owned()))
        .cluster(node, RelayOptions::default())
}

async fn cluster() -> Cluster {
    cluster_with(|_| {}).await
}

async fn cluster_with(change: impl Fn(&mut Limits)) -> Cluster {
    let local = LocalCluster::new();
    let (owner_node, edge_node) = (local.node(), local.node());
    let owner = process(owner_node.clone(), &change).build();
    let edge = process(edge_node.clone(), &change).build();
    let cluster = Cluster { local, owner, owner_node, edge, edge_node };
    until(|| cluster.local.leases() == 2).await;
    cluster
}

/// Time is paused: it passes as soon as all wait.
async fn until(mut done: impl FnMut() -> bool) {
    for _ in 0..100_000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("it never comes to that");
}

fn request(address: &str) -> Parts {
    upgrade(address).body(()).unwrap().into_parts().0
}

fn by(mut parts: Parts, user: &'static str) -> Parts {
    parts.extensions.insert(User(user));
    parts
}

async fn connect(live: &Endpoint, session: &Session, address: &str) -> Page {
    let page = Page::try_connect(live, session, &request(address)).await;
    page.unwrap_or_else(|refusal| panic!("{refusal:?}"))
}

async fn refusal(live: &Endpoint, parts: &Parts) -> Response<Bytes> {
    match live.handle(parts).await {
        Outcome::Respond(refusal) => refusal,
        Outcome::Upgrade(_) => panic!("let in"),
    }
}

/// A page at the edge of a session at the owner, which shows a number.
async fn open(cluster: &Cluster) -> (Session, Observable<i64>, Page, String) {
    let session = cluster.owner.session();
    let number = Observable::new(0_i64);
    session.eval(js!("follow($(number))"));
    let _html = session.page("t", "");
    let address = cluster.owner.socket_url(&session);
    let page = connect(&cluster.edge, &session, &address).await;
    page.loaded();
    until(|| session.status() == Status::Open).await;
    page.frames();
    (session, number, page, address)
}

async fn received(page: &Page, most: usize) -> Vec<String> {
    let mut all = Vec::new();
    for _ in 0..10_000 {
        all.extend(page.received());
        if all.len() >= most {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    all
}

#[tokio::test(start_paused = true)]
async fn a_page_whose_socket_lands_elsewhere_is_served_as_at_home() {
    let cluster = cluster().await;
    let (session, number, page, _) = open(&cluster).await;
    assert!(page.received().is_empty());
    number.set(1);
    number.set(2);
    let id = number.id();
    assert_eq!(received(&page, 2).await, [format!("{id}=1"), format!("{id}=2")]);
    page.update(id, 7);
    until(|| number.get() == 7).await;
    assert_eq!((cluster.owner.stats().sockets, cluster.edge.stats().sockets), (1, 1));
    assert_eq!((cluster.owner.stats().open, cluster.edge.stats().sessions), (1, 0));
    session.close();
    assert_eq!(page.closed().await, Some(4004), "the session's own close code");
    until(|| (cluster.owner.stats().sockets, cluster.edge.stats().sockets) == (0, 0)).await;
}

/// The socket that is lost first is the one that is not closed by anybody.
#[tokio::test(start_paused = true)]
async fn a_page_may_come_back_anywhere_and_gets_what_waited() {
    let cluster = cluster().await;
    let (session, number, page, address) = open(&cluster).await;
    page.cut();
    until(|| session.status() == Status::SoftClosed).await;
    number.set(5);
    let page = connect(&cluster.owner, &session, &address).await;
    page.loaded();
    assert_eq!(received(&page, 1).await, [format!("{}=5", number.id())]);
    page.cut();
    until(|| session.status() == Status::SoftClosed).await;
    number.set(6);
    let page = connect(&cluster.edge, &session, &address).await;
    page.loaded();
    assert_eq!(received(&page, 1).await, [format!("{}=6", number.id())]);
}

#[tokio::test(start_paused = true)]
async fn a_newer_socket_elsewhere_takes_the_session_over() {
    let cluster = cluster().await;
    let (session, number, page, address) = open(&cluster).await;
    let newer = connect(&cluster.owner, &session, &address).await;
    newer.loaded();
    assert_eq!(page.closed().await, Some(4001));
    number.set(1);
    assert_eq!(received(&newer, 1).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_at_home_is_refused_elsewhere() {
    let cluster = cluster_with(|limits| limits.sockets = 1).await;
    let session = cluster.owner.session();
    session.set_identity(Some("ada"));
    let _html = session.page("t", "");
    let address = cluster.owner.socket_url(&session);
    let status = async |parts: Parts| refusal(&cluster.edge, &parts).await.status().as_u16();

    assert_eq!(status(request(&address)).await, 403, "nobody is not ada");
    assert_eq!(status(by(request(&address), "bob")).await, 403, "nor is bob");
    let foreign = upgrade(&address).header("origin", "https://evil.example").body(()).unwrap();
    assert_eq!(status(by(foreign.into_parts().0, "ada")).await, 403, "the origin is asked at the edge");
    let post = http::Request::post(&address).body(()).unwrap();
    assert_eq!(status(post.into_parts().0).await, 405);
    let plain = http::Request::get(&address).body(()).unwrap();
    assert_eq!(status(by(plain.into_parts().0, "ada")).await, 426, "there is such a session");
    let unknown = address.replace(&session.id().to_string(), &"0".repeat(32));
    assert_eq!(status(request(&unknown)).await, 404, "its process says so");

    let page = Page::try_connect(&cluster.edge, &session, &by(request(&address), "ada")).await.unwrap();
    until(|| cluster.owner.stats().sockets == 1).await;
    assert_eq!(status(by(request(&address), "ada")).await, 503, "one socket is all there may be");
    page.cut();
    until(|| cluster.owner.stats().sockets == 0 && cluster.edge.stats().sockets == 0).await;
    let taken = connect_as(&cluster.owner, &session, &address).await;
    let full = refusal(&cluster.edge, &by(request(&address), "ada")).await;
    assert_eq!(full.status(), 503, "at home there is no room");
    assert!(full.headers().contains_key("retry-after"));
    taken.cut();
}

async fn connect_as(live: &Endpoint, session: &Session, address: &str) -> Page {
    Page::try_connect(live, session, &by(request(address), "ada")).await.unwrap()
}

/// A process that does not answer may merely be slow: only when its lease is over its sessions are gone.
#[tokio::test(start_paused = true)]
async fn a_session_is_not_called_gone_while_its_process_may_live() {
    let cluster = cluster().await;
    let session = cluster.owner.session();
    let _html = session.page("t", "");
    let address = cluster.owner.socket_url(&session);
    let parts = request(&address);
    cluster.owner_node.cut();
    let began = tokio::time::Instant::now();
    let mut patient = 0;
    loop {
        let refusal = refusal(&cluster.edge, &parts).await;
        if refusal.status() == StatusCode::NOT_FOUND {
            break;
        }
        assert_eq!(refusal.status(), 503);
        assert!(refusal.headers().contains_key("retry-after"));
        patient += 1;
        tokio::time::sleep(SECOND).await;
    }
    // The last renewal may have been a quarter of the lease before.
    assert!(began.elapsed() >= 15 * SECOND, "{:?}", began.elapsed());
    assert!(patient > 3);
    cluster.owner_node.heal();
    until(|| cluster.local.leases() == 2).await;
    let _page = connect(&cluster.edge, &session, &address).await;
}

/// What was found in the first outage does not count in the second.
#[tokio::test(start_paused = true)]
async fn a_process_that_came_back_is_not_called_gone_at_its_next_outage() {
    let cluster = cluster().await;
    let (session, _, page, address) = open(&cluster).await;
    page.cut();
    cluster.owner_node.cut();
    until(|| cluster.local.leases() == 1).await;
    assert_eq!(refusal(&cluster.edge, &request(&address)).await.status(), 503);
    cluster.owner_node.heal();
    until(|| cluster.local.leases() == 2).await;
    connect(&cluster.edge, &session, &address).await.cut();
    tokio::time::sleep(10 * SECOND).await;
    cluster.owner_node.cut();
    until(|| cluster.local.leases() == 1).await;
    assert_eq!(refusal(&cluster.edge, &request(&address)).await.status(), 503);
}

/// Nobody asked the edge while the process was back, so that it heard nothing of it.
#[tokio::test(start_paused = true)]
async fn what_was_found_long_ago_does_not_make_a_process_gone() {
    let cluster = cluster().await;
    let session = cluster.owner.session();
    let _html = session.page("t", "");
    let address = cluster.owner.socket_url(&session);
    for _ in 0..2 {
        cluster.owner_node.cut();
        until(|| cluster.local.leases() == 1).await;
        assert_eq!(refusal(&cluster.edge, &request(&address)).await.status(), 503);
        cluster.owner_node.heal();
        tokio::time::sleep(100 * SECOND).await;
    }
}

/// The origins and the identity hook of one endpoint let nobody in at another.
#[tokio::test(start_paused = true)]
async fn a_session_is_not_reached_through_an_endpoint_of_another_path() {
    let local = LocalCluster::new();
    let endpoint = |path| Endpoint::builder(path).cluster(local.node(), RelayOptions::default()).build();
    let (admin, other_admin, live) = (endpoint("/admin"), endpoint("/admin"), endpoint("/live"));
    until(|| local.leases() == 3).await;
    let session = admin.session();
    let _html = session.page("t", "");
    let address = admin.socket_url(&session);
    let through = address.replace("/admin", "/live");
    assert_eq!(refusal(&live, &request(&through)).await.status(), 404);
    let _page = connect(&other_admin, &session, &address).await;
}

#[tokio::test(start_paused = true)]
async fn a_process_that_was_just_started_is_not_called_gone() {
    let cluster = cluster().await;
    let node = cluster.local.node();
    node.cut();
    let starting = process(node.clone(), |_| {}).build();
    let session = starting.session();
    let _html = session.page("t", "");
    let address = starting.socket_url(&session);
    assert_eq!(refusal(&cluster.edge, &request(&address)).await.status(), 503);
    node.heal();
    until(|| cluster.local.leases() == 3).await;
    let _page = connect(&cluster.edge, &session, &address).await;
}

#[tokio::test(start_paused = true)]
async fn a_process_that_has_drained_is_gone_soon() {
    let cluster = cluster().await;
    let session = cluster.owner.session();
    let _html = session.page("t", "");
    let address = cluster.owner.socket_url(&session);
    cluster.owner.drain(SECOND).await;
    assert_eq!(cluster.local.leases(), 1, "its lease is given back");
    let began = tokio::time::Instant::now();
    while refusal(&cluster.edge, &request(&address)).await.status() != 404 {
        tokio::time::sleep(SECOND).await;
    }
    assert!(began.elapsed() < 15 * SECOND, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_page_whose_process_is_gone_is_told_to_come_back() {
    let cluster = cluster().await;
    let (_session, _, page, _) = open(&cluster).await;
    let began = tokio::time::Instant::now();
    cluster.owner_node.cut();
    assert_eq!(page.closed().await, Some(1012));
    assert!(began.elapsed() <= 3 * 5 * SECOND + 5 * SECOND, "{:?}", began.elapsed());
    until(|| cluster.edge.stats().sockets == 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_edge_is_gone_waits_for_its_page() {
    let cluster = cluster().await;
    let (session, _, page, _) = open(&cluster).await;
    let began = tokio::time::Instant::now();
    page.serving.abort();
    until(|| session.status() == Status::SoftClosed).await;
    assert!(began.elapsed() < SECOND, "an edge that ends in order says so");

    let (session, _, _page, _) = open(&cluster).await;
    let began = tokio::time::Instant::now();
    cluster.edge_node.cut();
    until(|| session.status() == Status::SoftClosed).await;
    assert!(began.elapsed() <= 3 * 5 * SECOND + 5 * SECOND, "{:?}", began.elapsed());
    until(|| cluster.owner.stats().sockets == 0).await;
}

/// A backend that loses what it is told to.
#[derive(Debug)]
struct Lossy {
    node: Arc<LocalNode>,
    /// Messages until one is lost.
    left: AtomicI64,
}

impl ClusterBackend for Lossy {
    fn publish<'a>(&'a self, subject: &'a str, message: Bytes) -> BackendFuture<'a, ()> {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 0 {
            return Box::pin(std::future::ready(Ok(())));
        }
        self.node.publish(subject, message)
    }
    fn subscribe<'a>(&'a self, subject: &'a str) -> BackendFuture<'a, Incoming> {
        self.node.subscribe(subject)
    }
    fn acquire<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> BackendFuture<'a, Acquired> {
        self.node.acquire(key, value, ttl)
    }
    fn renew<'a>(&'a self, key: &'a str, epoch: u64, ttl: Duration) -> BackendFuture<'a, Renewed> {
        self.node.renew(key, epoch, ttl)
    }
    fn release<'a>(&'a self, key: &'a str, epoch: u64) -> BackendFuture<'a, ()> {
        self.node.release(key, epoch)
    }
    fn read<'a>(&'a self, key: &'a str) -> BackendFuture<'a, Option<Held>> {
        self.node.read(key)
    }
}

/// Whichever message is lost: what the page has seen is a beginning of what was sent, and its socket ends.
#[tokio::test(start_paused = true)]
async fn a_lost_message_ends_the_socket_and_is_never_a_silent_gap() {
    for lost in 0..10 {
        let local = LocalCluster::new();
        let lossy = Arc::new(Lossy { node: local.node(), left: AtomicI64::new(-1) });
        let owner = process(lossy.clone(), |_| {}).build();
        let edge = process(local.node(), |_| {}).build();
        until(|| local.leases() == 2).await;
        let session = owner.session();
        let _html = session.page("t", "");
        let address = owner.socket_url(&session);
        let page = connect(&edge, &session, &address).await;
        page.loaded();
        until(|| session.status() == Status::Open).await;
        page.frames();
        lossy.left.store(lost, Ordering::Relaxed);
        for n in 0..10 {
            session.eval(Script::new(format!("say({n})")));
        }
        let mut said = Vec::new();
        until(|| {
            said.extend(page.frames());
            page.serving.is_finished() || matches!(said.last(), Some(Frame::Close(_)))
        })
        .await;
        let Some(Frame::Close(Some(frame))) = said.pop() else { panic!("{lost}: {said:?}") };
        assert_eq!(frame.code.0, 1012, "{lost}");
        let scripts: Vec<String> = said
            .iter()
            .flat_map(|frame| if let Frame::Binary(bytes) = frame { support::said(bytes) } else { vec![] })
            .collect();
        let sent: Vec<String> = (0..scripts.len()).map(|n| format!("say({n})")).collect();
        assert!(scripts.iter().zip(&sent).all(|(has, sent)| has.contains(sent)), "{lost}: {scripts:?}");
        assert!(scripts.len() >= usize::try_from(lost).unwrap().min(10), "{lost}: {scripts:?}");
        page.cut();
    }
}

#[tokio::test(start_paused = true)]
async fn large_messages_pass_whole_and_too_large_ones_are_refused() {
    let cluster = cluster_with(|limits| limits.message_bytes = 300 << 10).await;
    let (session, _, page, address) = open(&cluster).await;
    let text = "x".repeat(1 << 20);
    session.eval(Script::new(format!("say('{text}')")));
    let got = received(&page, 1).await;
    assert!(got[0].contains(&text), "{} bytes", got[0].len());
    let large = Observable::new(String::new());
    session.eval(js!("follow($(large))"));
    page.update(large.id(), "y".repeat(200 << 10));
    until(|| large.get().len() == 200 << 10).await;
    page.update(large.id(), "z".repeat(400 << 10));
    assert_eq!(
        page.closed().await,
        Some(1009),
        "the owner's limit holds, whatever the edge's framework lets through"
    );
    until(|| session.status() == Status::SoftClosed).await;
    let _page = connect(&cluster.edge, &session, &address).await;
}

/// What a page does not read waits in its session, as at home, and not in the processes between.
#[tokio::test(start_paused = true)]
async fn a_page_that_does_not_read_holds_up_its_session() {
    let cluster = cluster_with(|limits| limits.dead_after = Duration::MAX).await;
    let (session, _, page, _) = open(&cluster).await;
    page.read_only(Some(0));
    for n in 0..500 {
        session.eval(Script::new(format!("say({n})")));
    }
    tokio::time::sleep(20 * SECOND).await;
    let info = session.info();
    assert!(info.queued_bytes > 0, "most of it waits");
    assert_eq!(session.status(), Status::Open);
    page.read_only(None);
    let got = received(&page, 500).await;
    assert_eq!(got.len(), 500);
    assert!(got.iter().enumerate().all(|(n, said)| said.contains(&format!("say({n})"))));
}

#[tokio::test(start_paused = true)]
async fn sockets_leave_both_processes_when_they_drain() {
    let cluster = cluster().await;
    let (session, _, page, address) = open(&cluster).await;
    let edge = cluster.edge.clone();
    let draining = tokio::spawn(async move { edge.drain(10 * SECOND).await });
    assert_eq!(page.closed().await, Some(1012));
    assert_eq!(draining.await.unwrap().left, 0);
    until(|| session.status() == Status::SoftClosed).await;
    assert_eq!(refusal(&cluster.edge, &request(&address)).await.status(), 503);

    let other = process(cluster.local.node(), |_| {}).build();
    let page = connect(&other, &session, &address).await;
    page.loaded();
    until(|| session.status() == Status::Open).await;
    let owner = cluster.owner.clone();
    let draining = tokio::spawn(async move { owner.drain(10 * SECOND).await });
    assert_eq!(page.closed().await, Some(1012));
    assert_eq!(draining.await.unwrap().left, 0);
    let later = refusal(&other, &request(&address)).await;
    assert_eq!(later.status(), 503);
}

/// The process's place in the cluster was kept by the runtime that had seen the endpoint first, which may be that of one worker
/// among several. When that worker ended, pages elsewhere were told 404.
#[test]
fn the_place_in_the_cluster_outlives_the_runtime_that_took_it() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = LocalCluster::new();
    let (owner, edge) = (process(local.node(), |_| {}).build(), process(local.node(), |_| {}).build());
    runtime().block_on(async { _ = owner.handle(&request("/live/nobody")).await });
    runtime().block_on(async {
        _ = owner.handle(&request("/live/nobody")).await;
        _ = edge.handle(&request("/live/nobody")).await;
        let session = owner.session();
        let _html = session.page("t", "");
        let address = owner.socket_url(&session);
        until_in_time(async || matches!(edge.handle(&request(&address)).await, Outcome::Upgrade(_))).await;
    });
}

async fn until_in_time(done: impl AsyncFn() -> bool) {
    let waiting = async {
        while !done().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(20 * SECOND, waiting).await.expect("it never comes to that");
}
