//! Scripts on their way to the page, and answers on their way back.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests spawn, wait and expect")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bonito_core::proto::codec;
use bonito_core::proto::message::{ClientMessage, Code, Packet, ServerMessage};
use bonito_core::{EvalError, Frame, Observable, Script, Session, js};
use support::{Page, endpoint, settle};

/// The scripts that have come, with the values that they interpolate.
fn codes(page: &Page) -> Vec<Code> {
    let frames = page.frames();
    frames
        .iter()
        .filter_map(|frame| match frame {
            Frame::Binary(bytes) => match codec::decode_packet(bytes.clone(), &Default::default()) {
                Ok(Packet::Bare(
                    ServerMessage::EvalJavascript { code } | ServerMessage::OnjsCallback { code, .. },
                )) => Some(code),
                _ => None,
            },
            _ => None,
        })
        .collect()
}

fn value<T: serde::de::DeserializeOwned>(code: &Code, key: &str) -> T {
    code.values.iter().find(|(name, _)| name == key).unwrap().1.decode().unwrap()
}

async fn open() -> (bonito_core::Endpoint, Session, Page) {
    let live = endpoint();
    let session = live.session();
    let _html = session.page("t", "");
    let page = Page::open(&live, &session).await;
    (live, session, page)
}

/// Starts an evaluation and gives the names under which the page may answer.
async fn ask<T>(
    session: &Session,
    page: &Page,
) -> (tokio::task::JoinHandle<Result<T, EvalError>>, String, String)
where
    T: serde::de::DeserializeOwned + Send + 'static,
{
    let asking = session.clone();
    let task = tokio::spawn(async move { asking.eval_value(js!("1 + 1")).await });
    settle().await;
    let code = codes(page).pop().unwrap();
    assert_eq!(value::<String>(&code, "__source"), "1 + 1");
    (task, value(&code, "__answer"), value(&code, "__failure"))
}

#[tokio::test]
async fn an_evaluation_brings_its_value_back_once() {
    let (_live, session, page) = open().await;
    let (task, answer, failure) = ask::<u32>(&session, &page).await;
    page.update(&answer, 2);
    page.update(&answer, 3);
    page.update(&failure, "late");
    assert_eq!(task.await.unwrap().unwrap(), 2);
    assert_eq!(session.binding_count(), 0, "nothing of it is left");
}

#[tokio::test]
async fn an_exception_comes_back_as_one() {
    let (_live, session, page) = open().await;
    let (task, _, failure) = ask::<u32>(&session, &page).await;
    page.update(&failure, "Error: no");
    let error = task.await.unwrap().unwrap_err();
    assert_eq!(error.exception(), Some("Error: no"));
    assert_eq!(error.to_string(), "the script threw Error: no");
}

#[tokio::test]
async fn a_value_of_another_type_is_an_error_that_says_so() {
    let (_live, session, page) = open().await;
    let (task, answer, _) = ask::<u32>(&session, &page).await;
    page.update(&answer, "text");
    assert!(task.await.unwrap().unwrap_err().is_wrong_type());
}

