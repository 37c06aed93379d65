//! `rookery serve`: puts the core on this machine's database, network and clock, and answers HTTP.

mod banner;
mod client;
mod connections;
mod files;
mod layers;
mod linger;
mod listen;
mod log;
mod relays;
mod signals;
mod stall;
#[cfg(test)]
mod tests;

use crate::blobs::{Files, S3};
use crate::clock::SystemClock;
use crate::config::{BlobStore, Host, Settings};
use crate::data_dir::DataDir;
use crate::entropy::SystemEntropy;
use crate::firehose::Firehose;
use crate::master_key;
use crate::net::SystemNet;
use crate::sqlite::{Bounds, SqliteEngine};
use crate::terms;
use crate::verify::AwsLcVerify;
use anyhow::{Context, Error, Result, anyhow};
use listen::Listeners;
use rookery_pds::app::{App, Ports};
use rookery_pds::directory::StoreDirectory;
use rookery_pds::http::router;
use rookery_pds::ports::Blobs;
use signals::Signals;
use std::env;
use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use zeroize::Zeroizing;

const MASTER_KEY: &str = "ROOKERY_MASTER_KEY";
const S3_SECRET: &str = "ROOKERY_S3_SECRET_ACCESS_KEY";
const HOUSEKEEPING: Duration = Duration::from_secs(30);
/// Threads for streams and name lookups.
const BLOCKING_THREADS: usize = 64;

/// Serves until a signal to stop.
pub(crate) fn run(settings: &Settings) -> Result<()> {
    log::start(&settings.log, settings.log_format)?;
    let runtime = runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(Box::pin(serve(settings)))
}

async fn serve(settings: &Settings) -> Result<()> {
    let signals = Signals::listen()?;
    let dir = DataDir::open(&settings.data_dir)?;
    let given = env::var(MASTER_KEY).ok().filter(|text| !text.is_empty()).map(Zeroizing::new);
    let key = master_key::load(given, dir.path(), dir.database().exists())?;
    let terms = terms::source(settings.terms_file.as_deref());
    terms.current().map_err(Error::msg)?;
    let mut clients = settings.clients.clone();
    clients.connections = files::connections(clients.connections, settings.subscribers.most);
    let listeners = Listeners::bind(settings.listen, settings.host == Host::Local)?;
    let config = settings.core(listeners.port())?;
    let url = config.public_url.clone();

    let blobs = blobs(settings, &dir)?;
    let engine = SqliteEngine::open(&dir.database(), Bounds::default())
        .with_context(|| format!("cannot use {}", dir.database().display()))?;
    let engine = Arc::new(engine);
    let ports = Ports {
        engine: engine.clone(),
        directory: Arc::new(StoreDirectory::new(engine.clone())),
        blobs,
        net: Arc::new(SystemNet::default()),
        verify: Arc::new(AwsLcVerify::new()),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        terms,
    };
    let app = App::open(config, ports, &key).await;
    drop(key);
    let outcome = match app {
        Ok(app) => {
            banner::print(&url, dir.path());
            let firehose = Firehose::open(Arc::clone(&app), settings.subscribers).await?;
            let mut tasks = JoinSet::new();
            tasks.spawn(keep_house(Arc::clone(&app), settings.blobs.grace));
            tasks.spawn(Arc::clone(&firehose).follow(engine.committed()));
            tasks.spawn(Arc::clone(&firehose).prune());
            relays::announce(&mut tasks, &app, &firehose);
            let service = layers::around(router(app, firehose.routes()));
            connections::serve(listeners, service, Arc::new(clients), signals, || firehose.stop()).await;
            firehose.stopped().await;
            tasks.shutdown().await;
            Ok(())
        }
        // The error itself is worded for a client; the operator needs its cause.
        Err(error) => Err(match error.source() {
            Some(cause) => anyhow!("{cause}"),
            None => error.into(),
        })
        .context("cannot start on this data directory"),
    };
    tokio::task::spawn_blocking(move || engine.stop()).await.context("the store did not stop")?;
    tracing::info!("stopped");
    outcome
}

/// Where blobs are kept.
fn blobs(settings: &Settings, dir: &DataDir) -> Result<Arc<dyn Blobs>> {
    if settings.blobs.grace < Duration::from_secs(3600) {
        tracing::warn!(
            "blobs are collected sooner than an hour after their upload, which the network does not expect"
        );
    }
    let place = match &settings.blob_store {
        BlobStore::Files => {
            let files = Files::open(&dir.blobs());
            return Ok(Arc::new(files.with_context(|| format!("cannot use {}", dir.blobs().display()))?));
        }
        BlobStore::S3(place) => place,
    };
    let secret = env::var(S3_SECRET).ok().filter(|text| !text.is_empty()).map(Zeroizing::new);
    let secret = secret.with_context(|| format!("the bucket {} needs {S3_SECRET}", place.bucket))?;
    if place.is_open_to_others() {
        tracing::warn!(endpoint = %place.endpoint, "blobs go to the bucket unencrypted");
    }
    Ok(Arc::new(S3::open(place, &secret, &dir.blobs())?))
}

/// At least once in the time after which blobs are collected.
async fn keep_house(app: Arc<App>, grace: Duration) {
    let mut ticks = interval(HOUSEKEEPING.min(grace));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = app.maintain().await {
            tracing::warn!(%error, "housekeeping failed; it is tried again");
        }
    }
}
