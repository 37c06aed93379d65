//! Every suite of the test kit, each against a server of its own.

use crate::server::{Server, block_on};

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
    block_on(suite(&server.target));
}
