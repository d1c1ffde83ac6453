//! A page that does with what it gets what the browser client does (protocol.md §4, §7, §8 and §9).
//!
//! Above 500 lines, since its rules refer to each other and every test of parts of a page reads them in one place.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bonito_core::proto::codec;
use bonito_core::proto::message::{
    Body, CacheEntry, ClientMessage, Code, Packet, ServerMessage, SessionStatus,
};
use bonito_core::proto::value::{RawValue, Value};
use bonito_core::{Endpoint, Frame, Limits, Session, TypedArray};
use bytes::Bytes;
use serde_json::Value as Json;

use super::dom::{Element, Node, parse};
use super::{Page, settle};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Root,
    Sub,
    Delete,
    Closed,
}

#[derive(Debug)]
struct Entry {
    tracked: BTreeSet<String>,
    stage: Stage,
    initialised: bool,
    /// The elements that its own was in when it was last seen.
    seen: Option<Vec<String>>,
}

/// What has its turn in the page's lock.
enum Task {
    Frame(Bytes),
    Init(String, Bytes),
    Free(String),
    Swap(Swap),
}

#[derive(Clone)]
struct Swap {
    id: String,
    element: Element,
    messages: Vec<Packet>,
    selector: String,
}

/// A browser with a page in it.
pub struct Model {
    pub page: Option<Page>,
    pub root: String,
    pub dom: Element,
    sessions: BTreeMap<String, Entry>,
    order: Vec<String>,
    objects: BTreeMap<String, Json>,
    listeners: BTreeMap<String, Vec<Code>>,
    tombstones: BTreeSet<String>,
    tasks: VecDeque<Task>,
    waiting: Vec<Swap>,
    /// Sub-sessions whose element is not there yet.
    late: Vec<(String, Bytes)>,
    outbox: Vec<ClientMessage>,
    /// Scripts of the application that have run.
    pub ran: Vec<String>,
    /// What a console would say.
    pub warnings: Vec<String>,
    /// Swaps that have been done.
    pub swaps: usize,
    /// Objects as envelopes brought them: `new o1`, or `track o1`.
    pub brought: Vec<String>,
    /// Updates of observables that have come.
    pub updates: usize,
    /// Whether it says that sub-sessions have loaded, and that they have gone.
    pub reports: bool,
}

impl Model {
    /// Loads a page.
    pub fn load(html: &str) -> Self {
        let (_, rest) = html.split_once("Bonito.init_session(\"").unwrap();
        let (root, rest) = rest.split_once('"').unwrap();
        let (_, rest) = rest.split_once("atob(\"").unwrap();
        let (bundle, _) = rest.split_once('"').unwrap();
        let (_, body) = html.split_once("<body>").unwrap();
        let (body, _) = body.split_once("</body>").unwrap();
        let mut dom = Element::new("body", &[]);
        dom.children = parse(body);
        let mut model = Self {
            page: None,
            root: root.into(),
            dom,
            sessions: BTreeMap::new(),
            order: Vec::new(),
            objects: BTreeMap::new(),
            listeners: BTreeMap::new(),
            tombstones: BTreeSet::new(),
            tasks: VecDeque::new(),
            waiting: Vec::new(),
            late: Vec::new(),
            outbox: Vec::new(),
            ran: Vec::new(),
            warnings: Vec::new(),
            swaps: 0,
            brought: Vec::new(),
            updates: 0,
            reports: true,
        };
        model.init(root, Bytes::from(STANDARD.decode(bundle).unwrap()), Stage::Root);
        model.run();
        model
    }

    /// Loads the page of a session and connects it.
    pub async fn open(live: &Endpoint, session: &Session, html: &str) -> Self {
        let mut model = Self::load(html);
        model.connect(live, session).await;
        model
    }

