//! What is asked for, and how each connection stands.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use fastrand::Rng;

/// A direction, seen from the end here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Reading,
    Writing,
}

/// What a direction may do at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    /// Frames pass, each after as long as this draws.
    Pass(Latency),
    Stalled,
    HalfOpen,
    Cut,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Latency {
    least: Duration,
    most: Duration,
}

impl Leave {
    /// For what comes now.
    pub(super) fn latency(self) -> Latency {
        match self {
            Self::Pass(latency) => latency,
            Self::Stalled | Self::HalfOpen | Self::Cut => Latency::default(),
        }
    }
}

impl Latency {
    pub(super) fn is_none(self) -> bool {
        self.most.is_zero()
    }

    pub(super) fn draw(self, rng: &mut Rng) -> Duration {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(rng.u64(nanos(self.least)..=nanos(self.most)))
    }
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) seed: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    rng: Rng,
    latency: Latency,
    stalled: [bool; 2],
    frames: Option<RangeInclusive<u64>>,
    bytes: Option<RangeInclusive<u64>>,
    /// In the order in which they came: what they draw depends on it.
    lines: BTreeMap<u64, Line>,
    next: u64,
}

impl State {
    fn leave(&self, id: u64, way: Way) -> Leave {
        match self.lines.get(&id) {
            None | Some(Line { cut: true, .. }) => Leave::Cut,
            Some(Line { half_open: true, .. }) => Leave::HalfOpen,
            Some(_) if self.stalled[way as usize] => Leave::Stalled,
            Some(_) => Leave::Pass(self.latency),
        }
    }
}

/// One connection.
#[derive(Debug, Default)]
struct Line {
    cut: bool,
    half_open: bool,
    frames_left: Option<u64>,
    bytes_left: Option<u64>,
    wakers: [Option<Waker>; 2],
}

impl Shared {
    pub(super) fn new(seed: u64) -> Self {
        let state = State {
            rng: Rng::with_seed(seed),
            latency: Latency::default(),
            stalled: [false; 2],
            frames: None,
            bytes: None,
            lines: BTreeMap::new(),
            next: 0,
        };
        Self { seed, state: Mutex::new(state) }
    }

    pub(super) fn connections(&self) -> usize {
        self.lock().lines.values().filter(|line| !line.cut).count()
    }

    pub(super) fn cut(&self) {
        self.change(|state| state.lines.values_mut().for_each(|line| line.cut = true));
    }

    pub(super) fn half_open(&self) {
        self.change(|state| state.lines.values_mut().for_each(|line| line.half_open = true));
    }

    pub(super) fn latency(&self, latency: RangeInclusive<Duration>) {
        let (least, most) = latency.into_inner();
        self.change(|state| state.latency = Latency { least, most: most.max(least) });
    }

    pub(super) fn stall(&self, way: Way, stalled: bool) {
        self.change(|state| state.stalled[way as usize] = stalled);
    }

    pub(super) fn limit_frames(&self, frames: RangeInclusive<u64>) {
        self.change(|state| {
            for line in state.lines.values_mut() {
                line.frames_left = Some(draw(&mut state.rng, &frames));
            }
            state.frames = Some(frames);
        });
    }

    pub(super) fn limit_bytes(&self, bytes: RangeInclusive<u64>) {
        self.change(|state| {
            for line in state.lines.values_mut() {
                line.bytes_left = Some(draw(&mut state.rng, &bytes));
            }
            state.bytes = Some(bytes);
        });
    }

    pub(super) fn heal(&self) {
        self.change(|state| {
            (state.latency, state.stalled) = (Latency::default(), [false; 2]);
            (state.frames, state.bytes) = (None, None);
            for line in state.lines.values_mut() {
                (line.frames_left, line.bytes_left) = (None, None);
            }
        });
    }

    /// A connection comes: its number, and what it draws from in each direction.
    pub(super) fn enter(&self) -> (u64, [Rng; 2]) {
        let state = &mut *self.lock();
        let rngs = [state.rng.fork(), state.rng.fork()];
        let mut limit = |range: &Option<RangeInclusive<u64>>| Some(draw(&mut state.rng, range.as_ref()?));
        let (frames_left, bytes_left) = (limit(&state.frames), limit(&state.bytes));
        let id = state.next;
        state.next += 1;
        state.lines.insert(id, Line { frames_left, bytes_left, ..Line::default() });
        (id, rngs)
    }

    pub(super) fn exit(&self, id: u64) {
        let line = self.lock().lines.remove(&id);
        drop(line);
    }

    /// What a direction may do. The waker is woken when that may have changed.
    pub(super) fn watch(&self, id: u64, way: Way, waker: &Waker) -> Leave {
        let (leave, before) = {
            let mut state = self.lock();
            let before =
                state.lines.get_mut(&id).and_then(|line| line.wakers[way as usize].replace(waker.clone()));
            (state.leave(id, way), before)
        };
        drop(before);
        leave
    }

    /// What a direction may do.
    pub(super) fn leave(&self, id: u64, way: Way) -> Leave {
        self.lock().leave(id, way)
    }

    /// A frame goes over. Answers whether it may; if not, the connection is cut.
    pub(super) fn carry(&self, id: u64, bytes: usize) -> bool {
        let wakers = {
            let mut state = self.lock();
            let Some(line) = state.lines.get_mut(&id) else { return false };
            let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
            let frames_left = line.frames_left.map(|left| left.checked_sub(1));
            let bytes_left = line.bytes_left.map(|left| left.checked_sub(bytes));
            if frames_left != Some(None) && bytes_left != Some(None) {
                (line.frames_left, line.bytes_left) = (frames_left.flatten(), bytes_left.flatten());
                return true;
            }
            line.cut = true;
            std::mem::take(&mut line.wakers)
        };
        wakers.into_iter().flatten().for_each(Waker::wake);
        false
    }

    /// Changes what is asked for, and lets all connections look. They are woken when the lock is free again.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let wakers: Vec<Waker> = {
            let mut state = self.lock();
            change(&mut state);
            state.lines.values_mut().flat_map(|line| std::mem::take(&mut line.wakers)).flatten().collect()
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// From an empty range, its start.
fn draw(rng: &mut Rng, range: &RangeInclusive<u64>) -> u64 {
    rng.u64(*range.start()..=*range.end().max(range.start()))
}
