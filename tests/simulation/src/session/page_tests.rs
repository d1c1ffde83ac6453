use super::*;

const NOW: Duration = Duration::ZERO;

fn page() -> Page {
    Page::new([1; 16], [2; 32], Bytes::from("loaded"), 100)
}

fn welcome(resumed: bool, key: u8, received: u64) -> Bytes {
    let welcome =
        Control::Welcome { resumed, stream: [3; 16], key: [key; 32], received, message_bytes: 1 << 20 };
    welcome.encode()
}

fn sent(page: &mut Page) -> Vec<Bytes> {
    std::iter::from_fn(|| page.poll_transmit(NOW)).collect()
}

#[test]
fn it_says_nothing_between_hello_and_welcome_and_then_announces_itself() {
    let mut page = page();
    page.send(Bytes::from("one"));
    page.handle_connected(NOW);
    assert_eq!(sent(&mut page), [page.hello().encode()]);
    page.handle_frame(welcome(false, 9, 0), NOW).unwrap();
    assert_eq!(sent(&mut page), ["loaded", "one"]);
    assert_eq!(page.key(), [9; 32]);
}

#[test]
fn it_sends_again_what_was_not_had() {
    let mut page = page();
    page.handle_connected(NOW);
    sent(&mut page);
    page.handle_frame(welcome(false, 9, 0), NOW).unwrap();
    page.send(Bytes::from("one"));
    sent(&mut page);
    page.handle_lost(NOW);
    page.handle_connected(NOW);
    sent(&mut page);
    page.handle_frame(welcome(true, 8, 1), NOW).unwrap();
    assert_eq!(sent(&mut page), ["one"]);
    assert!(page.handle_frame(Control::Ack(3).encode(), NOW).is_err(), "two were sent");
}

#[test]
fn it_sees_what_the_server_may_not_do() {
    let mut page = page();
    page.handle_connected(NOW);
    assert!(page.handle_frame(Bytes::from("data"), NOW).is_err(), "before the welcome");
    page.handle_frame(welcome(false, 9, 0), NOW).unwrap();
    assert!(page.handle_frame(welcome(false, 9, 0), NOW).is_err(), "a second welcome");
    assert!(page.handle_close(4999, "", NOW).is_err());
}

#[test]
fn what_is_too_much_to_hold_ends_it() {
    let mut page = page();
    assert!(page.send(Bytes::from(vec![0; 101])));
    assert_eq!((page.end(), page.held()), (Some(&End::Lost("overflow".into())), (0, 0)));
}
