//! What JavaScript makes of values, and what Rust makes of them (`docs/src/protocol.md` §3).
#![allow(clippy::unwrap_used, clippy::field_reassign_with_default, reason = "a test fails by panicking")]

mod common;

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, SystemTime},
};

use bonito_core::{
    Limits,
    proto::{
        EncodeError,
        message::Code,
        value::{Element, NdArray, RawArray, RawValue, Timestamp, TypedArray, Value},
    },
};
use bytes::Bytes;
use common::{from_hex, to_hex};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

fn raw(hex: &str) -> RawValue {
    RawValue::from_bytes(from_hex(hex), &Limits::default()).unwrap()
}

fn decode<T: DeserializeOwned>(hex: &str) -> T {
    raw(hex).decode().unwrap()
}

#[track_caller]
fn refused<T: DeserializeOwned + std::fmt::Debug>(hex: &str) -> String {
    let error = raw(hex).decode::<T>().unwrap_err();
    assert!(error.is_wrong_type(), "{error:?}");
    error.to_string()
}

fn hex<T: Serialize + ?Sized>(value: &T) -> String {
    to_hex(RawValue::encode(value).unwrap().as_bytes())
}

fn not_sent<T: Serialize + ?Sized>(value: &T) -> EncodeError {
    RawValue::encode(value).unwrap_err()
}

#[test]
fn an_integer_is_taken_for_a_float() {
    assert_eq!(decode::<f64>("07"), 7.0);
    assert_eq!(decode::<f32>("e0"), -32.0);
    assert_eq!(decode::<f64>("cf001fffffffffffff"), 9_007_199_254_740_991.0);
    assert_eq!(decode::<Vec<f64>>("9201cb3fe0000000000000"), [1.0, 0.5]);
}

#[test]
fn a_whole_float_is_taken_for_an_integer_that_holds_it() {
    assert_eq!(decode::<u64>("cb4340000000000000"), 1 << 53);
    assert_eq!(decode::<u8>("cb4008000000000000"), 3);
    assert_eq!(decode::<i64>("cbc008000000000000"), -3);
    assert_eq!(decode::<i64>("cb8000000000000000"), 0);
    assert_eq!(decode::<u64>("cb43dfffffffffffff"), 9_223_372_036_854_774_784);
    assert_eq!(refused::<u8>("cb3ff8000000000000"), "expected u8, floating point `1.5` came");
    assert!(refused::<u64>("cb43f0000000000000").contains("expected u64"));
    assert!(refused::<u64>("cb7ff8000000000000").contains("expected u64"));
    assert!(refused::<i64>("cbfff0000000000000").contains("expected i64"));
    assert_eq!(refused::<u8>("cd0100"), "expected u8, integer `256` came");
    assert_eq!(refused::<u8>("ff"), "expected u8, integer `-1` came");
}

#[test]
fn not_a_number_and_minus_zero_survive() {
    assert!(decode::<f64>("cb7ff8000000000000").is_nan());
    assert_eq!(decode::<f64>("cb7ff0000000000000"), f64::INFINITY);
    assert!(decode::<f64>(&hex(&f64::NAN)).is_nan());
    assert!(decode::<f64>(&hex(&-0.0f64)).is_sign_negative());
    assert_eq!(decode::<f64>("00"), 0.0);
}

#[test]
fn integers_beyond_2_53_are_kept_on_this_side() {
    assert_eq!(hex(&u64::MAX), "cfffffffffffffffff");
    assert_eq!(decode::<u64>("cfffffffffffffffff"), u64::MAX);
    assert_eq!(decode::<Value>("cfffffffffffffffff"), Value::Uint(u64::MAX));
    assert_eq!(decode::<i64>("d38000000000000000"), i64::MIN);
}

#[test]
fn nil_is_none_and_unit() {
    assert_eq!(decode::<Option<u8>>("c0"), None);
    assert_eq!(decode::<Option<u8>>("07"), Some(7));
    decode::<()>("c0");
    assert_eq!(refused::<String>("c0"), "expected a string, unit value came");
}

