//! A host in the test's own process, spoken to over HTTP: a real store and core, with the parts in the test's hands that
//! nobody controls from outside, such as the time and calls of the core that no request makes.

mod directory;
mod nothing;
mod proofs;
mod shared_log;
mod status;
mod steps;

use crate::blobs::Files;
use crate::clock::SystemClock;
use crate::config::{Given, Subscribers};
use crate::entropy::SystemEntropy;
use crate::firehose::Firehose;
use crate::net::SystemNet;
use crate::sqlite::{Bounds, SqliteEngine};
use crate::terms;
use crate::verify::AwsLcVerify;
use axum::Router;
use rookery_pds::app::{App, Ports};
use rookery_pds::config::{Config, Retention};
use rookery_pds::directory::StoreDirectory;
use rookery_pds::http::router;
use rookery_testkit::Target;
use rookery_testkit::firehose::audit;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tower::{ServiceExt, service_fn};

/// Forgets nothing.
pub(crate) const FOREVER: Retention = Retention { age: Duration::from_secs(1 << 30), events: u64::MAX };
/// Of subscribers.
pub(crate) const BOUNDS: Subscribers = Subscribers { most: 10, memory: 8 << 20, lag: 1000 };

/// It ends with the test's runtime.
pub(crate) struct Host {
    pub(crate) app: Arc<App>,
    pub(crate) firehose: Arc<Firehose>,
    pub(crate) target: Target,
    /// Its files. The database is `test.db`, blobs are in `blobs`.
    pub(crate) dir: TempDir,
    /// What answers now.
    service: Arc<Mutex<Router>>,
}

impl Host {
    pub(crate) async fn start(retention: Retention) -> Self {
        Self::with(|_, config, ports| (Config { retention, ..config }, ports)).await
    }

    /// One that forgets nothing, with another configuration or other ports, which may use the directory.
    pub(crate) async fn with(change: impl FnOnce(&Path, Config, Ports) -> (Config, Ports)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let config = Given::default().settle(None).unwrap().core(port).unwrap();
        let config = Config { retention: FOREVER, ..config };
        let (config, ports) = change(dir.path(), config, ports(dir.path()));
        let (app, firehose, routes) = open(config, ports).await;
        let service = Arc::new(Mutex::new(routes));
        let current = Arc::clone(&service);
        let answer = service_fn(move |request| current.lock().unwrap().clone().oneshot(request));
        let all = Router::new().fallback_service(answer);
        tokio::spawn(async move { axum::serve(listener, all).await });
        let target = Target::new(&format!("http://127.0.0.1:{port}"));
        Self { app, firehose, target, dir, service }
    }

    /// Another process of it on the same files, with ports as they are by default.
    pub(crate) async fn restart(self) -> Self {
        let Self { app, firehose, target, dir, service } = self;
        let config = app.config.clone();
        *service.lock().unwrap() = Router::new();
        drop((app, firehose));
        let (app, firehose, routes) = open(config, ports(dir.path())).await;
        *service.lock().unwrap() = routes;
        Self { app, firehose, target, dir, service }
    }

    /// Replays everything that it has told, checks it as a relay would, and compares it with what it has. Makes one more
    /// account. A test that writes ends with it.
    pub(crate) async fn audit(&self) {
        audit(&self.target).await;
    }
}

fn ports(dir: &Path) -> Ports {
    let engine = Arc::new(SqliteEngine::open(&dir.join("test.db"), Bounds::default()).unwrap());
    Ports {
        engine: engine.clone(),
        directory: Arc::new(StoreDirectory::new(engine)),
        blobs: Arc::new(Files::open(&dir.join("blobs")).unwrap()),
        net: Arc::new(SystemNet::default()),
        verify: Arc::new(AwsLcVerify::new()),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        terms: terms::source(None),
    }
}

async fn open(config: Config, ports: Ports) -> (Arc<App>, Arc<Firehose>, Router) {
    let app = App::open(config, ports, &[7; 32]).await.unwrap();
    let firehose = Firehose::open(Arc::clone(&app), BOUNDS).await.unwrap();
    let routes = router(Arc::clone(&app), firehose.routes());
    (app, firehose, routes)
}
