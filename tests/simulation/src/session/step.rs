//! What may happen, as values that can be written down, read again and left out: a schedule is a list of them.
//!
//! A step that makes no sense where it stands does nothing, so that any part of a schedule is a schedule.

use std::fmt;
use std::str::FromStr;

macro_rules! steps {
    ($($(#[doc = $doc:literal])+ $name:ident $word:literal ($($field:ident: $type:ty),*),)+) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Step {
            $($(#[doc = $doc])+ $name { $($field: $type),* },)+
        }

        impl fmt::Display for Step {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$name { $($field),* } => {
                        f.write_str($word)?;
                        $(write!(f, " {}", $field)?;)*
                        Ok(())
                    })+
                }
            }
        }

        impl FromStr for Step {
            type Err = String;

            fn from_str(line: &str) -> Result<Self, String> {
                let mut words = line.split_whitespace();
                let word = words.next().unwrap_or_default();
                match word {
                    $($word => Ok(Self::$name {
                        $($field: words
                            .next()
                            .and_then(|word| word.parse().ok())
                            .ok_or_else(|| format!("{line}: expected a number for {}", stringify!($field)))?,)*
                    }),)+
                    _ => Err(format!("{line}: there is no such step")),
                }
            }
        }
    };
}

steps! {
    /// The application sends a message that keeps its place.
    Send "send" (bytes: usize),
    /// The application sends large data, in a lane of its own.
    Bulk "bulk" (bytes: usize),
    /// The application sets an observable whose every value counts.
    Each "each" (bytes: usize),
    /// The application sets an observable.
    Set "set" (observable: u8, bytes: usize),
    /// Page code sends a message.
    Say "say" (tab: usize, bytes: usize),
    /// Page code sends a ping of the plain protocol, which the server answers with a message.
    Ask "ask" (tab: usize),
    /// Page code sends what is no message at all.
    Garble "garble" (tab: usize),
    /// The page tries for a socket, if it would have one now.
    Connect "connect" (tab: usize),
    /// So many frames reach the server.
    Up "up" (link: usize, frames: usize),
    /// So many frames reach the page.
    Down "down" (link: usize, frames: usize),
    /// The connection breaks, and both ends will see it behind so many frames that are on their way.
    Cut "cut" (link: usize, up: usize, down: usize),
    /// From now on bytes vanish: 1 those to the server, 2 those to the page, 3 both.
    Vanish "vanish" (link: usize, ways: u8),
    /// The server ends the socket, and the page may come back.
    Bye "bye" (link: usize),
    /// A control frame that is none comes from the page: 0 malformed, 1 a second hello, 2 an ack of what was never sent, 3 an ack of
    /// less than before, 4 a pong, which is the server's to send, 5 of a kind that nobody knows.
    Stray "stray" (link: usize, kind: u8),
    /// The user closes the page.
    Leave "leave" (tab: usize),
    /// The same page in another tab.
    Duplicate "duplicate" (),
    /// Somebody who knows the session's id comes: 0 and 1 with a key of his own, 2 and 3 with one that was used up, 4 without a
    /// hello, 5 with a message first, 6 without the protocol.
    Thief "thief" (kind: u8),
    /// Milliseconds go by.
    Wait "wait" (milliseconds: u64),
    /// The server's clock is ahead by so many more seconds.
    JumpServer "jump-server" (seconds: u64),
    /// The page's clock is ahead by so many more seconds: its machine slept.
    JumpPage "jump-page" (seconds: u64),
    /// The server forgets everything.
    Restart "restart" (),
    /// Whoever uses the page is somebody else, or himself again.
    Identity "identity" (other: u8),
    /// The application closes the session.
    Close "close" (),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_reads_back_what_it_wrote() {
        let steps = [
            Step::Set { observable: 2, bytes: 30 },
            Step::Duplicate {},
            Step::Cut { link: 1, up: 2, down: 3 },
        ];
        for step in steps {
            assert_eq!(step.to_string().parse(), Ok(step));
        }
        assert!("send".parse::<Step>().is_err());
        assert!("fly 1".parse::<Step>().is_err());
    }
}
