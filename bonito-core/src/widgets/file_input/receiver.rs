//! The server's end of the transfers of one control.
//!
//! The page announces a file, waits for the answer, and sends chunks of one size, the last one apart. The answer is an
//! observable of the last known state: how much was taken, and how it ended. So the page is never more than a window ahead,
//! and an answer that collapses into a later one is no loss.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::Observable;
use crate::proto::value::{RawValue, TypedArray};
use crate::proto::{DecodeError, later};
use crate::session::{Held, Session};
use crate::sync::{guard, lock};
use crate::widgets::field::{Field, refused};
use crate::widgets::upload::{Failure, Upload, UploadedFile};

/// Bytes of one chunk.
pub(super) const CHUNK: u64 = 32 << 10;
/// Chunks that may be on their way, or wait for the application.
pub(super) const WINDOW: usize = 4;
/// How long the page may keep us waiting for the next chunk.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest name and type of a file, in bytes.
const NAME_BYTES: usize = 255;

/// What the page is told of a lost connection.
pub(super) const LOST: &str = "The connection was lost.";
/// What the page is told when what comes is not what was announced.
const UNEXPECTED: &str = "The file did not come as announced.";
/// What the page is told when sessions hold as much as they may.
const NO_ROOM: &str = "The server has no room for the file now.";
/// What the page is told when the application's callback has panicked.
const FAILED: &str = "The server failed to take the file.";

pub(super) enum Deliver {
    Whole(Arc<dyn Fn(UploadedFile) + Send + Sync>),
    Chunks(Arc<dyn Fn(Upload) + Send + Sync>),
}

/// What the page says.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Said {
    Start { transfer: u32, name: String, kind: String, size: u64 },
    Chunk { transfer: u32, offset: u64, bytes: TypedArray<u8> },
    Cancel { transfer: u32 },
}

/// What the page is told. A later one has a greater [rank](Told::rank).
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Told {
    transfer: u32,
    taken: u64,
    done: bool,
    failure: Option<String>,
    /// Counts the times that the connection came back: what the page had sent before may be lost.
    line: u32,
}

impl Told {
    fn rank(&self) -> (u32, bool, u64) {
        (self.transfer, self.done || self.failure.is_some(), self.taken)
    }
}

pub(crate) struct Receiver {
    field: Field,
    accept: Vec<String>,
    max_bytes: u64,
    chunk: u64,
    progress: Option<Observable<f64>>,
    deliver: Deliver,
    pub(super) told: Observable<Told>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The latest transfer that the page has named: what comes for an older one is merely late.
    last: u32,
    running: Option<Transfer>,
    /// Whether a task looks for a page that does not go on.
    watched: bool,
}

struct Transfer {
    id: u32,
    name: String,
    kind: String,
    size: u64,
    received: u64,
    taken: u64,
    heard: Instant,
    sink: Sink,
    /// Room in what sessions may hold, taken before the memory is.
    held: Held,
}

enum Sink {
    Whole(Vec<u8>),
    Chunks { chunks: mpsc::Sender<Bytes>, failure: Failure },
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("max_bytes", &self.max_bytes).finish_non_exhaustive()
    }
}

impl Receiver {
    pub(super) fn new(
        field: Field,
        accept: &str,
        max_bytes: u64,
        chunk: u64,
        progress: Option<Observable<f64>>,
        deliver: Deliver,
    ) -> Arc<Self> {
        let accept = accept.split(',').map(|kind| kind.trim().to_ascii_lowercase());
        let accept = accept.filter(|kind| !kind.is_empty()).collect();
        let told = Observable::new(Told::default());
        let state = Mutex::default();
        Arc::new(Self { field, accept, max_bytes, chunk, progress, deliver, told, state })
    }

    pub(super) fn receive(
        self: &Arc<Self>,
        session: &Session,
        payload: &RawValue,
    ) -> Result<(), DecodeError> {
        match payload.decode()? {
            Said::Start { transfer, name, kind, size } => {
                self.start(session, transfer, tidy(&name), short(&kind).to_owned(), size)
            }
            Said::Chunk { transfer, offset, bytes } => {
                self.chunk(session, transfer, offset, bytes.into_vec().into())
            }
            Said::Cancel { transfer } => {
                self.fail(transfer, "The upload was cancelled.");
                Ok(())
            }
        }
    }

