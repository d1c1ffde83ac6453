use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;

use super::*;
use crate::runtime::clock;

fn line() -> (Line, mpsc::Receiver<Inbound>) {
    Line::new((NodeId::random().unwrap(), 1, End::Edge), clock::now())
}

fn part(number: u64) -> Body {
    Body::Part(Part { number, last: true, bytes: Bytes::new() })
}

#[test]
fn a_part_that_is_missing_is_noticed_by_the_next_one() {
    let (line, mut inbound) = line();
    line.handle(part(1), clock::now());
    assert!(!line.is_broken());
    line.handle(part(3), clock::now());
    assert!(line.is_broken());
    assert!(matches!(inbound.try_recv(), Ok(Inbound::Part(_))));
    assert!(inbound.try_recv().is_err(), "what follows a hole is not handed on");
}

#[test]
fn the_last_part_is_missed_by_the_beat_behind_it() {
    let (line, _inbound) = line();
    line.handle(part(1), clock::now());
    line.handle(Body::Beat { sent: 1, taken: 0 }, clock::now());
    assert!(!line.is_broken());
    line.handle(Body::Beat { sent: 2, taken: 0 }, clock::now());
    assert!(line.is_broken());
}

#[test]
fn a_part_that_comes_twice_breaks_the_line() {
    let (line, _inbound) = line();
    line.handle(part(1), clock::now());
    line.handle(part(1), clock::now());
    assert!(line.is_broken());
}

#[test]
fn more_than_the_window_is_not_held() {
    let (line, _inbound) = line();
    for number in 1..=WINDOW {
        line.handle(part(number), clock::now());
    }
    assert!(!line.is_broken());
    for number in WINDOW + 1..=WINDOW + 3 {
        line.handle(part(number), clock::now());
    }
    assert!(line.is_broken());
}

#[test]
fn a_sender_waits_for_room_and_a_lost_word_of_it_is_made_good_by_a_beat() {
    let (line, _inbound) = line();
    line.sent.store(WINDOW, Ordering::Relaxed);
    assert!(line.room().now_or_never().is_none());
    line.handle(Body::Beat { sent: 0, taken: WINDOW / 2 }, clock::now());
    assert!(line.room().now_or_never().is_some());
    assert!(!line.is_broken());
}

#[test]
fn nobody_takes_what_was_not_sent() {
    let (line, _inbound) = line();
    line.handle(Body::Taken(5), clock::now());
    assert!(line.is_broken());
}

#[test]
fn an_end_that_comes_again_is_the_one_that_came() {
    let (line, mut inbound) = line();
    let first = clock::now();
    for n in 0..10 {
        line.handle(Body::End, first + Duration::from_secs(n));
    }
    assert_eq!(line.ended(), Some(first));
    assert!(matches!(inbound.try_recv(), Ok(Inbound::End)));
    assert!(inbound.try_recv().is_err());
}
