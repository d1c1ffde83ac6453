//! What a session costs whose browser is away and will resume. A file of its own, since the allocator counts for all of a
//! process.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests spawn, wait and expect")]

mod support;

use std::time::Duration;

use bonito_core::{DefaultCleanupPolicy, Endpoint, Observable, Status, js};
use peak_alloc::PeakAlloc;
use support::settle;
use support::stream::Stream;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// 100 observables, each set once a second for an hour. That is fewer steps than those of a plain page; from the second on
/// each takes the place of the one before, so more of them would hold no more.
#[tokio::test(start_paused = true)]
async fn a_page_that_will_resume_and_is_away_for_an_hour_stays_under_a_mebibyte() {
    const OBSERVABLES: usize = 100;
    const TICKS: usize = 60 * 60;
    const MOST: usize = 1 << 20;
    let mut policy = DefaultCleanupPolicy::default();
    policy.cleanup_time = Duration::from_secs(2 * 60 * 60);
    let live = Endpoint::builder("/live").cleanup_policy(policy).build();
    let before = ALLOCATOR.current_usage();
    let values: Vec<_> = (0..OBSERVABLES).map(|n| Observable::new([n; 4])).collect();
    let session = live.session();
    for value in &values {
        session.eval(js!("$(value)"));
    }
    let mut page = Stream::open(&live, &session).await;
    // These are sent, and lost with the socket.
    for value in &values {
        value.set([usize::MAX; 4]);
    }
    settle().await;
    page.cut(false).await;
    ALLOCATOR.reset_peak_usage();
    for tick in 0..TICKS {
        for value in &values {
            value.set([tick; 4]);
        }
        tokio::time::advance(Duration::from_secs(1)).await;
        if tick % 100 == 0 {
            let held = session.info().queued_bytes;
            assert!(held < MOST, "{held} bytes wait after {tick} ticks");
        }
    }
    let peak = ALLOCATOR.peak_usage().saturating_sub(before);
    assert!(peak < MOST, "{peak} bytes were allocated");
    assert_eq!(session.status(), Status::SoftClosed);
    assert!(page.connect().await.unwrap().resumed);
    page.read();
    page.ack();
    settle().await;
    page.read();
    for value in &values {
        let id = format!("{}=", value.id());
        let say = |value: usize| format!("{id}{:?}", [value; 4]).replace(' ', "");
        let came: Vec<_> = page.log.iter().filter(|said| said.starts_with(&id)).collect();
        assert_eq!(came, [&say(usize::MAX), &say(TICKS - 1)], "what was under way, and the last value once");
    }
}
