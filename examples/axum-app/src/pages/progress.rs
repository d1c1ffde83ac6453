//! A long job with a live progress bar.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use bonito_core::{Binding, Fragment, Head, Observable, Session};
use serde::Serialize;
use tokio::sync::Semaphore;

use crate::headers::Nonce;
use crate::job::{self, Outcome, Progress, Stop, Stopped};
use crate::layout::{self, Layout};
use crate::snippet;
use crate::state::App;

#[derive(Template)]
#[template(path = "progress.html")]
struct ProgressPage {
    layout: Layout,
    head: Head,
    folder: String,
    start: Binding,
    start_disabled: Binding,
    cancel: Binding,
    cancel_disabled: Binding,
    stage: Binding,
    status: Fragment,
    bar: Binding,
    percent: Fragment,
    files: Fragment,
    bytes: Fragment,
    rate: Fragment,
    file: Fragment,
}

/// What the page shows of the job.
#[derive(Clone, Debug, Serialize)]
struct View {
    stage: Stage,
    status: String,
    percent: f64,
    files: String,
    bytes: String,
    rate: String,
    file: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Stage {
    #[default]
    Idle,
    Busy,
    Done,
    Cancelled,
}

pub(crate) async fn page(State(app): State<App>, Nonce(nonce): Nonce) -> Response {
    // [shown]
    let session = app.live.session();
    let view = Observable::new(View::default());
    let busy = view.map(|view| view.stage == Stage::Busy);
    let idle = busy.map(|busy| !busy);
    let percent = view.map(|view| view.percent);

    let job = Job::new(&app, &session, &view);
    let stop = job.stop.clone();
    let start = session.on_click(move || job.start());
    let cancel = session.on_click(move || stop.stop());
    let bar = session.attribute("value", &percent);
    // [/shown]

    let text = |look: fn(&View) -> &str| session.text(&view.map(move |view| look(view).to_owned()));
    layout::live_page(&ProgressPage {
        layout: Layout {
            title: "Progress",
            path: "/progress",
            source: snippet::shown(include_str!("progress.rs")),
            file: "src/pages/progress.rs",
        },
        head: session.head().nonce(nonce),
        folder: folder_name(&app.folder),
        start,
        start_disabled: session.attribute("disabled", &busy),
        cancel,
        cancel_disabled: session.attribute("disabled", &idle),
        stage: session.attribute("data-stage", &view.map(|view| view.stage)),
        status: text(|view| &view.status),
        bar,
        percent: session.text(&view.map(|view| format!("{:.0}", view.percent.floor()))),
        files: text(|view| &view.files),
        bytes: text(|view| &view.bytes),
        rate: text(|view| &view.rate),
        file: text(|view| &view.file),
    })
}

impl Default for View {
    fn default() -> Self {
        Self {
            stage: Stage::Idle,
            status: "Ready when you are.".to_owned(),
            percent: 0.0,
            files: "–".to_owned(),
            bytes: "–".to_owned(),
            rate: "–".to_owned(),
            file: String::new(),
        }
    }
}

impl View {
    fn busy(status: &str) -> Self {
        Self { stage: Stage::Busy, status: status.to_owned(), ..Self::default() }
    }

    fn hashing(progress: &Progress) -> Self {
        let share =
            if progress.total_bytes == 0 { 1.0 } else { progress.bytes as f64 / progress.total_bytes as f64 };
        Self {
            stage: Stage::Busy,
            status: "Hashing…".to_owned(),
            // A file may grow meanwhile.
            percent: (share * 100.0).min(100.0),
            files: format!("{} of {}", progress.files, progress.total_files),
            bytes: share_of(progress.bytes as f64, progress.total_bytes as f64),
            rate: format!("{}/s", size(progress.bytes_per_second)),
            file: progress.file.clone(),
        }
    }

    fn done(outcome: &Outcome) -> Self {
        let seconds = outcome.took.as_secs_f64();
        let skipped = match outcome.skipped {
            0 => String::new(),
            skipped => format!(" {skipped} could not be read."),
        };
        Self {
            stage: Stage::Done,
            status: format!("Done in {seconds:.1} s.{skipped}"),
            percent: 100.0,
            files: outcome.files.to_string(),
            bytes: size(outcome.bytes as f64),
            rate: format!("{}/s", size(outcome.bytes as f64 / seconds.max(1e-3))),
            file: format!("SHA-256 {}", outcome.digest),
        }
    }

