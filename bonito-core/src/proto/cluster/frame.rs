//! What nodes say to each other: one byte of version, then a MessagePack value.

use std::fmt;

use bytes::Bytes;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{ClusterOptions, NodeId};
use crate::proto::{DecodeError, EncodeError};

/// The first byte of each frame. Frames of another version are refused, so both may run at once while an app is replaced.
pub const VERSION: u8 = 1;

/// Longest name of a connection or a group that goes to other nodes, in bytes.
pub const NAME_BYTES: usize = 256;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Frame {
    pub(super) from: NodeId,
    pub(super) body: Body,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Body {
    /// I am here, and this is where my roster stands.
    Hello { version: u64, digest: u64 },
    /// I leave.
    Bye,
    /// Send me what has changed in your roster since, or all of it.
    Pull { have: Option<u64> },
    /// Changes of my roster, each of which adds one to `base`.
    Delta { base: u64, changes: Vec<Change> },
    /// My whole roster at that version, in parts.
    Snapshot { version: u64, part: u32, parts: u32, entries: Vec<Change> },
    /// For whoever has this name in this epoch.
    Send { name: String, epoch: u64, receipt: Option<u64>, message: Blob },
    /// What became of a message.
    Receipt { receipt: u64, outcome: Outcome },
    /// For your members of this group.
    Publish { group: String, message: Blob },
}

/// What becomes of a message at its owner's node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_enums, reason = "both sides must know them all")]
pub enum Outcome {
    /// It is in the owner's mailbox.
    Queued,
    /// The mailbox is full.
    Refused,
    /// Nobody has the name there in that epoch.
    Nobody,
    /// The owner's node cannot read the message.
    Unreadable,
}

/// One entry of a roster comes or goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Change {
    Name { name: String, serial: u64, epoch: u64 },
    NameGone { name: String },
    Member { group: String, serial: u64, meta: Blob },
    MemberGone { group: String, serial: u64 },
}

impl Change {
    /// About how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        32 + match self {
            Self::Name { name, .. } | Self::NameGone { name } => name.len(),
            Self::Member { group, meta, .. } => group.len() + meta.0.len(),
            Self::MemberGone { group, .. } => group.len(),
        }
    }

    /// What an entry adds to the digest of its roster. Not for entries that go.
    pub(super) fn digest(&self) -> u64 {
        let mut hash = Fnv::new();
        match self {
            Self::Name { name, serial, epoch } => {
                hash.write(b"n").write(name.as_bytes()).write(&serial.to_be_bytes());
                hash.write(&epoch.to_be_bytes());
            }
            Self::Member { group, serial, meta } => {
                hash.write(b"m").write(group.as_bytes()).write(&serial.to_be_bytes()).write(&meta.0);
            }
            Self::NameGone { .. } | Self::MemberGone { .. } => return 0,
        }
        hash.0
    }

    fn is_within_bounds(&self, options: &ClusterOptions) -> bool {
        match self {
            Self::Name { name, .. } | Self::NameGone { name } => name.len() <= NAME_BYTES,
            Self::Member { group, meta, .. } => {
                group.len() <= NAME_BYTES && meta.0.len() <= options.meta_bytes
            }
            Self::MemberGone { group, .. } => group.len() <= NAME_BYTES,
        }
    }
}

/// FNV-1a: the same on every machine and in every version. It finds mistakes, and withstands no malice.
struct Fnv(u64);

impl Fnv {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn write(&mut self, bytes: &[u8]) -> &mut Self {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self
    }
}

impl Frame {
    pub(super) fn encode(&self) -> Result<Bytes, EncodeError> {
        let mut bytes = vec![VERSION];
        rmp_serde::encode::write(&mut bytes, self)
            .map_err(|error| EncodeError::wrong_type(error.to_string()))?;
        Ok(bytes.into())
    }

    pub(super) fn decode(bytes: &[u8], options: &ClusterOptions) -> Result<Self, DecodeError> {
        if bytes.len() > options.frame_bytes {
            let text = format!("expected at most {} bytes, got {}", options.frame_bytes, bytes.len());
            return Err(DecodeError::too_large(text));
        }
        let body = match bytes.split_first() {
            Some((&VERSION, body)) => body,
            Some((version, _)) => {
                let text = format!("expected a frame of version {VERSION}, got {version}");
                return Err(DecodeError::malformed(text));
            }
            None => return Err(DecodeError::malformed("expected a frame, got nothing")),
        };
        let frame: Self = rmp_serde::from_slice(body)
            .map_err(|error| DecodeError::malformed("expected a frame of a node").with_source(error))?;
        let fits = match &frame.body {
            Body::Hello { .. } | Body::Bye | Body::Pull { .. } | Body::Receipt { .. } => true,
            Body::Delta { changes, .. } => changes.iter().all(|change| change.is_within_bounds(options)),
            Body::Snapshot { part, parts, entries, .. } => {
                part < parts && entries.iter().all(|entry| entry.is_within_bounds(options))
            }
            Body::Send { name, .. } => name.len() <= NAME_BYTES,
            Body::Publish { group, .. } => group.len() <= NAME_BYTES,
        };
        if fits {
            Ok(frame)
        } else {
            Err(DecodeError::too_large("a name or what a member tells is too long"))
        }
    }
}

/// Bytes, written as bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Blob(pub(super) Bytes);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;

        impl Visitor<'_> for Visit {
            type Value = Blob;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Blob, E> {
                Ok(Blob(Bytes::copy_from_slice(bytes)))
            }

            fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Blob, E> {
                Ok(Blob(bytes.into()))
            }
        }

        deserializer.deserialize_bytes(Visit)
    }
}
