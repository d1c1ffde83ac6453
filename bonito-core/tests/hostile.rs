//! Frames that no honest peer sends (`docs/src/protocol.md` §16), each with the answer it gets.
#![allow(clippy::unwrap_used, clippy::field_reassign_with_default, reason = "a test fails by panicking")]

mod common;

use bonito_core::{
    Limits,
    proto::{
        DecodeError, EncodeError,
        codec::{UpdatePrefix, decode_client, decode_packet, encode_client, encode_packet},
        compress::{Container, RATIO_FREE_BYTES, compress, decompress},
        message::{CacheEntry, ClientMessage, Envelope, MAX_TEXT_BYTES, Packet, ServerMessage},
        value::{RawValue, Value},
    },
};
use bytes::Bytes;
use common::{from_hex, to_hex};

fn text(text: &str) -> Vec<u8> {
    RawValue::encode(text).unwrap().as_bytes().to_vec()
}

/// A map of encoded values.
fn message(fields: &[(&str, &[u8])]) -> Bytes {
    let mut out = vec![0x80 | fields.len() as u8];
    for (key, value) in fields {
        out.extend_from_slice(&text(key));
        out.extend_from_slice(value);
    }
    Bytes::from(out)
}

/// An update whose payload is these bytes.
fn update(payload: &[u8]) -> Bytes {
    message(&[("msg_type", &text("0")), ("id", &text("o")), ("payload", payload)])
}

fn client(frame: Bytes) -> Result<ClientMessage, DecodeError> {
    decode_client(frame, &Limits::default())
}

fn read(frame: Bytes) -> ClientMessage {
    client(frame).unwrap()
}

#[track_caller]
fn refused(frame: Bytes) -> DecodeError {
    client(frame).unwrap_err()
}

#[test]
fn errors_travel() {
    fn travels<T: std::error::Error + Send + Sync + 'static>() {}
    travels::<DecodeError>();
    travels::<EncodeError>();
}

#[test]
fn a_declared_length_of_four_billion_is_malformed() {
    for (name, head) in [
        ("array32", "ddffffffff"),
        ("map32", "dfffffffff"),
        ("str32", "dbffffffff"),
        ("bin32", "c6ffffffff"),
        ("ext32", "c9ffffffff12"),
        ("ext32 of a value", "c9ffffffff63"),
    ] {
        let head = from_hex(head);
        assert!(refused(update(&head)).is_malformed(), "{name} in a payload");
        assert!(refused(head.clone()).is_malformed(), "{name} alone");
        assert!(
            decode_packet(head.clone(), &Limits::default()).unwrap_err().is_malformed(),
            "{name} to a browser"
        );
        assert!(Value::decode(&head, &Limits::default()).unwrap_err().is_malformed(), "{name} as a tree");
    }
}

#[test]
fn a_declared_length_inside_an_extension_ends_with_it() {
    // An ND array of 3 bytes whose array says that 4 values follow, while bytes do follow behind it.
    assert!(refused(update(&from_hex("c70363940101"))).is_malformed());
    let mut inner = from_hex("9482").to_vec();
    inner.extend_from_slice(&from_hex("c7036394010101010101"));
    assert!(refused(update(&inner)).is_malformed());
}

#[test]
fn deep_nesting_is_refused_in_every_form() {
    for (name, level) in [("array", "91"), ("map", "81a161"), ("key", "8101"), ("array16", "dc0001")] {
        let bomb = level.repeat(100_000) + "c0";
        assert!(refused(update(&from_hex(&bomb))).is_too_deep(), "{name}");
        assert!(Value::decode(&from_hex(&bomb), &Limits::default()).unwrap_err().is_too_deep(), "{name}");
    }
    let nest = |levels: usize| update(&from_hex(&("91".repeat(levels) + "c0")));
    assert!(client(nest(63)).is_ok(), "the message itself is the 64th level");
    assert!(refused(nest(64)).is_too_deep());

    let mut nested = vec![0xc0];
    for _ in 0..80 {
        let mut outer = vec![0xc8, 0, 0, 0x63, 0x92, 0xc0];
        outer[1..3].copy_from_slice(&(nested.len() as u16 + 2).to_be_bytes());
        outer.append(&mut nested);
        nested = outer;
    }
    assert!(refused(update(&nested)).is_too_deep(), "extension values in extension values");
}

