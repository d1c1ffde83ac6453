//! The adapter does what every adapter must, by its routes and by the low road over actix-ws.

#![allow(clippy::unwrap_used, reason = "tests expect")]

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_web::web::{self, ServiceConfig};
use actix_web::{App, HttpServer};

fn serve(configure: impl Fn(&mut ServiceConfig) + Clone + Send + 'static, linger: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let app = move || App::new().route("/", web::get().to(async || "home")).configure(configure.clone());
    let server = HttpServer::new(app).workers(2).tcp_nodelay(true).client_disconnect_timeout(linger);
    tokio::spawn(server.disable_signals().listen(listener).unwrap().run());
    address
}

mod routes {
    use std::net::SocketAddr;
    use std::time::Duration;

    use actix_web::web::{self, ServiceConfig};
    use bonito_core::Endpoint;

    async fn serve(live: Endpoint) -> SocketAddr {
        let configure = move |config: &mut ServiceConfig| {
            config
                .configure(bonito_actix::routes(&live))
                .service(web::scope("/app").configure(bonito_actix::routes(&live)));
        };
        // Shorter than the second of the default, and longer than a tick of actix's clock, which would miss what is shorter.
        super::serve(configure, Duration::from_millis(600))
    }

    bonito_testkit::conformance!(serve);
    bonito_testkit::behaviours!(serve);
}

mod over_actix_ws {
    use std::net::SocketAddr;
    use std::time::Duration;

    use actix_web::http::header::{HeaderValue, SEC_WEBSOCKET_PROTOCOL};
    use actix_web::web::{self, Payload, ServiceConfig};
    use actix_web::{HttpRequest, HttpResponse, rt};
    use bonito_core::{Endpoint, Outcome};

    async fn serve(live: Endpoint) -> SocketAddr {
        let configure = move |config: &mut ServiceConfig| {
            for path in ["/live/{path:.*}", "/app/live/{path:.*}"] {
                let live = live.clone();
                let socket = move |request, payload| answer(live.clone(), request, payload);
                config.service(web::resource(path).to(socket));
            }
        };
        // It hangs up at once.
        super::serve(configure, Duration::ZERO)
    }

    async fn answer(
        live: Endpoint,
        request: HttpRequest,
        payload: Payload,
    ) -> actix_web::Result<HttpResponse> {
        let Some(parts) = bonito_actix::to_parts(&request) else {
            return Ok(HttpResponse::BadRequest().finish());
        };
        let accepted = match live.handle(&parts).await {
            Outcome::Respond(response) => return Ok(bonito_actix::respond(response)),
            Outcome::Upgrade(accepted) => accepted,
        };
        let payload = bonito_actix::guard(&request, payload, accepted.limits())?;
        let (mut response, session, stream) = actix_ws::handle(&request, payload)?;
        if let Some(protocol) = accepted.protocol() {
            response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
        }
        let transport = bonito_actix::transport(session, stream, accepted.limits());
        rt::spawn(accepted.run(transport));
        Ok(response)
    }

    /// actix-ws reads no more once it has sent a close frame: what a page says until it has answered is lost, at the end of a
    /// drain or of a takeover. `a_drain_under_load_loses_nothing` notices.
    #[test]
    fn all_cases_but_one_are_here() {
        assert_eq!(bonito_testkit::CASES.len(), 37, "name a new case below too");
    }

    bonito_testkit::conformance! {
        serve, "actix-ws", only
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
        a_thousand_sessions_leave_nothing_behind
    }
}
