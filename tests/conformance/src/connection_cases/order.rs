//! Messages and their order.

use std::sync::{Arc, Mutex};

use bonito_core::{Endpoint, Observable, Script, Status, js};
use bytes::Bytes;

use super::{heard, number, open, step, update};
use crate::FarEnd;
use crate::client::{patiently, until};

case! {
    /// Without a script, the page does not know how to connect.
    the_page_gets_a_script(session, far) {
        let script = far.connection().setup_connection(&session).map(|script| script.to_string());
        assert!(script.is_some_and(|script| !script.trim().is_empty()), "setup_connection answers None");
        assert!(session.page("t", "").contains("init_session"));
    }
}

case! {
    /// A page that has not loaded knows no observable yet: what is sent waits, and comes before all later.
    messages_wait_for_the_page(session, far) {
        let _html = session.page("t", "");
        (0..10).for_each(|n| _ = session.eval(step(n, 0)));
        far.connect(&session).await;
        (10..20).for_each(|n| _ = session.eval(step(n, 0)));
        assert_ne!(session.status(), Status::Open, "the page has not said that it has loaded");
        open(&session, &mut far).await;
        (20..30).for_each(|n| _ = session.eval(step(n, 0)));
        assert_eq!(heard(&mut far).await, (0..30).collect::<Vec<_>>());
    }
}

case! {
    /// A script may rely on all that was sent before it.
    messages_keep_their_order(session, far) {
        let _html = session.page("t", "");
        open(&session, &mut far).await;
        for round in 0..10 {
            let steps: Vec<usize> = (round * 100..(round + 1) * 100).collect();
            steps.iter().for_each(|n| _ = session.eval(step(*n, n % 7 * 100)));
            assert_eq!(heard(&mut far).await, steps);
        }
    }
}

case! {
    /// The last value that a page sets is the one that counts.
    what_the_page_says_arrives_in_order(session, far) {
        let value = Observable::new(0_u32);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        session.keep(value.on(move |n| log.lock().unwrap().push(*n)));
        session.eval(js!("$(value)"));
        let _html = session.page("t", "");
        open(&session, &mut far).await;
        let id = value.id().to_string();
        for n in 1..=500 {
            far.send(update(&id, n)).await;
        }
        until(|| seen.lock().unwrap().len() >= 500).await;
        assert_eq!(*seen.lock().unwrap(), (1..=500).collect::<Vec<_>>());
        assert_eq!(heard(&mut far).await, [] as [usize; 0], "its own values do not come back");
    }
}

case! {
    /// What is large may be overtaken, but not by what is large.
    large_messages_keep_their_order(session, far) {
        let _html = session.page("t", "");
        open(&session, &mut far).await;
        for n in 0..20 {
            session.send_large(step(2 * n, 50_000));
            session.eval(step(2 * n + 1, 0));
        }
        let mut steps = Vec::new();
        while steps.len() < 40 {
            let message = patiently(far.receive(), "nothing came").await.expect("the way is gone");
            steps.extend(number(&message));
        }
        let lane = |odd| steps.iter().copied().filter(|n| n % 2 == odd).collect::<Vec<_>>();
        assert_eq!(lane(0), (0..20).map(|n| 2 * n).collect::<Vec<_>>());
        assert_eq!(lane(1), (0..20).map(|n| 2 * n + 1).collect::<Vec<_>>());
    }
}

case! {
    /// Observables and scripts are for any thread, and one's messages keep their order.
    threads_do_not_mix(session, far) {
        let _html = session.page("t", "");
        open(&session, &mut far).await;
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                let session = session.clone();
                std::thread::spawn(move || {
                    (0..100).for_each(|n| _ = session.eval(step(thread * 1000 + n, 10)));
                })
            })
            .collect();
        let mut steps = Vec::new();
        while steps.len() < 400 {
            let message = patiently(far.receive(), "nothing came").await.expect("the way is gone");
            steps.extend(number(&message));
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        for thread in 0..4 {
            let mine: Vec<_> = steps.iter().filter(|n| **n / 1000 == thread).map(|n| n % 1000).collect();
            assert_eq!(mine, (0..100).collect::<Vec<_>>());
        }
        assert_eq!(heard(&mut far).await, [] as [usize; 0], "nothing comes twice");
    }
}

case! {
    /// A page that sends after the end of its session must neither be heard nor do harm.
    a_message_after_the_end_reaches_nobody(session, far) {
        let value = Observable::new(0_u32);
        session.eval(js!("$(value)"));
        let _html = session.page("t", "");
        open(&session, &mut far).await;
        let id = value.id().to_string();
        far.send(update(&id, 1)).await;
        until(|| value.get() == 1).await;
        session.close();
        far.send(update(&id, 2)).await;
        far.send(Bytes::from_static(b"\xc1")).await;
        assert!(session.process_message(update(&id, 3)).unwrap_err().is_closed());
        assert_eq!((session.status(), value.get()), (Status::Closed, 1));
        session.eval(Script::new("nothing"));
    }
}
