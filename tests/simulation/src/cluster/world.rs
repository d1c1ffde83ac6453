//! The world: what happens when. Whether it may is for the [judge].

mod judge;
mod leaving;
mod queue;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bonito_core::proto::cluster::{ClaimId, OpId, Request};
use bonito_core::{ClusterError, ClusterOptions};
use bytes::Bytes;

use super::broker::Broker;
use super::node::{Call, Input, Node};
use super::{Mutant, Tally};
use crate::Random;
use queue::{Entry, Happening};

/// In millionths of a second, like all times here.
const MILLISECOND: u64 = 1000;
const TTL: u64 = 2000 * MILLISECOND;
/// When nothing goes wrong any more, and when all must be right.
const CALM: u64 = 5 * TTL;
const END: u64 = CALM + 4 * TTL;

const NAMES: [&str; 2] = ["ada", "bob"];
const GROUPS: [&str; 2] = ["lobby", "attic"];

struct World {
    random: Random,
    mutant: Option<Mutant>,
    options: ClusterOptions,
    base: Instant,
    now: u64,
    queue: BinaryHeap<Reverse<Entry>>,
    serial: u64,
    broker: Broker,
    nodes: Vec<Node>,
    /// When the last frame from one to another comes, directly or to all: later ones come later.
    order: BTreeMap<(u64, usize, bool), u64>,
    /// The latest epoch in which somebody could act under a name, and who.
    acting: BTreeMap<Arc<str>, (u64, u64, ClaimId)>,
    calm: bool,
    tally: Tally,
    incarnations: u64,
}

/// Runs the schedule of a seed.
///
/// # Errors
///
/// What must not be.
pub fn run(seed: u64, mutant: Option<Mutant>) -> Result<Tally, String> {
    World::new(seed, mutant).run()
}

impl World {
    fn new(seed: u64, mutant: Option<Mutant>) -> Self {
        let mut options = ClusterOptions::new("simulation");
        options.lease_ttl = Duration::from_micros(TTL);
        let mut world = Self {
            random: Random::new(seed),
            mutant,
            options,
            base: Instant::now(),
            now: 0,
            queue: BinaryHeap::new(),
            serial: 0,
            broker: Broker::new(mutant),
            nodes: Vec::new(),
            order: BTreeMap::new(),
            acting: BTreeMap::new(),
            calm: false,
            tally: Tally::default(),
            incarnations: 0,
        };
        let nodes = world.random.range(3, 6);
        for _ in 0..nodes {
            let node = world.new_node();
            world.nodes.push(node);
        }
        world
    }

    fn new_node(&mut self) -> Node {
        self.incarnations += 1;
        // Not slower than three quarters of the broker's clock, and as much faster as you like.
        let slowest = if self.mutant == Some(Mutant::SlowClock) { 300_000 } else { 760_000 };
        let rate = self.random.range(slowest, 1_300_000);
        let offset = self.random.range(0, 1_000_000_000);
        let mut options = self.options.clone();
        if self.mutant == Some(Mutant::CountsTooLong) {
            options.lease_ttl += options.lease_ttl / 2;
        }
        Node::new(self.incarnations, self.base, rate, offset, self.now, &options)
    }

    fn run(mut self) -> Result<Tally, String> {
        for node in 0..self.nodes.len() {
            self.after(0, Happening::Rings(node));
            self.after(0, Happening::Acts(node));
        }
        self.after(0, Happening::Breaks);
        self.at(CALM, Happening::Calms);
        while let Some(Reverse(Entry(at, _, happening))) = self.queue.pop() {
            if at > END {
                break;
            }
            self.now = at;
            self.happen(happening).map_err(|what| format!("at {} ms: {what}", at / MILLISECOND))?;
        }
        self.now = END;
        self.check_end().map_err(|what| format!("at the end: {what}"))?;
        Ok(self.tally)
    }

    fn at(&mut self, at: u64, happening: Happening) {
        self.serial += 1;
        self.queue.push(Reverse(Entry(at, self.serial, happening)));
    }

    fn after(&mut self, time: u64, happening: Happening) {
        self.at(self.now + time, happening);
    }

