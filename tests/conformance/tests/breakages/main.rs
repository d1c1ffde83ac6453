//! The kit is worth something only if it fails: each adapter's low road as it works, and with one thing broken at a time.

#![allow(clippy::unwrap_used, reason = "tests expect")]

mod servers;
mod wire;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bonito_core::Accepted;
use bonito_testkit::cases;
use tokio::io::{AsyncRead, AsyncWrite};
use wire::Wire;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    NoPong,
    TwoPongs,
    NoLimit,
    NoLimitOfFragments,
    FewFragments,
    NoCloseCode,
    StaleDetach,
    Nagle,
    NoBackPressure,
}

async fn run<S: AsyncRead + AsyncWrite + Unpin>(accepted: Accepted, fault: Fault, connection: S) {
    let mut limits = accepted.limits().clone();
    match fault {
        Fault::NoLimit => limits.message_bytes = usize::MAX,
        Fault::NoLimitOfFragments => limits.message_fragments = usize::MAX,
        Fault::FewFragments => limits.message_fragments = 50,
        _ => {}
    }
    let transport = bonito_websocket::transport(Wire::new(connection, fault), &limits).await;
    let session = accepted.session().cloned();
    let disconnect = accepted.run(transport).await;
    if let (Fault::StaleDetach, true, Some(session)) = (fault, disconnect.is_superseded(), session) {
        session.close();
    }
}

static ALONE: Mutex<()> = Mutex::new(());

/// The case passes with the adapter that works, and fails with the fault.
macro_rules! caught {
    ($serve:path: $($(#[$doc:meta])* $name:ident: $fault:ident by $case:ident)*) => {
        $(
            $(#[$doc])*
            #[test]
            fn $name() {
                use super::*;
                // Patience is the process's.
                let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
                bonito_testkit::run(cases::$case(async |live| $serve(live, Fault::None).await));
                bonito_testkit::set_patience(Duration::from_secs(2));
                let case = || bonito_testkit::run(cases::$case(async |live| $serve(live, Fault::$fault).await));
                let outcome = catch_unwind(AssertUnwindSafe(case));
                bonito_testkit::set_patience(Duration::from_secs(20));
                assert!(outcome.is_err(), "{} passes with {:?}", stringify!($case), Fault::$fault);
            }
        )*
    };
}

macro_rules! behind {
    ($($adapter:ident)*) => {
        $(
            mod $adapter {
                caught! {
                    servers::$adapter:
                    a_dropped_pong_is_noticed: NoPong by a_ping_gets_exactly_one_pong
                    a_doubled_pong_is_noticed: TwoPongs by a_ping_gets_exactly_one_pong
                    a_dropped_limit_is_noticed: NoLimit by fragments_are_joined_and_their_sum_is_bounded
                    a_dropped_count_is_noticed: NoLimitOfFragments by too_many_fragments_are_refused
                    a_lost_close_code_is_noticed: NoCloseCode by a_server_that_closes_says_why
                    a_stale_detach_is_noticed: StaleDetach by a_newer_socket_takes_over_and_the_older_is_told
                }
            }
        )*
    };
}

behind! { axum actix warp hyper }

/// What no framework's own code has a part in.
mod below {
    caught! {
        servers::hyper:
        a_delayed_segment_is_noticed: Nagle by small_replies_do_not_wait_for_acknowledgements
        a_hoard_is_noticed: NoBackPressure by a_reader_that_stops_costs_what_limits_say_and_delays_nobody
        a_hoard_of_a_behaviour_is_noticed: NoBackPressure by a_client_that_does_not_read_is_held_up
        a_pong_dropped_byte_by_byte_is_noticed: NoPong by pings_of_every_kind_are_answered
        a_largest_message_without_limit_is_noticed: NoLimit by the_largest_message_is_echoed_and_a_larger_one_refused
        a_pong_doubled_byte_by_byte_is_noticed: TwoPongs by pings_of_every_kind_are_answered
        too_little_room_for_fragments_is_noticed: FewFragments by a_text_in_frames_of_1300_bytes_is_echoed
        too_little_room_for_large_messages_is_noticed: FewFragments by messages_of_up_to_16_mib_are_echoed
        a_close_code_of_a_behaviour_that_is_lost_is_noticed: NoCloseCode by a_behaviour_closes
        a_close_code_of_init_that_is_lost_is_noticed: NoCloseCode by init_pushes_the_first_frames
        a_close_code_of_a_server_message_that_is_lost_is_noticed: NoCloseCode by a_server_message_becomes_frames
    }
}
