//! Whole messages, compressed (`docs/src/protocol.md` §2.4).
//!
//! Only worth it from about 1 KiB on: a small update grows. Each thread keeps one compressor and one decompressor
//! of a kind and reuses them, since making one costs more than a small message.

use std::{cell::RefCell, io::Read};

use bytes::Bytes;
use flate2::{Compress, Compression, Crc, Decompress, FlushCompress, FlushDecompress, Status};

use super::DecodeError;
use crate::Limits;

/// Inflated bytes to which [`Limits::inflation_ratio`] does not apply: an honest array of zeros shrinks 1,000 times,
/// and this little harms nobody.
pub const RATIO_FREE_BYTES: usize = 64 << 10;

const CHUNK_BYTES: usize = 16 << 10;

/// The header of a gzip stream without a name or a time, from an unknown system.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];

/// What a compressed message looks like. The browser takes both; it sends zlib.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the browser takes these two")]
pub enum Container {
    /// A gzip stream, which begins with `1f 8b`.
    Gzip,
    /// A zlib stream, which begins with `78`.
    Zlib,
}

thread_local! {
    static DEFLATE_RAW: RefCell<Compress> = RefCell::new(Compress::new(Compression::fast(), false));
    static DEFLATE_ZLIB: RefCell<Compress> = RefCell::new(Compress::new(Compression::fast(), true));
    static INFLATE_ZLIB: RefCell<Decompress> = RefCell::new(Decompress::new(true));
}

/// Compresses a message at the fastest level.
pub fn compress(bytes: &[u8], container: Container) -> Bytes {
    let mut out = Vec::with_capacity(bytes.len() / 2 + 64);
    match container {
        Container::Gzip => {
            out.extend_from_slice(&GZIP_HEADER);
            DEFLATE_RAW.with_borrow_mut(|deflate| deflate_into(deflate, bytes, &mut out));
            let mut crc = Crc::new();
            crc.update(bytes);
            out.extend_from_slice(&crc.sum().to_le_bytes());
            out.extend_from_slice(&crc.amount().to_le_bytes());
        }
        Container::Zlib => DEFLATE_ZLIB.with_borrow_mut(|deflate| deflate_into(deflate, bytes, &mut out)),
    }
    Bytes::from(out)
}

fn deflate_into(deflate: &mut Compress, bytes: &[u8], out: &mut Vec<u8>) {
    deflate.reset();
    loop {
        let rest = &bytes[usize::try_from(deflate.total_in()).unwrap_or(usize::MAX).min(bytes.len())..];
        match deflate.compress_vec(rest, out, FlushCompress::Finish) {
            Ok(Status::StreamEnd) => return,
            Ok(Status::Ok | Status::BufError) => out.reserve(CHUNK_BYTES.max(out.len() / 2)),
            Err(error) => unreachable!("deflate fails on misuse alone: {error}"),
        }
    }
}

/// Inflates a message; gzip and zlib are told apart by their first bytes.
///
/// While it inflates, it stops where the message passes [`Limits::inflated_bytes`], or
/// [`Limits::inflation_ratio`] times its compressed length (beyond [`RATIO_FREE_BYTES`]), and its buffer
/// never grows beyond that bound by more than one byte (while it grows, the former one is held too).
///
/// # Errors
///
/// When the message passes a bound, when it is no whole stream, when its checksum is wrong, or when bytes follow it.
#[expect(clippy::needless_pass_by_value, reason = "nobody needs the compressed bytes any more")]
pub fn decompress(bytes: Bytes, limits: &Limits) -> Result<Bytes, DecodeError> {
    let ratio = bytes.len().saturating_mul(limits.inflation_ratio).max(RATIO_FREE_BYTES);
    let mut out = Capped { bytes: Vec::new(), most: limits.inflated_bytes.min(ratio) };
    match *bytes {
        [0x1f, 0x8b, ..] => gunzip(&bytes, &mut out)?,
        [method, flags, ..] if method & 0x0f == 8 && u16::from_be_bytes([method, flags]) % 31 == 0 => {
            INFLATE_ZLIB.with_borrow_mut(|inflate| unzlib(inflate, &bytes, &mut out))?;
        }
        _ => {
            return Err(DecodeError::malformed(
                "expected a gzip or zlib stream, something else came: compression is on for all messages or none",
            ));
        }
    }
    Ok(Bytes::from(out.bytes))
}

/// A buffer with an end.
struct Capped {
    bytes: Vec<u8>,
    most: usize,
}

impl Capped {
    /// Makes room for the next chunk, of which one byte may lie beyond the end: it tells too much from just enough.
    fn grow(&mut self) -> Result<(), DecodeError> {
        let Some(left) = self.most.checked_sub(self.bytes.len()) else {
            return Err(self.too_large());
        };
        self.bytes.reserve_exact(CHUNK_BYTES.max(self.bytes.len()).min(left.saturating_add(1)));
        Ok(())
    }

    fn push(&mut self, chunk: &[u8]) -> Result<(), DecodeError> {
        if self.bytes.len() + chunk.len() > self.most {
            return Err(self.too_large());
        }
        if self.bytes.capacity() - self.bytes.len() < chunk.len() {
            self.grow()?;
        }
        self.bytes.extend_from_slice(chunk);
        Ok(())
    }

    fn too_large(&self) -> DecodeError {
        DecodeError::too_large(format!(
            "expected at most {} bytes after inflation, more came: send less at once",
            self.most
        ))
    }
}

fn unzlib(inflate: &mut Decompress, bytes: &[u8], out: &mut Capped) -> Result<(), DecodeError> {
    inflate.reset(true);
    let mut read = 0;
    loop {
        out.grow()?;
        let before = out.bytes.len();
        let status = inflate
            .decompress_vec(&bytes[read..], &mut out.bytes, FlushDecompress::None)
            .map_err(|error| broken().with_source(error))?;
        let total = usize::try_from(inflate.total_in()).unwrap_or(usize::MAX).min(bytes.len());
        let moved = total != read || out.bytes.len() != before;
        read = total;
        match status {
            Status::StreamEnd if out.bytes.len() > out.most => return Err(out.too_large()),
            Status::StreamEnd => return nothing_after(bytes.len() - read),
            Status::Ok | Status::BufError if moved => {}
            Status::Ok | Status::BufError => return Err(broken()),
        }
    }
}

fn gunzip(bytes: &[u8], out: &mut Capped) -> Result<(), DecodeError> {
    let mut inflate = flate2::bufread::GzDecoder::new(bytes);
    let mut chunk = [0; 4 << 10];
    loop {
        let len = inflate.read(&mut chunk).map_err(|error| broken().with_source(error))?;
        if len == 0 {
            return nothing_after(inflate.into_inner().len());
        }
        out.push(&chunk[..len])?;
    }
}

fn broken() -> DecodeError {
    DecodeError::malformed("expected one whole compressed stream, a broken or cut one came")
}

fn nothing_after(more: usize) -> Result<(), DecodeError> {
    if more > 0 {
        return Err(DecodeError::malformed(format!(
            "expected the end after a compressed stream, {more} more bytes came"
        )));
    }
    Ok(())
}
