//! A million random and mutated frames: none may panic, and none may allocate beyond a multiple of its length.
//!
//! `BONITO_TEST_SEED` repeats a run, `BONITO_TEST_FRAMES` sets its length.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::field_reassign_with_default,
    reason = "a test fails by panicking"
)]

mod common;

use bonito_core::{
    Limits,
    proto::{
        codec::{decode_client, decode_packet},
        compress::{Container, RATIO_FREE_BYTES, compress, decompress},
        message::ClientMessage,
        value::Value,
    },
};
use bytes::Bytes;
use common::{Random, from_hex, golden, read_json, to_hex};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// What any frame may cost to read: an error with its text, the levels of a stack.
const FLOOR_BYTES: usize = 8 << 10;

/// What any frame may cost to inflate: a decompressor, and what no ratio applies to.
const INFLATE_FLOOR_BYTES: usize = 2 * RATIO_FREE_BYTES + (64 << 10);

/// A value of one byte becomes an element of a tree, the largest thing that so little can be.
const TREE_FACTOR: usize = 2 * size_of::<(String, Value)>();

/// Bytes that mean something as a head or as part of a length.
const TELLING: &[u8] = &[
    0x00, 0x01, 0x12, 0x18, 0x63, 0x65, 0x66, 0x69, 0x6a, 0x6b, 0x6d, 0x7f, 0x80, 0x81, 0x8f, 0x90, 0x91,
    0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc4, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xcb, 0xcf, 0xd3, 0xd4, 0xd8, 0xd9,
    0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xff,
];

fn mutate(random: &mut Random, seeds: &[Vec<u8>], frame: &mut Vec<u8>) {
    frame.clear();
    if random.below(8) == 0 {
        frame.resize_with(random.below(64), || {
            if random.below(2) == 0 { random.next() as u8 } else { TELLING[random.below(TELLING.len())] }
        });
        return;
    }
    frame.extend_from_slice(&seeds[random.below(seeds.len())]);
    for _ in 0..=random.below(4) {
        let at = random.below(frame.len());
        match random.below(6) {
            0 if at < frame.len() => frame[at] = random.next() as u8,
            1 if at < frame.len() => frame[at] = TELLING[random.below(TELLING.len())],
            2 => frame.truncate(at),
            3 => frame.insert(at, TELLING[random.below(TELLING.len())]),
            4 if at < frame.len() => {
                frame.remove(at);
            }
            _ => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len());
                let len = random.below(32).min(other.len() - from);
                let end = (at + random.below(32)).min(frame.len());
                frame.splice(at..end, other[from..from + len].iter().copied());
            }
        }
    }
}

/// Runs one function and returns the most bytes that it held at once.
fn peak(run: impl FnOnce()) -> usize {
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    run();
    ALLOCATOR.peak_usage().saturating_sub(before)
}

/// Bombs that are whole, so that nothing but the limits stands against them.
fn bombs_hold_little() {
    let limits = Limits::default();
    let update = from_hex("83a86d73675f74797065a130a26964a16fa77061796c6f6164");
    for (name, head, element, len) in [
        ("an array of nils", 0xdd, "c0", 99_997u32),
        ("an array of maps", 0xdd, "80", 99_997),
        ("a map of nothing to nil", 0xdf, "a0c0", 99_997),
        ("an array of empty typed arrays", 0xdd, "c70012", 99_997),
        ("too many", 0xdd, "c0", 1_000_000),
    ] {
        let mut frame = update.to_vec();
        frame.push(head);
        frame.extend_from_slice(&len.to_be_bytes());
        frame.extend_from_slice(&from_hex(element).repeat(len as usize));
        let frame = Bytes::from(frame);
        let mut payload = None;
        let held = peak(|| payload = decode_client(frame.clone(), &limits).ok());
        assert!(held < 4 << 10, "{name}: {held} bytes held without a tree");
        let Some(ClientMessage::UpdateObservable { payload, .. }) = payload else {
            assert_eq!(name, "too many");
            continue;
        };
        let held = peak(|| drop(payload.to_value(&limits).unwrap()));
        assert!(held <= TREE_FACTOR * frame.len() + FLOOR_BYTES, "{name}: a tree of {held} bytes");
    }
    for container in [Container::Gzip, Container::Zlib] {
        let bomb = compress(&vec![0; 10 << 20], container);
        let held = peak(|| assert!(decompress(bomb.clone(), &limits).unwrap_err().is_too_large()));
        assert!(
            held <= 2 * limits.inflated_bytes + INFLATE_FLOOR_BYTES,
            "{held} bytes held for a zip bomb of {}",
            bomb.len()
        );
    }
}

#[test]
fn a_million_hostile_frames() {
    let mut seeds: Vec<Vec<u8>> = golden().iter().map(|golden| golden.bytes.to_vec()).collect();
    for row in read_json("browser-encoder-table.json").as_object().unwrap().values() {
        if let Some(hex) = row["hex"].as_str() {
            let mut frame = from_hex("83a86d73675f74797065a130a26964a16fa77061796c6f6164").to_vec();
            frame.extend_from_slice(&from_hex(hex));
            seeds.push(frame);
        }
    }
    seeds.sort_by_key(Vec::len);
    seeds.retain(|seed| seed.len() < 600);

    let frames =
        std::env::var("BONITO_TEST_FRAMES").ok().and_then(|frames| frames.parse().ok()).unwrap_or(1_000_000);
    let mut random = Random::from_env();
    let mut limits = Limits::default();
    limits.inflated_bytes = 1 << 20;
    let mut frame = Vec::new();
    let (mut from_clients, mut from_servers, mut inflated) = (0, 0, 0);
    let mut worst = [0.0f64; 3];
    for at in 0..frames {
        mutate(&mut random, &seeds, &mut frame);
        if at % 32 == 0 {
            let container = if at % 64 == 0 { Container::Gzip } else { Container::Zlib };
            frame = compress(&frame, container).to_vec();
        }
        let bytes = Bytes::copy_from_slice(&frame);
        let check = |what: &str, worst: &mut f64, factor: usize, floor: usize, run: &mut dyn FnMut()| {
            let peak = peak(run);
            *worst = worst.max(peak as f64 / bytes.len().max(1) as f64);
            assert!(
                peak <= factor * bytes.len() + floor,
                "{what}: {peak} bytes for a frame of {}: {}",
                bytes.len(),
                to_hex(&bytes)
            );
        };
        check("decode_client", &mut worst[0], TREE_FACTOR, FLOOR_BYTES, &mut || {
            if let Ok(message) = decode_client(bytes.clone(), &limits) {
                from_clients += 1;
                if let ClientMessage::UpdateObservable { payload, .. } = message {
                    payload.to_value(&limits).unwrap();
                    let _ = payload.decode::<Vec<f32>>();
                }
            }
        });
        check("decode_packet", &mut worst[1], TREE_FACTOR, FLOOR_BYTES, &mut || {
            from_servers += usize::from(decode_packet(bytes.clone(), &limits).is_ok());
        });
        check("decompress", &mut worst[2], 2 * limits.inflation_ratio, INFLATE_FLOOR_BYTES, &mut || {
            inflated += usize::from(decompress(bytes.clone(), &limits).is_ok());
        });
    }
    bombs_hold_little();
    println!(
        "of {frames} frames {from_clients} were read as from a client, {from_servers} as from a server, {inflated} inflated"
    );
    println!("most bytes held per byte of a frame: {worst:.0?}");
    assert!(from_clients > frames / 50 && from_servers > frames / 50 && inflated >= frames / 32);
}
