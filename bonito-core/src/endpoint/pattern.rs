//! Where a behaviour is mounted: `/rooms/{room}`.

use std::sync::Arc;

use percent_encoding::percent_decode_str;

use crate::id::SessionId;

/// A pattern of a path, under the endpoint's.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    text: String,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Param(Arc<str>),
}

/// What the parameters of a pattern stand for.
pub(super) type Params = Vec<(Arc<str>, String)>;

impl Pattern {
    /// Reads a pattern; the error says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            format!(
                "expected the path of a behaviour to look like \"/chat\" or \"/rooms/{{room}}\", got {text:?}: {why}"
            )
        };
        let rest = text.strip_prefix('/').ok_or_else(|| wrong("it does not begin with a slash"))?;
        let segments: Vec<Segment> =
            rest.split('/').map(segment).collect::<Result<_, _>>().map_err(|why| wrong(&why))?;
        match &segments[0] {
            Segment::Param(_) => {
                return Err(wrong(
                    "its first segment must not be a parameter: sessions and the client are there",
                ));
            }
            Segment::Literal(first) if first == "assets" => {
                return Err(wrong("the browser client is served under assets"));
            }
            Segment::Literal(first) if first.parse::<SessionId>().is_ok() => {
                return Err(wrong("it looks like the id of a session"));
            }
            Segment::Literal(_) => {}
        }
        for (at, segment) in segments.iter().enumerate() {
            if matches!(segment, Segment::Param(_)) && segments[..at].contains(segment) {
                return Err(wrong("two parameters have the same name"));
            }
        }
        Ok(Self { text: text.to_owned(), segments })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether both match the same paths.
    pub(super) fn clashes(&self, other: &Self) -> bool {
        let alike = |(a, b): (&Segment, &Segment)| match (a, b) {
            (Segment::Literal(a), Segment::Literal(b)) => a == b,
            (Segment::Param(_), Segment::Param(_)) => true,
            (Segment::Literal(_), Segment::Param(_)) | (Segment::Param(_), Segment::Literal(_)) => false,
        };
        self.segments.len() == other.segments.len() && self.segments.iter().zip(&other.segments).all(alike)
    }

    /// Which of two patterns is asked first: the one with a literal where the other has a parameter.
    pub(super) fn precedence(&self) -> Vec<bool> {
        self.segments.iter().map(|segment| matches!(segment, Segment::Param(_))).collect()
    }

    /// Matches a path: what stands before must end with `mount`, or is not there at all since a router has taken it away.
    pub(super) fn matches(&self, mount: &str, path: &str) -> Option<Params> {
        let mut rest = path;
        let mut params = Params::new();
        for segment in self.segments.iter().rev() {
            let (before, last) = rest.rsplit_once('/')?;
            match segment {
                Segment::Literal(literal) if literal == last => {}
                Segment::Literal(_) => return None,
                Segment::Param(_) if last.is_empty() => return None,
                Segment::Param(name) => {
                    let value = percent_decode_str(last).decode_utf8().ok()?;
                    params.push((name.clone(), value.into_owned()));
                }
            }
            rest = before;
        }
        params.reverse();
        (rest.is_empty() || rest.ends_with(mount)).then_some(params)
    }
}

fn segment(text: &str) -> Result<Segment, String> {
    let plain = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
    };
    match text.strip_prefix('{') {
        Some(name) => match name.strip_suffix('}') {
            Some(name) if plain(name) => Ok(Segment::Param(name.into())),
            _ => Err(format!("{text:?} is no parameter")),
        },
        None if plain(text) => Ok(Segment::Literal(text.to_owned())),
        None if text.is_empty() => Err("a segment is empty".to_owned()),
        None => Err(format!("{text:?} holds something other than letters, digits and -._~")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pattern: &str, path: &str) -> Option<Vec<String>> {
        let params = Pattern::parse(pattern).unwrap().matches("/live", path)?;
        Some(params.into_iter().map(|(name, value)| format!("{name}={value}")).collect())
    }

    #[test]
    fn a_path_matches_under_any_prefix_that_a_router_adds_or_takes_away() {
        for path in ["/live/chat", "/app/live/chat", "/chat"] {
            assert_eq!(params("/chat", path), Some(vec![]), "{path}");
        }
        for path in ["/live/chat/", "/live/chat/x", "/live/other/chat", "/live", "/livechat", "", "chat"] {
            assert_eq!(params("/chat", path), None, "{path}");
        }
    }

    #[test]
    fn parameters_are_decoded() {
        assert_eq!(params("/rooms/{room}", "/live/rooms/a%20%C3%A4+b"), Some(vec!["room=a ä+b".into()]));
        assert_eq!(
            params("/r/{a}/x/{b}", "/live/r/1/x/%2F"),
            Some(vec!["a=1".into(), "b=/".into()]),
            "a slash in a parameter is a character like others"
        );
        assert_eq!(params("/rooms/{room}", "/live/rooms/"), None, "a parameter is not empty");
        assert_eq!(params("/rooms/{room}", "/live/rooms/%ff"), None, "a parameter is UTF-8");
    }

    #[test]
    fn a_bad_pattern_is_told_why() {
        for (pattern, why) in [
            ("", "slash"),
            ("chat", "slash"),
            ("/", "empty"),
            ("/chat/", "empty"),
            ("/a//b", "empty"),
            ("/{room}", "parameter"),
            ("/rooms/{room", "no parameter"),
            ("/rooms/{}", "no parameter"),
            ("/rooms/{*rest}", "no parameter"),
            ("/rooms/a{b}", "other than"),
            ("/a b", "other than"),
            ("/assets/x", "client"),
            ("/00000000000000000000000000000abc", "session"),
            ("/r/{a}/{a}", "same name"),
        ] {
            let error = Pattern::parse(pattern).unwrap_err();
            assert!(error.contains(why) && error.contains("/rooms/{room}"), "{pattern}: {error}");
        }
    }

    #[test]
    fn patterns_clash_if_they_match_the_same_paths() {
        let clash = |a, b| Pattern::parse(a).unwrap().clashes(&Pattern::parse(b).unwrap());
        assert!(clash("/rooms/{a}", "/rooms/{b}"));
        assert!(!clash("/rooms/{a}", "/rooms/lobby"));
        assert!(!clash("/rooms", "/rooms/{a}"));
    }
}
