//! The chat over TCP: who may connect, what a room hears, and what only one does.

#![allow(clippy::unwrap_used, reason = "tests expect")]

use std::net::SocketAddr;
use std::time::Duration;

use app_parts::{PASSWORD, People};
use bonito_core::ClusterOptions;
use bonito_testkit::LocalCluster;
use chat::{Rooms, endpoint, router};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

struct Server {
    address: SocketAddr,
    people: People,
    live: bonito_core::Endpoint,
}

struct Window(WebSocketStream<TcpStream>);

async fn serve() -> Server {
    serve_rooms(Rooms::open()).await
}

async fn serve_rooms(rooms: Rooms) -> Server {
    let people = People::default();
    let live = endpoint(&people, &rooms);
    let app = router(people.clone(), rooms, &live);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    Server { address, people, live }
}

impl Server {
    fn log_in(&self, name: &str) -> String {
        let cookie = self.people.log_in(name, PASSWORD).unwrap();
        cookie.split(';').next().unwrap().to_owned()
    }

    async fn connect(&self, room: &str, cookie: &str) -> Result<Window, u16> {
        let tcp = TcpStream::connect(self.address).await.unwrap();
        let url = format!("ws://{}/live/rooms/{room}", self.address);
        let mut request = url.into_client_request().unwrap();
        request.headers_mut().insert("cookie", cookie.parse().unwrap());
        request.headers_mut().insert("origin", format!("http://{}", self.address).parse().unwrap());
        match client_async(request, tcp).await {
            Ok((socket, _)) => Ok(Window(socket)),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    /// Somebody enters; what the window is told first.
    async fn enter(&self, room: &str, cookie: &str) -> (Window, Value) {
        let mut window = self.connect(room, cookie).await.unwrap();
        let welcome = window.hears("welcome").await;
        (window, welcome)
    }
}

impl Window {
    async fn say(&mut self, what: Value) {
        self.0.send(Message::text(what.to_string())).await.unwrap();
    }

    async fn next(&mut self) -> Option<Message> {
        tokio::time::timeout(Duration::from_secs(20), self.0.next()).await.expect("nothing came")?.ok()
    }

    /// The next event of this kind; news of people may come before it.
    async fn hears(&mut self, kind: &str) -> Value {
        loop {
            let message = self.next().await.unwrap();
            let event: Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
            if event["kind"] == kind {
                return event;
            }
            assert_eq!(event["kind"], "people", "{kind} was to come");
        }
    }

    /// Says something to somebody until that can be reached.
    async fn reaches(&mut self, to: &str) {
        for _ in 0..100 {
            self.say(json!({ "to": to, "text": "psst" })).await;
            let answer = loop {
                let message = self.next().await.unwrap();
                let event: Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
                if event["kind"] != "people" {
                    break event;
                }
            };
            if answer["kind"] == "direct" {
                return;
            }
            assert_eq!(answer["kind"], "unreachable");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{to} is never reached");
    }

    /// The code of the close frame, which is answered.
    async fn closes(&mut self) -> u16 {
        loop {
            if let Message::Close(frame) = self.next().await.unwrap() {
                let _ = self.0.flush().await;
                return frame.unwrap().code.into();
            }
        }
    }

    /// Waits until these are in the room.
    async fn sees(&mut self, people: &[&str]) {
        while self.hears("people").await["people"] != json!(people) {}
    }
}

#[tokio::test]
async fn only_who_is_logged_in_may_connect_and_only_to_a_room() {
    let server = serve().await;
    assert_eq!(server.connect("lobby", "login=guess").await.err(), Some(401));
    let ada = server.log_in("Ada");
    assert_eq!(server.connect("cellar", &ada).await.err(), Some(404));
    let (mut window, welcome) = server.enter("lobby", &ada).await;
    assert_eq!((&welcome["you"], &welcome["direct"]), (&json!("Ada"), &json!(true)));
    let (mut other, _) = server.enter("lobby", &server.log_in("Bob")).await;
    server.people.log_out(ada.split_once('=').unwrap().1);
    assert_eq!(
        window.closes().await,
        1008,
        "a window does not outlive its login, whether or not it says something"
    );
    assert_eq!(server.connect("lobby", &ada).await.err(), Some(401));
    other.sees(&["Bob"]).await;
}

#[tokio::test]
async fn a_page_of_no_room_is_not_found() {
    let server = serve().await;
    let cookie = server.log_in("Ada");
    for (room, status) in [("lobby", "200"), ("cellar", "404")] {
        let mut tcp = TcpStream::connect(server.address).await.unwrap();
        let request = format!(
            "GET /rooms/{room} HTTP/1.1\r\nhost: chat\r\ncookie: {cookie}\r\nconnection: close\r\n\r\n"
        );
        tcp.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        tcp.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer.split(' ').nth(1), Some(status), "{room}");
    }
}

#[tokio::test]
async fn a_room_hears_what_is_said_in_it_and_remembers() {
    let server = serve().await;
    let (ada, bob) = (server.log_in("Ada"), server.log_in("Bob"));
    let (mut in_lobby, _) = server.enter("lobby", &ada).await;
    let (mut too, _) = server.enter("lobby", &bob).await;
    let (mut elsewhere, _) = server.enter("garden", &bob).await;
    in_lobby.say(json!({ "text": " <b>hello</b> " })).await;
    for window in [&mut in_lobby, &mut too] {
        let line = window.hears("said").await;
        assert_eq!((&line["from"], &line["text"]), (&json!("Ada"), &json!("<b>hello</b>")));
    }
    elsewhere.say(json!({ "text": "anybody?" })).await;
    assert_eq!(elsewhere.hears("said").await["text"], "anybody?", "and not what was said in the lobby");
    for n in 0..150 {
        too.say(json!({ "text": n.to_string() })).await;
        too.hears("said").await;
    }
    let (_late, welcome) = server.enter("lobby", &ada).await;
    let history = welcome["history"].as_array().unwrap();
    assert_eq!((history.len(), &history[99]["text"]), (100, &json!("149")));
}

#[tokio::test]
async fn a_direct_message_reaches_one_and_its_sender() {
    let server = serve().await;
    let (ada, bob, cyd) = (server.log_in("Ada"), server.log_in("Bob"), server.log_in("Cyd"));
    let (mut ada, _) = server.enter("lobby", &ada).await;
    let (mut first, _) = server.enter("garden", &bob).await;
    let (mut second, welcome) = server.enter("lobby", &bob).await;
    assert_eq!(welcome["direct"], false, "the name is the first window's");
    let (mut cyd, _) = server.enter("lobby", &cyd).await;
    ada.say(json!({ "to": "Bob", "text": "psst" })).await;
    assert_eq!(first.hears("direct").await["text"], "psst", "in another room");
    assert_eq!(ada.hears("direct").await["to"], "Bob");
    ada.say(json!({ "to": "Nobody", "text": "psst" })).await;
    assert_eq!(ada.hears("unreachable").await["to"], "Nobody");
    ada.say(json!({ "text": "done" })).await;
    for window in [&mut second, &mut cyd] {
        assert_eq!(window.hears("said").await["text"], "done", "and nothing before");
    }
}

#[tokio::test]
async fn who_is_there_is_told_as_people_come_and_go() {
    let server = serve().await;
    let (ada, bob) = (server.log_in("Ada"), server.log_in("Bob"));
    let (mut window, _) = server.enter("lobby", &ada).await;
    let (bobs, welcome) = server.enter("lobby", &bob).await;
    assert_eq!(welcome["people"], json!(["Ada", "Bob"]));
    window.sees(&["Ada", "Bob"]).await;
    let (bobs_second, _) = server.enter("lobby", &bob).await;
    drop(bobs);
    drop(bobs_second);
    window.sees(&["Ada"]).await;
}

#[tokio::test]
async fn nonsense_ends_a_window_and_a_drain_all() {
    let server = serve().await;
    let ada = server.log_in("Ada");
    let (mut window, _) = server.enter("lobby", &ada).await;
    window.0.send(Message::text("{")).await.unwrap();
    assert_eq!(window.closes().await, 1007);
    let (mut window, _) = server.enter("lobby", &ada).await;
    let reading = async { while window.next().await.is_some() {} };
    let (drained, ()) = tokio::join!(server.live.drain(Duration::from_secs(1)), reading);
    assert_eq!(drained.left, 0);
}

/// Two processes of the app, with a login each: what is said at one is heard at the other.
#[tokio::test]
async fn rooms_names_and_presence_are_those_of_all_processes() {
    let cluster = LocalCluster::new();
    let here = serve_rooms(Rooms::join(cluster.node()).await.unwrap()).await;
    let there = serve_rooms(Rooms::join(cluster.node()).await.unwrap()).await;
    let (ada, bob) = (here.log_in("Ada"), there.log_in("Bob"));
    let (mut ada_window, _) = here.enter("lobby", &ada).await;
    let (mut bob_window, _) = there.enter("lobby", &bob).await;
    ada_window.sees(&["Ada", "Bob"]).await;
    bob_window.say(json!({ "text": "hello" })).await;
    assert_eq!(bob_window.hears("said").await["text"], "hello");
    assert_eq!(ada_window.hears("said").await["from"], "Bob");
    ada_window.say(json!({ "text": "psst", "to": "Bob" })).await;
    assert_eq!(bob_window.hears("direct").await["text"], "psst");
    assert_eq!(ada_window.hears("direct").await["to"], "Bob");

    // Ada again, at the other process: her name is taken there, and that window learns it.
    let (mut second, _) = there.enter("lobby", &there.log_in("Ada")).await;
    second.hears("indirect").await;
    drop(second);
    drop(bob_window);
    ada_window.sees(&["Ada"]).await;
}

/// The broker cannot be reached for longer than a name is kept: the window asks for its name until it has it again.
#[tokio::test]
async fn a_window_takes_its_name_back_when_the_broker_is_there_again() {
    let mut options = ClusterOptions::new("chat");
    options.lease_ttl = Duration::from_secs(1);
    let cluster = LocalCluster::new();
    let (near, far) = (cluster.node(), cluster.node());
    let here = serve_rooms(Rooms::join_with(near, options.clone()).await.unwrap()).await;
    let there = serve_rooms(Rooms::join_with(far.clone(), options).await.unwrap()).await;
    let (mut ada, _) = here.enter("lobby", &here.log_in("Ada")).await;
    let (mut bob, _) = there.enter("lobby", &there.log_in("Bob")).await;
    ada.reaches("Bob").await;
    bob.hears("direct").await;
    far.cut();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while cluster.leases() > 1 {
        assert!(tokio::time::Instant::now() < deadline, "the lease is never over");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    far.heal();
    ada.reaches("Bob").await;
    assert_eq!(bob.hears("direct").await["text"], "psst");
}