#[test]
fn keys_of_digits_are_taken_for_numbers() {
    assert_eq!(decode::<BTreeMap<u32, String>>("81a131a178"), [(1, "x".to_owned())].into());
    assert_eq!(decode::<HashMap<i8, bool>>("81a22d31c3"), [(-1, true)].into());
    assert_eq!(decode::<BTreeMap<u32, u8>>("810102"), [(1, 2)].into());
    assert!(refused::<BTreeMap<u32, u8>>("81a17802").contains("expected u32"));
    #[derive(Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
    struct Id(u16);
    assert_eq!(decode::<BTreeMap<Id, u8>>("81a23132c0".replace("c0", "05").as_str()), [(Id(12), 5)].into());
}

#[derive(Debug, Deserialize, PartialEq, Serialize)]
enum Shape {
    Point,
    Circle(f64),
    Line(i32, i32),
    Rect { w: u8, h: u8 },
}

#[derive(Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "kind")]
enum Tagged {
    A { x: f32 },
    B,
}

#[derive(Debug, Deserialize, PartialEq, Serialize)]
#[serde(untagged)]
enum Either {
    Numbers(Vec<f64>),
    Text(String),
}

#[test]
fn enums_come_back() {
    for shape in [Shape::Point, Shape::Circle(1.5), Shape::Line(-1, 2), Shape::Rect { w: 1, h: 2 }] {
        assert_eq!(decode::<Shape>(&hex(&shape)), shape);
    }
    assert_eq!(decode::<Shape>("81a6436972636c6502"), Shape::Circle(2.0));
    assert_eq!(decode::<Shape>("81a5506f696e74c0"), Shape::Point);
    assert!(refused::<Shape>("a6436972636c65").contains("with its data"));
    assert!(refused::<Shape>("07").contains("an integer came"));
    for tagged in [Tagged::A { x: 0.5 }, Tagged::B] {
        assert_eq!(decode::<Tagged>(&hex(&tagged)), tagged);
    }
    assert_eq!(decode::<Either>("d7170000803f00002040"), Either::Numbers(vec![1.0, 2.5]));
    assert_eq!(decode::<Either>("a168"), Either::Text("h".to_owned()));
}

#[test]
fn text_that_is_not_utf8_is_repaired() {
    assert_eq!(decode::<String>("a3eda080"), "\u{fffd}\u{fffd}\u{fffd}");
    assert_eq!(decode::<Value>("81a3eda08001").get("\u{fffd}\u{fffd}\u{fffd}"), Some(&Value::Int(1)));
}

#[test]
fn structs_travel_as_maps_and_unknown_fields_are_passed_over() {
    #[derive(Debug, Deserialize, PartialEq, Serialize)]
    struct Point {
        x: f64,
        #[serde(default)]
        label: Option<String>,
    }
    assert_eq!(hex(&Point { x: 0.5, label: None }), "82a178cb3fe0000000000000a56c6162656cc0");
    let deep = "82a17803a16a82a16bc7021263";
    assert!(RawValue::from_bytes(from_hex(deep), &Limits::default()).unwrap_err().is_malformed());
    assert_eq!(
        decode::<Point>("83a17803a16a81a16b93010203a17a81a161c7020a6364"),
        Point { x: 3.0, label: None }
    );
    assert!(refused::<Point>("81a17901").contains("missing field `x`"));
}

#[test]
fn a_wrong_type_says_what_was_expected_and_what_came() {
    assert_eq!(refused::<f64>("a568656c6c6f"), "expected f64, string \"hello\" came");
    assert_eq!(refused::<bool>("01"), "expected a boolean, integer `1` came");
    assert_eq!(refused::<u8>("d6ff6553f100"), "expected u8, a timestamp came");
    assert_eq!(
        refused::<TypedArray<f32>>("c3"),
        "expected a Float32Array or an array of its numbers, a boolean came"
    );
    assert_eq!(refused::<Timestamp>("01"), "expected a timestamp, an integer came");
    assert_eq!(refused::<(u8, u8)>("93010203"), "expected 2 elements, 3 came");
    let long = hex(&"x".repeat(100_000));
    assert!(refused::<f64>(&long).len() < 300);
}

