//! Pages in one file, which need no server at all.

use std::fmt::{self, Display};
use std::io;
use std::path::Path;

use super::{NO_PAGE, Nonce, Page, Start};
use crate::client;
use crate::connection::NO_CONNECTION;
use crate::js::Script;
use crate::proto::session::CloseReason;
use crate::session::Session;

/// The browser sees to it that the file needs nobody: what is not in it is not loaded.
const POLICY: &str = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
    script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:; \
    media-src data: blob:; base-uri 'none'; form-action 'none'\">\n";

struct StaticHead<'a>(&'a Session);

impl Display for StaticHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(bundle) = self.0.bundle(|_| Some(Script::new(NO_CONNECTION))) else {
            return f.write_str(NO_PAGE);
        };
        let start = Start { session: self.0, bundle, nonce: Nonce(None) };
        write!(f, "<script type=\"module\">{library}</script>\n{start}", library = client::LIBRARY)?;
        self.0.displayed();
        self.0.0.close(CloseReason::NoConnection);
        Ok(())
    }
}

impl Page {
    /// The document as one file with all that it needs, the client included: it works from a disk, without any server.
    ///
    /// Listeners and values of the page work in it, as with [`NoConnection`](crate::NoConnection); what concerns the server
    /// goes nowhere. The session closes with [`CloseReason::NoConnection`], whatever its connection is, so bind everything
    /// before. The page's policy lets it load nothing: images and fonts are to be `data:` URLs.
    pub fn render_static(&self, session: &Session, body: impl Display) -> String {
        let body = body.to_string();
        self.document(session, POLICY, StaticHead(session), body)
    }
}

impl Session {
    /// A whole page as one file that works without any server; see [`Page::render_static`], which has more to choose.
    ///
    /// ```
    /// use bonito_core::{Endpoint, Observable, js};
    ///
    /// let session = Endpoint::builder("/live").build().session();
    /// let volume = Observable::new(3);
    /// session.on_js(&volume, js!("(volume) => { document.getElementById('volume').textContent = volume }"));
    /// let html = session.static_page(
    ///     "Volume",
    ///     format!("<input type=\"range\" {}> <output id=\"volume\">3</output>", session.on_input(&volume)),
    /// );
    /// # assert!(html.contains("init_session"));
    /// ```
    pub fn static_page(&self, title: &str, body: impl Display) -> String {
        Page::new(title).render_static(self, body)
    }

    /// Writes the [static page](Self::static_page) to a file, in place of what was there. It blocks while it writes; from async
    /// code, write what [`static_page`](Self::static_page) gives with your runtime's own file system.
    ///
    /// # Errors
    ///
    /// If the file cannot be written. The session is closed all the same.
    pub fn export_static(&self, path: impl AsRef<Path>, title: &str, body: impl Display) -> io::Result<()> {
        std::fs::write(path, self.static_page(title, body))
    }
}

#[cfg(test)]
mod tests {
    use crate::client;

    #[test]
    fn the_library_may_stand_inside_a_script_element() {
        let library = client::LIBRARY.to_ascii_lowercase();
        for end in ["</script", "<!--", "<script"] {
            assert!(!library.contains(end), "{end} in the library ends or hides the script it stands in");
        }
        assert!(!library.contains("import("), "a file has nothing to import");
    }
}
