//! A chart of a signal that is made in Rust, twenty times a second.

use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use bonito_core::{Binding, Fragment, Head, Observable, Session, Status, TypedArray, js};

use crate::bounded::Bounded;
use crate::headers::Nonce;
use crate::layout::{self, Layout};
use crate::signal::{self, Signal};
use crate::snippet;
use crate::state::App;

/// Frames a second.
const FRAMES: u32 = 20;
/// What is new in each.
const SAMPLES: usize = (signal::RATE / FRAMES) as usize;

#[derive(Template)]
#[template(path = "chart.html")]
struct Chart {
    layout: Layout,
    head: Head,
    nonce: String,
    frequency: Binding,
    frequency_text: Fragment,
    noise: Binding,
    noise_text: Fragment,
}

type Hertz = Bounded<0, 5>;
type Share = Bounded<0, 1>;

pub(crate) async fn page(State(app): State<App>, Nonce(nonce): Nonce) -> Response {
    // [shown]
    let session = app.live.session();
    let source = Source::new();
    let frequency = session.on_input(&source.frequency);
    let noise = session.on_input(&source.noise);

    // A Float32Array arrives, and chart.js, the app's own, draws it.
    session.on_js(&source.samples, js!("(it) => drawChart(it)"));
    session.on_load(js!("
        const tell = () => $(source.visible).notify(!document.hidden)
        document.addEventListener('visibilitychange', tell)
        tell()
    "));
    session.spawn(source.clone().feed(session.clone()));
    // [/shown]

    layout::live_page(&Chart {
        layout: Layout {
            title: "Chart",
            path: "/chart",
            source: snippet::shown(include_str!("chart.rs")),
            file: "src/pages/chart.rs",
        },
        head: session.head().nonce(&nonce),
        nonce,
        frequency,
        frequency_text: session.text(&source.frequency.map(|hertz| format!("{:.1} Hz", hertz.get()))),
        noise,
        noise_text: session.text(&source.noise.map(|share| format!("{:.0} %", share.get() * 100.0))),
    })
}

/// A signal and what the page sets of it.
#[derive(Clone)]
struct Source {
    frequency: Observable<Hertz>,
    noise: Observable<Share>,
    visible: Observable<bool>,
    samples: Observable<TypedArray<f32>>,
}

impl Source {
    fn new() -> Self {
        Self {
            frequency: Observable::new(Hertz::near(0.7)),
            noise: Observable::new(Share::near(0.12)),
            visible: Observable::new(true),
            samples: Observable::new(TypedArray::default()),
        }
    }

    /// Runs until the session ends. Nobody looks at a hidden page, and a lost one cannot be reached: then time stands
    /// still.
    async fn feed(self, session: Session) {
        let mut signal = Signal::new(getrandom::u64().unwrap_or_default());
        signal.advance(signal::WINDOW, self.frequency.get().get(), self.noise.get().get());
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / FRAMES);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        // [shown]
        loop {
            ticks.tick().await;
            if session.status() == Status::Open && self.visible.get() {
                let (hertz, noise) = (self.frequency.get(), self.noise.get());
                signal.advance(SAMPLES, hertz.get(), noise.get());
                self.samples.set(TypedArray::from(signal.window()));
            }
        }
        // [/shown]
    }
}