#[test]
fn typed_arrays_are_read_in_every_form() {
    let array = TypedArray::from(vec![1.0f32, 2.5]);
    assert_eq!(hex(&array), "d7170000803f00002040");
    assert_eq!(decode::<TypedArray<f32>>("d7170000803f00002040"), array);
    assert_eq!(decode::<TypedArray<f32>>("c708170000803f00002040"), array, "a longer header");
    assert_eq!(decode::<TypedArray<f32>>("9201cb4004000000000000"), array, "a plain array");
    assert_eq!(decode::<Vec<f32>>("d7170000803f00002040"), *array);
    assert_eq!(decode::<Vec<f64>>("d7170000803f00002040"), [1.0, 2.5]);
    assert_eq!(decode::<TypedArray<f64>>("d7170000803f00002040"), vec![1.0, 2.5].into(), "of a wider kind");
    assert_eq!(decode::<Vec<i32>>("d5110102"), [1, 2]);
    assert_eq!(decode::<Vec<u8>>("d7180000000000000840"), [3], "whole floats");
    assert!(refused::<TypedArray<u8>>("d5130001").contains("expected u8, integer `256` came"));
    assert_eq!(decode::<(f32, f32)>("d7170000803f00002040"), (1.0, 2.5));
}

#[test]
fn a_typed_array_with_part_of_an_element_loses_the_part() {
    assert_eq!(*decode::<TypedArray<u32>>("c70716010000000200ff"), [1]);
    assert_eq!(decode::<Vec<u32>>("c70716010000000200ff"), [1]);
    assert_eq!(decode::<TypedArray<f64>>("c70018").len(), 0);
    let Value::TypedArray(array) = raw("c70716010000000200ff").to_value(&Limits::default()).unwrap() else {
        panic!();
    };
    assert_eq!((array.len(), array.to_vec::<u32>().unwrap()), (1, vec![1]));
}

#[test]
fn every_kind_of_element_comes_back() {
    fn check<T: Element + Clone>(elements: &[T]) {
        let raw = RawValue::encode(&TypedArray::from(elements.to_vec())).unwrap();
        assert_eq!(raw.as_bytes()[raw.as_bytes().len() - size_of_val(elements) - 1], T::KIND.code() as u8);
        assert_eq!(raw.decode::<TypedArray<T>>().unwrap().into_vec(), elements);
        assert_eq!(raw.decode::<Vec<T>>().unwrap(), elements);
        let Value::TypedArray(array) = raw.to_value(&Limits::default()).unwrap() else {
            panic!();
        };
        assert_eq!(array.to_vec::<T>().unwrap(), elements);
    }
    check::<i8>(&[i8::MIN, 0, i8::MAX]);
    check::<u8>(&[0, u8::MAX, 7]);
    check::<i16>(&[i16::MIN, 0, i16::MAX]);
    check::<u16>(&[0, u16::MAX, 7]);
    check::<i32>(&[i32::MIN, 0, i32::MAX]);
    check::<u32>(&[0, u32::MAX, 7]);
    check::<f32>(&[f32::MIN, -0.0, f32::MAX]);
    check::<f64>(&[f64::MIN, -0.0, f64::MAX]);
}

#[test]
fn bytes_are_taken_for_a_vec() {
    assert_eq!(decode::<Vec<u8>>("c4020102"), [1, 2]);
    assert_eq!(*decode::<TypedArray<u8>>("c4020102"), [1, 2]);
    assert_eq!(decode::<Vec<u8>>("920102"), [1, 2]);
    assert_eq!(decode::<Vec<u8>>("d5120102"), [1, 2]);
    assert!(refused::<TypedArray<f32>>("c40400000000").contains("bytes came"));
}

