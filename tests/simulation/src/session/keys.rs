//! What §18.5 has the server answer to a hello, by the book: a second reading of the table, without secrets, hashes or rings.

use std::fmt;

use bonito_core::proto::resume::Takeover;

use super::wire::{Name, Secret};

/// What a hello is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Welcome { resumed: bool },
    Close(u16, &'static str),
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Welcome { resumed: true } => f.write_str("welcome, resumed"),
            Self::Welcome { resumed: false } => f.write_str("welcome, anew"),
            Self::Close(code, word) => write!(f, "hello answered {code} {word}"),
        }
    }
}

/// A hello as the world knows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Greeting {
    pub(super) instance: Name,
    pub(super) key: Secret,
    pub(super) stream: Option<Name>,
    pub(super) received: u64,
    /// The place of its socket among all.
    pub(super) socket: usize,
}

#[derive(Debug)]
struct Claim {
    instance: Name,
    stream: Name,
    /// A frame has come behind the hello, so the page has had its welcome.
    shown: bool,
}

/// What the server must know about keys and streams.
#[derive(Debug)]
pub(super) struct Book {
    page: Secret,
    current: Secret,
    next: Option<Secret>,
    claim: Option<Claim>,
    /// The socket that was welcomed last.
    newest: usize,
    /// Keys that opened something once and do so no more.
    pub(super) dead: Vec<Secret>,
}

impl Book {
    pub(super) fn new(page: Secret) -> Self {
        Self { page, current: page, next: None, claim: None, newest: 0, dead: Vec::new() }
    }

    /// What this hello is answered while so many frames of the stream may have been received at least and at most; `None` where
    /// the table says nothing.
    pub(super) fn answer(
        &self,
        hello: &Greeting,
        takeover: Takeover,
        possible: (u64, u64),
    ) -> Option<Answer> {
        let opens = hello.key == self.current || self.next == Some(hello.key);
        let Some(claim) = &self.claim else {
            return match (opens, hello.stream) {
                (true, None) => Some(Answer::Welcome { resumed: false }),
                (true, Some(_)) => None,
                (false, _) => Some(Answer::Close(4003, "key")),
            };
        };
        if hello.instance != claim.instance {
            return match (hello.key == self.page, takeover) {
                (false, _) if opens => None,
                (false, _) => Some(Answer::Close(4003, "key")),
                (true, Takeover::Newest) if hello.socket < self.newest => Some(Answer::Close(4001, "")),
                (true, Takeover::Newest) => Some(Answer::Welcome { resumed: false }),
                (true, Takeover::Reject) => Some(Answer::Close(4003, "duplicate")),
                (true, _) => Some(Answer::Close(4005, "duplicate")),
            };
        }
        if !opens {
            return Some(Answer::Close(4003, "key"));
        }
        if hello.socket < self.newest {
            return Some(Answer::Close(4001, ""));
        }
        match hello.stream {
            None if !claim.shown => Some(Answer::Welcome { resumed: false }),
            None => None,
            Some(stream) if stream != claim.stream => Some(Answer::Close(4005, "stream")),
            Some(_) if hello.received < possible.0 || hello.received > possible.1 => {
                Some(Answer::Close(4005, "count"))
            }
            Some(_) => Some(Answer::Welcome { resumed: true }),
        }
    }

    /// The hello was answered with this welcome.
    pub(super) fn welcomed(&mut self, hello: &Greeting, stream: Name, key: Secret, resumed: bool) {
        let taken_over = self.claim.as_ref().is_some_and(|claim| claim.instance != hello.instance);
        if taken_over {
            let former = [Some(self.current), self.next];
            self.dead.extend(former.into_iter().flatten().filter(|key| *key != hello.key));
            self.current = hello.key;
        } else if self.next == Some(hello.key) {
            self.dead.push(std::mem::replace(&mut self.current, hello.key));
        } else {
            // The last welcome was lost, and its key with it.
            self.dead.extend(self.next);
        }
        self.next = Some(key);
        self.newest = hello.socket;
        let shown = resumed && self.claim.as_ref().is_some_and(|claim| claim.shown);
        self.claim = Some(Claim { instance: hello.instance, stream, shown });
    }

    /// A frame has come behind the hello that was answered last.
    pub(super) fn shown(&mut self) {
        if let Some(next) = self.next.take() {
            self.dead.push(std::mem::replace(&mut self.current, next));
        }
        if let Some(claim) = &mut self.claim {
            claim.shown = true;
        }
    }

    pub(super) fn stream(&self) -> Option<Name> {
        self.claim.as_ref().map(|claim| claim.stream)
    }
}
