//! The one place that prints: data on stdout, everything else on stderr.

use std::{
    fmt::Display,
    io::{IsTerminal, Write},
};

use serde::Serialize;

/// Whether stderr is a terminal, so that bars and colours make sense there.
pub fn on_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// A line of data on stdout. A reader that went away ends the process quietly, as it does for other tools.
pub fn data(line: impl Display) {
    if let Err(error) = writeln!(std::io::stdout().lock(), "{line}") {
        let gone = error.kind() == std::io::ErrorKind::BrokenPipe;
        std::process::exit(i32::from(!gone));
    }
}

/// A document of data on stdout, on one line.
pub fn document(value: &impl Serialize) -> anyhow::Result<()> {
    data(serde_json::to_string(value)?);
    Ok(())
}

/// A line for people on stderr.
pub fn notice(line: impl Display) {
    // Nobody is left to be told if this fails.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Why the command failed, on stderr.
pub fn failure(error: &anyhow::Error) {
    notice(format_args!("error: {error:#}"));
}

/// A table for people on stdout: a head, then rows.
pub fn table<const N: usize>(head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(head);
    for row in rows {
        table.add_row(row);
    }
    for line in table.lines() {
        data(line.trim_end());
    }
}