#[test]
fn a_field_that_is_a_vec_travels_as_a_typed_array() {
    #[derive(Debug, Deserialize, PartialEq, Serialize)]
    struct Plot {
        #[serde(with = "bonito_core::proto::value::typed_array")]
        y: Vec<f32>,
    }
    let plot = Plot { y: vec![1.0, 2.5] };
    assert_eq!(hex(&plot), "81a179d7170000803f00002040");
    assert_eq!(decode::<Plot>("81a179d7170000803f00002040"), plot);
    assert_eq!(decode::<Plot>("81a1799101"), Plot { y: vec![1.0] });
}

#[test]
fn received_arrays_are_slices_of_the_frame() {
    let raw = RawValue::encode(&TypedArray::from(vec![0.5f64; 1000])).unwrap();
    let Value::TypedArray(array) = raw.to_value(&Limits::default()).unwrap() else {
        panic!();
    };
    let frame = raw.as_bytes().as_ptr_range();
    let slice = array.as_bytes().as_ptr_range();
    assert!(frame.start <= slice.start && slice.end <= frame.end);
}

#[test]
fn nd_arrays_check_their_size() {
    let golden = "c7266392d7160200000003000000c718170000803f0000004000004040000080400000a0400000c040";
    let array: NdArray<f32> = decode(golden);
    assert_eq!((array.dims(), array.data()), (&[2, 3][..], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0][..]));
    assert_eq!(hex(&array), golden);
    assert_eq!(
        decode::<NdArray<u8>>("d7639292020192d5120102".replace("92d512", "d512").as_str()).dims(),
        [2, 1]
    );
    assert!(
        refused::<NdArray<u8>>("d763929203 01d51201 02".replace(' ', "").as_str())
            .contains("multiply to, 2 came")
    );
    assert!(RawValue::from_bytes(from_hex("d463c0"), &Limits::default()).unwrap_err().is_malformed());
    assert!(NdArray::new(vec![u32::MAX; 8], vec![0u8]).unwrap_err().is_wrong_type());
    assert!(NdArray::new(vec![0, u32::MAX], Vec::<u8>::new()).is_ok());
    let Value::NdArray { dims, data } = decode(golden) else {
        panic!();
    };
    assert_eq!((dims, data), (vec![2, 3], RawArray::from(&[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0][..])));
}

#[test]
fn timestamps_take_the_shortest_form() {
    let table = [
        (Timestamp::new(0x6553_f100, 0), "d6ff6553f100"),
        (Timestamp::new(0x6553_f100, 123_000_000), "d7ff1d5353006553f100"),
        (Timestamp::new(1 << 33, 0), "d7ff0000000200000000"),
        (Timestamp::new(-1, 1), "c70cff00000001ffffffffffffffff"),
        (Timestamp::new(1 << 34, 0), "c70cff000000000000000400000000"),
    ];
    for (time, hex_of) in table {
        let time = time.unwrap();
        assert_eq!(hex(&time), hex_of);
        assert_eq!(decode::<Timestamp>(hex_of), time);
    }
    assert_eq!(decode::<Timestamp>("c70cff000000000000000000000000"), Timestamp::default());
    assert_eq!(Timestamp::new(0, 1_000_000_000), None);
    let time = SystemTime::UNIX_EPOCH - Duration::from_millis(1500);
    assert_eq!(Timestamp::from(time), Timestamp::new(-2, 500_000_000).unwrap());
    assert_eq!(SystemTime::try_from(Timestamp::from(time)).unwrap(), time);
    for edge in [Timestamp::new(i64::MAX, 999_999_999), Timestamp::new(i64::MIN, 0)].map(Option::unwrap) {
        let same = SystemTime::try_from(edge).map(Timestamp::from);
        assert!(
            same.is_err() || same.is_ok_and(|same| same == edge),
            "whatever the platform's clock can hold"
        );
    }
    assert!(refused::<Timestamp>("d7ffffffffffffffffff").contains("no known form"));
}