#[test]
fn deep_envelopes_are_refused() {
    let mut packet = Packet::Bare(ServerMessage::PingPong);
    for _ in 0..40 {
        packet = Packet::Bare(ServerMessage::Fused(vec![packet]));
    }
    let frame = encode_packet(&packet).unwrap();
    assert!(decode_packet(frame, &Limits::default()).unwrap_err().is_too_deep());
}

#[test]
fn too_many_elements_are_refused() {
    let array = |len: u32| {
        let mut bytes = vec![0xdd];
        bytes.extend_from_slice(&len.to_be_bytes());
        bytes.resize(5 + len as usize, 0xc0);
        bytes
    };
    assert!(client(update(&array(99_997))).is_ok(), "three elements are the message's own");
    assert!(refused(update(&array(99_998))).is_too_large());

    let maps = "80".repeat(60_000);
    assert!(client(update(&from_hex(&format!("dd0000ea60{maps}")))).is_ok());
    let mut two = vec![0x92];
    two.extend(array(60_000));
    two.extend(array(60_000));
    assert!(refused(update(&two)).is_too_large(), "the whole message counts");
}

#[test]
fn a_frame_longer_than_any_limit_is_refused() {
    let mut limits = Limits::default();
    limits.message_bytes = 10;
    limits.inflated_bytes = 10;
    assert!(decode_client(update(&[0xc0]), &limits).unwrap_err().is_too_large());
}

#[test]
fn bytes_after_the_message_are_refused() {
    let mut frame = update(&[0xc0]).to_vec();
    frame.push(0xc0);
    assert!(refused(Bytes::from(frame)).is_malformed());
    let mut bundle = from_hex("81a86d73675f74797065a23131").to_vec();
    bundle.push(0);
    assert!(decode_packet(Bytes::from(bundle), &Limits::default()).unwrap_err().is_malformed());
}

#[test]
fn frames_that_are_no_message_are_refused() {
    for frame in ["", "c1", "00", "c0", "90", "a0", "81", "81a86d73675f74797065", "81a86d73675f74797065a2"] {
        assert!(refused(from_hex(frame)).is_malformed(), "{frame:?}");
    }
}

#[test]
fn every_cut_of_a_frame_is_refused() {
    for golden in common::golden().iter().filter(|golden| !golden.compressed) {
        for end in 0..golden.bytes.len() {
            let cut = golden.bytes.slice(..end);
            if golden.from_browser {
                assert!(refused(cut).is_malformed(), "{} at {end}", golden.name);
            } else {
                assert!(decode_packet(cut, &Limits::default()).is_err(), "{} at {end}", golden.name);
            }
        }
    }
}

#[test]
fn code_from_a_browser_is_forbidden() {
    for (code, hex) in [
        (101, "c7046592a16fc0"),
        (102, "d76693 80 a3 313b31 a1 31"),
        (104, "d568a16f"),
        (105, "d5 69 93a1"),
        (106, "d56a9300"),
        (107, "d56b94a1"),
        (108, "d56ca178"),
        (109, "d56da178"),
    ] {
        let hex = hex.replace(' ', "");
        assert!(refused(update(&from_hex(&hex))).is_forbidden(), "{code}");
        let hidden = format!("81a16192c0{hex}");
        assert!(refused(update(&from_hex(&hidden))).is_forbidden(), "{code} inside");
        let nd = format!("c7{:02x}6392c0{hex}", hex.len() / 2 + 2);
        assert!(refused(update(&from_hex(&nd))).is_forbidden(), "{code} inside an ND array");
    }
    assert!(client(update(&from_hex("d567a16f"))).is_ok(), "an unknown code is data");
}

#[test]
fn proto_keys_from_a_browser_are_forbidden() {
    let key = to_hex(b"__proto__");
    assert!(refused(update(&from_hex(&format!("81a9{key}80")))).is_forbidden());
    assert!(refused(update(&from_hex(&format!("9181d909{key}80")))).is_forbidden(), "with a longer header");
    assert!(refused(message(&[("msg_type", &text("11")), ("__proto__", &[0x80])])).is_forbidden());
    assert!(client(update(&text("__proto__"))).is_ok(), "as text it is harmless");
}

