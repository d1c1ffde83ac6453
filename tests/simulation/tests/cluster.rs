//! Names and groups over nodes that are cut off, die, sleep, and whose clocks go wrong.

use bonito_simulation::cluster::{Mutant, Tally, run};
use bonito_simulation::run_seeds;

fn schedules(default: u64, mutant: Option<Mutant>) -> Result<Tally, String> {
    run_seeds(default, |seed| run(seed, mutant), Tally::add).map_err(|failure| failure.to_string())
}

#[test]
fn no_two_act_under_a_name_and_all_is_right_once_healed() {
    let tally = schedules(20_000, None).unwrap_or_else(|failure| panic!("{failure}"));
    eprintln!("{tally:?}");
    if std::env::var_os("SEED").is_none() {
        let Tally { held, taken, expired, moved, delivered, stale, published, .. } = tally;
        let Tally { crashes, pauses, cuts, leaves, freed, .. } = tally;
        for happened in
            [held, taken, expired, moved, delivered, stale, published, crashes, pauses, cuts, leaves, freed]
        {
            assert!(happened > 1000, "the schedules are too tame: {tally:?}");
        }
    }
}

macro_rules! noticed {
    ($($test:ident: $mutant:ident says $what:expr,)*) => {
        $(
            #[test]
            fn $test() {
                let failure = schedules(5_000, Some(Mutant::$mutant)).expect_err("not noticed");
                assert!($what.iter().any(|what: &&str| failure.contains(what)), "{failure}");
            }
        )*
    };
}

noticed! {
    a_broker_whose_leases_end_early_is_noticed: LeasesEndEarly says ["two nodes may act", " after epoch "],
    epochs_that_repeat_are_noticed: EpochsRepeat says [" act in epoch "],
    a_clock_slower_than_the_bound_is_noticed: SlowClock says ["two nodes may act", " after epoch "],
    a_node_that_does_not_look_at_the_time_is_noticed: ActsOnTrust says ["two nodes may act", " after epoch "],
    a_lease_that_is_counted_too_long_is_noticed: CountsTooLong says ["two nodes may act", " after epoch "],
    messages_that_overtake_each_other_are_noticed: Disorder says [" came after "],
    a_node_that_never_learns_what_it_missed_is_noticed: NoSnapshots says ["at the end: "],
    a_node_that_leaves_without_a_word_is_noticed: LeavesSilently says [", who has left"],
    a_lease_that_is_kept_after_its_release_is_noticed: KeepsReleased says [" is not released", " is not free"],
}