#[test]
fn dates_and_arrays_are_read_inside_of_tagged_enums() {
    #[derive(Debug, Deserialize, PartialEq, Serialize)]
    #[serde(tag = "kind")]
    enum Event {
        Sampled { at: Timestamp, values: TypedArray<u16>, rest: Value },
    }
    let event = Event::Sampled {
        at: Timestamp::new(1_700_000_000, 123_000_000).unwrap(),
        values: vec![1, 500].into(),
        rest: Value::Map(vec![(
            "a".to_owned(),
            Value::Array(vec![Value::Nil, true.into(), "x".into(), (-3).into()]),
        )]),
    };
    assert_eq!(decode::<Event>(&hex(&event)), event);

    #[derive(Debug, Deserialize)]
    struct Flat {
        #[serde(flatten)]
        rest: HashMap<String, Value>,
    }
    let flat: Flat = decode("82a161d7ff1d5353006553f100a162d5120102");
    assert_eq!(flat.rest["a"], Value::Float(1_700_000_000_123.0));
    assert_eq!(flat.rest["b"], Value::Array(vec![1.into(), 2.into()]));
}

#[test]
fn milliseconds_make_dates() {
    for millis in [0.0, -1.0, -1500.5, 1_700_000_000_123.0, 8.64e15, -8.64e15] {
        let time = Timestamp::from_millis(millis).unwrap();
        assert!((time.as_millis() - millis).abs() < 1e-3, "{millis}");
    }
    for millis in [f64::NAN, f64::INFINITY, 8.65e15, -8.65e15] {
        assert_eq!(Timestamp::from_millis(millis), None);
    }
}

#[test]
fn what_the_browser_cannot_read_is_not_sent() {
    assert!(not_sent(&HashMap::from([("__proto__", 1)])).is_wrong_type());
    assert!(not_sent(&vec![BTreeMap::from([("a", BTreeMap::from([("__proto__", 1)]))])]).is_wrong_type());
    assert!(not_sent(&BTreeMap::from([(true, 1)])).to_string().contains("a boolean came"));
    assert!(not_sent(&BTreeMap::from([((), 1)])).to_string().contains("nil came"));
    assert!(not_sent(&BTreeMap::from([(vec![1], 1)])).to_string().contains("an array came"));
    assert!(not_sent(&BTreeMap::from([(Timestamp::default(), 1)])).to_string().contains("a timestamp came"));
    assert_eq!(hex(&BTreeMap::from([(1, 2)])), "810102");

    let code = Code { values: vec![("__proto__".to_owned(), RawValue::NIL)], ..Code::default() };
    assert!(RawValue::code(&code).unwrap_err().is_wrong_type());
    assert!(RawValue::dom("p", &[], &[("__proto__", RawValue::encode("x").unwrap())]).is_err());
    let text = RawValue::encode("k").unwrap();
    let svg = [("juliasvgnode", RawValue::encode(&true).unwrap()), ("class", text.clone())];
    assert!(RawValue::dom("svg", &[], &svg).unwrap_err().to_string().contains("class"));
    assert!(
        RawValue::dom("p", &[], &[("juliasvgnode", RawValue::encode(&false).unwrap()), ("class", text)])
            .is_ok()
    );
    assert!(not_sent(&Value::Ext(-1, Bytes::from_static(b"abc"))).to_string().contains("4, 8 or 12"));
    assert!(not_sent(&Value::Ext(99, Bytes::from_static(&[0xc0]))).is_wrong_type());
    assert!(not_sent(&Value::Ext(102, Bytes::from_static(&[0x93]))).is_wrong_type());
}

