//! What the process has used: seconds of processors by thread name, and memory.

use std::{collections::BTreeMap, fs};

/// Clock ticks per second in `/proc`, on every Linux of today.
const TICKS: f64 = 100.0;

/// Seconds of processors by thread name, threads that ended left out.
#[derive(Clone, Debug, Default)]
pub struct Used(BTreeMap<String, f64>);

impl Used {
    /// What all threads have used so far.
    pub fn now() -> Self {
        let mut used = BTreeMap::new();
        let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        for stat in threads.filter_map(|thread| fs::read_to_string(thread.path().join("stat")).ok()) {
            if let Some((name, seconds)) = read(&stat) {
                *used.entry(name).or_default() += seconds;
            }
        }
        Self(used)
    }

    /// What was used since, most first, as text.
    pub fn since(&self, earlier: &Self) -> String {
        let spent = |(name, now): (&String, &f64)| {
            let before = earlier.0.get(name).copied().unwrap_or_default();
            (name.clone(), now - before)
        };
        let mut spent: Vec<_> = self.0.iter().map(spent).filter(|(_, seconds)| *seconds >= 0.05).collect();
        spent.sort_by(|one, other| other.1.total_cmp(&one.1));
        let words: Vec<String> =
            spent.into_iter().map(|(name, seconds)| format!("{name} {seconds:.1}")).collect();
        words.join(", ")
    }
}

/// The group of a thread and what it used, from a line of `/proc/self/task/*/stat`.
fn read(stat: &str) -> Option<(String, f64)> {
    let (before, after) = stat.rsplit_once(") ")?;
    let name = before.split_once(" (")?.1;
    let mut fields = after.split(' ').skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    // Workers of the server and shards are threads of the same kind.
    let name = if name.starts_with("actix-rt") { "edge and shards" } else { name };
    Some((name.to_owned(), (user + system) / TICKS))
}

/// Resident memory in bytes.
pub fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kibibytes.unwrap_or_default() * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_thread() {
        let line = "12 (actix-rt|sys-1) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0";
        assert_eq!(read(line), Some(("edge and shards".to_owned(), 2.0)));
        assert!(resident() > 0);
    }
}
