//! Smoke.
use mainspring_eventlog::embedded::*;
use mainspring_eventlog::*;
use mainspring_schemas::*;
#[tokio::test]
async fn smoke() {
    let d = tempfile::tempdir().unwrap();
    let (log, _) = EmbeddedLog::open(Options::new(d.path())).unwrap();
    for i in 0..10u64 {
        let a = Append {
            recorded_at: Timestamp(1),
            streams: vec![StreamAppend {
                stream: StreamName::new("a-1"),
                expected: if i == 0 { Expected::NoStream } else { Expected::Version(i - 1) },
                records: vec![NewRecord {
                    id: RecordId(uuid::Uuid::from_u128(i.into())),
                    event_type: "x".into(),
                    schema_version: 1,
                    causation: None,
                    trace: None,
                    wake_at: None,
                    definitions: 0,
                    sealed_with: None,
                    payload: vec![1, 2, 3].into(),
                }],
            }],
        };
        assert_eq!(log.append(a).await.unwrap().first_position, i);
    }
    assert_eq!(log.read_all(0, 100).await.unwrap().len(), 10);
    assert_eq!(log.read_stream(&StreamName::new("a-1"), 3, 4).await.unwrap().len(), 4);
    log.close();
    let (log, r) = EmbeddedLog::open(Options::new(d.path())).unwrap();
    assert!(r.used_checkpoint);
    assert_eq!(log.verify(|_| ()).unwrap().records, 10);
}
