//! The answer to an upgrade.

use http::Request;

/// protocol.md §2.1: browsers offer compression, and may be left without.
#[test]
fn what_a_browser_offers_besides_is_left_alone() {
    let (request, ()) = Request::get("/live/1")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("sec-websocket-extensions", "permessage-deflate; client_max_window_bits")
        .body(())
        .unwrap()
        .into_parts();
    let response = bonito_websocket::handshake(&request);
    assert_eq!(response.status(), 101);
    assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert!(!response.headers().contains_key("sec-websocket-extensions"));
}
