//! What there is of a request reaches the endpoint.

use bonito_core::Endpoint;
use http::Extensions;
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
