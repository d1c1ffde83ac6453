//! Whatever can be said comes back as it was.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use bonito_core::{
    Limits,
    proto::{
        codec::{decode_client, decode_packet, encode_client, encode_packet},
        compress::{Container, compress, decompress},
        message::{Body, CacheEntry, ClientMessage, Code, Envelope, Packet, ServerMessage, SessionStatus},
        value::{ElementKind, NdArray, RawArray, RawValue, Timestamp, TypedArray, Value},
    },
};
use bytes::Bytes;
use proptest::{collection::vec, prelude::*, sample::select};
use serde::{Deserialize, Serialize};

fn word() -> impl Strategy<Value = String> {
    "\\PC{0,40}".prop_filter("the browser refuses it", |word| word != "__proto__")
}

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..300).prop_map(Bytes::from)
}

fn kind() -> impl Strategy<Value = ElementKind> {
    (0x11i8..=0x18).prop_map(|code| ElementKind::from_code(code).unwrap())
}

fn array() -> impl Strategy<Value = RawArray> {
    (kind(), bytes()).prop_map(|(kind, bytes)| RawArray::new(kind, bytes))
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-200i64..70_000).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word().prop_map(Value::from),
        bytes().prop_map(Value::from),
        array().prop_map(Value::from),
        (any::<i64>(), 0u32..1_000_000_000)
            .prop_map(|(seconds, nanos)| Timestamp::new(seconds, nanos).unwrap().into()),
        (0i64..1 << 35, select(vec![0u32, 1, 123_000_000])).prop_map(|(seconds, nanos)| Timestamp::new(
            seconds, nanos
        )
        .unwrap()
        .into()),
        (vec(any::<u32>(), 0..4), array()).prop_map(|(dims, data)| Value::NdArray { dims, data }),
        (select(vec![0i8, 1, 16, 25, 50, 100, 103, 110, 127, -2, -128]), bytes())
            .prop_map(|(code, body)| Value::Ext(code, body)),
    ]
}

/// Anything that a browser may send.
fn data() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(6, 60, 8, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..20).prop_map(Value::Array),
            vec((word(), inner), 0..20).prop_map(Value::Map),
        ]
    })
}

/// Anything that a server may send.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        4 => scalar(),
        1 => word().prop_map(Value::CacheKey),
        1 => word().prop_map(Value::Html),
        1 => word().prop_map(Value::Track),
    ];
    leaf.prop_recursive(6, 60, 8, |inner| {
        let attribute = inner.clone().prop_filter("absent attributes are left out", |value| !value.is_nil());
        prop_oneof![
            vec(inner.clone(), 0..20).prop_map(Value::Array),
            vec((word(), inner.clone()), 0..20).prop_map(Value::Map),
            (word(), inner.clone()).prop_map(|(id, value)| Value::Observable { id, value: Box::new(value) }),
            (word(), vec(inner.clone(), 0..5), vec((word(), attribute), 0..3))
                .prop_map(|(tag, children, attributes)| Value::Dom { tag, children, attributes }),
            (vec((word(), inner), 0..3), word(), word()).prop_map(|(values, source, origin)| {
                let raw = |(key, value)| (key, RawValue::encode::<Value>(&value).unwrap());
                Code { values: values.into_iter().map(raw).collect(), source, origin }.into()
            }),
        ]
    })
}

fn raw(value: impl Strategy<Value = Value>) -> impl Strategy<Value = RawValue> {
    value.prop_map(|value| RawValue::encode(&value).unwrap())
}

fn code() -> impl Strategy<Value = Code> {
    (vec((word(), raw(value())), 0..3), word(), word()).prop_map(|(values, source, origin)| Code {
        values,
        source,
        origin,
    })
}

fn status() -> impl Strategy<Value = SessionStatus> {
    select(vec![SessionStatus::Root, SessionStatus::Sub])
}

