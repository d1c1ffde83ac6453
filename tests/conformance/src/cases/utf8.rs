//! Texts, and what is none: section 6 of the Autobahn test suite, over a behaviour that echoes.

use std::net::SocketAddr;

use bonito_core::{Endpoint, SocketOptions};

use crate::client::until;
use crate::probe::{Shared, probed};
use crate::wire::{BINARY, CONTINUATION, FIN, Raw, TEXT, Wire, close, frame};

fn plain() -> (Endpoint, Shared) {
    probed(SocketOptions::new(), |_| {})
}

async fn open(address: SocketAddr) -> Wire {
    Wire::open(address, "/live/echo").await
}

/// "kosme" in Greek, with an accent that makes one of its characters three bytes long.
const KOSME: &[u8] = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5";

/// A text of so many fragments as it has bytes.
fn byte_by_byte(text: &[u8]) -> Vec<u8> {
    let continued = text.iter().map(|byte| frame(CONTINUATION, [*byte])).collect::<Vec<_>>().concat();
    [frame(TEXT, ""), continued, frame(FIN | CONTINUATION, "")].concat()
}

/// 6.2, 6.5, 6.6, 6.7, 6.9, 6.11, 6.22, 6.23.
fn texts() -> Vec<String> {
    let words = [
        "",
        "Hello-µ@ßöäüàá-UTF-8!!",
        "hello$world",
        "hello¢world",
        "hello€world",
        "hello\u{24b62}world",
        std::str::from_utf8(KOSME).unwrap(),
    ];
    let prefixes = KOSME.iter().enumerate().filter_map(|(end, _)| std::str::from_utf8(&KOSME[..end]).ok());
    let bounds = [
        0, 0x80, 0x800, 0x10000, 0x7f, 0x7ff, 0xffff, 0x10_ffff, 0xd7ff, 0xe000, 0xfffd, 0xfff9, 0xfffa,
        0xfffb, 0xfffc,
    ];
    let no_characters = (0..=16).flat_map(|plane| [plane << 16 | 0xfffe, plane << 16 | 0xffff]);
    let characters = bounds.into_iter().chain(no_characters).map(|c| char::from_u32(c).unwrap().to_string());
    words.into_iter().chain(prefixes).map(str::to_owned).chain(characters).collect()
}

