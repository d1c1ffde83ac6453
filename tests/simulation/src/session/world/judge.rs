//! What may be, and what may not.

use bonito_core::CloseReason;
use bonito_core::proto::resume::Takeover;

use super::{Failure, MOST_BYTES, PATIENCE_OF_SERVER, World};
use crate::session::ledger::Message;
use crate::session::server::Server;

impl World {
    /// Continuity may be lost for a reason only.
    pub(super) fn excuse_loss(&self, word: &str) -> Result<(), Failure> {
        let excused = match word {
            "overflow" => {
                let limits = self.setup.limits();
                let (sees, sees_large) = self
                    .owner
                    .map_or((0, 0), |tab| (self.tabs[tab].sees.settled, self.tabs[tab].sees_large.settled));
                let waits = (self.sent.sent() - sees).max(self.sent_large.sent() - sees_large);
                waits + 2 > limits.queued_messages.min(limits.queued_bytes / MOST_BYTES)
            }
            "expired" => true,
            "taken-over" => self.setup.takeover == Takeover::Newest && self.tabs.len() > 1,
            "count" => self.excuses.contains("stray"),
            _ => false,
        };
        if excused { Ok(()) } else { Err(format!("continuity is lost without a reason: {word}")) }
    }

    pub(super) fn handle_closed(&mut self, reason: CloseReason) -> Result<(), Failure> {
        self.excuses.insert("closed");
        let missing = self.missing();
        let told = !self.told.is_empty();
        let away = self.server.as_ref().and_then(Server::away);
        let early = away.is_none_or(|since| self.server_now() < since + PATIENCE_OF_SERVER);
        match reason {
            CloseReason::Application => Ok(()),
            CloseReason::Cleanup if early => {
                Err(format!("the session is closed while its page is there or may still come: {away:?}"))
            }
            CloseReason::Overflow | CloseReason::Mismatch if !told => {
                Err(format!("the session closes for {reason:?}, and nobody is told"))
            }
            CloseReason::Cleanup if missing.is_some() && !told => {
                Err(format!("{missing:?} is lost with the session, and nobody is told"))
            }
            _ => Ok(()),
        }
    }

    /// What the page that has the session has not observed.
    pub(super) fn missing(&self) -> Option<Message> {
        let tab = &self.tabs[self.owner?];
        self.sent.missing(&tab.sees).or_else(|| self.sent_large.missing(&tab.sees_large))
    }

    /// An honest page is sent away for a reason only.
    pub(super) fn excuse_close(&self, tab: usize, code: u16, reason: &str) -> Result<(), Failure> {
        let owns = self.owner == Some(tab);
        let duplicate = self.excuses.contains("duplicate") && !owns;
        let excused = match (code, reason) {
            (4001, _) => duplicate && self.setup.takeover == Takeover::Newest,
            (4003, "duplicate") => duplicate && self.setup.takeover == Takeover::Reject,
            (4003, "key") => duplicate && self.excuses.contains("taken over"),
            (4004, _) => self.excuses.contains("closed"),
            (4005, "duplicate") => duplicate && self.setup.takeover == Takeover::Fork,
            (4005, "overflow") => self.told.iter().any(|told| told == "overflow"),
            (4005, "expired") => self.excuses.contains("closed"),
            (4005, "count") => self.told.iter().any(|told| told == "count"),
            (1002, _) => self.excuses.contains("stray"),
            (1007, _) => self.excuses.contains("garbled"),
            (1012, _) => self.excuses.contains("drained"),
            // Whoever is told so was not heard, or late: the checks of progress see to it that this has an end.
            (4008, _) => true,
            _ => false,
        };
        if excused { Ok(()) } else { Err(format!("tab {tab} is told {code} {reason:?} without a reason")) }
    }

    pub(super) fn check(&self) -> Result<(), Failure> {
        let Some(server) = &self.server else { return Ok(()) };
        server.check()?;
        for tab in &self.tabs {
            let (bytes, _) = tab.page.held();
            if bytes > self.setup.page_bytes() + MOST_BYTES * 2 {
                return Err(format!("a page holds {bytes} bytes"));
            }
        }
        Ok(())
    }
}
