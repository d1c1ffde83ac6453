//! What protocol.md asks of a server and no other test holds: the order in a bundle and in a conversation, and what a page
//! may say out of turn. `docs/src/compatibility.md` says which test holds which row.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests spawn, wait and expect")]

mod support;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use bonito_core::proto::codec;
use bonito_core::proto::message::{Body, CacheEntry, ClientMessage, Packet, ServerMessage};
use bonito_core::proto::value::{RawValue, Value};
use bonito_core::{Endpoint, Frame, Limits, Observable, Session, Status, js};
use bytes::Bytes;
use support::{Page, endpoint, said, settle};

fn bundle(html: &str) -> Bytes {
    let (_, bundle) = html.split_once("atob(\"").unwrap();
    let (bundle, _) = bundle.split_once('"').unwrap();
    base64::engine::general_purpose::STANDARD.decode(bundle).unwrap().into()
}

/// §4, §14.3: an object registers before anything refers to it. §3.4, §14.1, §15: what an application has written is compiled when
/// it runs and not with the bundle, which a syntax error would spoil. §5, §11: a listener's code returns a function.
fn check(packet: Packet, known: &mut HashSet<String>) {
    let mut bundled = false;
    let messages = match packet {
        Packet::Bare(message) => vec![Packet::Bare(message)],
        Packet::Enveloped(envelope) => {
            for entry in envelope.cache {
                let (CacheEntry::Observable { id, .. } | CacheEntry::Track(id)) = entry;
                known.insert(id);
            }
            match envelope.body {
                Body::Message(message) => vec![Packet::Bare(message)],
                Body::Bundle(packets) => {
                    bundled = true;
                    packets
                }
            }
        }
    };
    for message in messages {
        let code = match message {
            Packet::Bare(ServerMessage::OnjsCallback { observable, code }) => {
                refers(&observable, known);
                assert!(code.source.contains("return ("), "{}", code.source);
                code
            }
            Packet::Bare(ServerMessage::EvalJavascript { code }) => code,
            Packet::Bare(_) => continue,
            packet @ Packet::Enveloped(_) => {
                check(packet, known);
                continue;
            }
        };
        assert!(!(bundled && code.source.contains("user code")), "compiled with the bundle: {}", code.source);
        for (_, value) in &code.values {
            refers(value, known);
        }
    }
}

fn refers(value: &RawValue, known: &HashSet<String>) {
    match value.to_value(&Limits::default()).unwrap() {
        Value::CacheKey(key) => assert!(known.contains(&key), "{key} comes before its object"),
        Value::Code(code) => code.values.iter().for_each(|(_, value)| refers(value, known)),
        _ => {}
    }
}

#[tokio::test]
async fn objects_come_before_what_refers_to_them_and_user_code_is_not_compiled_with_the_bundle() {
    let live = endpoint();
    let session = live.session();
    let (text, number, late) = (Observable::new("x".to_owned()), Observable::new(1), Observable::new(2));
    let fill = |observable: &Observable<i32>| {
        session.eval(js!("/* user code */ f($(observable), $(js!(\"/* user code */ g($(number))\")))"));
        session.on_js(observable, js!("/* user code */ (n) => n + $(number).value"));
        session.on_load(js!("/* user code */ h($(text))"));
        session.link_js(observable, &number);
    };
    session.text(&text);
    session.on_input(&number);
    session.attribute("title", &text);
    session.on_click(|| {});
    fill(&number);
    let mut known = HashSet::new();
    check(codec::decode_packet(bundle(&session.page("t", "")), &Limits::default()).unwrap(), &mut known);
    assert!(known.len() >= 3, "{known:?}");

    let page = Page::open(&live, &session).await;
    fill(&late);
    late.set(3);
    settle().await;
    let frames = page.frames();
    assert!(frames.len() >= 5);
    for frame in frames {
        let Frame::Binary(bytes) = frame else { panic!("{frame:?}") };
        check(codec::decode_packet(bytes, &Limits::default()).unwrap(), &mut known);
    }
    assert!(known.contains(&late.id().to_string()));
}

/// §1.2, §7, §14.2.
#[test]
fn a_bundle_ends_with_the_connection_and_what_the_page_runs_last() {
    let session = endpoint().session();
    session.on_load(js!("last"));
    session.eval(js!("first"));
    session.eval(js!("second"));
    let html = session.page("t", "");
    let packet = codec::decode_packet(bundle(&html), &Limits::default()).unwrap();
    let Packet::Enveloped(envelope) = packet else { panic!("{packet:?}") };
    assert_eq!(envelope.session, session.id().to_string());
    let Body::Bundle(packets) = envelope.body else { panic!("{:?}", envelope.body) };
    let order: Vec<&str> = packets
        .iter()
        .map(|packet| {
            let Packet::Bare(ServerMessage::EvalJavascript { code }) = packet else { panic!("{packet:?}") };
            let source = code.values.iter().find(|(key, _)| key == "__source");
            match source.map(|(_, source)| source.decode::<String>().unwrap()).as_deref() {
                None if code.source.contains("setup_connection") => "connection",
                Some("first") => "first",
                Some("second") => "second",
                Some("last") => "last",
                other => panic!("{other:?}"),
            }
        })
        .collect();
    assert_eq!(order, ["first", "second", "connection", "last"]);
    assert!(html.contains("<script type=\"module\""), "§7: classic scripts run before the client is there");
}