    /// A socket, the first one or another: what has waited, then all that is there again.
    pub async fn connect(&mut self, live: &Endpoint, session: &Session) {
        self.page = Some(Page::connect(live, session).await);
        let mut again = Vec::new();
        for id in &self.order {
            let known = self.sessions.get(id).is_some_and(|entry| entry.initialised);
            let waits = self
                .outbox
                .iter()
                .any(|m| matches!(m, ClientMessage::DoneLoading { session, .. } if session == id));
            if known && !waits {
                again.push(loaded(id, None));
            }
        }
        self.outbox.extend(again);
        self.exchange().await;
    }

    pub fn cut(&mut self) {
        if let Some(page) = self.page.take() {
            page.cut();
        }
    }

    /// Messages go back and forth until neither side has any more.
    pub async fn exchange(&mut self) {
        settle().await;
        for _ in 0..1000 {
            let sent = self.flush();
            settle().await;
            if !self.receive() && !sent {
                return;
            }
        }
        panic!("the page and the server never come to an end");
    }

    /// Sends what waits. Answers whether anything did.
    pub fn flush(&mut self) -> bool {
        let Some(page) = &self.page else { return false };
        let any = !self.outbox.is_empty();
        self.outbox.drain(..).for_each(|message| page.send(&message));
        any
    }

    /// Takes what has come. Answers whether anything has.
    pub fn receive(&mut self) -> bool {
        let Some(page) = &self.page else { return false };
        let frames = page.frames();
        let any = !frames.is_empty();
        for frame in frames {
            if let Frame::Binary(bytes) = frame {
                self.tasks.push_back(Task::Frame(bytes));
            }
        }
        self.run();
        any
    }

    /// What has come, and what waits to be sent, is lost on the way, and the line with it.
    pub fn lose(&mut self) {
        self.outbox.clear();
        if let Some(page) = &self.page {
            page.frames();
        }
        self.cut();
    }

    pub fn send(&mut self, message: ClientMessage) {
        self.outbox.push(message);
    }

    /// Page code removes an element.
    pub fn remove(&mut self, attribute: &str, value: &str) {
        let (parent, index) = self.dom.slot(attribute, value).unwrap();
        parent.children.remove(index);
        self.watch();
    }

    /// `data-jscall-id` of the first region.
    pub fn dom_region(&self) -> String {
        fn first(element: &Element) -> Option<String> {
            element.elements().find_map(|element| {
                let name = element.attribute("data-jscall-id").filter(|name| *name != "root");
                name.map(ToOwned::to_owned).or_else(|| first(element))
            })
        }
        first(&self.dom).unwrap()
    }

    pub fn text(&self) -> String {
        self.dom.text().trim().to_owned()
    }

    /// Sub-sessions in the page's table, and objects.
    pub fn tables(&self) -> (usize, usize) {
        (self.sessions.len() - 1, self.objects.len())
    }

    pub fn subs(&self) -> Vec<String> {
        self.sessions.keys().filter(|id| **id != self.root).cloned().collect()
    }

    pub fn stage(&self, id: &str) -> Option<Stage> {
        self.sessions.get(id).map(|entry| entry.stage)
    }

