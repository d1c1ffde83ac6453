//! A behaviour without its type, as the loop of its socket runs it.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use futures_util::FutureExt;
use http::Response;

use super::context::Pushed;
use super::{Conn, Context, Terminate, TerminateError, WebSocketBehaviour};
use crate::address::{Inbox, mailbox};
use crate::frame::Frame;

pub(crate) type CallbackFuture<'a, T = ()> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One connection of some behaviour. No callback's panic gets out of it: it stands in [`Pushed::failed`].
pub(crate) trait Socket: Send {
    fn init(&mut self) -> CallbackFuture<'_>;
    fn handle_client_message(&mut self, frame: Frame) -> CallbackFuture<'_>;
    /// Whether a message waits, which is then the one that [`handle_server_message`](Self::handle_server_message) takes.
    fn poll_mailbox(&mut self, cx: &mut std::task::Context<'_>) -> Poll<()>;
    fn handle_server_message(&mut self) -> CallbackFuture<'_>;
    fn pushed(&mut self) -> &mut Pushed;
    /// Takes no message any more, and releases all names.
    fn end(&mut self);
    /// The call of `terminate`, if there is a state.
    fn terminate(self: Box<Self>, reason: Terminate) -> Option<CallbackFuture<'static>>;
}

/// Asks the behaviour whether the client may connect.
pub(crate) async fn connect<B: WebSocketBehaviour>(conn: &Conn) -> Result<Result<(), Response<Bytes>>, ()> {
    unpanicked("connect", async { B::connect(conn).await }).await.ok_or(())
}

pub(crate) struct Instance<B: WebSocketBehaviour> {
    inbox: Inbox<B::Message>,
    next: Option<B::Message>,
    state: Option<B>,
    cx: Context<B>,
}

impl<B: WebSocketBehaviour> Instance<B> {
    /// With a mailbox for so many messages, and room for so many pushed bytes.
    pub(crate) fn new(conn: Arc<Conn>, messages: usize, bytes: usize) -> Self {
        let (address, inbox) = mailbox(messages);
        Self { inbox, next: None, state: None, cx: Context::new(conn, address, bytes) }
    }
}

impl<B: WebSocketBehaviour> Socket for Instance<B> {
    fn init(&mut self) -> CallbackFuture<'_> {
        Box::pin(async move {
            let conn = self.cx.conn.clone();
            self.state = unpanicked("init", async { B::init(&conn, &mut self.cx).await }).await;
            if self.state.is_none() {
                self.cx.pushed.fail(TerminateError::panicked());
            }
        })
    }

    fn handle_client_message(&mut self, frame: Frame) -> CallbackFuture<'_> {
        Box::pin(async move {
            let Self { state: Some(state), cx, .. } = self else { return };
            let call = async { state.handle_client_message(frame, cx).await };
            if unpanicked("handle_client_message", call).await.is_none() {
                cx.pushed.fail(TerminateError::panicked());
            }
        })
    }

    fn poll_mailbox(&mut self, cx: &mut std::task::Context<'_>) -> Poll<()> {
        if self.next.is_none() {
            match self.inbox.poll_recv(cx) {
                Poll::Ready(Some(message)) => self.next = Some(message),
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }

    fn handle_server_message(&mut self) -> CallbackFuture<'_> {
        Box::pin(async move {
            let Self { state: Some(state), next, cx, .. } = self else { return };
            let Some(message) = next.take() else { return };
            let call = async { state.handle_server_message(message, cx).await };
            if unpanicked("handle_server_message", call).await.is_none() {
                cx.pushed.fail(TerminateError::panicked());
            }
        })
    }

    fn pushed(&mut self) -> &mut Pushed {
        &mut self.cx.pushed
    }

    fn end(&mut self) {
        self.inbox.end();
    }

    fn terminate(mut self: Box<Self>, reason: Terminate) -> Option<CallbackFuture<'static>> {
        let state = self.state.take()?;
        Some(Box::pin(async move {
            let _ = unpanicked("terminate", async { state.terminate(reason).await }).await;
        }))
    }
}

/// Runs a callback; a panic is logged and goes no further.
async fn unpanicked<T>(callback: &str, call: impl Future<Output = T>) -> Option<T> {
    match AssertUnwindSafe(call).catch_unwind().await {
        Ok(output) => Some(output),
        Err(panic) => {
            crate::sync::log_panic(&format!("WebSocketBehaviour::{callback}"), &*panic);
            None
        }
    }
}
