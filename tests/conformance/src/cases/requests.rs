//! What is answered without a socket, and what stands before one.

use std::net::SocketAddr;

use bonito_core::{Endpoint, Session};

use super::with;
use crate::client::{ask, connect, connect_as, page};

/// The path of the browser client, as a page names it.
fn library(session: &Session) -> String {
    let html = session.page("t", "").to_string();
    html.split("src=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

fn socket_path(session: &Session) -> String {
    format!("/live/{}", session.id())
}

case! {
    /// The endpoint answers for its own path and no other.
    the_app_keeps_its_pages(live, address) {
        assert!(ask(address, "GET", "/").await.ends_with("home"));
        assert!(ask(address, "GET", "/liven").await.starts_with("HTTP/1.1 404"));
        assert_eq!(live.stats().sockets, 0);
    }
}

case! {
    /// A page is dead without the script it names, at the root and under a prefix.
    a_page_finds_its_script(live, address) {
        let library = library(&live.session());
        for path in [library.clone(), format!("/app{library}")] {
            let get = ask(address, "GET", &path).await;
            assert!(get.starts_with("HTTP/1.1 200") && get.contains("Bonito"), "{path}: {get:.300}");
            assert!(get.contains("content-type: text/javascript; charset=utf-8"), "{path}: {get:.300}");
        }
        assert!(ask(address, "GET", "/live/assets/nothing").await.starts_with("HTTP/1.1 404"));
    }
}

case! {
    /// A script's name changes with its content, so that browsers never ask twice; a server that drops a header makes them.
    assets_have_their_headers(live, address) {
        let library = library(&live.session());
        let get = ask(address, "GET", &library).await;
        let (head, body) = get.split_once("\r\n\r\n").unwrap();
        let head = format!("{head}\r\n");
        for header in [
            "cache-control: public, max-age=31536000, immutable",
            "vary: accept-encoding",
            "x-content-type-options: nosniff",
            "access-control-allow-origin: *",
            &format!("content-length: {}", body.len()),
        ] {
            assert!(head.contains(&format!("{header}\r\n")), "{header}: {head}");
        }
    }
}

case! {
    /// Who asks for the head of a script is told its length and gets no body, which would be taken for the next answer.
    head_requests_have_no_body(live, address) {
        let library = library(&live.session());
        let get = ask(address, "GET", &library).await;
        let (_, body) = get.split_once("\r\n\r\n").unwrap();
        let head = ask(address, "HEAD", &library).await;
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{head}");
        assert!(head.ends_with("\r\n\r\n"), "{head}");
    }
}

case! {
    /// 405 says with `Allow` what would have been right.
    wrong_methods_are_405(live, address) {
        let library = library(&live.session());
        let socket = socket_path(&page(&live));
        for (path, allow) in [(library, "allow: GET, HEAD\r\n"), (socket, "allow: GET\r\n")] {
            for method in ["POST", "PUT", "DELETE"] {
                let answer = ask(address, method, &path).await;
                assert!(answer.starts_with("HTTP/1.1 405") && answer.contains(allow), "{answer}");
            }
        }
    }
}

case! {
    /// A socket that is accepted and then closed would take with it what the page had queued.
    an_unknown_session_is_404_before_the_upgrade(live, address) {
        let own = format!("http://{address}");
        let closed = page(&live);
        closed.close();
        for id in ["0".repeat(32), closed.id().to_string()] {
            let (status, _) = connect(address, &format!("/live/{id}"), &[&own]).await.unwrap_err();
            assert_eq!(status, 404, "{id}");
        }
        assert!(ask(address, "GET", "/live/nothing").await.starts_with("HTTP/1.1 404"));
        assert_eq!(live.stats().sockets, 0);
    }
}

case! {
    /// A foreign page in the user's browser would else drive the session with the user's rights.
    foreign_origins_are_403(live, address) {
        let path = socket_path(&page(&live));
        for (what, origin) in [
            ("foreign", "http://evil.example"),
            ("null", "null"),
            ("empty", ""),
            ("no scheme", "app.example"),
            ("another scheme", "ftp://app.example"),
            ("the name as a prefix", "http://app.example.evil.example"),
            ("the name as a suffix", "http://evilapp.example"),
            ("a name below", "http://evil.app.example"),
            ("a shorter name", "http://app.exampl"),
            ("a dot at the end", "http://app.example."),
            ("another port", "http://app.example:8080"),
            ("the other scheme's port", "http://app.example:443"),
            ("the name as a user", "http://app.example@evil.example"),
            ("a path", "http://app.example/"),
            ("a look-alike in ASCII", "http://xn--pp-eka.example"),
            ("a look-alike in UTF-8", "http://äpp.example"),
        ] {
            let (status, _) = connect_as(address, "app.example", &path, &[origin]).await.expect_err(what);
            assert_eq!(status, 403, "{what}: {origin}");
        }
        assert_eq!(live.stats().sockets, 0);
        for (host, origin) in [
            ("app.example", "http://app.example"),
            ("app.example", "https://app.example"),
            ("App.Example:8080", "http://app.example:8080"),
            ("xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ] {
            assert!(connect_as(address, host, &path, &[origin]).await.is_ok(), "{origin} at {host}");
        }
        assert!(connect(address, &path, &[]).await.is_ok(), "no browser's");
    }
}

case! {
    /// Who opens a socket's address in the browser is told what it is.
    a_plain_get_on_the_socket_is_426(live, address) {
        let get = ask(address, "GET", &socket_path(&page(&live))).await;
        assert!(get.starts_with("HTTP/1.1 426") && get.contains("upgrade: websocket\r\n"), "{get}");
        assert!(get.contains("sec-websocket-version: 13\r\n"), "{get}");
    }
}

case! {
    /// A page that is refused for now comes back by itself, and is told when.
    over_capacity_is_503_with_retry_after(live = with(|limits| limits.sockets = 1), address) {
        let path = socket_path(&page(&live));
        let own = format!("http://{address}");
        let first = connect(address, &path, &[&own]).await.unwrap();
        let (status, headers) = connect(address, &path, &[&own]).await.unwrap_err();
        assert_eq!(status, 503);
        assert!(headers.contains_key("retry-after"), "{headers:?}");
        drop(first);
        crate::client::until(|| live.stats().sockets == 0).await;
        assert!(connect(address, &path, &[&own]).await.is_ok(), "there is room again");
    }
}

case! {
    /// An adapter copies requests: the query, a header that comes twice, and the path under a prefix must survive.
    the_query_and_repeated_headers_pass(live, address) {
        let session = page(&live);
        let own = format!("http://{address}");
        for path in ["/live", "/app/live"] {
            let path = format!("{path}/{}?low_latency&a=%2F%20+b", session.id());
            connect(address, &path, &[&own]).await.unwrap();
            let (status, _) = connect(address, &path, &[&own, "http://evil.example"]).await.unwrap_err();
            assert_eq!(status, 403, "a second Origin is seen");
        }
    }
}
