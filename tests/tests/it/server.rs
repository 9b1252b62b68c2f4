//! A running `mainspring serve`, and short ways to call it.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    binary,
    http::{Connection, Message, Request},
};

/// The instance key of every server of these tests.
pub const ADMIN: &str = "instance-key-of-the-tests";

/// How long a start or an orderly end may take on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A data directory and definitions, and how to start a server on them.
pub struct Site {
    root: Arc<TempDir>,
    environment: Vec<(String, String)>,
}

impl Site {
    /// A new, empty data directory, and one file per definition.
    pub fn new(definitions: &[(&str, &str)]) -> Self {
        let site = Self { root: Arc::new(tempfile::tempdir().unwrap()), environment: Vec::new() };
        std::fs::create_dir(site.definitions()).unwrap();
        for (name, text) in definitions {
            site.define(name, text);
        }
        site
    }

    /// Sets a variable of servers started from now on.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Writes a definition file.
    pub fn define(&self, name: &str, text: &str) {
        std::fs::write(self.definitions().join(format!("{name}.yaml")), text).unwrap();
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    pub fn data(&self) -> PathBuf {
        self.root.path().join("data")
    }

    pub fn definitions(&self) -> PathBuf {
        self.root.path().join("definitions")
    }

    /// The command of a server.
    pub fn serve(&self) -> Command {
        let mut command = binary::command();
        command.arg("serve").arg("--data-dir").arg(self.data()).arg("--definitions").arg(self.definitions());
        command.args(["--listen", "127.0.0.1:0"]);
        command.env("ADMIN_API_KEY", ADMIN).env("ADMIN_RATE_LIMIT", "0");
        command.env("OUTBOUND_WEBHOOK_ALLOW_HTTP", "true").env("OUTBOUND_WEBHOOK_ALLOW_PRIVATE", "true");
        command.env("OUTBOUND_WEBHOOK_SCHEDULE", ["100ms"; 40].join(","));
        command.envs(self.environment.iter().cloned());
        command
    }

    /// Starts a server and does not wait for it.
    pub fn spawn(&self) -> Process {
        Process::spawn(self.serve(), Arc::clone(&self.root))
    }

    /// Starts a server and waits until it takes requests.
    pub fn start(&self) -> Server {
        self.spawn().ready()
    }
}

/// A process of the binary; killed if a test ends early.
pub struct Process {
    child: Child,
    stderr: Arc<Mutex<String>>,
    /// Ends when everything that was said has been heard.
    listener: Option<thread::JoinHandle<()>>,
    /// The directory outlives the process, also if the test forgets the site.
    _root: Arc<TempDir>,
}

impl Process {
    fn spawn(mut command: Command, root: Arc<TempDir>) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut source = child.stderr.take().unwrap();
        let stderr: Arc<Mutex<String>> = Arc::default();
        let kept = Arc::clone(&stderr);
        let listener = thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = source.read(&mut buffer) {
                kept.lock().push_str(&String::from_utf8_lossy(&buffer[..length]));
            }
        });
        Self { child, stderr, listener: Some(listener), _root: root }
    }

    /// Waits for the line that says where requests are taken.
    pub fn ready(mut self) -> Server {
        let mut stdout = BufReader::new(self.child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").map(str::to_owned);
        let Some(address) = address else { panic!("no server: {line:?}, stderr: {}", self.stderr.lock()) };
        // Nothing more comes, but a closed pipe would be a reason to fail.
        thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        Server { address: address.parse().unwrap(), process: self }
    }

    /// SIGKILL: no destructor, no flush.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        let sent =
            Command::new("sh").args(["-c", &format!("kill -TERM {}", self.child.id())]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the end: exit code and what was said.
    pub fn end(&mut self) -> (Option<i32>, String) {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                if let Some(listener) = self.listener.take() {
                    listener.join().unwrap();
                }
                return (status.code(), self.stderr.lock().clone());
            }
            assert!(begun.elapsed() < PATIENCE, "the process does not end: {}", self.stderr.lock());
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that takes requests.
pub struct Server {
    pub address: SocketAddr,
    pub process: Process,
}

impl Server {
    /// Sends one request on a connection of its own.
    pub async fn send(&self, request: Request) -> Message {
        Connection::open(self.address).await.unwrap().send(&request).await.unwrap()
    }

    pub async fn get(&self, target: &str) -> Message {
        self.send(Request::new("GET", target).key(ADMIN)).await
    }

    pub async fn post(&self, target: &str, body: &Value) -> Message {
        self.send(Request::new("POST", target).key(ADMIN).json(body)).await
    }

    pub async fn put(&self, target: &str, body: &Value) -> Message {
        self.send(Request::new("PUT", target).key(ADMIN).json(body)).await
    }

    pub async fn patch(&self, target: &str, body: &Value) -> Message {
        self.send(Request::new("PATCH", target).key(ADMIN).json(body)).await
    }

    pub async fn delete(&self, target: &str) -> Message {
        self.send(Request::new("DELETE", target).key(ADMIN)).await
    }

    /// Creates an endpoint and returns its answer.
    pub async fn subscribe(&self, url: &str, types: &[&str]) -> Value {
        self.post("/v1/admin/webhooks", &serde_json::json!({"url": url, "eventTypes": types}))
            .await
            .expect(201)
    }

    /// All items of a listing, page by page.
    pub async fn all(&self, target: &str, items: &str) -> Vec<Value> {
        let mut all = Vec::new();
        loop {
            let joint = if target.contains('?') { '&' } else { '?' };
            let page = self.get(&format!("{target}{joint}limit=100&offset={}", all.len())).await.expect(200);
            let found = page[items].as_array().unwrap();
            all.extend(found.iter().cloned());
            if found.is_empty() || all.len() as u64 >= page["total"].as_u64().unwrap() {
                return all;
            }
        }
    }

    /// Ends it in order.
    pub fn stop(mut self) {
        self.process.terminate();
        let (code, stderr) = self.process.end();
        assert_eq!(code, Some(0), "{stderr}");
    }

    /// Ends it at once.
    pub fn kill(mut self) {
        self.process.kill();
    }
}

/// Asks again until the answer is yes.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut ask: impl FnMut() -> F) {
    let begun = Instant::now();
    while !ask().await {
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
