//! Everything that there is in one schedule, and what must hold of it after every step.

mod judge;
mod network;
mod time;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bonito_core::{CloseReason, Observable, ObservableId};
use bytes::Bytes;

use super::ledger::{Ledger, Message, Observer};
use super::link::{Link, Owner, Packet};
use super::page::{Page, State};
use super::server::{RENDERING, Sent, Server};
use super::setup::Setup;
use super::step::Step;
use super::wire::{Control, Secret};

/// The longest message of the application.
pub(super) const MOST_BYTES: usize = 128;
/// Observables of the application.
const OBSERVABLES: usize = 3;
/// Once the network is whole again, nothing takes longer.
const PATIENCE: Duration = Duration::from_secs(90);

/// The server waits at least so long for a page.
const PATIENCE_OF_SERVER: Duration = Duration::from_secs(30);

/// What is wrong, in words.
pub(super) type Failure = String;

/// One load of the page.
#[derive(Debug)]
pub(super) struct Tab {
    pub(super) page: Page,
    pub(super) link: Option<usize>,
    /// What its code has sent, and how far the application is with it.
    sent: Ledger,
    heard: Observer,
    /// How far the page is with what the application has sent.
    sees: Observer,
    sees_large: Observer,
}

#[derive(Debug)]
pub(super) struct World {
    setup: Setup,
    start: Instant,
    now: Duration,
    server_ahead: Duration,
    page_ahead: Duration,
    pub(super) server: Option<Server>,
    pub(super) tabs: Vec<Tab>,
    pub(super) links: Vec<Link>,
    observables: [ObservableId; OBSERVABLES],
    /// What the application has sent.
    sent: Ledger,
    /// Large data, which goes its own way.
    sent_large: Ledger,
    numbers: u32,
    /// The tab whose hello was welcomed last.
    pub(super) owner: Option<usize>,
    other_identity: bool,
    /// What has happened that may cost continuity.
    excuses: BTreeSet<&'static str>,
    /// What the application was told.
    pub(super) told: Vec<String>,
    /// How often things happened, by what they are called.
    pub(super) counts: BTreeMap<String, u64>,
    trace: Option<Vec<String>>,
}

thread_local! {
    static OBSERVABLE_IDS: [ObservableId; OBSERVABLES] =
        std::array::from_fn(|_| Observable::new(0_u8).id());
    static START: Instant = Instant::now();
}

const PAGE_KEY: Secret = [0xee; 32];

impl World {
    pub(super) fn new(setup: Setup, traced: bool) -> Self {
        let start = START.with(|start| *start) + RENDERING;
        let limits = setup.limits();
        let server = Server::new(PAGE_KEY, &limits, setup.takeover, start);
        let mut world = Self {
            setup,
            start,
            now: Duration::ZERO,
            server_ahead: Duration::ZERO,
            page_ahead: Duration::ZERO,
            server: Some(server),
            tabs: Vec::new(),
            links: Vec::new(),
            observables: OBSERVABLE_IDS.with(|ids| *ids),
            sent: Ledger::default(),
            sent_large: Ledger::default(),
            numbers: 0,
            owner: None,
            other_identity: false,
            excuses: BTreeSet::new(),
            told: Vec::new(),
            counts: BTreeMap::new(),
            trace: traced.then(Vec::new),
        };
        world.open_tab();
        world
    }

    /// Everything that what happens next depends on.
    pub(super) fn fingerprint(&self) -> String {
        format!(
            "{:?}{:?}{:?}{:?}{:?}{:?}",
            self.now, self.server, self.tabs, self.links, self.sent, self.owner
        )
    }

    pub(super) fn into_trace(self) -> Vec<String> {
        self.trace.unwrap_or_default()
    }

    fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(line());
        }
    }

    fn count(&mut self, what: &str) {
        *self.counts.entry(what.trim_end().to_owned()).or_default() += 1;
    }

    fn open_tab(&mut self) {
        let announcement = self.server.as_ref().map_or_else(Bytes::new, Server::announcement);
        let instance = [0x10 + self.tabs.len() as u8; 16];
        let page = Page::new(instance, PAGE_KEY, announcement, self.setup.page_bytes());
        self.tabs.push(Tab {
            page,
            link: None,
            sent: Ledger::default(),
            heard: Observer::default(),
            sees: Observer::default(),
            sees_large: Observer::default(),
        });
    }

    pub(super) fn server_now(&self) -> Instant {
        self.start + self.now + self.server_ahead
    }

    pub(super) fn page_now(&self) -> Duration {
        self.now + self.page_ahead
    }

    /// Does one step and checks everything.
    pub(super) fn apply(&mut self, step: Step) -> Result<(), Failure> {
        self.note(|| format!("{step}"));
        self.act(step)?;
        self.pump()?;
        self.check()
    }

    fn act(&mut self, step: Step) -> Result<(), Failure> {
        match step {
            Step::Send { bytes } => self.send(Sent::Message, 0xff, bytes),
            Step::Bulk { bytes } => self.send(Sent::Large, 0xfe, bytes),
            Step::Each { bytes } => self.send(Sent::Each, 0xfd, bytes),
            Step::Set { observable, bytes } => {
                let at = usize::from(observable) % OBSERVABLES;
                self.send(Sent::Value(self.observables[at]), at as u8, bytes);
            }
            Step::Say { tab, bytes } => self.say(tab, bytes),
            Step::Ask { tab } => self.put(tab, Bytes::from_static(b"\x81\xa8msg_type\xa211")),
            Step::Garble { tab } => {
                self.excuses.insert("garbled");
                self.put(tab, Bytes::from_static(b"\x81\xa8msg_type"));
            }
            Step::Connect { tab } => self.connect(tab),
            Step::Up { link, frames } => {
                for _ in 0..frames {
                    self.up(link)?;
                }
            }
            Step::Down { link, frames } => {
                for _ in 0..frames {
                    self.down(link)?;
                }
            }
            Step::Cut { link, up, down } => {
                if let Some(link) = self.links.get_mut(link) {
                    link.cut(up, down);
                }
            }
            Step::Vanish { link, ways } => {
                if let Some(link) = self.links.get_mut(link) {
                    link.vanish(ways);
                }
            }
            Step::Bye { link } => {
                let now = self.server_now();
                self.excuses.insert("drained");
                if let (Some(server), Some(to)) = (&mut self.server, self.links.get_mut(link)) {
                    server.leave(link, Some((1012, "retry-after=500")), to, now)?;
                }
            }
            Step::Stray { link, kind } => self.stray(link, kind),
            Step::Leave { tab } => self.leave(tab),
            Step::Duplicate {} => {
                if self.tabs.len() < 3 && self.server.is_some() {
                    self.excuses.insert("duplicate");
                    self.open_tab();
                }
            }
            Step::Thief { kind } => self.thief(kind),
            Step::Wait { milliseconds } => self.wait(Duration::from_millis(milliseconds))?,
            Step::JumpServer { seconds } => {
                self.server_ahead += Duration::from_secs(seconds);
                self.wait(Duration::ZERO)?;
            }
            Step::JumpPage { seconds } => {
                self.page_ahead += Duration::from_secs(seconds);
                self.wait(Duration::ZERO)?;
            }
            Step::Restart {} => self.restart(),
            Step::Identity { other } => self.other_identity = other % 2 == 1,
            Step::Close {} => {
                let now = self.server_now();
                if let Some(server) = &mut self.server {
                    self.excuses.insert("closed");
                    server.close(CloseReason::Application, now);
                }
            }
        }
        Ok(())
    }

    fn number(&mut self) -> u32 {
        self.numbers += 1;
        self.numbers
    }

    fn send(&mut self, sent: Sent, kind: u8, bytes: usize) {
        let (now, number) = (self.server_now(), self.number());
        let Some(server) = &mut self.server else { return };
        if server.is_closed() {
            return;
        }
        let message = match sent {
            Sent::Message | Sent::Large => Message::Barrier(number),
            Sent::Value(_) => Message::Value { observable: kind, number },
            Sent::Each => Message::Each(number),
        };
        let lane = if matches!(sent, Sent::Large) { &mut self.sent_large } else { &mut self.sent };
        lane.send(message);
        let mut frame = vec![b'm', kind];
        frame.extend(number.to_be_bytes());
        frame.resize(bytes.clamp(frame.len(), MOST_BYTES), 0);
        server.send(frame.into(), sent, now);
    }

    fn say(&mut self, tab: usize, bytes: usize) {
        let number = self.number();
        let Some(at) = self.tabs.get_mut(tab) else { return };
        if at.page.end().is_some() {
            return;
        }
        let mut payload = number.to_be_bytes().to_vec();
        payload.resize(bytes.clamp(4, MOST_BYTES), 0);
        let mut frame = b"\x83\xa8msg_type\xa10\xa2id\xa1p\xa7payload\xc4".to_vec();
        frame.push(payload.len() as u8);
        frame.extend(payload);
        at.sent.send(Message::Barrier(number));
        self.put(tab, frame.into());
    }

    /// The page sends a frame of any kind.
    fn put(&mut self, tab: usize, frame: Bytes) {
        let Some(at) = self.tabs.get_mut(tab) else { return };
        if at.page.send(frame) {
            self.excuses.insert("page overflow");
        }
        self.flush(tab);
    }

    fn connect(&mut self, tab: usize) {
        let now = self.page_now();
        if !self.tabs.get(tab).is_some_and(|tab| tab.page.wants_socket(now)) {
            return;
        }
        let status = match &self.server {
            None => Some(404),
            Some(server) if server.is_closed() => Some(404),
            Some(_) if self.other_identity => Some(403),
            Some(_) => None,
        };
        if status.is_some() {
            self.note(|| format!("    tab {tab} is answered {status:?}"));
            self.count(&format!("page: status {}", status.unwrap_or(0)));
            self.tabs[tab].page.handle_refused(status, now);
            return;
        }
        let link = self.link(Owner::Tab(tab));
        self.tabs[tab].link = Some(link);
        self.tabs[tab].page.handle_connected(now);
        self.flush(tab);
    }

    fn link(&mut self, owner: Owner) -> usize {
        let (at, now) = (self.links.len(), self.server_now());
        self.links.push(Link::new(owner, self.setup.room));
        if let Some(server) = &mut self.server {
            server.accept(at, now);
        }
        self.note(|| format!("    socket {at} of {owner:?}"));
        at
    }

    /// The page's socket takes what it has to send, or is let go.
    fn flush(&mut self, tab: usize) {
        let now = self.page_now();
        let Some(at) = self.tabs.get_mut(tab) else { return };
        let Some(index) = at.link else { return };
        let link = &mut self.links[index];
        while let Some(frame) = at.page.poll_transmit(now) {
            link.send_up(Packet::Binary(frame));
        }
        if matches!(at.page.state(), State::Waiting { .. } | State::Ended(_)) {
            link.held = false;
            link.send_up(Packet::Close(1000, String::new()));
            at.link = None;
        }
    }

    fn stray(&mut self, at: usize, kind: u8) {
        let Some(link) = self.links.get_mut(at) else { return };
        let Owner::Tab(tab) = link.owner else { return };
        let page = &self.tabs[tab].page;
        if !link.held || !page.is_open() {
            return;
        }
        let frame = match kind {
            0 => Bytes::from_static(b"\xc1\xc1"),
            1 => page.hello().encode(),
            2 => Control::Ack(page.received() + 1_000_000).encode(),
            3 if page.received() > 40 => Control::Ack(0).encode(),
            4 => Control::Pong.encode(),
            5 => Bytes::from_static(b"\xc1\x92\x63\xc0"),
            _ => return,
        };
        self.excuses.insert("stray");
        link.send_up(Packet::Binary(frame));
    }

    fn leave(&mut self, tab: usize) {
        if let Some(at) = self.tabs.get_mut(tab) {
            at.page.leave();
            self.flush(tab);
        }
    }

    fn thief(&mut self, kind: u8) {
        let Some(server) = self.server.as_ref().filter(|server| !server.is_closed()) else { return };
        let page = &self.tabs[self.owner.unwrap_or(0)].page;
        let stolen = server.book.dead.iter().rev().find(|key| **key != PAGE_KEY).copied();
        let (instance, stream, received) = (page.instance(), server.book.stream(), page.received());
        let hello = |instance, key, stream| {
            Some(Control::Hello { version: 1, instance, key, stream, received }.encode())
        };
        let frame = match kind {
            0 => hello(instance, [0xaa; 32], stream),
            1 => hello([0xaa; 16], [0xaa; 32], None),
            2 | 3 => {
                let Some(key) = stolen else { return };
                hello(if kind == 2 { instance } else { [0xaa; 16] }, key, stream)
            }
            4 => None,
            5 => Some(server.announcement()),
            6 => Some(Control::Ping.encode()),
            _ => Some(Bytes::new()),
        };
        let at = self.link(Owner::Thief);
        if let Some(frame) = frame {
            self.links[at].send_up(Packet::Binary(frame));
        }
    }

    fn restart(&mut self) {
        self.server = None;
        self.excuses.insert("closed");
        for link in &mut self.links {
            // The kernel says so to whoever can hear it.
            link.send_down(Packet::Reset);
            link.to_server.clear();
        }
    }
}
