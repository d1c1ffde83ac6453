//! A NATS broker of a test's own.

#![allow(
    dead_code,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "each test binary takes what it needs, spawns and expects"
)]

pub(crate) mod node;
pub(crate) mod proxy;

use std::fs;
use std::io::{ErrorKind, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bonito_nats::{NatsBackend, NatsOptions};

/// Longer than anything here takes on a slow machine.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// A `nats-server` on a loopback port, with its store in a directory of its own. It ends with this value.
pub(crate) struct Broker {
    server: Child,
    port: u16,
    dir: PathBuf,
    options: Vec<String>,
}

impl Broker {
    pub(crate) fn start() -> Self {
        Self::start_with(Vec::new())
    }

    /// Three that keep leases together.
    pub(crate) fn three() -> [Self; 3] {
        // Each must know where the others will be.
        let found = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let at = found.map(|listener| format!("nats://{}", listener.local_addr().unwrap()));
        let routes = at.join(",");
        let options = |name: &str, at: String| {
            ["--cluster_name", "three", "--server_name", name, "--cluster", &at, "--routes", &routes]
                .map(str::to_owned)
                .to_vec()
        };
        let [a, b, c] = at;
        [options("a", a), options("b", b), options("c", c)].map(Self::start_with)
    }

    fn start_with(options: Vec<String>) -> Self {
        let dir = new_dir();
        let server = serve(&dir, "-1", &options);
        let mut broker = Self { server, port: 0, dir, options };
        broker.port = broker.find_port();
        broker
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut input) = self.server.stdin.take() {
            let _ = input.write_all(b"keep\n");
        }
        let _ = self.server.wait();
    }

    /// Starts it again where it was, with what it has on disk.
    pub(crate) fn start_again(&mut self) {
        self.kill();
        self.server = serve(&self.dir, &self.port.to_string(), &self.options);
        let began = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(began.elapsed() < LONG, "nats-server does not come back");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) async fn connect(&self) -> NatsBackend {
        self.connect_with(options()).await
    }

    pub(crate) async fn connect_with(&self, options: NatsOptions) -> NatsBackend {
        NatsBackend::connect(&self.url(), options).await.unwrap()
    }

    /// The broker writes its ports to a file when it listens.
    fn find_port(&self) -> u16 {
        let began = Instant::now();
        loop {
            let files = fs::read_dir(&self.dir).unwrap().map(|file| file.unwrap().path());
            let ports = files
                .filter(|file| file.extension().is_some_and(|extension| extension == "ports"))
                .find_map(|file| serde_json::from_slice::<serde_json::Value>(&fs::read(file).ok()?).ok());
            if let Some(ports) = ports {
                let url = ports["nats"][0].as_str().expect("a port").to_owned();
                return url.rsplit(':').next().unwrap().parse().unwrap();
            }
            assert!(
                began.elapsed() < LONG,
                "nats-server does not start: tests/run installs it, or: apt-get install nats-server"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// A directory that nobody has had. One that was left behind by a process with this one's number told where a broker was that is
/// no more, and a test was refused the connection.
fn new_dir() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    loop {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("bonito-nats-{}-{count}", std::process::id()));
        match fs::create_dir(&dir) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            created => {
                created.unwrap();
                return dir;
            }
        }
    }
}

/// Without long waits for a broker that is away.
pub(crate) fn options() -> NatsOptions {
    NatsOptions::new().lease(LEASE).timeout(Duration::from_secs(1))
}

/// Short, so that tests may wait for its end.
pub(crate) const LEASE: Duration = Duration::from_secs(1);

/// Ends the server when its input does: when this process ends too, however it does. Then nothing is left of it.
const SCRIPT: &str = r#"dir=$1; shift
nats-server "$@" & server=$!
read -r word
kill -9 $server
wait $server
[ "$word" = keep ] || rm -rf "$dir""#;

fn serve(dir: &Path, port: &str, options: &[String]) -> Child {
    // Debian has it where only root looks.
    let path = format!("{}:/usr/sbin:/usr/local/sbin", std::env::var("PATH").unwrap_or_default());
    Command::new("sh")
        .env("PATH", path)
        .args(["-c", SCRIPT, "sh"])
        .arg(dir)
        .args(["--addr", "127.0.0.1", "--port", port, "--jetstream"])
        .arg("--store_dir")
        .arg(dir.join("store"))
        .arg("--ports_file_dir")
        .arg(dir)
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("there is a shell")
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.server.stdin.take());
        let _ = self.server.wait();
        // One that was killed has kept it.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Asks again until it answers something.
pub(crate) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(began.elapsed() < LONG, "{what}: not within {LONG:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
