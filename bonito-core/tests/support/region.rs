//! A page with one region that shows a number, binds a text of its own and one that others may have too.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::sync::{Arc, Mutex};

use bonito_core::{CloseReason, Endpoint, Limits, Observable, Script, Session};

use super::endpoint_with;
use super::model::Model;

/// The sessions that contents were made on, as they come.
#[derive(Clone, Default)]
pub struct Subs(Arc<Mutex<Vec<Session>>>);

impl Subs {
    pub fn add(&self, sub: &Session) {
        self.0.lock().unwrap().push(sub.clone());
    }

    pub fn last(&self) -> Session {
        self.0.lock().unwrap().last().unwrap().clone()
    }

    pub fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    pub fn get(&self, index: usize) -> Session {
        self.0.lock().unwrap()[index].clone()
    }
}

pub struct Fixture {
    pub live: Endpoint,
    pub session: Session,
    pub value: Observable<i32>,
    pub shared: Observable<String>,
    pub subs: Subs,
    pub html: String,
}

pub fn fixture() -> Fixture {
    fixture_with(|_| {})
}

pub fn fixture_with(change: impl FnOnce(&mut Limits)) -> Fixture {
    let live = endpoint_with(change);
    let session = live.session();
    let value = Observable::new(0);
    let shared = Observable::new("s0".to_owned());
    let subs = Subs::default();
    let (seen, common) = (subs.clone(), shared.clone());
    let region = session.render(&value, move |sub, value| {
        assert_ne!(*value, 13, "on purpose");
        seen.add(sub);
        let own = Observable::new(format!("own{value}"));
        sub.eval(Script::new(format!("sub({value})")));
        format!("<b>{value}</b> {} {} <i {}></i>", sub.text(&own), sub.text(&common), sub.on_click(|| {}))
    });
    let html = session.page("t", region);
    Fixture { live, session, value, shared, subs, html }
}

impl Fixture {
    pub async fn open(&self) -> Model {
        Model::open(&self.live, &self.session, &self.html).await
    }
}

/// Writes down why a session closes.
pub fn reasons(session: &Session) -> Arc<Mutex<Vec<CloseReason>>> {
    let reasons = Arc::new(Mutex::new(Vec::new()));
    let log = reasons.clone();
    session.on_close(move |_, reason| log.lock().unwrap().push(reason));
    reasons
}
