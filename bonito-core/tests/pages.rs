//! What stands in a page, and that no text of a user becomes anything else there.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests spawn, wait and expect")]

mod support;

use bonito_core::{Endpoint, Observable, Page, js};
use support::endpoint;

const HOSTILE: &str = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(1)>&amp;";

/// Nothing of the hostile text may stand in the page as it was written.
fn assert_harmless(html: &str) {
    for part in ["<script>alert", "<img", "onerror=alert(1)>", "</script><script>a"] {
        assert!(!html.contains(part), "{part} in {html}");
    }
}

#[test]
fn a_text_is_a_text() {
    let live = endpoint();
    let text = live.session().text(&Observable::new(HOSTILE.to_owned())).to_string();
    assert_harmless(&text);
    assert!(text.contains("&lt;/script&gt;"));
}

#[test]
fn an_attribute_stays_in_its_quotes() {
    let live = endpoint();
    let binding = live.session().attribute("title", &Observable::new(HOSTILE.to_owned())).to_string();
    assert_harmless(&binding);
    assert_eq!(binding.matches('"').count(), 4, "{binding}");
}

#[test]
fn an_input_keeps_its_value_in_its_quotes() {
    let live = endpoint();
    let binding = live.session().on_input(&Observable::new(HOSTILE.to_owned())).to_string();
    assert_harmless(&binding);
    assert_eq!(binding.matches('"').count(), 4, "{binding}");
}

#[test]
fn titles_nonces_and_languages_are_escaped() {
    let live = endpoint();
    let page = Page::new(HOSTILE).nonce(HOSTILE).lang(HOSTILE).render(&live.session(), "");
    assert_harmless(&page);
}

#[test]
fn no_value_can_end_the_inline_script() {
    let live = endpoint();
    let session = live.session();
    let observable = Observable::new(HOSTILE.to_owned());
    session.eval(js!("f($(HOSTILE), $(observable))"));
    session.on_load(js!("'</script>'"));
    let page = session.page("t", "");
    assert_harmless(&page);
    assert_eq!(page.matches("</script>").count(), 2, "the library and the start, and nothing else");
}

#[test]
fn an_address_that_would_run_code_leads_nowhere() {
    let live = endpoint();
    let session = live.session();
    let address = Observable::new(" JavaScript:alert(1)".to_owned());
    assert!(session.attribute("href", &address).to_string().ends_with(" href=\"about:blank#blocked\""));
    assert!(session.attribute("title", &address).to_string().ends_with(" title=\" JavaScript:alert(1)\""));
}

#[test]
#[should_panic(expected = "neither code nor markup")]
fn an_event_handler_cannot_be_bound_to_data() {
    endpoint().session().attribute("onclick", &Observable::new(1));
}

#[test]
fn flags_and_nothing_make_or_unmake_an_attribute() {
    let live = endpoint();
    let session = live.session();
    let shown =
        |binding: bonito_core::Binding| binding.to_string().split_once(' ').map(|(_, rest)| rest.to_owned());
    assert_eq!(shown(session.attribute("disabled", &Observable::new(true))).as_deref(), Some("disabled"));
    assert_eq!(shown(session.attribute("disabled", &Observable::new(false))), None);
    assert_eq!(shown(session.attribute("title", &Observable::new(None::<String>))), None);
    assert_eq!(shown(session.attribute("value", &Observable::new(3))).as_deref(), Some("value=\"3\""));
    assert_eq!(
        shown(session.attribute("aria-busy", &Observable::new("true"))).as_deref(),
        Some("aria-busy=\"true\"")
    );
    assert_eq!(shown(session.on_input(&Observable::new(true))).as_deref(), Some("checked"));
}

#[test]
fn bindings_on_one_element_do_not_shadow_each_other() {
    let live = endpoint();
    let session = live.session();
    let value = Observable::new(1);
    let all = [
        session.on_click(|| {}),
        session.on_input(&value),
        session.attribute("title", &value),
        session.attribute("value", &value),
    ];
    let names: std::collections::HashSet<_> = all.iter().map(|binding| binding.name()).collect();
    assert_eq!(names.len(), 4);
    assert_eq!(all[0].to_string(), "data-bonito-click=\"1\"");
}

#[test]
fn a_page_is_complete_and_the_session_knows_that_it_is_out() {
    let live = endpoint();
    let session = live.session();
    let page = session.page("Hello", "<h1>Hi</h1>");
    assert!(page.starts_with("<!doctype html>\n<html lang=\"en\">"));
    assert!(page.contains("<title>Hello</title>") && page.contains("<h1>Hi</h1>"));
    assert!(page.contains(&format!("<div id=\"{}\" data-jscall-id=\"root\">", session.id())));
    assert!(page.contains("src=\"/live/assets/bonito.") && !page.contains("nonce"));
    assert_eq!(session.status(), bonito_core::Status::Displayed);
}

#[test]
fn a_template_may_write_the_head_before_the_bindings_are_written() {
    let live = endpoint();
    let session = live.session();
    let count = Observable::new(1);
    // As template engines do: all values are there before the first is written.
    let (head, text) = (session.head().nonce("abc"), session.text(&count));
    let html = format!("<head>{head}</head><body>{text}</body>");
    let bundle = html.split("atob(\"").nth(1).unwrap().split('"').next().unwrap();
    let bundle = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, bundle).unwrap();
    assert!(support::said(&bundle.into()).iter().any(|said| said.contains("textContent")));
    assert_eq!(html.matches("nonce=\"abc\"").count(), 3);
}

