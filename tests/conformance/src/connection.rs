//! What every connection of one's own must do. See [`connection_conformance!`](crate::connection_conformance).

use std::sync::Arc;

use bonito_core::{FrontendConnection, Session};
use bytes::Bytes;

/// The page's end of a connection under test, in the hands of a case. Implement it with `async fn`.
///
/// One far end is for one session. Nothing may be sent or kept that a case has not asked for.
pub trait FarEnd {
    /// The connection of the session, always the same one.
    fn connection(&self) -> Arc<dyn FrontendConnection>;

    /// Opens the way, as the script of [`setup_connection`](FrontendConnection::setup_connection) does in a page. It was
    /// made before, with the page. After a [`cut`](Self::cut) this is the page that comes back.
    fn connect(&mut self, session: &Session) -> impl Future<Output = ()>;

    /// Sends a message, as the page's `send` does. Over a way that is gone, nothing happens.
    fn send(&mut self, message: Bytes) -> impl Future<Output = ()>;

    /// The next message that comes to the page, whatever lane it is on; `None` when the way is gone. A case that does not
    /// call it is a page that does not read. What it has not returned when it is dropped is returned by the next call.
    fn receive(&mut self) -> impl Future<Output = Option<Bytes>>;

    /// Loses the way without a word, as a network does. If there is none, nothing happens.
    fn cut(&mut self) -> impl Future<Output = ()>;
}

/// Makes one test of each case in [`connection_cases`](crate::connection_cases), for a connection of your own. The argument is
/// a function that answers with a [`FarEnd`] of a new connection; it gets the endpoint that the session will belong to.
///
/// ```
/// use bonito_core::Endpoint;
/// # use std::sync::Arc;
/// # use bonito_core::{FrontendConnection, Session};
/// # use bytes::Bytes;
/// use bonito_testkit::FarEnd;
///
/// struct MyFarEnd {
///     // …
/// }
///
/// impl FarEnd for MyFarEnd {
///     // …
/// #   fn connection(&self) -> Arc<dyn FrontendConnection> { todo!() }
/// #   async fn connect(&mut self, _: &Session) {}
/// #   async fn send(&mut self, _: Bytes) {}
/// #   async fn receive(&mut self) -> Option<Bytes> { None }
/// #   async fn cut(&mut self) {}
/// }
///
/// async fn spawn(live: Endpoint) -> MyFarEnd {
/// # /*
///     …
/// # */
/// #     todo!("{live:?}")
/// }
///
/// bonito_testkit::connection_conformance!(spawn);
/// ```
///
/// The cases run one at a time.
#[macro_export]
macro_rules! connection_conformance {
    ($spawn:path) => {
        $crate::connection_conformance! { @cases tests $spawn }
    };
    (@cases $($then:tt)*) => {
        $crate::connection_conformance! { @$($then)* =>
            the_page_gets_a_script
            messages_wait_for_the_page
            messages_keep_their_order
            what_the_page_says_arrives_in_order
            large_messages_keep_their_order
            a_page_that_does_not_read_misses_nothing
            a_lost_way_is_noticed_and_what_waits_comes_once
            is_open_tells_the_truth
            a_session_that_ends_closes_the_way_once
            garbage_is_refused_and_the_session_lives
            a_message_too_large_is_refused_and_the_session_lives
            a_message_after_the_end_reaches_nobody
            threads_do_not_mix
            a_flood_is_bounded
            nothing_is_left_behind
        }
    };
    (@tests $spawn:path => $($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                $crate::run($crate::connection_cases::$case($spawn));
            }
        )*
    };
    (@list => $($case:ident)*) => {
        &[$((stringify!($case), $crate::connection_cases::$case::WHY)),*]
    };
}
