//! Sends what happens in the shop over HTTP, at an even pace, on connections that stay open.

use std::{
    cell::RefCell,
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use mainspring_actors::{Clock, SystemClock};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::{figures::Figures, shop::Shop};
use crate::wire::Messages;

/// Connections of the customers.
const CONNECTIONS: u32 = 8;

/// Pause before a connection that failed is made again.
const PAUSE: Duration = Duration::from_millis(200);

/// Where events go, and how many.
#[derive(Clone, Debug)]
pub struct Target {
    /// The server.
    pub address: SocketAddr,
    /// A key for events.
    pub key: String,
    /// Events per second.
    pub rate: u32,
}

/// Sends events until it is dropped.
pub async fn visit(target: Target, shop: Shop, figures: Arc<Figures>) {
    let shop = Rc::new(RefCell::new(shop));
    let pace = Duration::from_secs(1) * CONNECTIONS / target.rate.max(1);
    let visits = (0..CONNECTIONS).map(|number| {
        let (target, shop, figures) = (target.clone(), Rc::clone(&shop), Arc::clone(&figures));
        async move {
            // Connections take turns instead of coming all at once.
            tokio::time::sleep(pace * number / CONNECTIONS).await;
            loop {
                if send(&target, &shop, &figures, pace).await.is_err() {
                    figures.answered(false, Duration::ZERO);
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    });
    let running: Vec<_> = visits.map(actix_web::rt::spawn).collect();
    let _stop = StopOnDrop(running);
    std::future::pending::<()>().await;
}

struct StopOnDrop(Vec<actix_web::rt::task::JoinHandle<()>>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.iter().for_each(|task| task.abort());
    }
}

async fn send(
    target: &Target,
    shop: &RefCell<Shop>,
    figures: &Figures,
    pace: Duration,
) -> std::io::Result<()> {
    let clock = SystemClock::default();
    let mut stream = TcpStream::connect(target.address).await?;
    stream.set_nodelay(true)?;
    let mut answers = Messages::default();
    let mut ticks = tokio::time::interval(pace);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let body = shop.borrow_mut().next(clock.now()).to_string();
        let Target { address, key, .. } = target;
        let request = format!(
            "POST /v1/events HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len(),
        );
        let began = Instant::now();
        stream.write_all(request.as_bytes()).await?;
        let Some(answer) = answers.next(&mut stream).await? else { return Ok(()) };
        figures.answered(answer.status() == Some(202), began.elapsed());
    }
}
