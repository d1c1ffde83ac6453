//! One slider for everybody.

use std::hash::{BuildHasher, RandomState};

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use bonito_core::{Binding, Fragment, Head, Observable, Session, js};

use crate::bounded::Bounded;
use crate::headers::Nonce;
use crate::layout::{self, Layout};
use crate::state::App;
use crate::{presence, snippet};

/// Where the slider stands.
pub(crate) type Level = Bounded<0, 100>;

#[derive(Template)]
#[template(path = "slider.html")]
struct Slider {
    layout: Layout,
    head: Head,
    name: String,
    slider: Binding,
    value: Fragment,
    water: Binding,
    swimmer: Binding,
    visitors: Fragment,
    people: Fragment,
    mover: Fragment,
}

pub(crate) async fn page(State(app): State<App>, Nonce(nonce): Nonce) -> Response {
    // [shown]
    let session = app.live.session();
    // One observable, held by the app, for all sessions.
    let slider = session.on_input(&app.level);
    let value = session.text(&app.level);
    presence::count(&session, &app.visitors);

    // Who moved it? Each page tells, by an observable of its own.
    let name = visitor_name(&session);
    let moved = Observable::new(false);
    session.on_load(js!("
        const slider = document.getElementById('shared-slider')
        slider.addEventListener('input', () => $(moved).notify(true))
    "));
    let (mover, me) = (app.mover.clone(), name.clone());
    session.keep(moved.on(move |_| mover.set(me.clone())));
    // [/shown]

    let surface = app.level.map(|level| format!("translate(0 {})", depth(*level)));
    layout::live_page(&Slider {
        layout: Layout {
            title: "Slider",
            path: "/slider",
            source: snippet::shown(include_str!("slider.rs")),
            file: "src/pages/slider.rs",
        },
        head: session.head().nonce(nonce),
        name,
        slider,
        value,
        water: session.attribute("transform", &surface),
        swimmer: session.attribute("transform", &surface),
        visitors: session.text(&app.visitors),
        people: session
            .text(&app.visitors.map(|count| if *count == 1 { "visitor" } else { "visitors" }.to_owned())),
        mover: session.text(&app.mover),
    })
}

/// How far below the rim of the tank the water stands.
fn depth(level: Level) -> f64 {
    (170.0 - level.get() * 1.4).round()
}

const COLOURS: [&str; 8] = ["Amber", "Coral", "Ivory", "Jade", "Olive", "Ruby", "Silver", "Teal"];
const ANIMALS: [&str; 8] = ["Heron", "Lynx", "Marlin", "Otter", "Puffin", "Seal", "Tern", "Wren"];

/// A name that says nothing about anybody, and least of all the id of the session.
fn visitor_name(session: &Session) -> String {
    let hash = RandomState::new().hash_one(session.id()) as usize;
    format!("{} {}", COLOURS[hash % COLOURS.len()], ANIMALS[hash / COLOURS.len() % ANIMALS.len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_water_rises_with_the_level() {
        assert_eq!(depth(Level::near(0.0)), 170.0);
        assert_eq!(depth(Level::near(100.0)), 30.0);
    }
}
