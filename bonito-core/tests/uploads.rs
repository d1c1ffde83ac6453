//! Files over the session's own connection: how they come, and what a page cannot do with them.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests spawn, wait and expect")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bonito_core::proto::message::ClientMessage;
use bonito_core::widgets::{FileInput, Upload, UploadedFile};
use bonito_core::{Endpoint, Observable, Session, TypedArray};
use serde::Serialize;
use serde_json::Value as Json;
use support::{Page, endpoint, endpoint_with, settle};

const CHUNK: usize = 32 << 10;

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Say<'a> {
    Start { transfer: u32, name: &'a str, kind: &'a str, size: u64 },
    Chunk { transfer: u32, offset: u64, bytes: TypedArray<u8> },
    Cancel { transfer: u32 },
}

/// The page of one file input.
struct Sender {
    live: Endpoint,
    session: Session,
    page: Page,
}

impl Sender {
    async fn new(live: Endpoint, input: FileInput) -> Self {
        let session = live.session();
        let html = input.label("File").render(&session);
        assert!(session.page("t", html).contains("type=\"file\""));
        let page = Page::open(&live, &session).await;
        page.received();
        Self { live, session, page }
    }

    /// The last that the page was told, if it was told anything since.
    async fn say(&self, what: Say<'_>) -> Option<Json> {
        self.page.update("i1", what);
        self.told().await
    }

    async fn told(&self) -> Option<Json> {
        settle().await;
        let told = self.page.received().into_iter().rfind(|said| said != "pong")?;
        serde_json::from_str(told.split_once('=')?.1).ok()
    }

    async fn start(&self, transfer: u32, size: u64) -> Option<Json> {
        self.say(Say::Start { transfer, name: "a.csv", kind: "text/csv", size }).await
    }

    async fn chunk(&self, transfer: u32, offset: usize, bytes: Vec<u8>) -> Option<Json> {
        self.say(Say::Chunk { transfer, offset: offset as u64, bytes: bytes.into() }).await
    }

    /// As an honest page does.
    async fn send(&self, transfer: u32, file: &[u8]) -> Option<Json> {
        let mut told = self.start(transfer, file.len() as u64).await;
        for (at, chunk) in file.chunks(CHUNK).enumerate() {
            told = self.chunk(transfer, at * CHUNK, chunk.to_vec()).await;
        }
        told
    }
}

/// An input that gathers files.
fn gather() -> (FileInput, Arc<Mutex<Vec<UploadedFile>>>) {
    let files = Arc::new(Mutex::new(Vec::new()));
    let all = files.clone();
    (FileInput::new().on_file(move |file| all.lock().unwrap().push(file)), files)
}

/// An input whose uploads the test takes.
fn take() -> (FileInput, Arc<Mutex<Vec<Upload>>>) {
    let uploads = Arc::new(Mutex::new(Vec::new()));
    let all = uploads.clone();
    (FileInput::new().on_upload(move |upload| all.lock().unwrap().push(upload)), uploads)
}

fn failure(told: Option<Json>) -> String {
    told.and_then(|told| told["failure"].as_str().map(str::to_owned)).unwrap_or_default()
}

fn sample(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n % 251) as u8).collect()
}

#[tokio::test]
async fn a_file_arrives_whole_and_its_progress_is_told() {
    let (input, files) = gather();
    let progress = Observable::new(0.0);
    let sender = Sender::new(endpoint(), input.progress(&progress)).await;
    let file = sample(100_000);
    sender.start(1, 100_000).await;
    let told = sender.chunk(1, 0, file[..CHUNK].to_vec()).await.unwrap();
    assert_eq!((told["taken"].as_u64(), told["done"].as_bool()), (Some(CHUNK as u64), Some(false)));
    assert_eq!(progress.get(), CHUNK as f64 / 100_000.0);
    for (at, chunk) in file.chunks(CHUNK).enumerate().skip(1) {
        sender.chunk(1, at * CHUNK, chunk.to_vec()).await;
    }
    assert_eq!(progress.get(), 1.0);
    let second = sender.send(2, &[7]).await.unwrap();
    assert_eq!((second["done"].as_bool(), second["transfer"].as_u64()), (Some(true), Some(2)));
    let files = files.lock().unwrap();
    assert_eq!((files[0].name.as_str(), files[0].content_type.as_str()), ("a.csv", "text/csv"));
    assert!(files[0].bytes == file && files[1].bytes == [7][..]);
}

