//! Files of comma separated values with a head.

use super::{
    file::{BadLine, Place},
    mapping::Mapping,
    row::Row,
};

/// Bytes of a cursor's buffer: rows are read one by one.
const BUFFER: usize = 512;

/// A file cut into its parts.
pub struct Table {
    /// Names of the columns.
    pub head: Vec<String>,
    /// Where the rows are.
    pub places: Vec<Place>,
    /// Rows that are none.
    pub bad: Vec<BadLine>,
}

/// Finds the head of a file and the places of its rows; a row whose quotes span lines is one row.
pub fn split(bytes: &[u8]) -> Result<Table, String> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
    let head = reader.headers().map_err(|error| format!("the head of the file cannot be read: {error}"))?;
    let head: Vec<String> = head.iter().map(|name| name.trim_matches('\u{feff}').trim().to_owned()).collect();
    let (mut places, mut bad) = (Vec::new(), Vec::new());
    let mut record = csv::ByteRecord::new();
    loop {
        let start = reader.position().clone();
        match reader.read_byte_record(&mut record) {
            Ok(false) => return Ok(Table { head, places, bad }),
            Ok(true) => {
                let line = record.position().map_or_else(|| start.line(), csv::Position::line);
                if record.len() == head.len() {
                    places.push(Place::new(line, start.byte(), reader.position().byte()));
                } else {
                    let message = format!("{} cells, the head has {}", record.len(), head.len());
                    bad.push(BadLine { line, message });
                }
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// Reads one row.
pub fn parse(mapping: &Mapping, bytes: &[u8]) -> Result<Row, String> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .buffer_capacity(BUFFER)
        .from_reader(bytes);
    let mut cells = csv::StringRecord::new();
    match reader.read_record(&mut cells) {
        Ok(_) => mapping.row(&cells),
        Err(_) => Err("the row is no UTF-8 text".to_owned()),
    }
}
