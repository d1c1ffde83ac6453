//! Many seeds, on all processors.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// What went wrong, and when.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "for tests")]
pub struct Failure {
    /// The schedule.
    pub seed: u64,
    /// What went wrong.
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SEED={}: {}", self.seed, self.what)
    }
}

/// Runs the schedules of so many seeds, or what `SEEDS` and `SEED` say, and adds up what they answer.
///
/// # Errors
///
/// The failure with the lowest seed of those that were found until all threads had stopped.
pub fn run_seeds<T: Default + Send>(
    default: u64,
    run: impl Fn(u64) -> Result<T, String> + Sync,
    add: impl Fn(&mut T, T) + Sync,
) -> Result<T, Failure> {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let (first, end) = match (number("SEED"), number("SEEDS")) {
        (Some(seed), _) => (seed, seed + 1),
        (None, seeds) => (0, seeds.unwrap_or(default)),
    };
    let next = AtomicU64::new(first);
    let failed = Mutex::new(None::<Failure>);
    let sum = Mutex::new(T::default());
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut mine = T::default();
                while failed.lock().unwrap().is_none() {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        break;
                    }
                    match run(seed) {
                        Ok(one) => add(&mut mine, one),
                        Err(what) => {
                            let mut failed = failed.lock().unwrap();
                            if failed.as_ref().is_none_or(|failure| seed < failure.seed) {
                                *failed = Some(Failure { seed, what });
                            }
                        }
                    }
                }
                add(&mut sum.lock().unwrap(), mine);
            });
        }
    });
    match failed.into_inner().unwrap() {
        Some(failure) => Err(failure),
        None => Ok(sum.into_inner().unwrap()),
    }
}
