//! The cases that go over the network of this machine.

use std::io;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;

use crate::client::{Client, Pages};
use crate::options::Options;
use crate::process::{self, Server};
use crate::report::{Report, Unit};
use crate::server::{Adapter, Variant};

/// Bytes that the server and a client send each other in the case of large messages.
const LARGE: usize = 200_000;

pub(crate) async fn run(report: &mut Report, options: &Options) -> io::Result<()> {
    if !options.quick {
        // The load never sleeps: waking it would be a cost of the server that sends, and the more so the faster the load is.
        tokio::spawn(async {
            loop {
                tokio::task::yield_now().await;
            }
        });
    }
    for round in 0..options.pairs {
        for adapter in &options.adapters {
            let variants = adapter.variants();
            // A round begins with another variant each time, so that none is always first.
            for turn in 0..variants.len() {
                let variant = variants[(turn + round) % variants.len()];
                let mut bench = Bench { report, options, adapter: *adapter, variant, resume: false };
                bench.run().await?;
                if options.resume && variant == Variant::Sessions {
                    let mut bench = Bench { report, options, adapter: *adapter, variant, resume: true };
                    bench.run().await?;
                }
            }
        }
    }
    Ok(())
}

/// One variant's turn.
struct Bench<'a> {
    report: &'a mut Report,
    options: &'a Options,
    adapter: Adapter,
    variant: Variant,
    /// The pages resume.
    resume: bool,
}