    /// Swaps whose target is not in the page: a browser would wait for it for half a minute.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub fn objects(&self) -> &BTreeMap<String, Json> {
        &self.objects
    }

    pub fn tracked(&self, id: &str) -> Vec<String> {
        self.sessions[id].tracked.iter().cloned().collect()
    }

    fn run(&mut self) {
        loop {
            // What starts and what goes changes no element: one look does for many of them.
            if !matches!(self.tasks.front(), Some(Task::Init(..) | Task::Free(_))) {
                self.watch();
            }
            // A swap whose target is there takes its turn.
            let (dom, mut ready) = (&self.dom, Vec::new());
            self.waiting.retain(|swap| {
                let there = dom.find("data-jscall-id", &swap.selector).is_some();
                if there {
                    ready.push(swap.clone());
                }
                !there
            });
            self.tasks.extend(ready.into_iter().map(Task::Swap));
            for (id, bundle) in std::mem::take(&mut self.late) {
                match self.dom.find("id", &id) {
                    Some(_) => self.init(&id, bundle, Stage::Sub),
                    None => self.late.push((id, bundle)),
                }
            }
            match self.tasks.pop_front() {
                Some(Task::Frame(bytes)) => match codec::decode_packet(bytes, &Limits::default()) {
                    Ok(packet) => self.process(packet),
                    Err(error) => panic!("the page cannot read what came: {error}"),
                },
                Some(Task::Init(id, bytes)) => {
                    let packet = codec::decode_packet(bytes, &Limits::default()).unwrap();
                    self.decode(&packet);
                    self.start(&id, vec![packet]);
                }
                Some(Task::Free(id)) => self.free(&id),
                Some(Task::Swap(swap)) => self.swap(swap),
                None => return,
            }
        }
    }

    fn ensure(&mut self, id: &str, status: SessionStatus) {
        if self.tombstones.contains(id) {
            return;
        }
        let stage = if status == SessionStatus::Root { Stage::Root } else { Stage::Sub };
        let fresh = || Entry { tracked: BTreeSet::new(), stage, initialised: false, seen: None };
        self.sessions.entry(id.into()).or_insert_with(fresh);
    }

    /// What decoding alone does: objects register themselves.
    fn decode(&mut self, packet: &Packet) {
        let Packet::Enveloped(envelope) = packet else {
            if let Packet::Bare(ServerMessage::Fused(packets)) = packet {
                packets.iter().for_each(|packet| self.decode(packet));
            }
            return;
        };
        self.ensure(&envelope.session, envelope.status);
        for entry in &envelope.cache {
            let (key, value) = match entry {
                CacheEntry::Observable { id, value } => (id, Some(value)),
                CacheEntry::Track(key) => (key, None),
            };
            self.brought.push(format!("{} {key}", if value.is_some() { "new" } else { "track" }));
            let Some(owner) = self.sessions.get_mut(&envelope.session) else { continue };
            owner.tracked.insert(key.clone());
            match value {
                Some(value) if !self.objects.contains_key(key) => {
                    self.objects.insert(key.clone(), value.decode().unwrap_or(Json::Null));
                }
                None if !self.objects.contains_key(key) => panic!("{key} is tracked and not there"),
                _ => {}
            }
        }
        match &envelope.body {
            Body::Bundle(packets) => packets.iter().for_each(|packet| self.decode(packet)),
            Body::Message(ServerMessage::UpdateSession { messages, .. }) => {
                messages.iter().for_each(|packet| self.decode(packet));
            }
            Body::Message(_) => {}
        }
    }

    fn process(&mut self, packet: Packet) {
        self.decode(&packet);
        self.execute(packet);
    }

    fn execute(&mut self, packet: Packet) {
        let message = match packet {
            Packet::Bare(message) => message,
            Packet::Enveloped(envelope) => match envelope.body {
                Body::Message(message) => message,
                Body::Bundle(packets) => return packets.into_iter().for_each(|packet| self.execute(packet)),
            },
        };
        match message {
            ServerMessage::UpdateObservable { id, payload } => {
                self.updates += 1;
                let Some(object) = self.objects.get_mut(&id) else { return };
                *object = payload.decode().unwrap_or(Json::Null);
                let value = object.clone();
                for code in self.listeners.get(&id).cloned().unwrap_or_default() {
                    self.listen(&code, &value);
                }
            }
            ServerMessage::OnjsCallback { observable, code } => {
                self.register(&observable, code);
            }
            ServerMessage::EvalJavascript { code } => self.evaluate(&code),
            ServerMessage::Fused(packets) => packets.into_iter().for_each(|packet| self.execute(packet)),
            ServerMessage::UpdateSession {
                session_id, messages, html, replace, dom_node_selector, ..
            } => {
                assert!(replace);
                self.ensure(&session_id, SessionStatus::Sub);
                let element = element(&html);
                assert_eq!(element.attribute("id"), Some(session_id.as_str()), "or nobody would miss it");
                self.waiting.push(Swap { id: session_id, element, messages, selector: dom_node_selector });
            }
            _ => {}
        }
    }

    fn register(&mut self, observable: &RawValue, code: Code) {
        let key = key_of(observable);
        assert!(self.objects.contains_key(&key), "a listener of {key}, which is not there");
        self.listeners.entry(key).or_default().push(code);
    }

    /// Listeners that show a text, and those of the tests.
    fn listen(&mut self, code: &Code, value: &Json) {
        if code.source.contains("textContent") {
            let selector: String = value_of(code, "selector");
            let (name, id) = selector.trim_matches(['[', ']']).split_once('=').unwrap();
            let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
            if let Some(element) = self.dom.find_mut(name, id.trim_matches('"')) {
                element.children = vec![Node::Text(text)];
            }
        } else {
            self.ran.push(format!("{} {value}", source(code)));
        }
    }

    fn evaluate(&mut self, code: &Code) {
        if code.source.contains("Bonito.free_session") {
            assert!(code.source.contains("('objects')) Bonito.force_free_object(id)"));
            for id in value_of::<Vec<String>>(code, "objects") {
                self.force_free(&id);
            }
            for id in value_of::<Vec<String>>(code, "sessions") {
                self.tasks.push_back(Task::Free(id));
            }
        } else if code.source.contains("const start = ") {
            for (id, bundle) in value_of::<Vec<(String, TypedArray<u8>)>>(code, "subs") {
                self.late.push((id, Bytes::from(bundle.into_vec())));
            }
        } else if code.source.contains("at.innerHTML = ") {
            let (id, html): (String, String) = (value_of(code, "id"), value_of(code, "html"));
            if let Some(element) = self.dom.find_mut("id", &id) {
                element.set_html(&html);
            }
        } else if code.source.contains("insertBefore") {
            self.arrange(code);
        } else if code.source.contains("'name')") && code.source.contains("remove()") {
            if let Some((parent, index)) = self.dom.slot("data-jscall-id", &value_of::<String>(code, "name"))
            {
                parent.children.remove(index);
            }
        } else if code.source.contains("remove()") && code.source.contains("getElementById") {
            if let Some((parent, index)) = self.dom.slot("id", &value_of::<String>(code, "id")) {
                parent.children.remove(index);
            }
        } else if !code.source.starts_with("let found") && !code.source.contains("setup_connection") {
            self.ran.push(source(code));
        }
    }

    fn arrange(&mut self, code: &Code) {
        type Start = Option<(String, String, TypedArray<u8>)>;
        let (list, tag): (String, String) = (value_of(code, "list"), value_of(code, "tag"));
        let gone: Vec<String> = value_of(code, "gone");
        let placed: Vec<(String, Option<String>, Start)> = value_of(code, "placed");
        let all: Option<Vec<String>> = value_of(code, "all");
        let Some(list) = self.dom.find_mut("data-jscall-id", &list) else { return };
        let is = |node: &Node, name: &str| matches!(node, Node::Element(e) if e.attribute("data-jscall-id") == Some(name));
        list.children.retain(|node| !gone.iter().any(|name| is(node, name)));
        let mut started = Vec::new();
        for (name, before, start) in placed {
            let there = list.children.iter().position(|node| is(node, &name));
            let node = match (there, &start) {
                (Some(index), None) => list.children.remove(index),
                _ => {
                    let mut element = Element::new(&tag, &[("data-jscall-id", &name)]);
                    if let Some((id, html, _)) = &start {
                        element.attributes.push(("id".into(), id.clone()));
                        element.set_html(html);
                    }
                    Node::Element(element)
                }
            };
            let next = before.and_then(|before| list.children.iter().position(|node| is(node, &before)));
            list.children.insert(next.unwrap_or(list.children.len()), node);
            started.extend(start);
        }
        if let Some(all) = all {
            list.children.retain(|node| all.iter().any(|name| is(node, name)));
        }
        for (id, _, bundle) in started {
            self.init(&id, Bytes::from(bundle.into_vec()), Stage::Sub);
        }
    }

    /// `init_session`: overwrites an entry that is there.
    fn init(&mut self, id: &str, bundle: Bytes, stage: Stage) {
        let orphans = self.sessions.get(id).map_or(0, |entry| entry.tracked.len());
        assert_eq!(orphans, 0, "objects that came before the start are nobody's");
        self.sessions
            .insert(id.into(), Entry { tracked: BTreeSet::new(), stage, initialised: false, seen: None });
        self.tasks.push_back(Task::Init(id.into(), bundle));
    }

    fn swap(&mut self, swap: Swap) {
        match self.dom.slot("data-jscall-id", &swap.selector) {
            Some((parent, index)) => parent.children[index] = Node::Element(swap.element),
            None => return self.waiting.push(swap),
        }
        self.swaps += 1;
        self.start(&swap.id, swap.messages);
    }

    fn start(&mut self, id: &str, messages: Vec<Packet>) {
        messages.into_iter().for_each(|message| self.execute(message));
        let error = match self.sessions.get_mut(id) {
            Some(entry) => {
                entry.initialised = true;
                if entry.stage == Stage::Sub {
                    entry.stage = Stage::Delete;
                }
                None
            }
            None => Some("Error: Session deleted before initialization completed".to_owned()),
        };
        self.order.push(id.into());
        if self.reports || id == self.root {
            self.outbox.push(loaded(id, error));
        }
    }

    /// What the client notices of elements that have gone.
    fn watch(&mut self) {
        let mut there = Vec::new();
        self.dom.ids(&[], &mut there);
        let there: BTreeMap<String, Vec<String>> = there.into_iter().collect();
        let lost: BTreeSet<String> = self
            .sessions
            .iter()
            .filter(|(id, entry)| entry.seen.is_some() && !there.contains_key(*id))
            .map(|(id, _)| id.clone())
            .collect();
        for (id, entry) in &mut self.sessions {
            if let Some(path) = there.get(id) {
                entry.seen = Some(path.clone());
            }
            let outer = entry.seen.iter().flatten().any(|above| lost.contains(above));
            if lost.contains(id) && entry.stage == Stage::Delete && !outer {
                entry.stage = Stage::Closed;
                if self.reports {
                    let subsession = "delete".into();
                    self.outbox.push(ClientMessage::CloseSession { session: id.clone(), subsession });
                }
            }
        }
    }

    fn free(&mut self, id: &str) {
        let Some(entry) = self.sessions.remove(id) else {
            return self.warnings.push(format!("{id} cannot be freed: it is not on this page"));
        };
        self.order.retain(|other| other != id);
        self.tombstones.insert(id.into());
        for key in entry.tracked {
            if !self.sessions.values().any(|entry| entry.tracked.contains(&key)) {
                self.objects.remove(&key);
                self.listeners.remove(&key);
            }
        }
    }

    fn force_free(&mut self, key: &str) {
        for entry in self.sessions.values_mut() {
            entry.tracked.remove(key);
        }
        self.objects.remove(key);
        self.listeners.remove(key);
    }
}

