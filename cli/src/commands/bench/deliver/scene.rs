//! Who gets the webhooks: healthy receivers and ill ones.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use mainspring_outbound::settings::Settings as OutboundSettings;

use super::endpoint;
use crate::commands::bench::{
    load::Load,
    people,
    receiver::{Manner, Receiver},
    report::{Row, latencies},
    world::{self, World},
};

/// Longest time for the floor.
const FLOOR: Duration = Duration::from_secs(3);

/// How many endpoints there are of each sort.
#[derive(Clone, Copy, Debug)]
pub struct Scene {
    /// Take everything at once.
    pub healthy: usize,
    /// Answer 500 at once.
    pub refusing: usize,
    /// Never answer.
    pub hanging: usize,
}

impl Scene {
    /// All of them.
    pub fn endpoints(self) -> usize {
        self.healthy + self.refusing + self.hanging
    }

    /// Whether nobody is ill.
    pub fn is_healthy(self) -> bool {
        self.healthy == self.endpoints()
    }

    /// Attempts that can be under way at once.
    pub fn connections(self) -> usize {
        let settings = world::outbound();
        settings.concurrency.min(settings.endpoint_concurrency * self.endpoints())
    }
}

impl fmt::Display for Scene {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { healthy, refusing, hanging } = self;
        match (healthy, self.is_healthy()) {
            (1, true) => write!(formatter, "1 endpoint"),
            (_, true) => write!(formatter, "{healthy} endpoints"),
            _ => write!(formatter, "{healthy} beside {refusing} that answer 500 and {hanging} that hangs"),
        }
    }
}

/// The system with its receivers.
pub struct Stage {
    /// Who is there.
    pub scene: Scene,
    /// The system.
    pub world: World,
    /// Stands for all healthy ones.
    pub healthy: Receiver,
    directory: PathBuf,
    ill: [Receiver; 2],
}

impl Stage {
    /// Opens everything in a directory, except what sends.
    pub async fn open(directory: &Path, scene: Scene) -> anyhow::Result<Self> {
        let world = World::open(directory, people::one_definition()?, None).await?;
        let healthy = Receiver::start(Manner::Take)?;
        let (refusing, hanging) = (Receiver::start(Manner::Refuse)?, Receiver::start(Manner::Hang)?);
        let sorts = [(&hanging, scene.hanging), (&refusing, scene.refusing), (&healthy, scene.healthy)];
        for (receiver, count) in sorts {
            for _ in 0..count {
                endpoint(&world.system.engine, receiver.url()).await?;
            }
        }
        Ok(Self { scene, world, healthy, directory: directory.to_owned(), ill: [refusing, hanging] })
    }

    /// Stops the system and opens it anew, with the same receivers.
    pub async fn reopen(self, outbound: Option<OutboundSettings>) -> anyhow::Result<Self> {
        self.world.stop().await;
        let world = World::open(&self.directory, people::one_definition()?, outbound).await?;
        Ok(Self { world, ..self })
    }

    /// Requests that the ill ones got so far.
    pub fn ill_requests(&self) -> u64 {
        self.ill.iter().map(Receiver::got).sum()
    }

    /// Stops everything, then does the least that anybody could: a receiver of the same kind, the same number of
    /// connections, a body of the same size, nothing signed and nothing recorded.
    pub async fn stop_and_compare(self, time: Duration) -> anyhow::Result<Row> {
        self.world.stop().await;
        let connections = self.scene.connections();
        let length = usize::try_from(self.healthy.body_length())?;
        let body = "x".repeat(length);
        let request =
            Bytes::from(format!("POST /hook HTTP/1.1\r\nhost: h\r\ncontent-length: {length}\r\n\r\n{body}"));
        let load = Load {
            address: Receiver::start(Manner::Take)?.address,
            requests: Arc::new(vec![request]),
            connections,
            time: time.min(FLOOR),
            status: 200,
        };
        let answers = load.run().await?.whole()?;
        Ok(Row {
            what: "bare POST".to_owned(),
            load: connections.to_string(),
            figure: answers.rate(),
            unit: "webhooks/s",
            latency: latencies(&answers.latency),
            ..Row::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scene_says_who_is_ill() {
        let scene = Scene { healthy: 94, refusing: 5, hanging: 1 };
        assert_eq!((scene.endpoints(), scene.is_healthy()), (100, false));
        assert_eq!(scene.to_string(), "94 beside 5 that answer 500 and 1 that hangs");
        let one = Scene { healthy: 1, refusing: 0, hanging: 0 };
        assert_eq!((one.to_string().as_str(), one.connections()), ("1 endpoint", 8));
    }
}
