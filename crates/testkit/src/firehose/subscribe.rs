//! A client of `com.atproto.sync.subscribeRepos`.

use super::frame::Frame;
use crate::answer::Answer;
use crate::target::Target;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::Request;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// Its path.
pub const PATH: &str = "/xrpc/com.atproto.sync.subscribeRepos";
/// Silence after which a host counts as hanging.
const SILENCE: Duration = Duration::from_secs(60);
/// Small, so that a thousand subscriptions fit into one test.
const READ_BUFFER: usize = 16 * 1024;
/// Bytes that the system keeps for somebody who reads slowly; it may take more than it is asked for.
const ROOM: u32 = 4 * 1024;

/// An open stream.
#[derive(Debug)]
pub struct Subscription {
    socket: WebSocketStream<TcpStream>,
}

/// A message as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// What it says.
    pub frame: Frame,
    /// Its bytes.
    pub bytes: Bytes,
}

/// How a stream ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Of the close frame; none when the connection was cut without one.
    pub code: Option<u16>,
    /// Of the close frame, or what cut the connection.
    pub reason: String,
}

impl Subscription {
    /// Subscribes, from a cursor or from now on. What was answered instead, when it was no upgrade; of its body, what came
    /// with the head.
    pub async fn connect(target: &Target, cursor: Option<u64>) -> Result<Self, Answer> {
        let query = cursor.map_or_else(String::new, |cursor| format!("?cursor={cursor}"));
        let url = format!("ws://{}{PATH}{query}", target.authority());
        let request = Request::builder()
            .uri(&url)
            .header("Host", target.authority())
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", generate_key())
            .body(())
            .unwrap();
        let stream = TcpStream::connect(target.authority()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER);
        let shake = client_async_with_config(request, stream, Some(config));
        match timeout(SILENCE, shake).await.expect("no answer to the request for an upgrade") {
            Ok((socket, _)) => Ok(Self { socket }),
            Err(Error::Http(response)) => Err(Answer {
                what: format!("GET {url}"),
                status: response.status().as_u16(),
                headers: response.headers().clone(),
                body: response.body().clone().unwrap_or_default().into(),
            }),
            Err(error) => panic!("{url}: {error}"),
        }
    }

    /// Subscribes where nothing stands against it.
    pub async fn open(target: &Target, cursor: Option<u64>) -> Self {
        Self::connect(target, cursor).await.unwrap_or_else(|answer| panic!("no upgrade: {answer}"))
    }

    /// The next frame, or the end. Panics after a minute of silence.
    pub async fn next(&mut self) -> Result<Received, Closed> {
        timeout(SILENCE, self.wait()).await.expect("the stream says nothing although there must be more")
    }

    /// The same, however long it takes.
    pub async fn wait(&mut self) -> Result<Received, Closed> {
        let bytes = self.wait_bytes().await?;
        let frame = Frame::decode(&bytes).unwrap_or_else(|fault| panic!("{fault}: {}", hex(&bytes)));
        Ok(Received { frame, bytes })
    }

    /// The bytes of the next frame, however long it takes.
    pub async fn wait_bytes(&mut self) -> Result<Bytes, Closed> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Binary(bytes))) => return Ok(bytes),
                // Answered by the library.
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(frame))) => {
                    let closed = match frame {
                        Some(frame) => {
                            Closed { code: Some(frame.code.into()), reason: frame.reason.to_string() }
                        }
                        None => Closed { code: None, reason: "a close frame without a code".to_owned() },
                    };
                    // The answer to it. The host may be gone already.
                    let _ = self.socket.flush().await;
                    return Err(closed);
                }
                Some(Ok(other)) => panic!("the stream has binary messages only, not {other:?}"),
                Some(Err(error)) => return Err(Closed { code: None, reason: error.to_string() }),
                None => return Err(Closed { code: None, reason: "the connection ended".to_owned() }),
            }
        }
    }

    /// The next event. Panics when something else comes.
    #[track_caller]
    pub fn event(&mut self) -> impl Future<Output = super::Event> {
        let caller = std::panic::Location::caller();
        async move {
            match self.next().await {
                Ok(Received { frame: Frame::Event(event), .. }) => event,
                other => panic!("{caller}: expected an event, found {other:?}"),
            }
        }
    }

    /// Sends something, which no subscriber has a reason to.
    pub async fn send(&mut self, message: Message) -> Result<(), Error> {
        timeout(SILENCE, self.socket.send(message)).await.expect("the host takes nothing")
    }

    /// Says goodbye and waits for the answer.
    pub async fn close(mut self) {
        let _ = self.socket.close(None).await;
        let rest = async { while self.socket.next().await.is_some_and(|message| message.is_ok()) {} };
        timeout(SILENCE, rest).await.expect("no answer to a close frame");
    }

    /// The connection, for tests that wait for what is below messages.
    pub fn messages(&mut self) -> &mut WebSocketStream<TcpStream> {
        &mut self.socket
    }
}

/// A stream that is read byte by byte, with as little room for more as the system allows.
#[derive(Debug)]
pub struct Trickle {
    stream: TcpStream,
    /// What was read after the handshake.
    read: Vec<u8>,
}

impl Trickle {
    /// Subscribes where nothing stands against it.
    pub async fn connect(target: &Target, cursor: Option<u64>) -> Self {
        let address = lookup_host(target.authority()).await.unwrap().next().expect("an address");
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.unwrap();
        socket.set_recv_buffer_size(ROOM).unwrap();
        let mut stream = socket.connect(address).await.unwrap();
        let query = cursor.map_or_else(String::new, |cursor| format!("?cursor={cursor}"));
        let request = format!(
            "GET {PATH}{query} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n\r\n",
            target.authority(),
            generate_key()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(timeout(SILENCE, stream.read_u8()).await.expect("no answer").unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "), "no upgrade: {}", String::from_utf8_lossy(&head));
        Self { stream, read: Vec::new() }
    }

    /// Reads one byte, as soon as there is one.
    pub async fn read_one(&mut self) {
        let byte = timeout(SILENCE, self.stream.read_u8()).await.expect("the stream says nothing");
        self.read.push(byte.unwrap());
    }

    /// Goes on like everybody else. Nothing that was read is lost.
    pub async fn hurry(self) -> Subscription {
        let config = Some(WebSocketConfig::default().read_buffer_size(READ_BUFFER));
        let Self { stream, read } = self;
        Subscription {
            socket: WebSocketStream::from_partially_read(stream, read, Role::Client, config).await,
        }
    }
}

/// The start of a frame, for messages.
fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes.get(..bytes.len().min(400)).unwrap_or_default())
}
