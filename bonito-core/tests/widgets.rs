//! Widgets: what stands in the page, what the page may set, and what it is told when it may not.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests spawn, wait and expect")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bonito_core::widgets::{
    self, Button, Checkbox, Column, Dropdown, FileInput, NumberField, RangeSlider, Slider, Table, TextField,
};
use bonito_core::{Observable, Session, Subscription};
use serde::Serialize;
use support::{Page, endpoint, settle};

const HOSTILE: &str = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(1)>&amp;";

/// Nothing of the hostile text stands in the HTML as it was written, and it does not end an attribute.
#[track_caller]
fn assert_harmless(html: &str) {
    for part in ["<script>alert", "<img", "onerror=alert(1)>", "\"'>", "</script>"] {
        assert!(!html.contains(part), "{part} in {html}");
    }
    assert!(html.contains("&lt;img src=x onerror=alert(1)&gt;"), "the text is gone: {html}");
}

/// A page with what `render` makes, and the name under which it may send values to it.
async fn open(render: impl FnOnce(&Session) -> bonito_core::Fragment) -> (Page, Session, String) {
    let live = endpoint();
    let session = live.session();
    let html = session.page("t", render(&session));
    assert!(html.contains("bonito-"));
    let page = Page::open(&live, &session).await;
    page.received();
    // The only input of the session.
    (page, session, "i1".to_owned())
}

/// What the page is told in answer, on one line.
async fn say(page: &Page, input: &str, value: impl Serialize) -> String {
    page.update(input, value);
    settle().await;
    page.received().join(" ")
}

#[test]
fn texts_of_the_application_and_of_users_are_escaped_in_every_widget() {
    let live = endpoint();
    let session = live.session();
    let (text, number, flag) =
        (Observable::new(HOSTILE.to_owned()), Observable::new(1), Observable::new(true));
    let error = Observable::new(Some(HOSTILE.to_owned()));
    let rows = Observable::new(vec![HOSTILE]);
    let pair = Observable::new((1, 2));
    for html in [
        Button::new(HOSTILE).render(&session),
        TextField::new(&text).label("l").render(&session),
        TextField::new(&text).label("l").lines(3).render(&session),
        TextField::new(&Observable::new(String::new())).label(HOSTILE).help("h").render(&session),
        TextField::new(&Observable::new(String::new())).label("l").placeholder(HOSTILE).render(&session),
        TextField::new(&Observable::new(String::new())).label("l").autocomplete(HOSTILE).render(&session),
        TextField::new(&Observable::new(String::new())).id(HOSTILE).render(&session),
        TextField::new(&Observable::new(String::new())).label("l").help(HOSTILE).render(&session),
        TextField::new(&Observable::new(String::new())).label("l").error(&error).render(&session),
        NumberField::new(&number).label("l").placeholder(HOSTILE).render(&session),
        NumberField::new(&number).label(HOSTILE).render(&session),
        Slider::new(&number, 0..=9).label(HOSTILE).render(&session),
        Slider::new(&number, 0..=9).label("l").unit(HOSTILE).render(&session),
        RangeSlider::new(&pair, 0..=9).label(HOSTILE).render(&session),
        RangeSlider::new(&pair, 0..=9).label("l").ends(HOSTILE, "b").unit(HOSTILE).render(&session),
        Checkbox::new(&flag).label(HOSTILE).render(&session),
        Dropdown::new(&number, [(1, HOSTILE)]).label("l").render(&session),
        Dropdown::new(&number, [(2, "b")]).label("l").placeholder(HOSTILE).render(&session),
        FileInput::new().label(HOSTILE).render(&session),
        FileInput::new().label("l").accept(HOSTILE).render(&session),
        Table::new(&rows, [Column::new("t", |row: &&str| *row)]).render(&session),
        Table::new(&rows, [Column::new(HOSTILE, |_: &&str| "")]).caption("c").sortable().render(&session),
        Table::new(&rows, [Column::new("t", |_: &&str| "")]).caption(HOSTILE).render(&session),
    ] {
        assert_harmless(&html.to_string());
    }
    assert_eq!(widgets::style().nonce(HOSTILE).to_string().matches("<script>").count(), 0);
}

