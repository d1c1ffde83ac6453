use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;
use std::thread;

use super::super::{Attach, Shared};
use crate::connection::{DualWebSocketConnection, FrontendConnection, WebSocketHandler};
use crate::proto::session::Epoch;
use crate::runtime::Disconnect;
use crate::{Endpoint, Session};

struct Dual {
    _live: Endpoint,
    session: Session,
    main: WebSocketHandler,
    leg: WebSocketHandler,
}

impl Dual {
    fn new() -> Self {
        let live = Endpoint::builder("/live").build();
        let connection = DualWebSocketConnection::new();
        let handler = |query| connection.socket_handler(query).unwrap();
        let (main, leg) = (handler("low_latency"), handler("large_data"));
        let session = live.session_with(Arc::new(connection));
        let _html = session.page("t", "");
        Self { _live: live, session, main, leg }
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.session.0
    }

    fn attach_main(&self) -> Epoch {
        let ticket = self.shared().ticket();
        match self.shared().poll_attach(&self.main, &ticket, Waker::noop()) {
            Attach::Done(epoch) => epoch,
            other => panic!("{other:?}"),
        }
    }

    fn attach_leg(&self) -> Epoch {
        match self.shared().poll_attach_leg(&self.leg, self.shared().leg_ticket(), Waker::noop()) {
            Attach::Done(epoch) => epoch,
            other => panic!("{other:?}"),
        }
    }
}

/// A page that is told that another has its leg does not come back with one: nothing large would reach it any more.
#[test]
fn a_leg_that_goes_with_its_page_is_never_told_that_another_has_replaced_it() {
    for round in 0..300 {
        let dual = Dual::new();
        let (main, leg) = (dual.attach_main(), dual.attach_leg());
        let looks = AtomicBool::new(false);
        thread::scope(|threads| {
            let looking = threads.spawn(|| {
                loop {
                    let end = dual.shared().poll_leg_end(leg, &dual.leg, Waker::noop());
                    looks.store(true, Ordering::Release);
                    if let Some(end) = end {
                        return end;
                    }
                }
            });
            while !looks.load(Ordering::Acquire) {
                std::hint::spin_loop();
            }
            if round % 2 == 0 {
                dual.shared().detach(main, &dual.main);
            } else {
                dual.attach_main();
            }
            let end = looking.join().unwrap();
            assert!(matches!(end, Disconnect::HandlerClosed), "{end:?} in round {round}");
        });
    }
}

/// The end of one page's socket must not end a socket of the next.
#[test]
fn a_leg_that_comes_while_its_page_goes_stays() {
    for round in 0..300 {
        let dual = Dual::new();
        let main = dual.attach_main();
        dual.attach_leg();
        thread::scope(|threads| {
            threads.spawn(|| dual.shared().detach(main, &dual.main));
            while dual.shared().has_leg() {
                std::hint::spin_loop();
            }
            let leg = dual.attach_leg();
            let end = dual.shared().poll_leg_end(leg, &dual.leg, Waker::noop());
            assert!(end.is_none(), "{end:?} in round {round}");
        });
        assert!(dual.leg.is_open(), "in round {round}");
    }
}
