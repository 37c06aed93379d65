//! Against small servers on the loopback, which speak bytes.

use super::*;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Answers every connection with `answer`, and keeps it open when `hang`.
async fn server(answer: &'static [u8], hang: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = vec![0; 4096];
                let _ = socket.read(&mut request).await;
                let _ = socket.write_all(answer).await;
                if hang {
                    std::future::pending::<()>().await;
                }
            });
        }
    });
    address
}

fn get(url: String) -> HttpRequest {
    HttpRequest {
        method: Method::Get,
        url,
        body: None,
        timeout: Duration::from_secs(20),
        max_response: 10,
        trusted: true,
    }
}

#[tokio::test]
async fn an_answer_arrives_whole_with_status_and_retry_after() {
    let address =
        server(b"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 10\r\n\r\n0123456789", false).await;
    let answer = SystemNet::default().fetch(get(format!("http://{address}/"))).await.unwrap();
    assert_eq!((answer.status, answer.retry_after, &answer.body[..]), (429, Some(7), &b"0123456789"[..]));
}

#[tokio::test]
async fn a_long_answer_is_refused_whether_it_says_so_or_not() {
    let net = SystemNet::default();
    for answer in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n01234567\r\n8\r\n01234567\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n",
    ] {
        let address = server(answer, true).await;
        let refused = net.fetch(get(format!("http://{address}/"))).await;
        assert!(matches!(refused, Err(NetError::TooLong(_) | NetError::Unreachable(..))), "{refused:?}");
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up() {
    let address = server(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n0", true).await;
    let request = HttpRequest { timeout: Duration::from_millis(50), ..get(format!("http://{address}/")) };
    let given_up = SystemNet::default().fetch(request).await;
    assert!(matches!(given_up, Err(NetError::Timeout(_))), "{given_up:?}");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    let address = server(
        b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n",
        false,
    )
    .await;
    let answer = SystemNet::default().fetch(get(format!("http://{address}/"))).await.unwrap();
    assert_eq!(answer.status, 302);
}

#[tokio::test]
async fn nobody_there_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = SystemNet::default().fetch(get(format!("http://{address}/"))).await.unwrap_err();
    assert!(matches!(error, NetError::Unreachable(..)), "{error}");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn what_a_stranger_steers_reaches_public_addresses_only() {
    let address = server(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false).await;
    let net = SystemNet::default();
    for url in [
        format!("http://{address}/"),
        "http://127.0.0.1/".to_owned(),
        "http://2130706433/".to_owned(),
        "http://0x7f.1/".to_owned(),
        "https://[::1]/".to_owned(),
        "https://[::ffff:127.0.0.1]/".to_owned(),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "http://localhost/".to_owned(),
        "https://8.8.8.8:8443/".to_owned(),
        "https://user@8.8.8.8/".to_owned(),
        "ftp://8.8.8.8/".to_owned(),
        "file:///etc/passwd".to_owned(),
        "nonsense".to_owned(),
    ] {
        let refused = net.fetch(HttpRequest { trusted: false, ..get(url.clone()) }).await;
        assert!(matches!(refused, Err(NetError::Forbidden(_))), "{url}: {refused:?}");
    }
}

#[test]
fn public_urls_may_be_asked() {
    for url in
        ["http://example.com/", "https://example.com/x", "https://8.8.8.8/", "https://[2606:4700::1111]/"]
    {
        assert!(may_ask(&Url::parse(url).unwrap()), "{url}");
    }
}