#[tokio::test]
async fn a_password_goes_to_rust_and_never_to_the_page() {
    let live = endpoint();
    let session = live.session();
    let secret = Observable::new("hunter2".to_owned());
    let html = TextField::new(&secret).label("Password").password().max_length(20).render(&session);
    let html = session.page("t", html);
    let bundle = html.split("atob(\"").nth(1).unwrap().split('"').next().unwrap();
    let bundle = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, bundle).unwrap();
    let said = support::said(&bundle.into()).concat();
    assert!(html.contains("type=\"password\"") && said.contains("addEventListener"));
    assert!(!html.contains("hunter2") && !said.contains("hunter2"), "{html} {said}");
    let page = Page::open(&live, &session).await;
    page.received();
    assert_eq!(say(&page, "i1", "x".repeat(21)).await, "", "a refusal tells nothing either");
    say(&page, "i1", "swordfish").await;
    secret.update(|secret| secret.push('!'));
    settle().await;
    assert_eq!((secret.get().as_str(), page.received().len()), ("swordfish!", 0));
}

#[test]
fn labels_help_and_errors_belong_to_their_controls() {
    let live = endpoint();
    let name = Observable::new(String::new());
    let error = Observable::new(Some("It needs a name.".to_owned()));
    let html =
        TextField::new(&name).id("name").label("Name").help("Yours.").error(&error).render(&live.session());
    let html = html.to_string();
    for part in [
        "<label class=\"bonito-label\" for=\"name\">Name</label>",
        "id=\"name\" aria-describedby=\"name-help name-error\" aria-invalid=\"true\"",
        "id=\"name-help\">Yours.</p>",
        "id=\"name-error\" aria-live=\"polite\">It needs a name.</p>",
    ] {
        assert!(html.contains(part), "{part} in {html}");
    }
}

#[test]
fn the_style_sheet_is_complete_and_leaves_the_last_word_to_the_app() {
    let style = widgets::style().nonce("abc").to_string();
    assert!(style.starts_with("<style nonce=\"abc\">@layer bonito {"));
    assert!(!widgets::STYLESHEET.contains("</"), "nothing in it can end its element");
    for part in ["prefers-color-scheme: dark", "prefers-reduced-motion", "--bonito-accent", ":focus-visible"]
    {
        assert!(widgets::STYLESHEET.contains(part), "{part}");
    }
    assert_eq!(widgets::STYLESHEET.matches('{').count(), widgets::STYLESHEET.matches('}').count());
}

fn count(
    observable: &Observable<impl Serialize + Send + Sync + 'static>,
) -> (Arc<AtomicUsize>, Subscription) {
    let times = Arc::new(AtomicUsize::new(0));
    let more = times.clone();
    (times, observable.on(move |_| _ = more.fetch_add(1, Ordering::Relaxed)))
}

