//! Bytes to the socket, for what no HTTP client would send.

use crate::answer::Answer;
use crate::target::Target;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Silence after which a host counts as hanging.
const SILENCE: Duration = Duration::from_secs(30);

/// Writes `request` and reads one answer, which may come before all is written.
pub async fn exchange(target: &Target, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(target.authority()).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    // A host that has answered may stop reading: what it answered is what counts.
    let write = async {
        let _ = writer.write_all(request).await;
    };
    let read = timeout(SILENCE, read_answer(&mut reader));
    let (_, answer) = tokio::join!(write, read);
    let mut answer = answer.unwrap_or_else(|_| panic!("no answer to {:?}", first_line(request)));
    answer.what = first_line(request);
    answer
}

/// Writes all of `request` before it reads, as simple clients do. The answer must reach them too.
pub async fn write_then_read(target: &Target, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(target.authority()).await.unwrap();
    let line = first_line(request);
    stream.write_all(request).await.unwrap_or_else(|error| panic!("{line} could not be sent: {error}"));
    let answer = timeout(SILENCE, read_answer(&mut stream)).await;
    Answer { what: line, ..answer.expect("no answer") }
}

fn first_line(request: &[u8]) -> String {
    let line = request.split(|byte| *byte == b'\r').next().unwrap_or_default();
    String::from_utf8_lossy(line).into_owned()
}

async fn read_answer(reader: &mut (impl AsyncReadExt + Unpin)) -> Answer {
    let mut bytes = Vec::new();
    loop {
        if let Some(answer) = parse(&bytes) {
            return answer;
        }
        let mut chunk = [0; 4096];
        match reader.read(&mut chunk).await {
            Ok(read) if read > 0 => bytes.extend_from_slice(&chunk[..read]),
            end => panic!("the connection ended with {end:?} after {:?}", String::from_utf8_lossy(&bytes)),
        }
    }
}

/// An answer with a Content-Length, once all of it is there.
fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':')?;
        headers.append(name.parse::<HeaderName>().ok()?, HeaderValue::from_str(value.trim()).ok()?);
    }
    let length: usize =
        headers.get("content-length").map_or(0, |value| value.to_str().unwrap().parse().unwrap());
    let body = bytes.get(end + 4..end + 4 + length)?;
    Some(Answer { what: String::new(), status, headers, body: Bytes::copy_from_slice(body) })
}

/// Writes `request` and closes the connection for good.
pub async fn send_and_hang_up(target: &Target, request: &[u8]) {
    let mut stream = TcpStream::connect(target.authority()).await.unwrap();
    stream.write_all(request).await.unwrap();
}
