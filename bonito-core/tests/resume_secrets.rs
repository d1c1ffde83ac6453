//! Where the keys of a stream are not: protocol.md §18.4.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests spawn, wait and expect")]

mod support;

use std::fmt::{self, Debug, Write as _};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bonito_core::proto::resume::{Control, Key};
use bonito_core::{Endpoint, Frame, Script, Takeover};
use bytes::Bytes;
use support::stream::{Stream, copy, offer, page_key};
use support::{Page, settle};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Writes down all that is logged, at every level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut Fields(&mut self.0.lock().unwrap()));
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut Fields(&mut self.0.lock().unwrap()));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut log = self.0.lock().unwrap();
        event.record(&mut Fields(&mut log));
        log.push('\n');
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The ways in which bytes are written by accident.
fn spellings(key: &Key) -> [String; 5] {
    let bytes = key.as_bytes();
    let hex = bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    let list = format!("{bytes:?}");
    [
        hex.to_uppercase(),
        hex,
        STANDARD.encode(bytes),
        URL_SAFE_NO_PAD.encode(bytes),
        list.trim_matches(['[', ']']).to_owned(),
    ]
}

fn is_in(text: &str, key: &Key) -> bool {
    spellings(key).iter().any(|spelling| text.contains(spelling))
}

#[tokio::test(start_paused = true)]
async fn no_key_is_ever_logged_or_shown_by_debug_output() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let mut keys = Vec::new();
    let mut shown = String::new();
    for takeover in [Takeover::Fork, Takeover::Reject, Takeover::Newest] {
        let live = Endpoint::builder("/live").takeover(takeover).build();
        let session = live.session();
        let html = session.page("t", "").to_string();
        let key = page_key(&html).unwrap();
        let mut page = Stream::new(&live, &session, copy(&key));
        let mut second = Stream::instance(&live, &session, copy(&key), 2);
        keys.push(key);
        page.connect().await.unwrap();
        page.loaded();
        keys.push(copy(&page.key));
        session.eval(Script::new("step(0)"));
        for round in 0..3 {
            page.cut(round == 0).await;
            page.connect().await.unwrap();
            keys.push(copy(&page.key));
        }
        let stranger = Key::new([0x5a; 32]);
        let mut thief = Stream::instance(&live, &session, copy(&stranger), 3);
        thief.connect().await.unwrap_err();
        keys.push(stranger);
        let plain = Page::connect(&live, &session).await;
        plain.closed().await;
        for frame in [
            page.socket().frames().is_empty().then(|| Control::Hello(page.hello()).encode()),
            Some(Bytes::from_static(b"\xc1\x92\x02")),
        ] {
            page.socket().send_frame(Frame::Binary(frame.unwrap_or_default()));
            settle().await;
            page.cut(false).await;
            page.connect().await.unwrap();
            keys.push(copy(&page.key));
        }
        // What the hello of a broken or hostile page holds.
        let mut broken = Control::Hello(page.hello()).encode().to_vec();
        broken.pop();
        let mut dialled = Stream::instance(&live, &session, copy(&page.key), 1);
        dialled.dial().await;
        dialled.socket().send_frame(Frame::Binary(broken.into()));
        dialled.socket().closed().await;
        let greeted = second.connect().await;
        keys.push(copy(&second.key));
        let survivor = if greeted.is_ok() { &mut second } else { &mut page };
        survivor.say(&Control::Ack(1000));
        settle().await;
        let _ = write!(shown, "{live:?} {session:?} {:?} {:?}", session.info(), session.connection());
        let _ = write!(shown, "{:?}", live.handle(&offer(&session)).await);
        let _ = write!(shown, "{:?} {:?}", page.hello(), Control::Hello(page.hello()));
    }
    settle().await;
    let log = log.0.lock().unwrap();
    assert!(log.contains("a socket is refused") && log.contains("open"), "something is logged: {log}");
    assert!(keys.len() > 20);
    for key in &keys {
        assert!(!is_in(&log, key), "{log}");
        assert!(!is_in(&shown, key), "{shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_page_has_its_key_once_and_in_no_url() {
    let live = Endpoint::builder("/live").build();
    let session = live.session();
    let html = session.page("t", "<a href=\"/\">home</a>").to_string();
    let key = page_key(&html).unwrap();
    assert!(!is_in(&html, &key), "it stands in the bundle and not beside it");
    let (_, bundle) = html.split_once("atob(\"").unwrap();
    let bundle = STANDARD.decode(bundle.split_once('"').unwrap().0).unwrap();
    let bundle = String::from_utf8_lossy(&bundle).into_owned();
    assert_eq!(bundle.matches(&URL_SAFE_NO_PAD.encode(key.as_bytes())).count(), 1);
    // Debug output of the script, which an application may log, has it neither: 43 characters of base64url stand nowhere.
    let custom = live.session();
    let text = format!("{:?}", custom.connection().setup_connection(&custom).unwrap());
    let is_key = |word: &str| word.len() == 43;
    let mut words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'));
    assert!(text.contains("resume") && !words.any(is_key), "{text}");
    let other = live.session();
    let other = page_key(&other.page("t", "").to_string()).unwrap();
    assert_ne!(key, other);
    // The page asks for this and nothing else.
    assert_eq!(offer(&session).uri.to_string(), format!("/live/{}", session.id()));
}

#[test]
fn a_key_is_compared_whole() {
    let key = Key::new([7; 32]);
    for at in 0..32 {
        for bit in 0..8 {
            let mut bytes = [7; 32];
            bytes[at] ^= 1 << bit;
            assert_ne!(key, Key::new(bytes));
        }
    }
    assert_eq!(key, Key::new([7; 32]));
    assert_eq!(format!("{key:?}"), "Key(…)");
}

impl Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Log")
    }
}
