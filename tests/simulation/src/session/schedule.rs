//! Schedules: made from a seed, written down, run, and made shorter while they still fail.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bonito_core::proto::resume::Takeover;

use super::setup::{Bounds, Setup};
use super::step::Step;
use super::world::{Failure, World};

/// Steps of one schedule.
const STEPS: usize = 100;

#[derive(Clone, Debug)]
pub(super) struct Schedule {
    pub(super) setup: Setup,
    pub(super) steps: Vec<Step>,
}

/// What a seed tends to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    /// Sockets break, and nothing else does.
    Cuts,
    /// Other pages and thieves come.
    Company,
    /// The page misbehaves, clocks jump, the server restarts.
    Trouble,
}

impl Schedule {
    /// Runs a seed: each step is chosen where the world stands then. Answers what was done, and how it went.
    pub(super) fn of_seed(seed: u64, counts: &mut BTreeMap<String, u64>) -> (Self, Result<(), Failure>) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let setup = Setup {
            bounds: [Bounds::Wide, Bounds::Small, Bounds::Small, Bounds::Tiny][rng.usize(..4)],
            takeover: [Takeover::Fork, Takeover::Fork, Takeover::Reject, Takeover::Newest][rng.usize(..4)],
            room: [2, 8, 64][rng.usize(..3)],
        };
        let mood = [Mood::Cuts, Mood::Cuts, Mood::Company, Mood::Trouble][rng.usize(..4)];
        let mut schedule = Self { setup, steps: Vec::with_capacity(STEPS) };
        let result = guarded(|| {
            let mut world = World::new(setup, false);
            for _ in 0..STEPS {
                let step = choose(&mut rng, mood, &world);
                schedule.steps.push(step);
                world.apply(step)?;
            }
            let settled = world.settle();
            for (what, count) in &world.counts {
                *counts.entry(what.clone()).or_default() += count;
            }
            settled
        });
        (schedule, result)
    }

    pub(super) fn run(&self) -> Result<(), Failure> {
        guarded(|| {
            let mut world = World::new(self.setup, false);
            self.steps.iter().try_for_each(|step| world.apply(*step))?;
            world.settle()
        })
    }

    /// Runs it and tells what happened.
    pub(super) fn trace(&self) -> String {
        let mut lines = vec![self.setup.to_string()];
        let mut world = World::new(self.setup, true);
        let result = guarded(|| {
            self.steps.iter().try_for_each(|step| world.apply(*step))?;
            world.settle()
        });
        lines.extend(world.into_trace());
        lines.push(match result {
            Ok(()) => "all is well".into(),
            Err(failure) => format!("FAILED: {failure}"),
        });
        lines.join("\n")
    }

    /// The fewest steps, found by leaving some out, that still fail.
    pub(super) fn shrink(mut self) -> Self {
        let mut size = self.steps.len().div_ceil(2);
        loop {
            let mut at = 0;
            while at < self.steps.len() {
                let mut fewer = self.clone();
                fewer.steps.drain(at..(at + size).min(self.steps.len()));
                if fewer.run().is_err() {
                    self = fewer;
                } else {
                    at += size;
                }
            }
            if size == 1 {
                return self;
            }
            size = size.div_ceil(2);
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        let setup = lines.next().ok_or("an empty schedule")?.parse()?;
        let steps = lines.map(str::parse).collect::<Result<_, _>>()?;
        Ok(Self { setup, steps })
    }

    /// As [`parse`](Self::parse) reads it.
    pub(super) fn write(&self, why: &str) -> String {
        let mut text = String::new();
        for line in why.lines() {
            let _ = writeln!(text, "# {line}");
        }
        let _ = writeln!(text, "{}", self.setup);
        for step in &self.steps {
            let _ = writeln!(text, "{step}");
        }
        text
    }
}

/// A panic of the machine is a failure as any other.
fn guarded(run: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        Err(format!("panicked: {}", text.or_else(|| panic.downcast_ref().copied()).unwrap_or("no message")))
    })
}

fn choose(rng: &mut fastrand::Rng, mood: Mood, world: &World) -> Step {
    let tabs = world.tabs.len();
    let tab = if rng.u8(..8) > 0 { world.owner.unwrap_or(0) } else { rng.usize(..tabs) };
    let link = match world.tabs[tab].link {
        Some(link) if rng.u8(..6) > 0 => link,
        _ => rng.usize(..world.links.len().max(1)),
    };
    let bytes = if rng.u8(..4) > 0 { 8 } else { rng.usize(8..128) };
    let few = [1, 1, 2, 3, 8, 40][rng.usize(..6)];
    if world.tabs[tab].link.is_none() && rng.u8(..4) == 0 {
        return Step::Connect { tab };
    }
    if rng.u8(..100) < 82 {
        return match rng.u8(..16) {
            0..=1 => Step::Send { bytes },
            2..=3 => Step::Set { observable: rng.u8(..3), bytes },
            4..=6 => Step::Say { tab, bytes },
            7 if rng.bool() => Step::Ask { tab },
            8 if rng.u8(..3) == 0 => Step::Bulk { bytes },
            9 if rng.u8(..3) == 0 => Step::Each { bytes },
            7..=9 => Step::Up { link, frames: few },
            10..=12 => Step::Down { link, frames: few },
            13 => Step::Wait { milliseconds: [10, 300, 600, 1000][rng.usize(..4)] },
            14 => Step::Up { link, frames: 40 },
            _ => Step::Down { link, frames: 40 },
        };
    }
    match (mood, rng.u8(..12)) {
        (_, 0..=2) => Step::Cut { link, up: rng.usize(..4), down: rng.usize(..4) },
        (_, 3) if rng.u8(..3) == 0 => Step::Vanish { link, ways: rng.u8(1..=3) },
        (_, 3) => Step::Wait { milliseconds: [500, 5_000, 16_000, 31_000][rng.usize(..4)] },
        (_, 4) => Step::Bye { link },
        (_, 5) if rng.bool() => Step::Garble { tab },
        (Mood::Company, 6) => Step::Duplicate {},
        (Mood::Company, 7..=10) => Step::Thief { kind: rng.u8(..8) },
        (Mood::Trouble, 6..=7) => Step::Stray { link, kind: rng.u8(..6) },
        (Mood::Trouble, 8) => Step::Identity { other: rng.u8(..2) },
        (Mood::Trouble, 9) => Step::JumpServer { seconds: [1, 1, 5, 40, 120][rng.usize(..5)] },
        (Mood::Trouble, 10) => Step::JumpPage { seconds: [1, 1, 5, 40, 3600][rng.usize(..5)] },
        (Mood::Trouble, 11) => match rng.u8(..8) {
            0 => Step::Restart {},
            1 => Step::Close {},
            2 => Step::Leave { tab },
            3 => Step::Wait { milliseconds: 61_000 },
            _ => Step::Wait { milliseconds: 500 },
        },
        _ => Step::Cut { link, up: rng.usize(..10), down: rng.usize(..10) },
    }
}