    fn happen(&mut self, happening: Happening) -> Result<(), String> {
        match happening {
            Happening::Arrives(node, id, input) => {
                if self.is(node, id) {
                    if self.nodes[node].paused {
                        self.nodes[node].inbox.push_back(input);
                    } else {
                        self.input(node, input)?;
                    }
                }
            }
            Happening::Asks(node, id, request) => self.ask(node, id, request),
            Happening::TimesOut(node, id, request) => {
                let op = op(&request);
                if self.is(node, id) && self.nodes[node].calls.contains_key(&op) {
                    let input = match request {
                        Request::Acquire { .. } => Input::Acquired(op, Err(())),
                        Request::Renew { .. } => Input::Renewed(op, Err(())),
                        Request::Release { .. } => Input::Released(op, Err(())),
                    };
                    return self.happen(Happening::Arrives(node, id, input));
                }
            }
            Happening::Wakes(node, id) => {
                if self.is(node, id) {
                    self.nodes[node].paused = false;
                    // The first thing that it does may be an act.
                    self.check()?;
                    let waiting = std::mem::take(&mut self.nodes[node].inbox);
                    if self.random.chance(50) {
                        self.ring(node)?;
                    }
                    for input in waiting {
                        self.input(node, input)?;
                    }
                    self.ring(node)?;
                }
            }
            Happening::Rings(node) => {
                if self.nodes[node].runs() && self.nodes[node].timer <= self.now {
                    self.ring(node)?;
                }
            }
            Happening::Acts(node) => {
                if !self.calm {
                    if self.nodes[node].runs() && !self.nodes[node].leaving {
                        self.act(node)?;
                    }
                    let pause = self.random.range(20, 700) * MILLISECOND;
                    self.after(pause, Happening::Acts(node));
                }
            }
            Happening::Breaks => {
                if !self.calm {
                    self.break_something()?;
                    let pause = self.random.range(50, 1500) * MILLISECOND;
                    self.after(pause, Happening::Breaks);
                }
            }
            Happening::Heals(node) => self.heal(node)?,
            Happening::Starts(node) => self.start(node)?,
            Happening::Ends(node, id) => {
                if self.is(node, id) && self.nodes[node].paused {
                    self.after(10 * MILLISECOND, Happening::Ends(node, id));
                } else if self.is(node, id) {
                    self.end(node);
                }
            }
            Happening::Calms => {
                self.calm = true;
                for node in 0..self.nodes.len() {
                    self.heal(node)?;
                    let id = self.number(node);
                    self.happen(Happening::Wakes(node, id))?;
                    self.start(node)?;
                }
                if self.random.chance(50) {
                    let node = self.random.below(self.nodes.len());
                    self.after(2 * TTL, Happening::LeavesForGood(node));
                }
            }
            Happening::LeavesForGood(node) => self.leave_for_good(node)?,
            Happening::IsGone(node, names) => self.is_gone(node, names)?,
            Happening::IsHeld(node, name) => self.is_held(node, &name)?,
        }
        Ok(())
    }

    /// Which process of this place it is.
    fn number(&self, node: usize) -> u64 {
        self.nodes[node].number
    }

    fn is(&self, node: usize, id: u64) -> bool {
        self.nodes[node].alive && self.number(node) == id
    }

    fn heal(&mut self, node: usize) -> Result<(), String> {
        let was = std::mem::replace(&mut self.nodes[node].linked, true);
        self.nodes[node].answers_lost = false;
        if !was && self.nodes[node].alive {
            let id = self.number(node);
            self.happen(Happening::Arrives(node, id, Input::Gap))?;
        }
        Ok(())
    }

    fn start(&mut self, node: usize) -> Result<(), String> {
        if !self.nodes[node].alive && !self.nodes[node].gone {
            self.nodes[node] = self.new_node();
            self.ring(node)?;
        }
        Ok(())
    }

