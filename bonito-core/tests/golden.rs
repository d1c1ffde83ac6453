//! Every captured frame, in both directions.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use bonito_core::{
    Limits,
    proto::{
        codec::{
            TEST_WRITE, UpdatePrefix, decode_client, decode_packet, encode_bundle, encode_client,
            encode_envelope, encode_message, encode_packet,
        },
        compress::{Container, compress, decompress},
        message::{Body, ClientMessage, Packet, ServerMessage},
        value::{RawValue, Timestamp, Value},
    },
};
use bytes::Bytes;
use common::{Golden, assert_same, from_hex, golden, meaning, read_json};

fn plain(frame: &Golden) -> Bytes {
    if frame.compressed {
        decompress(frame.bytes.clone(), &Limits::default()).unwrap()
    } else {
        frame.bytes.clone()
    }
}

#[test]
fn frames_mean_what_was_captured() {
    for frame in golden() {
        assert_same(&frame.name, &frame.meaning, &meaning(&plain(&frame)));
    }
}

#[test]
fn client_frames_come_back_byte_by_byte() {
    for frame in golden().into_iter().filter(|frame| frame.from_browser) {
        let bytes = plain(&frame);
        let message = decode_client(bytes.clone(), &Limits::default()).unwrap();
        assert_eq!(encode_client(&message).unwrap(), bytes, "{}: {message:?}", frame.name);
    }
}

#[test]
fn server_frames_come_back_byte_by_byte() {
    for frame in golden().into_iter().filter(|frame| !frame.from_browser) {
        let bytes = plain(&frame);
        if bytes == TEST_WRITE {
            assert!(decode_packet(bytes, &Limits::default()).unwrap_err().is_wrong_type());
            continue;
        }
        let packet = decode_packet(bytes.clone(), &Limits::default()).unwrap();
        assert_eq!(encode_packet(&packet).unwrap(), bytes, "{}: {packet:?}", frame.name);
    }
}

#[test]
fn envelopes_and_bundles_from_encoded_parts_are_the_same() {
    let (mut messages, mut bundles) = (0, 0);
    for frame in golden().into_iter().filter(|frame| !frame.from_browser) {
        let bytes = plain(&frame);
        let Ok(Packet::Enveloped(envelope)) = decode_packet(bytes.clone(), &Limits::default()) else {
            continue;
        };
        let (session, status, cache) = (&envelope.session, envelope.status, &envelope.cache);
        let again = match &envelope.body {
            Body::Message(message) => {
                messages += 1;
                encode_envelope(session, status, cache, &encode_message(message).unwrap())
            }
            Body::Bundle(packets) => {
                bundles += 1;
                let items: Vec<Bytes> = packets.iter().map(|packet| encode_packet(packet).unwrap()).collect();
                encode_bundle(session, status, cache, &items)
            }
        };
        assert_eq!(again.unwrap(), bytes, "{}", frame.name);
    }
    assert!(messages >= 10 && bundles >= 2, "{messages} messages, {bundles} bundles");
}

#[test]
fn an_update_from_its_prefix_is_golden_13() {
    let frame = golden().into_iter().find(|frame| frame.name.starts_with("13-")).unwrap();
    let packet = decode_packet(frame.bytes.clone(), &Limits::default()).unwrap();
    let Packet::Bare(ServerMessage::UpdateObservable { id, payload }) = packet else {
        panic!("{packet:?}");
    };
    assert_eq!(UpdatePrefix::new(&id).frame(&payload), frame.bytes);
}

#[test]
fn compressed_frames_come_back() {
    for frame in golden() {
        for container in [Container::Gzip, Container::Zlib] {
            let packed = compress(&frame.bytes, container);
            assert_eq!(decompress(packed, &Limits::default()).unwrap(), frame.bytes, "{}", frame.name);
        }
    }
}

/// `golden/browser-encoder-table.json`: the bytes that a browser makes of each kind of value.
#[test]
fn everything_that_browsers_encode_is_read() {
    let table = read_json("browser-encoder-table.json");
    let rows = table.as_object().unwrap();
    assert!(rows.len() >= 40);
    for (name, row) in rows {
        let (Some(hex), false) = (row["hex"].as_str(), name == "depth 98" || name == "lone surrogate long")
        else {
            continue; // nothing was sent, or the table holds the beginning only
        };
        let expected = if hex == "c0" { &serde_json::Value::Null } else { &row["value"] };
        let payload = from_hex(hex);
        if name == "Date invalid" {
            let date = Value::decode(&payload, &Limits::default()).unwrap();
            assert_eq!(date, Value::Timestamp(Timestamp::default()), "twelve zero bytes are 1970");
        } else {
            assert_same(name, expected, &meaning(&payload));
        }

        let mut frame = UpdatePrefix::new("e3").frame(&RawValue::NIL).to_vec();
        frame.pop();
        frame.extend_from_slice(&payload);
        let message = decode_client(Bytes::from(frame), &Limits::default()).unwrap();
        let ClientMessage::UpdateObservable { id, payload: raw } = message else {
            panic!("{name}: {message:?}");
        };
        assert_eq!((id.as_str(), raw.as_bytes()), ("e3", &*payload), "{name}");
        let tree = raw.to_value(&Limits::default()).unwrap();
        let copied: Value = raw.decode().unwrap();
        assert_eq!(format!("{tree:?}"), format!("{copied:?}"), "{name}");
    }
}
