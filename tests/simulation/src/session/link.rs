//! One connection of the simulated network: in order and whole in each direction while it lasts, as TCP is.

use std::collections::VecDeque;

use bytes::Bytes;

/// Whose end of a connection it is that is not the server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Tab(usize),
    Thief,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Packet {
    Binary(Bytes),
    Ping,
    Pong,
    Close(u16, String),
    /// The connection is broken.
    Reset,
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) owner: Owner,
    /// Whether its owner still has it. Afterwards nobody reads what comes.
    pub(super) held: bool,
    pub(super) to_server: VecDeque<Packet>,
    pub(super) to_page: VecDeque<Packet>,
    vanish_up: bool,
    vanish_down: bool,
    /// Frames to the page that fill buffers on the way, those included that have vanished.
    filled: usize,
    room: usize,
}

impl Link {
    /// The buffers on the way to the page have room for so many frames.
    pub(super) fn new(owner: Owner, room: usize) -> Self {
        Self {
            owner,
            held: true,
            to_server: VecDeque::new(),
            to_page: VecDeque::new(),
            vanish_up: false,
            vanish_down: false,
            filled: 0,
            room,
        }
    }

    /// Whether the server may write.
    pub(super) fn has_room(&self) -> bool {
        self.filled < self.room
    }

    pub(super) fn send_up(&mut self, packet: Packet) {
        if !self.vanish_up {
            self.to_server.push_back(packet);
        }
    }

    pub(super) fn send_down(&mut self, packet: Packet) {
        self.filled += usize::from(matches!(packet, Packet::Binary(_)));
        if !self.vanish_down {
            self.to_page.push_back(packet);
        }
    }

    pub(super) fn receive_up(&mut self) -> Option<Packet> {
        self.to_server.pop_front()
    }

    pub(super) fn receive_down(&mut self) -> Option<Packet> {
        let packet = self.to_page.pop_front()?;
        self.filled -= usize::from(matches!(packet, Packet::Binary(_)));
        Some(packet)
    }

    /// Bytes vanish from now on, without an error. 1: to the server, 2: to the page.
    pub(super) fn vanish(&mut self, ways: u8) {
        if ways & 1 != 0 {
            self.vanish_up = true;
            self.to_server.clear();
        }
        if ways & 2 != 0 {
            self.vanish_down = true;
            self.to_page.clear();
        }
    }

    /// The connection breaks behind so many packets that are on their way.
    pub(super) fn cut(&mut self, up: usize, down: usize) {
        self.to_server.truncate(up);
        self.to_page.truncate(down);
        self.to_server.push_back(Packet::Reset);
        self.to_page.push_back(Packet::Reset);
        (self.vanish_up, self.vanish_down) = (true, true);
    }

    pub(super) fn is_idle(&self) -> bool {
        self.to_server.is_empty() && self.to_page.is_empty()
    }
}
