//! The poll: one vote each, shared by everybody.

use std::collections::BTreeMap;

use bonito_core::Observable;

/// What one may vote for.
pub(crate) const CHOICES: [&str; 4] = ["Noodles", "Pizza", "Salad", "Sushi"];
/// Voters; more are not counted.
const MOST: usize = 10_000;

#[derive(Clone, Debug)]
pub(crate) struct Poll {
    /// Who votes for which choice.
    votes: Observable<BTreeMap<String, usize>>,
}

impl Poll {
    pub(crate) fn new() -> Self {
        Self { votes: Observable::new(BTreeMap::new()) }
    }

    /// Votes, or takes the same vote back.
    pub(crate) fn vote(&self, voter: &str, choice: usize) {
        self.votes.update(|votes| {
            if votes.get(voter) == Some(&choice) {
                votes.remove(voter);
            } else if votes.len() < MOST || votes.contains_key(voter) {
                votes.insert(voter.to_owned(), choice);
            }
        });
    }

    pub(crate) fn count(&self, choice: usize) -> Observable<usize> {
        self.votes.map(move |votes| count(votes, choice))
    }

    pub(crate) fn total(&self) -> Observable<usize> {
        self.votes.map(BTreeMap::len)
    }

    /// In percent of all votes.
    pub(crate) fn share(&self, choice: usize) -> Observable<usize> {
        self.votes.map(move |votes| 100 * count(votes, choice) / votes.len().max(1))
    }

    /// Whether it is the voter's: the value of `aria-pressed`.
    pub(crate) fn is_mine(&self, voter: &str, choice: usize) -> Observable<String> {
        let voter = voter.to_owned();
        self.votes.map(move |votes| (votes.get(&voter) == Some(&choice)).to_string())
    }
}

fn count(votes: &BTreeMap<String, usize>, choice: usize) -> usize {
    votes.values().filter(|vote| **vote == choice).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_vote_each_and_minds_may_change() {
        let poll = Poll::new();
        let (noodles, pizza, share) = (poll.count(0), poll.count(1), poll.share(1));
        poll.vote("Ada", 0);
        poll.vote("Ada", 1);
        poll.vote("Bob", 1);
        poll.vote("Eve", 0);
        poll.vote("Eve", 0);
        assert_eq!((noodles.get(), pizza.get(), share.get(), poll.total().get()), (0, 2, 100, 2));
        assert_eq!(poll.is_mine("Ada", 1).get(), "true");
        assert_eq!(poll.is_mine("Eve", 0).get(), "false");
    }
}
