//! What has come from the page and waits for the application, in bounds.

use super::{Event, SessionMachine};

/// Events for which there is room while none waits.
const EVENTS: usize = 16;

impl SessionMachine {
    /// Events that wait to be polled.
    pub fn pending_events(&self) -> usize {
        self.events.len()
    }

    /// Whether no more should be taken from the page until events have been polled.
    pub fn is_inbox_full(&self) -> bool {
        self.events.len() >= self.inbox_messages || self.event_bytes >= self.inbox_bytes
    }

    /// The next event.
    #[must_use = "an event must be acted upon"]
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        self.event_bytes -= event.held();
        if self.events.is_empty() {
            self.events.shrink_to(EVENTS);
        }
        Some(event)
    }

    pub(super) fn emit(&mut self, event: Event) {
        self.event_bytes += event.held();
        self.events.push_back(event);
    }
}
