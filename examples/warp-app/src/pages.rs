//! The pages.

#![expect(clippy::needless_pass_by_value, reason = "filters hand over what they extract")]

use askama::Template;
use bonito_core::{Binding, Fragment, Head};
use serde::Deserialize;
use warp::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, SET_COOKIE,
};
use warp::http::{Response, StatusCode};

use crate::State;
use crate::guard::{self, Visitor};
use crate::poll::CHOICES;

type Page = Response<String>;

#[derive(Template)]
#[template(path = "poll.html")]
struct PollPage {
    path: &'static str,
    name: String,
    head: Head,
    choices: Vec<Choice>,
    total: Fragment,
}

struct Choice {
    name: &'static str,
    vote: Binding,
    mine: Binding,
    share: Binding,
    count: Fragment,
}

/// The live page.
pub(crate) fn poll(Visitor(person): Visitor, state: State) -> Page {
    let Some((nonce, policy)) = guard::nonce() else { return status(StatusCode::INTERNAL_SERVER_ERROR) };
    let session = state.live.session();
    session.set_identity(Some(person.name()));
    // It ends with the login.
    person.owns(&session);
    let choices = CHOICES.into_iter().enumerate().map(|(choice, name)| {
        let (poll, voter) = (state.poll.clone(), person.name().to_owned());
        Choice {
            name,
            vote: session.on_click(move || poll.vote(&voter, choice)),
            mine: session.attribute("aria-pressed", &state.poll.is_mine(person.name(), choice)),
            share: session.attribute("value", &state.poll.share(choice)),
            count: session.text(&state.poll.count(choice)),
        }
    });
    let mut page = page(&PollPage {
        path: "/",
        name: person.name().to_owned(),
        choices: choices.collect(),
        total: session.text(&state.poll.total()),
        head: session.head().nonce(nonce),
    });
    page.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    page
}

#[derive(Template)]
#[template(path = "about.html")]
struct About {
    path: &'static str,
    name: String,
}

pub(crate) fn about(Visitor(person): Visitor) -> Page {
    page(&About { path: "/about", name: person.name().to_owned() })
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginForm {
    wrong: bool,
    password: &'static str,
}

#[derive(Deserialize)]
pub(crate) struct Login {
    name: String,
    password: String,
}

pub(crate) fn login_form() -> Page {
    page(&LoginForm { wrong: false, password: app_parts::PASSWORD })
}

pub(crate) fn log_in(state: State, login: Login) -> Page {
    if let Some(cookie) = state.people.log_in(&login.name, &login.password) {
        return see_other("/", &cookie);
    }
    let mut page = page(&LoginForm { wrong: true, password: app_parts::PASSWORD });
    *page.status_mut() = StatusCode::FORBIDDEN;
    page
}

pub(crate) fn log_out(state: State, headers: HeaderMap) -> Page {
    let cookie = state.people.log_out(&guard::token(&headers).unwrap_or_default());
    see_other("/login", &cookie)
}

fn see_other(path: &'static str, cookie: &str) -> Page {
    let Ok(cookie) = HeaderValue::from_str(cookie) else { return status(StatusCode::INTERNAL_SERVER_ERROR) };
    let mut response = status(StatusCode::SEE_OTHER);
    response.headers_mut().extend([(LOCATION, HeaderValue::from_static(path)), (SET_COOKIE, cookie)]);
    response
}

/// None of them may come from a cache: they are personal, and a live one would ask for a session that is no more.
fn page(template: &impl Template) -> Page {
    match template.render() {
        Ok(html) => {
            let mut response = Response::new(html);
            response.headers_mut().extend([
                (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
                (CACHE_CONTROL, HeaderValue::from_static("no-store")),
                (CONTENT_SECURITY_POLICY, HeaderValue::from_static(guard::NO_SCRIPTS)),
            ]);
            response
        }
        Err(error) => {
            eprintln!("a page cannot be rendered: {error}");
            status(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

fn status(status: StatusCode) -> Page {
    let mut response = Response::new(String::new());
    *response.status_mut() = status;
    response
}
