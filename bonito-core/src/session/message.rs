//! Messages from other parts of the server to a session.

use std::future::poll_fn;

use super::Session;
use crate::address::{Address, mailbox};
use crate::sync::guard;

/// Messages that may wait for a session; one more is refused.
const MAILBOX: usize = 256;

impl Session {
    /// An address for messages from other parts of the server, to be [registered](crate::Registry) under a name like that of
    /// a [behaviour](crate::WebSocketBehaviour). Each message is handed to `handler`, one at a time, in a task of the session.
    ///
    /// The address ends, and with it its names, when the session is closed; while its page has lost the connection it goes on.
    /// At most 256 messages wait; one more is [refused](crate::Posted::Refused). A handler that panics is logged.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, if the endpoint has not seen one yet.
    ///
    /// ```
    /// use bonito_core::{Endpoint, Observable, Registry};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let registry = Registry::<String>::new();
    /// let live = Endpoint::builder("/live").build();
    /// let session = live.session();
    /// let news = Observable::new(String::new());
    /// let shown = news.clone();
    /// let address = session.on_message(move |text: String| shown.set(text));
    /// let membership = registry.group().join("readers", &address);
    /// # drop((membership, news)); }
    /// ```
    pub fn on_message<M: Send + 'static>(&self, mut handler: impl FnMut(M) + Send + 'static) -> Address<M> {
        let (address, mut inbox) = mailbox(MAILBOX);
        self.spawn(async move {
            while let Some(message) = poll_fn(|cx| inbox.poll_recv(cx)).await {
                guard("Session::on_message", || handler(message));
            }
        });
        address
    }
}