    fn start(
        self: &Arc<Self>,
        session: &Session,
        id: u32,
        name: String,
        kind: String,
        size: u64,
    ) -> Result<(), DecodeError> {
        let usable = self.field.usable();
        let now = session.host().now();
        let (deliver, watch) = {
            let mut state = lock(&self.state);
            if id <= state.last {
                return Err(refused(format!("expected a new transfer, number {id} came again")));
            }
            if state.running.is_some() {
                return Err(refused("expected one file at a time, two came"));
            }
            state.last = id;
            // What waits for a reader that takes chunks is bounded; a whole file takes room as it grows.
            let ahead = match &self.deliver {
                Deliver::Whole(_) => 0,
                Deliver::Chunks(_) => size.min(self.chunk * WINDOW as u64) as usize,
            };
            let held = match usable {
                Err(refusal) => Err((refusal, "The control is disabled.".to_owned())),
                Ok(()) if size > self.max_bytes => Err((
                    refused(format!("expected a file of at most {} bytes, {size} came", self.max_bytes)),
                    format!("The file is larger than {} bytes.", self.max_bytes),
                )),
                Ok(()) if !self.accepts(&name, &kind) => Err((
                    refused(format!("expected a file of {:?}, {name:?} came", self.accept)),
                    "This kind of file is not accepted.".to_owned(),
                )),
                Ok(()) => session.0.try_hold(ahead).ok_or_else(|| (no_room(), NO_ROOM.to_owned())),
            };
            let held = match held {
                Ok(held) => held,
                Err((refusal, failure)) => {
                    drop(state);
                    self.tell(&Told { transfer: id, failure: Some(failure), ..Told::default() });
                    return Err(refusal);
                }
            };
            let (sink, upload) = match &self.deliver {
                Deliver::Whole(_) => (Sink::Whole(Vec::new()), None),
                Deliver::Chunks(deliver) => {
                    let (sender, chunks) = mpsc::channel(WINDOW);
                    let failure = Failure::default();
                    let what = (name.clone(), kind.clone());
                    let upload = Upload::new(what, size, id, chunks, failure.clone(), Arc::downgrade(self));
                    (Sink::Chunks { chunks: sender, failure }, Some((deliver.clone(), upload)))
                }
            };
            let transfer = Transfer { id, name, kind, size, received: 0, taken: 0, heard: now, sink, held };
            state.running = Some(transfer);
            let watch = !std::mem::replace(&mut state.watched, true);
            (upload, watch)
        };
        self.tell(&Told { transfer: id, ..Told::default() });
        self.report(0, size);
        if watch {
            self.watch(session);
        }
        // One that panics has dropped the upload, which says so itself unless it was complete from the start.
        if let Some((deliver, upload)) = deliver
            && guard("on_upload of a file input", || deliver(upload)).is_none()
        {
            self.fail(id, FAILED);
        }
        if size == 0 {
            self.finish(id);
        }
        Ok(())
    }

    fn chunk(&self, session: &Session, id: u32, offset: u64, bytes: Bytes) -> Result<(), DecodeError> {
        let now = session.host().now();
        let (received, size) = {
            let mut state = lock(&self.state);
            let Some(transfer) = state.running.as_mut().filter(|transfer| transfer.id == id) else {
                // Chunks that were on their way when a transfer ended are normal.
                return if id <= state.last { Ok(()) } else { Err(refused("a chunk of no transfer")) };
            };
            match transfer.take(self.chunk, offset, bytes) {
                Ok(()) => {
                    transfer.heard = now;
                    (transfer.received, transfer.size)
                }
                Err((refusal, reason)) => {
                    drop(state);
                    self.fail(id, reason);
                    return Err(refusal);
                }
            }
        };
        self.report(received, size);
        if matches!(self.deliver, Deliver::Whole(_)) {
            self.taken(id, received);
        }
        Ok(())
    }

    /// So much of a transfer has reached the application: bytes more of one in chunks, bytes in all of one that is gathered.
    pub(crate) fn taken(&self, id: u32, bytes: u64) {
        let taken = {
            let mut state = lock(&self.state);
            let Some(transfer) = state.running.as_mut().filter(|transfer| transfer.id == id) else { return };
            match transfer.sink {
                Sink::Whole(_) => transfer.taken = bytes,
                Sink::Chunks { .. } => transfer.taken += bytes,
            }
            (transfer.taken < transfer.size).then_some(transfer.taken)
        };
        match taken {
            Some(taken) => self.tell(&Told { transfer: id, taken, ..Told::default() }),
            None => self.finish(id),
        }
    }

    /// All of it is there.
    fn finish(&self, id: u32) {
        let Some(transfer) = self.remove(id) else { return };
        let size = transfer.size;
        let delivered = match (transfer.sink, &self.deliver) {
            (Sink::Whole(bytes), Deliver::Whole(deliver)) => {
                let (name, content_type) = (transfer.name, transfer.kind);
                let file = UploadedFile { name, content_type, bytes: bytes.into() };
                guard("on_file of a file input", || deliver(file)).is_some()
            }
            _ => true,
        };
        let failure = (!delivered).then(|| FAILED.to_owned());
        self.tell(&Told { transfer: id, taken: size, done: delivered, failure, ..Told::default() });
        if size == 0 {
            self.report(0, 0);
        }
    }

    /// Ends whatever runs.
    pub(super) fn abort(&self, reason: &str) {
        let id = lock(&self.state).running.as_ref().map(|transfer| transfer.id);
        if let Some(id) = id {
            self.fail(id, reason);
        }
    }

    /// The connection is back, and the page has to begin again, since what it had sent before may be lost.
    pub(super) fn begin_again(&self) {
        self.abort(LOST);
        self.told.update(|told| told.line += 1);
    }

