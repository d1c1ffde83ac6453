//! What may be said on the command line.

use std::path::PathBuf;

#[derive(Debug, PartialEq)]
pub(crate) struct Args {
    /// `None` leaves the choice to the app.
    pub(crate) port: Option<u16>,
    /// What the progress page hashes. Nobody can choose it from a browser.
    pub(crate) folder: PathBuf,
}

impl Args {
    /// `variable` is the port as the environment has it; the command line wins.
    pub(crate) fn parse(
        words: impl IntoIterator<Item = String>,
        variable: Option<String>,
    ) -> Result<Self, String> {
        let mut port = variable.map(|word| parse_port(&word)).transpose()?;
        let mut folder = PathBuf::from(".");
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (word, None),
            };
            let mut value = || value.clone().or_else(|| words.next()).ok_or_else(|| format!("{name} what?"));
            match name.as_str() {
                "--port" => port = Some(parse_port(&value()?)?),
                "--folder" => folder = value()?.into(),
                _ => return Err(format!("usage: axum-app [--port N] [--folder PATH] (not {name})")),
            }
        }
        Ok(Self { port, folder })
    }
}

fn parse_port(word: &str) -> Result<u16, String> {
    word.parse().map_err(|_| format!("{word:?} is no port"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str, variable: Option<&str>) -> Result<Args, String> {
        Args::parse(line.split_whitespace().map(str::to_owned), variable.map(str::to_owned))
    }

    #[test]
    fn the_command_line_wins_over_the_environment() {
        assert_eq!(parse("", None).unwrap(), Args { port: None, folder: ".".into() });
        assert_eq!(parse("", Some("80")).unwrap().port, Some(80));
        assert_eq!(parse("--port 0", Some("80")).unwrap().port, Some(0));
        assert_eq!(
            parse("--folder=/tmp --port=81", None).unwrap(),
            Args { port: Some(81), folder: "/tmp".into() }
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in ["--port", "--port x", "--port 65536", "--prot 1", "3000"] {
            assert!(parse(line, None).is_err(), "{line}");
        }
    }
}
