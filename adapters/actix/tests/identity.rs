//! What the app's middleware says of a request reaches the endpoint.

use actix_web::App;
use actix_web::dev::Service as _;
use actix_web::test::{TestRequest, call_service, init_service};
use bonito_core::Endpoint;

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
