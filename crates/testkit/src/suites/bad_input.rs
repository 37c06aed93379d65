//! What strangers send. Each is refused with a reason, and the repo's head is what it was.

use crate::agent::{APPLY, CREATE, DELETE, PUT, TestAgent, Written, record};
use crate::answer::Answer;
use crate::keys::unique;
use crate::target::Target;
use rookery_atproto::data::{Cid, cbor, json as atproto_json};
use serde_json::{Value, json};

/// Where the record `there` of a [`Watched`] agent is.
pub(super) const NOTE: &str = "com.example.bad";
const JSON: &str = "application/json";

/// An agent whose repo must stay as it is.
pub(super) struct Watched {
    pub(super) agent: TestAgent,
    pub(super) head: (String, String),
}

impl Watched {
    pub(super) async fn new(target: &Target) -> Self {
        let agent = TestAgent::enroll(target).await;
        agent.put(NOTE, "there", json!({"n": 1})).await;
        let head = agent.head().await;
        Self { agent, head }
    }

    /// Asserts a refusal without effect.
    pub(super) async fn unchanged(&self, what: &str, answer: &Answer, status: u16, name: &str) {
        assert_eq!((answer.status, answer.error().as_str()), (status, name), "{what}: {answer}");
        assert!(!answer.message().is_empty(), "{what}: {answer}");
        assert_eq!(self.agent.head().await, self.head, "{what} changed the repo");
    }

