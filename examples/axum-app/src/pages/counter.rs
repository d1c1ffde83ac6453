//! A counter for each visitor.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use bonito_core::{Binding, Fragment, Head, Observable};

use crate::bounded::Bounded;
use crate::headers::Nonce;
use crate::layout::{self, Layout};
use crate::snippet;
use crate::state::App;

type Step = Bounded<1, 25>;

#[derive(Template)]
#[template(path = "counter.html")]
struct Counter {
    layout: Layout,
    head: Head,
    increment: Binding,
    decrement: Binding,
    reset: Binding,
    at_zero: Binding,
    count: Fragment,
    step: Binding,
    step_text: Fragment,
}

pub(crate) async fn page(State(app): State<App>, Nonce(nonce): Nonce) -> Response {
    // [shown]
    let session = app.live.session();
    let count = Observable::new(0_i64);
    let step = Observable::new(Step::near(1.0));

    let add = |sign: i64| {
        let (count, step) = (count.clone(), step.clone());
        session.on_click(move || {
            let by = sign * step.get().whole();
            count.update(|n| *n = n.saturating_add(by));
        })
    };
    let (increment, decrement) = (add(1), add(-1));
    let zero = count.clone();
    let reset = session.on_click(move || zero.set(0));
    let at_zero = count.map(|count| *count == 0);
    // [/shown]

    layout::live_page(&Counter {
        layout: Layout {
            title: "Counter",
            path: "/counter",
            source: snippet::shown(include_str!("counter.rs")),
            file: "src/pages/counter.rs",
        },
        head: session.head().nonce(nonce),
        increment,
        decrement,
        reset,
        at_zero: session.attribute("disabled", &at_zero),
        count: session.text(&count),
        step: session.on_input(&step),
        step_text: session.text(&step),
    })
}
