//! What the figures must be.

use serde::Serialize;

use crate::report::{Row, median, short};

/// What is compared, and the most that it may be.
enum Must {
    /// Times the raw WebSocket with its framework's defaults.
    OfRaw(f64),
    /// Times the raw WebSocket with a read buffer of 4 KiB, or with the defaults where they cannot be changed.
    OfTuned(f64),
    /// So many times less than the raw WebSocket, which flushes each message.
    BelowTuned(f64),
    /// More than the raw WebSocket has, in the unit of the case.
    OverTuned(f64),
    /// In the unit of the case.
    Absolute(f64),
}

const TARGETS: [(&str, &[Must]); 14] = [
    ("echo, 1 connection: round trip, p50", &[Must::OfRaw(1.05)]),
    ("echo, 32 connections: CPU a message", &[Must::OfTuned(1.10)]),
    ("echo, 256 connections: CPU a message", &[Must::OfTuned(1.05)]),
    ("burst to 1 session: CPU a message", BURST),
    ("burst to 32 sessions: CPU a message", BURST),
    ("burst to 256 sessions: CPU a message", BURST),
    ("one value to 1,000 sessions: CPU a message", &[Must::OfTuned(0.95)]),
    ("inbound stream: CPU a message", &[Must::OfTuned(1.5)]),
    ("idle connection: memory", &[Must::OverTuned(4.0)]),
    ("after 200 KB each way: memory left", &[Must::Absolute(1.0)]),
    ("page, connection and first message: CPU", &[Must::OfTuned(1.5)]),
    ("a second of cleanup, 1,000,000 sessions: CPU", &[Must::Absolute(0.1)]),
    ("closing a session with 100 observables: CPU", &[Must::Absolute(4.0)]),
    ("encoding 64 KiB of Float32, against memcpy", &[Must::OfRaw(1.2)]),
];

const BURST: &[Must] = &[Must::BelowTuned(15.0), Must::Absolute(0.30)];

/// Whether a target is met.
#[derive(Serialize)]
pub(crate) struct Verdict {
    pub(crate) case: String,
    pub(crate) adapter: String,
    pub(crate) target: String,
    pub(crate) measured: f64,
    pub(crate) met: bool,
}

/// What is wanted of a row, and whether it is so. Variants are compared round by round, and the median of that counts.
pub(crate) fn judge(row: &Row) -> Vec<Verdict> {
    let Some((_, all)) = TARGETS.iter().find(|(case, _)| *case == row.case) else { return Vec::new() };
    let compare = |base: &[f64], how: fn(f64, f64) -> f64| {
        let pairs = row.sessions.iter().zip(base).map(|(ours, base)| how(*ours, *base));
        median(&pairs.collect::<Vec<_>>())
    };
    let raw = if row.is_tuned() { "raw, 4 KiB" } else { "raw" };
    let unit = row.unit.symbol();
    let each = |must: &Must| {
        let (target, measured, met) = match *must {
            Must::OfRaw(most) => {
                let ratio = compare(row.raw(), |ours, base| ours / base);
                (format!("≤ {most} × raw"), ratio, ratio <= most)
            }
            Must::OfTuned(most) => {
                let ratio = compare(row.tuned(), |ours, base| ours / base);
                (format!("≤ {most} × {raw}"), ratio, ratio <= most)
            }
            Must::BelowTuned(least) => {
                let ratio = compare(row.tuned(), |ours, base| base / ours);
                (format!("{least} × less than {raw}"), ratio, ratio >= least)
            }
            Must::OverTuned(most) => {
                let over = compare(row.tuned(), |ours, base| ours - base);
                (format!("≤ {raw} + {most} {unit}"), over, over <= most)
            }
            Must::Absolute(most) => {
                let figure = median(&row.sessions);
                (format!("≤ {} {unit}", short(most)), figure, figure <= most)
            }
        };
        Verdict { case: row.case.clone(), adapter: row.adapter.clone(), target, measured, met }
    };
    all.iter().map(each).collect()
}
