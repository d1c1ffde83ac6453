//! What there is of a request reaches the endpoint.

use bonito_core::{Conn, Context, Endpoint, Frame, WebSocketBehaviour};
use http::Extensions;
use warp::Filter;
use warp::test::request;

#[derive(Clone)]
struct User(&'static str);

#[tokio::test]
async fn a_session_is_for_whom_headers_or_extensions_name() {
    let live = Endpoint::builder("/live")
        .identity(|parts| {
            let header = parts.headers.get("x-user").map(|user| user.to_str().unwrap_or("").to_owned());
            header.or_else(|| parts.extensions.get::<User>().map(|user| user.0.to_owned()))
        })
        .build();
    let session = live.session();
    session.set_identity(Some("ada"));
    let app = bonito_warp::routes(&live);
    let path = format!("/live/{}", session.id());
    for (user, status) in [("ada", 426), ("bob", 403)] {
        let response = request().path(&path).header("x-user", user).reply(&app).await;
        assert_eq!(response.status(), status, "{user} in a header");
        let mut extensions = Extensions::new();
        extensions.insert(User(user));
        let response = request().path(&path).extension(extensions).reply(&app).await;
        assert_eq!(response.status(), status, "{user} in an extension");
    }
}

/// Echoes. Who may connect is the host's affair.
struct Echo;

impl WebSocketBehaviour for Echo {
    type Message = ();

    async fn init(_: &Conn, _: &mut Context<Self>) -> Self {
        Self
    }

    async fn handle_client_message(&mut self, frame: Frame, cx: &mut Context<Self>) {
        cx.push(frame);
    }

    async fn handle_server_message(&mut self, (): (), _: &mut Context<Self>) {}
}

/// Antikythera: "you can use plugs without overriding the default".
#[tokio::test]
async fn a_filter_guards_a_behaviour_that_lets_everybody_in() {
    let live = Endpoint::builder("/live").socket::<Echo>("/echo").build();
    let app = warp::header::<String>("x-user").map(drop).untuple_one().and(bonito_warp::routes(&live));
    // 426: the endpoint has been asked, and a socket would have been let in.
    for (user, status) in [(Some("ada"), 426), (None, 400)] {
        let mut request = request().path("/live/echo");
        if let Some(user) = user {
            request = request.header("x-user", user);
        }
        assert_eq!(request.reply(&app).await.status(), status, "{user:?}");
    }
}