#[tokio::test]
async fn a_button_clicks_unless_it_is_disabled() {
    let clicks = Arc::new(AtomicUsize::new(0));
    let (more, off) = (clicks.clone(), Observable::new(false));
    let button = Button::new("Go").disabled(&off).on_click(move || _ = more.fetch_add(1, Ordering::Relaxed));
    let (page, _session, input) = open(|session| button.render(session)).await;
    say(&page, &input, ()).await;
    assert_eq!(clicks.load(Ordering::Relaxed), 1);
    off.set(true);
    say(&page, &input, ()).await;
    assert_eq!(clicks.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_text_field_takes_what_fits_and_tells_the_page_what_holds_otherwise() {
    let name = Observable::new("Ada".to_owned());
    let (page, session, input) =
        open(|session| TextField::new(&name).label("n").max_length(5).render(session)).await;
    assert_eq!(say(&page, &input, "Grace").await, "", "no echo");
    assert_eq!(name.get(), "Grace");
    let told = format!("{}=\"Grace\"", name.id());
    for bad in ["Gracie", "a\nb", "😀😀😀"] {
        assert_eq!(say(&page, &input, bad).await, told, "{bad:?}");
    }
    assert_eq!(say(&page, &input, 7).await, told, "wrong type");
    assert_eq!(say(&page, &name.id().to_string(), "past the check").await, told);
    assert_eq!(name.get(), "Grace");
    name.set("Hedy".to_owned());
    settle().await;
    assert_eq!(page.received(), [format!("{}=\"Hedy\"", name.id())]);
    assert_eq!(session.binding_count(), 2);
}

#[tokio::test]
async fn a_text_area_takes_several_lines() {
    let notes = Observable::new(String::new());
    let (page, _session, input) =
        open(|session| TextField::new(&notes).label("n").lines(3).render(session)).await;
    say(&page, &input, "a\nb").await;
    assert_eq!(notes.get(), "a\nb");
}

#[tokio::test]
async fn a_disabled_control_takes_nothing() {
    let (name, off) = (Observable::new("Ada".to_owned()), Observable::new(true));
    let (page, _session, input) =
        open(|session| TextField::new(&name).label("n").disabled(&off).render(session)).await;
    assert_eq!(say(&page, &input, "Eve").await, format!("{}=\"Ada\"", name.id()));
    off.set(false);
    say(&page, &input, "Eve").await;
    assert_eq!(name.get(), "Eve");
}

#[tokio::test]
async fn a_number_field_takes_numbers_in_its_range() {
    let age = Observable::new(36_u8);
    let (page, _session, input) =
        open(|session| NumberField::new(&age).range(18..=130).label("n").render(session)).await;
    say(&page, &input, 18).await;
    assert_eq!(age.get(), 18);
    let told = format!("{}=18", age.id());
    for bad in [17.0, 131.0, 300.0, -1.0, 20.5, f64::NAN, f64::INFINITY] {
        assert_eq!(say(&page, &input, bad).await, told, "{bad}");
    }
    assert_eq!(say(&page, &input, ()).await, told, "empty");
    assert_eq!(say(&page, &input, "20").await, told, "a text");
    assert_eq!(age.get(), 18);
}

#[tokio::test]
async fn an_optional_number_may_be_empty_and_is_finite_otherwise() {
    let height = Observable::new(Some(1.8));
    let (page, _session, input) =
        open(|session| NumberField::new(&height).min(0.0).label("n").render(session)).await;
    say(&page, &input, ()).await;
    assert_eq!(height.get(), None);
    for bad in [f64::NAN, f64::INFINITY, -0.5] {
        assert_eq!(say(&page, &input, bad).await, format!("{}=null", height.id()), "{bad}");
    }
    say(&page, &input, 2).await;
    assert_eq!(height.get(), Some(2.0));
}

#[tokio::test]
async fn a_slider_stays_on_its_scale() {
    let level = Observable::new(20.0);
    let (page, _session, input) = open(|session| {
        let html = Slider::new(&level, 0.0..=100.0).step(0.5).unit(" %").label("Level").render(session);
        let text = html.to_string();
        assert!(text.contains("min=\"0\" max=\"100\" step=\"0.5\" value=\"20\""), "{text}");
        assert!(text.contains(">20.0 %</output>"), "{text}");
        html
    })
    .await;
    say(&page, &input, 99.5).await;
    assert_eq!(level.get(), 99.5);
    for bad in [-0.1, 100.1, f64::NAN, f64::NEG_INFINITY] {
        assert_eq!(say(&page, &input, bad).await, format!("{}=99.5", level.id()), "{bad}");
    }
}

#[tokio::test]
async fn a_range_slider_keeps_its_ends_in_order() {
    let price = Observable::new((20, 80));
    let (page, _session, input) = open(|session| {
        let html = RangeSlider::new(&price, 0..=100).label("Price").render(session);
        let text = html.to_string();
        assert!(
            text.contains("aria-label=\"Price from\"") && text.contains("aria-label=\"Price to\""),
            "{text}"
        );
        html
    })
    .await;
    say(&page, &input, (30, 30)).await;
    assert_eq!(price.get(), (30, 30));
    for bad in [(31, 30), (-1, 50), (50, 101), (-2, -1)] {
        assert_eq!(say(&page, &input, bad).await, format!("{}=[30,30]", price.id()), "{bad:?}");
    }
    assert_eq!(say(&page, &input, [1, 2, 3]).await, format!("{}=[30,30]", price.id()), "three ends");
}

#[tokio::test]
async fn a_checkbox_takes_yes_and_no() {
    let flag = Observable::new(false);
    let (page, _session, input) = open(|session| Checkbox::new(&flag).label("c").render(session)).await;
    say(&page, &input, true).await;
    assert!(flag.get());
    assert_eq!(say(&page, &input, 0).await, format!("{}=true", flag.id()));
}

#[tokio::test]
async fn a_dropdown_takes_what_it_offers() {
    #[derive(Clone, Debug, PartialEq, Serialize)]
    enum Size {
        Small,
        Large,
    }
    let size = Observable::new(Size::Small);
    let (times, _counting) = count(&size);
    let (page, _session, input) = open(|session| {
        Dropdown::new(&size, [(Size::Small, "S"), (Size::Large, "L")]).label("Size").render(session)
    })
    .await;
    assert_eq!(say(&page, &input, 1).await, "");
    assert_eq!(size.get(), Size::Large);
    for bad in [2, -1] {
        assert_eq!(say(&page, &input, bad).await, format!("{}=\"Large\"", size.id()), "{bad}");
    }
    assert_eq!(say(&page, &input, "Small").await, format!("{}=\"Large\"", size.id()));
    assert_eq!(times.load(Ordering::Relaxed), 1);
}

#[test]
fn a_dropdown_shows_none_while_none_of_its_values_holds() {
    let live = endpoint();
    let fruit = Observable::new("kiwi".to_owned());
    let dropdown = Dropdown::new(&fruit, [("a", "Apple"), ("p", "Pear")]).label("Fruit");
    let html = dropdown.clone().placeholder("Choose…").render(&live.session()).to_string();
    assert!(html.contains("disabled hidden selected>Choose…</option>"), "{html}");
    fruit.set("p".to_owned());
    let html = dropdown.placeholder("Choose…").render(&live.session()).to_string();
    assert!(html.contains("disabled hidden>Choose…") && html.contains("selected>Pear"), "{html}");
}

#[tokio::test]
async fn two_widgets_of_one_value_are_each_checked_by_their_own_range() {
    let live = endpoint();
    let session = live.session();
    let value = Observable::new(5);
    let narrow = Slider::new(&value, 0..=10).label("narrow").render(&session);
    let wide = NumberField::new(&value).range(0..=1000).label("wide").render(&session);
    let _html = session.page("t", format!("{narrow}{wide}"));
    let page = Page::open(&live, &session).await;
    say(&page, "i1", 500).await;
    assert_eq!(value.get(), 5);
    say(&page, "i2", 500).await;
    assert_eq!(value.get(), 500);
}

#[tokio::test]
async fn what_a_widget_owns_goes_with_its_session() {
    let (text, rows) = (Observable::new(String::new()), Observable::new(vec![1]));
    let held = Arc::new(());
    let (button, column) = (held.clone(), held.clone());
    let live = endpoint();
    let session = live.session();
    let html = [
        TextField::new(&text).label("t").render(&session),
        Button::new("b").on_click(move || _ = &button).render(&session),
        FileInput::new().label("f").render(&session),
        Table::new(&rows, [Column::new("c", move |_: &i32| Arc::strong_count(&column))]).render(&session),
    ];
    assert_eq!(Arc::strong_count(&held), 3);
    let _html = session.page("t", html.map(|html| html.to_string()).concat());
    session.close();
    settle().await;
    assert_eq!(Arc::strong_count(&held), 1);
    assert_eq!((text.session_count(), rows.listener_count(), session.binding_count()), (0, 0, 0));
}

#[test]
fn on_a_closed_session_widgets_are_still_html() {
    let live = endpoint();
    let session = live.session();
    session.close();
    let rows = Observable::new(vec![1]);
    let html = TextField::new(&Observable::new("x".to_owned())).label("t").render(&session).to_string();
    assert!(html.contains("value=\"x\""));
    let html = Table::new(&rows, [Column::new("c", i32::to_string)]).render(&session).to_string();
    assert!(html.contains("<td>1</td>"));
    assert_eq!(session.binding_count(), 0);
}
