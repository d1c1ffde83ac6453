//! One session and its page: protocol.md §18, between the library's server and a page written from that section.
//!
//! A *schedule* is a list of steps: what the application and the page do, which bytes arrive and when, what breaks. After every
//! step it is checked that
//!
//! * each side has observed exactly once and in order what the other has sent, but for values that gave way to later ones of
//!   the same observable, and those never across another message; or both were told that continuity is lost;
//! * nobody is told so without a reason, and no honest page is refused;
//! * a hello is answered as the table of §18.5 says, and no thief gets a byte or disturbs;
//! * one socket at most has the session, and it is the one that was welcomed last;
//! * what is held stays in its bounds;
//!
//! and in the end, when the network is whole again, that everything arrives, is acknowledged, and that nothing is left when all
//! have gone.

mod exhaustive;
mod keys;
mod ledger;
mod link;
mod page;
mod schedule;
mod server;
mod setup;
mod step;
mod wire;
mod world;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

pub use exhaustive::{Explored, explore};
use schedule::Schedule;

/// Runs the schedules of these seeds on all processors. Answers how often things happened in them.
///
/// # Panics
///
/// With the shortest schedule that still fails, and all that happened in it, if one does.
pub fn run_seeds(seeds: std::ops::Range<u64>) -> BTreeMap<String, u64> {
    const CHUNK: u64 = 64;
    let next = AtomicU64::new(seeds.start);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let outcomes: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let mut counts = BTreeMap::new();
                    loop {
                        let from = next.fetch_add(CHUNK, Ordering::Relaxed);
                        let to = (from + CHUNK).min(seeds.end);
                        if from >= to {
                            return (counts, None);
                        }
                        if let Some(seed) =
                            (from..to).find(|seed| Schedule::of_seed(*seed, &mut counts).1.is_err())
                        {
                            next.store(seeds.end, Ordering::Relaxed);
                            return (counts, Some(seed));
                        }
                    }
                })
            })
            .collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).collect()
    });
    let mut counts = BTreeMap::new();
    for (what, count) in outcomes.iter().flat_map(|(counts, _)| counts) {
        *counts.entry(what.clone()).or_default() += count;
    }
    if let Some(seed) = outcomes.iter().filter_map(|(_, failed)| *failed).min() {
        let (schedule, _) = Schedule::of_seed(seed, &mut counts);
        let schedule = schedule.shrink();
        let why = schedule.run().err().unwrap_or_default();
        let text = schedule.write(&why);
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("regressions/seed-{seed}.txt"));
        let kept = match fs::write(&kept, &text) {
            Ok(()) => format!("kept as {}: give it a name that says what it shows", kept.display()),
            Err(error) => format!("not kept as {}: {error}", kept.display()),
        };
        panic!(
            "seed {seed} fails. The shortest part of it that does, {kept}\n\n{text}\n{}",
            schedule.trace()
        );
    }
    counts
}

/// What happens in the schedule of this seed.
#[must_use]
pub fn trace_seed(seed: u64) -> String {
    Schedule::of_seed(seed, &mut BTreeMap::new()).0.trace()
}

/// Runs every schedule that is kept in this directory, and answers how many there are.
///
/// # Panics
///
/// If one fails, or cannot be read.
#[must_use]
pub fn run_regressions(directory: &Path) -> usize {
    let mut files: Vec<_> = fs::read_dir(directory)
        .expect("the directory of the regressions")
        .map(|entry| entry.expect("an entry of it").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    for file in &files {
        let text = fs::read_to_string(file).expect("a schedule");
        let schedule = Schedule::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        if schedule.run().is_err() {
            panic!("{} fails again:\n\n{}", file.display(), schedule.trace());
        }
    }
    files.len()
}