#[tokio::test]
async fn an_empty_file_is_a_file() {
    let (input, files) = gather();
    let sender = Sender::new(endpoint(), input).await;
    assert_eq!(sender.start(1, 0).await.unwrap()["done"], true);
    assert!(files.lock().unwrap()[0].bytes.is_empty());
}

#[tokio::test]
async fn a_file_that_is_too_large_is_refused_before_it_comes() {
    let (input, files) = gather();
    let sender = Sender::new(endpoint(), input.max_bytes(1000)).await;
    assert!(failure(sender.start(1, 1001).await).contains("larger than 1000 bytes"));
    // What comes all the same is dropped, and nobody is told again.
    assert_eq!(sender.chunk(1, 0, sample(1001)).await, None);
    assert_eq!(sender.send(2, &sample(1000)).await.unwrap()["done"], true);
    assert_eq!(files.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn memory_is_not_taken_by_what_is_announced() {
    let (input, _files) = gather();
    let sender = Sender::new(endpoint(), input.max_bytes(u64::MAX)).await;
    assert_eq!(failure(sender.start(1, u64::MAX).await), "");
    assert_eq!(sender.chunk(1, 0, sample(CHUNK)).await.unwrap()["taken"], CHUNK);
}

#[tokio::test]
async fn chunks_that_are_not_as_announced_end_the_transfer() {
    for (offset, length) in [(1, CHUNK), (CHUNK, CHUNK), (0, CHUNK - 1), (0, CHUNK + 1), (0, 0)] {
        let (input, files) = gather();
        let sender = Sender::new(endpoint(), input).await;
        sender.start(1, 2 * CHUNK as u64).await;
        let told = sender.chunk(1, offset, sample(length)).await;
        assert!(failure(told).contains("not come as announced"), "{length} at {offset}");
        assert_eq!(sender.chunk(1, 0, sample(CHUNK)).await, None, "it is over");
        assert!(files.lock().unwrap().is_empty());
        assert_eq!(sender.send(2, &[1]).await.unwrap()["done"], true, "and may be tried again");
    }
}

#[tokio::test]
async fn more_than_was_announced_is_not_taken() {
    let (input, files) = gather();
    let sender = Sender::new(endpoint(), input).await;
    sender.start(1, 10).await;
    assert!(failure(sender.chunk(1, 0, sample(11)).await).contains("not come as announced"));
    sender.send(2, &sample(10)).await;
    assert_eq!(sender.chunk(2, 10, sample(10)).await, None);
    assert_eq!(files.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn one_file_at_a_time_and_none_twice() {
    let (input, files) = gather();
    let sender = Sender::new(endpoint(), input).await;
    sender.start(5, 4).await;
    assert_eq!(sender.start(6, 4).await, None, "the second is refused");
    assert_eq!(sender.start(5, 4).await, None, "so is the same again");
    assert_eq!(sender.chunk(6, 0, sample(4)).await, None);
    assert_eq!(sender.chunk(5, 0, sample(4)).await.unwrap()["done"], true, "the first goes on");
    assert_eq!(sender.start(5, 4).await, None);
    assert_eq!(sender.start(4, 4).await, None);
    assert_eq!(files.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn names_are_made_harmless_and_kinds_are_checked() {
    let (input, files) = gather();
    let sender = Sender::new(endpoint(), input.accept(".csv, image/*,text/plain")).await;
    for (transfer, name, kind, accepted) in [
        (1, "../../etc/x.CSV", "", true),
        (2, "x.png", "image/png", true),
        (3, "x", "text/plain", true),
        (4, "x.exe", "application/x-msdownload", false),
        (5, "csv", "", false),
        (6, "x.csv.exe", "text/html", false),
    ] {
        let told = sender.say(Say::Start { transfer, name, kind, size: 0 }).await;
        assert_eq!(failure(told).is_empty(), accepted, "{name}");
    }
    let names: Vec<_> = files.lock().unwrap().iter().map(|file| file.name.clone()).collect();
    assert_eq!(names, ["x.CSV", "x.png", "x"]);
}

#[tokio::test]
async fn a_disabled_input_takes_no_file() {
    let (input, files) = gather();
    let off = Observable::new(true);
    let sender = Sender::new(endpoint(), input.disabled(&off)).await;
    assert!(failure(sender.start(1, 0).await).contains("disabled"));
    assert!(files.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let (input, files) = gather();
    let sender = Sender::new(endpoint(), input).await;
    for bad in
        [serde_json::json!({}), 3.into(), serde_json::json!({ "start": {} }), Json::Null, "start".into()]
    {
        sender.page.update("i1", bad);
    }
    assert_eq!(sender.chunk(9, 0, sample(4)).await, None);
    assert_eq!(sender.send(10, &sample(4)).await.unwrap()["done"], true);
    assert_eq!(files.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_callback_that_panics_is_told_and_the_session_lives() {
    let sender = Sender::new(endpoint(), FileInput::new().on_file(|_| panic!("on purpose"))).await;
    assert!(failure(sender.send(1, &[1]).await).contains("failed to take the file"));
    assert!(failure(sender.send(2, &[1]).await).contains("failed to take the file"));
}

#[tokio::test(start_paused = true)]
async fn a_page_that_does_not_go_on_is_waited_for_a_minute() {
    let (input, _files) = gather();
    let sender = Sender::new(endpoint(), input).await;
    let keep_alive = || sender.page.send(&ClientMessage::PingPong);
    sender.start(1, 3 * CHUNK as u64).await;
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_secs(10)).await;
        keep_alive();
    }
    assert_eq!(sender.chunk(1, 0, sample(CHUNK)).await.unwrap()["taken"], CHUNK);
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_secs(10)).await;
        keep_alive();
    }
    assert_eq!(failure(sender.told().await), "", "it has gone on in between");
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(10)).await;
        keep_alive();
    }
    assert!(failure(sender.told().await).contains("too long"));
    assert_eq!(sender.session.task_count(), 1, "one task looks after all transfers");
    for transfer in 2..50 {
        sender.start(transfer, 9).await;
        sender.say(Say::Cancel { transfer }).await;
    }
    assert_eq!(sender.session.task_count(), 1);
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_secs(10)).await;
        keep_alive();
    }
    assert_eq!(sender.session.task_count(), 0, "and goes when there are none");
    sender.start(90, 9).await;
    assert_eq!(sender.session.task_count(), 1);
}

#[tokio::test]
async fn a_lost_connection_ends_the_transfer_and_another_begins() {
    let (input, files) = gather();
    let mut sender = Sender::new(endpoint(), input).await;
    sender.start(1, 2 * CHUNK as u64).await;
    sender.chunk(1, 0, sample(CHUNK)).await;
    sender.page.cut();
    settle().await;
    sender.page = Page::open(&sender.live, &sender.session).await;
    let told = sender.told().await.unwrap();
    assert_eq!(
        (told["failure"].as_str(), told["line"].as_u64()),
        (Some("The connection was lost."), Some(1))
    );
    assert_eq!(sender.chunk(1, CHUNK, sample(CHUNK)).await, None);
    assert_eq!(sender.send(2, &[1]).await.unwrap()["done"], true);
    assert_eq!(files.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_page_whose_start_was_lost_is_told_to_begin_again() {
    let (input, _files) = gather();
    let mut sender = Sender::new(endpoint(), input).await;
    sender.page.cut();
    settle().await;
    sender.page = Page::open(&sender.live, &sender.session).await;
    assert_eq!(sender.told().await.unwrap()["line"], 1);
}

#[tokio::test]
async fn a_reader_gets_chunks_and_the_page_waits_for_it() {
    let (input, uploads) = take();
    let sender = Sender::new(endpoint(), input).await;
    let file = sample(5 * CHUNK + 5);
    sender.start(1, file.len() as u64).await;
    for at in 0..4 {
        let told = sender.chunk(1, at * CHUNK, file[at * CHUNK..][..CHUNK].to_vec()).await;
        assert_eq!(told, None, "nothing was taken yet");
    }
    let mut upload = uploads.lock().unwrap().pop().unwrap();
    assert_eq!((upload.name(), upload.size()), ("a.csv", file.len() as u64));
    let mut got = upload.chunk().await.unwrap().unwrap().to_vec();
    assert_eq!(sender.told().await.unwrap()["taken"], CHUNK);
    sender.chunk(1, 4 * CHUNK, file[4 * CHUNK..5 * CHUNK].to_vec()).await;
    got.extend(upload.chunk().await.unwrap().unwrap());
    sender.chunk(1, 5 * CHUNK, file[5 * CHUNK..].to_vec()).await;
    while let Some(chunk) = upload.chunk().await.unwrap() {
        got.extend(chunk);
    }
    assert!(got == file);
    let told = sender.told().await.unwrap();
    assert_eq!((told["done"].as_bool(), told["failure"].as_str()), (Some(true), None));
    drop(upload);
    assert_eq!(sender.told().await, None);
}

#[tokio::test]
async fn a_page_that_does_not_wait_for_the_reader_is_cut_off() {
    let (input, uploads) = take();
    let sender = Sender::new(endpoint(), input).await;
    sender.start(1, 100 * CHUNK as u64).await;
    for at in 0..4 {
        sender.chunk(1, at * CHUNK, sample(CHUNK)).await;
    }
    let told = sender.chunk(1, 4 * CHUNK, sample(CHUNK)).await;
    assert!(failure(told).contains("not come as announced"));
    let mut upload = uploads.lock().unwrap().pop().unwrap();
    for _ in 0..4 {
        assert_eq!(upload.chunk().await.unwrap().unwrap().len(), CHUNK);
    }
    assert!(upload.chunk().await.unwrap_err().to_string().contains("not come as announced"));
}

#[tokio::test]
async fn a_reader_learns_why_there_is_no_more() {
    let (input, uploads) = take();
    let sender = Sender::new(endpoint(), input).await;
    sender.start(1, 100).await;
    sender.say(Say::Cancel { transfer: 1 }).await;
    let mut upload = uploads.lock().unwrap().pop().unwrap();
    assert!(upload.chunk().await.unwrap_err().to_string().contains("cancelled"));
    sender.start(2, 100).await;
    sender.session.close();
    settle().await;
    let mut upload = uploads.lock().unwrap().pop().unwrap();
    assert!(upload.chunk().await.unwrap_err().to_string().contains("session is over"));
}

#[tokio::test]
async fn a_reader_that_does_not_want_the_file_says_so_to_the_page() {
    let (input, uploads) = take();
    let sender = Sender::new(endpoint(), input).await;
    sender.start(1, 100).await;
    uploads.lock().unwrap().pop().unwrap().refuse("No space left.");
    assert_eq!(failure(sender.told().await), "No space left.");
    sender.start(2, 100).await;
    uploads.lock().unwrap().clear();
    assert!(failure(sender.told().await).contains("did not take"));
}

#[tokio::test]
async fn a_message_is_never_longer_than_the_limits_allow() {
    let (input, files) = gather();
    let sender = Sender::new(endpoint_with(|limits| limits.message_bytes = 1000), input).await;
    sender.start(1, 600).await;
    assert_eq!(sender.chunk(1, 0, sample(500)).await.unwrap()["taken"], 500);
    assert_eq!(sender.chunk(1, 500, sample(100)).await.unwrap()["done"], true);
    assert_eq!(files.lock().unwrap()[0].bytes.len(), 600);
}

#[tokio::test(start_paused = true)]
async fn an_empty_file_that_nobody_takes_is_told_of_like_any_other() {
    let input = FileInput::new().on_upload(|upload| assert_ne!(upload.size(), 0, "this application fails"));
    let sender = Sender::new(endpoint(), input).await;
    let told = sender.start(1, 0).await.unwrap();
    assert!(told["failure"].is_string(), "{told}");
    assert_eq!(told["done"], false, "{told}");
    // And the control is free for another.
    let told = sender.start(2, 10).await.unwrap();
    assert_eq!(told["transfer"], 2, "{told}");
}

/// In a part of the page as well, whose session is not the one that has the socket.
#[tokio::test(start_paused = true)]
async fn an_upload_in_a_part_of_the_page_knows_that_the_connection_was_lost() {
    let live = endpoint();
    let session = live.session();
    let (files, lost, back) = <(Arc<Mutex<Vec<UploadedFile>>>, Arc<Mutex<u32>>, Arc<Mutex<u32>>)>::default();
    let step = Observable::new(1);
    let (all, losses, returns) = (files.clone(), lost.clone(), back.clone());
    let part = session.render(&step, move |sub, _| {
        let (all, losses, returns) = (all.clone(), losses.clone(), returns.clone());
        sub.on_soft_close(move |_| *losses.lock().unwrap() += 1);
        sub.on_open(move |_, again| *returns.lock().unwrap() += u32::from(again));
        FileInput::new().label("File").on_file(move |file| all.lock().unwrap().push(file)).render(sub)
    });
    let html = session.page("t", part);
    let sub = html
        .split("id=\"")
        .filter_map(|rest| rest.get(..32))
        .find(|id| id.bytes().all(|byte| byte.is_ascii_hexdigit()) && *id != session.id().to_string());
    let sub = sub.unwrap().to_owned();
    let open = async || {
        let page = Page::open(&live, &session).await;
        page.send(&ClientMessage::DoneLoading {
            session: sub.clone(),
            message: String::new(),
            exception: None,
            stacktrace: String::new(),
        });
        settle().await;
        page
    };
    let page = open().await;
    let mut sender = Sender { live: live.clone(), session: session.clone(), page };
    sender.start(1, 100_000).await;
    let told = sender.chunk(1, 0, sample(CHUNK)).await.unwrap();
    assert_eq!(told["taken"], CHUNK, "{told}");
    sender.page.cut();
    settle().await;
    sender.page = open().await;
    let told = sender.told().await.unwrap();
    assert_eq!((&told["line"], told["failure"].is_string()), (&1.into(), true), "{told}");
    assert_eq!((*lost.lock().unwrap(), *back.lock().unwrap()), (1, 1));
    let told = sender.send(2, &sample(100_000)).await.unwrap();
    assert_eq!(told["done"], true, "{told}");
    assert_eq!(files.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn files_of_all_sessions_together_are_bounded() {
    let live = endpoint_with(|limits| limits.total_bytes = 4 * CHUNK);
    let (input, files) = gather();
    let a = Sender::new(live.clone(), input).await;
    let (b, c) = (Sender::new(live.clone(), gather().0).await, Sender::new(live.clone(), gather().0).await);
    let held = || (live.stats().held_bytes / CHUNK, live.totals().refused_uploads);
    let chunk = || sample(CHUNK);
    for sender in [&a, &b, &c] {
        assert_eq!(failure(sender.start(1, 4 * CHUNK as u64).await), "");
    }
    assert_eq!(held(), (0, 0), "nothing is taken for what was announced");
    for (sender, at) in [(&a, 0), (&b, 0), (&c, 0), (&a, 1)] {
        assert_eq!(failure(sender.chunk(1, at * CHUNK, chunk()).await), "");
    }
    assert_eq!(held(), (4, 0));
    assert_eq!(failure(b.chunk(1, CHUNK, chunk()).await), "The server has no room for the file now.");
    assert_eq!(held(), (3, 1), "what had come of it is given back");
    c.session.close();
    assert_eq!(held(), (2, 1));
    for at in 2..4 {
        assert_eq!(failure(a.chunk(1, at * CHUNK, chunk()).await), "", "the others go on");
    }
    assert_eq!(files.lock().unwrap()[0].bytes.len(), 4 * CHUNK);
    assert_eq!((held(), live.totals().evicted), ((0, 1), 0));
}

#[tokio::test]
async fn files_that_come_chunk_by_chunk_take_their_room_before() {
    let live = endpoint_with(|limits| limits.total_bytes = 6 * CHUNK);
    let (a, uploads) = take();
    let a = Sender::new(live.clone(), a).await;
    let (b, others) = take();
    let b = Sender::new(live.clone(), b).await;
    a.start(1, 100 * CHUNK as u64).await;
    assert_eq!(live.stats().held_bytes, 4 * CHUNK, "as much as may wait for whoever reads it");
    assert_eq!(failure(b.start(1, 100 * CHUNK as u64).await), "The server has no room for the file now.");
    assert!(others.lock().unwrap().is_empty());
    assert_eq!(failure(b.start(2, 2 * CHUNK as u64).await), "");
    uploads.lock().unwrap().clear();
    others.lock().unwrap().clear();
    assert_eq!(live.stats().held_bytes, 0);
}
