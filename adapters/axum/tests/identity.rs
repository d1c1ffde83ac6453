//! What the app's middleware says of a request reaches the endpoint.

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use bonito_core::Endpoint;
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
