//! What arrives, and what comes of it.

use bonito_core::proto::session::Event;

use super::{Failure, Tab, World};
use crate::session::ledger::{Message, Observer};
use crate::session::link::{Owner, Packet};
use crate::session::server::Server;
use crate::session::wire::{Control, is_control};

impl World {
    pub(super) fn up(&mut self, at: usize) -> Result<(), Failure> {
        let now = self.server_now();
        let Some(link) = self.links.get_mut(at) else { return Ok(()) };
        let Some(packet) = link.receive_up() else { return Ok(()) };
        let owner = link.owner;
        if let Some(trace) = &mut self.trace {
            trace.push(format!("    socket {at}: the server gets {}", shown(&packet)));
        }
        let Some(server) = &mut self.server else { return Ok(()) };
        let served = server.serving();
        server.receive(at, &packet, link, now)?;
        let serves = server.serving();
        let answer = server.answered.take();
        if let Some(answer) = answer {
            let who = if owner == Owner::Thief { "thief" } else { "page" };
            self.count(&format!("{who}: {answer}"));
        }
        if serves != served && serves == Some(at) {
            match owner {
                Owner::Thief => return Err("a thief has the session".into()),
                Owner::Tab(tab) => {
                    if let Some(former) = self.owner.filter(|owner| *owner != tab) {
                        self.excuses.insert("taken over");
                        self.tabs[former].sees.end(&self.sent);
                        self.tabs[former].sees_large.end(&self.sent_large);
                        self.tabs[tab].sees = Observer::joining(&self.sent);
                        self.tabs[tab].sees_large = Observer::joining(&self.sent_large);
                    }
                    self.owner = Some(tab);
                }
            }
        } else if owner == Owner::Thief && serves != served {
            return Err("a thief has disturbed the session".into());
        }
        self.poll_events()
    }

    pub(super) fn poll_events(&mut self) -> Result<(), Failure> {
        while let Some(event) = self.server.as_mut().and_then(Server::poll_event) {
            match event {
                Event::Update { payload, .. } => {
                    let number = payload.as_bytes().get(2..6).and_then(|bytes| bytes.try_into().ok());
                    let number = u32::from_be_bytes(number.ok_or("a payload without a number")?);
                    let Some(tab) = self.owner else { return Err("an update from nobody".into()) };
                    let Tab { sent, heard, .. } = &mut self.tabs[tab];
                    sent.observe(heard, Message::Barrier(number))?;
                }
                Event::ContinuityLost(reason) => {
                    self.note(|| format!("    the application is told: {reason:?}"));
                    self.count(&format!("application: {}", reason.word()));
                    self.told.push(reason.word().to_owned());
                    self.excuse_loss(reason.word())?;
                }
                Event::Closed(reason) => {
                    self.note(|| format!("    the session closes: {reason:?}"));
                    self.handle_closed(reason)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn down(&mut self, at: usize) -> Result<(), Failure> {
        let now = self.page_now();
        let Some(link) = self.links.get_mut(at) else { return Ok(()) };
        let Some(packet) = link.receive_down() else { return Ok(()) };
        if !link.held {
            return Ok(());
        }
        if let Some(trace) = &mut self.trace {
            trace.push(format!("    socket {at}: the page gets {}", shown(&packet)));
        }
        if packet == Packet::Ping {
            link.send_up(Packet::Pong);
            return Ok(());
        }
        let owner = link.owner;
        let Owner::Tab(tab) = owner else { return self.rob(at, &packet) };
        let page = &mut self.tabs[tab].page;
        match packet {
            Packet::Binary(frame) => {
                if let Some(message) = page.handle_frame(frame, now)? {
                    self.observe(tab, &message)?;
                }
            }
            Packet::Close(code, reason) => {
                page.handle_close(code, &reason, now)?;
                self.count(&format!("page: close {code} {reason}"));
                self.excuse_close(tab, code, &reason)?;
            }
            Packet::Reset => page.handle_lost(now),
            Packet::Ping | Packet::Pong => {}
        }
        self.flush(tab);
        Ok(())
    }

    /// A thief gets a close frame and nothing else.
    pub(super) fn rob(&mut self, at: usize, packet: &Packet) -> Result<(), Failure> {
        match packet {
            Packet::Binary(_) => return Err("a thief gets a message".into()),
            Packet::Close(1002 | 1012 | 4003 | 4004 | 4005 | 4008, _) | Packet::Reset => {
                self.links[at].held = false;
            }
            Packet::Close(code, reason) => return Err(format!("a thief is told {code} {reason}")),
            Packet::Ping | Packet::Pong => {}
        }
        Ok(())
    }

    pub(super) fn observe(&mut self, tab: usize, message: &[u8]) -> Result<(), Failure> {
        let [b'm', kind, number @ ..] = message else {
            // The answer to a ping.
            return Ok(());
        };
        let number = number.get(..4).and_then(|bytes| bytes.try_into().ok());
        let number = u32::from_be_bytes(number.ok_or("a message without a number")?);
        if *kind == 0xfe {
            return self.sent_large.observe(&mut self.tabs[tab].sees_large, Message::Barrier(number));
        }
        let message = match kind {
            0xff => Message::Barrier(number),
            0xfd => Message::Each(number),
            observable => Message::Value { observable: *observable, number },
        };
        self.sent.observe(&mut self.tabs[tab].sees, message)
    }
}

fn shown(packet: &Packet) -> String {
    match packet {
        Packet::Binary(frame) if is_control(frame) => match Control::decode(frame) {
            Ok(control) => control.to_string(),
            Err(error) => error,
        },
        Packet::Binary(frame) => format!("data {:02x?}", &frame[..frame.len().min(40)]),
        packet => format!("{packet:?}"),
    }
}
