//! `cargo run --release -p bonito-bench`: sessions against the raw WebSocket of the framework beneath them.
//!
//! Each round runs a case's variants in turn, server and load each in a process and on a core of its own, so that what the
//! machine does besides falls on all alike. Medians over the rounds, their spread, and what is met of the targets go into one
//! table and as JSON into a file. `--help` says what can be chosen.

mod cases;
mod client;
mod inside;
mod options;
mod process;
mod report;
mod server;
mod targets;

use std::io;
use std::time::Instant;

use options::{Command, Options, USAGE};

fn main() -> io::Result<()> {
    match options::parse().map_err(io::Error::other)? {
        Command::Help => print(USAGE),
        Command::Serve(adapter, variant) => server::serve(adapter, variant),
        Command::Run(options) => run(&options),
    }
}

fn run(options: &Options) -> io::Result<()> {
    let start = Instant::now();
    process::raise_open_files();
    let mut report = report::Report::new(options.pairs, options.quick);
    if !options.quick {
        process::pin(1);
    }
    // First, while this process has no freed memory that would go into what sessions hold.
    if options.wants("inside") {
        inside::run(&mut report, options)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(cases::run(&mut report, options))?;
    report.finish(start.elapsed());
    let table = report.markdown();
    print(&table)?;
    std::fs::write(&options.json, report.json()?)?;
    if let Some(file) = &options.markdown {
        std::fs::write(file, table)?;
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the table is the product")]
fn print(text: &str) -> io::Result<()> {
    println!("{text}");
    Ok(())
}
