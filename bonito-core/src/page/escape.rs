//! Escaping, one function a place. Whatever a user could have written passes through one of them where it lands.

use std::fmt::{self, Write};

/// Text or a quoted attribute value of HTML.
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(['&', '<', '>', '"', '\'']) {
            f.write_str(&rest[..at])?;
            f.write_str(match rest.as_bytes()[at] {
                b'&' => "&amp;",
                b'<' => "&lt;",
                b'>' => "&gt;",
                b'"' => "&quot;",
                _ => "&#39;",
            })?;
            rest = &rest[at + 1..];
        }
        f.write_str(rest)
    }
}

/// A string literal of JavaScript inside a `<script>` element.
pub(crate) struct ScriptString<'a>(pub(crate) &'a str);

impl fmt::Display for ScriptString<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                // `<` and `>` keep an HTML parser from seeing the end of the script or a comment.
                '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                    write!(f, "\\u{:04x}", c as u32)?
                }
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

/// Attributes whose value a browser follows as an address.
const ADDRESSES: [&str; 9] =
    ["action", "background", "cite", "data", "formaction", "href", "poster", "src", "xlink:href"];

/// Whether the value of this attribute is an address, which may carry code.
pub(crate) fn is_address(attribute: &str) -> bool {
    ADDRESSES.iter().any(|address| attribute.eq_ignore_ascii_case(address))
}

/// What stands for an address that would run code.
pub(crate) const BLOCKED: &str = "about:blank#blocked";

/// An address whose scheme runs code (`javascript:`, `vbscript:`, `data:`) is replaced by one that leads nowhere. Reads
/// the scheme as browsers do: white space and control characters in it do not count.
pub(crate) fn safe_address(address: &str) -> &str {
    let scheme: String = address
        .chars()
        .filter(|c| !c.is_ascii_control() && *c != ' ')
        .take_while(|c| !matches!(c, ':' | '/' | '?' | '#'))
        .take(16)
        .collect::<String>()
        .to_ascii_lowercase();
    let runs_code = matches!(scheme.as_str(), "javascript" | "vbscript" | "data");
    if runs_code && address.contains(':') { BLOCKED } else { address }
}

/// Whether an attribute may be bound to data: an ordinary name, and not one whose value is code or markup.
pub(crate) fn is_bindable_attribute(name: &str) -> bool {
    let mut bytes = name.bytes();
    let ordinary = bytes.next().is_some_and(|b| b.is_ascii_alphabetic())
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b':' | b'.'));
    let lower = name.to_ascii_lowercase();
    ordinary && !lower.starts_with("on") && lower != "srcdoc"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_has_no_way_out_of_text_or_attribute() {
        assert_eq!(
            Escaped("<script>alert('1')</script> & \"x\"").to_string(),
            "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &quot;x&quot;"
        );
        assert_eq!(Escaped("plain ünïcode").to_string(), "plain ünïcode");
    }

    #[test]
    fn a_script_string_cannot_end_its_script() {
        assert_eq!(
            ScriptString("</script><!--\"\\\n\u{2028}").to_string(),
            r#""\u003c/script\u003e\u003c!--\"\\\u000a\u2028""#
        );
    }

    #[test]
    fn addresses_that_run_code_are_blocked() {
        for bad in [
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            " javascript:alert(1)",
            "java\tscript:alert(1)",
            "\u{1}javascript:alert(1)",
            "java\nscript\r:alert(1)",
            "vbscript:x",
            "data:text/html,<script>alert(1)</script>",
        ] {
            assert_eq!(safe_address(bad), BLOCKED, "{bad:?}");
        }
        for good in
            ["https://example.com/javascript:x", "/a?b=javascript:c", "#javascript:x", "data", "mailto:a@b"]
        {
            assert_eq!(safe_address(good), good);
        }
    }

    #[test]
    fn attributes_whose_value_is_code_cannot_be_bound() {
        for bad in ["onclick", "ONLOAD", "srcdoc", "", "a b", "a=b", "a\"", "-a", "a>"] {
            assert!(!is_bindable_attribute(bad), "{bad:?}");
        }
        for good in ["href", "aria-label", "data-x", "xlink:href", "style", "value"] {
            assert!(is_bindable_attribute(good), "{good:?}");
        }
    }
}
