//! A session is connected to by nobody but its owner.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests spawn, wait and expect")]

mod support;

use bonito_core::{Endpoint, Outcome, Script, Session, Status};
use http::Response;
use http::request::Parts;
use support::{Page, settle, upgrade_request};

/// What the app's middleware leaves in a request.
#[derive(Clone)]
struct User(&'static str);

fn by(mut parts: Parts, user: Option<&'static str>) -> Parts {
    if let Some(user) = user {
        parts.extensions.insert(User(user));
    }
    parts
}

fn page_request(user: Option<&'static str>) -> Parts {
    by(http::Request::get("/").body(()).unwrap().into_parts().0, user)
}

fn socket_request(session: &Session, user: Option<&'static str>) -> Parts {
    by(upgrade_request(session).body(()).unwrap().into_parts().0, user)
}

fn guarded() -> Endpoint {
    Endpoint::builder("/live")
        .identity(|parts| {
            let user = parts.extensions.get::<User>()?.0;
            assert_ne!(user, "mallory", "this hook panics");
            Some(user.to_owned())
        })
        .build()
}

async fn refused(live: &Endpoint, parts: &Parts) -> Option<Response<bytes::Bytes>> {
    match live.handle(parts).await {
        Outcome::Respond(response) => Some(response),
        Outcome::Upgrade(_) => None,
    }
}

#[tokio::test]
async fn who_connects_must_be_who_asked_for_the_page() {
    const WHO: [Option<&str>; 3] = [None, Some("ada"), Some("bob")];
    let live = guarded();
    for owner in WHO {
        let session = live.session_for(&page_request(owner));
        assert_eq!(session.identity().as_deref(), owner);
        assert_eq!(session.info().identity.as_deref(), owner);
        let _html = session.page("t", "");
        for asking in WHO {
            let refusal = refused(&live, &socket_request(&session, asking)).await;
            assert_eq!(refusal.is_none(), owner == asking, "of {owner:?}, asked by {asking:?}");
            assert_eq!(live.may_connect(&session, &socket_request(&session, asking)), owner == asking);
        }
    }
}

#[tokio::test]
async fn a_session_without_an_owner_is_not_for_who_is_logged_in() {
    let live = guarded();
    let session = live.session();
    let _html = session.page("t", "");
    assert!(refused(&live, &socket_request(&session, Some("ada"))).await.is_some());
    assert!(refused(&live, &socket_request(&session, None)).await.is_none());
    session.set_identity(Some("ada"));
    assert!(refused(&live, &socket_request(&session, Some("ada"))).await.is_none());
}

#[tokio::test]
async fn without_a_hook_nobody_is_anybody() {
    let live = support::endpoint();
    let (open, owned) = (live.session_for(&page_request(Some("ada"))), live.session());
    assert_eq!(open.identity(), None);
    assert!(refused(&live, &socket_request(&open, Some("bob"))).await.is_none());
    owned.set_identity(Some("ada"));
    let refusal = refused(&live, &socket_request(&owned, Some("ada"))).await.unwrap();
    assert_eq!(refusal.status(), 403, "nobody can show that they are ada");
}

#[tokio::test]
async fn a_stranger_is_refused_before_the_upgrade_and_the_owner_notices_nothing() {
    let live = guarded();
    let session = live.session_for(&page_request(Some("ada")));
    let _html = session.page("t", "");
    let page = Page::connect_by(&live, &session, &socket_request(&session, Some("ada"))).await;
    page.loaded();
    settle().await;
    let before = (session.status(), live.stats());
    for stranger in [None, Some("bob"), Some("mallory")] {
        let mut request = socket_request(&session, stranger);
        let refusal = refused(&live, &request).await.unwrap();
        assert_eq!(refusal.status(), 403);
        assert_eq!(refusal.body(), "this session is not yours: load the page again");
        assert_eq!(refusal.headers()["cache-control"], "no-store");
        let told = format!("{:?} {:?}", refusal.headers(), refusal.body());
        assert!(!told.contains("ada") && !told.contains("bob"), "{told}");
        // A page asks without an upgrade whether it should go on trying, and a route of the app's own asks as well.
        request.headers.remove("upgrade");
        assert_eq!(refused(&live, &request).await.unwrap().status(), 403);
        assert_eq!(live.refusal(&socket_request(&session, stranger)).unwrap().status(), 403);
    }
    session.eval(Script::new("still here"));
    settle().await;
    assert_eq!(page.received(), ["still here"]);
    assert_eq!((session.status(), live.stats()), before);
}

#[tokio::test]
async fn who_comes_back_is_asked_again() {
    let live = guarded();
    let session = live.session_for(&page_request(Some("ada")));
    let _html = session.page("t", "");
    for turn in 0..3 {
        let Outcome::Upgrade(accepted) = live.handle(&socket_request(&session, Some("ada"))).await else {
            panic!("refused at turn {turn}");
        };
        drop(accepted);
        assert!(refused(&live, &socket_request(&session, Some("bob"))).await.is_some());
    }
    // Whoever it is from now on, the next connection must show it.
    session.set_identity(Some("bob"));
    assert!(refused(&live, &socket_request(&session, Some("ada"))).await.is_some());
    assert!(refused(&live, &socket_request(&session, Some("bob"))).await.is_none());
    assert_ne!(session.status(), Status::Closed);
}

/// A framework may decode the path before it hands the id to the app's own route, and may not mind a slash at its end.
#[tokio::test]
async fn however_a_path_writes_the_id_a_stranger_is_refused() {
    let live = guarded();
    let session = live.session_for(&page_request(Some("ada")));
    let _html = session.page("t", "");
    let id = session.id().to_string();
    let encoded: String = id.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let partly = format!("%{:02X}{}", id.as_bytes()[0], &id[1..]);
    for path in [
        format!("/sockets/{id}"),
        format!("/sockets/{id}/"),
        format!("/sockets/{id}//"),
        format!("/sockets/{id}/large"),
        format!("/sockets/{encoded}"),
        format!("/sockets/{encoded}/"),
        format!("/sockets/{partly}"),
        format!("/sockets%2f{id}"),
    ] {
        let request = |user| by(upgrade_request(&session).uri(&path).body(()).unwrap().into_parts().0, user);
        for stranger in [None, Some("bob")] {
            let refusal = live.refusal(&request(stranger));
            assert_eq!(refusal.map(|refusal| refusal.status().as_u16()), Some(403), "{path} by {stranger:?}");
        }
        assert!(live.refusal(&request(Some("ada"))).is_none(), "{path}");
    }
}
