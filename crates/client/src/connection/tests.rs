//! Against a scripted service: what is repeated, what is not, and what is learned in between.

use super::*;
use crate::clock;
use crate::fake_server::{Answer, FakeServer, ok};
use crate::keys::{AgentKey, Alg};
use serde_json::{Value, json};

const PROOF_REFUSED: &str = "401 Unauthorized\r\nWWW-Authenticate: DPoP error=\"invalid_dpop_proof\"";

async fn serve(script: Vec<Answer>) -> (FakeServer, Connection) {
    let server = FakeServer::start(script).await;
    let key = AgentKey::generate(Alg::EdDsa).await.unwrap();
    let retry =
        Retry { attempts: 4, first_wait: Duration::from_millis(1), longest_wait: Duration::from_millis(5) };
    let connection = Connection::new(Origin::parse(&server.url).unwrap(), Prover::new(key), retry).unwrap();
    (server, connection)
}

fn read(connection: &Connection) -> Request {
    Request::get(connection.origin.url("/xrpc/a.b.c"), Proof::None)
}

fn write(connection: &Connection) -> Request {
    let proof = Proof::Token("token".into());
    Request::post(connection.origin.url("/xrpc/a.b.c"), &json!({ "x": 1 }), proof).unwrap()
}

fn refuse(head: &'static str, error: &str, message: &str) -> Answer {
    Answer::Http(head, json!({ "error": error, "message": message }).to_string())
}

#[tokio::test]
async fn a_read_is_tried_again_while_the_server_is_away_or_busy() {
    let script = vec![Answer::Http("503 Busy", String::new()), Answer::HangUp, ok(&json!({ "a": 1 }))];
    let (server, connection) = serve(script).await;
    let body = connection.call(&read(&connection), 100).await.unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), json!({ "a": 1 }));
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn a_read_is_given_up_in_the_end() {
    let script = (0..5).map(|_| refuse("503 Busy", "Overloaded", "later")).collect();
    let (server, connection) = serve(script).await;
    let error = connection.call(&read(&connection), 100).await.unwrap_err();
    assert_eq!((error.status(), error.xrpc_name()), (Some(503), Some("Overloaded")));
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_not_sent_again() {
    for answer in [Answer::HangUp, Answer::Http("503 Busy", String::new())] {
        let (server, connection) = serve(vec![answer, ok(&json!({}))]).await;
        let error = connection.call(&write(&connection), 100).await.unwrap_err();
        assert!(
            matches!(error, Error::Transport { sent: true, .. } | Error::Xrpc { status: 503, .. }),
            "{error}"
        );
        assert_eq!(server.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_write_that_lacks_the_nonce_is_sent_again_with_it() {
    let head = "401 Unauthorized\r\nDPoP-Nonce: n1\r\nWWW-Authenticate: DPoP error=\"use_dpop_nonce\"";
    let (server, connection) = serve(vec![Answer::Http(head, String::new()), ok(&json!({}))]).await;
    connection.call(&write(&connection), 100).await.unwrap();
    let [first, second] = [&server.seen()[0], &server.seen()[1]].map(crate::fake_server::Seen::proof);
    assert_eq!((first.get("nonce"), &second["nonce"]), (None, &json!("n1")));
    assert_ne!(first["jti"], second["jti"]);
    assert_eq!(server.seen()[1].body, br#"{"x":1}"#);
}

#[tokio::test]
async fn a_wrong_clock_is_put_right_by_the_servers_date() {
    let head = "401 Unauthorized\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
                WWW-Authenticate: DPoP error=\"invalid_dpop_proof\"";
    let (server, connection) =
        serve(vec![refuse(head, "invalid_dpop_proof", "too old"), ok(&json!({}))]).await;
    connection.call(&write(&connection), 100).await.unwrap();
    let iat = server.seen()[1].proof()["iat"].as_i64().unwrap();
    assert!((784_111_777..784_111_777 + 60).contains(&iat), "{iat}");
    assert!((server.seen()[0].proof()["iat"].as_i64().unwrap() - clock::now()).abs() < 60);
}

#[tokio::test]
async fn a_refused_proof_gets_one_second_chance_only() {
    let restarted =
        || refuse(PROOF_REFUSED, "invalid_dpop_proof", "too old to tell whether it was used before");
    let (server, connection) = serve(vec![restarted(), restarted(), ok(&json!({}))]).await;
    let error = connection.call(&write(&connection), 100).await.unwrap_err();
    assert_eq!(error.status(), Some(401));
    let iat = |i: usize| server.seen()[i].proof()["iat"].as_i64().unwrap();
    assert!(iat(1) > iat(0), "the second proof is of a later second");
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_proof_refused_for_good_is_not_sent_again() {
    let (server, connection) = serve(vec![refuse(PROOF_REFUSED, "invalid_dpop_proof", "wrong htu")]).await;
    assert_eq!(connection.call(&write(&connection), 100).await.unwrap_err().status(), Some(401));
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn changed_terms_are_told_apart() {
    let (server, connection) = serve(vec![refuse("401 Unauthorized", "tos_changed", "read them")]).await;
    let error = connection.call(&write(&connection), 100).await.unwrap_err();
    assert!(matches!(error, Error::TermsChanged { .. }), "{error}");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_signed_request_carries_token_and_proof_for_the_url_without_its_query() {
    let (server, connection) = serve(vec![ok(&json!({}))]).await;
    let mut request = Request::get(connection.origin.url("/xrpc/a.b.c"), Proof::Token("token".into()));
    request.url.set_query(Some("x=1"));
    connection.call(&request, 100).await.unwrap();
    let seen = &server.seen()[0];
    assert!(seen.head.starts_with("GET /xrpc/a.b.c?x=1 "));
    assert_eq!(seen.header("authorization"), Some("DPoP token"));
    let proof = seen.proof();
    assert_eq!((&proof["htm"], &proof["htu"]), (&json!("GET"), &json!(format!("{}/xrpc/a.b.c", server.url))));
    assert!(proof["ath"].is_string());
}

#[tokio::test]
async fn answers_are_bounded_and_redirects_not_followed() {
    let moved = Answer::Http("301 Moved\r\nLocation: http://elsewhere.example/", String::new());
    let (_server, connection) = serve(vec![Answer::Http("200 OK", "x".repeat(101)), moved]).await;
    let too_long = connection.call(&read(&connection), 100).await.unwrap_err();
    assert!(too_long.to_string().contains("longer than 100"), "{too_long}");
    let redirected = connection.call(&read(&connection), 100).await.unwrap_err();
    assert!(redirected.to_string().contains("http://elsewhere.example/"), "{redirected}");
}

#[tokio::test]
async fn nobody_listening_is_told_as_such() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let key = AgentKey::generate(Alg::EdDsa).await.unwrap();
    let connection = Connection::new(Origin::parse(&url).unwrap(), Prover::new(key), Retry::never()).unwrap();
    let error = connection.call(&write(&connection), 100).await.unwrap_err();
    assert!(matches!(error, Error::Transport { sent: false, .. }), "{error}");
    assert!(error.to_string().contains("Is the service running"), "{error}");
}
