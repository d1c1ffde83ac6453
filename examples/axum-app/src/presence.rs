//! Counting who is here.

use std::sync::atomic::{AtomicBool, Ordering};

use bonito_core::{Observable, Session};

/// Counts a session among the visitors for as long as its page is connected.
pub(crate) fn count(session: &Session, visitors: &Observable<usize>) {
    let here = std::sync::Arc::new(Presence { visitors: visitors.clone(), inside: AtomicBool::new(false) });
    let (lost, gone) = (here.clone(), here.clone());
    session.on_open(move |_, _| here.enter());
    session.on_soft_close(move |_| lost.leave());
    session.on_close(move |_, _| gone.leave());
}

/// A connection may be lost before the session closes, or with it: neither counts twice.
struct Presence {
    visitors: Observable<usize>,
    inside: AtomicBool,
}

impl Presence {
    fn enter(&self) {
        if !self.inside.swap(true, Ordering::AcqRel) {
            self.visitors.update(|count| *count += 1);
        }
    }

    fn leave(&self) {
        if self.inside.swap(false, Ordering::AcqRel) {
            self.visitors.update(|count| *count = count.saturating_sub(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_counts_twice() {
        let visitors = Observable::new(0);
        let here = Presence { visitors: visitors.clone(), inside: AtomicBool::new(false) };
        here.leave();
        assert_eq!(visitors.get(), 0);
        here.enter();
        here.enter();
        assert_eq!(visitors.get(), 1);
        here.leave();
        here.leave();
        assert_eq!(visitors.get(), 0);
    }
}
