//! Names and groups: who has one, who is told, and that nothing is left behind.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests spawn, wait and expect")]

mod probe;
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bonito_core::{
    Address, Conn, Context, Endpoint, Frame, Membership, NameLost, Posted, PresenceChange, RegisterError,
    Registration, Registry, SocketOptions, Terminate, WebSocketBehaviour,
};
use futures_util::{FutureExt, StreamExt};
use probe::{heard, say};
use support::{Page, settle, upgrade};

/// A message that counts how often it is encoded and how often it is shared.
#[derive(Clone, Debug)]
struct Shout(Arc<str>);

impl From<&str> for Shout {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

/// Registers as the path says: `/user/{name}`, with groups in the query.
struct User {
    registry: Registry<Shout, String>,
    name: Option<Registration>,
    groups: Vec<Membership>,
}

impl WebSocketBehaviour for User {
    type Message = Shout;

    async fn init(conn: &Conn, cx: &mut Context<Self>) -> Self {
        let registry = conn.state::<Registry<Shout, String>>().clone();
        let name = registry.unique().register(conn.param("name").unwrap(), cx.address());
        if let Err(error) = &name {
            cx.push_text(format!("{error:?}"));
        }
        let meta = conn.param("name").unwrap();
        let join = |group: &str| registry.group().join_as(group, cx.address(), meta.to_owned());
        let groups = conn.query().unwrap_or_default().split('&').filter(|group| !group.is_empty());
        let groups = groups.map(join).collect();
        Self { registry, name: name.ok(), groups }
    }

    async fn handle_client_message(&mut self, frame: Frame, cx: &mut Context<Self>) {
        let Frame::Text(text) = frame else { return };
        match text.as_str() {
            "again" => {
                let again = self.registry.unique().register("another name", cx.address());
                cx.push_text(format!("{:?}", again.as_ref().map(Registration::name)));
                self.name = self.name.take().or_else(|| again.ok());
            }
            "unregister" => self.name = None,
            "leave" => self.groups.clear(),
            "panic" => panic!("user"),
            "wait" => std::future::pending().await,
            "forget" => std::mem::forget((self.name.take(), std::mem::take(&mut self.groups))),
            other => cx.push_text(other),
        }
    }

    async fn handle_server_message(&mut self, Shout(text): Shout, cx: &mut Context<Self>) {
        cx.push_text(&*text);
    }

