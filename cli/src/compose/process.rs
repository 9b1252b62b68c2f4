//! The process itself, for metrics (HE-06): as Linux tells it, and nothing where there is no `/proc`.

use std::{fmt, fs};

use mainspring_http::Text;

/// Writes memory and open files.
///
/// # Errors
/// If the text cannot grow.
pub fn measure(text: &mut Text<'_>) -> fmt::Result {
    if let Some(bytes) = fs::read_to_string("/proc/self/status").ok().and_then(|status| resident(&status)) {
        text.gauge("process_resident_memory_bytes", "Memory of the process", bytes)?;
    }
    match fs::read_dir("/proc/self/fd") {
        Ok(files) => text.gauge("process_open_fds", "Open files of the process", files.count() as u64),
        Err(_) => Ok(()),
    }
}

/// Bytes of memory in use, out of `/proc/self/status`.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn he_06_memory_is_read_as_the_kernel_writes_it() {
        assert_eq!(resident("Name:\tx\nVmRSS:\t    2016 kB\nThreads:\t1\n"), Some(2016 * 1024));
        assert_eq!(resident("Name:\tx\n"), None);
    }
}
