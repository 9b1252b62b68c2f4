//! As little HTTP/1.1 as a measurement needs: a message is a head, and as many bytes as `content-length` says.

use std::io;

use tokio::{io::AsyncReadExt, net::TcpStream};

/// Bytes read at a time.
const PAGE: usize = 16 * 1024;

/// Reads messages off one connection, one after the other.
#[derive(Debug)]
pub struct Messages {
    buffer: Vec<u8>,
    filled: usize,
    /// Length of the message shown last.
    used: usize,
}

/// One message.
#[derive(Debug)]
pub struct Message<'b> {
    /// The head, with its empty line.
    pub head: &'b [u8],
    /// The body.
    pub body: &'b [u8],
}

impl Message<'_> {
    /// The status, if it is an answer.
    pub fn status(&self) -> Option<u16> {
        std::str::from_utf8(self.head.get(9..12)?).ok()?.parse().ok()
    }
}

impl Default for Messages {
    fn default() -> Self {
        Self { buffer: vec![0; PAGE], filled: 0, used: 0 }
    }
}

impl Messages {
    /// The next message; `None` if the other side is through.
    pub async fn next(&mut self, stream: &mut TcpStream) -> io::Result<Option<Message<'_>>> {
        self.buffer.copy_within(self.used..self.filled, 0);
        self.filled -= self.used;
        self.used = 0;
        let mut head = None;
        loop {
            if head.is_none() {
                head = head_end(&self.buffer[..self.filled])
                    .map(|end| (end, end + content_length(&self.buffer[..end])));
            }
            if let Some((head, whole)) = head
                && self.filled >= whole
            {
                self.used = whole;
                return Ok(Some(Message { head: &self.buffer[..head], body: &self.buffer[head..whole] }));
            }
            if self.filled == self.buffer.len() {
                self.buffer.resize(self.buffer.len() * 2, 0);
            }
            let read = stream.read(&mut self.buffer[self.filled..]).await?;
            if read == 0 {
                return Ok(None);
            }
            self.filled += read;
        }
    }
}

/// Where the head ends, its empty line included.
fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

/// What the head says about its body; none if it says nothing.
fn content_length(head: &[u8]) -> usize {
    const NAME: &[u8] = b"content-length:";
    let line = head
        .split(|byte| *byte == b'\n')
        .find(|line| line.len() > NAME.len() && line[..NAME.len()].eq_ignore_ascii_case(NAME));
    let digits = line.map(|line| line[NAME.len()..].trim_ascii()).unwrap_or_default();
    digits
        .iter()
        .filter(|byte| byte.is_ascii_digit())
        .fold(0, |sum, byte| sum * 10 + usize::from(byte - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read() {
        let text = b"HTTP/1.1 202 Accepted\r\nContent-Length: 17\r\n\r\n{";
        assert_eq!(head_end(text), Some(45));
        assert_eq!(content_length(&text[..45]), 17);
        assert_eq!(content_length(b"GET / HTTP/1.1\r\n\r\n"), 0);
        assert_eq!(Message { head: text, body: b"" }.status(), Some(202));
    }
}
