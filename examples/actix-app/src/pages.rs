//! The pages.

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, LOCATION, SET_COOKIE};
use actix_web::web::{Data, Form, ReqData};
use actix_web::{HttpRequest, HttpResponse};
use app_parts::Person;
use askama::Template;
use bonito_core::{Binding, Fragment, Head, Observable, js};
use serde::Deserialize;

use crate::State;
use crate::guard::{self, Nonce};
use crate::notes::LONGEST;

#[derive(Template)]
#[template(path = "notes.html")]
struct Notes {
    path: &'static str,
    name: String,
    head: Head,
    longest: usize,
    draft: Binding,
    pin: Binding,
    slots: Vec<Slot>,
    total: Fragment,
}

struct Slot {
    hidden: Binding,
    text: Fragment,
    author: Fragment,
}

/// The live page.
pub(crate) async fn board(
    state: Data<State>,
    person: ReqData<Person>,
    nonce: ReqData<Nonce>,
) -> HttpResponse {
    let session = state.live.session();
    session.set_identity(Some(person.name()));
    // It ends with the login.
    person.owns(&session);
    let draft = Observable::new(String::new());
    let (text, board, author) = (draft.clone(), state.board.clone(), person.name().to_owned());
    let pin = session.on_click(move || {
        board.pin(&text.get(), &author);
        text.set(String::new());
    });
    let slots = state.board.lines().into_iter().map(|line| Slot {
        hidden: session.attribute("hidden", &line.empty),
        text: session.text(&line.text),
        author: session.text(&line.author),
    });
    session.on_load(js!("
        document.getElementById('draft').addEventListener('keydown', (event) => {
          if (event.key === 'Enter' && !event.isComposing) document.getElementById('pin').click()
        })
    "));
    page(
        StatusCode::OK,
        &Notes {
            path: "/",
            name: person.name().to_owned(),
            longest: LONGEST,
            slots: slots.collect(),
            draft: session.on_input(&draft),
            pin,
            total: session.text(&state.board.total),
            head: session.head().nonce(&nonce.0),
        },
    )
}

#[derive(Template)]
#[template(path = "about.html")]
struct About {
    path: &'static str,
    name: String,
}

pub(crate) async fn about(person: ReqData<Person>) -> HttpResponse {
    page(StatusCode::OK, &About { path: "/about", name: person.name().to_owned() })
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

pub(crate) async fn login_form() -> HttpResponse {
    page(StatusCode::OK, &LoginForm { wrong: false, password: app_parts::PASSWORD })
}

pub(crate) async fn log_in(state: Data<State>, login: Form<Login>) -> HttpResponse {
    match state.people.log_in(&login.name, &login.password) {
        Some(cookie) => see_other("/", cookie),
        None => page(StatusCode::FORBIDDEN, &LoginForm { wrong: true, password: app_parts::PASSWORD }),
    }
}

pub(crate) async fn log_out(state: Data<State>, request: HttpRequest) -> HttpResponse {
    let cookie = state.people.log_out(&guard::token(&request).unwrap_or_default());
    see_other("/login", cookie)
}

fn see_other(path: &str, cookie: String) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((LOCATION, path)).insert_header((SET_COOKIE, cookie)).finish()
}

pub(crate) async fn style() -> HttpResponse {
    HttpResponse::Ok().content_type("text/css; charset=utf-8").body(app_parts::STYLE)
}

pub(crate) async fn favicon() -> HttpResponse {
    HttpResponse::Ok().content_type("image/svg+xml").body(app_parts::FAVICON)
}

/// None of them may come from a cache: they are personal, and a live one would ask for a session that is no more.
fn page(status: StatusCode, template: &impl Template) -> HttpResponse {
    match template.render() {
        Ok(html) => HttpResponse::build(status)
            .content_type("text/html; charset=utf-8")
            .insert_header((CACHE_CONTROL, "no-store"))
            .body(html),
        Err(error) => {
            eprintln!("a page cannot be rendered: {error}");
            HttpResponse::InternalServerError().finish()
        }
    }
}
