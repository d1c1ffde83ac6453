//! Rooms: who is in them, and what was said.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bonito_core::{
    Address, ClusterBackend, ClusterError, ClusterOptions, Groups, Membership, PresenceChange, Registry,
};
use serde::{Deserialize, Serialize};

use crate::chat::Told;

/// Messages that a room remembers.
const HISTORY: usize = 100;
/// There are these and no others, so that nobody fills the server with rooms.
const ROOMS: [&str; 3] = ["lobby", "garden", "kitchen"];

/// An event, encoded once for all who get it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct News(pub(crate) Arc<str>);

/// What pages are told.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Event<'a> {
    Welcome {
        you: &'a str,
        direct: bool,
        room: &'a str,
        rooms: [&'a str; 3],
        people: Vec<Arc<str>>,
        history: Vec<Line>,
    },
    Said(&'a Line),
    People {
        people: Vec<Arc<str>>,
    },
    Direct {
        from: &'a str,
        to: &'a str,
        text: &'a str,
    },
    Unreachable {
        to: &'a str,
    },
    /// Direct messages go to another window.
    Indirect,
}

/// Something that was said in a room.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Line {
    from: Arc<str>,
    text: Arc<str>,
    /// Milliseconds since 1970.
    at: u64,
}

impl Event<'_> {
    pub(crate) fn encode(&self) -> News {
        News(serde_json::to_string(self).unwrap_or_default().into())
    }
}

/// All rooms. A clone is the same rooms.
#[derive(Clone, Debug)]
pub struct Rooms {
    rooms: Arc<[Arc<Room>; 3]>,
    /// All windows, in whatever process.
    registry: Registry<News, Arc<str>>,
    /// Those of this process: each tells its own who is there.
    here: Registry<News>,
}

impl Rooms {
    /// Opens the rooms. Each has a task that tells who is in it, until the runtime ends.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn open() -> Self {
        Self::over(Registry::new())
    }

    /// Opens the same rooms in several processes, which the broker behind this backend connects.
    ///
    /// # Errors
    ///
    /// Those of [`Registry::clustered`].
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn join(backend: Arc<dyn ClusterBackend>) -> Result<Self, ClusterError> {
        Self::join_with(backend, ClusterOptions::new("chat")).await
    }

    /// The same with options of one's own, alike in all processes.
    ///
    /// # Errors
    ///
    /// Those of [`Registry::clustered`].
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn join_with(
        backend: Arc<dyn ClusterBackend>,
        options: ClusterOptions,
    ) -> Result<Self, ClusterError> {
        Ok(Self::over(Registry::clustered(backend, options).await?))
    }

    fn over(registry: Registry<News, Arc<str>>) -> Self {
        let here = Registry::<News>::new();
        let rooms = ROOMS.map(|name| {
            let everybody: &Groups<News, Arc<str>> = registry.group();
            tokio::spawn(tell_who_is_there(name, everybody.clone(), here.group().clone()));
            Arc::new(Room { name, history: Mutex::default() })
        });
        Self { rooms: Arc::new(rooms), registry, here }
    }

    /// Leaves the others in good order, if there are any.
    pub async fn leave(&self) {
        self.registry.leave().await;
    }

    pub(crate) fn find(&self, name: &str) -> Option<Arc<Room>> {
        self.rooms.iter().find(|room| room.name == name).cloned()
    }

    pub(crate) fn lobby(&self) -> Arc<Room> {
        self.rooms[0].clone()
    }

    pub(crate) fn registry(&self) -> &Registry<News, Arc<str>> {
        &self.registry
    }
}

#[derive(Debug)]
pub(crate) struct Room {
    name: &'static str,
    /// Locked while a line is sent, so that whoever enters sees each line once: in the history, or as news.
    history: Mutex<VecDeque<Line>>,
}

impl Room {
    /// Makes a window a member. Answers what it is told first.
    pub(crate) fn enter(
        &self,
        rooms: &Rooms,
        name: &Arc<str>,
        direct: bool,
        address: &Address<Told>,
    ) -> ([Membership; 2], String) {
        let groups = rooms.registry.group();
        let history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        let member =
            [groups.join_as(self.name, address, name.clone()), rooms.here.group().join(self.name, address)];
        let mut people: Vec<_> =
            groups.members(self.name).iter().map(|member| member.meta().clone()).collect();
        people.sort();
        people.dedup();
        let welcome = Event::Welcome {
            you: name,
            direct,
            room: self.name,
            rooms: ROOMS,
            people,
            history: history.iter().cloned().collect(),
        };
        (member, welcome.encode().0.to_string())
    }

    pub(crate) fn say(&self, rooms: &Rooms, from: &Arc<str>, text: &str) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let at = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let line = Line { from: from.clone(), text: text.into(), at };
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        let published = rooms.registry.group().publish(self.name, Event::Said(&line).encode());
        if published.refused > 0 {
            eprintln!("{} windows do not keep up and miss a line; a reload shows it", published.refused);
        }
        history.push_back(line);
        if history.len() > HISTORY {
            history.pop_front();
        }
    }
}

/// Tells the windows that are here who is in the room, each time somebody comes with the first window or goes with the last.
async fn tell_who_is_there(room: &'static str, everybody: Groups<News, Arc<str>>, here: Groups<News>) {
    let mut presence = everybody.watch(room);
    let mut windows = BTreeMap::<Arc<str>, usize>::new();
    loop {
        let changed = match presence.next().await {
            PresenceChange::Joined(member) => {
                let windows = windows.entry(member.meta().clone()).or_default();
                *windows += 1;
                *windows == 1
            }
            PresenceChange::Left(member) => {
                let left = windows.get_mut(member.meta()).map(|windows| {
                    *windows -= 1;
                    *windows
                });
                if left == Some(0) {
                    windows.remove(member.meta());
                }
                left == Some(0)
            }
        };
        if changed {
            let news = Event::People { people: windows.keys().cloned().collect() }.encode();
            // Whoever has no room for it hears of the next change.
            let _ = here.publish(room, news);
        }
    }
}
