//! An example program put to the test, from outside.

#![allow(clippy::unwrap_used, reason = "tests expect")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use bonito_core::proto::codec::encode_client;
use bonito_core::proto::message::ClientMessage;
use tungstenite::client::IntoClientRequest;
use tungstenite::http::HeaderValue;
use tungstenite::{Message, WebSocket};

use crate::{GRACE, PASSWORD};

/// Only a failure takes so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// Starts a program, opens the live page at `path`, sends SIGTERM, and sees that the page is told when to come back and that
/// the program ends well, in time. Logs in first if the app wants that.
pub fn leaves_in_order(program: &str, path: &str, wants_login: bool) {
    let mut program = Program::start(program);
    let cookie = if wants_login { program.log_in() } else { String::new() };
    let mut socket = program.open(path, &cookie);
    // Requests that are half there do not keep the program.
    let _idle = TcpStream::connect(program.address).unwrap();

    let told = Instant::now();
    program.terminate();
    let goodbye = loop {
        if let Message::Close(goodbye) = socket.read().unwrap() {
            break goodbye.unwrap();
        }
    };
    assert_eq!(u16::from(goodbye.code), 1012);
    assert!(goodbye.reason.starts_with("retry-after="), "{goodbye:?}");
    while socket.read().is_ok() {}

    let status = program.ended();
    assert!(status.success(), "{status}");
    assert!(told.elapsed() < GRACE + Duration::from_secs(2), "{:?}", told.elapsed());
}

/// Starts a program that may open few files, has more connections made to it than that, and sees that it goes on when they
/// have left.
pub fn stands_a_crowd(program: &str) {
    let program =
        Program::spawn(Command::new("sh").args(["-c", "ulimit -n 40; exec \"$0\" \"$@\"", program]));
    let crowd: Vec<_> = (0..80).map(|_| TcpStream::connect(program.address).unwrap()).collect();
    // All that the program can accept is accepted before this one, which stands behind them.
    let mut last = TcpStream::connect(program.address).unwrap();
    last.set_read_timeout(Some(PATIENCE)).unwrap();
    drop(crowd);
    last.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    last.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

struct Program {
    process: Child,
    address: SocketAddr,
}

impl Program {
    fn start(program: &str) -> Self {
        Self::spawn(&mut Command::new(program))
    }

    fn spawn(command: &mut Command) -> Self {
        let mut process = command.args(["--port", "0"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("http://").unwrap().parse().unwrap();
        Self { process, address }
    }

    fn ask(&self, request: &str) -> String {
        let mut tcp = TcpStream::connect(self.address).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        tcp.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        tcp.read_to_string(&mut answer).unwrap();
        answer
    }

    /// The cookie of somebody who is logged in.
    fn log_in(&self) -> String {
        let form = format!("name=Ada&password={PASSWORD}");
        let answer = self.ask(&format!(
            "POST /login HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {}\r\n\
             content-type: application/x-www-form-urlencoded\r\n\r\n{form}",
            self.address,
            form.len(),
        ));
        let cookie = answer.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
        cookie.split(';').next().unwrap().to_owned()
    }

    /// The socket of a page that has loaded.
    fn open(&self, path: &str, cookie: &str) -> WebSocket<TcpStream> {
        let page = self.ask(&format!(
            "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncookie: {cookie}\r\n\r\n",
            self.address
        ));
        let session = page.split("init_session(\"").nth(1).unwrap().split('"').next().unwrap();
        let mut request = format!("ws://{}/live/{session}", self.address).into_client_request().unwrap();
        let origin = format!("http://{}", self.address);
        for (name, value) in [("origin", &*origin), ("cookie", cookie)] {
            request.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
        }
        let tcp = TcpStream::connect(self.address).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        let (mut socket, _) = tungstenite::client(request, tcp).unwrap();
        let loaded = ClientMessage::DoneLoading {
            session: session.to_owned(),
            message: String::new(),
            exception: None,
            stacktrace: String::new(),
        };
        socket.send(Message::Binary(encode_client(&loaded).unwrap())).unwrap();
        socket
    }

    fn terminate(&self) {
        let process = self.process.id().to_string();
        // A program says its address before it listens to signals: what stops it within that time kills it.
        let begin = Instant::now();
        while catches_terminate(&process) == Some(false) && begin.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(Command::new("kill").args(["-TERM", &process]).status().unwrap().success());
    }

    fn ended(&mut self) -> ExitStatus {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("the program goes on");
    }
}

/// Where the system tells.
fn catches_terminate(process: &str) -> Option<bool> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?;
    Some(u64::from_str_radix(caught.trim(), 16).ok()? & (1 << (15 - 1)) != 0)
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
