//! Every suite against a host that runs already, whatever it is made of: `ROOKERY_TEST_URL` says where. Without it there is
//! nothing to test here, since each host's own tests start it.
//!
//!     ROOKERY_TEST_URL=http://localhost:8787 cargo test -p rookery-testkit --test conformance

#![expect(clippy::disallowed_methods, reason = "it is told where the host is")]

use rookery_testkit::Target;

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

fn against(suite: impl for<'a> FnOnce(&'a Target) -> std::pin::Pin<Box<dyn Future<Output = ()> + 'a>>) {
    let Ok(url) = std::env::var("ROOKERY_TEST_URL") else { return };
    let directory = std::env::var("ROOKERY_TEST_PLC_URL").unwrap_or_else(|_| url.clone());
    let target = Target::with_directory(&url, &directory);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(suite(&target));
}
