use super::*;

fn budgets(change: impl FnOnce(&mut Limits)) -> Arc<Budgets> {
    let mut limits = Limits::default();
    change(&mut limits);
    Budgets::new(&limits)
}

#[test]
fn seats_are_refused_exactly_at_the_bound_and_free_again() {
    let budgets = budgets(|limits| (limits.sessions, limits.identity_sessions) = (3, 2));
    for _ in 0..10_000 {
        let ada = [Seat::take(&budgets, Some("ada")), Seat::take(&budgets, Some("ada"))];
        assert!(ada.iter().all(Option::is_some));
        assert!(!budgets.has_seat(Some("ada")) && Seat::take(&budgets, Some("ada")).is_none());
        assert!(budgets.has_seat(Some("bob")));
        let bob = Seat::take(&budgets, Some("bob"));
        assert!(bob.is_some(), "a seat that ada was refused is not lost");
        assert!(!budgets.has_seat(None) && Seat::take(&budgets, None).is_none());
        drop((ada, bob));
        assert!(budgets.is_unused());
    }
}

#[test]
fn seats_are_exact_from_many_threads() {
    let budgets = budgets(|limits| (limits.sessions, limits.identity_sessions) = (1000, 7));
    std::thread::scope(|scope| {
        let takers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..2000 {
                        drop(Seat::take(&budgets, Some("ada")));
                    }
                    (0..5).filter_map(|_| Seat::take(&budgets, Some("ada"))).collect::<Vec<_>>()
                })
            })
            .collect();
        let seats: Vec<_> = takers.into_iter().map(|taker| taker.join().unwrap()).collect();
        assert_eq!(seats.iter().map(Vec::len).sum::<usize>(), 7);
    });
    assert!(budgets.is_unused());
}

#[test]
fn a_charge_crowds_exactly_beyond_the_bound_and_bursts_far_beyond_it() {
    let budgets = budgets(|limits| limits.total_bytes = 16 * STEP);
    let (mut big, mut small) = (Seat::take(&budgets, None).unwrap(), Seat::take(&budgets, None).unwrap());
    assert_eq!(big.charge(15 * STEP), Pressure::Fits);
    assert_eq!(small.charge(2 * STEP - 1), Pressure::Fits);
    assert!(budgets.is_full() && !budgets.take_exceeded());
    assert_eq!((big.excess(), small.excess()), (None, None));
    assert_eq!(small.charge(2 * STEP), Pressure::Crowds);
    assert!(budgets.take_exceeded() && !budgets.take_exceeded());
    assert_eq!((big.excess(), small.excess()), (Some(15 * STEP), None), "only one has more than its share");
    assert_eq!(small.charge(6 * STEP), Pressure::Crowds, "far too much, and it is not to blame");
    assert_eq!(big.charge(16 * STEP), Pressure::Bursts);
    drop(big);
    assert_eq!(budgets.bytes(), 6 * STEP);
    drop(small);
    assert!(budgets.is_unused());
}

#[test]
fn bytes_count_for_the_identity_that_has_the_session_now() {
    let budgets = budgets(|limits| (limits.identity_bytes, limits.identity_sessions) = (4 * STEP, 1));
    let mut seat = Seat::take(&budgets, Some("ada")).unwrap();
    assert_eq!(seat.charge(4 * STEP), Pressure::Fits);
    assert!(seat.is_full() && !budgets.is_full());
    let other = Seat::take(&budgets, Some("bob"));
    assert!(!seat.set_identity(Some("bob")), "bob has his session already");
    assert_eq!(seat.charge(5 * STEP), Pressure::Crowds);
    drop(other);
    assert!(seat.set_identity(Some("bob")));
    assert!(budgets.has_seat(Some("ada")), "nothing of it is left with ada");
    assert!(!budgets.has_seat(Some("bob")));
    assert_eq!(seat.excess(), Some(5 * STEP));
    assert!(seat.set_identity(None));
    assert_eq!((seat.excess(), budgets.bytes()), (None, 5 * STEP));
    drop(seat);
    assert!(budgets.is_unused());
}

#[test]
fn what_is_asked_for_before_it_is_taken_never_exceeds_the_bound() {
    let budgets = budgets(|limits| (limits.total_bytes, limits.identity_bytes) = (1000, 600));
    let (mut ada, mut other) =
        (Seat::take(&budgets, Some("ada")).unwrap(), Seat::take(&budgets, None).unwrap());
    assert!(ada.try_add(600));
    assert!(!ada.try_add(1));
    assert_eq!(budgets.bytes(), 600, "what one of them refuses is taken from none");
    assert!(!other.try_add(401));
    assert!(other.try_add(400));
    assert!(!other.try_add(usize::MAX));
    drop((ada, other));
    assert!(budgets.is_unused());
}
