//! Many threads, many sessions, and sockets that break at any moment.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests spawn, wait and expect")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bonito_core::{Endpoint, Observable, Script, Session, Stats, Status, js};
use support::{Page, endpoint, endpoint_with};

/// A small generator, so that a run can be had again from its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) % bound
    }
}

/// Ends the process if the test hangs: a deadlock would block the runtime that a timeout needs.
struct Watchdog(Arc<AtomicBool>);

impl Watchdog {
    fn new(limit: Duration) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let seen = done.clone();
        std::thread::spawn(move || {
            let start = Instant::now();
            while !seen.load(Ordering::SeqCst) {
                if start.elapsed() > limit {
                    eprintln!("deadlock: nothing ended within {limit:?}");
                    std::process::abort();
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Self(done)
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("{what} never came true");
}

/// The numbers of the scripts that have come.
fn steps(page: &Page) -> Vec<usize> {
    let number = |said: &String| said.strip_prefix("step(")?.strip_suffix(')')?.parse().ok();
    page.received().iter().filter_map(number).collect()
}

/// Sockets come, get stuck, break and are taken over while scripts are sent. All that no socket took comes by the next one,
/// and what an in-memory socket took has arrived: so every script comes once, in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn scripts_come_once_and_in_order_whatever_becomes_of_the_sockets() {
    let _watchdog = Watchdog::new(Duration::from_secs(60));
    let live = endpoint_with(|limits| {
        limits.queued_messages = usize::MAX;
        limits.takeover_pause = Duration::ZERO;
    });
    let browsers: Vec<_> = (0..8u64)
        .map(|seed| tokio::spawn(browser(live.clone(), Random(0x9e37_79b9_7f4a_7c15 ^ (seed + 1)))))
        .collect();
    for browser in browsers {
        browser.await.unwrap();
    }
    until("that nothing is left behind", || live.stats() == Stats::default()).await;
}

async fn browser(live: Endpoint, mut random: Random) {
    const SCRIPTS: usize = 3000;
    let session = live.session();
    let _html = session.page("t", "");
    let sent = Arc::new(AtomicUsize::new(0));
    let (sender, count) = (session.clone(), sent.clone());
    let sending = std::thread::spawn(move || {
        for n in 0..SCRIPTS {
            sender.eval(Script::new(format!("step({n})")));
            count.store(n + 1, Ordering::SeqCst);
            if n % 8 == 0 {
                std::thread::sleep(Duration::from_micros(200));
            }
        }
    });
    let mut pages = Vec::new();
    while sent.load(Ordering::SeqCst) < SCRIPTS {
        let page = Page::connect(&live, &session).await;
        page.read_only(Some(random.below(40) as usize));
        page.loaded();
        tokio::time::sleep(Duration::from_micros(random.below(3000))).await;
        // Half of them break at the very moment at which the next one comes.
        if random.below(2) == 0 {
            page.cut();
        }
        pages.push(page);
    }
    sending.join().unwrap();
    let last = Page::connect(&live, &session).await;
    last.loaded();
    pages.push(last);
    let mut received = vec![Vec::new(); pages.len()];
    let start = Instant::now();
    while received.iter().map(Vec::len).sum::<usize>() < SCRIPTS {
        assert!(start.elapsed() < Duration::from_secs(20), "something is lost");
        for (page, received) in pages.iter().zip(&mut received) {
            received.extend(steps(page));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    session.close();
    for (page, received) in pages.into_iter().zip(&mut received) {
        page.cut();
        until("that every loop ends", || page.serving.is_finished()).await;
        received.extend(steps(&page));
    }
    // Sockets attach in an order of their own; what each has got is one run of all.
    received.sort_by_key(|received| received.first().copied());
    assert_eq!(received.concat(), (0..SCRIPTS).collect::<Vec<_>>());
}

/// Everything at once, at random, on shared observables.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_hangs_and_nothing_stays() {
    const SESSIONS: usize = 24;
    let _watchdog = Watchdog::new(Duration::from_secs(60));
    let live = endpoint();
    let values: Vec<_> = (0..4).map(|_| Observable::new(0u64)).collect();
    let sums = values[0].map(|n| n + 1);
    let sessions: Vec<Session> = (0..SESSIONS)
        .map(|_| {
            let session = live.session();
            for value in &values {
                session.eval(js!("$(value)"));
                session.text(value);
            }
            let (other, own) = (values[1].clone(), session.clone());
            session.keep(values[0].on(move |n| {
                if n % 64 == 0 {
                    other.set(*n);
                    own.eval(js!("of a listener"));
                }
            }));
            session.spawn(std::future::pending());
            let _html = session.page("t", "");
            session
        })
        .collect();
    let stop = Instant::now() + Duration::from_millis(2500);
    let threads: Vec<_> = (0..4u64)
        .map(|seed| {
            let (values, sessions) = (values.clone(), sessions.clone());
            std::thread::spawn(move || {
                let mut random = Random(0xd1b5_4a32_d192_ed03 ^ (seed + 1));
                while Instant::now() < stop {
                    let session = &sessions[random.below(SESSIONS as u64) as usize];
                    let value = &values[random.below(4) as usize];
                    match random.below(100) {
                        0..50 => value.set(random.below(1000)),
                        50..60 => value.update(|n| *n += 1),
                        60..90 => _ = session.eval(js!("$(value)")),
                        90..95 => session.flush(),
                        95..97 => session.soft_close(),
                        97..99 => drop(value.on(|_| {})),
                        _ if random.below(500) == 0 => session.close(),
                        _ => {}
                    }
                    if random.below(20) == 0 {
                        std::thread::sleep(Duration::from_micros(100));
                    }
                }
            })
        })
        .collect();
    let mut random = Random(7);
    let mut pages: Vec<Page> = Vec::new();
    while Instant::now() < stop {
        let at = random.below(SESSIONS as u64) as usize;
        if let (true, false) = (sessions[at].status() != Status::Closed, pages.len() > 100) {
            let page = Page::connect(&live, &sessions[at]).await;
            page.loaded();
            page.update(values[2].id(), random.below(1000));
            pages.push(page);
        } else {
            let page = pages.swap_remove(random.below(pages.len() as u64) as usize);
            page.cut();
        }
        for page in &pages {
            page.frames();
        }
        tokio::time::sleep(Duration::from_micros(300)).await;
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    sessions.iter().for_each(Session::close);
    for page in pages {
        page.cut();
        page.serving.await.unwrap();
    }
    until("that nothing is left behind", || live.stats() == Stats::default()).await;
    values[0].set(41);
    assert_eq!(sums.get(), 42, "listeners still run");
    for value in &values {
        assert_eq!(value.session_count(), 0);
    }
    // The text of each is gone with the sessions that showed it.
    assert_eq!((values[0].listener_count(), values[1].listener_count()), (1, 0));
    let weak: Vec<_> = sessions.iter().map(|session| Arc::downgrade(session.connection())).collect();
    drop(sessions);
    until("that every session is freed", || weak.iter().all(|session| session.upgrade().is_none())).await;
}

/// Each that went moved all the others: a hundred thousand listeners took six seconds to go, under the observable's lock.
#[test]
fn listeners_that_go_in_any_order_leave_the_others_and_take_no_time() {
    const LISTENERS: usize = 50_000;
    let (value, heard) = (Observable::new(0), Arc::new(AtomicUsize::new(0)));
    let mut all: Vec<_> = (0..LISTENERS)
        .map(|_| {
            let heard = heard.clone();
            Some(value.on(move |_| _ = heard.fetch_add(1, Ordering::Relaxed)))
        })
        .collect();
    let mut left = LISTENERS;
    for step in [3, 2, 1] {
        // From the front and from the back, as threads let go of what they have.
        for at in (0..LISTENERS).step_by(step) {
            let at = if at % 2 == 0 { at } else { LISTENERS - at };
            left -= usize::from(all[at].take().is_some());
        }
        heard.store(0, Ordering::Relaxed);
        value.set(step);
        assert_eq!(heard.load(Ordering::Relaxed), left, "after every {step}th");
    }
    assert_eq!(left, all.iter().flatten().count());
}