    fn break_something(&mut self) -> Result<(), String> {
        let node = self.random.below(self.nodes.len());
        let time = self.random.range(100, 2 * TTL / MILLISECOND) * MILLISECOND;
        let id = self.number(node);
        match self.random.range(0, 12) {
            0..4 => {
                self.tally.cuts += 1;
                self.nodes[node].linked = false;
                self.after(time, Happening::Heals(node));
            }
            4 => {
                self.nodes[node].answers_lost = true;
                self.after(time, Happening::Heals(node));
            }
            5..8 => {
                if self.nodes[node].runs() {
                    self.tally.pauses += 1;
                    self.nodes[node].paused = true;
                    self.after(time, Happening::Wakes(node, id));
                }
            }
            8..10 => {
                if self.nodes[node].alive {
                    self.tally.crashes += 1;
                    self.nodes[node].alive = false;
                    self.after(time, Happening::Starts(node));
                }
            }
            _ => self.leave(node)?,
        }
        Ok(())
    }

    /// What the app of a process does: registers, joins, sends.
    fn act(&mut self, node: usize) -> Result<(), String> {
        let name: Arc<str> = NAMES[self.random.below(NAMES.len())].into();
        let group: Arc<str> = GROUPS[self.random.below(GROUPS.len())].into();
        let serial = self.random.range(1, 4);
        let (now, id) = (self.now, self.number(node));
        self.serial += 1;
        let claim = ClaimId(self.serial);
        let what = self.random.range(0, 12);
        let here = &mut self.nodes[node];
        let local = here.local(now);
        match what {
            0..4 => {
                if !here.claims.contains_key(&name) {
                    here.claims.insert(name.clone(), (claim, None));
                    here.machine.claim(claim, &name, claim.0, local);
                }
            }
            4 => {
                if let Some((claim, _)) = here.claims.remove(&name) {
                    here.machine.release(claim, local);
                }
            }
            5..7 => {
                let meta = Bytes::from(claim.0.to_string());
                here.members.insert((group.clone(), serial), meta.clone());
                assert!(here.machine.join(&group, serial, meta), "there is room");
            }
            7 => {
                here.members.remove(&(group.clone(), serial));
                here.machine.leave(&group, serial);
            }
            8..11 => {
                if let Some(owner) = here.machine.owner(&name) {
                    here.sent += 1;
                    let message = format!("{id} {} {name} {}", here.sent, owner.epoch);
                    let _ = here.machine.send(&name, owner, Some(here.sent), message.into());
                }
            }
            _ => {
                here.sent += 1;
                let message = format!("{id} {}", here.sent);
                let _ = here.machine.publish(&group, message.into());
            }
        }
        self.drain(node)
    }

    fn ring(&mut self, node: usize) -> Result<(), String> {
        let now = self.now;
        let here = &mut self.nodes[node];
        if !here.runs() {
            return Ok(());
        }
        let local = here.local(now);
        here.machine.handle_timeout(local);
        self.drain(node)
    }

    fn input(&mut self, node: usize, input: Input) -> Result<(), String> {
        let now = self.now;
        let here = &mut self.nodes[node];
        let local = here.local(now);
        let lost = |()| ClusterError::unreachable("no answer");
        if here.leaving {
            here.note_last_calls(&input);
        }
        match input {
            Input::Frame(bytes) => here.machine.handle_frame(&bytes, local),
            Input::Bye(from, bytes) => {
                here.machine.handle_frame(&bytes, local);
                here.left.insert(from, local + self.options.lease_ttl);
            }
            Input::Gap => here.machine.handle_gap(local),
            Input::Acquired(op, result) => {
                if here.calls.remove(&op) == Some(Call::Acquire) {
                    here.machine.handle_acquired(op, result.map_err(lost), local);
                }
            }
            Input::Renewed(op, result) => {
                if here.calls.remove(&op) == Some(Call::Renew) {
                    here.machine.handle_renewed(op, result.map_err(lost), local);
                }
            }
            Input::Released(op, result) => {
                if here.calls.remove(&op) == Some(Call::Release) {
                    here.machine.handle_released(op, result.map_err(lost), local);
                }
            }
        }
        self.drain(node)
    }

