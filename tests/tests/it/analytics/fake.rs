//! A PostHog of these tests: it keeps destinations as the real one does, and refuses what it is told to.

use std::{net::SocketAddr, sync::Arc};

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
};

use crate::http::{Message, read_message};

/// The personal key it knows.
pub const KEY: &str = "phx_personal-key-of-the-tests";

/// Destinations it lists per page, whatever is asked for.
const PAGE: usize = 3;

/// What it holds and what it was asked.
#[derive(Default)]
pub struct State {
    /// The destinations of project 7, whole.
    pub destinations: Vec<Value>,
    /// The projects of the key.
    pub projects: Vec<Value>,
    /// Requests whose first line begins like this are answered so: status and body.
    pub refusals: Vec<(String, u16, String)>,
    /// Request lines, in order.
    pub asked: Vec<String>,
}

/// A PostHog on 127.0.0.1.
#[derive(Clone)]
pub struct PostHog {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl PostHog {
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let projects = vec![json!({"id": 7, "name": "Shop", "api_token": "phc_shop"})];
        let state = Arc::new(Mutex::new(State { projects, ..State::default() }));
        let posthog = Self { address: listener.local_addr().unwrap(), state };
        let served = posthog.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let served = served.clone();
                tokio::spawn(async move { served.serve(stream).await });
            }
        });
        posthog
    }

    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Looks at its state, or changes it.
    pub fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock())
    }

    /// The only destination there is.
    pub fn only(&self) -> Value {
        self.with(|state| {
            assert_eq!(state.destinations.len(), 1, "{:?}", state.destinations);
            state.destinations[0].clone()
        })
    }

    /// What was asked since the last time.
    pub fn asked(&self) -> Vec<String> {
        self.with(|state| std::mem::take(&mut state.asked))
    }

    async fn serve(self, mut stream: TcpStream) {
        let mut buffer = Vec::new();
        while let Ok(Some(request)) = read_message(&mut stream, &mut buffer, false).await {
            let (status, body) = self.with(|state| state.answer(&request));
            let head = format!(
                "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            if stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await.is_err() {
                return;
            }
        }
    }
}

impl State {
    fn answer(&mut self, request: &Message) -> (u16, String) {
        let line = request.first.trim_end_matches(" HTTP/1.1").to_owned();
        self.asked.push(line.clone());
        if let Some((_, status, body)) = self.refusals.iter().find(|(begin, ..)| line.starts_with(begin)) {
            return (*status, body.clone());
        }
        if request.header("authorization") != Some(&format!("Bearer {KEY}")) {
            return (401, json!({"type": "authentication_error", "code": "not_authenticated"}).to_string());
        }
        let (method, target) = line.split_once(' ').unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (status, body) = match (method, parts.as_slice()) {
            ("GET", ["api", "projects"]) => (200, json!({"next": null, "results": self.projects})),
            ("GET", ["api", "projects", "@current"]) => (200, self.projects[0].clone()),
            ("GET", ["api", "projects", "7", "hog_functions"]) => (200, self.page(query)),
            ("POST", ["api", "projects", "7", "hog_functions"]) => {
                let mut made = request.json();
                assert_eq!(made["template_id"], "template-webhook");
                made["id"] = format!("0190aaaa-{}", self.destinations.len()).into();
                made["template"] = json!({"id": made["template_id"].take()});
                self.destinations.push(compiled(made));
                (201, self.destinations.last().unwrap().clone())
            }
            (_, ["api", "projects", "7", "hog_functions", id]) => {
                let Some(found) = self.destinations.iter_mut().find(|found| found["id"] == *id) else {
                    return (404, json!({"detail": "Not found."}).to_string());
                };
                if method == "PATCH" {
                    let patch = request.json();
                    found.as_object_mut().unwrap().extend(patch.as_object().unwrap().clone());
                    *found = compiled(found.take());
                }
                (200, found.clone())
            }
            _ => (404, json!({"code": "not_found", "detail": "Endpoint not found."})),
        };
        (status, body.to_string())
    }

    /// A page of the listing, which leaves out the inputs.
    fn page(&self, query: &str) -> Value {
        let offset = query.split('&').find_map(|pair| pair.strip_prefix("offset=")).unwrap_or("0");
        let offset: usize = offset.parse().unwrap();
        let mut results: Vec<Value> = self.destinations.iter().skip(offset).take(PAGE).cloned().collect();
        for listed in &mut results {
            listed.as_object_mut().unwrap().remove("inputs");
        }
        let more = offset + results.len() < self.destinations.len();
        json!({"count": self.destinations.len(), "next": more.then_some("http://127.0.0.1:1/elsewhere"), "results": results})
    }
}

/// A destination with what PostHog computes.
fn compiled(mut destination: Value) -> Value {
    for (order, input) in destination["inputs"].as_object_mut().unwrap().values_mut().enumerate() {
        assert!(input.get("bytecode").is_none(), "what is computed is not sent back");
        input["bytecode"] = json!(["_H", 1]);
        input["order"] = order.into();
    }
    destination["filters"]["bytecode"] = json!(["_H", 1]);
    destination
}
