//! Who may open a stream.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// A secret of 256 bits that opens a stream. It shows in no log, is compared in constant time, and the server keeps only its
/// hash. Source: protocol.md §18.4.
pub struct Key([u8; 32]);

impl Key {
    /// The key of these bytes, which must come from the operating system's random source.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The secret itself, for the wire and for the page.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn hash(&self) -> Hash {
        Hash(Sha256::digest(self.0).into())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Key {}

/// Names one load of a page: made up there at random, and never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Instance([u8; 16]);

impl Instance {
    /// The instance with this name.
    pub fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its name.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Names one stream: a server that has forgotten a session makes no other one with the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamId([u8; 16]);

impl StreamId {
    /// The stream with this name.
    pub fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its name.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

struct Hash([u8; 32]);

impl Hash {
    fn is(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

/// Hashes of the keys that one session takes.
pub(crate) struct Keys {
    page: Hash,
    /// The key that the page has shown to have last; `None` stands for the page key.
    current: Option<Hash>,
    /// The key that the last welcome brought, until the page has shown that it has it.
    next: Option<Hash>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(…)")
    }
}

/// What a key is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Recognized {
    /// It is the page key.
    pub(crate) page: bool,
    /// It opens the stream that there is.
    pub(crate) opens: bool,
    next: bool,
}

impl Keys {
    pub(crate) fn new(page: &Key) -> Self {
        Self { page: page.hash(), current: None, next: None }
    }

    /// Looks at all keys in any case, so that the time tells nothing.
    pub(crate) fn recognize(&self, key: &Key) -> Recognized {
        let hash = key.hash();
        let page = self.page.is(&hash);
        let current = self.current.as_ref().unwrap_or(&self.page).is(&hash);
        let next = self.next.as_ref().map_or_else(|| Choice::from(0), |next| next.is(&hash));
        Recognized { page: page.into(), opens: (current | next).into(), next: next.into() }
    }

    /// A hello with this key is answered with a welcome that brings `fresh`.
    pub(crate) fn rotate(&mut self, used: Recognized, fresh: &Key) {
        if used.next {
            self.current = self.next.take();
        }
        self.next = Some(fresh.hash());
    }

    /// The page has shown that it has the key of the last welcome; what opened the stream before is worth nothing.
    pub(crate) fn confirm(&mut self) {
        if let Some(next) = self.next.take() {
            self.current = Some(next);
        }
    }

    /// Another page begins with the page key; no key of the one before opens anything.
    pub(crate) fn begin_again(&mut self, fresh: &Key) {
        self.current = None;
        self.next = Some(fresh.hash());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> Key {
        Key::new([n; 32])
    }

    fn opens(keys: &Keys, n: u8) -> bool {
        keys.recognize(&key(n)).opens
    }

    #[test]
    fn the_key_before_opens_until_the_page_has_shown_the_next() {
        let mut keys = Keys::new(&key(0));
        assert!(keys.recognize(&key(0)).page && opens(&keys, 0));
        keys.rotate(keys.recognize(&key(0)), &key(1));
        assert!(opens(&keys, 0) && opens(&keys, 1), "the welcome may be lost");
        keys.confirm();
        assert!(!opens(&keys, 0) && opens(&keys, 1), "a key that was used is worth nothing");
        assert!(keys.recognize(&key(0)).page, "but it is still known as the page's");
    }

    #[test]
    fn using_the_next_key_shows_it_too() {
        let mut keys = Keys::new(&key(0));
        keys.rotate(keys.recognize(&key(0)), &key(1));
        keys.rotate(keys.recognize(&key(1)), &key(2));
        assert_eq!([0, 1, 2, 3].map(|n| opens(&keys, n)), [false, true, true, false]);
    }

    #[test]
    fn of_two_lost_welcomes_the_first_brings_nothing() {
        let mut keys = Keys::new(&key(0));
        keys.rotate(keys.recognize(&key(0)), &key(1));
        keys.rotate(keys.recognize(&key(0)), &key(2));
        assert_eq!([0, 1, 2].map(|n| opens(&keys, n)), [true, false, true]);
    }

    #[test]
    fn only_hashes_are_kept() {
        let mut keys = Keys::new(&key(0));
        keys.rotate(keys.recognize(&key(0)), &key(1));
        keys.rotate(keys.recognize(&key(1)), &key(2));
        // All that there is: a field more has to be looked at here.
        let Keys { page, current, next } = keys;
        for (n, kept) in [(0, page), (1, current.unwrap()), (2, next.unwrap())] {
            let Hash(kept) = kept;
            let hash: [u8; 32] = Sha256::digest([n; 32]).into();
            assert_eq!(kept, hash);
            assert_ne!(kept, [n; 32]);
        }
    }

    /// What `subtle` answers with leaks no time until it is made a `bool`, after all keys have been looked at.
    #[test]
    fn hashes_are_compared_in_constant_time() {
        let compare: fn(&Hash, &Hash) -> Choice = Hash::is;
        assert!(bool::from(compare(&key(1).hash(), &key(1).hash())));
        assert!(!bool::from(compare(&key(1).hash(), &key(2).hash())));
    }

    #[test]
    fn debug_output_gives_no_key_away() {
        let keys = Keys::new(&key(7));
        assert_eq!(format!("{:?} {keys:?}", key(7)), "Key(…) Keys(…)");
    }
}
