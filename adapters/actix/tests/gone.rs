//! A connection that the server has let go refuses whatever is written, as often as it is tried.

#![allow(clippy::unwrap_used, reason = "tests expect")]

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use actix_web::dev::Payload as Source;
use actix_web::test::TestRequest;
use actix_web::web::Payload;
use actix_web::{FromRequest, HttpRequest};
use bonito_core::{Frame, Limits, Transport, TransportErrorKind};
use bytes::Bytes;
use tokio::io::AsyncWrite;

async fn request() -> (HttpRequest, Payload) {
    let request = TestRequest::get()
        .insert_header(("host", "localhost"))
        .insert_header(("connection", "upgrade"))
        .insert_header(("upgrade", "websocket"))
        .insert_header(("sec-websocket-version", "13"))
        .insert_header(("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="))
        .to_http_request();
    let payload = Payload::from_request(&request, &mut Source::None).await.unwrap();
    (request, payload)
}

#[actix_web::test]
async fn an_upgraded_connection_says_so_each_time() {
    let (request, payload) = request().await;
    let parts = bonito_actix::to_parts(&request).unwrap();
    let (response, connection) = bonito_actix::upgrade(&parts, payload);
    drop(response);
    let mut connection = pin!(connection);
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..3 {
        let write = connection.as_mut().poll_write(&mut cx, b"anybody there?");
        assert!(matches!(write, Poll::Ready(Err(_))), "{write:?}");
        let flush = connection.as_mut().poll_flush(&mut cx);
        assert!(flush.is_ready());
        let shutdown = connection.as_mut().poll_shutdown(&mut cx);
        assert!(shutdown.is_ready());
    }
}

#[actix_web::test]
async fn the_halves_of_actix_ws_say_so_each_time() {
    fn refuses(mut transport: Pin<&mut impl Transport>, cx: &mut Context<'_>) {
        let Poll::Ready(Err(error)) = transport.as_mut().poll_ready(cx) else {
            panic!("it is ready for more")
        };
        assert_eq!(error.kind(), TransportErrorKind::Io);
        assert!(transport.as_mut().start_send(Frame::Ping(Bytes::new())).is_err());
        assert!(transport.as_mut().poll_flush(cx).is_ready());
    }
    let (request, payload) = request().await;
    let (response, session, stream) = actix_ws::handle(&request, payload).unwrap();
    drop(response);
    let mut transport = pin!(bonito_actix::transport(session, stream, &Limits::default()));
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..3 {
        refuses(transport.as_mut(), &mut cx);
    }
}
