//! The broker's leases, by its own clock: that of the world.

use std::collections::HashMap;

use bonito_core::{Acquired, Held, Renewed};
use bytes::Bytes;

use super::Mutant;

#[derive(Debug, Default)]
pub(super) struct Broker {
    leases: HashMap<String, (Held, u64)>,
    last_epoch: u64,
    mutant: Option<Mutant>,
}

impl Broker {
    pub(super) fn new(mutant: Option<Mutant>) -> Self {
        Self { mutant, ..Self::default() }
    }

    fn until(&self, now: u64, ttl: u64) -> u64 {
        now + if self.mutant == Some(Mutant::LeasesEndEarly) { ttl / 2 } else { ttl }
    }

    pub(super) fn live(&self, key: &str, now: u64) -> Option<&Held> {
        self.leases.get(key).filter(|(_, until)| now < *until).map(|(held, _)| held)
    }

    pub(super) fn acquire(&mut self, key: &str, value: Bytes, ttl: u64, now: u64) -> Acquired {
        if let Some(held) = self.live(key, now) {
            return Acquired::Held(held.clone());
        }
        if self.mutant != Some(Mutant::EpochsRepeat) || self.last_epoch == 0 {
            self.last_epoch += 1;
        }
        let epoch = self.last_epoch;
        self.leases.insert(key.to_owned(), (Held { epoch, value }, self.until(now, ttl)));
        Acquired::Granted { epoch }
    }

    pub(super) fn renew(&mut self, key: &str, epoch: u64, ttl: u64, now: u64) -> Renewed {
        let to = self.until(now, ttl);
        match self.leases.get_mut(key) {
            Some((held, until)) if held.epoch == epoch && now < *until => {
                *until = to.max(*until);
                Renewed::Renewed
            }
            _ => Renewed::Lost,
        }
    }

    pub(super) fn release(&mut self, key: &str, epoch: u64) {
        if self.mutant == Some(Mutant::KeepsReleased) {
            return;
        }
        if self.leases.get(key).is_some_and(|(held, _)| held.epoch == epoch) {
            self.leases.remove(key);
        }
    }
}