    /// Does what the machine of a process wants, and looks whether all is well.
    fn drain(&mut self, node: usize) -> Result<(), String> {
        while let Some(event) = self.nodes[node].machine.poll_event() {
            self.told(node, event)?;
        }
        self.check()?;
        self.check_left(node)?;
        while let Some(request) = self.nodes[node].machine.poll_request() {
            self.call(node, request);
        }
        let local = self.nodes[node].local(self.now);
        while let Some(transmit) = self.nodes[node].machine.poll_transmit(local) {
            if self.nodes[node].linked {
                let to = transmit.to.and_then(|to| self.nodes.iter().position(|node| node.id == to));
                self.publish(node, transmit.to.is_none(), to, &transmit.bytes);
            } else if self.random.chance(20) {
                self.nodes[node].machine.handle_publish_failed();
            }
        }
        let here = &self.nodes[node];
        let due = here.world(here.machine.poll_timeout()).max(self.now + 1);
        if due != here.timer {
            self.nodes[node].timer = due;
            self.at(due, Happening::Rings(node));
        }
        self.end_if_done(node)
    }

    fn publish(&mut self, from: usize, all: bool, to: Option<usize>, bytes: &Bytes) {
        let id = self.number(from);
        for node in 0..self.nodes.len() {
            if node == from || !all && to != Some(node) {
                continue;
            }
            let lost = !self.calm && self.random.chance(2);
            let snapshot = self.mutant == Some(Mutant::NoSnapshots)
                && (contains(bytes, b"Snapshot") || contains(bytes, b"Pull"));
            let bye = contains(bytes, b"Bye");
            let silent = bye && self.mutant == Some(Mutant::LeavesSilently);
            if lost || snapshot || silent || !self.nodes[node].linked || !self.nodes[node].alive {
                continue;
            }
            let mut at = self.now + self.random.range(1, 30) * MILLISECOND;
            if !self.calm && self.random.chance(3) {
                at += self.random.range(1, TTL);
            }
            let last = self.order.entry((id, node, all)).or_default();
            if self.mutant != Some(Mutant::Disorder) {
                at = at.max(*last + 1);
            }
            *last = at;
            let receiver = self.number(node);
            let bytes = bytes.clone();
            let input = if bye { Input::Bye(self.nodes[from].id, bytes) } else { Input::Frame(bytes) };
            self.at(at, Happening::Arrives(node, receiver, input));
        }
    }

    /// A process calls the broker.
    fn call(&mut self, node: usize, request: Request) {
        let id = self.number(node);
        let (op, call) = match &request {
            Request::Acquire { op, .. } => (*op, Call::Acquire),
            Request::Renew { op, .. } => (*op, Call::Renew),
            Request::Release { op, .. } => (*op, Call::Release),
        };
        let here = &mut self.nodes[node];
        here.calls.insert(op, call);
        let patience = here.world(here.local(self.now) + Duration::from_micros(TTL / 6));
        self.at(patience, Happening::TimesOut(node, id, request.clone()));
        let time = self.way();
        if self.nodes[node].linked && (self.calm || !self.random.chance(4)) {
            self.after(time, Happening::Asks(node, id, request));
        }
    }

    /// How long a call or an answer is under way: at times longer than anybody waits.
    fn way(&mut self) -> u64 {
        if !self.calm && self.random.chance(5) {
            self.random.range(1, 2 * TTL)
        } else {
            self.random.range(1, 20) * MILLISECOND
        }
    }

    /// The call has arrived, even if the process is no more.
    fn ask(&mut self, node: usize, id: u64, request: Request) {
        let now = self.now;
        // The broker keeps what the cluster's time says, whatever a wrong node counts with.
        let input = match request {
            Request::Acquire { op, name, value, .. } => {
                Input::Acquired(op, Ok(self.broker.acquire(&name, value, TTL, now)))
            }
            Request::Renew { op, name, epoch, .. } => {
                Input::Renewed(op, Ok(self.broker.renew(&name, epoch, TTL, now)))
            }
            Request::Release { op, name, epoch } => {
                self.broker.release(&name, epoch);
                Input::Released(op, Ok(()))
            }
        };
        let time = self.way();
        let here = &self.nodes[node];
        if here.linked && !here.answers_lost && (self.calm || !self.random.chance(4)) {
            self.after(time, Happening::Arrives(node, id, input));
        }
    }
}

fn op(request: &Request) -> OpId {
    match request {
        Request::Acquire { op, .. } | Request::Renew { op, .. } | Request::Release { op, .. } => *op,
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
