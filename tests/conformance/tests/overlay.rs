//! What the overlay's own route answers, and whom.

#![allow(clippy::unwrap_used, reason = "tests expect")]

use std::path::Path;
use std::process::Command;

use bonito_core::{Endpoint, Frame, TransportError, TransportErrorKind, join};
use bonito_testkit::{DevOverlay, Faults};
use futures_util::{FutureExt, SinkExt, StreamExt, sink, stream};
use http::request::Parts;

fn request(method: &str, path: &str, origin: Option<&str>) -> Parts {
    let mut request = http::Request::builder().method(method).uri(path).header("host", "app.example");
    if let Some(origin) = origin {
        request = request.header("origin", origin);
    }
    request.body(()).unwrap().into_parts().0
}

#[tokio::test]
async fn only_pages_of_its_own_origin_restart_the_server() {
    let (live, faults) = (Endpoint::builder("/live").build(), Faults::with_seed(1));
    let overlay = DevOverlay::new(&live, "/dev/faults", &faults);
    let nowhere = sink::drain().sink_map_err(|_| TransportError::from(TransportErrorKind::Io));
    let mut flaky = faults.wrap(join(stream::pending::<Result<Frame, TransportError>>(), nowhere));

    for origin in ["https://evil.example", "null"] {
        let refused = overlay.handle(&request("POST", "/dev/faults/restart", Some(origin)));
        assert_eq!(refused.status(), 403, "{origin}");
    }
    let mut foreign = request("POST", "/dev/faults/restart", None);
    foreign.headers.insert("sec-fetch-site", "cross-site".parse().unwrap());
    assert_eq!(overlay.handle(&foreign).status(), 403);
    assert!(flaky.next().now_or_never().is_none(), "nothing was cut");

    let own = request("POST", "/dev/faults/restart", Some("http://app.example"));
    assert_eq!(overlay.handle(&own).status(), 204);
    assert!(flaky.next().now_or_never().unwrap().unwrap().is_err());
}

#[test]
fn it_answers_nothing_else() {
    let live = Endpoint::builder("/live").build();
    let overlay = DevOverlay::new(&live, "/dev/faults", &Faults::with_seed(1));
    let status = |method, path| overlay.handle(&request(method, path, None)).status().as_u16();
    assert_eq!(status("GET", "/dev/faults/overlay.js"), 200);
    assert_eq!(status("GET", "/dev/faults/restart"), 405);
    assert_eq!(status("POST", "/dev/faults/overlay.js"), 405);
    assert_eq!(status("GET", "/dev/faults/"), 404);
    assert_eq!(overlay.head(), "<script src=\"/dev/faults/overlay.js\"></script>");
}

#[test]
#[should_panic(expected = "expected the path of an overlay to look like")]
fn a_path_that_would_need_escaping_is_none() {
    DevOverlay::new(&Endpoint::builder("/live").build(), "/\"><b>", &Faults::with_seed(1));
}

/// What the compiler says of the module alone: it stops at other things too, but says this one only in a release.
fn complaints(debug_assertions: &str) -> String {
    let output = Command::new(option_env!("RUSTC").unwrap_or("rustc"))
        .args(["--edition", "2024", "--crate-type", "lib", "--emit", "metadata", "-o"])
        .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("overlay.rmeta"))
        .args(["-C", &format!("debug-assertions={debug_assertions}")])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/src/overlay.rs"))
        .output()
        .unwrap();
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_release_with_it_does_not_compile() {
    let sentence = "error: the feature `overlay` of bonito-testkit is for development";
    assert!(complaints("no").contains(sentence), "{}", complaints("no"));
    assert!(!complaints("yes").contains(sentence));
}