    /// A body of `createRecord` whose record has this text in it.
    pub(super) fn body(&self, member: &str) -> Vec<u8> {
        let did = &self.agent.did;
        format!(r#"{{"repo":"{did}","collection":"{NOTE}","record":{{"$type":"{NOTE}","x":{member}}}}}"#)
            .into()
    }
}

/// Broken, cut, of the wrong type, in the wrong encoding.
pub async fn bodies_that_are_not_json_change_nothing(target: &Target) {
    let watched = Watched::new(target).await;
    let good = String::from_utf8(watched.body("1")).unwrap();
    let twice = |member: &str| good.replacen('{', &format!("{{{member},"), 1).into_bytes();
    let latin1 =
        watched.body("\"?\"").into_iter().map(|byte| if byte == b'?' { 0xe9 } else { byte }).collect();
    let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let table: [(&str, Vec<u8>); 21] = [
        ("nothing", Vec::new()),
        ("white space", b" \n".to_vec()),
        ("cut", good.as_bytes()[..good.len() - 1].to_vec()),
        ("a brace", b"{".to_vec()),
        ("more after the end", format!("{good}{{}}").into()),
        ("a comma too many", good.replace("}}", ",}}").into()),
        ("single quotes", good.replace('"', "'").into()),
        ("a comment", format!("/* */{good}").into()),
        ("a byte order mark", format!("\u{feff}{good}").into()),
        ("an array", b"[]".to_vec()),
        ("a string", b"\"x\"".to_vec()),
        ("null", b"null".to_vec()),
        ("a form", b"repo=x&collection=y".to_vec()),
        ("the same name twice", twice("\"collection\":\"com.example.other\"")),
        ("the same name twice in the record", watched.body("1,\"x\":2")),
        ("the same name twice, escaped", watched.body("1,\"\\u0078\":2")),
        ("invalid UTF-8", latin1),
        ("UTF-16", utf16),
        ("a bare NUL", watched.body("\"\u{0}\"")),
        ("a bare newline in text", watched.body("\"\n\"")),
        ("half a surrogate pair", watched.body("\"\\ud800\"")),
    ];
    for (what, body) in table {
        for nsid in [CREATE, PUT, DELETE, APPLY] {
            let answer = watched.agent.post(nsid, JSON, body.clone()).await;
            watched.unchanged(what, &answer, 400, "InvalidRequest").await;
        }
    }
    for content_type in [
        "",
        "text/plain",
        "application/cbor",
        "application/jsonx",
        "application/x-www-form-urlencoded",
        "json",
    ] {
        let answer = watched.agent.post(CREATE, content_type, good.clone()).await;
        watched.unchanged(content_type, &answer, 400, "InvalidRequest").await;
    }
    for content_type in ["application/json; charset=utf-8", "APPLICATION/JSON"] {
        watched.agent.post(CREATE, content_type, good.clone()).await.ok();
    }
}

/// Numbers that are no 64-bit integers, links that are no CIDs, blobs that are none.
pub async fn values_outside_the_data_model_change_nothing(target: &Target) {
    let watched = Watched::new(target).await;
    let cid = Cid::raw(b"x").to_string();
    let blob = |member: &str, value: Value| {
        let mut blob = json!({"$type": "blob", "ref": {"$link": cid}, "mimeType": "image/png", "size": 4});
        blob[member] = value;
        blob.to_string()
    };
    let dag = Cid::dag_cbor(b"x").to_string();
    let table = [
        "1.5".to_owned(),
        "1e3".to_owned(),
        "1.0e0".to_owned(),
        "1E-400".to_owned(),
        "NaN".to_owned(),
        "Infinity".to_owned(),
        "-Infinity".to_owned(),
        "9223372036854775808".to_owned(),
        "-9223372036854775809".to_owned(),
        format!("1{}", "0".repeat(400)),
        "01".to_owned(),
        "+1".to_owned(),
        "0x10".to_owned(),
        r#"{"$link":"x"}"#.to_owned(),
        r#"{"$link":""}"#.to_owned(),
        r#"{"$link":5}"#.to_owned(),
        r#"{"$link":null}"#.to_owned(),
        r#"{"$link":"QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n"}"#.to_owned(),
        format!(r#"{{"$link":"{}"}}"#, cid.to_uppercase()),
        format!(r#"{{"$link":"{}"}}"#, &cid[..cid.len() - 1]),
        format!(r#"{{"$link":"{cid}","other":1}}"#),
        r#"{"$bytes":"*"}"#.to_owned(),
        r#"{"$bytes":5}"#.to_owned(),
        r#"{"$bytes":[1,2]}"#.to_owned(),
        r#"{"$bytes":"AAAA","other":1}"#.to_owned(),
        r#"{"$type":""}"#.to_owned(),
        r#"{"$type":5}"#.to_owned(),
        r#"{"$type":null}"#.to_owned(),
        blob("ref", json!(cid)),
        blob("ref", Value::Null),
        blob("ref", json!({"$link": dag})),
        blob("size", json!("4")),
        blob("size", json!(-4)),
        blob("size", Value::Null),
        blob("mimeType", Value::Null),
        blob("mimeType", json!("")),
        blob("other", json!(1)),
        format!(r#"{{"cid":"{cid}","mimeType":"image/png"}}"#),
    ];
    for value in table {
        for value in [value.clone(), format!("[{{\"deep\":{value}}}]")] {
            let answer = watched.agent.post(CREATE, JSON, watched.body(&value)).await;
            watched.unchanged(&value, &answer, 400, "InvalidRequest").await;
        }
    }
    // A fraction of zeros is an integer, as the protocol's own test vectors have it.
    for (good, stored) in [
        ("9223372036854775807", i64::MAX),
        ("-9223372036854775808", i64::MIN),
        ("0", 0),
        ("-0", 0),
        ("1.0", 1),
    ] {
        let written = Written::of(&watched.agent.post(CREATE, JSON, watched.body(good)).await);
        assert_eq!(watched.agent.get(NOTE, written.rkey()).await.ok()["value"]["x"], stored, "{good}");
    }
}

/// NSIDs, record keys, DIDs and handles, in bodies and in queries.
pub async fn names_that_break_the_syntax_change_nothing(target: &Target) {
    let watched = Watched::new(target).await;
    let long = "x".repeat(600);
    let long_nsid = format!("com.{}.note", "x".repeat(320));
    let table: [(&str, &[&str]); 3] = [
        (
            "collection",
            &[
                "",
                "note",
                "com.example",
                "com.example.",
                ".com.example.note",
                "com..note",
                "com.example.no-te",
                "com.example.note/x",
                "com.example.*",
                "com.exam ple.note",
                "com.example.n\u{f6}te",
                "com.example.note\u{0}",
                "..",
                "../../etc",
                "1com.example.note",
                "com.example.4note",
                &long_nsid,
            ],
        ),
        (
            "rkey",
            &[
                "", ".", "..", "a/b", "../x", "a b", "a\u{0}", "\u{0}", "\u{e9}", "a#b", "a?b", "a%2Fb", "@",
                "a\\b", "\n", &long,
            ],
        ),
        (
            "repo",
            &[
                "",
                "alice",
                "did:",
                "did:plc",
                "did:PLC:abc",
                "did:plc:a/b",
                "did:plc:\u{0}",
                "..",
                "../x",
                "-a.test",
                "a..test",
                "a_b.test",
                "alice.test\u{0}",
                "@alice.test",
                "at://alice.test",
                &long,
            ],
        ),
    ];
    for (member, values) in table {
        for value in values {
            let mut input = json!({"repo": watched.agent.did, "collection": NOTE, "rkey": "there"});
            input[member] = (*value).into();
            for nsid in [CREATE, PUT, DELETE] {
                let mut input = input.clone();
                let type_ = input["collection"].as_str().unwrap().to_owned();
                input["record"] = record(&type_, json!({}));
                let answer = watched.agent.call(nsid, input).await;
                watched.unchanged(&format!("{member} {value:?}"), &answer, 400, "InvalidRequest").await;
            }
            let params: Vec<_> =
                ["repo", "collection", "rkey"].map(|name| (name, input[name].as_str().unwrap())).into();
            let answer = target.query("com.atproto.repo.getRecord", &params).await;
            watched.unchanged(&format!("{member} {value:?}"), &answer, 400, "InvalidRequest").await;
            if member != "rkey" {
                let answer = target.query("com.atproto.repo.listRecords", &params[..2]).await;
                watched.unchanged(&format!("{member} {value:?}"), &answer, 400, "InvalidRequest").await;
            }
        }
    }
    for member in ["repo", "collection", "rkey"] {
        for value in [Value::Null, json!(5), json!(["x"]), json!({})] {
            let mut input = json!({"repo": watched.agent.did, "collection": NOTE, "rkey": "new", "record": record(NOTE, json!({}))});
            input[member] = value;
            if input["repo"].is_null() {
                input["repo"] = json!(false);
            }
            let answer = watched.agent.call(PUT, input.clone()).await;
            watched.unchanged(&input.to_string(), &answer, 400, "InvalidRequest").await;
        }
    }
}

/// No record, no object, no `$type`, another `$type`.
pub async fn records_of_the_wrong_type_change_nothing(target: &Target) {
    let watched = Watched::new(target).await;
    let records = [
        Value::Null,
        json!("text"),
        json!(5),
        json!([]),
        json!({}),
        json!({"text": "no type"}),
        json!({"$type": ""}),
        json!({"$type": 5}),
        json!({"$type": null}),
        json!({"$type": "com.example.other"}),
        json!({"$type": format!("{NOTE}#main")}),
        json!({"$type": NOTE.to_uppercase()}),
        json!({"$type": {"$link": Cid::raw(b"x").to_string()}}),
        json!({"$link": Cid::raw(b"x").to_string()}),
        json!({"$bytes": "AAAA"}),
    ];
    for record in records {
        for nsid in [CREATE, PUT] {
            let input = json!({"collection": NOTE, "rkey": "k", "record": record});
            let answer = watched.agent.call(nsid, input).await;
            watched.unchanged(&record.to_string(), &answer, 400, "InvalidRequest").await;
        }
    }
    let answer = watched.agent.call(CREATE, json!({"collection": NOTE})).await;
    watched.unchanged("no record", &answer, 400, "InvalidRequest").await;
    let input = json!({"collection": NOTE, "rkey": "k", "record": {"$type": "com.example.other"}});
    let answer = watched.agent.call(CREATE, input).await;
    let words = format!("Invalid $type: expected {NOTE}, got com.example.other");
    assert!(answer.message().contains(&words), "{answer}");
}

/// 64 levels, 1,000,000 bytes of DAG-CBOR, 200 writes, a commit's 2,000,000 bytes.
pub async fn sizes_and_depths_are_bounded(target: &Target) {
    let watched = Watched::new(target).await;
    let nested = |open: &str, close: &str, levels: usize| {
        watched.body(&format!("{}1{}", open.repeat(levels), close.repeat(levels)))
    };
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        for levels in [64, 65, 70, 500, 20_000] {
            let answer = watched.agent.post(CREATE, JSON, nested(open, close, levels)).await;
            watched.unchanged(&format!("{levels} levels of {open}"), &answer, 400, "InvalidRequest").await;
        }
    }
    let answer = watched.agent.post(CREATE, JSON, "[".repeat(100_000)).await;
    watched.unchanged("brackets only", &answer, 400, "InvalidRequest").await;

    let sized = |bytes: usize| {
        let empty = record(NOTE, json!({"text": "x".repeat(500_000)})).to_string();
        let overhead = cbor::encode(&atproto_json::parse(empty.as_bytes(), 64).unwrap()).len() - 500_000;
        json!({"collection": NOTE, "rkey": "large", "record": record(NOTE, json!({"text": "x".repeat(bytes - overhead)}))})
    };
    let answer = watched.agent.call(CREATE, sized(1_000_001)).await;
    watched.unchanged("a record that is too large", &answer, 400, "InvalidRequest").await;
    let large = |rkey: &str| {
        json!({"$type": "com.atproto.repo.applyWrites#create", "collection": NOTE, "rkey": rkey,
               "value": record(NOTE, json!({"text": rkey.repeat(700_000)}))})
    };
    let answer = watched.agent.call(APPLY, json!({"writes": [large("a"), large("b"), large("c")]})).await;
    watched.unchanged("a commit that is too large", &answer, 400, "InvalidRequest").await;
    let writes =
        vec![json!({"$type": "com.atproto.repo.applyWrites#delete", "collection": NOTE, "rkey": "x"}); 201];
    let answer = watched.agent.call(APPLY, json!({"writes": writes})).await;
    watched.unchanged("201 writes", &answer, 400, "InvalidRequest").await;

    // At the limit all is well.
    watched.agent.post(CREATE, JSON, nested("[", "]", 63)).await.ok();
    let written = Written::of(&watched.agent.call(CREATE, sized(1_000_000)).await);
    assert_eq!(watched.agent.get(NOTE, "large").await.ok()["cid"], written.cid);
}

/// The same key twice, and what belongs to somebody else.
pub async fn existing_records_and_foreign_repos_are_left_alone(target: &Target) {
    let watched = Watched::new(target).await;
    let input = json!({"collection": NOTE, "rkey": "there", "record": record(NOTE, json!({"n": 2}))});
    let answer = watched.agent.call(CREATE, input).await;
    watched.unchanged("the same key", &answer, 409, "RecordAlreadyExists").await;
    // Also when it would be the very same record.
    let input = json!({"collection": NOTE, "rkey": "there", "record": record(NOTE, json!({"n": 1}))});
    let answer = watched.agent.call(CREATE, input).await;
    watched.unchanged("the same record", &answer, 409, "RecordAlreadyExists").await;

    let intruder = TestAgent::enroll(target).await;
    let own = intruder.head().await;
    for repo in [watched.agent.did.clone(), watched.agent.handle.clone(), watched.agent.handle.to_uppercase()]
    {
        let put = json!({"repo": repo, "collection": NOTE, "rkey": "there", "record": record(NOTE, json!({"n": 3}))});
        let apply = json!({"repo": repo, "writes": [
            {"$type": "com.atproto.repo.applyWrites#delete", "collection": NOTE, "rkey": "there"}
        ]});
        for (nsid, input) in [(CREATE, &put), (PUT, &put), (DELETE, &put), (APPLY, &apply)] {
            let answer = intruder.call(nsid, input.clone()).await;
            watched.unchanged(&format!("{nsid} by another agent"), &answer, 403, "Forbidden").await;
        }
    }
    let nobody = format!("{}{}", unique(), target.handle_domain().await);
    for repo in ["did:plc:aaaaaaaaaaaaaaaaaaaaaaaa", "did:web:example.com", &nobody] {
        let input = json!({"repo": repo, "collection": NOTE, "rkey": "there"});
        intruder.call(DELETE, input).await.refused(403, "Forbidden");
    }
    assert_eq!(intruder.head().await, own);
    intruder
        .call(CREATE, json!({"repo": intruder.handle, "collection": NOTE, "record": record(NOTE, json!({}))}))
        .await
        .ok();
}
