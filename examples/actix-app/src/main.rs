//! An ordinary actix-web app with a login and templates of its own, and a live page in it.
//!
//! `cargo run -p actix-app`, then open the address it prints. `--port N` chooses the port, 0 is any free one.

mod guard;
mod notes;
mod pages;

use std::process::ExitCode;

use actix_web::dev::Server;
use actix_web::middleware::from_fn;
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{App, HttpServer, rt};
use app_parts::{GRACE, People, Person, told_to_stop};
use bonito_core::Endpoint;
use notes::Board;

/// What all workers share.
#[derive(Clone, Debug)]
struct State {
    live: Endpoint,
    people: People,
    board: Board,
}

impl State {
    fn new() -> Self {
        // A socket is for whom the page was for, as the middleware knows them.
        let live = Endpoint::builder("/live")
            .identity(|request| request.extensions.get::<Person>().map(|person| person.name().to_owned()))
            .build();
        Self { live, people: People::default(), board: Board::new() }
    }
}

#[actix_web::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("actix-app: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let port = app_parts::port(std::env::args().skip(1))?;
    // Made once: a worker that had its own would not find the others' sessions.
    let state = State::new();
    let live = state.live.clone();
    let factory = move || App::new().configure(routes(&state)).wrap(from_fn(guard::headers));
    let server = HttpServer::new(factory).workers(2).tcp_nodelay(true).bind(("127.0.0.1", port))?;
    for address in server.addrs() {
        announce(&format!("http://{address}"));
    }
    serve(server.shutdown_timeout(GRACE.as_secs()).disable_signals().run(), &live).await
}

async fn serve(server: Server, live: &Endpoint) -> Result<(), Box<dyn std::error::Error>> {
    let handle = server.handle();
    let server = rt::spawn(server);
    told_to_stop().await;
    // actix waits for sockets as for any request, and would cut them off when its time is over.
    tokio::join!(handle.stop(true), live.drain(GRACE));
    server.await??;
    Ok(())
}

fn routes(state: &State) -> impl FnOnce(&mut ServiceConfig) + use<> {
    let state = state.clone();
    move |config| {
        config
            .app_data(Data::new(state.clone()))
            .route("/login", web::get().to(pages::login_form))
            .route("/login", web::post().to(pages::log_in))
            .route("/logout", web::post().to(pages::log_out))
            .route("/app.css", web::get().to(pages::style))
            .route("/favicon.svg", web::get().to(pages::favicon))
            // Only for those who are logged in: the pages, and their sockets as well.
            .service(
                web::scope("")
                    .wrap(from_fn(guard::login))
                    .route("/", web::get().to(pages::board))
                    .route("/about", web::get().to(pages::about))
                    .configure(bonito_actix::routes(&state.live)),
            );
    }
}

#[expect(clippy::print_stdout, reason = "the address is what this program has to say")]
fn announce(address: &str) {
    println!("{address}");
}

#[cfg(test)]
mod tests {
    use actix_web::http::StatusCode;
    use actix_web::http::header::{LOCATION, SET_COOKIE};
    use actix_web::test::{TestRequest, call_service, init_service, read_body};

    use super::*;

    #[actix_web::test]
    async fn only_those_who_are_logged_in_get_the_page() {
        let state = State::new();
        let app = init_service(App::new().configure(routes(&state)).wrap(from_fn(guard::headers))).await;

        let stranger = call_service(&app, TestRequest::get().uri("/").to_request()).await;
        assert_eq!(stranger.status(), StatusCode::SEE_OTHER);
        assert_eq!(stranger.headers().get(LOCATION).unwrap(), "/login");
        assert_eq!(state.live.stats().sessions, 0);

        let form = TestRequest::post().uri("/login").set_form([("name", "Ada"), ("password", "tuna")]);
        assert_eq!(call_service(&app, form.to_request()).await.status(), StatusCode::FORBIDDEN);
        let form = TestRequest::post().uri("/login").set_form([("name", "Ada"), ("password", "bonito")]);
        let let_in = call_service(&app, form.to_request()).await;
        let cookie = let_in.headers().get(SET_COOKIE).unwrap().to_str().unwrap().to_owned();
        let cookie = cookie.split(';').next().unwrap();

        let page = TestRequest::get().uri("/").insert_header(("cookie", cookie)).to_request();
        let page = call_service(&app, page).await;
        assert_eq!(page.status(), StatusCode::OK);
        assert!(page.headers().contains_key("content-security-policy"));
        let html = String::from_utf8(read_body(page).await.to_vec()).unwrap();
        assert!(html.contains("Ada"));
        assert_eq!(state.live.stats().sessions, 1);

        // The sockets are behind the same check.
        let socket = TestRequest::get().uri("/live/0").to_request();
        assert_eq!(call_service(&app, socket).await.status(), StatusCode::UNAUTHORIZED);
        let socket = TestRequest::get().uri("/live/0").insert_header(("cookie", cookie)).to_request();
        assert_eq!(call_service(&app, socket).await.status(), StatusCode::NOT_FOUND);

        // So is the one of her page, which is for nobody else.
        let (_, id) = html.split_once("init_session(\"").unwrap();
        let (id, _) = id.split_once('"').unwrap();
        let form = TestRequest::post().uri("/login").set_form([("name", "Bob"), ("password", "bonito")]);
        let let_in = call_service(&app, form.to_request()).await;
        let bob = let_in.headers().get(SET_COOKIE).unwrap().to_str().unwrap().to_owned();
        for (who, status) in [(cookie, StatusCode::UPGRADE_REQUIRED), (bob.as_str(), StatusCode::FORBIDDEN)] {
            let socket = TestRequest::get().uri(&format!("/live/{id}")).insert_header(("cookie", who));
            assert_eq!(call_service(&app, socket.to_request()).await.status(), status, "{who}");
        }

        let leave = TestRequest::post().uri("/logout").insert_header(("cookie", cookie)).to_request();
        assert_eq!(call_service(&app, leave).await.status(), StatusCode::SEE_OTHER);
        assert_eq!(state.live.stats().sessions, 0);
    }
}
