//! What every connection of one's own must do, over a data channel.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use app_parts::Sessions;
use bonito_core::{Endpoint, FrontendConnection, Limits, Session};
use bonito_testkit::FarEnd;
use bytes::Bytes;
use str0m::change::SdpAnswer;
use str0m::channel::ChannelId;
use str0m::config::CryptoProvider;
use str0m::crypto::from_feature_flags;
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::sleep_until;

use crate::chunks::{self, Joiner};
use crate::connection::WebRtc;
use crate::peer::Peer;

/// A page that is cut off without a word is noticed by its silence, so this is how long some cases take.
const PATIENCE: Duration = Duration::from_secs(1);
/// Pause between two checks of the way, by which a page that says nothing is heard.
const CHECKS: Duration = Duration::from_millis(100);
/// Checks without an answer after which a browser gives up: more than a page that does not read for a while leaves open.
const UNANSWERED: usize = 100;

/// A page's end, as `page.js` has it.
struct Page {
    connection: WebRtc,
    limits: Limits,
    line: Option<Line>,
}

struct Line {
    to_server: mpsc::Sender<Outgoing>,
    from_server: mpsc::Receiver<Bytes>,
    task: JoinHandle<()>,
}

/// A message, and whom to tell when the network has it.
struct Outgoing {
    message: Bytes,
    gone: oneshot::Sender<()>,
}

async fn page(_live: Endpoint) -> Page {
    let mut limits = Limits::default();
    limits.dead_after = PATIENCE;
    Page { connection: WebRtc::new(&Sessions::default()), limits, line: None }
}

impl FarEnd for Page {
    fn connection(&self) -> Arc<dyn FrontendConnection> {
        Arc::new(self.connection.clone())
    }

    async fn connect(&mut self, session: &Session) {
        self.cut().await;
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        let crypto: CryptoProvider = from_feature_flags();
        let mut config = RtcConfig::new().set_crypto_provider(crypto.into());
        config.set_max_stun_rto(CHECKS);
        config.set_max_stun_retransmits(UNANSWERED);
        let mut rtc = config.build(Instant::now());
        rtc.add_local_candidate(Candidate::host(address, "udp").unwrap());
        let mut changes = rtc.sdp_api();
        let channel = changes.add_channel("bonito".to_owned());
        let (offer, pending) = changes.apply().unwrap();
        let place = self.connection.admit(session).unwrap();
        let (answer, peer) = Peer::answer(place, &self.limits, &offer.to_sdp_string()).await.unwrap();
        tokio::spawn(peer.run());
        let answer = SdpAnswer::from_sdp_string(&answer).unwrap();
        rtc.sdp_api().accept_answer(pending, answer).unwrap();

        let (to_server, sent) = mpsc::channel(1);
        let (received, from_server) = mpsc::channel(1);
        let (opened, open) = oneshot::channel();
        let browser =
            Browser { rtc, socket, address, channel, opened: Some(opened), joiner: Joiner::new(64 << 20) };
        let task = tokio::spawn(browser.run(sent, received));
        open.await.unwrap();
        self.line = Some(Line { to_server, from_server, task });
    }

    async fn send(&mut self, message: Bytes) {
        if let Some(line) = &self.line {
            let (gone, is_gone) = oneshot::channel();
            if line.to_server.send(Outgoing { message, gone }).await.is_ok() {
                let _ = is_gone.await;
            }
        }
    }

    async fn receive(&mut self) -> Option<Bytes> {
        self.line.as_mut()?.from_server.recv().await
    }

    async fn cut(&mut self) {
        if let Some(line) = self.line.take() {
            line.task.abort();
            let _ = line.task.await;
        }
    }
}

/// What a browser does with its peer connection.
struct Browser {
    rtc: Rtc,
    socket: UdpSocket,
    address: SocketAddr,
    channel: ChannelId,
    opened: Option<oneshot::Sender<()>>,
    joiner: Joiner,
}

impl Browser {
    async fn run(mut self, mut sent: mpsc::Receiver<Outgoing>, received: mpsc::Sender<Bytes>) {
        let (mut unread, mut unsent) = (VecDeque::new(), VecDeque::new());
        let mut going = None;
        let mut datagram = [0; 2048];
        while self.rtc.is_alive() {
            let wake = loop {
                match self.rtc.poll_output().unwrap() {
                    Output::Timeout(at) => break at,
                    Output::Transmit(transmit) => {
                        let _ = self.socket.send_to(&transmit.contents, transmit.destination).await;
                    }
                    Output::Event(Event::ChannelOpen(..)) => {
                        let _ = self.opened.take().map(|opened| opened.send(()));
                    }
                    Output::Event(Event::ChannelData(data)) => {
                        unread.extend(self.joiner.add(&data.data).unwrap());
                    }
                    Output::Event(Event::ChannelClose(_) | Event::Closed) => return,
                    Output::Event(_) => {}
                }
            };
            if self.write(&mut unsent) {
                continue;
            }
            if unsent.is_empty() {
                let _ = going.take().map(|gone: oneshot::Sender<()>| gone.send(()));
            }
            tokio::select! {
                // A page that does not read takes nothing from the network either.
                got = self.socket.recv_from(&mut datagram), if unread.is_empty() => {
                    let (length, source) = got.unwrap();
                    let Ok(contents) = datagram[..length].try_into() else { continue };
                    let receive = Receive { proto: Protocol::Udp, source, destination: self.address, contents };
                    self.rtc.handle_input(Input::Receive(Instant::now(), receive)).unwrap();
                }
                () = sleep_until(wake.into()) => self.rtc.handle_input(Input::Timeout(Instant::now())).unwrap(),
                room = received.reserve(), if !unread.is_empty() => {
                    let Ok(room) = room else { return };
                    if let Some(message) = unread.pop_front() { room.send(message); }
                }
                message = sent.recv(), if unsent.is_empty() => {
                    let Some(Outgoing { message, gone }) = message else { return };
                    going = Some(gone);
                    let count = message.len().div_ceil(chunks::CHUNK).max(1);
                    unsent.extend((0..count).map(|n| chunks::chunk(&message, n * chunks::CHUNK)));
                }
            }
        }
    }

    /// Answers whether the channel has taken anything.
    fn write(&mut self, unsent: &mut VecDeque<Vec<u8>>) -> bool {
        let before = unsent.len();
        while let Some(chunk) = unsent.front()
            && let Some(mut channel) = self.rtc.channel(self.channel)
            && channel.write(true, chunk).unwrap()
        {
            unsent.pop_front();
        }
        unsent.len() < before
    }
}

bonito_testkit::connection_conformance!(page);