fn packet() -> impl Strategy<Value = Packet> {
    let leaf = prop_oneof![
        Just(ServerMessage::PingPong),
        (word(), raw(value())).prop_map(|(id, payload)| ServerMessage::UpdateObservable { id, payload }),
        (raw(value()), code())
            .prop_map(|(observable, code)| ServerMessage::OnjsCallback { observable, code }),
        code().prop_map(|code| ServerMessage::EvalJavascript { code }),
    ];
    leaf.prop_map(Packet::Bare).prop_recursive(3, 20, 4, |inner| {
        let packets = vec(inner.clone(), 0..4);
        let message = prop_oneof![
            packets.clone().prop_map(ServerMessage::Fused),
            (word(), proptest::option::of(status()), packets.clone(), raw(value()), any::<bool>(), word())
                .prop_map(|(session_id, session_status, messages, html, replace, dom_node_selector)| {
                    ServerMessage::UpdateSession {
                        session_id,
                        session_status,
                        messages,
                        html,
                        replace,
                        dom_node_selector,
                    }
                }),
        ];
        let entry = prop_oneof![
            word().prop_map(CacheEntry::Track),
            (word(), raw(value())).prop_map(|(id, value)| CacheEntry::Observable { id, value }),
        ];
        let body = prop_oneof![
            message.clone().prop_map(Body::Message),
            inner.prop_filter_map("an envelope holds messages", |packet| match packet {
                Packet::Bare(message) => Some(Body::Message(message)),
                Packet::Enveloped(_) => None,
            }),
            packets.prop_map(Body::Bundle),
        ];
        prop_oneof![
            message.prop_map(Packet::Bare),
            (word(), status(), vec(entry, 0..3), body).prop_map(|(session, status, cache, body)| {
                Packet::Enveloped(Envelope { session, status, cache, body })
            }),
        ]
    })
}

