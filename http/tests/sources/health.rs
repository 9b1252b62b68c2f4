//! What health tells of the threads beside the edge.

use std::sync::Arc;

use mainspring_http::{Background, Disk};
use mainspring_schemas::Timestamp;
use prometheus_client::registry::Registry;

use crate::world::World;

struct Beside(Vec<&'static str>);

impl Background for Beside {
    fn ended(&self) -> Vec<&'static str> {
        self.0.clone()
    }

    fn disk(&self) -> Option<Disk> {
        Some(Disk { free: 1 << 40, total: 1 << 41 })
    }

    fn log_bytes(&self) -> Option<u64> {
        None
    }

    fn register(&self, _: &mut Registry) {}
}

#[actix_web::test]
async fn he_03_he_04_a_worker_that_has_ended_is_down() {
    let world = World::new(Timestamp(1_780_000_000_000)).await;
    for (ended, expected) in [(vec![], "up"), (vec!["outbound"], "down")] {
        let shown = world.health(Arc::new(Beside(ended.clone()))).await;
        assert_eq!(shown["components"]["worker"]["status"], expected, "{shown}");
        assert_eq!(shown["log"]["diskFree"], 1_u64 << 40);
        let told = |name: &&str| shown["warnings"].to_string().contains(&format!("`{name}` has ended"));
        assert!(ended.iter().all(told), "{shown}");
    }
}