    fn stopped(self, status: &str) -> Self {
        Self { stage: Stage::Cancelled, status: status.to_owned(), ..self }
    }
}

#[derive(Clone)]
struct Job {
    folder: Arc<PathBuf>,
    workers: Arc<Semaphore>,
    session: Session,
    view: Observable<View>,
    stop: Stop,
    /// This page has a job: one at a time.
    running: Arc<AtomicBool>,
}

impl Job {
    fn new(app: &App, session: &Session, view: &Observable<View>) -> Self {
        Self {
            folder: app.folder.clone(),
            workers: app.workers.clone(),
            session: session.clone(),
            view: view.clone(),
            stop: Stop::default(),
            running: Arc::default(),
        }
    }

    // [shown]
    fn start(&self) {
        // The button is disabled meanwhile; browsers may lie.
        if !self.running.swap(true, Ordering::AcqRel) {
            self.stop.reset();
            // Ends with the session.
            self.session.spawn(self.clone().run());
        }
    }
    // [/shown]

    async fn run(self) {
        let running = self.running.clone();
        let view = self.view.clone();
        let last = self.work().await;
        // Before the page can ask for the next one.
        running.store(false, Ordering::Release);
        view.set(last);
    }

    /// Answers what the page shows at the end.
    async fn work(self) -> View {
        let Self { folder, workers, view, stop, .. } = self;
        // When the session ends this future is dropped, and the thread must hear of it.
        let stop_with_session = stop.on_drop();
        let Ok(worker) = workers.try_acquire_owned() else {
            return View::default().stopped("Others keep the server busy. Try again in a moment.");
        };
        view.set(View::busy("Counting files…"));
        let shown = view.clone();
        let job = tokio::task::spawn_blocking(move || {
            let _worker = worker;
            job::hash_folder(&folder, &stop, |progress| shown.set(View::hashing(&progress)))
        });
        let outcome = job.await;
        drop(stop_with_session);
        match outcome {
            Ok(Ok(outcome)) => View::done(&outcome),
            Ok(Err(Stopped)) => view.get().stopped("Cancelled."),
            Err(_) => view.get().stopped("The job failed."),
        }
    }
}

fn folder_name(folder: &Path) -> String {
    let full = folder.canonicalize();
    let name = full.as_deref().unwrap_or(folder).file_name();
    name.map_or_else(|| "/".to_owned(), |name| name.to_string_lossy().into_owned())
}

fn size(bytes: f64) -> String {
    let (scale, unit) = unit(bytes);
    format!("{:.1} {unit}", bytes / scale)
}

/// Both in the unit of the whole.
fn share_of(bytes: f64, total: f64) -> String {
    let (scale, unit) = unit(total);
    format!("{:.1} of {:.1} {unit}", bytes / scale, total / scale)
}

fn unit(bytes: f64) -> (f64, &'static str) {
    match bytes {
        _ if bytes >= 1e9 => (1e9, "GB"),
        _ if bytes >= 1e6 => (1e6, "MB"),
        _ => (1e3, "kB"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use bonito_core::Endpoint;
    use tokio::sync::Notify;

    use super::*;

    #[test]
    fn sizes_have_the_unit_that_fits() {
        assert_eq!(size(0.0), "0.0 kB");
        assert_eq!(size(1_500_000.0), "1.5 MB");
        assert_eq!(size(2e10), "20.0 GB");
        assert_eq!(share_of(5e8, 2e9), "0.5 of 2.0 GB");
    }

    #[tokio::test]
    async fn a_page_has_one_job_at_a_time_however_often_it_starts_one() {
        let app = App::new(
            Endpoint::builder("/live").build(),
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src"),
        );
        let (session, view) = (app.live.session(), Observable::new(View::default()));
        let (begun, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let (begins, ends) = (begun.clone(), ended.clone());
        session.keep(view.on(move |view| match view.stage {
            Stage::Busy if view.files == View::default().files => _ = begins.fetch_add(1, Ordering::Relaxed),
            Stage::Done => ends.notify_one(),
            _ => {}
        }));
        let job = Job::new(&app, &session, &view);
        for times in 1..=2 {
            for _ in 0..3 {
                job.start();
            }
            ended.notified().await;
            assert_eq!(begun.load(Ordering::Relaxed), times);
        }
    }

    #[test]
    fn a_growing_file_does_not_go_beyond_the_end() {
        let progress = Progress { bytes: 20, total_bytes: 10, ..Progress::default() };
        assert_eq!(View::hashing(&progress).percent, 100.0);
        assert_eq!(View::hashing(&Progress::default()).percent, 100.0);
    }
}
