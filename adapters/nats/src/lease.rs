//! Leases as the last messages of their keys in a key-value bucket.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::HeaderValue;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::kv::{Store, UpdateError, UpdateErrorKind};
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use bonito_core::{Acquired, ClusterError, Held, Renewed};
use bytes::{BufMut, Bytes, BytesMut};

/// Attempts at a write that others come before. Each failed one is another's that went well.
const ATTEMPTS: usize = 8;
/// Claims of one process that it remembers. Those beyond are read again when they are renewed.
const REMEMBERED: usize = 100_000;

pub(crate) struct Leases {
    bucket: Store,
    /// What the bucket keeps, which may be more than was asked for.
    longest: Duration,
    /// Claims made here, so that renewing one is a single write.
    own: Mutex<HashMap<String, Own>>,
}

#[derive(Clone)]
struct Own {
    epoch: u64,
    revision: u64,
    value: Bytes,
}

/// What the bucket has of a key.
struct Entry {
    revision: u64,
    /// `None` for a lease that was released.
    held: Option<Held>,
}

impl Leases {
    pub(crate) fn new(bucket: Store, lease: Duration) -> Self {
        let longest = lease.max(bucket.stream.cached_info().config.max_age);
        Self { bucket, longest, own: Mutex::default() }
    }

    pub(crate) fn keeps(&self, ttl: Duration) -> Result<(), ClusterError> {
        if ttl <= self.longest {
            return Ok(());
        }
        Err(ClusterError::refused(format!(
            "expected a ttl of at most {:?}, the NATS bucket's max_age, got {ttl:?}: see NatsOptions::lease",
            self.longest
        )))
    }

    pub(crate) async fn acquire(&self, key: &str, value: Bytes) -> Result<Acquired, ClusterError> {
        let mut last = 0;
        for _ in 0..ATTEMPTS {
            if let Some(epoch) = self.write(key, encode(0, &value), last).await? {
                self.remember(key, Own { epoch, revision: epoch, value });
                return Ok(Acquired::Granted { epoch });
            }
            last = match self.entry(key).await? {
                Some(Entry { held: Some(held), .. }) => return Ok(Acquired::Held(held)),
                Some(Entry { revision, held: None }) => revision,
                None => 0,
            };
        }
        Err(contended())
    }

    pub(crate) async fn renew(&self, key: &str, epoch: u64) -> Result<Renewed, ClusterError> {
        let known = self.own().get(key).filter(|own| own.epoch == epoch).cloned();
        let (mut revision, mut value) = match known {
            Some(own) => (own.revision, own.value),
            None => match self.claim(key, epoch).await? {
                Some(claim) => claim,
                None => return Ok(Renewed::Lost),
            },
        };
        for _ in 0..ATTEMPTS {
            if let Some(revision) = self.write(key, encode(epoch, &value), revision).await? {
                self.remember(key, Own { epoch, revision, value });
                return Ok(Renewed::Renewed);
            }
            // A renewal whose answer was lost is no loss of the lease.
            let Some(claim) = self.claim(key, epoch).await? else { return Ok(Renewed::Lost) };
            (revision, value) = claim;
        }
        Err(contended())
    }