#[test]
fn a_session_has_one_page() {
    let live = endpoint();
    let session = live.session();
    assert!(session.page("one", "").contains("init_session"));
    let second = session.page("two", "");
    assert!(!second.contains("init_session") && second.contains("make one session a page"));
}

#[test]
fn pages_find_the_endpoint_where_the_browser_sees_it() {
    for (live, library, sessions) in [
        (Endpoint::builder("/live").build(), "\"/live/assets/bonito.", "/live/"),
        (Endpoint::builder("/live/").build(), "\"/live/assets/bonito.", "/live/"),
        (Endpoint::builder("").build(), "\"/assets/bonito.", "/"),
        (
            Endpoint::builder("/live").external_url("/apps/x/live/").build(),
            "\"/apps/x/live/assets/",
            "/apps/x/live/",
        ),
        (
            Endpoint::builder("/live").external_url("https://a.example/live").build(),
            "\"https://a.example/live/assets/",
            "https://a.example/live/",
        ),
        (
            Endpoint::builder("/live").client_urls("https://c.example/b.js", "/w.js").build(),
            "\"https://c.example/b.js\"",
            "/live/",
        ),
    ] {
        let session = live.session();
        let setup = session.connection().setup_connection(&session).unwrap();
        let debug = format!("{setup:?}");
        assert!(session.page("t", "").contains(library));
        let encoded = bonito_core::proto::value::RawValue::encode(sessions).unwrap();
        assert!(debug.contains(&format!("{encoded:?}")), "{debug} has no {sessions}");
    }
}

#[test]
fn nonsense_is_refused_when_an_endpoint_is_built() {
    for build in [
        || Endpoint::builder("live"),
        || Endpoint::builder("/li ve"),
        || Endpoint::builder("/live{x}"),
        || Endpoint::builder("/live").external_url("//evil.example"),
        || Endpoint::builder("/live").external_url("ftp://a"),
        || Endpoint::builder("/live").allow_origin("null"),
        || Endpoint::builder("/live").allow_origin("*"),
    ] {
        assert!(std::panic::catch_unwind(|| build().build()).is_err());
    }
}

#[cfg(feature = "maud")]
#[test]
fn maud_takes_fragments_and_heads_as_they_are() {
    let live = endpoint();
    let session = live.session();
    let click = session.on_click(|| {});
    let text = session.text(&Observable::new("<b>".to_owned()));
    let page = maud::html! { head { (session.head()) } body { button data-bonito-click=(click.id()) { "+" } (text) } };
    assert!(
        page.0.contains("init_session") && page.0.contains("&lt;b&gt;") && !page.0.contains("&lt;script")
    );
}

#[test]
fn an_attribute_that_changes_while_it_is_bound_is_right_in_the_page() {
    /// Changes once, while it is looked at.
    #[derive(Clone)]
    struct Restless(&'static str, std::sync::Arc<std::sync::OnceLock<Observable<Self>>>);
    impl serde::Serialize for Restless {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            if let (Some(me), "first") = (self.1.get(), self.0) {
                me.set(Self("second", self.1.clone()));
            }
            serializer.serialize_str(self.0)
        }
    }
    let me = std::sync::Arc::new(std::sync::OnceLock::new());
    let observable = Observable::new(Restless("first", me.clone()));
    assert!(me.set(observable.clone()).is_ok());
    let live = endpoint();
    let binding = live.session().attribute("title", &observable).to_string();
    assert!(binding.contains("title=\"second\""), "{binding}");
}

#[test]
fn a_static_page_has_all_in_it_and_asks_nobody() {
    let live = endpoint();
    let session = live.session();
    let volume = Observable::new(3);
    session.on_js(&volume, js!("(volume) => { show(volume) }"));
    let html = session.static_page(HOSTILE, format!("<input type=\"range\" {}>", session.on_input(&volume)));
    let library = include_str!("../client/dist/bonito.js");
    assert_eq!(html.matches(library).count(), 1);
    let html = html.replace(library, "");
    assert_harmless(&html);
    for outside in [" src=\"", " href=\"", "/live", "import("] {
        assert!(!html.contains(outside), "{outside}");
    }
    assert_eq!(html.matches("</script>").count(), 2);
    let policy = html.find("Content-Security-Policy").unwrap();
    assert!(policy < html.find("<script").unwrap(), "a policy counts from where it stands");
    assert_eq!(session.status(), bonito_core::Status::Closed);
    assert_eq!((live.stats().sessions, volume.session_count()), (0, 0), "nothing is left of it");
    assert!(session.static_page("again", "").contains("<!-- this session is closed"));
}

#[test]
fn a_static_page_is_written_to_a_file() {
    let session = endpoint().session();
    let path = std::env::temp_dir().join(format!("bonito-{}.html", session.id()));
    session.export_static(&path, "t", "<b>body</b>").unwrap();
    let html = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(html.starts_with("<!doctype html>") && html.contains("<b>body</b>"));
    let nowhere = endpoint().session().export_static("/nowhere/at/all.html", "t", "");
    assert_eq!(nowhere.unwrap_err().kind(), std::io::ErrorKind::NotFound);
}
