//! One page for every connection: a button and a slider, and messages whose order both sides check.

use std::sync::atomic::{AtomicU32, Ordering};

use bonito_core::{Observable, Page, Session, js};

/// Messages that one click sends each way.
const BURST: u32 = 200;

/// The page of an example with a connection of its own. `intro` is HTML.
pub fn demo(session: &Session, name: &str, intro: &str, nonce: &str) -> String {
    let count = Observable::new(0_u32);
    let clicked = count.clone();
    let increment = session.on_click(move || clicked.update(|n| *n = n.saturating_add(1)));
    let level = Observable::new(50.0_f64);
    let shown = level.map(|level| format!("{level:.0}"));
    let (exchange, to_rust) = exchange(session);
    let end = {
        let session = session.clone();
        session.clone().on_click(move || session.close())
    };
    let body = format!(
        "<header class=\"bar\"><div class=\"bar-in\"><span class=\"brand\">{name}</span>\
         <span class=\"connection\"></span></div></header>\
         <main><div class=\"intro\"><h1>{name}</h1><p>{intro}</p></div>\
         <div class=\"pair\">\
         <section class=\"panel\"><h2>Kept in Rust</h2>\
         <output id=\"count\" class=\"figure\" aria-live=\"polite\" aria-label=\"Count\">{count}</output>\
         <div class=\"buttons centre\"><button type=\"button\" id=\"increment\" class=\"primary\" {increment}>Count</button></div>\
         <div class=\"control\"><label for=\"level\">Level</label>\
         <input id=\"level\" type=\"range\" min=\"0\" max=\"100\" {slider}>\
         <output id=\"shown\" for=\"level\">{shown}</output></div></section>\
         <section class=\"panel\"><h2>In order</h2>\
         <p class=\"note\">Each side numbers its messages and checks those of the other.</p>\
         <dl class=\"facts\"><div><dt>Page to Rust</dt><dd id=\"to-rust\">{to_rust}</dd></div>\
         <div><dt>Rust to page</dt><dd id=\"to-page\">0</dd></div></dl>\
         <div class=\"buttons\"><button type=\"button\" id=\"exchange\" {exchange}>{BURST} each way</button>\
         <button type=\"button\" id=\"end\" {end}>End the session</button></div></section>\
         </div></main>",
        count = session.text(&count),
        slider = session.on_input(&level),
        shown = session.text(&shown),
        to_rust = session.text(&to_rust),
    );
    Page::new(name)
        .nonce(nonce)
        .head("<meta name=\"color-scheme\" content=\"light dark\"><link rel=\"icon\" href=\"/favicon.svg\" type=\"image/svg+xml\">")
        .head("<link rel=\"stylesheet\" href=\"/app.css\">")
        .render(session, body)
}

/// The button for the messages, and what Rust says about those that came.
fn exchange(session: &Session) -> (bonito_core::Binding, Observable<String>) {
    let (numbers, said) = (Observable::new(0_u32), Observable::new("0".to_owned()));
    let (tally, shown) = (Tally::default(), said.clone());
    session.keep(numbers.on(move |number| shown.set(tally.add(*number))));
    session.on_load(js!("
        let sent = 0, last = 0, wrong = 0
        document.getElementById('exchange').addEventListener('click', () => {
            for (let n = 0; n < $(BURST); n++) $(numbers).notify(++sent)
        })
        window.count_number = (number) => {
            if (number !== last + 1) wrong++
            last = number
            document.getElementById('to-page').textContent = wrong ? `${last}, ${wrong} out of order` : `${last} in order`
        }
    "));
    let sent = AtomicU32::new(0);
    let sender = session.clone();
    let button = session.on_click(move || {
        for _ in 0..BURST {
            let number = sent.fetch_add(1, Ordering::Relaxed) + 1;
            sender.eval(js!("count_number($(number))"));
        }
    });
    (button, said)
}

/// Whether numbers come one by one.
#[derive(Debug, Default)]
struct Tally {
    last: AtomicU32,
    wrong: AtomicU32,
}

impl Tally {
    /// Listeners run one at a time, so nothing comes in between.
    fn add(&self, number: u32) -> String {
        let last = self.last.swap(number, Ordering::Relaxed);
        let skipped = u32::from(number != last.wrapping_add(1));
        match self.wrong.fetch_add(skipped, Ordering::Relaxed) + skipped {
            0 => format!("{number} in order"),
            wrong => format!("{number}, {wrong} out of order"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_doubled_and_swapped_messages_are_seen() {
        let after = |numbers: &[u32]| {
            let tally = Tally::default();
            numbers.iter().fold(String::new(), |_, number| tally.add(*number))
        };
        assert_eq!(after(&[1, 2, 3]), "3 in order");
        assert_eq!(after(&[1, 3]), "3, 1 out of order");
        assert_eq!(after(&[1, 1]), "1, 1 out of order");
        assert_eq!(after(&[1, 3, 2]), "2, 2 out of order");
    }
}
