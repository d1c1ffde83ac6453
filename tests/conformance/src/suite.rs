//! What every adapter must do, as a suite of tests.

/// Makes one test of each case in [`cases`](crate::cases), over real TCP with a WebSocket client that is not ours.
///
/// A test file of an adapter is a function and a line. The function serves an app in the background and answers where; the
/// endpoint is mounted in it twice, at the root and under `/app`, and the app's own page `/` says `home`:
///
/// ```
/// use std::net::SocketAddr;
///
/// use bonito_core::Endpoint;
///
/// async fn serve(live: Endpoint) -> SocketAddr {
/// # /*
///     …
/// # */
/// #     unimplemented!("{live:?}")
/// }
///
/// bonito_testkit::conformance!(serve);
/// ```
///
/// The server must set `TCP_NODELAY`, and a case notices if it does not. The cases run one at a time.
///
/// A case that has passed is noted under `target/tmp/conformance`, in a folder of the adapter's name, and the program
/// `table` makes the book's table of that.
///
/// A second argument names the adapter in the table, where it is not its package
/// without `bonito-`. A third names the cases, for what cannot pass them all.
#[macro_export]
macro_rules! conformance {
    ($serve:path) => {
        $crate::conformance! { $serve, env!("CARGO_PKG_NAME") }
    };
    ($serve:path, $adapter:expr) => {
        $crate::conformance! { @cases tests $serve, $adapter }
    };
    ($serve:path, $adapter:expr, only $($case:ident)*) => {
        $crate::conformance! { @tests $serve, $adapter => $($case)* }
    };
    (@cases $($then:tt)*) => {
        $crate::conformance! { @$($then)* =>
            the_app_keeps_its_pages
            a_page_finds_its_script
            assets_have_their_headers
            head_requests_have_no_body
            wrong_methods_are_405
            an_unknown_session_is_404_before_the_upgrade
            foreign_origins_are_403
            a_plain_get_on_the_socket_is_426
            over_capacity_is_503_with_retry_after
            the_query_and_repeated_headers_pass
            messages_go_both_ways
            queued_messages_precede_later_ones
            large_messages_arrive_whole
            small_replies_do_not_wait_for_acknowledgements
            a_ping_gets_exactly_one_pong
            a_text_frame_is_refused
            a_message_that_cannot_be_decoded_is_refused
            broken_frames_are_refused
            a_message_over_the_limit_closes_its_socket_only
            a_message_far_too_large_is_refused_by_its_header
            a_message_far_too_large_that_comes_all_the_same_is_told_why
            fragments_are_joined_and_their_sum_is_bounded
            too_many_fragments_are_refused
            a_newer_socket_takes_over_and_the_older_is_told
            a_server_that_closes_says_why
            a_client_that_closes_is_answered_and_its_session_waits
            a_client_that_vanishes_leaves_a_session_that_waits
            a_connection_that_is_reset_leaves_a_session_that_waits
            a_half_open_peer_is_noticed
            a_quiet_peer_that_answers_stays
            a_reader_that_stops_costs_what_limits_say_and_delays_nobody
            the_offer_to_resume_is_answered
            a_socket_that_is_cut_resumes_and_nothing_is_lost
            a_foreign_key_is_refused_and_disturbs_nobody
            a_plain_socket_is_refused_once_a_page_resumes
            a_drain_under_load_loses_nothing
            a_thousand_sessions_leave_nothing_behind
        }
    };
    (@tests $serve:path, $adapter:expr => $($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                let note = $crate::Note::new(option_env!("CARGO_TARGET_TMPDIR"), $adapter, stringify!($case));
                $crate::run($crate::cases::$case($serve));
                note.passed();
            }
        )*
    };
    (@list => $($case:ident)*) => {
        &[$((stringify!($case), $crate::cases::$case::WHY)),*]
    };
}

/// Makes one test of each case about WebSocket behaviours and about the WebSocket protocol itself, which a behaviour shows.
/// Takes what [`conformance!`] takes.
#[macro_export]
macro_rules! behaviours {
    ($serve:path) => {
        $crate::behaviours! { $serve, env!("CARGO_PKG_NAME") }
    };
    ($serve:path, $adapter:expr) => {
        $crate::behaviours! { @cases tests $serve, $adapter }
    };
    (@cases $($then:tt)*) => {
        $crate::conformance! { @$($then)* =>
            a_behaviour_without_connect_lets_everybody_in
            a_behaviour_sees_the_request
            a_behaviour_refuses_with_a_response
            a_behaviour_refuses_with_any_response
            a_behaviour_is_not_asked_about_what_is_refused
            init_pushes_the_first_frames
            a_behaviour_answers_in_order
            a_server_message_becomes_frames
            a_behaviour_closes
            a_behaviour_is_told_how_its_client_closed
            a_behaviour_is_told_that_its_client_vanished
            a_behaviour_that_panics_ends_its_connection_with_1011
            a_behaviour_ends_a_silent_client
            a_drain_ends_behaviours_with_1001
            names_and_groups_reach_connections
            a_name_is_free_however_its_connection_ended
            a_client_that_does_not_read_is_held_up
            a_thousand_behaviours_leave_nothing_behind
            frames_of_every_length_are_echoed
            pings_of_every_kind_are_answered
            reserved_bits_are_refused
            reserved_opcodes_are_refused
            frames_without_a_mask_are_refused
            fragments_make_one_message
            texts_are_utf8
            closing_handshakes_are_answered
            bad_close_frames_are_refused
            messages_of_up_to_16_mib_are_echoed
            the_largest_message_is_echoed_and_a_larger_one_refused
            a_text_in_frames_of_1300_bytes_is_echoed
        }
    };
}

/// Names and reasons of the cases of [`behaviours!`].
pub const BEHAVIOUR_CASES: &[(&str, &str)] = behaviours!(@cases list);

/// Names and reasons of all cases.
pub const CASES: &[(&str, &str)] = conformance!(@cases list);

/// Names and reasons of all cases for connections.
pub const CONNECTION_CASES: &[(&str, &str)] = crate::connection_conformance!(@cases list);
