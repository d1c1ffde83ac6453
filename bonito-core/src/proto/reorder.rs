//! The fewest moves that turn one order into another.

/// `order[i]` is where the item that is to stand at `i` stands now; each place occurs once, or not at all for an item that
/// is new. Answers for each item whether it may stay where it is: the longest run of items whose order does not change.
pub(crate) fn stays(order: &[Option<usize>]) -> Vec<bool> {
    // Patience sorting: `piles[n]` is the item that ends the best run of length `n + 1`.
    let mut piles: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = vec![None; order.len()];
    for (index, place) in order.iter().enumerate() {
        if place.is_none() {
            continue;
        }
        let pile = piles.partition_point(|end| order[*end] < *place);
        before[index] = pile.checked_sub(1).map(|pile| piles[pile]);
        if pile == piles.len() {
            piles.push(index);
        } else {
            piles[pile] = index;
        }
    }
    let mut stays = vec![false; order.len()];
    let mut at = piles.last().copied();
    while let Some(index) = at {
        stays[index] = true;
        at = before[index];
    }
    stays
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn places(order: &[i32]) -> Vec<Option<usize>> {
        order.iter().map(|place| usize::try_from(*place).ok()).collect()
    }

    #[test]
    fn one_item_that_moves_is_one_move() {
        for (order, moved) in [
            (&[0, 1, 2, 3][..], &[][..]),
            (&[1, 2, 3, 0], &[3]),
            (&[3, 0, 1, 2], &[0]),
            (&[0, 2, 1, 3], &[1]),
            (&[-1, 0, -1, 1], &[0, 2]),
            (&[], &[]),
        ] {
            let stays = stays(&places(order));
            let moves: Vec<usize> = (0..order.len()).filter(|index| !stays[*index]).collect();
            let expected = order.len() - moves.len();
            assert_eq!(moves.len(), moved.len(), "{order:?}: {moves:?}");
            assert_eq!(stays.iter().filter(|stay| **stay).count(), expected);
        }
    }

    /// The length of the longest run, by trying all.
    fn longest(order: &[Option<usize>]) -> usize {
        (0..1_usize << order.len())
            .filter_map(|set| {
                let run: Vec<_> = (0..order.len())
                    .filter(|index| set >> index & 1 == 1)
                    .map(|index| order[index])
                    .collect();
                (run.iter().all(Option::is_some) && run.is_sorted()).then_some(run.len())
            })
            .max()
            .unwrap_or(0)
    }

    proptest! {
        #[test]
        fn what_stays_is_in_order_and_as_many_as_can_be(
            order in Just((0..7).collect::<Vec<usize>>()).prop_shuffle(),
            new in prop::collection::vec(any::<bool>(), 7),
        ) {
            let order: Vec<Option<usize>> =
                order.into_iter().zip(new).map(|(place, new)| (!new).then_some(place)).collect();
            let stays = stays(&order);
            let run: Vec<_> = order.iter().zip(&stays).filter(|(_, stay)| **stay).map(|(place, _)| *place).collect();
            prop_assert!(run.iter().all(Option::is_some) && run.is_sorted());
            prop_assert_eq!(run.len(), longest(&order));
        }
    }
}
