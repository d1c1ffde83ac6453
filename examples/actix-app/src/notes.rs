//! The board: what is pinned, shared by everybody.

use std::collections::VecDeque;

use bonito_core::Observable;
use serde::Serialize;

/// How many notes are shown, and kept.
pub(crate) const SHOWN: usize = 6;
/// Characters of a note.
pub(crate) const LONGEST: usize = 120;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Note {
    pub(crate) text: String,
    pub(crate) author: String,
}

#[derive(Clone, Debug)]
pub(crate) struct Board {
    /// The newest first.
    notes: Observable<VecDeque<Note>>,
    pub(crate) total: Observable<u64>,
}

/// One line of the board, as pages see it.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) text: Observable<String>,
    pub(crate) author: Observable<String>,
    pub(crate) empty: Observable<bool>,
}

impl Board {
    pub(crate) fn new() -> Self {
        let board = Self { notes: Observable::new(VecDeque::new()), total: Observable::new(0) };
        board.pin("Welcome aboard. Pin something.", "The app");
        board
    }

    /// What is too long is cut: a field's `maxlength` binds honest users only.
    pub(crate) fn pin(&self, text: &str, author: &str) {
        let text: String = text.trim().chars().take(LONGEST).collect();
        if text.is_empty() {
            return;
        }
        let note = Note { text, author: author.to_owned() };
        self.notes.update(|notes| {
            notes.push_front(note.clone());
            notes.truncate(SHOWN);
        });
        self.total.update(|total| *total += 1);
    }

    pub(crate) fn lines(&self) -> Vec<Line> {
        let line = |at: usize| Line {
            text: self
                .notes
                .map(move |notes| notes.get(at).map(|note| note.text.clone()).unwrap_or_default()),
            author: self
                .notes
                .map(move |notes| notes.get(at).map(|note| note.author.clone()).unwrap_or_default()),
            empty: self.notes.map(move |notes| notes.len() <= at),
        };
        (0..SHOWN).map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_note_stands_first_and_the_oldest_goes() {
        let board = Board::new();
        let lines = board.lines();
        assert!(!lines[0].empty.get() && lines[1].empty.get());
        for n in 0..SHOWN {
            board.pin(&format!(" {n} "), "Ada");
        }
        board.pin("  ", "Ada");
        assert_eq!(lines[0].text.get(), (SHOWN - 1).to_string());
        assert_eq!(lines[SHOWN - 1].text.get(), "0");
        assert_eq!(board.total.get(), SHOWN as u64 + 1);
        board.pin(&"é".repeat(500), "Ada");
        assert_eq!(lines[0].text.get().chars().count(), LONGEST);
    }
}
