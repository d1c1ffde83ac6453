//! Names and members of real processes, which die, sleep, and lose their broker.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "tests expect")]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bonito_core::{ClusterOptions, Endpoint, Posted, PresenceChange, Registration, Registry};
use bonito_nats::{NatsBackend, NatsOptions};
use support::{Broker, LONG};
use tokio::sync::mpsc;

/// The shortest that a registry takes is one second.
const LEASE: Duration = Duration::from_secs(2);

/// One more process: this program again, at the test below that is none.
struct Process {
    child: Child,
    input: ChildStdin,
    said: Arc<Mutex<Vec<String>>>,
}

impl Process {
    fn start(broker: &Broker, name: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "process", "--ignored", "--nocapture", "--test-threads=1"])
            .env("BROKER", broker.url())
            .env("NAME", name)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let said = Arc::<Mutex<Vec<String>>>::default();
        let saying = said.clone();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                saying.lock().unwrap().push(line);
            }
        });
        let process = Self { child, input, said };
        process.says("ready");
        process
    }

    fn tell(&mut self, command: &str) {
        writeln!(self.input, "{command}").unwrap();
    }

    fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }

    /// Waits until it says a line that begins so.
    fn says(&self, begin: &str) -> String {
        wait(&format!("it says {begin:?}"), || self.said().into_iter().find(|line| line.starts_with(begin)))
    }

    /// Asks until it answers this.
    fn answers(&mut self, command: &str, expected: &str) {
        wait(&format!("{command:?} is answered with {expected:?}"), || {
            self.said.lock().unwrap().retain(|line| !line.starts_with(command));
            self.tell(command);
            let answer = self.says(command);
            (answer == format!("{command}: {expected}")).then_some(())
        });
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(began.elapsed() < LONG, "{what}: not within {LONG:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn epoch(line: &str) -> u64 {
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

fn three(broker: &Broker) -> [Process; 3] {
    let mut processes = ["one", "two", "three"].map(|name| Process::start(broker, name));
    for process in &mut processes {
        process.answers("members", "one three two");
    }
    processes
}

/// Asks for the name until it is free.
fn gets_ada(process: &mut Process) {
    wait("the name is free", || {
        process.said.lock().unwrap().retain(|line| !line.starts_with("lost ada"));
        process.tell("register ada");
        let outcome = wait("a claim is answered", || {
            process
                .said()
                .into_iter()
                .find(|line| line.starts_with("held ada") || line.starts_with("lost ada"))
        });
        outcome.starts_with("held").then_some(())
    });
}

#[test]
fn what_a_killed_process_had_is_free_again() {
    let broker = Broker::start();
    let [mut one, mut two, mut three] = three(&broker);
    one.tell("register ada");
    let former = epoch(&one.says("held ada"));
    two.answers("deliver ada hello", "Queued");
    one.says("heard hello");
    // While it lives nobody else has it.
    two.tell("register ada");
    two.says("lost ada");
    one.signal("-KILL");
    let killed = Instant::now();
    for process in [&mut two, &mut three] {
        process.answers("members", "three two");
    }
    gets_ada(&mut two);
    assert!(killed.elapsed() > LEASE / 4, "not before the lease that it had renewed is over");
    assert!(epoch(&two.says("held ada")) > former);
    three.answers("deliver ada again", "Queued");
    two.says("heard again");
}

/// Asleep for longer than its lease, a process wakes up with what was sent to it before, and with the name in its tables.
#[test]
fn a_process_that_wakes_up_after_its_lease_learns_that_it_lost_before_it_acts() {
    let broker = Broker::start();
    let [mut one, mut two, mut three] = three(&broker);
    one.tell("register ada");
    let former = epoch(&one.says("held ada"));
    three.answers("deliver ada before", "Queued");
    one.says("heard before");
    one.signal("-STOP");
    // Goes to the process that sleeps, which has the name for as long as anybody knows.
    three.tell("send ada stale");
    three.says("send ada stale");
    two.answers("members", "three two");
    gets_ada(&mut two);
    assert!(epoch(&two.says("held ada")) > former);
    one.signal("-CONT");
    one.says("lost ada");
    three.answers("deliver ada after", "Queued");
    two.says("heard after");
    for process in [&mut one, &mut two, &mut three] {
        process.answers("members", "one three two");
    }
    assert!(!one.said().iter().any(|line| line == "heard stale"), "{:?}", one.said());
    assert!(!one.said().iter().any(|line| line == "heard after"), "{:?}", one.said());
}

#[test]
fn names_and_members_are_right_again_when_the_broker_is_back() {
    let mut broker = Broker::start();
    let [mut one, mut two, mut three] = three(&broker);
    one.tell("register ada");
    one.says("held ada");
    broker.kill();
    std::thread::sleep(LEASE);
    broker.start_again();
    for process in [&mut one, &mut two, &mut three] {
        process.answers("members", "one three two");
    }
    one.says("lost ada");
    one.said.lock().unwrap().retain(|line| !line.starts_with("held ada"));
    one.tell("register ada");
    one.says("held ada");
    two.answers("deliver ada hello", "Queued");
    one.says("heard hello");
}

/// What `watch` told in this process, by whom it is about.
fn told(process: &Process, name: &str) -> Vec<String> {
    let about = format!(" {name}");
    let told = process
        .said()
        .into_iter()
        .filter(|line| (line.starts_with("joined") || line.starts_with("left")) && line.ends_with(&about));
    told.map(|line| line.trim_end_matches(&about).to_owned()).collect()
}

/// One leaves in good order, one is killed, one sleeps and wakes up: each is told of once, and it adds up to who is there.
#[test]
fn who_comes_and_goes_is_told_as_a_stream() {
    let broker = Broker::start();
    let [mut one, mut two, mut three] = three(&broker);
    for process in [&mut two, &mut three] {
        process.tell("watch");
        for name in ["one", "two", "three"] {
            process.says(&format!("joined {name}"));
        }
    }
    let mut four = Process::start(&broker, "four");
    for process in [&two, &three] {
        process.says("joined four");
    }
    four.tell("leave");
    for process in [&two, &three] {
        process.says("left four");
    }
    one.signal("-KILL");
    for process in [&two, &three] {
        process.says("left one");
    }
    // A process of the same name is another.
    one = Process::start(&broker, "one");
    for process in [&two, &three] {
        wait("it is back", || (told(process, "one") == ["joined", "left", "joined"]).then_some(()));
    }
    // Asleep, it is gone for the others. It wakes up to a stream that adds up, too.
    three.signal("-STOP");
    wait("it is gone", || (told(&two, "three") == ["joined", "left"]).then_some(()));
    drop(one);
    wait("it is gone", || (told(&two, "one") == ["joined", "left", "joined", "left"]).then_some(()));
    three.signal("-CONT");
    for process in [&mut two, &mut three] {
        process.answers("members", "three two");
    }
    wait("it is back", || (told(&two, "three") == ["joined", "left", "joined"]).then_some(()));
    wait("it is told", || (told(&three, "one").last()? == "left").then_some(()));
    for name in ["one", "two", "three", "four"] {
        for process in [&two, &three] {
            let told = told(process, name);
            let expected = ["joined", "left"].iter().cycle().take(told.len());
            assert!(told.iter().eq(expected), "{name}: {told:?}");
        }
    }
    assert_eq!(told(&two, "two"), ["joined"]);
    assert_eq!(told(&three, "three"), ["joined"], "one's own members are always there");
}

/// No test: what [`Process`] runs. It obeys what it reads, and ends with its input.
#[test]
#[ignore = "a process of the other tests"]
fn process() {
    let (Ok(broker), Ok(name)) = (std::env::var("BROKER"), std::env::var("NAME")) else { return };
    // On a line of its own, whatever the harness has begun to say.
    say("\n".to_owned());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(obey(&broker, &name));
}

async fn obey(broker: &str, name: &str) {
    let options = NatsOptions::new().lease(LEASE).timeout(LEASE / 4);
    let backend = Arc::new(NatsBackend::connect(broker, options).await.unwrap());
    let mut options = ClusterOptions::new("processes");
    options.lease_ttl = LEASE;
    let registry = Registry::<String, String>::clustered(backend, options).await.unwrap();
    let session = Endpoint::builder("/live").build().session();
    let address = session.on_message(|text: String| say(format!("heard {text}")));
    let _member = registry.group().join_as("room", &address, name.to_owned());
    let (lines, mut commands) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                break;
            }
        }
    });
    say("ready".to_owned());
    while let Some(line) = commands.recv().await {
        let mut words = line.split(' ');
        match (words.next(), words.next(), words.next()) {
            (Some("register"), Some(name), None) => match registry.unique().register(name, &address) {
                Ok(registration) => _ = tokio::spawn(watch(registration)),
                Err(_) => say(format!("lost {name}")),
            },
            (Some("deliver"), Some(to), Some(text)) => {
                let outcome = registry.unique().deliver(to, text.to_owned()).await;
                say(format!("{line}: {:?}", outcome.unwrap_or(Posted::Nobody)));
            }
            (Some("send"), Some(to), Some(text)) => {
                say(format!("{line}: {:?}", registry.unique().send(to, text.to_owned())));
            }
            (Some("members"), None, None) => {
                let members = registry.group().members("room");
                let mut names: Vec<&str> = members.iter().map(|member| member.meta().as_str()).collect();
                names.sort_unstable();
                say(format!("members: {}", names.join(" ")));
            }
            (Some("watch"), None, None) => {
                let mut presence = registry.group().watch("room");
                tokio::spawn(async move {
                    loop {
                        match presence.next().await {
                            PresenceChange::Joined(member) => say(format!("joined {}", member.meta())),
                            PresenceChange::Left(member) => say(format!("left {}", member.meta())),
                        }
                    }
                });
            }
            (Some("leave"), None, None) => registry.leave().await,
            _ => say(format!("what is {line:?}?")),
        }
    }
}

async fn watch(registration: Registration) {
    let name = registration.name().to_owned();
    if registration.held().await.is_ok() {
        say(format!("held {name} {}", registration.epoch().unwrap_or_default()));
        let _ = registration.lost().await;
    }
    say(format!("lost {name}"));
}

#[allow(clippy::needless_pass_by_value, clippy::print_stdout, reason = "what the tests read")]
fn say(line: String) {
    println!("{line}");
}
