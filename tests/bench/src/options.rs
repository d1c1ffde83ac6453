//! What the command line asks for.

use std::path::PathBuf;

use lexopt::prelude::{Long, ValueExt};

use crate::server::{Adapter, Variant};

pub(crate) const USAGE: &str = "\
usage: cargo run --release -p bonito-bench -- [option…]

  --adapter NAME   only this one: actix, axum, hyper or warp (may be given again)
  --case NAME      only this one: echo, burst, fan-out, inbound, memory, large, connect or inside (may be given again)
  --resume         besides, sessions whose pages resume, as cases of their own
  --pairs N        rounds in which every variant has its turn; 5 by default
  --quick          tiny counts and one round: shows that it runs, measures nothing
  --json FILE      where the figures go; target/bench.json by default
  --markdown FILE  where the table goes besides the terminal
";

/// The cases by name: those over the network, and those in one process.
pub(crate) const CASES: [&str; 8] =
    ["echo", "burst", "fan-out", "inbound", "memory", "large", "connect", "inside"];

pub(crate) enum Command {
    Help,
    Serve(Adapter, Variant),
    Run(Options),
}

pub(crate) struct Options {
    pub(crate) adapters: Vec<Adapter>,
    cases: Vec<String>,
    pub(crate) resume: bool,
    pub(crate) pairs: usize,
    pub(crate) quick: bool,
    pub(crate) json: PathBuf,
    pub(crate) markdown: Option<PathBuf>,
}

impl Options {
    pub(crate) fn wants(&self, case: &str) -> bool {
        self.cases.is_empty() || self.cases.iter().any(|wanted| wanted == case)
    }

    /// A count of the full run, or what is enough to see that it works.
    pub(crate) fn scale(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }
}

pub(crate) fn parse() -> Result<Command, lexopt::Error> {
    let mut options = Options {
        adapters: Vec::new(),
        cases: Vec::new(),
        resume: false,
        pairs: 0,
        quick: false,
        json: "target/bench.json".into(),
        markdown: None,
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("adapter") => options.adapters.push(parser.value()?.parse()?),
            Long("case") => {
                let case = parser.value()?.string()?;
                if !CASES.contains(&case.as_str()) {
                    return Err(format!("expected one of {CASES:?} as a case, {case:?} came").into());
                }
                options.cases.push(case);
            }
            Long("pairs") => options.pairs = parser.value()?.parse()?,
            Long("resume") => options.resume = true,
            Long("quick") => options.quick = true,
            Long("json") => options.json = parser.value()?.into(),
            Long("markdown") => options.markdown = Some(parser.value()?.into()),
            // How this program starts itself again as a server.
            Long("serve") => {
                return Ok(Command::Serve(parser.value()?.parse()?, parser.value()?.parse()?));
            }
            Long("help") => return Ok(Command::Help),
            other => return Err(other.unexpected()),
        }
    }
    if options.adapters.is_empty() {
        options.adapters = Adapter::ALL.to_vec();
    }
    if options.pairs == 0 {
        options.pairs = options.scale(5, 1);
    }
    Ok(Command::Run(options))
}