/// 6.3, 6.4, 6.6, 6.8, 6.10 to 6.21.
fn no_texts() -> Vec<Vec<u8>> {
    let of = |bytes: &[&[u8]]| bytes.iter().map(|bytes| bytes.to_vec()).collect::<Vec<_>>();
    let mut all = of(&[
        &[KOSME, b"\xed\xa0\x80edited"].concat(),
        &[KOSME, b"\xf4\x90\x80\x80edited"].concat(),
        // Longer than any character.
        b"\xf8\x88\x80\x80\x80",
        b"\xfc\x84\x80\x80\x80\x80",
        b"\xf7\xbf\xbf\xbf",
        b"\xfb\xbf\xbf\xbf\xbf",
        b"\xfd\xbf\xbf\xbf\xbf\xbf",
        // Past the last one.
        b"\xf4\x90\x80\x80",
        // Bytes that never are.
        b"\xfe",
        b"\xff",
        b"\xfe\xfe\xff\xff",
        // Overlong: a slash, the last ones of their length, a null.
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xf0\x80\x80\xaf",
        b"\xf8\x80\x80\x80\xaf",
        b"\xfc\x80\x80\x80\x80\xaf",
        b"\xc1\xbf",
        b"\xe0\x9f\xbf",
        b"\xf0\x8f\xbf\xbf",
        b"\xf8\x87\xbf\xbf\xbf",
        b"\xfc\x83\xbf\xbf\xbf\xbf",
        b"\xc0\x80",
        b"\xe0\x80\x80",
        b"\xf0\x80\x80\x80",
        b"\xf8\x80\x80\x80\x80",
        b"\xfc\x80\x80\x80\x80\x80",
    ]);
    // Cut within a character.
    all.extend(
        (1..KOSME.len()).map(|end| KOSME[..end].to_vec()).filter(|text| std::str::from_utf8(text).is_err()),
    );
    // Continuations of nothing.
    all.extend((1..=7).map(|length| b"\x80\xbf\x80\xbf\x80\xbf\x80"[..length].to_vec()));
    all.extend([vec![0xbf], (0x80..=0xbf).collect()]);
    // Starts that are not continued, each before a space.
    for starts in [0xc0..=0xdf, 0xe0..=0xef, 0xf0..=0xf7, 0xf8..=0xfb, 0xfc..=0xfd] {
        all.push(starts.flat_map(|start| [start, b' ']).collect());
    }
    // The last byte is missing; and all of those together.
    let cut = of(&[
        b"\xc0",
        b"\xe0\x80",
        b"\xf0\x80\x80",
        b"\xf8\x80\x80\x80",
        b"\xfc\x80\x80\x80\x80",
        b"\xdf",
        b"\xef\xbf",
        b"\xf7\xbf\xbf",
        b"\xfb\xbf\xbf\xbf",
        b"\xfd\xbf\xbf\xbf\xbf",
    ]);
    all.push(cut.concat());
    all.extend(cut);
    // Surrogates, single and in pairs.
    let surrogates = [0xd800, 0xdb7f, 0xdb80, 0xdbff, 0xdc00, 0xdf80, 0xdfff].map(surrogate);
    for high in &surrogates[..4] {
        all.extend([&surrogates[4], &surrogates[6]].map(|low| [&high[..], &low[..]].concat()));
    }
    all.extend(surrogates.map(Vec::from));
    all
}

fn surrogate(unit: u16) -> [u8; 3] {
    let [high, low] = unit.to_be_bytes();
    [0xe0 | high >> 4, 0x80 | (high & 0xf) << 2 | low >> 6, 0x80 | low & 0x3f]
}

case! {
    /// Autobahn 6: a text is UTF-8, wherever its fragments are cut, and what is not is refused.
    texts_are_utf8((live, shared) = plain(), address) {
        let mut wire = open(address).await;
        for text in texts() {
            wire.send([frame(FIN | TEXT, &text), byte_by_byte(text.as_bytes())].concat()).await;
            wire.hears(&text).await;
            wire.hears(&text).await;
            let cuts = (0..=text.len()).map(|cut| text.as_bytes().split_at(cut));
            let fragments = |(a, b): (&[u8], &[u8])| [frame(TEXT, a), frame(FIN | CONTINUATION, b)].concat();
            wire.send(cuts.clone().flat_map(fragments).collect::<Vec<_>>()).await;
            for _ in cuts {
                wire.hears(&text).await;
            }
        }
        wire.send([frame(TEXT, ""), frame(CONTINUATION, "middle"), frame(FIN | CONTINUATION, "")].concat()).await;
        wire.hears("middle").await;
        let wrong = no_texts();
        assert_eq!((texts().len(), wrong.len()), (61, 72));
        for bytes in &wrong {
            let mut wire = open(address).await;
            wire.send(frame(FIN | TEXT, bytes)).await;
            wire.closes(Some(1007), &format!("{bytes:x?}")).await;
            let mut wire = open(address).await;
            wire.send(byte_by_byte(bytes)).await;
            wire.closes(Some(1007), &format!("{bytes:x?}, byte by byte")).await;
        }
        // Bytes are bytes.
        let mut wire = open(address).await;
        for bytes in &wrong {
            wire.send(frame(FIN | BINARY, bytes)).await;
            assert_eq!(wire.next().await, Some(Raw(FIN | BINARY, bytes.clone())));
        }
        wire.send(close(1000, "")).await;
        wire.closes(Some(1000), "an end in order").await;
        until(|| shared.ends().iter().filter(|end| *end == "Protocol").count() == 2 * wrong.len()).await;
        drop(live);
    }
}