impl Bench<'_> {
    async fn run(&mut self) -> io::Result<()> {
        if self.options.wants("echo") {
            self.echo().await?;
        }
        if self.options.wants("burst") {
            self.burst().await?;
        }
        if self.options.wants("fan-out") {
            self.fan_out().await?;
        }
        if self.options.wants("inbound") {
            self.inbound().await?;
        }
        if self.options.wants("memory") {
            self.memory().await?;
        }
        if self.options.wants("large") {
            self.large().await?;
        }
        if self.options.wants("connect") {
            self.connect().await?;
        }
        Ok(())
    }

    /// A message there and its answer back, each client one at a time.
    async fn echo(&mut self) -> io::Result<()> {
        for (count, turns) in [(1, 4000), (32, 400), (256, 60)] {
            let (connections, turns) =
                (self.options.scale(count, count.min(4)), self.options.scale(turns, 4));
            let server = self.start()?;
            let mut all = self.open(&server, "echo", connections).await?;
            try_join_all(all.iter_mut().map(|client| round_trips(client, turns / 4))).await?;
            let before = server.cpu()?;
            let times = try_join_all(all.iter_mut().map(|client| round_trips(client, turns))).await?;
            let used = server.cpu()? - before;
            if count == 1 {
                let mut times: Vec<f64> = times.into_iter().flatten().collect();
                times.sort_by(f64::total_cmp);
                self.add("echo, 1 connection: round trip, p50", Unit::Micros, times[times.len() / 2]);
            }
            let plural = if count == 1 { "connection" } else { "connections" };
            let case = format!("echo, {count} {plural}: CPU a message");
            self.add(&case, Unit::Micros, used / 1000.0 / (connections * turns) as f64);
        }
        Ok(())
    }

    /// Messages that the server has at once.
    async fn burst(&mut self) -> io::Result<()> {
        for (count, messages) in [(1, 20_000), (32, 1_000), (256, 100)] {
            let (connections, messages) =
                (self.options.scale(count, count.min(4)), self.options.scale(messages, 8));
            let server = self.start()?;
            let (mut all, mut pages) = self.open_listening(&server, connections).await?;
            let used = send(&server, &mut pages, &mut all, messages).await?;
            let plural = if count == 1 { "session" } else { "sessions" };
            let case = format!("burst to {count} {plural}: CPU a message");
            self.add(&case, Unit::Micros, used / 1000.0 / (connections * messages) as f64);
        }
        Ok(())
    }

    /// One value at a time, to many.
    async fn fan_out(&mut self) -> io::Result<()> {
        let (connections, values) = (self.options.scale(1000, 8), self.options.scale(20, 3));
        let server = self.start()?;
        let (mut all, mut pages) = self.open_listening(&server, connections).await?;
        send(&server, &mut pages, &mut all, 1).await?;
        let mut used = 0.0;
        for _ in 0..values {
            used += send(&server, &mut pages, &mut all, 1).await?;
        }
        let each = used / 1000.0 / (connections * values) as f64;
        self.add("one value to 1,000 sessions: CPU a message", Unit::Micros, each);
        Ok(())
    }

    /// A stream of messages that nobody answers, but for the last.
    async fn inbound(&mut self) -> io::Result<()> {
        let messages = self.options.scale(100_000, 100);
        let server = self.start()?;
        let mut client = self.open(&server, "sink", 1).await?.remove(0);
        let last = client.encode(1)?;
        let before = server.cpu()?;
        for n in 0..messages {
            client.feed(client.message.clone()).await?;
            if n % 64 == 63 {
                client.flush().await?;
            }
        }
        client.send(last).await?;
        client.receive(1).await?;
        let used = server.cpu()? - before;
        self.add("inbound stream: CPU a message", Unit::Micros, used / 1000.0 / messages as f64);
        Ok(())
    }

    /// What an idle connection holds.
    async fn memory(&mut self) -> io::Result<()> {
        // Some files are for other things than connections.
        let count = self.options.scale(10_000, 16).min(process::open_files().saturating_sub(200));
        let kind = if self.variant == Variant::Sessions { "idle" } else { "echo" };
        let server = self.start()?;
        drop(self.open(&server, kind, self.options.scale(64, 4)).await?);
        let before = server.memory()?;
        let all = self.open(&server, kind, count).await?;
        self.settle().await;
        let held = server.memory()? - before;
        self.add("idle connection: memory", Unit::Kibibytes, held / count as f64);
        drop(all);
        Ok(())
    }

    /// What large messages leave behind. A small one follows, so that no value of the application's is large any more.
    async fn large(&mut self) -> io::Result<()> {
        let count = self.options.scale(100, 2);
        let server = self.start()?;
        let mut all = self.open(&server, "echo", count).await?;
        try_join_all(all.iter_mut().map(|client| round_trips(client, 1))).await?;
        self.settle().await;
        let before = server.memory()?;
        for client in &mut all {
            client.send(client.encode(LARGE)?).await?;
            if client.receive(1).await? < LARGE {
                return Err(io::Error::other("another message than the large one came back"));
            }
            round_trips(client, 1).await?;
        }
        self.settle().await;
        let left = server.memory()? - before;
        self.add("after 200 KB each way: memory left", Unit::Kibibytes, left / count as f64);
        Ok(())
    }

    /// Connecting, with the first message; for sessions with the page before it.
    async fn connect(&mut self) -> io::Result<()> {
        let count = self.options.scale(1000, 16);
        let server = self.start()?;
        drop(self.open(&server, "echo", self.options.scale(64, 4)).await?);
        let before = server.cpu()?;
        let mut all = self.open(&server, "echo", count).await?;
        try_join_all(all.iter_mut().map(|client| round_trips(client, 1))).await?;
        let used = server.cpu()? - before;
        let case = "page, connection and first message: CPU";
        self.add(case, Unit::Micros, used / 1000.0 / count as f64);
        Ok(())
    }

    fn start(&self) -> io::Result<Server> {
        Server::start(self.adapter, self.variant)
    }

    async fn open(&self, server: &Server, kind: &str, count: usize) -> io::Result<Vec<Client>> {
        Client::open_all(server.address, self.variant, self.resume, kind, count).await
    }

    /// Sockets that the server sends to once it is asked to.
    async fn open_listening(&self, server: &Server, count: usize) -> io::Result<(Vec<Client>, Pages)> {
        let all = self.open(server, "listen", count).await?;
        let mut pages = Pages::connect(server.address).await?;
        while pages.get("/ready").await?.parse() != Ok(count) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok((all, pages))
    }

    /// Lets the server give back what it will.
    async fn settle(&self) {
        tokio::time::sleep(Duration::from_millis(self.options.scale(1000, 20) as u64)).await;
    }

    fn add(&mut self, case: &str, unit: Unit, figure: f64) {
        let case = if self.resume { format!("{case}, resumed") } else { case.to_owned() };
        self.report.add(&case, self.adapter.name(), unit, self.variant.name(), figure);
    }
}

async fn round_trips(client: &mut Client, turns: usize) -> io::Result<Vec<f64>> {
    let mut times = Vec::with_capacity(turns);
    for _ in 0..turns {
        let start = Instant::now();
        client.send(client.message.clone()).await?;
        client.receive(1).await?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    Ok(times)
}

/// Has the server send to all. Answers the CPU that it took in ns.
async fn send(server: &Server, pages: &mut Pages, all: &mut [Client], messages: usize) -> io::Result<f64> {
    let before = server.cpu()?;
    let asked = async { pages.get(&format!("/burst/{messages}")).await };
    let received = try_join_all(all.iter_mut().map(|client| client.receive(messages)));
    futures_util::future::try_join(asked, received).await?;
    Ok(server.cpu()? - before)
}
