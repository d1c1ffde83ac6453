//! The golden frames, and a reader of values that writes them the way the golden files do.
#![allow(dead_code, clippy::print_stdout, reason = "each test takes a part of it")]

use std::{fs, path::PathBuf};

use bonito_core::{
    Limits,
    proto::{
        message::Code,
        value::{ElementKind, RawArray, RawValue, Value},
    },
};
use bytes::Bytes;
use serde_json::{Value as Json, json};

/// One frame and what it means.
pub(crate) struct Golden {
    pub(crate) name: String,
    pub(crate) from_browser: bool,
    pub(crate) compressed: bool,
    pub(crate) bytes: Bytes,
    pub(crate) meaning: Json,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/golden")
}

pub(crate) fn read_json(name: &str) -> Json {
    serde_json::from_slice(&fs::read(folder().join(name)).unwrap()).unwrap()
}

pub(crate) fn from_hex(hex: &str) -> Bytes {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Every frame of the folder, those inside conversations too.
pub(crate) fn golden() -> Vec<Golden> {
    let mut names: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".json"))
        .collect();
    names.sort();
    let mut all = Vec::new();
    for name in names {
        let json = read_json(&name);
        if let Some(frames) = json.get("frames") {
            for (at, frame) in frames.as_array().unwrap().iter().enumerate() {
                all.push(Golden {
                    name: format!("{name}#{at}"),
                    from_browser: frame["direction"] == "browser→server",
                    compressed: frame["decoded"]["container"] != "none",
                    bytes: from_hex(frame["hex"].as_str().unwrap()),
                    meaning: frame["decoded"]["value"].clone(),
                });
            }
        } else if let Some(file) = json.get("file") {
            let bytes = Bytes::from(fs::read(folder().join(file.as_str().unwrap())).unwrap());
            assert_eq!(to_hex(&bytes), json["hex"], "{name}: the two files differ");
            all.push(Golden {
                from_browser: json["dir"] == "c2s",
                compressed: json["compressed"] == true,
                meaning: json["decoded"]["value"].clone(),
                bytes,
                name,
            });
        }
    }
    assert!(all.len() >= 59, "only {} golden frames were found", all.len());
    all
}

/// What bytes mean, in the words of the golden files.
pub(crate) fn meaning(bytes: &Bytes) -> Json {
    to_json(&Value::decode(bytes, &Limits::default()).unwrap())
}

fn to_json(value: &Value) -> Json {
    match value {
        Value::Nil => Json::Null,
        Value::Bool(value) => json!(value),
        Value::Int(value) => json!(value),
        Value::Uint(value) => json!(value),
        Value::Float(value) => json!({ "$f64v": float(*value) }),
        Value::Str(text) => json!(text),
        Value::Bin(bytes) => json!({ "$bin": to_hex(bytes) }),
        Value::Array(elements) => elements.iter().map(to_json).collect(),
        Value::Map(entries) => pairs(entries),
        Value::TypedArray(array) => typed(array),
        Value::NdArray { dims, data } => json!({ "$nd": [{ "$u32": dims }, typed(data)] }),
        Value::Timestamp(_) => {
            let raw = RawValue::encode(value).unwrap().into_bytes();
            let body = raw.len() - if raw[0] == 0xc7 { raw[1] as usize } else { raw.len() - 2 };
            json!({ "$ext": [-1, to_hex(&raw[body..])] })
        }
        Value::Observable { id, value } => json!({ "$obs": [id, to_json(value)] }),
        Value::Code(code) => {
            let Code { values, source, origin } = &**code;
            let values =
                values.iter().map(|(key, value)| (key.clone(), meaning(&Bytes::from(value.clone()))));
            json!({ "$js": [Json::Object(values.collect()), source, origin] })
        }
        Value::CacheKey(key) => json!({ "$key": key }),
        Value::Dom { tag, children, attributes } => {
            json!({ "$dom": [tag, children.iter().map(to_json).collect::<Json>(), pairs(attributes)] })
        }
        Value::Html(html) => json!({ "$html": html }),
        Value::Track(key) => json!({ "$track": key }),
        Value::Ext(107, body) => json!({ "$msg": parts(body) }),
        Value::Ext(106, body) => json!({ "$cache": parts(body) }),
        Value::Ext(code, body) => json!({ "$ext": [code, to_hex(body)] }),
        other => panic!("the golden files have no word for {other:?}"),
    }
}

fn pairs(entries: &[(String, Value)]) -> Json {
    Json::Object(entries.iter().map(|(key, value)| (key.clone(), to_json(value))).collect())
}

/// The parts of an envelope or a session cache, whose bytes hold values.
fn parts(body: &Bytes) -> Json {
    let Value::Array(parts) = Value::decode(body, &Limits::default()).unwrap() else {
        panic!("expected an array");
    };
    let unwrap = |part: &Value| match part {
        Value::TypedArray(array) if array.kind() == ElementKind::U8 => {
            json!({ "$ext18": meaning(array.as_bytes()) })
        }
        other => to_json(other),
    };
    parts.iter().map(unwrap).collect()
}

fn typed(array: &RawArray) -> Json {
    let name = format!("{:?}", array.kind()).to_lowercase();
    json!({ format!("${name}"): array.to_f64_vec().into_iter().map(float).collect::<Json>() })
}

fn float(value: f64) -> Json {
    if value.is_nan() {
        json!("NaN")
    } else if value.is_infinite() {
        json!(if value > 0.0 { "inf" } else { "-inf" })
    } else {
        json!(value)
    }
}

/// Whether two meanings are the same: numbers by value, and long arrays where only their length is written.
pub(crate) fn same(expected: &Json, actual: &Json) -> bool {
    match (expected, actual) {
        (Json::Number(a), Json::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Json::Object(a), Json::Array(b)) if a.contains_key("count") => {
            let first = a["first"].as_array().unwrap();
            a["count"] == b.len() && first.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        (Json::Object(a), Json::String(b)) if a.contains_key("$badutf8") => {
            let bytes = from_hex(a["$badutf8"].as_str().unwrap());
            String::from_utf8_lossy(&bytes) == *b
        }
        (a, b) => a == b,
    }
}

#[track_caller]
pub(crate) fn assert_same(name: &str, expected: &Json, actual: &Json) {
    assert!(same(expected, actual), "{name}\nexpected {expected:#}\n    came {actual:#}");
}

/// A small generator of numbers (splitmix64), so that a failing run can be repeated from its seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// Seeds from `BONITO_TEST_SEED`, else from a constant; the seed is printed.
    pub(crate) fn from_env() -> Self {
        let seed =
            std::env::var("BONITO_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_260_625);
        println!("BONITO_TEST_SEED={seed}");
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}
