//! The firehose, as relays read it. That each event holds is checked by whoever runs the suites, of every suite; here is
//! which events there are, and how the stream behaves.

mod bounds;
mod cursors;
mod handshake;
mod writes;

pub use bounds::*;
pub use cursors::*;
pub use handshake::*;
pub use writes::*;

use crate::agent::TestAgent;
use crate::firehose::frame::Commit;
use crate::firehose::{Body, Event, Subscription};
use crate::target::Target;
use serde_json::json;

const NOTE: &str = "com.example.firehose";

/// What comes of one account from now on; others may write meanwhile.
struct Listener {
    stream: Subscription,
    agent: TestAgent,
}

impl Listener {
    async fn new(target: &Target) -> Self {
        let agent = TestAgent::enroll(target).await;
        Self { stream: Subscription::open(target, None).await, agent }
    }

    async fn next(&mut self) -> Event {
        next_of(&mut self.stream, &self.agent.did).await
    }

    async fn commit(&mut self) -> Commit {
        match self.next().await.body {
            Body::Commit(commit) => commit,
            other => panic!("expected a #commit, found {other:?}"),
        }
    }

    /// Asserts that nothing has come, by a write that does: the next event must be its.
    async fn nothing_came(&mut self, why: &str) {
        let marked = self.agent.create(NOTE, json!({"mark": true})).await;
        let commit = self.commit().await;
        assert_eq!(commit.commit.to_string(), marked.commit.unwrap().0, "{why} was told");
    }
}

/// The next event of one account.
async fn next_of(stream: &mut Subscription, did: &str) -> Event {
    loop {
        let event = stream.event().await;
        if event.did.as_str() == did {
            return event;
        }
    }
}
