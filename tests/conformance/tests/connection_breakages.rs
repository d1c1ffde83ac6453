//! The connection that works, and the same with one thing broken at a time: each is found out.

#![allow(clippy::unwrap_used, reason = "tests expect")]

mod far {
    pub(crate) mod memory;
}

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bonito_testkit::connection_cases;
use far::memory::{Fault, memory, wrong};

static ALONE: Mutex<()> = Mutex::new(());

/// The case passes with the connection that works, and fails with the fault.
macro_rules! caught {
    ($($name:ident: $fault:ident by $case:ident)*) => {
        $(
            #[test]
            fn $name() {
                // Patience is the process's.
                let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
                bonito_testkit::run(connection_cases::$case(memory));
                bonito_testkit::set_patience(Duration::from_secs(2));
                let case = || bonito_testkit::run(connection_cases::$case(async |_| wrong(Fault::$fault).await));
                let outcome = catch_unwind(AssertUnwindSafe(case));
                bonito_testkit::set_patience(Duration::from_secs(20));
                assert!(outcome.is_err(), "{} passes with {:?}", stringify!($case), Fault::$fault);
            }
        )*
    };
}

caught! {
    a_dropped_message_is_noticed: DropsWhenFull by a_page_that_does_not_read_misses_nothing
    a_doubled_message_is_noticed: TakesAndGivesBack by a_page_that_does_not_read_misses_nothing
    a_hoard_is_noticed: NeverFull by a_flood_is_bounded
    a_wrong_order_is_noticed: LastFirst by messages_keep_their_order
    a_silent_loss_is_noticed: SilentLoss by a_lost_way_is_noticed_and_what_waits_comes_once
    a_replay_is_noticed: SendsAgain by a_lost_way_is_noticed_and_what_waits_comes_once
    a_lie_is_noticed: AlwaysOpen by is_open_tells_the_truth
    a_way_without_end_is_noticed: NeverEnds by a_session_that_ends_closes_the_way_once
    a_session_that_garbage_ends_is_noticed: EndsOnGarbage by garbage_is_refused_and_the_session_lives
    a_leak_is_noticed: Leaks by nothing_is_left_behind
    a_missing_script_is_noticed: NoScript by the_page_gets_a_script
}
