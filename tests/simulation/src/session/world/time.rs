//! Time goes by, and in the end all comes to rest.

use std::time::Duration;

use super::{Failure, PATIENCE, World};
use crate::session::link::Link;
use crate::session::server::Server;

impl World {
    /// Time goes by, and what is due happens in its order.
    pub(super) fn wait(&mut self, time: Duration) -> Result<(), Failure> {
        let until = self.now + time;
        for _ in 0..10_000 {
            self.tick()?;
            match self.next_timer() {
                Some(next) if next <= until => self.now = next,
                _ => {
                    self.now = until;
                    return self.tick();
                }
            }
        }
        Err("timers fire without end".into())
    }

    /// The next time at which something is due, later than now.
    pub(super) fn next_timer(&self) -> Option<Duration> {
        let least = self.now + Duration::from_millis(1);
        let pages = self
            .tabs
            .iter()
            .filter_map(|tab| tab.page.poll_timeout())
            .map(|at| at.saturating_sub(self.page_ahead));
        let server = self.server.as_ref().and_then(|server| server.timeout(&self.links, self.server_now()));
        let server =
            server.map(|at| at.saturating_duration_since(self.start).saturating_sub(self.server_ahead));
        pages.filter(|at| *at > self.now).chain(server.map(|at| at.max(least))).min()
    }

    pub(super) fn tick(&mut self) -> Result<(), Failure> {
        let (page_now, now) = (self.page_now(), self.server_now());
        for tab in 0..self.tabs.len() {
            if self.tabs[tab].link.is_some() && self.tabs[tab].page.handle_timeout(page_now) {
                self.note(|| format!("    tab {tab} gives its socket up"));
            }
            self.flush(tab);
        }
        if let Some(server) = &mut self.server {
            for (at, link) in self.links.iter_mut().enumerate() {
                server.tick(at, link, now)?;
            }
            server.sweep(now);
        }
        self.pump()
    }

    /// The server's drivers do what they can.
    pub(super) fn pump(&mut self) -> Result<(), Failure> {
        let now = self.server_now();
        if let Some(server) = &mut self.server {
            for (at, link) in self.links.iter_mut().enumerate() {
                server.write(at, link, now)?;
            }
        }
        self.poll_events()
    }

    /// The network heals. Then everything arrives that was promised, and when the user has left nothing remains.
    pub(in crate::session) fn settle(&mut self) -> Result<(), Failure> {
        self.note(|| "settle".into());
        self.other_identity = false;
        let by = self.now + PATIENCE;
        loop {
            self.exchange()?;
            if self.is_quiet() {
                break;
            }
            if self.now >= by {
                return Err(format!("no progress within {PATIENCE:?}: {}", self.stand()));
            }
            let next = self.next_timer().unwrap_or(by).min(by);
            self.wait(next - self.now)?;
            self.check()?;
        }
        let whole = self.owner.is_some_and(|tab| self.tabs[tab].page.is_open());
        let told = self.told.len();
        self.finish()?;
        match self.told.get(told) {
            Some(word) if whole => Err(format!("all has arrived, and the application is told {word:?}")),
            _ => Ok(()),
        }
    }

    pub(super) fn exchange(&mut self) -> Result<(), Failure> {
        for _ in 0..2000 {
            for tab in 0..self.tabs.len() {
                self.connect(tab);
            }
            for at in 0..self.links.len() {
                self.up(at)?;
                self.down(at)?;
            }
            self.pump()?;
            self.check()?;
            let now = self.page_now();
            if self.links.iter().all(Link::is_idle) && !self.tabs.iter().any(|tab| tab.page.wants_socket(now))
            {
                return Ok(());
            }
        }
        Err(format!("the network never comes to rest: {}", self.stand()))
    }

    /// Whether every page that is there has everything, and has said so, or knows why not.
    pub(super) fn is_quiet(&self) -> bool {
        self.tabs.iter().enumerate().all(|(at, tab)| {
            tab.page.end().is_some()
                || tab.page.is_open()
                    && tab.page.held().1 == 0
                    && tab.sent.missing(&tab.heard).is_none()
                    && self.owner == Some(at)
                    && self.missing().is_none()
                    && self.server.as_ref().is_some_and(|server| server.held() == 0)
        })
    }

    pub(super) fn stand(&self) -> String {
        let tabs: Vec<_> = self
            .tabs
            .iter()
            .map(|tab| {
                format!(
                    "{:?}, {:?} held, {:?} missing",
                    tab.page.state(),
                    tab.page.held(),
                    tab.sent.missing(&tab.heard)
                )
            })
            .collect();
        let held = self.server.as_ref().map(Server::held);
        format!("tabs {tabs:?}; {:?} missing at the page, the server holds {held:?}", self.missing())
    }

    /// Whoever is still there leaves, and the session has its time.
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        for tab in 0..self.tabs.len() {
            if self.tabs[tab].page.end().is_none() {
                self.leave(tab);
            }
        }
        self.exchange()?;
        self.wait(Duration::from_secs(300))?;
        self.check()?;
        match &self.server {
            Some(server) if !server.is_closed() => Err("the session outlives everybody".into()),
            _ => Ok(()),
        }
    }
}