#[tokio::test]
async fn closing_the_session_ends_the_waiting() {
    let (_live, session, page) = open().await;
    let (task, _, _) = ask::<u32>(&session, &page).await;
    session.close();
    assert!(task.await.unwrap().unwrap_err().is_closed());
    let again: Result<u32, _> = session.eval_value(js!("1")).await;
    assert!(again.unwrap_err().is_closed());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_come_is_not_waited_for_longer_than_asked() {
    let (_live, session, _page) = open().await;
    let result: Result<u32, _> = session.eval_value_within(js!("f()"), Duration::from_secs(3)).await;
    assert!(result.unwrap_err().is_timeout());
    let dropped = session.eval_value::<u32>(js!("f()"));
    drop(dropped);
    assert_eq!(session.binding_count(), 0);
}

#[tokio::test]
async fn values_travel_beside_the_source() {
    let (_live, session, page) = open().await;
    let hostile = "'); alert(1); (' </script>";
    session.eval(js!("show($(hostile), $(hostile.len()))"));
    settle().await;
    let code = codes(&page).pop().unwrap();
    assert_eq!(code.source, "show(__lookup_interpolated(\"v0\"), __lookup_interpolated(\"v1\"))");
    assert_eq!(value::<String>(&code, "v0"), hostile);
    assert_eq!(value::<usize>(&code, "v1"), hostile.len());
}

#[tokio::test]
async fn scripts_nest_and_bring_their_observables() {
    let (_live, session, page) = open().await;
    let count = Observable::new(5);
    let inner = js!("return $(count).value");
    session.eval(js!("f($(inner))"));
    settle().await;
    assert_eq!(count.session_count(), 1);
    assert_eq!(page.received().len(), 2, "the observable goes before the script that uses it");
}

#[tokio::test]
async fn a_listener_returns_its_function_whatever_stands_behind_it() {
    let (_live, session, page) = open().await;
    let count = Observable::new(5);
    for source in ["(n) => f(n)", "(n) => f(n);", "(n) => f(n) // a comment"] {
        session.on_js(&count, Script::new(source));
        settle().await;
        let code = codes(&page).pop().unwrap();
        let inner: String = value(&code, "__source");
        assert!(inner.starts_with("return ((n) => f(n)") && inner.ends_with("\n)"), "{inner}");
        assert!(code.source.contains("=== false) return false"), "only an explicit false ends a listener");
    }
}

#[tokio::test]
async fn user_scripts_in_a_page_cannot_keep_it_from_connecting() {
    // A syntax error in the root bundle would mean that no socket is ever opened, protocol.md §9.3.
    let live = endpoint();
    let session = live.session();
    let count = Observable::new(0);
    session.eval(js!("this is no JavaScript ((("));
    let nested = js!("this is no better ((");
    session.eval(js!("$(nested)"));
    session.on_js(&count, js!("nor this ]]"));
    session.on_load(js!("nor this }}"));
    let html = session.page("t", "");
    let start = html.find("atob(\"").unwrap() + 6;
    let bundle = &html[start..start + html[start..].find('"').unwrap()];
    let bundle = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, bundle).unwrap();
    let said = support::said(&bundle.into());
    assert_eq!(said.len(), 6);
    assert!(!said.iter().any(|source| source.contains("this is no") || source.contains("nor this")));
    assert!(said[4].contains("setup_connection"), "the connection is set up before what runs last: {said:?}");
}

#[tokio::test]
async fn errors_of_the_page_reach_the_application() {
    let (_live, session, page) = open().await;
    let errors = Arc::new(Mutex::new(Vec::new()));
    let sink = errors.clone();
    session.on_javascript_error(move |_, error| {
        sink.lock().unwrap().push(format!("{}|{}|{}", error.message, error.exception, error.stacktrace));
    });
    let sink = errors.clone();
    session.on_javascript_warning(move |_, message| sink.lock().unwrap().push(message.to_owned()));
    session.on_javascript_warning(|_, _| panic!("on purpose"));
    page.send(&ClientMessage::JavascriptError {
        message: "m".into(),
        exception: "e".into(),
        stacktrace: "s".into(),
    });
    page.send(&ClientMessage::JavascriptWarning { message: "w".into() });
    settle().await;
    assert_eq!(*errors.lock().unwrap(), ["m|e|s", "w"]);
}

#[tokio::test]
async fn an_application_may_close_the_session_from_within_its_callbacks() {
    let live = endpoint();
    let session = live.session();
    let value = Observable::new(0);
    session.eval(js!("$(value)"));
    let closing = session.clone();
    let _on = value.on(move |_| closing.close());
    let ended = Arc::new(Mutex::new(0));
    let count = ended.clone();
    session.on_close(move |session, _| {
        session.close();
        *count.lock().unwrap() += 1;
    });
    let _html = session.page("t", "");
    let page = Page::open(&live, &session).await;
    page.update(value.id(), 1);
    page.update(value.id(), 2);
    settle().await;
    assert_eq!((*ended.lock().unwrap(), value.get()), (1, 1));
    assert_eq!(live.stats().sessions, 0);
}

#[test]
fn expressions_of_every_shape_stand_in_a_script() {
    fn lifetime(text: &str) -> &str {
        text
    }
    let (x, list) = (1, [1, 2, 3]);
    let script = js!(
        r#"[$(")"), $('('), $(b')'), $({ let y = (x + 1) * 2; y }), $(format!("{})", x)), $(vec![(1, 2), (3, 4)]),
        $(lifetime("ü)")), $(list.iter().map(|n| { n * 2 }).collect::<Vec<i32>>()), $(if x > 0 { "a)" } else { "(b" }),
        $("\")"), $(x /* ) */ + 1), $$('#id'), `$${x} ${$(x)}`]"#
    );
    let source = script.source();
    assert_eq!(source.matches("__lookup_interpolated(").count(), 12, "{source}");
    assert!(source.contains("$('#id'), `$${x} ${__lookup_interpolated(\"v11\")}`]"), "{source}");
}