#[test]
fn what_would_break_another_browser_is_malformed() {
    assert!(refused(update(&from_hex("c703ff010203"))).is_malformed(), "a date of three bytes (§3.1)");
    assert!(refused(update(&from_hex("d463c0"))).is_malformed(), "an ND array without parts");
    assert!(client(update(&from_hex("d7639291039391c0c0").slice(..1))).is_err());
    assert!(client(update(&from_hex("c707639292020390c0"))).is_err(), "bytes after the parts");
    assert!(
        client(update(&from_hex("c70563929202 0390".replace(' ', "").as_str()))).is_ok(),
        "a plain list as size"
    );
}

#[test]
fn keys_that_are_no_keys_are_malformed() {
    for key in ["c0", "c3", "90", "80", "c400", "d40100"] {
        assert!(refused(update(&from_hex(&format!("81{key}01")))).is_malformed(), "{key}");
    }
    assert!(client(update(&from_hex("82010102c0"))).is_ok(), "numbers are keys");
}

#[test]
fn an_update_needs_an_id() {
    let tag = text("0");
    assert!(refused(message(&[("msg_type", &tag), ("payload", &[1])])).is_wrong_type());
    assert!(refused(message(&[("msg_type", &tag), ("id", &[7])])).is_wrong_type());
    assert!(refused(message(&[("msg_type", &tag), ("id", &[0xc0])])).is_wrong_type());
    let without = read(message(&[("msg_type", &tag), ("id", &text("o"))]));
    assert_eq!(without, ClientMessage::UpdateObservable { id: "o".to_owned(), payload: RawValue::NIL });
}

#[test]
fn a_name_longer_than_allowed_is_refused() {
    let long = text(&"x".repeat(257));
    let fits = text(&"x".repeat(256));
    assert!(client(message(&[("msg_type", &text("0")), ("id", &fits)])).is_ok());
    for frame in [
        message(&[("msg_type", &text("0")), ("id", &long)]),
        message(&[("msg_type", &text("8")), ("session", &long)]),
        message(&[("msg_type", &text("10")), ("subsession", &long)]),
        message(&[("msg_type", &text("13")), ("replace", &long)]),
        message(&[("msg_type", &long)]),
    ] {
        assert!(refused(frame).is_too_large());
    }
}

#[test]
fn missing_and_mistyped_fields_have_one_meaning() {
    let empty = String::new;
    let one = |tag: &str| read(message(&[("msg_type", &text(tag))]));
    let wrong = |tag: &str| {
        let fields = ["session", "subsession", "replace", "message", "exception", "stacktrace"];
        let mut all: Vec<(&str, &[u8])> =
            fields.iter().map(|field| (*field, &[0x81, 0xa0, 0x01][..])).collect();
        let tag = text(tag);
        all.push(("msg_type", &tag));
        read(message(&all))
    };
    let error = ClientMessage::JavascriptError { message: empty(), exception: empty(), stacktrace: empty() };
    assert_eq!((one("3"), wrong("3")), (error.clone(), error));
    let warning = ClientMessage::JavascriptWarning { message: empty() };
    assert_eq!((one("4"), wrong("4")), (warning.clone(), warning));
    let done = |exception| ClientMessage::DoneLoading {
        session: empty(),
        message: empty(),
        exception,
        stacktrace: empty(),
    };
    assert_eq!((one("8"), wrong("8")), (done(None), done(Some(empty()))));
    let nil = message(&[("msg_type", &text("8")), ("exception", &[0xc0])]);
    assert_eq!(read(nil), done(None));
    let close = ClientMessage::CloseSession { session: empty(), subsession: empty() };
    assert_eq!((one("10"), wrong("10")), (close.clone(), close));
    let dom = ClientMessage::GetSessionDom { session: empty(), replace: empty() };
    assert_eq!((one("13"), wrong("13")), (dom.clone(), dom));
    assert_eq!((one("11"), wrong("11")), (ClientMessage::PingPong, ClientMessage::PingPong));
}

