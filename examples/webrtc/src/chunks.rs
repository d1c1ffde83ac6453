//! The framing: data channels bound the size of a message, so longer ones go in chunks. The first byte of each says whether
//! it is the last.

use bytes::{Bytes, BytesMut};

/// Bytes of a message in one chunk. With the byte before it, this is what every browser takes.
pub const CHUNK: usize = 16 * 1024 - 1;
const MORE: u8 = 0;
const LAST: u8 = 1;

/// The chunk of a message that begins at `at`. It is the last if it reaches the end.
pub fn chunk(message: &[u8], at: usize) -> Vec<u8> {
    let rest = &message[at.min(message.len())..];
    let (mark, part) = if rest.len() > CHUNK { (MORE, &rest[..CHUNK]) } else { (LAST, rest) };
    let mut chunk = Vec::with_capacity(part.len() + 1);
    chunk.push(mark);
    chunk.extend_from_slice(part);
    chunk
}

/// Joins chunks to messages no longer than a bound.
#[derive(Debug)]
pub struct Joiner {
    message: BytesMut,
    most: usize,
}

/// A chunk is none, or its message is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "part of an app")]
pub struct BadChunk;

impl Joiner {
    /// For messages of at most so many bytes.
    pub fn new(most: usize) -> Self {
        Self { message: BytesMut::new(), most }
    }

    /// The message, if this is its last chunk.
    ///
    /// # Errors
    ///
    /// If it is no chunk, or makes the message too long.
    pub fn add(&mut self, chunk: &[u8]) -> Result<Option<Bytes>, BadChunk> {
        let (mark, part) = chunk.split_first().ok_or(BadChunk)?;
        if self.message.len() + part.len() > self.most {
            return Err(BadChunk);
        }
        self.message.extend_from_slice(part);
        match *mark {
            LAST => Ok(Some(self.message.split().freeze())),
            // An empty one would let a page send without end.
            MORE if !part.is_empty() => Ok(None),
            _ => Err(BadChunk),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(message: &[u8]) -> Vec<Vec<u8>> {
        let mut chunks = vec![chunk(message, 0)];
        while chunks.last().is_some_and(|chunk| chunk[0] == MORE) {
            chunks.push(chunk(message, chunks.len() * CHUNK));
        }
        chunks
    }

    #[test]
    fn what_is_split_is_joined_again() {
        for (length, count) in
            [(0, 1), (1, 1), (CHUNK, 1), (CHUNK + 1, 2), (3 * CHUNK, 3), (3 * CHUNK + 5, 4)]
        {
            let message: Vec<u8> = (0..length).map(|n| n as u8).collect();
            let chunks = split(&message);
            assert_eq!(chunks.len(), count, "{length}");
            let mut joiner = Joiner::new(length);
            let joined: Vec<Bytes> = chunks.iter().filter_map(|chunk| joiner.add(chunk).unwrap()).collect();
            assert_eq!(joined, [message]);
        }
    }

    #[test]
    fn messages_follow_each_other() {
        let mut joiner = Joiner::new(4);
        assert_eq!(joiner.add(&[MORE, 1, 2]), Ok(None));
        assert_eq!(joiner.add(&[LAST, 3]), Ok(Some(Bytes::from_static(&[1, 2, 3]))));
        assert_eq!(joiner.add(&[LAST, 4]), Ok(Some(Bytes::from_static(&[4]))));
    }

    #[test]
    fn a_message_has_a_bound() {
        let mut joiner = Joiner::new(3);
        assert_eq!(joiner.add(&[MORE, 1, 2]), Ok(None));
        assert_eq!(joiner.add(&[LAST, 3, 4]), Err(BadChunk));
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        for chunk in [&[][..], &[2], &[MORE]] {
            assert_eq!(Joiner::new(9).add(chunk), Err(BadChunk), "{chunk:?}");
        }
    }
}
