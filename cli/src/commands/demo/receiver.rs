//! A receiver of webhooks as a customer of ours would write it: it verifies the signature of every request.

use std::{net::TcpListener, sync::Arc};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    dev::ServerHandle,
    web::{self, Bytes, Data},
};
use mainspring_actors::{Clock, SystemClock};
use mainspring_outbound::{secret::Key, signature};
use parking_lot::RwLock;
use serde_json::Value;

use super::figures::Figures;

/// What the receiver knows.
pub struct Receiver {
    /// The secret it was told when the endpoint was created.
    pub key: RwLock<Option<Key>>,
    /// Where it counts.
    pub figures: Arc<Figures>,
    clock: SystemClock,
}

impl Receiver {
    /// A receiver that was not told a secret yet.
    pub fn new(figures: Arc<Figures>) -> Self {
        Self { key: RwLock::default(), figures, clock: SystemClock::default() }
    }
}

fn header<'r>(request: &'r HttpRequest, name: &str) -> &'r str {
    request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// A transition in words.
fn words(body: &[u8]) -> Option<String> {
    let envelope: Value = serde_json::from_slice(body).ok()?;
    let data = &envelope["data"];
    let verb = data["transition"].as_str()?;
    let who = data["userEmail"].as_str().or_else(|| data["userId"].as_str())?;
    let by = if data["source"] == "reconcile" { " (by the clock)" } else { "" };
    Some(format!("{who} {verb} {}{by}", data["bucketId"].as_str()?))
}

async fn receive(receiver: Data<Receiver>, request: HttpRequest, body: Bytes) -> HttpResponse {
    let message = header(&request, "webhook-id");
    let keys: Vec<Key> = receiver.key.read().iter().cloned().collect();
    let verdict = signature::verify(
        &keys,
        message,
        header(&request, "webhook-timestamp"),
        header(&request, "webhook-signature"),
        &body,
        receiver.clock.now(),
    );
    if verdict.is_err() {
        receiver.figures.rejected();
        return HttpResponse::Unauthorized().finish();
    }
    receiver.figures.verified(message, words(&body));
    HttpResponse::NoContent().finish()
}

/// Starts the receiver.
pub fn start(receiver: Data<Receiver>, listener: TcpListener) -> anyhow::Result<ServerHandle> {
    let app = move || App::new().app_data(receiver.clone()).default_service(web::to(receive));
    let server = HttpServer::new(app).workers(1).disable_signals().listen(listener)?.run();
    let handle = server.handle();
    actix_web::rt::spawn(server);
    Ok(handle)
}
