//! Every bound of the library in one struct, each with its default and its reason.

use std::time::Duration;

/// Bounds on what a peer may make the server hold, wait for, or compute.
///
/// Every queue, message, count, depth and ratio has one. The defaults are the table in `docs/src/limits.md`.
///
/// ```
/// use bonito_core::Limits;
///
/// let mut limits = Limits::default();
/// limits.message_bytes = 64 * 1024;
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Longest inbound message, in bytes as received. A longer one closes its socket with 1009. Default 1 MiB.
    pub message_bytes: usize,
    /// Most fragments that one inbound message may arrive in. More close its socket with 1009. Default 1,024.
    pub message_fragments: usize,
    /// Longest inbound message after inflation, in bytes. Default 8 MiB.
    pub inflated_bytes: usize,
    /// Most that a message may grow by inflation, as a ratio. Default 100.
    pub inflation_ratio: usize,
    /// Deepest nesting of arrays, maps and extension values in an inbound message. Default 64; more than 128
    /// counts as 128.
    pub depth: usize,
    /// Most array elements plus map entries in one inbound message, extension values included. Default 100,000.
    pub elements: usize,
    /// Longest string that names something (an id, a key of the protocol), in bytes. Default 256.
    pub name_bytes: usize,
    /// Messages that may wait for one browser, updates of observables apart. One more ends the session. Default 1,024.
    pub queued_messages: usize,
    /// Bytes that may wait for one browser, in all. More ends the session. Default 8 MiB.
    pub queued_bytes: usize,
    /// Bytes of [large data](crate::Lane::LargeData) that may wait for one browser, besides. More ends the session; one message
    /// alone is never too much. Default 64 MiB.
    pub queued_large_bytes: usize,
    /// Bytes waiting for one browser from which updates of an observable collapse to the last one. Default 64 KiB.
    pub congestion_bytes: usize,
    /// Messages that a browser which [resumes](crate::Takeover) may not have acknowledged, updates of observables apart; then what
    /// comes waits. Default 1,024. Besides, never more than 4,096 frames in all. With fewer than 64 the page's acknowledgements may
    /// come too late, and each time cost up to a second.
    pub replay_messages: usize,
    /// Bytes of them, with 128 KiB as the least for the same reason. One message alone is never too much. Default 256 KiB.
    pub replay_bytes: usize,
    /// Bytes waiting for one browser from which [`Session::on_high_water`](crate::Session::on_high_water) is told. Default 1 MiB.
    pub high_water_bytes: usize,
    /// Bytes waiting for one browser down to which, after that, [`Session::on_low_water`](crate::Session::on_low_water) is told.
    /// Default 256 KiB; at most one less than [`high_water_bytes`](Self::high_water_bytes).
    pub low_water_bytes: usize,
    /// Messages from one browser that may wait while a listener runs; then its socket is not read. Default 1,024.
    pub inbox_messages: usize,
    /// Bytes from one browser that may wait while a listener runs; then its socket is not read. Default 4 MiB.
    pub inbox_bytes: usize,
    /// Sessions that one endpoint holds, in any state; one more is closed from the start. Default 100,000.
    pub sessions: usize,
    /// Sessions of one [identity](crate::EndpointBuilder::identity), in any state; one more is closed from the start. Default
    /// 1,000.
    pub identity_sessions: usize,
    /// Bytes that the sessions of one identity hold together, in steps of 4 KiB for each; see
    /// [`total_bytes`](Self::total_bytes). Default 128 MiB.
    pub identity_bytes: usize,
    /// Bytes that all sessions of one endpoint hold together, in steps of 4 KiB for each, whether their browsers are connected
    /// or not: what waits for browsers and is on its way to them, what has come from them and waits for the application, and
    /// their uploads. At the bound, new sessions are closed from the start, new sockets are refused with 503 and uploads fail.
    /// Beyond it, sessions that hold more than an equal share are closed: those first whose connection is lost and that are
    /// cheapest to lose, then those that hold most. Default 512 MiB.
    pub total_bytes: usize,
    /// Parts of one page that are sub-sessions of their own, counted until the page has let them go; one more is shown and
    /// does not come alive. Default 10,000.
    pub sub_sessions: usize,
    /// Sockets that one endpoint serves at a time; one more is refused with 503. Default 100,000.
    pub sockets: usize,
    /// Pause between two pings to a quiet peer. Default 15 s, since proxies cut at 60 s.
    pub ping_interval: Duration,
    /// Silence after which a peer counts as gone. Default 30 s.
    pub dead_after: Duration,
    /// Time from the upgrade to the first message. Default 10 s.
    pub hello_timeout: Duration,
    /// Time a closing socket waits for its peer's close frame. Default 5 s.
    pub close_timeout: Duration,
    /// Longest pause before a session that pages take from each other goes from one to the next. The first takeovers are at
    /// once. Default 8 s; zero for no pause.
    pub takeover_pause: Duration,
    /// Read buffer of one socket, in bytes, where the framework lets us set it. Default 4 KiB.
    pub read_buffer_bytes: usize,
    /// Bytes that gather in one socket before they go to the kernel without a flush, where the framework lets us set it. What
    /// is held for a peer that does not read is this and one message. Default 16 KiB.
    pub write_buffer_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 1 << 20,
            message_fragments: 1024,
            inflated_bytes: 8 << 20,
            inflation_ratio: 100,
            depth: 64,
            elements: 100_000,
            name_bytes: 256,
            queued_messages: 1024,
            queued_bytes: 8 << 20,
            queued_large_bytes: 64 << 20,
            congestion_bytes: 64 << 10,
            replay_messages: 1024,
            replay_bytes: 256 << 10,
            high_water_bytes: 1 << 20,
            low_water_bytes: 256 << 10,
            inbox_messages: 1024,
            inbox_bytes: 4 << 20,
            sessions: 100_000,
            identity_sessions: 1000,
            identity_bytes: 128 << 20,
            total_bytes: 512 << 20,
            sub_sessions: 10_000,
            sockets: 100_000,
            ping_interval: Duration::from_secs(15),
            dead_after: Duration::from_secs(30),
            hello_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(5),
            takeover_pause: Duration::from_secs(8),
            read_buffer_bytes: 4 << 10,
            write_buffer_bytes: 16 << 10,
        }
    }
}