fn client_message() -> impl Strategy<Value = ClientMessage> {
    prop_oneof![
        (word(), raw(data())).prop_map(|(id, payload)| ClientMessage::UpdateObservable { id, payload }),
        (word(), word(), word()).prop_map(|(message, exception, stacktrace)| {
            ClientMessage::JavascriptError { message, exception, stacktrace }
        }),
        word().prop_map(|message| ClientMessage::JavascriptWarning { message }),
        (word(), word(), proptest::option::of(word()), word()).prop_map(
            |(session, message, exception, stacktrace)| {
                ClientMessage::DoneLoading { session, message, exception, stacktrace }
            }
        ),
        (word(), word())
            .prop_map(|(session, subsession)| ClientMessage::CloseSession { session, subsession }),
        Just(ClientMessage::PingPong),
        (word(), word()).prop_map(|(session, replace)| ClientMessage::GetSessionDom { session, replace }),
        "[a-z]{0,9}".prop_map(|tag| ClientMessage::Unknown { tag }),
    ]
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
enum Choice {
    None,
    One(f32),
    Two(i8, String),
    Named { a: Option<u64>, b: Vec<bool> },
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Everything {
    small: i16,
    large: u64,
    negative: i64,
    ratio: f64,
    name: String,
    letter: char,
    maybe: Option<Box<Choice>>,
    choices: Vec<Choice>,
    by_number: BTreeMap<u32, String>,
    by_name: BTreeMap<String, (u8, i32)>,
    samples: TypedArray<f32>,
    #[serde(with = "bonito_core::proto::value::typed_array")]
    counts: Vec<u16>,
    when: Timestamp,
    unit: (),
}

fn choice() -> impl Strategy<Value = Choice> {
    prop_oneof![
        Just(Choice::None),
        any::<f32>().prop_map(Choice::One),
        (any::<i8>(), word()).prop_map(|(a, b)| Choice::Two(a, b)),
        (any::<Option<u64>>(), any::<Vec<bool>>()).prop_map(|(a, b)| Choice::Named { a, b }),
    ]
}

fn everything() -> impl Strategy<Value = Everything> {
    let numbers = (any::<i16>(), any::<u64>(), any::<i64>(), any::<f64>());
    let texts = (word(), any::<char>());
    let choices = (proptest::option::of(choice()), vec(choice(), 0..5));
    let maps = (
        proptest::collection::btree_map(any::<u32>(), word(), 0..5),
        proptest::collection::btree_map(word(), any::<(u8, i32)>(), 0..5),
    );
    let arrays = (vec(any::<f32>(), 0..50), vec(any::<u16>(), 0..50), any::<i64>(), 0u32..1_000_000_000);
    (numbers, texts, choices, maps, arrays).prop_map(
        |(
            (small, large, negative, ratio),
            (name, letter),
            (maybe, choices),
            (by_number, by_name),
            arrays,
        )| {
            let (samples, counts, seconds, nanos) = arrays;
            Everything {
                small,
                large,
                negative,
                ratio,
                name,
                letter,
                maybe: maybe.map(Box::new),
                choices,
                by_number,
                by_name,
                samples: samples.into(),
                counts,
                when: Timestamp::new(seconds, nanos).unwrap(),
                unit: (),
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn trees(value in value()) {
        let raw = RawValue::encode(&value).unwrap();
        let same = raw.to_value(&Limits::default()).unwrap();
        prop_assert_eq!(&same, &value);
        prop_assert_eq!(RawValue::encode(&same).unwrap(), raw.clone());
        prop_assert_eq!(raw.decode::<Value>().unwrap(), value);
    }

    #[test]
    fn typed(value in everything()) {
        let raw = RawValue::encode(&value).unwrap();
        prop_assert_eq!(raw.decode::<Everything>().unwrap(), value.clone());
        let through_a_tree = RawValue::encode(&raw.to_value(&Limits::default()).unwrap()).unwrap();
        prop_assert_eq!(through_a_tree.decode::<Everything>().unwrap(), value);
    }

    #[test]
    fn messages_to_the_server(message in client_message()) {
        let frame = encode_client(&message).unwrap();
        prop_assert_eq!(decode_client(frame, &Limits::default()).unwrap(), message);
    }

    #[test]
    fn packets(packet in packet()) {
        let frame = encode_packet(&packet).unwrap();
        prop_assert_eq!(decode_packet(frame, &Limits::default()).unwrap(), packet);
    }

    #[test]
    fn compression(bytes in bytes(), times in 1usize..100) {
        let message = Bytes::from(bytes.repeat(times));
        for container in [Container::Gzip, Container::Zlib] {
            prop_assert_eq!(decompress(compress(&message, container), &Limits::default()).unwrap(), &message);
        }
    }

    #[test]
    fn nd_arrays(rows in 0u32..9, columns in 0u32..9, layers in 1u32..4) {
        let data: Vec<f64> = (0..rows * columns * layers).map(f64::from).collect();
        let array = NdArray::new(vec![rows, columns, layers], data).unwrap();
        prop_assert_eq!(RawValue::encode(&array).unwrap().decode::<NdArray<f64>>().unwrap(), array);
    }

    /// Lengths around every change of header, in bodies that move when their header grows.
    #[test]
    fn lengths_at_the_edges_of_headers(edge in select(vec![0usize, 15, 16, 31, 32, 255, 256, 65_535, 65_536]), more in 0usize..3) {
        let text = "x".repeat(edge.saturating_sub(1) + more);
        let packet = Packet::Enveloped(Envelope {
            session: text.clone(),
            status: SessionStatus::Sub,
            cache: vec![CacheEntry::Track(text.clone())],
            body: Body::Bundle(vec![Packet::Bare(ServerMessage::EvalJavascript { code: Code::new(text, "o") })]),
        });
        let frame = encode_packet(&packet).unwrap();
        prop_assert_eq!(decode_packet(frame, &Limits::default()).unwrap(), packet);
    }
}
