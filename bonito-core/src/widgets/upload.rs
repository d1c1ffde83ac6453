//! What the application has of a file that comes over the session's own connection.

use std::fmt;
use std::sync::{Arc, Mutex, Weak};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::file_input::Receiver;
use crate::sync::lock;

/// A whole file, as [`FileInput::on_file`](super::FileInput::on_file) gets it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UploadedFile {
    /// What the page calls it: the last part of a path, without control characters, at most 255 bytes. Anybody may have
    /// written it: never make a path of it.
    pub name: String,
    /// What the page takes it for, a media type or nothing. Nobody has looked whether it is that.
    pub content_type: String,
    /// What is in it.
    pub bytes: Bytes,
}

/// A file on its way, as [`FileInput::on_upload`](super::FileInput::on_upload) gets it, chunk by chunk.
///
/// The page sends on only when chunks are taken, so at most 128 KiB wait here. Dropping it stops the upload, and the page says
/// so.
#[derive(Debug)]
pub struct Upload {
    name: String,
    content_type: String,
    size: u64,
    left: u64,
    id: u32,
    chunks: mpsc::Receiver<Bytes>,
    failure: Failure,
    receiver: Weak<Receiver>,
}

/// Why a transfer ended before its time, for whoever reads it.
pub(super) type Failure = Arc<Mutex<Option<String>>>;

impl Upload {
    pub(super) fn new(
        (name, content_type): (String, String),
        size: u64,
        id: u32,
        chunks: mpsc::Receiver<Bytes>,
        failure: Failure,
        receiver: Weak<Receiver>,
    ) -> Self {
        Self { name, content_type, size, left: size, id, chunks, failure, receiver }
    }

    /// The name of the file; see [`UploadedFile::name`].
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the page takes it for; see [`UploadedFile::content_type`].
    pub fn content_type(&self) -> &str {
        &self.content_type
    }

    /// How long it is, in bytes. No more than that comes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The next chunk, of at most 32 KiB; `None` when the file is complete.
    ///
    /// # Errors
    ///
    /// If the upload ended before: the user cancelled it, the connection was lost, the page went, or what came was not what
    /// had been announced.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, UploadError> {
        if self.left == 0 {
            return Ok(None);
        }
        let Some(chunk) = self.chunks.recv().await else {
            let reason = lock(&self.failure).clone();
            return Err(UploadError(reason.unwrap_or_else(|| "the session is over".into())));
        };
        self.left -= chunk.len() as u64;
        if let Some(receiver) = self.receiver.upgrade() {
            receiver.taken(self.id, chunk.len() as u64);
        }
        Ok(Some(chunk))
    }

    /// Stops the upload; the page shows the reason.
    pub fn refuse(self, reason: &str) {
        if let Some(receiver) = self.receiver.upgrade() {
            receiver.fail(self.id, reason);
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.left > 0
            && let Some(receiver) = self.receiver.upgrade()
        {
            receiver.fail(self.id, "The server did not take the file.");
        }
    }
}

/// Why an [`Upload`] ended before its time.
#[derive(Clone, Debug)]
pub struct UploadError(String);

impl fmt::Display for UploadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the upload is incomplete: {}", self.0)
    }
}

impl std::error::Error for UploadError {}