    async fn terminate(self, _reason: Terminate) {
        assert_eq!(self.registry.unique().find("nobody"), None, "the registry can be used");
    }
}

fn users(options: SocketOptions) -> (Endpoint, Registry<Shout, String>) {
    let registry = Registry::new();
    let options = options.state(registry.clone());
    (Endpoint::builder("/live").socket_with::<User>("/user/{name}", options).build(), registry)
}

async fn user(live: &Endpoint, path: &str) -> Page {
    let page = Page::at(live, upgrade(&format!("/live/user/{path}"))).await.unwrap();
    settle().await;
    page
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_registered_in_init_is_reached_from_anywhere() {
    let (live, registry) = users(SocketOptions::new());
    let ada = user(&live, "ada").await;
    let sent = std::thread::spawn({
        let registry = registry.clone();
        move || registry.unique().send("ada", "hello".into())
    });
    assert_eq!(sent.join().unwrap(), Posted::Queued);
    assert_eq!(registry.unique().send("bob", "hello".into()), Posted::Nobody);
    settle().await;
    assert_eq!(heard(&ada), ["hello"]);
}

#[tokio::test(start_paused = true)]
async fn a_name_belongs_to_one_connection_and_a_connection_has_one_name() {
    let (live, registry) = users(SocketOptions::new());
    let ada = user(&live, "ada").await;
    let other = user(&live, "ada").await;
    assert_eq!(heard(&other), ["Taken"]);
    say(&ada, "again");
    settle().await;
    assert_eq!(heard(&ada), ["Err(AlreadyRegistered)"]);
    assert_eq!(registry.unique().send("ada", "hi".into()), Posted::Queued);
    settle().await;
    assert_eq!((heard(&ada), heard(&other)), (vec!["hi".to_owned()], vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_registration_that_is_dropped_releases_its_name() {
    let (live, registry) = users(SocketOptions::new());
    let ada = user(&live, "ada").await;
    say(&ada, "unregister");
    settle().await;
    assert_eq!(registry.unique().send("ada", "hi".into()), Posted::Nobody);
    say(&ada, "again");
    settle().await;
    assert_eq!(heard(&ada), ["Ok(\"another name\")"]);
    let _second = user(&live, "ada").await;
    assert_eq!(registry.unique().send("ada", "hi".into()), Posted::Queued);
}

#[tokio::test(start_paused = true)]
async fn a_name_is_released_however_its_connection_ends() {
    let (live, registry) = users(SocketOptions::new());
    for end in ["close", "cut", "panic", "drop", "drop in a callback", "forget and cut"] {
        let page = user(&live, "ada?a&b").await;
        assert!(heard(&page).is_empty(), "the name is free again after {end}");
        assert_eq!((registry.unique().len(), registry.group().len()), (1, 2));
        match end {
            "close" => page.send_frame(Frame::Close(None)),
            "cut" => page.cut(),
            "panic" => say(&page, "panic"),
            "drop" => page.serving.abort(),
            "drop in a callback" => {
                say(&page, "wait");
                settle().await;
                page.serving.abort();
            }
            _ => {
                say(&page, "forget");
                settle().await;
                assert_eq!(registry.unique().len(), 1, "nothing was dropped");
                page.cut();
            }
        }
        settle().await;
        assert!(registry.unique().is_empty() && registry.group().is_empty(), "{end}");
    }
}

/// The application may keep it anywhere, in a task that acts under the name for example.
#[tokio::test(start_paused = true)]
async fn a_registration_that_outlives_its_connection_says_so() {
    let registry = Registry::<String>::new();
    let session = Endpoint::builder("/live").build().session();
    let address = session.on_message(|_: String| {});
    let name = registry.unique().register("ada", &address).unwrap();
    assert!(name.is_held() && name.lost().now_or_never().is_none());
    let (reason, ()) = tokio::join!(name.lost(), async { session.close() });
    assert_eq!((reason, name.is_held()), (NameLost::Ended, false));
    assert_eq!(name.lost().await, NameLost::Ended, "whoever asks later is told, too");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_has_ended_gets_no_name() {
    let (live, registry) = users(SocketOptions::new());
    let (_probed, journal, page) = probe::opened().await;
    drop(live);
    page.cut();
    settle().await;
    let numbers = Registry::<u32>::new();
    let address = journal.address();
    assert_eq!(numbers.unique().register("late", &address).unwrap_err(), RegisterError::Ended);
    drop(numbers.group().join("late", &address));
    assert!(numbers.unique().is_empty() && numbers.group().is_empty());
    assert_eq!(address.send(1), Posted::Nobody);
    assert!(registry.unique().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_message_to_a_group_reaches_all_its_members_and_says_how_many() {
    let (live, registry) = users(SocketOptions::new());
    let ada = user(&live, "ada?red&blue").await;
    let bob = user(&live, "bob?blue").await;
    let cyd = user(&live, "cyd").await;
    let publish = |group| registry.group().publish(group, Shout::from(group)).addressed;
    assert_eq!((publish("red"), publish("blue"), publish("green")), (1, 2, 0));
    settle().await;
    assert_eq!(heard(&ada), ["red", "blue"]);
    assert_eq!(heard(&bob), ["blue"]);
    assert!(heard(&cyd).is_empty());
    say(&ada, "leave");
    settle().await;
    assert_eq!((publish("red"), publish("blue")), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_message_to_a_group_is_shared_and_not_copied() {
    let (live, registry) = users(SocketOptions::new());
    let pages = [user(&live, "a?all").await, user(&live, "b?all").await, user(&live, "c?all").await];
    let text: Arc<str> = "once".into();
    assert_eq!(registry.group().publish("all", Shout(text.clone())).addressed, 3);
    assert_eq!(Arc::strong_count(&text), 4, "each has the one text");
    settle().await;
    assert!(pages.iter().all(|page| heard(page) == ["once"]));
}

#[tokio::test(start_paused = true)]
async fn a_member_that_does_not_keep_up_is_counted_and_holds_nobody_up() {
    let (live, registry) = users(SocketOptions::new().mailbox(2));
    let slow = user(&live, "slow?all").await;
    let quick = user(&live, "quick?all").await;
    say(&slow, "wait");
    settle().await;
    let mut published = Vec::new();
    for n in 0..4 {
        published.push(registry.group().publish("all", Shout(n.to_string().into())));
        settle().await;
    }
    let counts: Vec<_> = published.iter().map(|all| (all.addressed, all.refused)).collect();
    assert_eq!(counts, [(2, 0), (2, 0), (1, 1), (1, 1)]);
    assert_eq!(registry.unique().send("slow", "x".into()), Posted::Refused);
    assert_eq!(heard(&quick), ["0", "1", "2", "3"]);
}

#[tokio::test(start_paused = true)]
async fn messages_of_one_sender_arrive_in_order_by_whatever_name() {
    let (live, registry) = users(SocketOptions::new().mailbox(1000));
    let page = user(&live, "ada?one&two").await;
    for n in 0..300 {
        let text = Shout(n.to_string().into());
        match n % 3 {
            0 => assert!(registry.unique().send("ada", text).is_queued()),
            1 => assert_eq!(registry.group().publish("one", text).addressed, 1),
            _ => assert_eq!(registry.group().publish("two", text).addressed, 1),
        }
        if n % 7 == 0 {
            tokio::task::yield_now().await;
        }
    }
    settle().await;
    assert_eq!(heard(&page), (0..300).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn joining_twice_makes_one_member_that_leaves_with_the_last() {
    let (_live, journal, page) = probe::opened().await;
    let numbers = Registry::<u32>::new();
    let address = journal.address();
    let first = numbers.group().join("g", &address);
    let second = numbers.group().join("g", &address);
    assert_eq!(numbers.group().publish("g", 1).addressed, 1);
    drop(first);
    assert_eq!(numbers.group().publish("g", 2).addressed, 1);
    drop(second);
    assert_eq!(numbers.group().publish("g", 3).addressed, 0);
    settle().await;
    assert_eq!(heard(&page), ["message 1", "message 2"]);
}

/// What travels in one registry, and what each kind of connection makes of it.
#[tokio::test(start_paused = true)]
async fn one_registry_addresses_behaviours_and_sessions() {
    let (users, registry) = users(SocketOptions::new());
    let ada = user(&users, "ada?all").await;

    struct Length(usize);
    impl From<Shout> for Length {
        fn from(Shout(text): Shout) -> Self {
            Self(text.len())
        }
    }
    let session = users.session();
    let heard_by_session = Arc::new(AtomicUsize::new(0));
    let sum = heard_by_session.clone();
    let address: Address<Length> = session.on_message(move |Length(length)| {
        assert_ne!(length, 3, "a panic is logged, and the session lives on");
        sum.fetch_add(length, Ordering::Relaxed);
    });
    let _name = registry.unique().register("session", &address).unwrap();
    let _member = registry.group().join("all", &address);
    assert_eq!(registry.unique().send("session", "bad".into()), Posted::Queued);
    assert_eq!(registry.group().publish("all", "12345".into()).addressed, 2);
    assert_eq!(registry.unique().send("session", "1".into()), Posted::Queued);
    settle().await;
    assert_eq!(heard(&ada), ["12345"]);
    assert_eq!(heard_by_session.load(Ordering::Relaxed), 6);
    session.close();
    settle().await;
    assert_eq!(registry.unique().send("session", "1".into()), Posted::Nobody);
    assert_eq!(registry.group().publish("all", "1".into()).addressed, 1);
    let late = session.on_message(|_: Length| {});
    assert!(late.is_ended(), "a closed session takes nothing");
}

fn shown(change: &PresenceChange<String>) -> String {
    match change {
        PresenceChange::Joined(member) => format!("+{}", member.meta()),
        PresenceChange::Left(member) => format!("-{}", member.meta()),
    }
}

#[tokio::test(start_paused = true)]
async fn presence_is_who_is_there_and_then_who_comes_and_goes() {
    let (live, registry) = users(SocketOptions::new());
    let ada = user(&live, "ada?room").await;
    let _bob = user(&live, "bob?room").await;
    let members: Vec<_> =
        registry.group().members("room").iter().map(|member| member.meta().clone()).collect();
    assert_eq!(members, ["ada", "bob"]);
    let mut presence = registry.group().watch("room");
    let _cyd = user(&live, "cyd?room").await;
    ada.cut();
    settle().await;
    let _elsewhere = user(&live, "dan?other").await;
    let mut changes = Vec::new();
    while let Some(change) = presence.next().now_or_never() {
        changes.push(shown(&change));
    }
    assert_eq!(changes, ["+ada", "+bob", "+cyd", "-ada"]);
    let mut stream = Box::pin(presence.into_stream());
    let waiting = tokio::spawn(async move { shown(&stream.next().await.unwrap()) });
    settle().await;
    let _eve = user(&live, "eve?room").await;
    assert_eq!(waiting.await.unwrap(), "+eve");
}

#[tokio::test(start_paused = true)]
async fn whoever_watches_slowly_still_adds_up_to_who_is_there() {
    let (_live, journal, _page) = probe::opened().await;
    let address = journal.address();
    let (live, more) = probe::probed(SocketOptions::new());
    let _stays = probe::open(&live).await;
    let stays = more.address();
    let registry = Registry::<u32, String>::new();
    let mut presence = registry.group().watch("room");
    let _first = registry.group().join_as("room", &stays, "old".to_owned());
    assert_eq!(shown(&presence.next().await), "+old");
    for n in 0..500 {
        drop(registry.group().join_as("room", &address, n.to_string()));
    }
    let _again = registry.group().join_as("room", &stays, "new".to_owned());
    let _here = registry.group().join_as("room", &address, "here".to_owned());
    let mut changes = Vec::new();
    while let Some(change) = presence.next().now_or_never() {
        changes.push(shown(&change));
    }
    changes.sort();
    assert_eq!(changes, ["+here", "+new"]);
    drop((presence, _first, _again, _here));
    assert!(registry.group().is_empty());
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_joins_and_leaves_leave_nothing_behind() {
    let (_live, journal, _page) = probe::opened().await;
    let address = journal.address();
    let registry = Registry::<u32>::new();
    for n in 0..10_000 {
        let name = format!("name {n}");
        let registration = registry.unique().register(&name, &address).unwrap();
        let memberships = [registry.group().join(&name, &address), registry.group().join("all", &address)];
        if n % 2 == 0 {
            drop(registration);
            drop(memberships);
        } else {
            drop(memberships);
            drop(registration);
        }
    }
    drop(registry.group().watch("nobody is here"));
    assert!(registry.unique().is_empty() && registry.group().is_empty());
}

/// Many threads want few names; whoever has one is alone with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_want_a_name_at_once_one_gets_it() {
    let registry = Registry::<u32>::new();
    let owners: Arc<[AtomicUsize; 3]> = Arc::default();
    let (live, journal) = probe::probed(SocketOptions::new());
    let mut pages = Vec::new();
    for _ in 0..8 {
        pages.push(Page::at(&live, upgrade("/live/probe")).await.unwrap());
    }
    while journal.addresses.lock().unwrap().len() < 8 {
        tokio::task::yield_now().await;
    }
    let addresses = journal.addresses.lock().unwrap().clone();
    let threads: Vec<_> = addresses
        .into_iter()
        .map(|address| {
            let (registry, owners) = (registry.clone(), owners.clone());
            std::thread::spawn(move || {
                let mut got = 0;
                for n in 0..20_000 {
                    let at = n % 3;
                    let Ok(registration) = registry.unique().register(&at.to_string(), &address) else {
                        continue;
                    };
                    assert_eq!(owners[at].fetch_add(1, Ordering::SeqCst), 0, "two have name {at}");
                    owners[at].fetch_sub(1, Ordering::SeqCst);
                    drop(registration);
                    got += 1;
                }
                got
            })
        })
        .collect();
    let got: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert!(got > 0 && registry.unique().is_empty());
}

/// Dropping a message or what a member tells runs the application's code: it may use the registry itself.
#[tokio::test(start_paused = true)]
async fn the_applications_drops_run_outside_every_lock() {
    struct Meta(Registry<Touchy, Self>);
    impl Drop for Meta {
        fn drop(&mut self) {
            let _ = self.0.group().members("room");
            let _ = self.0.unique().find("name");
            let _ = self.0.group().publish("room", Touchy(self.0.clone()));
        }
    }
    #[derive(Clone)]
    struct Touchy(Registry<Self, Meta>);
    impl From<Touchy> for u32 {
        fn from(Touchy(registry): Touchy) -> Self {
            Self::try_from(registry.group().members("room").len()).unwrap()
        }
    }
    let (_live, journal, page) = probe::opened().await;
    let address = journal.address();
    let registry = Registry::<Touchy, Meta>::new();
    let meta = || Meta(registry.clone());
    let mut presence = registry.group().watch("room");
    let first = registry.group().join_as("room", &address, meta());
    let second = registry.group().join_as("room", &address, meta());
    let _name = registry.unique().register("name", &address).unwrap();
    assert_eq!(registry.group().publish("room", Touchy(registry.clone())).addressed, 1);
    drop(first);
    drop(presence.next().await);
    drop(second);
    for _ in 0..300 {
        drop(registry.group().join_as("room", &address, meta()));
    }
    drop(presence);
    page.cut();
    settle().await;
    assert!(registry.group().is_empty() && registry.unique().is_empty());
}

/// Its times, with `--release --no-capture`, stand in the book.
#[tokio::test(start_paused = true)]
async fn a_message_to_ten_thousand_members_reaches_each_once() {
    const MEMBERS: usize = 10_000;
    let (live, registry) = users(SocketOptions::new());
    let mut pages = Vec::new();
    for n in 0..MEMBERS {
        pages.push(Page::at(&live, upgrade(&format!("/live/user/n{n}?all"))).await.unwrap());
    }
    while registry.group().members("all").len() < MEMBERS {
        tokio::task::yield_now().await;
    }
    let text: Arc<str> = "x".repeat(200).into();
    for round in 1..=3 {
        let start = std::time::Instant::now();
        assert_eq!(registry.group().publish("all", Shout(text.clone())).addressed, MEMBERS);
        let published = start.elapsed();
        assert_eq!(Arc::strong_count(&text), MEMBERS + 1, "it is shared");
        while live.mounted("/user/{name}").unwrap().stats().frames_out < (round * MEMBERS) as u64 {
            tokio::task::yield_now().await;
        }
        eprintln!("published in {published:?}, handled and written after {:?}", start.elapsed());
        assert_eq!(Arc::strong_count(&text), 1);
    }
    for page in &pages {
        assert_eq!(heard(page), [&*text, &*text, &*text]);
    }
}
