//! Schedules of one session: `SEEDS=10000000` runs so many of them, `SEED=7` shows one.

use std::env;
use std::path::Path;

use bonito_simulation::session;

/// Schedules of a default run.
const SCHEDULES: u64 = 100_000;

/// What has to come about in a default run, or it would show nothing.
const HAPPENS: [&str; 22] = [
    "application: count",
    "application: expired",
    "application: overflow",
    "application: taken-over",
    "page: close 1002",
    "page: close 1007",
    "page: close 1012 retry-after=500",
    "page: close 4001",
    "page: close 4003 duplicate",
    "page: close 4003 key",
    "page: close 4004",
    "page: close 4005 count",
    "page: close 4005 duplicate",
    "page: close 4005 overflow",
    "page: close 4008",
    "page: hello answered 4001",
    "page: hello answered 4005 overflow",
    "page: status 403",
    "page: status 404",
    "page: welcome, anew",
    "page: welcome, resumed",
    "thief: hello answered 4003 key",
];

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is no number: {value}")))
}

#[test]
fn what_failed_once_holds() {
    let count = session::run_regressions(&Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions"));
    eprintln!("{count} schedules that failed once");
}

#[test]
fn every_message_is_observed_exactly_once_and_in_order_or_both_sides_are_told() {
    if let Some(seed) = number("SEED") {
        eprintln!("{}", session::trace_seed(seed));
        session::run_seeds(seed..seed + 1);
        return;
    }
    let schedules = number("SEEDS").unwrap_or(SCHEDULES);
    let counts = session::run_seeds(0..schedules);
    eprintln!("{counts:#?}");
    if schedules < SCHEDULES {
        return;
    }
    for what in HAPPENS {
        assert!(
            counts.get(what).is_some_and(|count| *count > 0),
            "in {schedules} schedules, {what} never happens"
        );
    }
}

#[test]
fn two_messages_each_way_arrive_whatever_two_breaks_do_in_any_order() {
    let explored = session::explore(2, 2, 0);
    eprintln!("{explored:#?}");
    assert!(explored.states > 100_000 && explored.ends > 1_000, "{explored:?}");
    for what in [
        "page: welcome, anew",
        "page: welcome, resumed",
        "page: hello answered 4001",
        "page: hello answered 4003 key",
    ] {
        assert!(
            explored.counts.get(what).is_some_and(|count| *count > 0),
            "{what} never happens: {explored:?}"
        );
    }
}

#[test]
fn acknowledgements_may_come_at_any_time() {
    let explored = session::explore(1, 1, 1);
    assert!(explored.states > 1_000 && explored.ends > 100, "{explored:?}");
}