    /// With the revision that was [taken](Self::take).
    pub(crate) async fn release(
        &self,
        key: &str,
        epoch: u64,
        mut revision: Option<u64>,
    ) -> Result<(), ClusterError> {
        for _ in 0..ATTEMPTS {
            let last = match revision.take() {
                Some(revision) => revision,
                None => match self.claim(key, epoch).await? {
                    Some((revision, _)) => revision,
                    None => return Ok(()),
                },
            };
            match self.bucket.delete_expect_revision(key, Some(last)).await {
                Ok(()) => {
                    self.forget(key, epoch);
                    return Ok(());
                }
                Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Err(contended())
    }

    pub(crate) async fn read(&self, key: &str) -> Result<Option<Held>, ClusterError> {
        Ok(self.entry(key).await?.and_then(|entry| entry.held))
    }

    /// Revision and value of the lease, if it is still that of this epoch. Else it is over for good.
    async fn claim(&self, key: &str, epoch: u64) -> Result<Option<(u64, Bytes)>, ClusterError> {
        match self.entry(key).await? {
            Some(Entry { revision, held: Some(held) }) if held.epoch == epoch => {
                Ok(Some((revision, held.value)))
            }
            _ => {
                self.forget(key, epoch);
                Ok(None)
            }
        }
    }

    /// Writes if the last message of the key is still the one at `last`, 0 for none. Answers the position of what was written.
    async fn write(&self, key: &str, value: Bytes, last: u64) -> Result<Option<u64>, ClusterError> {
        match self.bucket.update(key, value, last).await {
            Ok(revision) => Ok(Some(revision)),
            Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// Asks the stream's leader. A read of the bucket may be answered by a replica that is behind.
    async fn entry(&self, key: &str) -> Result<Option<Entry>, ClusterError> {
        let subject = format!("{}{key}", self.bucket.prefix);
        let message = match self.bucket.stream.get_last_raw_message_by_subject(&subject).await {
            Ok(message) => message,
            Err(error) => {
                return match error.kind() {
                    LastRawMessageErrorKind::NoMessageFound => Ok(None),
                    LastRawMessageErrorKind::InvalidSubject => {
                        Err(ClusterError::refused("the key is none that NATS takes").with_source(error))
                    }
                    _ => Err(ClusterError::unreachable("the NATS broker did not say who holds the key")
                        .with_source(error)),
                };
            }
        };
        let released = message
            .headers
            .get("KV-Operation")
            .is_some_and(|operation| *operation != HeaderValue::from("PUT"));
        let held = (!released).then(|| decode(message.sequence, message.payload));
        Ok(Some(Entry { revision: message.sequence, held }))
    }

    fn remember(&self, key: &str, claim: Own) {
        let mut own = self.own();
        if own.len() < REMEMBERED || own.contains_key(key) {
            own.insert(key.to_owned(), claim);
        }
    }

    fn forget(&self, key: &str, epoch: u64) {
        self.take(key, epoch);
    }

    /// Forgets a claim, and answers its revision if that was remembered.
    pub(crate) fn take(&self, key: &str, epoch: u64) -> Option<u64> {
        let mut own = self.own();
        if own.get(key).is_none_or(|own| own.epoch != epoch) {
            return None;
        }
        own.remove(key).map(|own| own.revision)
    }

    fn own(&self) -> MutexGuard<'_, HashMap<String, Own>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The epoch, 8 bytes, and the value. A claim does not know its epoch, which is where it will stand: it writes 0.
fn encode(epoch: u64, value: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(8 + value.len());
    bytes.put_u64(epoch);
    bytes.put_slice(value);
    bytes.freeze()
}

fn decode(revision: u64, mut bytes: Bytes) -> Held {
    let Some(epoch) = bytes.first_chunk::<8>().map(|epoch| u64::from_be_bytes(*epoch)) else {
        // Nobody here wrote that. Whoever did has the key until it expires.
        return Held { epoch: revision, value: Bytes::new() };
    };
    let value = bytes.split_off(8);
    Held { epoch: if epoch == 0 { revision } else { epoch }, value }
}

fn contended() -> ClusterError {
    ClusterError::unreachable("others wrote the key each time: try again later")
}

fn failed(error: UpdateError) -> ClusterError {
    type PublishError = async_nats::jetstream::context::PublishError;
    let cause = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<PublishError>());
    match (error.kind(), cause.map(PublishError::kind)) {
        (UpdateErrorKind::InvalidKey, _) => ClusterError::refused("the key is none that NATS takes"),
        (_, Some(PublishErrorKind::MaxPayloadExceeded)) => {
            ClusterError::refused("the value is longer than the NATS broker's max_payload")
        }
        _ => ClusterError::unreachable("the NATS broker did not confirm the write"),
    }
    .with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_has_its_position_as_epoch_and_a_renewal_keeps_it() {
        let value = Bytes::from_static(b"node 1");
        let claim = decode(7, encode(0, &value));
        assert_eq!(claim, Held { epoch: 7, value: value.clone() });
        assert_eq!(decode(12, encode(claim.epoch, &claim.value)), claim);
    }

    #[test]
    fn what_is_no_lease_is_held_by_nobody_known() {
        assert_eq!(decode(9, Bytes::from_static(b"short")), Held { epoch: 9, value: Bytes::new() });
    }
}
