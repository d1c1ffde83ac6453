use std::sync::Arc;

use bonito_core::proto::codec;
use bonito_core::proto::message::ClientMessage;
use bonito_core::{Endpoint, Script};

use super::*;

fn session() -> (WebRtc, Session) {
    let live = Endpoint::builder("/live").build();
    let connection = WebRtc::new(&Sessions::default());
    let session = live.session_with(Arc::new(connection.clone()));
    let _html = session.page("", "");
    (connection, session)
}

fn load(session: &Session) {
    let message = ClientMessage::DoneLoading {
        session: session.id().to_string(),
        message: String::new(),
        exception: None,
        stacktrace: String::new(),
    };
    session.process_message(codec::encode_client(&message).unwrap()).unwrap();
}

fn says(message: &Bytes, text: &str) -> bool {
    String::from_utf8_lossy(message).contains(text)
}

#[tokio::test]
async fn a_message_waits_until_a_channel_has_all_of_it() {
    let (connection, session) = session();
    let first = connection.admit(&session).unwrap();
    assert!(first.take_over());
    load(&session);
    session.eval(Script::new("one()"));
    session.eval(Script::new("two()"));
    assert!(says(&first.next().unwrap(), "one()"));
    first.sent();
    // Lost in the midst of the second.
    assert!(says(&first.next().unwrap(), "two()"));
    drop(first);
    assert_eq!(session.status(), Status::SoftClosed);
    assert!(!connection.is_open());
    session.eval(Script::new("three()"));

    let second = connection.admit(&session).unwrap();
    assert!(second.take_over());
    load(&session);
    for text in ["two()", "three()"] {
        assert!(says(&second.next().unwrap(), text), "{text}");
        second.sent();
    }
    assert_eq!(second.next(), None);
}

#[tokio::test]
async fn a_later_peer_takes_over_and_the_end_of_the_earlier_one_changes_nothing() {
    let (connection, session) = session();
    let earlier = connection.admit(&session).unwrap();
    let later = connection.admit(&session).unwrap();
    assert!(earlier.take_over());
    load(&session);
    // A peer that only tries takes nothing.
    assert!(!earlier.is_over());
    assert!(later.take_over());
    assert_eq!(session.status(), Status::SoftClosed);
    load(&session);
    assert!(earlier.is_over());
    session.eval(Script::new("one()"));
    assert_eq!(earlier.next(), None);
    earlier.sent();
    assert!(!earlier.take_over());
    drop(earlier);
    assert_eq!(session.status(), Status::Open);
    assert!(later.next().is_some());
}

#[tokio::test]
async fn peers_of_a_session_have_a_bound() {
    let (connection, session) = session();
    let mut places: Vec<Place> = (0..PEERS).map(|_| connection.admit(&session).unwrap()).collect();
    assert!(connection.admit(&session).is_none());
    places.pop();
    assert!(connection.admit(&session).is_some());
}

#[tokio::test]
async fn what_waits_has_a_bound_and_the_rest_waits_in_the_session() {
    let (connection, session) = session();
    let peer = connection.admit(&session).unwrap();
    assert!(peer.take_over());
    load(&session);
    let large = "x".repeat(ROOM / 4);
    for n in 1..=6 {
        session.eval(Script::new(format!("step({n}) // {large}")));
    }
    assert!(session.info().queued_messages > 0);
    for n in 1..=6 {
        assert!(connection.state().bytes <= ROOM);
        assert!(says(&peer.next().unwrap(), &format!("step({n})")), "{n}");
        peer.sent();
        session.flush();
    }
    assert_eq!(peer.next(), None);
}

#[tokio::test]
async fn the_end_of_the_session_ends_its_peers() {
    let (connection, session) = session();
    let peer = connection.admit(&session).unwrap();
    assert!(peer.take_over());
    session.close();
    assert!(peer.is_over());
    assert!(connection.admit(&session).is_none());
}

#[tokio::test]
async fn a_peer_that_leaves_gives_the_session_up_and_still_counts() {
    let (connection, session) = session();
    let places: Vec<Place> = (0..PEERS).map(|_| connection.admit(&session).unwrap()).collect();
    assert!(places[0].take_over());
    load(&session);
    places[1].leave();
    assert_eq!(session.status(), Status::Open, "it was not that one's");
    places[0].leave();
    assert_eq!(session.status(), Status::SoftClosed);
    assert!(!connection.is_open());
    assert!(connection.admit(&session).is_none());
}
