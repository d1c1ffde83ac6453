//! An ordinary warp app with a login and templates of its own, and a live page in it.
//!
//! `cargo run -p warp-app`, then open the address it prints. `--port N` chooses the port, 0 is any free one.

mod guard;
mod pages;
mod poll;

use std::process::ExitCode;

use app_parts::{GRACE, People, told_to_stop};
use bonito_core::Endpoint;
use guard::{Visitor, refuse, visitor};
use poll::Poll;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::oneshot;
use tokio::time::timeout;
use warp::{Filter, Reply};

/// What all requests share.
#[derive(Clone, Debug)]
struct State {
    live: Endpoint,
    people: People,
    poll: Poll,
}

impl State {
    fn new() -> Self {
        let people = People::default();
        let owners = people.clone();
        // A socket is for whom the page was for.
        let live = Endpoint::builder("/live")
            .identity(move |request| {
                let person = owners.find(&guard::token(&request.headers)?)?;
                Some(person.name().to_owned())
            })
            .build();
        Self { live, people, poll: Poll::new() }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("warp-app: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let port = app_parts::port(std::env::args().skip(1))?;
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    // Connections inherit it. Without it, small answers wait for the acknowledgement of the ones before.
    socket.set_nodelay(true)?;
    socket.bind(([127, 0, 0, 1], port).into())?;
    let listener = socket.listen(1024)?;
    announce(&format!("http://{}", listener.local_addr()?));
    serve(listener, &State::new()).await;
    Ok(())
}

async fn serve(listener: TcpListener, state: &State) {
    let (stop, stopped) = oneshot::channel::<()>();
    let server = warp::serve(routes(state)).incoming(listener).graceful(async { _ = stopped.await });
    let server = tokio::spawn(server.run());
    told_to_stop().await;
    drop(stop);
    // warp waits for requests and knows nothing of sockets.
    let _ = tokio::join!(timeout(GRACE, server), state.live.drain(GRACE));
}

fn routes(
    state: &State,
) -> impl Filter<Extract = (impl Reply + use<>,), Error = std::convert::Infallible> + Clone + use<> {
    let shared = {
        let state = state.clone();
        warp::any().map(move || state.clone())
    };
    let inside = visitor(state.people.clone());

    let login_form = warp::path!("login").and(warp::get()).map(pages::login_form);
    let log_in = warp::path!("login")
        .and(warp::post())
        .and(shared.clone())
        .and(warp::body::content_length_limit(4096))
        .and(warp::body::form())
        .map(pages::log_in);
    let log_out = warp::path!("logout")
        .and(warp::post())
        .and(shared.clone())
        .and(warp::header::headers_cloned())
        .map(pages::log_out);
    let style = warp::path!("app.css")
        .map(|| warp::reply::with_header(app_parts::STYLE, "content-type", "text/css; charset=utf-8"));
    let favicon = warp::path!("favicon.svg")
        .map(|| warp::reply::with_header(app_parts::FAVICON, "content-type", "image/svg+xml"));

    // Only for those who are logged in: the pages, and their sockets as well.
    let poll = warp::path::end().and(warp::get()).and(inside.clone()).and(shared).map(pages::poll);
    let about = warp::path!("about").and(warp::get()).and(inside.clone()).map(pages::about);
    let live = inside.and(bonito_warp::routes(&state.live)).map(|_: Visitor, reply| reply);

    let files = style.or(favicon);
    let pages = login_form.or(log_in).or(log_out).or(poll).or(about);
    files.or(pages).or(live).recover(refuse).with(warp::reply::with::headers(guard::headers()))
}

#[expect(clippy::print_stdout, reason = "the address is what this program has to say")]
fn announce(address: &str) {
    println!("{address}");
}

#[cfg(test)]
mod tests {
    use warp::http::StatusCode;
    use warp::test::request;

    use super::*;

    #[tokio::test]
    async fn only_those_who_are_logged_in_get_the_page() {
        let state = State::new();
        let app = routes(&state);

        let stranger = request().path("/").reply(&app).await;
        assert_eq!(stranger.status(), StatusCode::SEE_OTHER);
        assert_eq!(stranger.headers()["location"], "/login");
        assert_eq!(state.live.stats().sessions, 0);

        let form = |body: &'static str| request().method("POST").path("/login").body(body);
        assert_eq!(form("name=Ada&password=tuna").reply(&app).await.status(), StatusCode::FORBIDDEN);
        // What is no such form gets the form again.
        assert_eq!(form("nonsense").reply(&app).await.status(), StatusCode::SEE_OTHER);
        let let_in = form("name=Ada&password=bonito").reply(&app).await;
        let cookie = let_in.headers()["set-cookie"].to_str().unwrap();
        let cookie = cookie.split(';').next().unwrap();

        let page = request().path("/").header("cookie", cookie).reply(&app).await;
        assert_eq!(page.status(), StatusCode::OK);
        assert!(page.headers().contains_key("content-security-policy"));
        let html = String::from_utf8_lossy(page.body()).into_owned();
        assert!(html.contains("Ada"));
        assert_eq!(state.live.stats().sessions, 1);

        // The sockets are behind the same check.
        assert_eq!(request().path("/live/0").reply(&app).await.status(), StatusCode::UNAUTHORIZED);
        let socket = request().path("/live/0").header("cookie", cookie).reply(&app).await;
        assert_eq!(socket.status(), StatusCode::NOT_FOUND);
        assert_eq!(
            request().path("/nowhere").header("cookie", cookie).reply(&app).await.status(),
            StatusCode::NOT_FOUND
        );

        // So is the one of her page, which is for nobody else.
        let (_, id) = html.split_once("init_session(\"").unwrap();
        let (id, _) = id.split_once('"').unwrap();
        let let_in = form("name=Bob&password=bonito").reply(&app).await;
        let bob = let_in.headers()["set-cookie"].to_str().unwrap();
        for (who, status) in [(cookie, StatusCode::UPGRADE_REQUIRED), (bob, StatusCode::FORBIDDEN)] {
            let socket = request().path(&format!("/live/{id}")).header("cookie", who).reply(&app).await;
            assert_eq!(socket.status(), status, "{who}");
        }

        let leave = request().method("POST").path("/logout").header("cookie", cookie).reply(&app).await;
        assert_eq!(leave.status(), StatusCode::SEE_OTHER);
        assert_eq!(state.live.stats().sessions, 0);
    }
}
