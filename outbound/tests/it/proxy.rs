//! The forward proxy (OB-198): configured explicitly, or not used at all.

use bytes::Bytes;
use mainspring_outbound::{
    client::GuardedClient,
    exchange::{Request, Response, Transport},
    outcome::Failure,
    settings::Settings,
};
use reqwest::header::HeaderMap;

use crate::{
    client::Names,
    receiver::{Behaviour, Receiver},
};

fn settings(proxy: &Receiver) -> Settings {
    let proxy = format!("http://user:pass@{}", proxy.address);
    let variables = move |name: &str| match name {
        "OUTBOUND_WEBHOOK_ALLOW_HTTP" => Some("true".to_owned()),
        "OUTBOUND_PROXY_URL" => Some(proxy.clone()),
        _ => None,
    };
    Settings::from_variables(variables).unwrap()
}

async fn send(settings: &Settings, url: &str) -> Result<Response, Failure> {
    // No name has an address here: whoever gets through was not looked up.
    let client = GuardedClient::with_lookup(settings, Names::new(&[&[]])).unwrap();
    let body = Bytes::from_static(b"{}");
    client.send(Request::post(url, HeaderMap::new(), body)).await
}

#[tokio::test]
async fn ob_198_requests_go_through_the_proxy_which_looks_names_up() {
    let proxy =
        Receiver::start(|_| Behaviour::Answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")).await;
    let answer = send(&settings(&proxy), "http://hooks.example.com/x?a=b").await.unwrap();
    assert_eq!((answer.status, answer.snippet.as_deref()), (200, Some("ok")));
    let head = &proxy.requests()[0].head;
    assert!(head.starts_with("POST http://hooks.example.com/x?a=b HTTP/1.1"), "{head}");
    assert!(head.to_lowercase().contains("proxy-authorization: basic dxnlcjpwyxnz"), "{head}");
}

#[tokio::test]
async fn ob_198_https_goes_through_a_tunnel() {
    let proxy =
        Receiver::start(|_| Behaviour::Answer("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")).await;
    let end = send(&settings(&proxy), "https://hooks.example.com/x").await;
    assert!(end.is_err(), "a proxy that refuses the tunnel is no answer of the receiver");
    let requests = proxy.requests();
    assert!(requests[0].head.starts_with("CONNECT hooks.example.com:443 HTTP/1.1"), "{}", requests[0].head);
    assert!(!requests[0].head.contains("/x"), "the proxy sees the name and nothing else");
}

#[tokio::test]
async fn ob_198_names_are_judged_here_whatever_the_proxy_would_do() {
    let proxy = Receiver::start(|_| Behaviour::Answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")).await;
    for (url, class) in [
        ("http://localhost/x", "host"),
        ("http://metadata.internal/x", "host"),
        ("http://169.254.169.254/x", "link-local"),
        ("http://user@hooks.example.com/x", "credentials"),
        ("ftp://hooks.example.com/x", "scheme"),
    ] {
        assert_eq!(send(&settings(&proxy), url).await, Err(Failure::Blocked { class }), "{url}");
    }
    assert_eq!(proxy.connections(), 0);
}

#[test]
fn ob_198_an_unusable_proxy_is_a_start_up_error_that_does_not_repeat_it() {
    for bad in ["proxy.lan", "socks5://proxy.lan", "http://:1"] {
        let variables = |name: &str| (name == "OUTBOUND_PROXY_URL").then(|| bad.to_owned());
        let problems = Settings::from_variables(variables).unwrap_err();
        assert_eq!((problems[0].variable, problems.len()), ("OUTBOUND_PROXY_URL", 1));
        assert!(!problems[0].to_string().contains(bad));
    }
    let variables = |name: &str| (name == "OUTBOUND_PROXY_URL").then(|| "http://u:s3cret@p:1".to_owned());
    assert!(!format!("{:?}", Settings::from_variables(variables).unwrap()).contains("s3cret"));
}