pub fn loaded(session: &str, exception: Option<String>) -> ClientMessage {
    ClientMessage::DoneLoading {
        session: session.into(),
        message: String::new(),
        exception,
        stacktrace: String::new(),
    }
}

fn source(code: &Code) -> String {
    match code.values.iter().find(|(key, _)| key == "__source") {
        Some((_, source)) => source.decode().unwrap(),
        None => code.source.clone(),
    }
}

fn value_of<T: serde::de::DeserializeOwned>(code: &Code, name: &str) -> T {
    let (_, value) = code.values.iter().find(|(key, _)| key == name).unwrap();
    value.decode().unwrap()
}

/// The name of the object that a cache key stands for.
fn key_of(value: &RawValue) -> String {
    match value.to_value(&Limits::default()) {
        Ok(Value::CacheKey(key)) => key,
        other => panic!("expected a cache key, got {other:?}"),
    }
}

/// The element that a swap brings.
fn element(html: &RawValue) -> Element {
    let Ok(Value::Dom { tag, attributes, .. }) = html.to_value(&Limits::default()) else {
        panic!("expected an element, got {html:?}");
    };
    let mut element = Element::new(&tag, &[]);
    for (name, value) in attributes {
        let Value::Str(value) = value else { panic!("an attribute that is no text") };
        element.attributes.push((name, value));
    }
    element
}
