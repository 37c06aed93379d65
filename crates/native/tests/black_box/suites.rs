//! Every suite of the test kit, each against a server of its own. All the while a witness follows the firehose: whatever a
//! suite writes, its events must hold, come live as they are replayed, and lead to the repos that the server has.

use crate::server::{Server, block_on};
use rookery_testkit::firehose::Witness;

macro_rules! tests {
    ($($group:ident::$name:ident),+ $(,)?) => {
        $(mod $name {
            #[test]
            fn $group() {
                super::against(|target| Box::pin(rookery_testkit::suites::$group::$name(target)));
            }
        })+
    };
}

rookery_testkit::for_each_suite!(tests);

fn against(
    suite: impl for<'a> FnOnce(&'a rookery_testkit::Target) -> std::pin::Pin<Box<dyn Future<Output = ()> + 'a>>,
) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    block_on(async {
        let witness = Witness::watch(&server.target).await;
        suite(&server.target).await;
        witness.verdict().await;
    });
    // The witness has done the audit.
    server.kill();
}
