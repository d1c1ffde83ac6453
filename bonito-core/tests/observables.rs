//! Values between Rust and several browsers.
//!
//! A little above 500 lines: one story, told case by case.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests spawn, wait and expect")]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bonito_core::{Observable, Session, TypedArray, js, on_any};
use support::{Page, endpoint, settle};

fn log<T: Clone + Send + 'static>() -> (Arc<Mutex<Vec<T>>>, impl Fn(&T) + Send + Sync) {
    let log = Arc::new(Mutex::new(Vec::new()));
    let sink = log.clone();
    (log, move |value: &T| sink.lock().unwrap().push(value.clone()))
}

async fn page_with<T>(live: &bonito_core::Endpoint, value: &Observable<T>) -> (Page, Session)
where
    T: serde::Serialize + serde::de::DeserializeOwned + Send + Sync + 'static,
{
    let session = live.session();
    session.eval(js!("$(value)"));
    let _html = session.page("t", "");
    (Page::open(live, &session).await, session)
}

#[test]
fn listeners_hear_every_value_in_order_until_they_unsubscribe() {
    let value = Observable::new(0);
    let (heard, listen) = log();
    let subscription = value.on(listen);
    value.set(1);
    value.update(|n| *n += 1);
    drop(subscription);
    value.set(3);
    assert_eq!(*heard.lock().unwrap(), [1, 2]);
    assert_eq!((value.get(), value.listener_count()), (3, 0));
}

#[test]
fn a_forgotten_subscription_stays() {
    let value = Observable::new(0);
    let (heard, listen) = log();
    value.on(listen).forget();
    value.set(1);
    assert_eq!(*heard.lock().unwrap(), [1]);
}

#[test]
fn a_listener_may_set_its_own_observable() {
    let value = Observable::new(0);
    let (heard, listen) = log();
    let inner = value.clone();
    let _clamp = value.on(move |n| {
        if *n > 10 {
            inner.set(10);
        }
    });
    let _log = value.on(listen);
    value.set(50);
    assert_eq!(value.get(), 10);
    assert_eq!(*heard.lock().unwrap(), [50, 10]);
}

#[test]
fn a_listener_that_panics_is_alone_with_it() {
    let value = Observable::new(0);
    let (heard, listen) = log();
    let _bad = value.on(|_| panic!("on purpose"));
    let _good = value.on(listen);
    value.set(1);
    value.set(2);
    assert_eq!(*heard.lock().unwrap(), [1, 2]);
}

#[test]
fn a_derived_observable_follows_while_somebody_holds_it() {
    let value = Observable::new(2);
    let double = value.map(|n| n * 2);
    let text = double.map(|n| format!("<{n}>"));
    value.set(5);
    assert_eq!((double.get(), text.get().as_str()), (10, "<10>"));
    drop(double);
    value.set(6);
    assert_eq!(text.get(), "<12>");
    drop(text);
    assert_eq!(value.listener_count(), 0);
}

#[test]
fn no_update_of_many_threads_is_lost_and_listeners_end_at_the_last_value() {
    let value = Observable::new(0u64);
    let last = Arc::new(Mutex::new((0, 0)));
    let seen = last.clone();
    let _on = value.on(move |n| {
        let mut seen = seen.lock().unwrap();
        *seen = (seen.0 + 1, *n);
    });
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..1000).for_each(|_| value.update(|n| *n += 1)));
        }
    });
    assert_eq!(value.get(), 8000);
    assert_eq!(*last.lock().unwrap(), (8000, 8000));
}

#[tokio::test]
async fn a_value_from_one_browser_reaches_the_others_and_not_itself() {
    let live = endpoint();
    let slider = Observable::new(0);
    let (heard, listen) = log();
    let _on = slider.on(listen);
    let (a, _a) = page_with(&live, &slider).await;
    let (b, _b) = page_with(&live, &slider).await;
    for n in 1..=50 {
        a.update(slider.id(), n);
        settle().await;
    }
    assert_eq!(a.received(), [] as [&str; 0]);
    assert_eq!(b.received().len(), 50);
    assert_eq!(*heard.lock().unwrap(), (1..=50).collect::<Vec<_>>());
}

