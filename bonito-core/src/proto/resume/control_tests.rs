use serde_json::Value;

use super::*;

fn vectors() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/resume/control.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn bytes(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().unwrap();
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn array<const N: usize>(hex: &Value) -> [u8; N] {
    bytes(hex).try_into().unwrap()
}

fn meaning(means: &Value) -> Control {
    let uint = |name: &str| means[name].as_u64().unwrap();
    match means["kind"].as_str().unwrap() {
        "hello" => Control::Hello(Hello {
            instance: Instance::new(array(&means["instance"])),
            key: Key::new(array(&means["key"])),
            stream: (!means["stream"].is_null()).then(|| StreamId::new(array(&means["stream"]))),
            received: uint("received"),
        }),
        "welcome" => Control::Welcome(Welcome {
            resumed: means["resumed"].as_bool().unwrap(),
            stream: StreamId::new(array(&means["stream"])),
            key: Key::new(array(&means["key"])),
            received: uint("received"),
            message_bytes: uint("message_bytes"),
        }),
        "ack" => Control::Ack(uint("received")),
        "ping" => Control::Ping,
        "pong" => Control::Pong,
        other => panic!("{other}"),
    }
}

#[test]
fn every_frame_of_the_vectors_means_what_they_say() {
    let vectors = vectors();
    for vector in vectors["valid"].as_array().unwrap() {
        let (name, frame) = (&vector["name"], bytes(&vector["hex"]));
        assert!(is_control(&frame), "{name}");
        let meant = meaning(&vector["means"]);
        assert_eq!(Control::decode(&frame).unwrap().as_ref(), Some(&meant), "{name}");
        if vector["canonical"] == true {
            assert_eq!(meant.encode(), frame, "{name}");
        }
    }
}

#[test]
fn kinds_of_later_versions_are_ignored() {
    for vector in vectors()["ignored"].as_array().unwrap() {
        assert_eq!(Control::decode(&bytes(&vector["hex"])).unwrap(), None, "{}", vector["name"]);
    }
}

#[test]
fn a_malformed_control_frame_is_refused() {
    for vector in vectors()["malformed"].as_array().unwrap() {
        let error = Control::decode(&bytes(&vector["hex"])).unwrap_err();
        assert!(error.is_malformed() || error.is_too_deep(), "{}: {error}", vector["name"]);
    }
}

#[test]
fn no_prefix_of_a_frame_is_a_frame_and_no_byte_that_is_changed_panics() {
    for vector in vectors()["valid"].as_array().unwrap() {
        let frame = bytes(&vector["hex"]);
        for len in 0..frame.len() {
            assert!(Control::decode(&frame[..len]).is_err(), "{len} bytes of {}", vector["name"]);
        }
        for at in 0..frame.len() {
            for byte in 0..=255 {
                let mut frame = frame.clone();
                frame[at] = byte;
                let _ = Control::decode(&frame);
            }
        }
    }
}

#[test]
fn debug_output_gives_no_key_away() {
    let hello =
        Hello { instance: Instance::new([1; 16]), key: Key::new([0x77; 32]), stream: None, received: 0 };
    assert!(!format!("{:?}", Control::Hello(hello)).contains("119"));
}
