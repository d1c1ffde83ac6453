//! What every cluster backend must do. See [`cluster_conformance!`](crate::cluster_conformance).

mod local;

pub use local::{LocalCluster, LocalNode};

/// Makes one test of each case in [`cluster_cases`](crate::cluster_cases), for a
/// [`ClusterBackend`](bonito_core::ClusterBackend) of your own. The argument is an async function that connects one more
/// process to the broker, always the same one; it is to keep leases for [`TTL`](crate::cluster_cases::TTL) at least, and not
/// much longer. Cases use keys and subjects that no other run uses.
///
/// ```
/// use std::sync::{Arc, LazyLock};
///
/// use bonito_core::ClusterBackend;
/// use bonito_testkit::LocalCluster;
///
/// async fn connect() -> Arc<dyn ClusterBackend> {
///     static CLUSTER: LazyLock<LocalCluster> = LazyLock::new(LocalCluster::new);
///     CLUSTER.node()
/// }
///
/// bonito_testkit::cluster_conformance!(connect);
/// ```
///
/// The cases run one at a time, in real time. With a second argument `paused` they run in tokio's paused time, for backends
/// whose time that is.
#[macro_export]
macro_rules! cluster_conformance {
    ($connect:path) => {
        $crate::cluster_conformance! { @cases tests run, $connect }
    };
    ($connect:path, paused) => {
        $crate::cluster_conformance! { @cases tests run_paused, $connect }
    };
    (@cases $($then:tt)*) => {
        $crate::cluster_conformance! { @$($then)* =>
            a_message_comes_to_every_subscriber_once
            messages_keep_their_order
            a_subscription_hears_its_subject_only
            a_dropped_subscription_ends_alone
            large_messages_between_nodes_arrive_whole
            a_slow_subscriber_holds_up_nobody
            a_key_is_granted_once
            an_own_lease_is_not_granted_again
            many_claims_have_one_winner
            epochs_grow_over_a_release
            epochs_grow_over_an_expiry
            a_lease_is_kept_for_its_time
            a_renewed_lease_lives_on_in_its_epoch
            a_lease_that_ran_out_cannot_be_renewed
            a_released_lease_cannot_be_renewed
            an_old_epoch_releases_nothing
            who_holds_a_key_can_be_read
            calls_that_are_dropped_harm_nobody
            a_name_is_reached_from_another_node
            nobody_is_an_answer
            of_two_claims_one_is_told_that_it_lost
            a_released_name_is_free_on_other_nodes
            an_owner_knows_its_epoch
            a_message_to_a_group_reaches_all_nodes_in_order
            members_of_all_nodes_are_seen
            a_node_that_leaves_is_gone_at_once
            a_node_that_comes_late_learns_everything
        }
    };
    (@tests $run:ident, $connect:path => $($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                $crate::$run($crate::cluster_cases::$case($connect));
            }
        )*
    };
    (@list => $($case:ident)*) => {
        &[$((stringify!($case), $crate::cluster_cases::$case::WHY)),*]
    };
}

/// Names and reasons of all cases for cluster backends.
pub const CLUSTER_CASES: &[(&str, &str)] = crate::cluster_conformance!(@cases list);

/// Runs a case to its end in tokio's paused time.
#[doc(hidden)]
pub fn run_paused(case: impl Future<Output = ()>) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(case);
}
