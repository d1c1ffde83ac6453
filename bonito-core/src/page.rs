//! Pages: what stands in the HTML of a live page, and how it gets there escaped.

mod binding;
mod escape;
mod export;
mod html;
mod node;
mod scalar;

use std::fmt::{self, Display};

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
pub use binding::{Binding, Fragment};
use bytes::Bytes;
pub(crate) use escape::Escaped;
use escape::ScriptString;
pub use html::Html;
pub use node::Node;

use crate::js::Script;
use crate::proto::codec;
use crate::proto::message::SessionStatus;
use crate::proto::session::Status;
use crate::session::Session;
use crate::sync::guard;

/// What makes a page live, for its `<head>`: the client and the session's start. Made by [`Session::head`].
///
/// Whatever is bound to the session before this is written becomes part of the page; what comes later reaches it when it
/// has connected. Template engines that evaluate bindings before they write are fine in any order.
#[derive(Clone, Debug)]
pub struct Head {
    session: Session,
    nonce: Option<String>,
}

impl Head {
    /// Marks the scripts with the nonce of the page's Content-Security-Policy.
    #[must_use]
    pub fn nonce(mut self, nonce: impl Into<String>) -> Self {
        self.nonce = Some(nonce.into());
        self
    }
}

impl Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(bundle) = self.session.bundle(|session| session.connection().setup_connection(session))
        else {
            return f.write_str(NO_PAGE);
        };
        let urls = self.session.host().urls();
        let nonce = Nonce(self.nonce.as_deref());
        write!(
            f,
            "<script type=\"module\"{nonce} src=\"{library}\"></script>\n\
             <link rel=\"modulepreload\"{nonce} href=\"{websocket}\">\n\
             {start}",
            library = Escaped(&urls.library),
            websocket = Escaped(&urls.websocket_module),
            start = Start { session: &self.session, bundle, nonce },
        )?;
        self.session.displayed();
        Ok(())
    }
}

/// What stands for a page that is not made.
const NO_PAGE: &str = "<!-- this session is closed or has its page already: make one session a page -->";

/// The script that starts the session in the page.
struct Start<'a> {
    session: &'a Session,
    bundle: Bytes,
    nonce: Nonce<'a>,
}

impl Display for Start<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "<script type=\"module\"{nonce}>\
             Bonito.init_session({id}, Uint8Array.from(atob(\"{bundle}\"), (c) => c.charCodeAt(0)), \"root\", {compressed})\
             </script>",
            nonce = self.nonce,
            id = ScriptString(&self.session.id().to_string()),
            bundle = Base64Display::new(&self.bundle, &STANDARD),
            compressed = self.session.host().compression().is_some(),
        )
    }
}

#[cfg(feature = "maud")]
impl maud::Render for Head {
    fn render_to(&self, buffer: &mut String) {
        buffer.push_str(&self.to_string());
    }
}

#[derive(Clone, Copy)]
struct Nonce<'a>(Option<&'a str>);

impl Display for Nonce<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(nonce) => write!(f, " nonce=\"{}\"", Escaped(nonce)),
            None => Ok(()),
        }
    }
}

/// A whole HTML document around a session, with more to choose than [`Session::page`].
///
/// ```
/// # use bonito_core::{Endpoint, Page};
/// # let session = Endpoint::builder("/live").build().session();
/// let html = Page::new("Dashboard")
///     .lang("de")
///     .nonce("r4nd0m")
///     .head(r#"<link rel="stylesheet" href="/app.css">"#)
///     .render(&session, "<h1>Übersicht</h1>");
/// # assert!(html.contains(r#"<html lang="de">"#) && html.contains(r#"nonce="r4nd0m""#));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Page {
    title: String,
    lang: Option<String>,
    nonce: Option<String>,
    head: String,
}

impl Page {
    /// A page with this title, which is text and is escaped.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), ..Self::default() }
    }

    /// The language of the page; `en` by default.
    #[must_use]
    pub fn lang(mut self, lang: impl Into<String>) -> Self {
        self.lang = Some(lang.into());
        self
    }

    /// Marks the scripts with the nonce of the page's Content-Security-Policy.
    #[must_use]
    pub fn nonce(mut self, nonce: impl Into<String>) -> Self {
        self.nonce = Some(nonce.into());
        self
    }

    /// Adds HTML of your own to the head. It is written as it is.
    #[must_use]
    pub fn head(mut self, html: impl Display) -> Self {
        self.head.push_str(&html.to_string());
        self
    }

    /// The document. The body is HTML of your own with bindings in it, and is written as it is.
    pub fn render(&self, session: &Session, body: impl Display) -> String {
        let mut head = session.head();
        head.nonce.clone_from(&self.nonce);
        self.document(session, "", head, body)
    }

    fn document(
        &self,
        session: &Session,
        first: impl Display,
        head: impl Display,
        body: impl Display,
    ) -> String {
        format!(
            "<!doctype html>\n<html lang=\"{lang}\">\n<head>\n<meta charset=\"utf-8\">\n{first}\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}</title>\n{extra}\n{head}\n</head>\n<body>\n\
             <div id=\"{id}\" data-jscall-id=\"root\">\n{body}\n</div>\n</body>\n</html>\n",
            lang = Escaped(self.lang.as_deref().unwrap_or("en")),
            title = Escaped(&self.title),
            extra = self.head,
            id = session.id(),
        )
    }
}

impl Session {
    /// A whole page: a title, which is escaped, and a body of your own HTML with bindings in it, which is written as it
    /// is. [`Page`] has more to choose.
    ///
    /// A session has one page. Answer with `Cache-Control: no-store`: a page from a cache would ask for a session that is
    /// no more.
    pub fn page(&self, title: &str, body: impl Display) -> String {
        Page::new(title).render(self, body)
    }

    /// What makes a page live, for the `<head>` of your own template.
    ///
    /// Under a Content-Security-Policy the page needs `script-src 'nonce-…' 'unsafe-eval'; connect-src 'self'` (scripts
    /// from Rust are compiled in the page), and the nonce of it given to [`Head::nonce`].
    pub fn head(&self) -> Head {
        Head { session: self.clone(), nonce: None }
    }

    /// All that the page runs while loading, as one value.
    fn bundle(&self, setup: impl FnOnce(&Self) -> Option<Script>) -> Option<Bytes> {
        // First of all, since observables that it interpolates must become part of the page too.
        let setup = match self.status() {
            Status::Uninitialized => guard("FrontendConnection::setup_connection", || setup(self)).flatten(),
            _ => None,
        };
        let setup = setup.and_then(|setup| self.code_message(&setup));
        let Some((cache, mut items, on_load)) = self.0.render() else {
            if self.status() != Status::Closed {
                tracing::error!(session = ?self.id(), "this session has its page already: make one session a page");
            }
            return None;
        };
        items.extend(self.starts());
        items.extend(setup);
        items.extend(on_load);
        let bundle = codec::encode_bundle(&self.id().to_string(), SessionStatus::Root, &cache, &items)
            .inspect_err(|error| tracing::error!(session = ?self.id(), "the page cannot be made: {error}"))
            .ok()?;
        Some(match self.host().compression() {
            Some(container) => crate::proto::compress::compress(&bundle, container),
            None => bundle,
        })
    }

    /// The page has been handed out.
    fn displayed(&self) {
        self.0.display();
        self.host().changed(self);
        guard("FrontendConnection::displayed", || self.connection().displayed(self));
    }
}
