//! Reading a whole log once, in order, for commands that tell about the past.

use mainspring_eventlog::{EventLog, Recorded};

use crate::progress::Progress;

/// Records read at a time.
const PAGE: usize = 4096;

/// Shows every record to `see`, in order of the log.
pub async fn each_record(
    log: &dyn EventLog,
    bar: &mut Progress,
    mut see: impl FnMut(&Recorded) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let end = log.durable_end();
    let mut next = 0;
    while next < end {
        let records = log.read_all(next, PAGE).await?;
        let Some(last) = records.last() else { break };
        next = last.position + 1;
        records.iter().try_for_each(&mut see)?;
        bar.set(next, end);
    }
    Ok(())
}