#[tokio::test]
async fn browsers_that_set_at_the_same_time_end_at_the_same_value() {
    // a's 5 is on its way to b while b sets 7: without the echo, b would show 5 while all others show 7.
    let live = endpoint();
    let slider = Observable::new(0);
    let (a, _a) = page_with(&live, &slider).await;
    let (b, _b) = page_with(&live, &slider).await;
    a.update(slider.id(), 5);
    b.update(slider.id(), 7);
    settle().await;
    let id = slider.id();
    assert_eq!(slider.get(), 7);
    assert_eq!(a.received(), [format!("{id}=7")]);
    assert_eq!(b.received(), [format!("{id}=5"), format!("{id}=7")]);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_was_away_for_long_ends_at_the_same_value() {
    // Both set it meanwhile; the page takes what waited for it only after it has sent its own.
    let live = endpoint();
    let value = Observable::new(0);
    let (page, session) = page_with(&live, &value).await;
    page.cut();
    settle().await;
    value.set(1100);
    tokio::time::advance(Duration::from_secs(30)).await;
    let page = Page::connect(&live, &session).await;
    page.update(value.id(), 99);
    page.update(value.id(), 100);
    page.loaded();
    settle().await;
    assert_eq!((value.get(), page.received().pop()), (100, Some(format!("{}=100", value.id()))));
    // What it sets when it has long had all that waited is its own business.
    tokio::time::advance(Duration::from_secs(30)).await;
    page.update(value.id(), 101);
    settle().await;
    assert_eq!((value.get(), page.received().len()), (101, 0));
}

#[tokio::test]
async fn what_rust_sets_in_a_listener_reaches_the_origin_too() {
    let live = endpoint();
    let value = Observable::new(0);
    let inner = value.clone();
    let _clamp = value.on(move |n| {
        if *n > 10 {
            inner.set(10);
        }
    });
    let (page, _session) = page_with(&live, &value).await;
    page.update(value.id(), 50);
    settle().await;
    assert_eq!(page.received(), [format!("{}=10", value.id())]);
}

#[tokio::test]
async fn a_value_of_the_wrong_type_is_refused_and_nothing_else_suffers() {
    let live = endpoint();
    let number = Observable::new(1i32);
    let (page, session) = page_with(&live, &number).await;
    page.update(number.id(), "text");
    settle().await;
    assert_eq!(page.received(), [format!("{}=1", number.id())], "the page is told what holds instead");
    page.update(number.id(), 1.5);
    page.update(number.id(), u64::MAX);
    page.update(number.id(), None::<i32>);
    page.update("o999999", 5);
    page.update("constructor", 5);
    settle().await;
    assert_eq!(number.get(), 1);
    page.update(number.id(), 2.0);
    settle().await;
    assert_eq!(number.get(), 2);
    assert_eq!(session.status(), bonito_core::Status::Open);
}

#[tokio::test]
async fn a_page_sets_only_what_it_was_given_to_set() {
    let live = endpoint();
    let (shown, followed, looked_at, others) =
        (Observable::new(1), Observable::new(1), Observable::new(1), Observable::new(1));
    let session = live.session();
    session.text(&shown);
    session.attribute("title", &shown);
    session.on_js(&followed, js!("() => {}"));
    session.eval(js!("$(looked_at.read_only())"));
    let _html = session.page("t", "");
    let page = Page::open(&live, &session).await;
    let (_other_page, _other) = page_with(&live, &others).await;
    for id in [shown.id(), followed.id(), looked_at.id(), others.id()] {
        page.update(id, 99);
    }
    settle().await;
    assert_eq!([shown.get(), followed.get(), looked_at.get(), others.get()], [1; 4]);
}

#[tokio::test]
async fn arrays_of_numbers_travel_both_ways() {
    let live = endpoint();
    let samples = Observable::new(TypedArray::from(vec![1.5f32, f32::NAN, -0.0]));
    let (page, _session) = page_with(&live, &samples).await;
    page.update(samples.id(), TypedArray::from((0..10_000).map(|n| n as f32).collect::<Vec<_>>()));
    settle().await;
    assert_eq!(samples.with(|samples| samples.len()), 10_000);
    assert_eq!(samples.with(|samples| samples[9_999]), 9_999.0);
}

#[tokio::test]
async fn a_key_that_no_browser_takes_does_not_reach_one() {
    let live = endpoint();
    let map = Observable::new(std::collections::BTreeMap::from([("ok".to_owned(), 1)]));
    let (page, session) = page_with(&live, &map).await;
    map.set(std::collections::BTreeMap::from([("__proto__".to_owned(), 1)]));
    map.set(std::collections::BTreeMap::from([("ok".to_owned(), 2)]));
    session.eval(js!("after"));
    settle().await;
    let id = map.id();
    assert_eq!(page.received(), [format!("{id}=null"), format!("{id}={{\"ok\":2}}"), "after".into()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_threads_and_many_sessions_all_end_at_the_last_value() {
    let live = endpoint();
    let value = Observable::new(0u64);
    let mut pages = Vec::new();
    for _ in 0..50 {
        pages.push(page_with(&live, &value).await);
    }
    pages[0].0.read_only(Some(0));
    let setters: Vec<_> = (0..8)
        .map(|_| {
            let value = value.clone();
            std::thread::spawn(move || (0..500).for_each(|_| value.update(|n| *n += 1)))
        })
        .collect();
    for setter in setters {
        tokio::task::spawn_blocking(|| setter.join().unwrap()).await.unwrap();
    }
    assert_eq!(value.get(), 4000);
    let last = format!("{}=4000", value.id());
    for (page, _) in &pages[1..] {
        let mut all = Vec::new();
        while all.last() != Some(&last) {
            all.extend(page.received());
            tokio::task::yield_now().await;
        }
        let numbers: Vec<u64> =
            all.iter().map(|said| said.rsplit_once('=').unwrap().1.parse().unwrap()).collect();
        assert!(numbers.is_sorted(), "the order of the values is the order that every browser sees");
    }
}

#[tokio::test]
async fn an_observable_bound_while_it_changes_ends_right_in_the_page() {
    let live = endpoint();
    let value = Observable::new(0u64);
    let session = live.session();
    let _html = session.page("t", "");
    let page = Page::open(&live, &session).await;
    let setter = std::thread::spawn({
        let value = value.clone();
        move || (0..20_000).for_each(|_| value.update(|n| *n += 1))
    });
    session.eval(js!("$(value)"));
    setter.join().unwrap();
    settle().await;
    assert_eq!(value.session_count(), 1);
    let said = page.received();
    let first: u64 = said[0].rsplit_once('=').unwrap().1.parse().unwrap();
    assert!(said[0].starts_with("new "));
    // Values may be skipped from here on, but none may be the last that is not.
    let numbers: Vec<u64> = said
        .iter()
        .filter(|said| said.starts_with(&format!("{}=", value.id())))
        .map(|said| said.rsplit_once('=').unwrap().1.parse().unwrap())
        .collect();
    assert_eq!(numbers.last().copied().unwrap_or(first), 20_000);
}

#[test]
fn a_drop_that_panics_does_not_silence_the_observable() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    let value = Observable::new(0);
    let slot = Arc::new(Mutex::new(None));
    let (own, bomb) = (slot.clone(), Bomb);
    let subscription = value.on(move |_| {
        let _keep = &bomb;
        drop(own.lock().unwrap().take());
    });
    *slot.lock().unwrap() = Some(subscription);
    let (heard, listen) = log();
    let _log = value.on(listen);
    value.set(1);
    value.set(2);
    assert_eq!(*heard.lock().unwrap(), [1, 2]);
}

#[test]
fn listeners_that_are_too_slow_hear_the_latest_values_and_nothing_piles_up() {
    #[derive(Clone, serde::Serialize)]
    struct Number(i32, #[serde(skip)] Arc<()>);
    let number = |n| Number(n, Arc::new(()));
    let value = Observable::new(number(0));
    let (running, is_running) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (heard, listen) = log();
    let released = Mutex::new(released);
    let _slow = value.on(move |n: &Number| {
        if n.0 == 1 {
            running.send(()).unwrap();
            released.lock().unwrap().recv().unwrap();
        }
    });
    let _log = value.on(listen);
    let setter = std::thread::spawn({
        let value = value.clone();
        move || value.set(Number(1, Arc::default()))
    });
    is_running.recv().unwrap();
    let second = number(2);
    let kept = Arc::downgrade(&second.1);
    value.set(second);
    (3..=100_000).for_each(|n| value.set(number(n)));
    assert!(kept.upgrade().is_none(), "a value that nobody will hear is not kept");
    release.send(()).unwrap();
    setter.join().unwrap();
    let heard: Vec<i32> = heard.lock().unwrap().iter().map(|n| n.0).collect();
    assert_eq!((heard[0], heard[1], heard.len()), (1, 100_000 - 65_535, 65_537));
    assert_eq!(heard.last(), Some(&100_000));
}

#[test]
fn several_observables_are_heard_as_one() {
    let (a, b, c) = (Observable::new(1), Observable::new("x".to_owned()), Observable::new(true));
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ears = heard.clone();
    let subscription = on_any((&a, &b, &c), move |(a, b, c)| ears.lock().unwrap().push(format!("{a}{b}{c}")));
    a.set(2);
    b.set("y".to_owned());
    c.set(false);
    assert_eq!(*heard.lock().unwrap(), ["2xtrue", "2ytrue", "2yfalse"]);
    drop(subscription);
    a.set(3);
    assert_eq!(heard.lock().unwrap().len(), 3);
    assert_eq!((a.listener_count(), b.listener_count(), c.listener_count()), (0, 0, 0));
}

#[test]
fn a_listener_to_several_may_set_one_of_them_and_may_panic() {
    let (a, b) = (Observable::new(1), Observable::new(0));
    let heard = Arc::new(Mutex::new(Vec::new()));
    let (ears, target) = (heard.clone(), b.clone());
    on_any((&a, &b), move |(a, b)| {
        ears.lock().unwrap().push((*a, *b));
        assert_ne!(*a, 13, "on purpose");
        if *b != a * 10 {
            target.set(a * 10);
        }
    })
    .forget();
    a.set(2);
    assert_eq!(*heard.lock().unwrap(), [(2, 0), (2, 20)]);
    a.set(13);
    a.set(3);
    assert_eq!(heard.lock().unwrap()[2..], [(13, 20), (3, 20), (3, 30)]);
}

#[test]
fn a_listener_to_several_keeps_none_of_them() {
    let (a, b) = (Observable::new(1), Observable::new(2));
    let count = Arc::new(AtomicUsize::new(0));
    let seen = count.clone();
    on_any((&a, &b), move |_| _ = seen.fetch_add(1, Ordering::SeqCst)).forget();
    a.set(2);
    drop(b);
    a.set(3);
    assert_eq!(count.load(Ordering::SeqCst), 1, "with one of them gone there is nothing to hear");
    drop(a);
    assert_eq!(Arc::strong_count(&count), 1, "nothing of it is left");
}

/// One thread counts both up, the first before the second; another has the listener look all the time.
#[test]
fn what_a_listener_to_several_gets_held_at_one_moment_and_it_ends_at_the_last() {
    let (first, second, tick) = (Observable::new(0_u32), Observable::new(0_u32), Observable::new(0_u32));
    // More to read between the two gives more time to go wrong.
    let others = [Observable::new(()), Observable::new(()), Observable::new(())];
    let last = Arc::new(Mutex::new((0, 0)));
    let (seen, wrong) = (last.clone(), Arc::new(AtomicUsize::new(0)));
    let counted = wrong.clone();
    let [a, b, c] = &others;
    on_any((&second, a, b, c, &tick, &first), move |(second, _, _, _, _, first)| {
        if !(*second == *first || *second + 1 == *first) {
            counted.fetch_add(1, Ordering::SeqCst);
        }
        *seen.lock().unwrap() = (*first, *second);
    })
    .forget();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1..=50_000 {
                first.set(number);
                second.set(number);
            }
            done.store(true, Ordering::SeqCst);
        });
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                tick.set(0);
            }
        });
    });
    assert_eq!(wrong.load(Ordering::SeqCst), 0, "a mixture of two moments");
    assert_eq!(*last.lock().unwrap(), (50_000, 50_000));
}

