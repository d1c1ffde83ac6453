//! Prints the book's table of cases and adapters from the notes that a test run has left in the folder of the first argument.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use bonito_testkit::{BEHAVIOUR_CASES, CASES};

const ADAPTERS: [&str; 6] = ["axum", "hyper", "tower", "warp", "actix", "custom-adapter"];

const HEAD: &str = "# What every adapter does

Each adapter passes the same cases, over real TCP with a WebSocket client that is not ours; the crate `bonito-testkit` holds
them. `tests/run test conformance` runs them and compares this page with what passed. \"tower\" is `bonito-hyper` as a tower
service in another framework, \"custom-adapter\" the [example](adapter.md) of an adapter of one's own.

";

fn table(notes: &Path) -> Result<String, std::fmt::Error> {
    let mut page = HEAD.to_owned();
    writeln!(page, "| case | {} | why |", ADAPTERS.join(" | "))?;
    writeln!(page, "|---|{}---|", ":-:|".repeat(ADAPTERS.len()))?;
    for (case, why) in CASES.iter().chain(BEHAVIOUR_CASES) {
        write!(page, "| {} |", case.replace('_', " "))?;
        for adapter in ADAPTERS {
            let passed = notes.join(adapter).join(case).exists();
            write!(page, " {} |", if passed { "✓" } else { "**not passed**" })?;
        }
        writeln!(page, " {} |", why.trim())?;
    }
    Ok(page)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let notes = std::env::args_os().nth(1).ok_or("usage: table <folder of notes>")?;
    std::io::stdout().write_all(table(Path::new(&notes))?.as_bytes())?;
    Ok(())
}
