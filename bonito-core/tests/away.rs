//! What a session costs whose browser is away: counted by the library, and by the allocator. A file of its own, since the
//! allocator counts for all of a process.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests spawn, wait and expect")]

mod support;

use std::time::Duration;

use bonito_core::{DefaultCleanupPolicy, Endpoint, Observable, Status, js};
use peak_alloc::PeakAlloc;
use support::{Page, settle};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// 100 observables, each set 20 times a second for an hour. Time is the test's own.
#[tokio::test(start_paused = true)]
async fn a_session_whose_browser_is_away_for_an_hour_stays_under_a_mebibyte() {
    const OBSERVABLES: usize = 100;
    const TICKS: usize = 60 * 60 * 20;
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
    let _html = session.page("t", "");
    let page = Page::open(&live, &session).await;
    page.cut();
    settle().await;
    drop(page);
    ALLOCATOR.reset_peak_usage();
    for tick in 0..TICKS {
        for value in &values {
            value.set([tick; 4]);
        }
        // What the page sees of some of them may not be left out, so values do not collapse across it.
        if tick % (TICKS / 10) == 0 {
            session.eval(js!("tick()"));
        }
        tokio::time::advance(Duration::from_millis(50)).await;
        if tick % 100 == 0 {
            let held = session.info().queued_bytes;
            assert!(held < MOST, "{held} bytes wait after {tick} ticks");
        }
    }
    let peak = ALLOCATOR.peak_usage().saturating_sub(before);
    assert!(peak < MOST, "{peak} bytes were allocated");
    assert_eq!(session.status(), Status::SoftClosed);
    assert!(session.info().queued_messages <= 11 * (OBSERVABLES + 1));
    let page = Page::open(&live, &session).await;
    let received = page.received();
    assert!(received.len() <= 11 * (OBSERVABLES + 1));
    for value in &values {
        let last = format!("{}={:?}", value.id(), [TICKS - 1; 4]).replace(' ', "");
        assert_eq!(received.iter().rfind(|said| said.starts_with(&format!("{}=", value.id()))), Some(&last));
    }
}
