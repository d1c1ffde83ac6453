//! The framing: the number of the first message, and then each message after its length.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Bytes before the first message.
const HEAD: usize = 8;
/// Bytes before each message.
const LENGTH: usize = 4;
/// Most messages in one batch.
pub const MESSAGES: usize = 256;

/// Bytes that several messages of a page may take together; `page.js` keeps to it.
pub const BYTES: usize = 64 * 1024;

/// How long a batch of these messages is.
pub fn length<'a>(messages: impl IntoIterator<Item = &'a Bytes>) -> usize {
    HEAD + messages.into_iter().map(|message| LENGTH + message.len()).sum::<usize>()
}

/// A batch. The first of the messages has the number `first`.
pub fn encode<'a>(first: u64, messages: impl IntoIterator<Item = &'a Bytes> + Clone) -> Bytes {
    let mut batch = BytesMut::with_capacity(length(messages.clone()));
    batch.put_u64(first);
    for message in messages {
        batch.put_u32(message.len() as u32);
        batch.put_slice(message);
    }
    batch.freeze()
}

/// The number of the first message, and the messages. `None` if the bytes are no batch.
pub fn decode(mut batch: Bytes) -> Option<(u64, Vec<Bytes>)> {
    let first = batch.try_get_u64().ok()?;
    let mut messages = Vec::new();
    while batch.has_remaining() {
        let length = batch.try_get_u32().ok()? as usize;
        if length > batch.len() || messages.len() == MESSAGES {
            return None;
        }
        messages.push(batch.split_to(length));
    }
    first.checked_add(messages.len() as u64)?;
    Some((first, messages))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(texts: &[&'static str]) -> Vec<Bytes> {
        texts.iter().map(|text| Bytes::from_static(text.as_bytes())).collect()
    }

    #[test]
    fn a_batch_reads_back_what_it_wrote() {
        for texts in [&[][..], &["a"], &["", "bc", ""]] {
            let batch = encode(9, &messages(texts));
            assert_eq!(batch.len(), length(&messages(texts)));
            assert_eq!(decode(batch), Some((9, messages(texts))));
        }
    }

    #[test]
    fn what_is_no_batch_is_refused() {
        let whole = encode(1, &messages(&["abc", "d"]));
        for end in 0..whole.len() {
            let cut = decode(whole.slice(..end));
            // What ends between two messages is a shorter batch.
            assert_eq!(cut.is_some(), end == 8 || end == 15, "{end}");
        }
        assert_eq!(decode(encode(u64::MAX, &messages(&["a"]))), None);
        let mut too_long = whole.to_vec();
        too_long[8] = 0xff;
        assert_eq!(decode(too_long.into()), None);
    }

    #[test]
    fn the_count_of_messages_has_a_bound() {
        let many = |count| encode(0, &vec![Bytes::new(); count]);
        assert!(decode(many(MESSAGES)).is_some());
        assert!(decode(many(MESSAGES + 1)).is_none());
    }
}
