//! Shows lines of the app's own source, so that what a page shows cannot go stale.

/// The lines between each `// [shown]` and `// [/shown]`, moved to the left, as HTML.
pub(crate) fn shown(source: &str) -> String {
    let mut lines = source.lines();
    let mut regions = Vec::new();
    while lines.any(|line| line.trim() == "// [shown]") {
        let region: Vec<&str> = lines.by_ref().take_while(|line| line.trim() != "// [/shown]").collect();
        regions.push(dedent(&region));
    }
    highlight(&regions.join("\n\n"))
}

fn dedent(lines: &[&str]) -> String {
    let depth = |line: &&str| line.len() - line.trim_start().len();
    let indent = lines.iter().filter(|line| !line.trim().is_empty()).map(depth).min().unwrap_or_default();
    let lines: Vec<&str> = lines.iter().map(|line| line.get(indent..).unwrap_or_default()).collect();
    lines.join("\n")
}

const KEYWORDS: [&str; 22] = [
    "as", "async", "await", "const", "else", "false", "fn", "for", "if", "impl", "in", "let", "loop",
    "match", "move", "mut", "pub", "return", "self", "true", "use", "while",
];

/// Rust as HTML with its words marked. Knows as much of the language as the snippets use.
fn highlight(source: &str) -> String {
    let mut html = String::with_capacity(source.len() * 2);
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let (length, class) = token(rest, first);
        let (text, more) = rest.split_at(length);
        rest = more;
        let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        match class {
            Some(class) => html.extend(["<span class=\"", class, "\">", &text, "</span>"]),
            None => html.push_str(&text),
        }
    }
    html
}

/// How long the token at the beginning of `rest` is, and what it is.
fn token(rest: &str, first: char) -> (usize, Option<&'static str>) {
    let until = |end: fn(char) -> bool| rest.find(end).unwrap_or(rest.len());
    if rest.starts_with("//") {
        (until(|c| c == '\n'), Some("comment"))
    } else if first == '"' {
        (string(rest), Some("string"))
    } else if first.is_ascii_digit() {
        (until(|c| !(c.is_ascii_alphanumeric() || c == '_' || c == '.')), Some("number"))
    } else if first.is_alphabetic() || first == '_' {
        let length = until(|c| !(c.is_alphanumeric() || c == '_'));
        let (word, after) = rest.split_at(length);
        let class = if KEYWORDS.contains(&word) {
            Some("keyword")
        } else if first.is_uppercase() {
            Some("type")
        } else if after.starts_with('!') || after.starts_with('(') {
            Some("call")
        } else {
            None
        };
        (length, class)
    } else {
        (first.len_utf8(), None)
    }
}

/// The length of a string literal, quotes included.
fn string(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marked_lines_move_to_the_left() {
        let source = "x
    // [shown]
    a

        b
    // [/shown]
x
// [shown]
c
// [/shown]
x";
        assert_eq!(
            shown(source),
            "a

    b

c"
        );
        assert_eq!(shown("nothing"), "");
    }

    #[test]
    fn words_are_marked_and_everything_is_escaped() {
        assert_eq!(
            highlight("let a = f(\"<\\\"\") & 1; // >"),
            "<span class=\"keyword\">let</span> a = <span class=\"call\">f</span>(<span class=\"string\">\"&lt;\\\"\"</span>) \
             &amp; <span class=\"number\">1</span>; <span class=\"comment\">// &gt;</span>"
        );
    }

    #[test]
    fn unfinished_literals_end_with_the_source() {
        assert_eq!(highlight("\"é"), "<span class=\"string\">\"é</span>");
        assert_eq!(highlight(""), "");
    }
}
