//! The guarded client over TLS (OB-116).

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
};

use bytes::Bytes;
use mainspring_outbound::{
    client::{ClientError, GuardedClient},
    exchange::{Request, Transport},
    outcome::Failure,
    settings::Settings,
};
use reqwest::header::HeaderMap;
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::client::Names;

fn file(name: &str) -> PathBuf {
    ["tests/it/certificates", name].iter().collect()
}

/// A receiver with the certificate of `hooks.example.com` that answers 200 to everything.
fn start() -> SocketAddr {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let certificate = CertificateDer::from_pem_file(file("receiver.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(file("receiver.key.pem")).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").unwrap());
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, stream.unwrap());
            let mut buffer = [0; 4096];
            while stream.read(&mut buffer).is_ok_and(|read| read > 0) {
                if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_err() {
                    break;
                }
            }
        }
    });
    address
}

fn client(ca_file: Option<PathBuf>) -> Result<GuardedClient, ClientError> {
    let variables = |name: &str| (name == "OUTBOUND_WEBHOOK_ALLOWED_HOSTS").then(|| "127.0.0.1".to_owned());
    let settings = Settings { ca_file, ..Settings::from_variables(variables).unwrap() };
    GuardedClient::with_lookup(&settings, Names::new(&[&["127.0.0.1"]]))
}

async fn send(ca_file: Option<PathBuf>, host: &str) -> Result<u16, Failure> {
    let url = format!("https://{host}:{}/hook", start().port());
    let request = Request::post(url, HeaderMap::new(), Bytes::from_static(b"{}"));
    client(ca_file).unwrap().send(request).await.map(|answer| answer.status)
}

#[tokio::test]
async fn ob_116_the_chain_and_the_name_are_verified() {
    let authority = || Some(file("authority.pem"));
    assert_eq!(send(authority(), "hooks.example.com").await, Ok(200));
    assert_eq!(
        send(authority(), "other.example.com").await,
        Err(Failure::Tls),
        "the name is not the certificate's"
    );
    assert_eq!(send(authority(), "127.0.0.1").await, Err(Failure::Tls), "nor is the address");
    assert_eq!(send(None, "hooks.example.com").await, Err(Failure::Tls), "nobody knows the authority");
}

#[test]
fn ob_116_a_useless_certificate_file_is_an_error_that_names_its_variable() {
    for (name, expected) in [
        ("missing.pem", "OUTBOUND_WEBHOOK_CA_FILE: cannot be read"),
        ("README.md", "OUTBOUND_WEBHOOK_CA_FILE: holds no PEM certificate"),
    ] {
        assert_eq!(client(Some(file(name))).err().unwrap().to_string(), expected);
    }
}
