//! The connection below a WebSocket, with something wrong.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Fault;

/// A connection that changes the frames that go out.
#[derive(Debug)]
pub(crate) struct Wire<S> {
    connection: S,
    fault: Fault,
    pending: BytesMut,
}

impl<S> Wire<S> {
    pub(crate) fn new(connection: S, fault: Fault) -> Self {
        Self { connection, fault, pending: BytesMut::new() }
    }

    /// Takes whole frames: the library above hands over what it has, and here all of it is taken.
    fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (head, payload) = match bytes[1] {
                126 => (4, usize::from(u16::from_be_bytes([bytes[2], bytes[3]]))),
                127 => (10, usize::try_from(u64::from_be_bytes(bytes[2..10].try_into().unwrap())).unwrap()),
                short => (2, usize::from(short)),
            };
            let (frame, rest) = bytes.split_at(head + payload);
            match (frame[0], self.fault) {
                (0x8a, Fault::NoPong) => {}
                (0x8a, Fault::TwoPongs) => self.pending.extend_from_slice(&frame.repeat(2)),
                (0x88, Fault::NoCloseCode) => self.pending.extend_from_slice(&[0x88, 0]),
                _ => self.pending.extend_from_slice(frame),
            }
            bytes = rest;
        }
    }
}

impl<S: AsyncWrite + Unpin> Wire<S> {
    fn poll_pending(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.poll_drain(cx) {
            Poll::Pending if self.fault == Fault::NoBackPressure => Poll::Ready(Ok(())),
            other => other,
        }
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.pending.is_empty() {
            let written = ready!(Pin::new(&mut self.connection).poll_write(cx, &self.pending))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.pending.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_pending(cx))?;
        self.take(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_pending(cx))?;
        Pin::new(&mut self.connection).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_pending(cx))?;
        Pin::new(&mut self.connection).poll_shutdown(cx)
    }
}
