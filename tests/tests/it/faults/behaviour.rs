//! The ways in which a receiver can answer one request, good and bad.

use std::{io, time::Duration};

use tokio::{io::AsyncWriteExt, net::TcpStream};

/// How often a slow receiver says one more byte.
const DRIP: Duration = Duration::from_millis(20);

/// What becomes of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Takes it: 204.
    Take,
    /// Takes it after some interim answers.
    TakeAfterInterim,
    /// Takes it and says more than the announced length.
    TakeAndSayMore,
    /// Answers with a status and nothing else.
    Status(u16),
    /// Sends elsewhere.
    Redirect,
    /// Asks to wait so many seconds.
    Throttle(u16),
    /// Says nothing for ever.
    Hang,
    /// Says nothing and resets the connection.
    Reset,
    /// Resets the connection in the middle of the head of a 200.
    ResetInHead,
    /// Resets the connection in the middle of the body of a 200.
    ResetInBody,
    /// Closes the connection as soon as it is open; a later request of an open one gets no answer.
    CloseAtAccept,
    /// Says the head of a 200 a byte at a time, for longer than anybody waits.
    DripHead,
    /// Says the body of a 200 a byte at a time, for longer than anybody waits.
    DripBody,
    /// Interim answers for ever.
    EndlessInterim,
    /// Bytes that are no HTTP.
    NoHttp,
    /// A status line whose number is none.
    BadStatus,
    /// Headers that never end.
    EndlessHeaders,
    /// A 500 with a body that never ends.
    EndlessBody,
    /// A 200 whose chunks have no readable length.
    BrokenChunks,
    /// A 200 that closes before the announced length.
    ShortBody,
    /// A 200 with two lengths that disagree.
    TwoLengths,
    /// A 500, followed at once by a 200 nobody asked for.
    UnaskedAnswer,
}

/// Whether the connection can serve again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    Again,
    Over,
}

impl Behaviour {
    /// Every way to fail for as long as it lasts, with the class an attempt is recorded under. Missing is
    /// [`Status(410)`](Self::Status), which ends more than an attempt.
    pub const FAULTS: [(Self, &str); 20] = [
        (Self::Status(404), "client_error"),
        (Self::Status(500), "server_error"),
        (Self::Status(503), "server_error"),
        (Self::Redirect, "redirect"),
        (Self::Hang, "timeout"),
        (Self::Reset, "reset"),
        (Self::ResetInHead, "reset"),
        (Self::ResetInBody, "reset"),
        (Self::CloseAtAccept, "reset"),
        (Self::DripHead, "timeout"),
        (Self::DripBody, "timeout"),
        (Self::EndlessInterim, "timeout"),
        (Self::NoHttp, "reset"),
        (Self::BadStatus, "reset"),
        (Self::EndlessHeaders, "reset"),
        (Self::EndlessBody, "server_error"),
        (Self::BrokenChunks, "reset"),
        (Self::ShortBody, "reset"),
        (Self::TwoLengths, "reset"),
        (Self::UnaskedAnswer, "server_error"),
    ];

    /// Whether the sender may believe that the request was taken.
    pub fn takes(self) -> bool {
        matches!(self, Self::Take | Self::TakeAfterInterim | Self::TakeAndSayMore)
    }

    /// Does it.
    pub async fn act(self, stream: &mut TcpStream) -> io::Result<After> {
        match self {
            Self::Take => say(stream, "HTTP/1.1 204 x\r\n\r\n", After::Again).await,
            Self::TakeAfterInterim => {
                let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n";
                stream.write_all(interim.as_bytes()).await?;
                say(stream, "HTTP/1.1 200 x\r\ncontent-length: 2\r\n\r\nok", After::Again).await
            }
            Self::TakeAndSayMore => {
                say(stream, "HTTP/1.1 200 x\r\ncontent-length: 2\r\n\r\nokok, very well", After::Again).await
            }
            Self::Status(status) => {
                say(stream, &format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n"), After::Again).await
            }
            Self::Redirect => {
                // Where it leads, this very receiver would take the request.
                let head = format!("HTTP/1.1 302 x\r\nlocation: http://{}/login\r\n", stream.local_addr()?);
                say(stream, &format!("{head}content-length: 0\r\n\r\n"), After::Again).await
            }
            Self::Throttle(seconds) => {
                let answer = format!("HTTP/1.1 429 x\r\nretry-after: {seconds}\r\ncontent-length: 0\r\n\r\n");
                say(stream, &answer, After::Again).await
            }
            Self::Hang => until_gone(stream).await,
            Self::Reset | Self::CloseAtAccept => reset(stream),
            Self::ResetInHead => reset_after(stream, "HTTP/1.1 200 OK\r\ncontent-le").await,
            Self::ResetInBody => {
                reset_after(stream, "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf of").await
            }
            Self::DripHead => drip(stream, "HTTP/1.1 200 OK\r\nx: ").await,
            Self::DripBody => drip(stream, "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n").await,
            Self::EndlessInterim => endless(stream, "", "HTTP/1.1 100 Continue\r\n\r\n", DRIP).await,
            Self::NoHttp => say(stream, "220 mail.example.com ESMTP\r\n", After::Over).await,
            Self::BadStatus => say(stream, "HTTP/1.1 OK 200\r\n\r\n", After::Over).await,
            Self::EndlessHeaders => {
                let header = format!("x-more: {}\r\n", "x".repeat(1_000));
                endless(stream, "HTTP/1.1 200 OK\r\n", &header, Duration::ZERO).await
            }
            Self::EndlessBody => {
                let head = "HTTP/1.1 500 x\r\ncontent-length: 9999999999999\r\n\r\n";
                endless(stream, head, &"x".repeat(10_000), Duration::ZERO).await
            }
            Self::BrokenChunks => {
                let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nmany\r\nx\r\n0\r\n\r\n";
                say(stream, answer, After::Over).await
            }
            Self::ShortBody => {
                say(stream, "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nok", After::Over).await
            }
            Self::TwoLengths => {
                let head = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok!";
                say(stream, head, After::Over).await
            }
            Self::UnaskedAnswer => {
                let unasked =
                    "HTTP/1.1 500 x\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                say(stream, unasked, After::Again).await
            }
        }
    }
}

async fn say(stream: &mut TcpStream, text: &str, after: After) -> io::Result<After> {
    stream.write_all(text.as_bytes()).await?;
    Ok(after)
}

/// Waits until the other side hangs up, whatever else it says.
async fn until_gone(stream: &mut TcpStream) -> io::Result<After> {
    tokio::io::copy(stream, &mut tokio::io::sink()).await?;
    Ok(After::Over)
}

/// The close that follows is a reset instead of an orderly end.
fn reset(stream: &TcpStream) -> io::Result<After> {
    stream.set_zero_linger()?;
    Ok(After::Over)
}

async fn reset_after(stream: &mut TcpStream, text: &str) -> io::Result<After> {
    stream.write_all(text.as_bytes()).await?;
    // A reset may overtake what was said before it.
    tokio::time::sleep(DRIP).await;
    reset(stream)
}

async fn drip(stream: &mut TcpStream, begin: &str) -> io::Result<After> {
    endless(stream, begin, "x", DRIP).await
}

/// Says the same again and again until the other side has had enough.
async fn endless(stream: &mut TcpStream, begin: &str, more: &str, pause: Duration) -> io::Result<After> {
    stream.write_all(begin.as_bytes()).await?;
    loop {
        stream.write_all(more.as_bytes()).await?;
        tokio::time::sleep(pause).await;
    }
}
