//! What every connection of one's own must do, through the routes.

#![allow(clippy::unwrap_used, reason = "tests expect")]

use std::sync::Arc;
use std::time::Duration;

use app_parts::Sessions;
use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use bonito_core::{Endpoint, FrontendConnection, Session};
use bonito_testkit::FarEnd;
use bytes::Bytes;
use http_body_util::BodyExt;
use long_poll::batch;
use long_poll::connection::LongPoll;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::JoinHandle;
use tower_service::Service;

/// A lost page is noticed by its silence, so this is how long some cases take.
const PATIENCE: Duration = Duration::from_secs(1);

/// The page's end, as `page.js` has it.
struct Page {
    connection: LongPoll,
    router: Router,
    polls: u64,
    next: u64,
    first: u64,
    path: String,
    polling: Option<Polling>,
}

/// Polls until the way is gone. What has not been read holds it up.
struct Polling {
    messages: Receiver<(u64, Bytes, u64)>,
    task: JoinHandle<()>,
}

async fn page(live: Endpoint) -> Page {
    let sessions = Sessions::default();
    let connection = LongPoll::new(&sessions, false).patience(PATIENCE);
    let router = long_poll::routes::routes(&live, &sessions);
    Page { connection, router, polls: 0, next: 0, first: 0, path: String::new(), polling: None }
}

async fn ask(router: &Router, method: Method, uri: &str, body: Bytes) -> (StatusCode, Bytes) {
    let request = Request::builder().method(method).uri(uri).header("host", "app.example");
    let response = router.clone().call(request.body(Body::from(body)).unwrap()).await.unwrap();
    let status = response.status();
    (status, response.into_body().collect().await.unwrap().to_bytes())
}

impl FarEnd for Page {
    fn connection(&self) -> Arc<dyn FrontendConnection> {
        Arc::new(self.connection.clone())
    }

    async fn connect(&mut self, session: &Session) {
        self.cut().await;
        self.path = format!("/poll/{}", session.id());
        let (router, path) = (self.router.clone(), self.path.clone());
        let (mut poll, mut next) = (self.polls + 1, self.next);
        let uri = format!("{path}?poll={poll}&from={next}&open=true");
        let (status, mut body) = ask(&router, Method::GET, &uri, Bytes::new()).await;
        assert!(status.is_success(), "{status}");
        let (read, messages) = channel(1);
        let task = tokio::spawn(async move {
            loop {
                if let Some((first, batch)) = batch::decode(body) {
                    let end = first + batch.len() as u64;
                    for (number, message) in (first..).zip(batch).filter(|(number, _)| *number >= next) {
                        if read.send((number, message, poll)).await.is_err() {
                            return;
                        }
                    }
                    // What has been read is confirmed by the next poll.
                    if read.reserve().await.is_err() {
                        return;
                    }
                    next = end;
                }
                poll += 1;
                let uri = format!("{path}?poll={poll}&from={next}");
                let (status, answer) = ask(&router, Method::GET, &uri, Bytes::new()).await;
                if !status.is_success() {
                    return;
                }
                body = answer;
            }
        });
        self.polling = Some(Polling { messages, task });
    }

    async fn send(&mut self, message: Bytes) {
        if self.polling.is_none() {
            return;
        }
        let body = batch::encode(self.first, [&message]);
        let (status, answer) = ask(&self.router, Method::POST, &self.path, body).await;
        if status == StatusCode::OK {
            self.first = std::str::from_utf8(&answer).unwrap().parse().unwrap();
        }
    }

    async fn receive(&mut self) -> Option<Bytes> {
        let (number, message, poll) = self.polling.as_mut()?.messages.recv().await?;
        self.next = number + 1;
        self.polls = poll;
        Some(message)
    }

    async fn cut(&mut self) {
        if let Some(Polling { task, .. }) = self.polling.take() {
            task.abort();
            let _ = task.await;
        }
        // Whatever it has asked is asked no more.
        self.polls += 1_000;
    }
}

bonito_testkit::connection_conformance!(page);