#[test]
fn a_value_nested_too_deeply_is_not_sent() {
    let nested =
        |levels: usize| (1..levels).fold(Value::Array(Vec::new()), |inner, _| Value::Array(vec![inner]));
    assert!(RawValue::encode(&nested(64)).is_ok());
    assert!(not_sent(&nested(65)).is_too_deep());
    assert!(RawValue::encode(&nested(64)).unwrap().decode::<Value>().is_ok());

    let mut limits = Limits::default();
    limits.depth = usize::MAX;
    let received = |levels: usize| RawValue::from_bytes(from_hex(&("91".repeat(levels) + "c0")), &limits);
    let deepest = received(128).unwrap();
    assert!(deepest.to_value(&limits).is_ok() && deepest.decode::<Value>().is_ok());
    assert!(received(129).unwrap_err().is_too_deep(), "whatever the limits say");
}

#[test]
fn extension_values_are_built_as_captured() {
    let key = RawValue::cache_key("b-obs").unwrap();
    assert_eq!(to_hex(key.as_bytes()), "c70668a5622d6f6273");
    let observable = RawValue::observable("j2", &RawValue::encode("N").unwrap()).unwrap();
    assert_eq!(to_hex(observable.as_bytes()), "c7066592a26a32a14e");
    assert_eq!(to_hex(RawValue::track("t8").unwrap().as_bytes()), "c7036da27438");
    assert_eq!(to_hex(RawValue::html("<i>raw</i>").unwrap().as_bytes()), "c70b6caa3c693e7261773c2f693e");
    let text = |text: &str| RawValue::encode(text).unwrap();
    let dom = RawValue::dom(
        "b",
        &[text("hey")],
        &[("class", text("k")), ("hidden", RawValue::NIL), ("data-jscall-id", text("77"))],
    );
    let expected = "c7236993a16291a368657982a5636c617373a16bae646174612d6a7363616c6c2d6964a23737";
    assert_eq!(to_hex(dom.unwrap().as_bytes()), expected);
    let code = RawValue::code(&Code::new("return 40 + 2", "proto.rs:1")).unwrap();
    assert_eq!(to_hex(code.as_bytes()), "c71b669380ad72657475726e203430202b2032aa70726f746f2e72733a31");
}

#[test]
fn a_raw_value_inside_another_is_the_same_value() {
    #[derive(Deserialize, Serialize)]
    struct Holder {
        inner: RawValue,
    }
    let inner = raw("82a161d5120102a16292c0d6ff6553f100");
    let holder = RawValue::encode(&Holder { inner: inner.clone() }).unwrap();
    assert_eq!(holder.decode::<Holder>().unwrap().inner, inner);
}

#[test]
fn of_keys_that_are_equal_the_last_counts() {
    let value: Value = decode("82a16101a16102");
    assert_eq!(value.get("a"), Some(&Value::Int(2)));
    assert_eq!(decode::<HashMap<String, u8>>("82a16101a16102")["a"], 2);
}

#[test]
fn trees_come_from_other_formats_too() {
    let value: Value = serde_json::from_str(r#"{"a": [1, null, "x", 0.5, true]}"#).unwrap();
    let elements = vec![Value::Int(1), Value::Nil, "x".into(), 0.5.into(), true.into()];
    assert_eq!(value, Value::Map(vec![("a".to_owned(), Value::Array(elements))]));
    assert_eq!(serde_json::from_str::<TypedArray<u8>>("[1, 2]").unwrap(), vec![1, 2].into());
}

#[test]
fn no_error_breaks_the_line_of_a_log() {
    #[derive(Debug, serde::Deserialize)]
    enum Choice {
        Known,
    }
    let hostile = format!("x\n2026-01-01 ERROR forged\r\u{1b}[2J\u{85}{}", "\n".repeat(1000));
    let error = RawValue::encode(&hostile).unwrap().decode::<Choice>().unwrap_err().to_string();
    assert!(error.contains("forged") && !error.contains(char::is_control), "{error:?}");
    assert!(error.len() < 400, "{}", error.len());
}