async fn open(live: &Endpoint) -> (Session, Page) {
    let session = live.session();
    let _html = session.page("t", "");
    let page = Page::open(live, &session).await;
    (session, page)
}

/// §16.
#[tokio::test]
async fn what_a_page_says_out_of_turn_changes_nothing() {
    let live = endpoint();
    let (session, page) = open(&live).await;
    let (other, _other_page) = open(&live).await;
    let opened = Arc::new(AtomicUsize::new(0));
    let count = opened.clone();
    session.on_open(move |_, _| _ = count.fetch_add(1, Ordering::SeqCst));
    let (own, foreign) = (session.id().to_string(), other.id().to_string());
    for name in [own.as_str(), foreign.as_str(), "", "constructor", "sub-1"] {
        for exception in [None, Some("Error: no".to_owned())] {
            page.send(&ClientMessage::DoneLoading {
                session: name.into(),
                message: String::new(),
                exception,
                stacktrace: String::new(),
            });
        }
        for subsession in ["root", "sub", "delete", ""] {
            for _ in 0..2 {
                page.send(&ClientMessage::CloseSession {
                    session: name.into(),
                    subsession: subsession.into(),
                });
            }
        }
        page.send(&ClientMessage::GetSessionDom { session: name.into(), replace: "root".into() });
        page.update(name, 1);
    }
    let raw = |bytes: &'static [u8]| page.send_frame(Frame::Binary(Bytes::from_static(bytes)));
    raw(b"\x80");
    raw(b"\x81\xa8msg_type\x00");
    raw(b"\x81\xa8msg_type\xc0");
    raw(b"\x81\xa8msg_type\xa15");
    raw(b"\x81\xa8msg_type\xa299");
    for tag in *b"348" {
        let mut bare = b"\x81\xa8msg_type\xa1".to_vec();
        bare.push(tag);
        page.send_frame(Frame::Binary(bare.into()));
    }
    raw(b"\x81\xa8msg_type\xa210");
    raw(b"\x81\xa8msg_type\xa213");
    settle().await;
    assert_eq!((session.status(), other.status()), (Status::Open, Status::Open));
    assert_eq!(opened.load(Ordering::SeqCst), 0, "it was open already");
    page.send(&ClientMessage::PingPong);
    settle().await;
    assert_eq!(page.received(), ["pong"], "and nothing else was answered");
}

/// §10: on a new socket the queue comes first, then a ping, then the word that the page has loaded.
#[tokio::test]
async fn what_a_page_had_queued_counts_before_it_says_that_it_has_loaded() {
    let live = endpoint();
    let session = live.session();
    let value = Observable::new(0);
    session.on_load(js!("use($(value))"));
    let _html = session.page("t", "");
    for turn in 1..4 {
        let page = Page::connect(&live, &session).await;
        value.set(-turn);
        page.update(value.id(), turn);
        page.send(&ClientMessage::PingPong);
        settle().await;
        assert_eq!((value.get(), page.frames().len()), (turn, 0), "it gets nothing before it has loaded");
        page.loaded();
        settle().await;
        assert!(!page.received().is_empty());
        page.cut();
        settle().await;
    }
}

/// §5, §15: text for a tag, and nothing that the client takes for a fault.
#[test]
fn every_message_to_the_browser_has_a_text_for_its_tag() {
    let code = || bonito_core::proto::message::Code {
        values: Vec::new(),
        source: "1".into(),
        origin: String::new(),
    };
    let messages = [
        (ServerMessage::UpdateObservable { id: "o1".into(), payload: RawValue::NIL }, "0"),
        (ServerMessage::OnjsCallback { observable: RawValue::NIL, code: code() }, "1"),
        (ServerMessage::EvalJavascript { code: code() }, "2"),
        (ServerMessage::Fused(Vec::new()), "9"),
        (ServerMessage::PingPong, "11"),
    ];
    for (message, tag) in messages {
        let bytes = codec::encode_message(&message).unwrap();
        let value = Value::decode(&bytes, &Limits::default()).unwrap();
        assert_eq!(value.get("msg_type").and_then(Value::as_str), Some(tag));
        let fused = codec::encode_message(&ServerMessage::Fused(vec![Packet::Bare(message)])).unwrap();
        assert!(codec::decode_packet(fused, &Limits::default()).is_ok());
    }
}

/// §5, §10: a queue that goes out when the page opens says the same as one fused message would, in the same order.
#[tokio::test]
async fn a_queue_goes_out_as_it_is_and_not_fused() {
    let live = endpoint();
    let session = live.session();
    let _html = session.page("t", "");
    let page = Page::connect(&live, &session).await;
    for n in 0..200 {
        session.eval(bonito_core::Script::new(format!("n{n}")));
    }
    page.loaded();
    settle().await;
    let frames = page.frames();
    assert_eq!(frames.len(), 200);
    let said: Vec<String> = frames
        .iter()
        .flat_map(|frame| if let Frame::Binary(bytes) = frame { said(bytes) } else { Vec::new() })
        .collect();
    assert!(said.iter().enumerate().all(|(n, text)| *text == format!("n{n}")));
}
