//! As much of a DOM as the model of a page needs: elements with attributes, and text.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::sync::atomic::{AtomicU64, Ordering};

const VOID: [&str; 4] = ["br", "hr", "img", "input"];

#[derive(Clone, Debug)]
pub enum Node {
    Text(String),
    Element(Element),
}

#[derive(Clone, Debug)]
pub struct Element {
    /// Stays when the element moves, is another when it is made anew.
    pub identity: u64,
    pub tag: String,
    pub attributes: Vec<(String, String)>,
    pub children: Vec<Node>,
}

impl Element {
    pub fn new(tag: &str, attributes: &[(&str, &str)]) -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let attributes = attributes.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Self { identity: LAST.fetch_add(1, Ordering::Relaxed), tag: tag.into(), attributes, children: vec![] }
    }

    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn set_html(&mut self, html: &str) {
        self.children = parse(html);
    }

    pub fn elements(&self) -> impl Iterator<Item = &Self> {
        self.children
            .iter()
            .filter_map(|node| if let Node::Element(element) = node { Some(element) } else { None })
    }

    pub fn find(&self, attribute: &str, value: &str) -> Option<&Self> {
        self.elements().find_map(|element| {
            if element.attribute(attribute) == Some(value) {
                Some(element)
            } else {
                element.find(attribute, value)
            }
        })
    }

    pub fn find_mut(&mut self, attribute: &str, value: &str) -> Option<&mut Self> {
        self.slot(attribute, value).map(|(parent, index)| match &mut parent.children[index] {
            Node::Element(element) => element,
            Node::Text(_) => unreachable!(),
        })
    }

    /// The parent of an element, and its place there.
    pub fn slot(&mut self, attribute: &str, value: &str) -> Option<(&mut Self, usize)> {
        let here = self.children.iter().position(
            |node| matches!(node, Node::Element(element) if element.attribute(attribute) == Some(value)),
        );
        if let Some(index) = here {
            return Some((self, index));
        }
        self.children.iter_mut().find_map(|node| match node {
            Node::Element(element) => element.slot(attribute, value),
            Node::Text(_) => None,
        })
    }

    /// Ids of all elements below, each behind those that it is in.
    pub fn ids(&self, above: &[String], all: &mut Vec<(String, Vec<String>)>) {
        for element in self.elements() {
            let mut path = above.to_vec();
            if let Some(id) = element.attribute("id") {
                all.push((id.into(), path.clone()));
                path.push(id.into());
            }
            element.ids(&path, all);
        }
    }

    pub fn text(&self) -> String {
        self.children
            .iter()
            .map(|node| match node {
                Node::Text(text) => text.clone(),
                Node::Element(element) => element.text(),
            })
            .collect()
    }
}

pub fn parse(html: &str) -> Vec<Node> {
    let mut rest = html;
    children(&mut rest)
}

fn children(rest: &mut &str) -> Vec<Node> {
    let mut all = Vec::new();
    loop {
        if let Some(comment) = rest.strip_prefix("<!--") {
            *rest = comment.split_once("-->").map_or("", |(_, rest)| rest);
        } else if rest.starts_with("</") || rest.is_empty() {
            *rest = rest.split_once('>').map_or("", |(_, rest)| rest);
            return all;
        } else if let Some(tag) = rest.strip_prefix('<') {
            let (head, tail) = tag.split_once('>').unwrap();
            *rest = tail;
            let (tag, mut attributes) = head.split_once(' ').unwrap_or((head, ""));
            let mut element = Element::new(tag, &[]);
            while let Some((name, value)) = attributes.trim_start().split_once("=\"") {
                let (value, more) = value.split_once('"').unwrap();
                element.attributes.push((name.into(), unescape(value)));
                attributes = more;
            }
            if !VOID.contains(&tag) {
                element.children = children(rest);
            }
            all.push(Node::Element(element));
        } else {
            let end = rest.find('<').unwrap_or(rest.len());
            all.push(Node::Text(unescape(&rest[..end])));
            *rest = &rest[end..];
        }
    }
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&amp;", "&")
}
