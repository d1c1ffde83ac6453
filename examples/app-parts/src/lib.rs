//! What the example apps share, and what has nothing to do with their frameworks: who is logged in, the
//! Content-Security-Policy, the style sheet, signals, a table of sessions, a page to try a connection on. An app of your own
//! has all that already.

mod demo;
mod people;
mod sessions;
mod stop;
#[cfg(feature = "trial")]
pub mod trial;

pub use demo::demo;
pub use people::{COOKIE, PASSWORD, People, Person};
pub use sessions::Sessions;
pub use stop::{GRACE, told_to_stop};

/// The style sheet of all examples, and what these add to it.
pub const STYLE: &str = concat!(
    include_str!("../../axum-app/static/app.css"),
    "\n",
    include_str!("../static/login.css"),
    "\n",
    include_str!("../static/demo.css"),
);

/// The fish.
pub const FAVICON: &str = include_str!("../../axum-app/static/favicon.svg");

/// What no route and no stranger can guess: 128 bits in hexadecimal. `None` if the operating system gives none.
pub fn random() -> Option<String> {
    let (a, b) = getrandom::u64().ok().zip(getrandom::u64().ok())?;
    Some(format!("{a:016x}{b:016x}"))
}

/// The value of a Content-Security-Policy header. `'unsafe-eval'` is what live pages need besides the nonce: scripts from
/// Rust are compiled in the page.
pub fn policy(nonce: &str) -> String {
    format!(
        "default-src 'none'; script-src 'nonce-{nonce}' 'unsafe-eval'; connect-src 'self'; style-src 'self'; \
         img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
}

/// The port that the command line asks for: `--port N`, and 0 is any free one.
///
/// # Errors
///
/// If it asks for something else.
pub fn port(words: impl IntoIterator<Item = String>) -> Result<u16, String> {
    let mut words = words.into_iter();
    match (words.next().as_deref(), words.next(), words.next()) {
        (None, ..) => Ok(3000),
        (Some("--port"), Some(port), None) => port.parse().map_err(|_| format!("{port:?} is no port")),
        _ => Err("usage: --port N".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_port_may_be_asked_for() {
        let parse = |line: &str| port(line.split_whitespace().map(str::to_owned));
        assert_eq!(parse(""), Ok(3000));
        assert_eq!(parse("--port 0"), Ok(0));
        for line in ["--port", "--port x", "--port 65536", "80", "--port 1 2"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