#[test]
fn an_unknown_or_mistyped_tag_is_unknown() {
    let unknown = |tag: &str| ClientMessage::Unknown { tag: tag.to_owned() };
    for tag in ["5", "6", "9", "12", "99", "", "constructor"] {
        assert_eq!(read(message(&[("msg_type", &text(tag))])), unknown(tag));
    }
    assert_eq!(read(message(&[("msg_type", &[0])])), unknown(""), "an integer is no tag");
    assert_eq!(read(message(&[])), unknown(""));
    assert_eq!(read(message(&[("id", &text("o"))])), unknown(""));
}

#[test]
fn of_fields_that_come_twice_the_last_counts() {
    let frame = message(&[
        ("msg_type", &text("11")),
        ("payload", &[1]),
        ("id", &[1]),
        ("msg_type", &text("0")),
        ("id", &text("o")),
        ("payload", &[2]),
    ]);
    assert_eq!(read(frame), read(update(&[2])));
}

#[test]
fn huge_texts_are_cut_between_characters() {
    let huge = text(&"é".repeat(MAX_TEXT_BYTES));
    let ClientMessage::JavascriptWarning { message: cut } =
        read(message(&[("msg_type", &text("4")), ("message", &huge)]))
    else {
        panic!();
    };
    assert_eq!(cut, "é".repeat(MAX_TEXT_BYTES / 2));

    let mut broken = from_hex("dafffe").to_vec();
    broken.resize(3 + 0xfffe, 0xff);
    let ClientMessage::JavascriptWarning { message: cut } =
        read(message(&[("msg_type", &text("4")), ("message", &broken)]))
    else {
        panic!();
    };
    assert!(cut.len() <= MAX_TEXT_BYTES && cut.chars().all(|char| char == '\u{fffd}'));
}

#[test]
fn a_lone_surrogate_does_not_cost_the_frame() {
    let surrogate = from_hex("a3eda080");
    let ClientMessage::UpdateObservable { payload, .. } = read(update(&surrogate)) else {
        panic!();
    };
    assert_eq!(payload.decode::<String>().unwrap(), "\u{fffd}\u{fffd}\u{fffd}");
    let frame = message(&[("msg_type", &text("4")), ("message", &surrogate)]);
    assert_eq!(read(frame), ClientMessage::JavascriptWarning { message: "\u{fffd}".repeat(3) });
    let frame = message(&[("msg_type", &text("0")), ("id", &surrogate)]);
    assert!(matches!(read(frame), ClientMessage::UpdateObservable { .. }));
}

#[test]
fn every_header_form_is_read() {
    let tag = ["a130", "d90130", "da000130", "db0000000130"];
    let id = ["a16f", "d9016f", "da00016f", "db000000016f"];
    let map = ["83", "de0003", "df00000003"];
    let payload =
        ["07", "cc07", "cd0007", "ce00000007", "cf0000000000000007", "d007", "d10007", "d200000007"];
    for (at, payload) in payload.iter().enumerate() {
        let (tag, id, map) = (tag[at % 4], id[at / 2 % 4], map[at % 3]);
        let hex = format!("{map}a86d73675f74797065{tag}a26964{id}a77061796c6f6164{payload}");
        let ClientMessage::UpdateObservable { id, payload } = read(from_hex(&hex)) else {
            panic!("{hex}");
        };
        assert_eq!((id.as_str(), payload.decode::<u8>().unwrap()), ("o", 7), "{hex}");
    }
}

#[test]
fn a_payload_is_a_slice_of_its_frame() {
    let frame = UpdatePrefix::new("o").frame(&RawValue::encode(&vec![1u8; 100]).unwrap());
    let range = frame.as_ptr_range();
    let ClientMessage::UpdateObservable { payload, .. } = read(frame) else {
        panic!();
    };
    assert!(range.contains(&payload.as_bytes().as_ptr()));
}

