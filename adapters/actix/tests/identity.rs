//! What the app's middleware says of a request reaches the endpoint.

use actix_web::dev::{Service as _, ServiceResponse};
use actix_web::test::{TestRequest, call_service, init_service};
use actix_web::{App, HttpResponse};
use bonito_core::{Conn, Context, Endpoint, Frame, WebSocketBehaviour};

#[derive(Clone)]
struct User(String);

#[actix_web::test]
async fn a_session_is_for_whom_the_middleware_has_seen() {
    let live = Endpoint::builder("/live")
        .identity(|parts| parts.extensions.get::<User>().map(|user| user.0.clone()))
        .build();
    let session = live.session();
    session.set_identity(Some("ada"));
    let app = App::new().configure(bonito_actix::routes(&live)).wrap_fn(|request, next| {
        bonito_actix::extend(&request, "something else");
        if let Some(name) = request.headers().get("x-user").and_then(|name| name.to_str().ok()) {
            bonito_actix::extend(&request, User(name.to_owned()));
        }
        next.call(request)
    });
    let app = init_service(app).await;
    for (user, status) in [("ada", 426), ("bob", 403)] {
        let request = TestRequest::get().uri(&format!("/live/{}", session.id()));
        let response = call_service(&app, request.insert_header(("x-user", user)).to_request()).await;
        assert_eq!(response.status().as_u16(), status, "{user}");
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
#[actix_web::test]
async fn middleware_guards_a_behaviour_that_lets_everybody_in() {
    let live = Endpoint::builder("/live").socket::<Echo>("/echo").build();
    let app = App::new().configure(bonito_actix::routes(&live)).wrap_fn(|request, next| {
        let answer = if request.headers().contains_key("x-user") {
            Ok(next.call(request))
        } else {
            Err(request.into_response(HttpResponse::Unauthorized().finish()))
        };
        async move {
            match answer {
                Ok(answer) => answer.await.map(ServiceResponse::map_into_boxed_body),
                Err(refused) => Ok(refused),
            }
        }
    });
    let app = init_service(app).await;
    // 426: the endpoint has been asked, and a socket would have been let in.
    for (user, status) in [(Some("ada"), 426), (None, 401)] {
        let mut request = TestRequest::get().uri("/live/echo");
        if let Some(user) = user {
            request = request.insert_header(("x-user", user));
        }
        let response = call_service(&app, request.to_request()).await;
        assert_eq!(response.status().as_u16(), status, "{user:?}");
    }
}