#[tokio::test]
async fn a_listener_hears_whose_page_has_set_a_value() {
    let live = endpoint();
    let session = live.session();
    let value = Observable::new(0);
    session.on_load(js!("use($(value))"));
    let _html = session.page("t", "");
    let page = Page::open(&live, &session).await;
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ears = heard.clone();
    session.keep(value.on_from(move |value, origin| ears.lock().unwrap().push((*value, origin))));
    value.set(1);
    page.update(value.id(), 2);
    settle().await;
    value.update(|value| *value += 1);
    assert_eq!(*heard.lock().unwrap(), [(1, None), (2, Some(session.id())), (3, None)]);
}

#[tokio::test]
async fn a_link_is_in_the_page_behind_its_observables_and_holds_in_rust_too() {
    let live = endpoint();
    let (source, target) = (Observable::new(1), Observable::new(2));
    let (session, other) = (live.session(), live.session());
    let _html = (session.page("t", ""), other.page("t", ""));
    let (page, witness) = (Page::open(&live, &session).await, Page::open(&live, &other).await);
    session.eval(js!("use($(source))"));
    other.eval(js!("use($(target))"));
    session.link_js(&source, &target);
    settle().await;
    let came = page.received();
    assert_eq!(came[0], format!("new {}=1", source.id()), "{came:?}");
    assert_eq!(came[2], format!("new {}=2", target.id()), "{came:?}");
    assert!(came[3].starts_with("on "), "{came:?}");
    assert_eq!(came.len(), 4, "{came:?}");
    witness.received();
    // The page has set both; others hear of it.
    page.update(source.id(), 5);
    settle().await;
    assert_eq!((source.get(), target.get()), (5, 5));
    assert_eq!(page.received(), [] as [&str; 0]);
    assert_eq!(witness.received(), [format!("{}=5", target.id())]);
    // By the link alone the page may not set the target.
    page.update(target.id(), 6);
    settle().await;
    assert_eq!(target.get(), 5);
    source.set(7);
    assert_eq!(target.get(), 7);
    session.close();
    source.set(8);
    assert_eq!((target.get(), source.listener_count()), (7, 0), "the link goes with its session");
}

#[test]
fn observables_linked_both_ways_come_to_rest_at_one_value() {
    let (a, b) = (Observable::new(0), Observable::new(0));
    let live = endpoint();
    let sessions: Vec<Session> = (0..3).map(|_| live.session()).collect();
    for session in &sessions {
        session.link_js(&a, &b);
        session.link_js(&b, &a);
    }
    for round in 0..200 {
        std::thread::scope(|scope| {
            scope.spawn(|| a.set(2 * round + 1));
            scope.spawn(|| b.set(2 * round + 2));
        });
        assert_eq!(a.get(), b.get());
    }
}

#[test]
fn an_application_that_links_back_by_itself_does_not_go_round_for_ever() {
    let (a, b) = (Observable::new(0), Observable::new(0));
    let session = endpoint().session();
    session.link_js(&a, &b);
    let (back, count) = (a.clone(), Arc::new(AtomicUsize::new(0)));
    let seen = count.clone();
    b.on(move |b| {
        seen.fetch_add(1, Ordering::SeqCst);
        back.set(*b);
    })
    .forget();
    a.set(1);
    b.set(2);
    assert_eq!((a.get(), b.get(), count.load(Ordering::SeqCst)), (2, 2, 2));
}
