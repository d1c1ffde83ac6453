//! What the app's middleware says of a request reaches the endpoint.

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use bonito_core::{Conn, Context, Endpoint, Frame, WebSocketBehaviour};
use tower_service::Service;

#[derive(Clone)]
struct User(String);

#[tokio::test]
async fn a_session_is_for_whom_the_middleware_has_seen() {
    let live = Endpoint::builder("/live")
        .identity(|parts| parts.extensions.get::<User>().map(|user| user.0.clone()))
        .build();
    let session = live.session();
    session.set_identity(Some("ada"));
    let login = from_fn(async |mut request: Request, next: Next| {
        if let Some(name) = request.headers().get("x-user").and_then(|name| name.to_str().ok()) {
            let user = User(name.to_owned());
            request.extensions_mut().insert(user);
        }
        next.run(request).await
    });
    let mut app: Router = bonito_axum::routes(&live).layer(login);
    for (user, status) in [("ada", 426), ("bob", 403)] {
        let request = Request::get(format!("/live/{}", session.id())).header("x-user", user);
        let response = app.call(request.body(axum::body::Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), status, "{user}");
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
async fn middleware_guards_a_behaviour_that_lets_everybody_in() {
    let live = Endpoint::builder("/live").socket::<Echo>("/echo").build();
    let login = from_fn(async |request: Request, next: Next| {
        if !request.headers().contains_key("x-user") {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        next.run(request).await
    });
    let mut app: Router = bonito_axum::routes(&live).layer(login);
    // 426: the endpoint has been asked, and a socket would have been let in.
    for (user, status) in [(Some("ada"), 426), (None, 401)] {
        let mut request = Request::get("/live/echo");
        if let Some(user) = user {
            request = request.header("x-user", user);
        }
        let response = app.call(request.body(axum::body::Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), status, "{user:?}");
    }
}
