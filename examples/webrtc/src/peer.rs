//! One peer connection: a state machine of `str0m` and its UDP socket, in one future.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use bonito_core::Limits;
use bytes::Bytes;
use str0m::change::SdpOffer;
use str0m::channel::{ChannelId, Reliability};
use str0m::config::CryptoProvider;
use str0m::crypto::from_feature_flags;
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, IceConnectionState, Input, Output, Rtc, RtcConfig};
use tokio::net::UdpSocket;
use tokio::time::{sleep, sleep_until};

use crate::chunks::{self, Joiner};
use crate::connection::Place;

/// The longest datagram that may come.
const DATAGRAM: usize = 2048;
/// How long a peer that ends may take to say so.
const FAREWELL: Duration = Duration::from_secs(1);
/// Pause before a message that the application had no room for is offered again.
const NO_ROOM: Duration = Duration::from_millis(10);

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A peer connection that serves a session over its first data channel.
pub(crate) struct Peer {
    place: Place,
    limits: Limits,
    rtc: Rtc,
    socket: UdpSocket,
    address: SocketAddr,
    channel: Option<ChannelId>,
    joiner: Joiner,
    /// How much of the next message has gone.
    gone: usize,
    made: Instant,
    /// When the page's side was last heard, whatever it said: a page with nothing to say still answers for its way.
    heard: Instant,
}

impl Peer {
    /// Answers the page's offer. Nothing happens before [`run`](Self::run).
    pub(crate) async fn answer(
        place: Place,
        limits: &Limits,
        offer: &str,
    ) -> Result<(String, Self), Failure> {
        let offer = SdpOffer::from_sdp_string(offer)?;
        // Pages on this machine only, so one candidate is enough, and the page is the side that finds the way.
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = socket.local_addr()?;
        let now = Instant::now();
        let crypto: CryptoProvider = from_feature_flags();
        let mut rtc = RtcConfig::new().set_crypto_provider(crypto.into()).set_ice_lite(true).build(now);
        rtc.add_local_candidate(Candidate::host(address, "udp")?);
        let answer = rtc.sdp_api().accept_offer(offer)?.to_sdp_string();
        let peer = Self {
            place,
            limits: limits.clone(),
            rtc,
            socket,
            address,
            channel: None,
            joiner: Joiner::new(limits.message_bytes),
            gone: 0,
            made: now,
            heard: now,
        };
        Ok((answer, peer))
    }

    /// Serves the session until the channel, the session or the peer ends.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future soft-closes the session.
    pub(crate) async fn run(mut self) {
        // Why it ends is nothing that the application could do anything about: the page comes back with a new offer.
        let _ = self.serve().await;
        // Nobody serves the session while the farewell is on its way, and it may take its time.
        self.place.leave();
        let _ = tokio::time::timeout(FAREWELL, self.say_farewell()).await;
    }

    // [serve]
    async fn serve(&mut self) -> Result<(), Failure> {
        let connection = self.place.connection().clone();
        let mut datagram = [0; DATAGRAM];
        while self.rtc.is_alive() && !self.place.is_over() {
            let changed = connection.changed().notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            let Some(wake) = self.poll().await? else { return Ok(()) };
            if self.send()? {
                continue;
            }
            let end = match self.channel {
                Some(_) => self.heard + self.limits.dead_after,
                None => self.made + self.limits.hello_timeout,
            };
            tokio::select! {
                received = self.socket.recv_from(&mut datagram) => {
                    let (length, source) = received?;
                    self.receive(&datagram[..length], source)?;
                }
                () = sleep_until(wake.min(end).into()) => {
                    if Instant::now() >= end {
                        return Ok(());
                    }
                    self.rtc.handle_input(Input::Timeout(Instant::now()))?;
                }
                () = changed => {}
            }
        }
        Ok(())
    }
    // [/serve]

    /// Does all that the machine wants done. Answers when it wants to be woken, or `None` at the end.
    async fn poll(&mut self) -> Result<Option<Instant>, Failure> {
        loop {
            match self.rtc.poll_output()? {
                Output::Timeout(at) => return Ok(Some(at)),
                Output::Transmit(transmit) => {
                    // What the kernel does not take is lost on the way, as any datagram may be.
                    let _ = self.socket.send_to(&transmit.contents, transmit.destination).await;
                }
                Output::Event(event) => {
                    if !self.handle(event).await? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Answers whether the peer goes on.
    async fn handle(&mut self, event: Event) -> Result<bool, Failure> {
        match event {
            Event::ChannelOpen(id, _) if self.channel.is_none() => {
                let config = self.rtc.channel(id).and_then(|channel| channel.config().cloned());
                let fits = config.is_some_and(|c| c.ordered && c.reliability == Reliability::Reliable);
                self.channel = Some(id);
                Ok(fits && self.place.take_over())
            }
            Event::ChannelData(data) if self.channel == Some(data.id) => match self.joiner.add(&data.data) {
                Ok(Some(message)) => self.process(message).await,
                Ok(None) => Ok(true),
                Err(chunks::BadChunk) => Ok(false),
            },
            Event::ChannelClose(id) => Ok(self.channel != Some(id)),
            Event::Closed => Ok(false),
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) => Ok(false),
            _ => Ok(true),
        }
    }

    /// While the session has no room the socket is not read, so the page's channel fills up.
    async fn process(&self, message: Bytes) -> Result<bool, Failure> {
        loop {
            match self.place.session().process_message(message.clone()) {
                Ok(()) => return Ok(true),
                Err(error) if error.is_full() => sleep(NO_ROOM).await,
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn receive(&mut self, datagram: &[u8], source: SocketAddr) -> Result<(), Failure> {
        // What is no packet of the protocol, or not of this peer, is nobody's.
        let Ok(contents) = datagram.try_into() else { return Ok(()) };
        let receive = Receive { proto: Protocol::Udp, source, destination: self.address, contents };
        let now = Instant::now();
        let input = Input::Receive(now, receive);
        if self.rtc.accepts(&input) {
            self.heard = now;
            self.rtc.handle_input(input)?;
        }
        Ok(())
    }

    /// Hands the channel what it takes. Answers whether that was anything.
    fn send(&mut self) -> Result<bool, Failure> {
        let Some(id) = self.channel else { return Ok(false) };
        let mut any = false;
        while let Some(message) = self.place.next() {
            let Some(mut channel) = self.rtc.channel(id) else { return Ok(any) };
            if !channel.write(true, &chunks::chunk(&message, self.gone))? {
                break;
            }
            any = true;
            self.gone += chunks::CHUNK;
            if self.gone >= message.len() {
                self.gone = 0;
                self.place.sent();
                // There is room again.
                self.place.session().flush();
            }
        }
        Ok(any)
    }

    /// Lets the page know at once, rather than by silence.
    async fn say_farewell(&mut self) -> Result<(), Failure> {
        self.rtc.close()?;
        while self.rtc.is_alive() {
            match self.rtc.poll_output()? {
                Output::Transmit(transmit) => {
                    let _ = self.socket.send_to(&transmit.contents, transmit.destination).await;
                }
                // The farewell has gone.
                Output::Timeout(_) if !self.rtc.is_alive() => {}
                Output::Timeout(at) => {
                    sleep_until(at.into()).await;
                    self.rtc.handle_input(Input::Timeout(Instant::now()))?;
                }
                Output::Event(_) => {}
            }
        }
        Ok(())
    }
}
