//! A file from the user's machine.

mod receiver;

use std::fmt;
use std::sync::Arc;

pub(super) use receiver::Receiver;
use receiver::{CHUNK, Deliver, LOST, WINDOW};

use super::field::{Field, field_methods, field_script, keep_input};
use super::upload::{Upload, UploadedFile};
use crate::Observable;
use crate::page::{Escaped, Fragment};
use crate::session::Session;

/// Most bytes of a file, when nothing else is said.
const MAX_BYTES: u64 = 10 << 20;

/// An `<input type="file">` whose file comes over the session's own connection, with progress and a way to cancel.
///
/// The page sends 32 KiB at a time and no more than 128 KiB ahead of what has been taken, so clicks and values pass in between,
/// and a file of any size needs no more memory than that if it is taken [chunk by chunk](Self::on_upload). A
/// [whole file](Self::on_file) is gathered here, up to [`max_bytes`](Self::max_bytes), and memory grows with what has come,
/// not with what was announced. One file at a time comes over one control.
///
/// # Failure
///
/// The page says each of these, and offers to try again: the file is too large or of another kind (refused before it is read);
/// there is no room for it in [`Limits::total_bytes`](crate::Limits::total_bytes) or its owner's
/// [`Limits::identity_bytes`](crate::Limits::identity_bytes); the connection was lost; nothing came for a minute; the application [refused](Upload::refuse) it or its callback panicked.
///
/// ```
/// # use bonito_core::{Endpoint, Observable, widgets::FileInput};
/// # let session = Endpoint::builder("/live").build().session();
/// let lines = Observable::new(0);
/// let count = lines.clone();
/// let html = FileInput::new()
///     .label("Your data")
///     .accept(".csv")
///     .max_bytes(1 << 20)
///     .on_file(move |file| count.set(file.bytes.iter().filter(|byte| **byte == b'\n').count()))
///     .render(&session);
/// # assert!(html.to_string().contains("accept=\".csv\""));
/// ```
#[must_use = "render makes the HTML"]
pub struct FileInput {
    field: Field,
    accept: String,
    max_bytes: u64,
    progress: Option<Observable<f64>>,
    deliver: Deliver,
}

impl fmt::Debug for FileInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileInput").field("label", &self.field.label).finish_non_exhaustive()
    }
}

impl Default for FileInput {
    fn default() -> Self {
        Self::new()
    }
}

impl FileInput {
    /// A control for a file of at most 10 MiB.
    pub fn new() -> Self {
        Self {
            field: Field::default(),
            accept: String::new(),
            max_bytes: MAX_BYTES,
            progress: None,
            deliver: Deliver::Whole(Arc::new(|_| {})),
        }
    }

    field_methods!();

    /// The kinds of file that it takes, as the [`accept` attribute](https://html.spec.whatwg.org/#attr-input-accept) has
    /// them: `.csv`, `image/*`, `.txt,text/plain`. Compared with the name and type that the page gives, here as well; what is
    /// in the file may still be anything.
    pub fn accept(mut self, accept: impl Into<String>) -> Self {
        self.accept = accept.into();
        self
    }

    /// Most bytes of a file. A larger one is refused before it is read.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Keeps the part of the file that has come in this observable, from 0 to 1.
    pub fn progress(mut self, progress: &Observable<f64>) -> Self {
        self.progress = Some(progress.clone());
        self
    }

    /// Calls `f` with each file when it is complete, on the task of the session's socket: hand long work to
    /// [`Session::spawn`].
    pub fn on_file(mut self, f: impl Fn(UploadedFile) + Send + Sync + 'static) -> Self {
        self.deliver = Deliver::Whole(Arc::new(f));
        self
    }

    /// Calls `f` with each file when it begins to come, instead of [`on_file`](Self::on_file). It is read from a task, so that
    /// the page waits for the reader and not for memory:
    ///
    /// ```
    /// # use bonito_core::{Endpoint, Session, widgets::{FileInput, UploadError}};
    /// # async fn save(_: &[u8]) {}
    /// # fn upload(session: Session) -> FileInput {
    /// let tasks = session.clone();
    /// FileInput::new().label("A film").max_bytes(8 << 30).on_upload(move |mut upload| {
    ///     tasks.spawn(async move {
    ///         while let Ok(Some(chunk)) = upload.chunk().await {
    ///             save(&chunk).await;
    ///         }
    ///     });
    /// })
    /// # }
    /// ```
    pub fn on_upload(mut self, f: impl Fn(Upload) + Send + Sync + 'static) -> Self {
        self.deliver = Deliver::Chunks(Arc::new(f));
        self
    }

    /// The HTML of the control, alive when the page of the session is.
    pub fn render(self, session: &Session) -> Fragment {
        let frame = self.field.frame(session, "file input");
        // A message must hold a chunk and a little more.
        let chunk = CHUNK.min(session.host().limits().message_bytes as u64 / 2).max(1);
        let receiver = Receiver::new(
            self.field.clone(),
            &self.accept,
            self.max_bytes,
            chunk,
            self.progress,
            self.deliver,
        );
        let receive = receiver.clone();
        let input = keep_input(session, move |session, payload| receive.receive(session, payload));
        let (lost, back) = (receiver.clone(), receiver.clone());
        session.on_soft_close(move |_| lost.abort(LOST));
        session.on_open(move |_, again| {
            if again {
                back.begin_again();
            }
        });
        let script = frame
            .script(field_script!("file_input.js"), &[""], &input)
            .with("chunk", &chunk)
            .with("window", &(chunk * WINDOW as u64))
            .with("max", &self.max_bytes)
            .with("lost", LOST)
            .with("accept", &self.accept.to_ascii_lowercase());
        frame.start(script, &receiver.told);
        let accept = match self.accept.as_str() {
            "" => String::new(),
            accept => format!(" accept=\"{}\"", Escaped(accept)),
        };
        Fragment(format!(
            "<div class=\"bonito-field bonito-file\">{label}<input class=\"bonito-input\" type=\"file\" {attributes}{accept}>\
             <div class=\"bonito-transfer\" id=\"{id}-transfer\" hidden>\
             <progress id=\"{id}-progress\" max=\"1\" value=\"0\" aria-labelledby=\"{id}-status\"></progress>\
             <button type=\"button\" class=\"bonito-button\" id=\"{id}-cancel\">Cancel</button></div>\
             <p class=\"bonito-status\" id=\"{id}-status\" role=\"status\"></p>{notes}\
             <button type=\"button\" class=\"bonito-button bonito-retry\" id=\"{id}-retry\" hidden>Try again</button></div>",
            label = frame.label(),
            attributes = frame.attributes(""),
            id = Escaped(&frame.id),
            notes = frame.notes(),
        ))
    }
}
