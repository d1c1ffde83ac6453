//! HTML, DOM nodes and dates as values.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests wait and expect")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bonito_core::proto::codec;
use bonito_core::proto::message::{Packet, ServerMessage};
use bonito_core::proto::value::{RawValue, Value};
use bonito_core::{Frame, Html, Limits, Node, Observable, Timestamp, js};
use support::{Page, endpoint, settle};

fn tree(value: &impl serde::Serialize) -> Value {
    RawValue::encode(value).unwrap().to_value(&Limits::default()).unwrap()
}

fn dom(node: &Node) -> (String, Vec<Value>, Vec<(String, Value)>) {
    match tree(node) {
        Value::Dom { tag, children, attributes } => (tag, children, attributes),
        other => panic!("{other:?}"),
    }
}

/// The values that the scripts bring which have come.
fn interpolated(page: &Page) -> Vec<Value> {
    let limits = Limits::default();
    let frames = page.frames().into_iter();
    let packets = frames.filter_map(|frame| match frame {
        Frame::Binary(bytes) => codec::decode_packet(bytes, &limits).ok(),
        _ => None,
    });
    packets
        .flat_map(|packet| match packet {
            Packet::Bare(ServerMessage::EvalJavascript { code }) => code.values,
            Packet::Bare(ServerMessage::UpdateObservable { id, payload }) => vec![(id, payload)],
            _ => Vec::new(),
        })
        .filter(|(name, _)| name != "__source")
        .map(|(_, value)| value.to_value(&limits).unwrap())
        .collect()
}

#[test]
fn html_travels_as_it_is() {
    let html = Html::new("<b class=\"x\">&amp; ü</b>");
    assert_eq!(RawValue::encode(&html).unwrap(), RawValue::html("<b class=\"x\">&amp; ü</b>").unwrap());
    assert_eq!(html.to_string(), html.as_str());
    assert_eq!(tree(&vec![html.clone()]), Value::Array(vec![Value::Html(html.into_string())]));
}

#[test]
fn a_node_is_built_as_the_protocol_says() {
    let node = Node::new("div")
        .attr("id", "x")
        .attr("tabindex", 0)
        .attr("hidden", true)
        .attr("title", None::<&str>)
        .attr("lang", false)
        .attr("id", "y")
        .child("<script>alert(1)</script>")
        .child(7)
        .child(None::<&str>)
        .child(Node::new("b").child("bold"))
        .child(Html::new("<i>raw</i>"))
        .children(["a", "b"]);
    let (tag, children, attributes) = dom(&node);
    assert_eq!(tag, "div");
    let text = |text: &str| Value::Str(text.to_owned());
    assert_eq!(
        attributes,
        [("tabindex".to_owned(), text("0")), ("hidden".to_owned(), text("")), ("id".to_owned(), text("y"))],
        "nothing and no leave an attribute away: the browser would write \"null\" and \"false\""
    );
    let bold = Value::Dom { tag: "b".into(), children: vec![text("bold")], attributes: vec![] };
    let html = Value::Html("<i>raw</i>".into());
    let script = text("<script>alert(1)</script>");
    assert_eq!(children, [script, Value::Int(7), bold, html, text("a"), text("b")]);
}

#[test]
fn an_address_of_a_node_that_would_run_code_leads_nowhere() {
    let (_, _, attributes) = dom(&Node::new("a").attr("href", " java\nscript:alert(1)"));
    assert_eq!(attributes, [("href".to_owned(), Value::Str("about:blank#blocked".into()))]);
}

#[test]
fn a_node_of_svg_says_so_and_has_no_class() {
    let (tag, _, attributes) = dom(&Node::svg("circle").attr("r", 2.5));
    assert_eq!(tag, "circle");
    assert!(attributes.contains(&("juliasvgnode".to_owned(), Value::Bool(true))));
    assert!(attributes.contains(&("r".to_owned(), Value::Str("2.5".into()))));
}

#[test]
fn what_would_be_code_in_a_node_is_refused() {
    for make in [
        (|| Node::new("script")) as fn() -> Node,
        || Node::new("Script"),
        || Node::new(""),
        || Node::new("a b"),
        || Node::new("div").attr("onclick", "alert(1)"),
        || Node::new("iframe").attr("srcdoc", "x"),
        || Node::new("div").attr("juliasvgnode", true),
        || Node::svg("circle").attr("class", "x"),
        || Node::svg("circle").attr("CLASS", "x"),
        // The same element, in a namespace.
        || Node::svg("svg:script"),
        || Node::svg("x:SCRIPT"),
        // What would write any text into an address.
        || Node::svg("animate").attr("attributeName", "href"),
        || Node::svg("set").attr("attributename", "xlink:href"),
    ] {
        assert!(std::panic::catch_unwind(make).is_err());
    }
}

#[test]
fn a_node_too_deep_for_a_message_is_an_error_and_no_crash() {
    let deep = |levels| (0..levels).fold(Node::new("b"), |node, _| Node::new("div").child(node));
    assert!(RawValue::encode(&deep(18)).is_ok());
    assert!(matches!(dom(&deep(200)), (tag, _, _) if tag == "div"));
}

#[tokio::test]
async fn nodes_html_and_dates_stand_in_scripts_and_in_observables() {
    let live = endpoint();
    let session = live.session();
    let (html, node) = (Observable::new(Html::new("<b>1</b>")), Observable::new(Node::new("i")));
    let when = Observable::new(Timestamp::default());
    let _html = session.page("t", "");
    let page = Page::open(&live, &session).await;
    let (h, n, t) = (Html::new("<p>"), Node::new("p"), Timestamp::from(UNIX_EPOCH));
    session.eval(js!("use($(h), $(n), $(t), $(html.read_only()), $(node.read_only()), $(when))"));
    settle().await;
    let values = interpolated(&page);
    assert_eq!(values[..3], [tree(&h), tree(&n), tree(&t)]);
    assert_eq!(values[3], Value::CacheKey(html.id().to_string()));

    html.set(Html::new("<b>2</b>"));
    node.set(Node::new("u").child("2"));
    let later = UNIX_EPOCH + Duration::from_millis(1_500);
    when.set(later.into());
    settle().await;
    let two = Value::Timestamp(Timestamp::new(1, 500_000_000).unwrap());
    assert_eq!(interpolated(&page), [Value::Html("<b>2</b>".into()), tree(&node.get()), two]);
}

#[tokio::test]
async fn a_date_from_a_page_arrives_and_a_page_sets_no_html() {
    let live = endpoint();
    let session = live.session();
    let (when, html) = (Observable::new(Timestamp::default()), Observable::new(Html::default()));
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ears = heard.clone();
    let _subscription = when.on(move |when| ears.lock().unwrap().push(SystemTime::try_from(*when).unwrap()));
    session.on_load(js!("use($(when), $(html.read_only()))"));
    let _html = session.page("t", "");
    let page = Page::open(&live, &session).await;
    page.update(when.id(), Timestamp::new(-2, 500_000_000).unwrap());
    page.update(html.id(), "<script>");
    settle().await;
    assert_eq!(*heard.lock().unwrap(), [UNIX_EPOCH - Duration::from_millis(1_500)]);
    assert_eq!(html.get(), Html::default());
}