    pub(crate) fn fail(&self, id: u32, reason: &str) {
        let Some(transfer) = self.remove(id) else { return };
        if let Sink::Chunks { failure, .. } = &transfer.sink {
            *lock(failure) = Some(reason.to_owned());
        }
        // Its channel closes here, when the reader can know why.
        drop(transfer);
        self.tell(&Told { transfer: id, failure: Some(reason.to_owned()), ..Told::default() });
    }

    fn remove(&self, id: u32) -> Option<Transfer> {
        lock(&self.state).running.take_if(|transfer| transfer.id == id)
    }

    /// Whoever comes late with what was so before changes nothing.
    fn tell(&self, now: &Told) {
        self.told.update(|told| {
            if now.rank() >= told.rank() {
                *told = Told { line: told.line, ..now.clone() };
            }
        });
    }

    fn report(&self, received: u64, size: u64) {
        if let Some(progress) = &self.progress {
            progress.set(if size == 0 { 1.0 } else { received as f64 / size as f64 });
        }
    }

    /// As the `accept` attribute has it.
    fn accepts(&self, name: &str, kind: &str) -> bool {
        let (name, kind) = (name.to_ascii_lowercase(), kind.to_ascii_lowercase());
        self.accept.is_empty()
            || self.accept.iter().any(|accepted| {
                if accepted.starts_with('.') {
                    name.ends_with(accepted.as_str())
                } else if let Some(group) = accepted.strip_suffix('*') {
                    kind.starts_with(group)
                } else {
                    kind == *accepted
                }
            })
    }

    /// Ends a transfer that the page does not go on with. One task looks after all of them, one after the other.
    fn watch(self: &Arc<Self>, session: &Session) {
        let receiver = Arc::downgrade(self);
        let host = session.host().clone();
        session.spawn(async move {
            let mut due = later(host.now(), PATIENCE);
            loop {
                host.sleep_until(due).await;
                let Some(receiver) = receiver.upgrade() else { return };
                let now = host.now();
                let late = {
                    let mut state = lock(&receiver.state);
                    let Some(transfer) = &state.running else {
                        state.watched = false;
                        return;
                    };
                    // While chunks wait for the application, the page has nothing to send.
                    let waits = transfer.received == transfer.taken;
                    due = later(if waits { transfer.heard } else { now }, PATIENCE);
                    (due <= now).then_some(transfer.id)
                };
                if let Some(id) = late {
                    receiver.fail(id, "Nothing came for too long.");
                    due = later(now, PATIENCE);
                }
            }
        });
    }
}

impl Transfer {
    /// The next chunk; refused with what the page is told.
    fn take(&mut self, chunk: u64, offset: u64, bytes: Bytes) -> Result<(), (DecodeError, &'static str)> {
        let length = bytes.len() as u64;
        let expected = chunk.min(self.size - self.received);
        if offset != self.received || length != expected {
            let refusal = refused(format!(
                "expected {expected} bytes of a file at {}, {length} came at {offset}",
                self.received
            ));
            return Err((refusal, UNEXPECTED));
        }
        match &mut self.sink {
            Sink::Whole(whole) => {
                let (had, needed) = (whole.capacity(), whole.len() + bytes.len());
                if needed > had {
                    let size = usize::try_from(self.size).unwrap_or(usize::MAX);
                    let capacity = had.saturating_mul(2).clamp(needed, size.max(needed));
                    if !self.held.try_grow(capacity - had) {
                        return Err((no_room(), NO_ROOM));
                    }
                    whole.reserve_exact(capacity - whole.len());
                }
                whole.extend_from_slice(&bytes);
            }
            Sink::Chunks { chunks, .. } => {
                chunks
                    .try_send(bytes)
                    .map_err(|_| (refused("expected the page to wait, a chunk came"), UNEXPECTED))?;
            }
        }
        self.received += length;
        Ok(())
    }
}

fn no_room() -> DecodeError {
    refused("expected room for a file, sessions hold as much as they may")
}

/// The last part of a path, without control characters, and not too long.
fn tidy(name: &str) -> String {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = name.chars().filter(|c| !c.is_control()).collect();
    match short(&name) {
        "" | "." | ".." => "unnamed".to_owned(),
        name => name.to_owned(),
    }
}

fn short(text: &str) -> &str {
    crate::proto::cut(text, NAME_BYTES)
}

#[cfg(test)]
mod tests {
    use super::tidy;

    #[test]
    fn a_name_is_the_last_part_of_a_path_and_short() {
        for (name, tidied) in [
            ("data.csv", "data.csv"),
            ("../../etc/passwd", "passwd"),
            ("C:\\fakepath\\a b.txt", "a b.txt"),
            ("a\0\n\u{1b}[31mb", "a[31mb"),
            ("..", "unnamed"),
            ("dir/", "unnamed"),
        ] {
            assert_eq!(tidy(name), tidied);
        }
        assert_eq!(tidy(&"ü".repeat(300)).len(), 254);
    }
}
