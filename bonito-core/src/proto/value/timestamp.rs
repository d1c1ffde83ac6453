use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{
    de::{self, RawVisitor, custom},
    serialize_ext,
};
use crate::proto::{
    DecodeError,
    wire::{Head, Reader, ext},
};

const NANOS_PER_SECOND: u32 = 1_000_000_000;

/// A point in time: a `Date` in the browser, to the millisecond there (extension −1, `docs/src/protocol.md` §3.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    seconds: i64,
    nanos: u32,
}

impl Timestamp {
    /// Seconds since 1970 and nanoseconds after them. `None` when the nanoseconds make a whole second.
    pub fn new(seconds: i64, nanos: u32) -> Option<Self> {
        (nanos < NANOS_PER_SECOND).then_some(Self { seconds, nanos })
    }

    /// Whole seconds since 1970, negative before.
    pub fn seconds(self) -> i64 {
        self.seconds
    }

    /// Nanoseconds after the second.
    pub fn nanos(self) -> u32 {
        self.nanos
    }

    /// Milliseconds since 1970: what JavaScript makes of a `Date` as a number.
    pub fn as_millis(self) -> f64 {
        self.seconds as f64 * 1e3 + f64::from(self.nanos) / 1e6
    }

    /// The time so many milliseconds after 1970. `None` outside of what a `Date` can hold (275,000 years).
    pub fn from_millis(millis: f64) -> Option<Self> {
        const MOST_MILLIS: f64 = 8.64e15;
        if !(-MOST_MILLIS..=MOST_MILLIS).contains(&millis) {
            return None;
        }
        let seconds = (millis / 1e3).floor();
        let nanos = ((millis - seconds * 1e3) * 1e6) as u32;
        Self::new(seconds as i64, nanos.min(NANOS_PER_SECOND - 1))
    }

    /// Reads a body of 4, 8 or 12 bytes.
    pub(super) fn from_body(body: &[u8]) -> Option<Self> {
        if let Ok(body) = body.try_into() {
            return Self::new(u32::from_be_bytes(body).into(), 0);
        }
        if let Ok(body) = body.try_into() {
            let both = u64::from_be_bytes(body);
            let seconds = both & ((1 << 34) - 1);
            return Self::new(seconds.cast_signed(), (both >> 34) as u32);
        }
        let (nanos, seconds) = body.split_first_chunk()?;
        let seconds = seconds.try_into().ok()?;
        Self::new(i64::from_be_bytes(seconds), u32::from_be_bytes(*nanos))
    }

    fn from_raw(raw: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(raw);
        match reader.head()? {
            Head::Ext(ext::TIMESTAMP, len) => Self::from_body(reader.take(len)?)
                .ok_or_else(|| DecodeError::wrong_type("expected a timestamp, one of no known form came")),
            other => Err(DecodeError::wrong_type(format!("expected a timestamp, {} came", other.name()))),
        }
    }

    /// The shortest body, and its length.
    pub(super) fn body(self) -> ([u8; 12], usize) {
        let mut body = [0; 12];
        let len = match u64::try_from(self.seconds) {
            Ok(seconds) if seconds >> 34 == 0 => match u32::try_from(seconds) {
                Ok(seconds) if self.nanos == 0 => {
                    body[..4].copy_from_slice(&seconds.to_be_bytes());
                    4
                }
                _ => {
                    body[..8].copy_from_slice(&(u64::from(self.nanos) << 34 | seconds).to_be_bytes());
                    8
                }
            },
            _ => {
                body[..4].copy_from_slice(&self.nanos.to_be_bytes());
                body[4..].copy_from_slice(&self.seconds.to_be_bytes());
                12
            }
        };
        (body, len)
    }
}

impl From<SystemTime> for Timestamp {
    /// A time before 292 billion years ago, or as far ahead, becomes the nearest that fits.
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Self {
                seconds: i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
                nanos: after.subsec_nanos(),
            },
            Err(before) => {
                let before = before.duration();
                let seconds = 0i64.saturating_sub_unsigned(before.as_secs());
                match before.subsec_nanos() {
                    0 => Self { seconds, nanos: 0 },
                    nanos => Self { seconds: seconds.saturating_sub(1), nanos: NANOS_PER_SECOND - nanos },
                }
            }
        }
    }
}

impl TryFrom<Timestamp> for SystemTime {
    type Error = DecodeError;

    /// # Errors
    ///
    /// When this platform's clock cannot express the time.
    fn try_from(time: Timestamp) -> Result<Self, DecodeError> {
        let seconds = Duration::from_secs(time.seconds.unsigned_abs());
        let whole =
            if time.seconds < 0 { UNIX_EPOCH.checked_sub(seconds) } else { UNIX_EPOCH.checked_add(seconds) };
        whole.and_then(|whole| whole.checked_add(Duration::from_nanos(time.nanos.into()))).ok_or_else(|| {
            DecodeError::wrong_type("expected a time that the system clock can express, another came")
        })
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (body, len) = self.body();
        serialize_ext(ext::TIMESTAMP, &body[..len], serializer)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    /// Inside of tagged enums and flattened structs, and from other formats, it is read from milliseconds.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;

        impl<'de> RawVisitor<'de> for Visit {
            type Value = Timestamp;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a timestamp")
            }

            fn raw<E: serde::de::Error>(self, raw: &[u8]) -> Result<Timestamp, E> {
                Timestamp::from_raw(raw).map_err(custom)
            }

            fn other<D: Deserializer<'de>>(self, deserializer: D) -> Result<Timestamp, D::Error> {
                Timestamp::from_millis(f64::deserialize(deserializer)?)
                    .ok_or_else(|| D::Error::custom("expected a time that a Date can hold, another came"))
            }
        }

        de::deserialize_raw(deserializer, Visit)
    }
}
