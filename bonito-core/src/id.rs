//! Names of sessions and observables. None is ever used twice (protocol.md §14, rule 8).

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

/// Name of a session: 128 random bits from the operating system, 32 hexadecimal digits in a URL.
///
/// In plain mode whoever knows the id may attach to the session, so `Debug` (and with it every log line) shows only
/// the first digits; `Display` writes it whole.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(u128);

/// Random bytes from the operating system, or the error of its source.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

impl SessionId {
    /// A new id, or the error of the operating system's random source.
    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        random().map(|bytes| Self(u128::from_be_bytes(bytes)))
    }

    /// A number from 0 to 1 that spreads sessions evenly.
    pub(crate) fn fraction(self) -> f64 {
        f64::from((self.0 >> 96) as u32) / f64::from(u32::MAX)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({:06x}…)", self.0 >> 104)
    }
}

/// The text is not a session id: 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidSessionId;

impl fmt::Display for InvalidSessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a session id: 32 lower-case hexadecimal digits")
    }
}

impl std::error::Error for InvalidSessionId {}

impl FromStr for SessionId {
    type Err = InvalidSessionId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let canonical = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !canonical {
            return Err(InvalidSessionId);
        }
        u128::from_str_radix(text, 16).map(Self).map_err(|_| InvalidSessionId)
    }
}

/// Name of an observable, unique in this process. On the wire it is `o` and a hexadecimal number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObservableId(u64);

impl ObservableId {
    pub(crate) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// The id that this wire name stands for, if it is one of ours.
    pub(crate) fn parse(wire: &str) -> Option<Self> {
        let digits = wire.strip_prefix('o')?;
        let canonical = !digits.is_empty()
            && digits.len() <= 16
            && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !canonical {
            return None;
        }
        u64::from_str_radix(digits, 16).ok().map(Self)
    }
}

impl fmt::Display for ObservableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "o{:x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_id_reads_back_what_it_wrote() {
        let id = SessionId::random().unwrap();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().len(), 32);
    }

    #[test]
    fn only_the_canonical_form_is_an_id() {
        let id = SessionId(0xabc).to_string();
        for wrong in [
            "",
            "0",
            &id.to_uppercase(),
            &format!("+{}", &id[1..]),
            &format!("{id}0"),
            &format!(" {}", &id[1..]),
        ] {
            assert_eq!(wrong.parse::<SessionId>(), Err(InvalidSessionId), "{wrong:?}");
        }
    }

    #[test]
    fn debug_output_does_not_give_a_session_away() {
        let id = SessionId::random().unwrap();
        assert!(!format!("{id:?}").contains(&id.to_string()[8..]));
    }

    #[test]
    fn observable_ids_read_back_and_are_never_reused() {
        let (a, b) = (ObservableId::next(), ObservableId::next());
        assert_ne!(a, b);
        assert_eq!(ObservableId::parse(&a.to_string()), Some(a));
        for wrong in ["", "o", "x1", "o-1", "oG", "constructor", "o00000000000000001"] {
            assert_eq!(ObservableId::parse(wrong), None, "{wrong:?}");
        }
    }
}