#[test]
fn packets_are_read_in_the_forms_of_section_4() {
    let ping = "81a86d73675f74797065a23131";
    let packet = |cache: &str, data_code: &str| {
        let data = format!("c7{:02x}{data_code}{ping}", ping.len() / 2);
        let body = format!("94a172a4726f6f74{cache}{data}");
        decode_packet(from_hex(&format!("c7{:02x}6b{body}", body.len() / 2)), &Limits::default())
    };
    let track = [CacheEntry::Track("k".to_owned())];
    for (name, cache, data_code, expected) in [
        ("nil as cache", "d412c0", "12", &[][..]),
        ("a number as cache", "d41207", "12", &[]),
        ("the list without 106", "c70512 91d56da16b".trim(), "12", &track),
        ("wrappers of another code", "d44dc0", "4d", &[]),
        ("an empty list", "d41290", "12", &[]),
    ] {
        let Packet::Enveloped(Envelope { cache, .. }) = packet(&cache.replace(' ', ""), data_code).unwrap()
        else {
            panic!("{name}");
        };
        assert_eq!(cache, expected, "{name}");
    }
    for (name, cache, data_code) in [
        ("an empty wrapper", "c70012", "12"),
        ("bytes as wrapper", "c401c0", "12"),
        ("a timestamp as wrapper", "d6ffc0c0c0c0", "12"),
        ("something else in the cache", "d5129107", "12"),
        ("a timestamp as wrapper of the data", "d41290", "ff"),
    ] {
        assert!(packet(cache, data_code).is_err(), "{name}");
    }
    let integer_tag = from_hex("81a86d73675f747970650b");
    assert!(decode_packet(integer_tag, &Limits::default()).unwrap_err().is_wrong_type());
}

#[test]
fn messages_to_the_server_are_no_packets() {
    for message in [
        ClientMessage::JavascriptWarning { message: String::new() },
        ClientMessage::CloseSession { session: String::new(), subsession: String::new() },
        ClientMessage::Unknown { tag: "14".to_owned() },
    ] {
        let frame = encode_client(&message).unwrap();
        assert!(decode_packet(frame, &Limits::default()).unwrap_err().is_wrong_type());
    }
}

#[test]
fn zip_bombs_stop_at_the_ratio_and_at_the_cap() {
    let zeros = vec![0; 10 << 20];
    for container in [Container::Gzip, Container::Zlib] {
        let bomb = compress(&zeros, container);
        assert!(bomb.len() < 512 << 10);
        assert!(decompress(bomb.clone(), &Limits::default()).unwrap_err().is_too_large(), "the cap");

        let bomb = compress(&zeros[..1 << 20], container);
        let mut limits = Limits::default();
        assert!(decompress(bomb.clone(), &limits).unwrap_err().is_too_large(), "the ratio");
        limits.inflation_ratio = 10_000;
        assert_eq!(decompress(bomb.clone(), &limits).unwrap().len(), 1 << 20);
        limits.inflated_bytes = 1 << 20;
        assert_eq!(decompress(bomb.clone(), &limits).unwrap().len(), 1 << 20, "just enough");
        limits.inflated_bytes -= 1;
        assert!(decompress(bomb, &limits).unwrap_err().is_too_large(), "one byte more");

        let little = compress(&zeros[..RATIO_FREE_BYTES], container);
        assert_eq!(decompress(little, &Limits::default()).unwrap().len(), RATIO_FREE_BYTES);
    }
}

#[test]
fn broken_streams_are_refused() {
    let message = update(&text(&"hello ".repeat(50)));
    for container in [Container::Gzip, Container::Zlib] {
        let packed = compress(&message, container);
        let unpack = |bytes: Vec<u8>| decompress(Bytes::from(bytes), &Limits::default());
        assert_eq!(unpack(packed.to_vec()).unwrap(), message);
        for end in 0..packed.len() {
            assert!(unpack(packed[..end].to_vec()).unwrap_err().is_malformed(), "{container:?} cut at {end}");
        }
        assert!(unpack([&packed[..], &[0]].concat()).unwrap_err().is_malformed(), "garbage behind");
        assert!(unpack([&packed[..], &packed[..]].concat()).unwrap_err().is_malformed(), "two streams");
        let mut checksum = packed.to_vec();
        let at = checksum.len() - 5 + usize::from(container == Container::Zlib);
        checksum[at] ^= 1;
        assert!(unpack(checksum).unwrap_err().is_malformed(), "{container:?} with a wrong checksum");
        assert_eq!(unpack(packed.to_vec()).unwrap(), message, "and the next one is read again");
    }
    assert!(decompress(message, &Limits::default()).unwrap_err().is_malformed(), "not compressed");
    assert_eq!(decompress(compress(&[], Container::Zlib), &Limits::default()).unwrap(), Bytes::new());
}
