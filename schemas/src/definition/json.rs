//! JSON as a document. The grammar is checked by `serde_json`, whose errors read well; the places are found here.

use crate::criteria::{
    Number,
    document::{Data, Mark, Member, Node},
    reader::Reader,
};

/// The document of a text; `None` if it cannot be parsed.
pub(super) fn parse(reader: &mut Reader, text: &str) -> Option<Node> {
    if let Err(error) = serde_json::from_str::<serde_json::Value>(text) {
        let at = Mark { line: error.line(), column: error.column() };
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        reader.error(at, "", format!("not JSON: {message}"), None);
        return None;
    }
    Scanner { text, at: 0, line: 1, line_start: 0 }.value()
}

/// Walks a text that is known to be JSON. `None` never happens then; it only spares a panic.
struct Scanner<'t> {
    text: &'t str,
    at: usize,
    line: usize,
    line_start: usize,
}

impl Scanner<'_> {
    fn value(&mut self) -> Option<Node> {
        let first = self.peek()?;
        let at = self.mark();
        let data = match first {
            b'{' => Data::Map(self.members()?),
            b'[' => Data::List(self.elements()?),
            b'"' => Data::Text(self.string()?),
            _ => self.word()?,
        };
        Some(Node { at, data })
    }

    fn members(&mut self) -> Option<Vec<Member>> {
        let mut members = Vec::new();
        self.at += 1;
        loop {
            match self.peek()? {
                b'}' => break,
                b'"' => {
                    let at = self.mark();
                    let key = self.string()?;
                    // The colon.
                    self.peek()?;
                    self.at += 1;
                    members.push(Member { key, at, value: self.value()? });
                }
                _ => self.at += 1,
            }
        }
        self.at += 1;
        Some(members)
    }

    fn elements(&mut self) -> Option<Vec<Node>> {
        let mut elements = Vec::new();
        self.at += 1;
        loop {
            match self.peek()? {
                b']' => break,
                b',' => self.at += 1,
                _ => elements.push(self.value()?),
            }
        }
        self.at += 1;
        Some(elements)
    }

    fn string(&mut self) -> Option<String> {
        let rest = &self.text[self.at..];
        let mut escaped = true;
        let end = rest.bytes().position(|byte| {
            let closes = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            closes
        })?;
        self.at += end + 1;
        serde_json::from_str(&rest[..=end]).ok()
    }

    /// A number, `true`, `false` or `null`.
    fn word(&mut self) -> Option<Data> {
        let rest = &self.text[self.at..];
        let end =
            rest.bytes().position(|byte| matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r'));
        let word = &rest[..end.unwrap_or(rest.len())];
        self.at += word.len();
        Some(match word {
            "null" => Data::Null,
            "true" => Data::Bool(true),
            "false" => Data::Bool(false),
            number => Data::Number(serde_json::from_str::<Number>(number).ok()?),
        })
    }

    /// The next byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.text.as_bytes().get(self.at)? {
                b'\n' => {
                    self.at += 1;
                    self.line += 1;
                    self.line_start = self.at;
                }
                b' ' | b'\t' | b'\r' => self.at += 1,
                byte => return Some(*byte),
            }
        }
    }

    fn mark(&self) -> Mark {
        Mark { line: self.line, column: self.text[self.line_start..self.at].chars().count() + 1 }
    }
}
