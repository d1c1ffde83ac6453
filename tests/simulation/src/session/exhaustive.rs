//! A small world, and everything that can happen in it: so many messages each way and so many breaks, in every order.
//!
//! What can happen next is tried in each state once; a state is everything that there is, the machine and what is on its way
//! included. It is reached again by doing all that led to it from the beginning.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use bonito_core::proto::resume::Takeover;

use super::link::Owner;
use super::page::State;
use super::setup::{Bounds, Setup};
use super::step::Step;
use super::world::{Failure, World};

const SETUP: Setup = Setup { bounds: Bounds::Wide, takeover: Takeover::Fork, room: 64 };

/// How much may happen.
#[derive(Clone, Copy, Debug)]
struct Budget {
    sends: usize,
    says: usize,
    breaks: usize,
    /// Seconds that go by, so that somebody acknowledges.
    seconds: usize,
}

/// What there was to see.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Explored {
    /// Different states.
    pub states: usize,
    /// Ways in which everything came to rest, each followed by a network that is whole.
    pub ends: usize,
    /// How often what happened, in all ways to an end that were tried.
    pub counts: BTreeMap<String, u64>,
}

/// Tries everything with so many messages each way, so many breaks, and so many times at which somebody acknowledges.
///
/// # Panics
///
/// With what was done, if a promise is broken by it.
#[must_use]
pub fn explore(messages: usize, breaks: usize, seconds: usize) -> Explored {
    let budget = Budget { sends: messages, says: messages, breaks, seconds };
    let frontier = Frontier::default();
    lock(&frontier.waiting).push(vec![]);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let found: Vec<Explored> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| work(budget, &frontier))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    let mut explored = Explored::default();
    for part in found {
        explored.states += part.states;
        explored.ends += part.ends;
        for (what, count) in part.counts {
            *explored.counts.entry(what).or_default() += count;
        }
    }
    explored
}

/// What is left to be tried, and what has been.
#[derive(Debug, Default)]
struct Frontier {
    waiting: Mutex<Vec<Vec<Step>>>,
    seen: Mutex<HashSet<u64>>,
    busy: AtomicUsize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn work(budget: Budget, frontier: &Frontier) -> Explored {
    let mut explored = Explored::default();
    loop {
        let path = {
            let mut waiting = lock(&frontier.waiting);
            let path = waiting.pop();
            if path.is_some() {
                frontier.busy.fetch_add(1, Ordering::SeqCst);
            } else if frontier.busy.load(Ordering::SeqCst) == 0 {
                return explored;
            }
            path
        };
        let Some(path) = path else {
            thread::yield_now();
            continue;
        };
        let result = visit(&path, budget, &frontier.seen, &mut explored);
        let longer = result.as_ref().map_or(&[][..], Vec::as_slice).iter().map(|step| {
            let mut longer = path.clone();
            longer.push(*step);
            longer
        });
        lock(&frontier.waiting).extend(longer);
        frontier.busy.fetch_sub(1, Ordering::SeqCst);
        if let Err(failure) = result {
            lock(&frontier.waiting).clear();
            let steps: Vec<_> = path.iter().map(Step::to_string).collect();
            panic!("{failure}\n\n{SETUP}\n{}", steps.join("\n"));
        }
    }
}

/// Goes there, and answers what may happen next.
fn visit(
    path: &[Step],
    budget: Budget,
    seen: &Mutex<HashSet<u64>>,
    explored: &mut Explored,
) -> Result<Vec<Step>, Failure> {
    let mut world = World::new(SETUP, false);
    // What only time makes different is not different here.
    world.tabs[0].page.pause = Duration::ZERO;
    path.iter().try_for_each(|step| world.apply(*step))?;
    let mut hasher = DefaultHasher::new();
    world.fingerprint().hash(&mut hasher);
    if !lock(seen).insert(hasher.finish()) {
        return Ok(Vec::new());
    }
    explored.states += 1;
    let choices = choices(path, budget, &world);
    if choices.is_empty() {
        explored.ends += 1;
        world.settle()?;
        for (what, count) in world.counts {
            *explored.counts.entry(what).or_default() += count;
        }
    }
    Ok(choices)
}

fn choices(path: &[Step], budget: Budget, world: &World) -> Vec<Step> {
    let count = |is: fn(&Step) -> bool| path.iter().filter(|step| is(step)).count();
    let mut choices = Vec::new();
    if count(|step| matches!(step, Step::Send { .. })) < budget.sends {
        choices.push(Step::Send { bytes: 8 });
    }
    if count(|step| matches!(step, Step::Say { .. })) < budget.says {
        choices.push(Step::Say { tab: 0, bytes: 8 });
    }
    if count(|step| matches!(step, Step::Wait { milliseconds: 1000 })) < budget.seconds {
        choices.push(Step::Wait { milliseconds: 1000 });
    }
    let tab = &world.tabs[0];
    if let State::Waiting { until } = tab.page.state() {
        debug_assert!(*until <= world.page_now());
        choices.push(Step::Connect { tab: 0 });
    }
    for (at, link) in world.links.iter().enumerate() {
        if !link.to_server.is_empty() {
            choices.push(Step::Up { link: at, frames: 1 });
        }
        if !link.to_page.is_empty() && link.held {
            choices.push(Step::Down { link: at, frames: 1 });
        }
    }
    let whole = count(|step| matches!(step, Step::Cut { .. })) == budget.breaks;
    if whole && world.links.iter().any(|link| link.held && !link.to_page.is_empty()) {
        // What the page does now and what the server does are independent, and the page knows already what comes next to it: the
        // order between the two makes no difference any more.
        choices.retain(|step| matches!(step, Step::Say { .. } | Step::Down { .. } | Step::Connect { .. }));
        return choices;
    }
    if !whole && let Some(link) = tab.link {
        debug_assert_eq!(world.links[link].owner, Owner::Tab(0));
        choices.push(Step::Cut { link, up: 0, down: 0 });
        if !world.links[link].to_server.is_empty() {
            // What is on its way arrives late, when there may be another socket.
            choices.push(Step::Cut { link, up: usize::MAX, down: 0 });
        }
    }
    choices
}
