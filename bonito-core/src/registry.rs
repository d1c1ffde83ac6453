//! Names for connections: unique names, and groups.
//!
//! The tables here are local and hold addresses. What spans processes is below them and sees names and bytes only: the
//! machine in `proto/cluster`, over a backend.

mod cluster;
mod group;
mod presence;
mod unique;

use std::fmt;
use std::sync::Arc;

pub(crate) use cluster::{Core, Hands, Sink};
pub use group::{Groups, Member, Membership, Published};
pub use presence::{Presence, PresenceChange};
pub use unique::{DeliverError, RegisterError, Registration, UniqueNames};

use crate::address::{Address, Posted};

/// Finds connections by name: one by a [unique](Self::unique) name, many by the name of a [group](Self::group).
///
/// `M` is what is sent by name. A connection may be registered if its own message can be made of one: one registry can
/// address several behaviours, and sessions too. Different families of names want a registry each; a registry costs nothing.
/// `Meta` is what members of groups tell about themselves.
///
/// [`new`](Self::new) makes a registry of this process, [`clustered`](Self::clustered) one of several.
///
/// A clone is the same registry. Give it to the callbacks with [`SocketOptions::state`](crate::SocketOptions::state).
///
/// ```
/// use bonito_core::{Conn, Context, Endpoint, Frame, Registration, Registry, SocketOptions, WebSocketBehaviour};
///
/// #[derive(Clone)]
/// struct Note(String);
///
/// struct Inbox {
///     _name: Option<Registration>,
/// }
///
/// impl WebSocketBehaviour for Inbox {
///     type Message = Note;
///
///     async fn init(conn: &Conn, cx: &mut Context<Self>) -> Self {
///         let names = conn.state::<Registry<Note>>().unique();
///         let user = conn.param("user").unwrap_or_default();
///         Self { _name: names.register(user, cx.address()).ok() }
///     }
///
///     async fn handle_client_message(&mut self, _frame: Frame, _cx: &mut Context<Self>) {}
///
///     async fn handle_server_message(&mut self, Note(text): Note, cx: &mut Context<Self>) {
///         cx.push_text(text);
///     }
/// }
///
/// let registry = Registry::<Note>::new();
/// let options = SocketOptions::new().state(registry.clone());
/// let live = Endpoint::builder("/live").socket_with::<Inbox>("/inbox/{user}", options).build();
/// # drop(live);
///
/// // From anywhere in the app:
/// if !registry.unique().send("ada", Note("hello".into())).is_queued() {
///     // she is not there, or does not keep up
/// }
/// ```
///
/// # Failure
///
/// * A name is released when its connection ends, however it ends; at the latest before `terminate` runs.
/// * A full mailbox is an answer, [`Posted::Refused`] or a count in [`Published`]. Nobody waits for it.
/// * A message that was taken is lost if its connection ends before its turn: at most once.
/// * Messages that one sender sends to one connection arrive in order, by whatever names they were sent.
pub struct Registry<M, Meta = ()> {
    unique: UniqueNames<M>,
    group: Groups<M, Meta>,
}

impl<M: 'static, Meta: Send + Sync + 'static> Registry<M, Meta> {
    /// An empty registry.
    pub fn new() -> Self {
        Self { unique: UniqueNames::new(), group: Groups::new() }
    }

    /// Names that one connection has at a time.
    pub fn unique(&self) -> &UniqueNames<M> {
        &self.unique
    }

    /// Names that any number of connections share.
    pub fn group(&self) -> &Groups<M, Meta> {
        &self.group
    }
}

impl<M: 'static, Meta: Send + Sync + 'static> Default for Registry<M, Meta> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M, Meta> Clone for Registry<M, Meta> {
    fn clone(&self) -> Self {
        Self { unique: self.unique.clone(), group: self.group.clone() }
    }
}

impl<M, Meta> fmt::Debug for Registry<M, Meta> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("unique", &self.unique).field("group", &self.group).finish()
    }
}

/// An address of any message that can be made of `M`.
trait Deliver<M>: Send + Sync {
    fn deliver(&self, message: M) -> Posted;
}

impl<M, T: From<M> + Send> Deliver<M> for Address<T> {
    fn deliver(&self, message: M) -> Posted {
        self.send(message.into())
    }
}

type Target<M> = Arc<dyn Deliver<M>>;
