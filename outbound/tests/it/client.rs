//! The guarded client against real sockets (sections 7 and 13, W4, W6).

use std::{collections::VecDeque, io, net::IpAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use mainspring_outbound::{
    client::GuardedClient,
    exchange::{Classifier, Fetch, Fetched, Request, Response, Transport},
    outcome::Failure,
    resolver::Lookup,
    settings::Settings,
};
use parking_lot::Mutex;
use reqwest::{Method, header::HeaderMap};

use crate::receiver::{Behaviour, Receiver};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn settings(allowed: &str) -> Settings {
    Settings::from_variables(|name| match name {
        "OUTBOUND_WEBHOOK_ALLOW_HTTP" => Some("true".to_owned()),
        "OUTBOUND_WEBHOOK_ALLOWED_HOSTS" => Some(allowed.to_owned()),
        _ => None,
    })
    .unwrap()
}

fn client() -> GuardedClient {
    GuardedClient::new(&settings("127.0.0.1")).unwrap()
}

fn request(url: &str) -> Request {
    let mut headers = HeaderMap::new();
    headers.insert("webhook-id", "msg_1".parse().unwrap());
    Request::post(url, headers, Bytes::from_static(b"{\"n\":1}"))
}

async fn send_to(behaviour: Behaviour) -> Result<Response, Failure> {
    let receiver = Receiver::start(move |_| behaviour).await;
    client().send(request(&receiver.url())).await
}

#[tokio::test]
async fn ob_111_what_a_request_looks_like() {
    let receiver = Receiver::start(|_| Behaviour::Answer(OK)).await;
    let answer = client().send(request(&format!("{}?a=b#c", receiver.url()))).await.unwrap();
    assert_eq!((answer.status, answer.snippet.as_deref()), (200, Some("ok")));
    let received = &receiver.requests()[0];
    let mut lines: Vec<_> = received.head.lines().map(str::to_owned).collect();
    lines[1..].sort();
    let expected = [
        "POST /hook?a=b HTTP/1.1".to_owned(),
        "Accept: */*".to_owned(),
        "Content-Length: 7".to_owned(),
        format!("Host: {}", receiver.address),
        format!("User-Agent: Mainspring-Webhooks/{}", env!("CARGO_PKG_VERSION")),
        "Webhook-Id: msg_1".to_owned(),
    ];
    assert_eq!(lines, expected);
    assert_eq!(received.body, b"{\"n\":1}");
}

#[tokio::test]
async fn ob_201_the_method_and_the_verdict_are_the_destinations() {
    let receiver = Receiver::start(|_| Behaviour::Answer(OK)).await;
    for (wanted, accepted) in [(b"ok", true), (b"no", false)] {
        let classifier = Classifier::new(move |status, body| status == 200 && body == wanted);
        let request =
            Request { method: Method::PUT, classifier: Some(classifier), ..request(&receiver.url()) };
        let settings = Settings { capture_body: false, ..settings("127.0.0.1") };
        let answer = GuardedClient::new(&settings).unwrap().send(request).await.unwrap();
        assert_eq!((answer.accepted, answer.snippet), (Some(accepted), None));
    }
    assert!(receiver.requests().iter().all(|received| received.head.starts_with("PUT /hook ")));
    assert_eq!(client().send(request(&receiver.url())).await.unwrap().accepted, None);
}

#[tokio::test]
async fn ob_117_connections_are_used_again() {
    let receiver = Receiver::start(|_| Behaviour::Answer(OK)).await;
    let client = client();
    for _ in 0..20 {
        client.send(request(&receiver.url())).await.unwrap();
    }
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn os_07_redirects_are_not_followed() {
    let receiver = Receiver::start(|_| {
        Behaviour::Answer("HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n")
    })
    .await;
    let answer = client().send(request(&receiver.url())).await.unwrap();
    assert_eq!((answer.status, receiver.requests().len()), (302, 1));
}

#[tokio::test]
async fn ob_145_retry_after_is_handed_on() {
    let answer =
        send_to(Behaviour::Answer("HTTP/1.1 429 X\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n"))
            .await
            .unwrap();
    assert_eq!((answer.status, answer.retry_after.as_deref(), answer.snippet), (429, Some("120"), None));
}

#[tokio::test(start_paused = true)]
async fn ob_113_a_hanging_receiver_costs_one_timeout() {
    let started = tokio::time::Instant::now();
    assert_eq!(send_to(Behaviour::Hang).await, Err(Failure::Timeout { ms: 15_000 }));
    assert_eq!(started.elapsed().as_secs(), 15);
}

#[tokio::test(start_paused = true)]
async fn w4_the_deadline_covers_a_dripping_body() {
    let started = tokio::time::Instant::now();
    assert_eq!(send_to(Behaviour::Drip).await, Err(Failure::Timeout { ms: 15_000 }));
    assert_eq!(started.elapsed().as_secs(), 15);
}

#[tokio::test]
async fn ob_115_an_endless_body_is_cut_while_reading() {
    let receiver = Receiver::start(|_| Behaviour::Flood).await;
    let answer = client().send(request(&receiver.url())).await.unwrap();
    assert_eq!((answer.status, answer.snippet), (200, Some("y".repeat(1024))));
    let most = 16 * 1024 * 1024;
    assert!(receiver.sent() < most, "only what the buffers of the sockets took");
}

#[tokio::test]
async fn ws_93_an_answer_that_matters_is_read_up_to_a_limit() {
    let receiver = Receiver::start(|_| Behaviour::Answer(OK)).await;
    let whole = client().fetch(request(&receiver.url()), 3).await;
    assert_eq!(whole, Ok(Fetched { status: 200, body: b"ok".to_vec(), is_whole: true }));
    let receiver = Receiver::start(|_| Behaviour::Flood).await;
    let cut = client().fetch(request(&receiver.url()), 100_000).await.unwrap();
    assert_eq!((cut.status, cut.body.len(), cut.is_whole), (200, 100_000, false));
    let guarded = GuardedClient::new(&settings("10.0.0.1")).unwrap();
    let blocked = guarded.fetch(request(&receiver.url()), 100).await;
    assert_eq!(blocked, Err(Failure::Blocked { class: "loopback" }));
}

#[tokio::test]
async fn ob_132_broken_connections_have_classes_and_no_addresses() {
    let refused = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let failures = [
        (send_to(Behaviour::Reset).await, Failure::Reset),
        (send_to(Behaviour::Answer("SSH-2.0-OpenSSH_9.9\r\n\r\n")).await, Failure::Reset),
        (client().send(request(&format!("http://{refused}/"))).await, Failure::Connect),
    ];
    for (end, expected) in failures {
        assert_eq!(end, Err(expected));
        assert!(!expected.text().contains(|c: char| c.is_ascii_digit()));
    }
    // A TLS hello is no request; the receiver waits for more, so it has to be one that answers at once.
    let speaks_first = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = speaks_first.local_addr().unwrap();
    tokio::spawn(async move {
        use tokio::io::AsyncWriteExt;
        while let Ok((mut stream, _)) = speaks_first.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let end = client().send(request(&format!("https://{address}/hook"))).await;
    assert_eq!(end, Err(Failure::Tls));
}

#[tokio::test]
async fn ob_115_capture_can_be_switched_off() {
    let receiver = Receiver::start(|_| Behaviour::Answer(OK)).await;
    let settings = Settings { capture_body: false, ..settings("127.0.0.1") };
    let answer = GuardedClient::new(&settings).unwrap().send(request(&receiver.url())).await.unwrap();
    assert_eq!(answer.snippet, None);
}

#[tokio::test]
async fn ob_199_refused_destinations_are_not_connected_to() {
    let receiver = Receiver::start(|_| Behaviour::Answer(OK)).await;
    let client = GuardedClient::new(&settings("")).unwrap();
    let port = receiver.address.port();
    for (host, class) in [
        ("127.0.0.1", "loopback"),
        ("2130706433", "loopback"),
        ("0x7f.1", "loopback"),
        ("[::ffff:7f00:1]", "loopback"),
        ("[::7f00:1]", "v4-compatible"),
        ("localhost", "host"),
        ("localhost.", "host"),
    ] {
        let end = client.send(request(&format!("http://{host}:{port}/hook"))).await;
        assert_eq!(end, Err(Failure::Blocked { class }), "{host}");
    }
    let end = client.send(request(&format!("http://user@127.0.0.1:{port}/"))).await;
    assert_eq!(end, Err(Failure::Blocked { class: "credentials" }));
    assert_eq!(receiver.connections(), 0);
    assert_eq!(Failure::Blocked { class: "loopback" }.text(), "destination not allowed (loopback)");
}

/// Answers each look-up with the next of its answers; the last one stays.
pub struct Names(Mutex<VecDeque<Vec<&'static str>>>);

impl Names {
    pub fn new(answers: &[&[&'static str]]) -> Arc<Self> {
        Arc::new(Self(Mutex::new(answers.iter().map(|answer| answer.to_vec()).collect())))
    }
}

#[async_trait]
impl Lookup for Names {
    async fn lookup(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        let mut answers = self.0.lock();
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        Ok(answer.unwrap().iter().map(|address| address.parse().unwrap()).collect())
    }
}

#[tokio::test]
async fn ob_195_names_are_resolved_checked_and_pinned() {
    let receiver = Receiver::start(|_| Behaviour::Answer(OK)).await;
    let url = format!("http://hooks.example.com:{}/hook", receiver.address.port());
    let send = async |allowed: &str, answers: &[&[&'static str]]| {
        let client = GuardedClient::with_lookup(&settings(allowed), Names::new(answers)).unwrap();
        client.send(request(&url)).await.map(|answer| answer.status)
    };
    assert_eq!(send("127.0.0.1", &[&["127.0.0.1"]]).await, Ok(200));
    let host = format!("Host: hooks.example.com:{}", receiver.address.port());
    assert!(receiver.requests()[0].head.contains(&host), "the name stays the host");
    let private = Err(Failure::Blocked { class: "private" });
    assert_eq!(send("127.0.0.1", &[&["127.0.0.1", "10.0.0.5"]]).await, private, "one condemns all");
    assert_eq!(send("127.0.0.1", &[&["10.0.0.5"]]).await, private, "OS-15");
    assert_eq!(
        send("", &[&["93.184.216.34", "127.0.0.1"]]).await,
        Err(Failure::Blocked { class: "loopback" })
    );
    assert_eq!(send("127.0.0.1", &[&[]]).await, Err(Failure::Dns));
    // What was judged is what is connected to: the second answer, a private one, is never asked for.
    assert_eq!(send("127.0.0.1", &[&["127.0.0.1"], &["10.0.0.5"]]).await, Ok(200));
    assert_eq!(receiver.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn w6_a_rebound_name_is_refused_even_over_an_open_connection() {
    let receiver = Receiver::start(|_| Behaviour::Answer(OK)).await;
    let url = format!("http://hooks.example.com:{}/hook", receiver.address.port());
    let names = Names::new(&[&["127.0.0.1"], &["10.0.0.5"]]);
    let client = GuardedClient::with_lookup(&settings("127.0.0.1"), names).unwrap();
    assert_eq!(client.send(request(&url)).await.map(|answer| answer.status), Ok(200));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(client.send(request(&url)).await, Err(Failure::Blocked { class: "private" }));
    assert_eq!(receiver.requests().len(), 1);
}

#[tokio::test]
async fn ob_195_a_name_without_addresses_is_a_dns_failure() {
    let client = GuardedClient::with_lookup(&settings(""), Names::new(&[&[]])).unwrap();
    assert_eq!(client.send(request("https://hooks.example.com/")).await, Err(Failure::Dns));
}
