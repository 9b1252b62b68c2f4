//! Streams whose names share a hash, through the whole log.

use bytes::Bytes;
use mainspring_schemas::{RecordId, StreamName, Timestamp};
use uuid::Uuid;

use super::{EmbeddedLog, Options, name_hash::NameHash};
use crate::{Append, AppendError, EventLog, Expected, NewRecord, StreamAppend};

fn part(stream: u64, expected: Expected, id: u64) -> StreamAppend {
    let record = NewRecord {
        id: RecordId(Uuid::from_u128(id.into())),
        event_type: "test.happened".into(),
        schema_version: 1,
        causation: None,
        trace: None,
        wake_at: None,
        definitions: 0,
        sealed_with: None,
        payload: Bytes::new(),
    };
    StreamAppend { stream: name(stream), expected, records: vec![record] }
}

fn name(stream: u64) -> StreamName {
    StreamName::new(format!("contact-{stream}"))
}

async fn write(log: &EmbeddedLog, streams: Vec<StreamAppend>) -> Result<u64, AppendError> {
    log.append(Append { recorded_at: Timestamp(0), streams }).await.map(|appended| appended.first_position)
}

type Hash = fn(&[u8; 16], &[u8]) -> u64;

/// Two hash values for all names, and one for all names.
const HASHES: [Hash; 2] = [|_, name| u64::from(name.last().is_some_and(|byte| byte % 2 == 0)), |_, _| 7];

#[tokio::test]
async fn streams_that_share_a_hash_are_told_apart_before_and_after_reopening() {
    for function in HASHES {
        for keep_checkpoint in [true, false] {
            let directory = tempfile::tempdir().unwrap();
            let mut options = Options::new(directory.path());
            options.name_hash = NameHash { function };
            options.hot_streams = 2;
            options.segment_bytes = 4 << 10;
            for round in 0..4 {
                let (log, _) = EmbeddedLog::open(options.clone()).unwrap();
                for stream in 0..10 {
                    let expected = if round == 0 { Expected::NoStream } else { Expected::Version(round - 1) };
                    let wrong = write(&log, vec![part(stream, Expected::Version(round), 0)]).await;
                    assert!(matches!(wrong, Err(AppendError::Conflict { .. })));
                    write(&log, vec![part(stream, expected, round * 100 + stream)]).await.unwrap();
                }
                // Two new streams of one hash in one frame.
                let both =
                    vec![10, 11].into_iter().map(|i| part(100 * round + i, Expected::NoStream, i)).collect();
                write(&log, both).await.unwrap();
                for stream in 0..10 {
                    let ids = log.read_stream(&name(stream), 0, 100).await.unwrap();
                    let ids: Vec<_> = ids.iter().map(|record| record.id.0.as_u128() as u64).collect();
                    assert_eq!(ids, (0..=round).map(|round| round * 100 + stream).collect::<Vec<_>>());
                }
                assert_eq!(log.read_stream(&name(99_999), 0, 10).await.unwrap(), []);
                assert_eq!(log.statistics().streams, 10 + 2 * (round + 1));
                log.verify(|_| ()).unwrap();
                log.close();
                if !keep_checkpoint {
                    std::fs::remove_file(directory.path().join("index.checkpoint")).unwrap();
                }
            }
        }
    }
}
