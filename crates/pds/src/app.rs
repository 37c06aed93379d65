//! The server's state, and how a host makes it.

use crate::blob;
use crate::config::{Config, ProofMemory, RotationKey, limits};
use crate::error::{Error, Result, internal};
use crate::http::auth::TokenCache;
use crate::limits::{Limits, Places};
use crate::plc::Plc;
use crate::ports::{
    Blobs, Clock, Directory, Engine, Entropy, Mode, Net, RepoId, Sql, TermsSource, Verify, run,
};
use crate::relay::Report;
use crate::restored;
use crate::seal::{Sealer, derive_key, generate_key};
use crate::sequencer::Log;
use crate::store::{self, Schema};
use rookery_atproto::crypto::SecretKey;
use rookery_atproto::syntax::TidClock;
use rookery_auth::replay::ReplayGuard;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The name under which the server's rotation key is kept, and from which it is derived.
const ROTATION_KEY: &str = "plc-rotation-key";
/// Proofs forgotten in one transaction at most, so that no writer waits for it.
const FORGET_AT_ONCE: i64 = 5_000;

/// What the host supplies.
pub struct Ports {
    /// The store.
    pub engine: Arc<dyn Engine>,
    /// What is known across accounts.
    pub directory: Arc<dyn Directory>,
    /// The bytes of blobs.
    pub blobs: Arc<dyn Blobs>,
    /// The outside world.
    pub net: Arc<dyn Net>,
    /// Signatures of agents' keys.
    pub verify: Arc<dyn Verify>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// The terms agents sign.
    pub terms: Arc<dyn TermsSource>,
}

/// One server.
pub struct App {
    /// What the operator decided.
    pub config: Config,
    /// What the host supplied.
    pub ports: Ports,
    /// What there is to tell of accounts.
    pub log: Log,
    /// Opens and seals private keys.
    pub(crate) sealer: Sealer,
    /// The server's own key in every DID it makes; may update them after the recovery key.
    pub(crate) rotation_key: SecretKey,
    /// The did:plc directory.
    pub(crate) plc: Plc,
    /// Makes record keys and revisions; shared, so that none repeats.
    pub(crate) tids: TidClock,
    /// Proofs seen. A mutex, held for one look-up and never across an await.
    pub(crate) replay: Mutex<ReplayGuard>,
    /// Seconds of proofs that an earlier process may have taken and that this one would take again, but for the store: it
    /// remembers them as long as this process runs, since a request that came with one may take its time.
    proofs_kept: RangeInclusive<i64>,
    /// Access tokens whose signature was checked, and whose they are.
    pub(crate) tokens: TokenCache,
    /// What is known of relays. A mutex, held for a copy.
    relays: Mutex<Report>,
    /// Rates.
    pub(crate) limits: Limits,
    /// Uploads in progress: each holds a connection, a file and its part of the disk.
    pub(crate) uploads: Places<RepoId>,
    /// Exports in progress, by address.
    pub(crate) exports: Places<u64>,
    /// Bytes of the bodies of writes.
    pub(crate) bodies: Places<RepoId>,
}

impl App {
    /// Brings the store to this version's schema and starts from what it holds. `master_key` opens the sealed keys.
    pub async fn open(config: Config, ports: Ports, master_key: &[u8; 32]) -> Result<Arc<Self>> {
        let engine = ports.engine.as_ref();
        let (fresh, proofs) = run(engine, Mode::Write, |sql| -> Result<_> {
            let fresh = store::migrate(sql, Schema::Accounts)?;
            Ok((fresh, store::proof::left(sql)?))
        })
        .await?;
        let rotation_key = match config.rotation_key {
            RotationKey::Stored => {
                stored_key(engine, &Sealer::new(master_key), ports.entropy.as_ref()).await?
            }
            RotationKey::Derived => derive_key(master_key, ROTATION_KEY)?,
        };
        // What an earlier process saw is forgotten, but for the proofs that were consumed: those are in the store, as far as that
        // has not forgotten them either. The clock may have been set back since then.
        let taken_from = match config.proofs {
            ProofMemory::Process => (ports.clock.now_micros() / 1_000_000).max(proofs.floor),
            ProofMemory::Store => proofs.floor,
        };
        let app = Self::new(config, ports, master_key, rotation_key, taken_from..=proofs.newest)?;
        if !fresh {
            app.replay.lock().unwrap_or_else(PoisonError::into_inner).refuse_before(taken_from);
        }
        blob::start(&app).await?;
        restored::tell(&app).await?;
        Ok(app)
    }

    /// True for a store in which nothing was ever [opened](Self::open): it has no schema yet, and finding out writes none.
    pub async fn is_new(engine: &dyn Engine) -> Result<bool> {
        run(engine, Mode::Read, |sql| -> Result<_> { Ok(store::is_empty(sql)?) }).await
    }

    /// A server of no accounts, for requests that belong to none: over [`Nothing`](crate::ports::Nothing), or over the store of a
    /// [`SharedLog`](crate::sequencer::SharedLog), for the firehose and relays. Nothing is read or written now.
    pub fn without_accounts(config: Config, ports: Ports, master_key: &[u8; 32]) -> Result<Arc<Self>> {
        let rotation_key = derive_key(master_key, ROTATION_KEY)?;
        // No write consumes a proof here.
        Self::new(config, ports, master_key, rotation_key, RangeInclusive::new(0, -1))
    }

    fn new(
        config: Config,
        ports: Ports,
        master_key: &[u8; 32],
        rotation_key: SecretKey,
        proofs_kept: RangeInclusive<i64>,
    ) -> Result<Arc<Self>> {
        let mut clock_id = [0; 2];
        ports.entropy.fill(&mut clock_id)?;
        Ok(Arc::new(Self {
            log: Log::new(Arc::clone(&ports.engine), Arc::clone(&ports.clock), config.retention),
            plc: Plc::new(&config.plc),
            sealer: Sealer::new(master_key),
            rotation_key,
            tids: TidClock::new(u16::from_le_bytes(clock_id) & 0x3ff),
            replay: Mutex::new(ReplayGuard::new(limits::CLOCK_SKEW, limits::REPLAY_PROOFS)),
            proofs_kept,
            tokens: TokenCache::new(limits::TOKEN_CACHE),
            relays: Mutex::new(Report::new(&config.relays)),
            limits: Limits::new(&config.rates),
            uploads: Places::new(limits::UPLOADS.0, limits::UPLOADS.1),
            exports: Places::new(limits::EXPORTS, usize::MAX),
            bodies: Places::new(limits::BODIES.0, limits::BODIES.1),
            config,
            ports,
        }))
    }

    /// Housekeeping; the host calls it about twice a minute. What asks another server comes last.
    pub async fn maintain(&self) -> Result<()> {
        self.forget().await?;
        blob::collect(self).await
    }

    /// True while there is something that housekeeping will forget some time: a host that would have to be woken for it knows
    /// whether to be.
    pub async fn has_something_to_forget(&self) -> Result<bool> {
        self.read(|sql| Ok(store::has_something_to_forget(sql)?)).await
    }

    /// Forgets what is past its time.
    async fn forget(&self) -> Result<()> {
        let abandoned = self.now_micros() - limits::RESUMABLE;
        self.write(move |sql| Ok(store::signup::forget_before(sql, abandoned)?)).await?;
        let oldest = self.now_seconds() - limits::CLOCK_SKEW - 1;
        loop {
            let kept = self.proofs_kept.clone();
            let forget =
                move |sql: &dyn Sql| Ok(store::proof::forget_before(sql, oldest, &kept, FORGET_AT_ONCE)?);
            let gone = self.write(forget).await?;
            if gone < FORGET_AT_ONCE.unsigned_abs() {
                return Ok(());
            }
        }
    }

    /// What is known of accounts and relays.
    pub(crate) fn relays(&self) -> MutexGuard<'_, Report> {
        self.relays.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a read in one snapshot.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&dyn Sql) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        run(self.ports.engine.as_ref(), Mode::Read, job).await
    }

    /// Runs a write in one transaction; durable when it returns.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&dyn Sql) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        run(self.ports.engine.as_ref(), Mode::Write, job).await
    }

    /// Microseconds since the epoch.
    pub(crate) fn now_micros(&self) -> i64 {
        self.ports.clock.now_micros()
    }

    /// Seconds since the epoch.
    pub(crate) fn now_seconds(&self) -> i64 {
        self.now_micros().div_euclid(1_000_000)
    }

    /// The current terms.
    pub(crate) fn terms(&self) -> Result<Arc<crate::terms::Terms>> {
        self.ports.terms.current().map_err(|problem| {
            Error::new(
                http::StatusCode::SERVICE_UNAVAILABLE,
                "TermsUnavailable",
                "The terms of service cannot be read at the moment. Try again later.",
            )
            .because(problem)
        })
    }
}

/// The rotation key, made at the first start.
async fn stored_key(engine: &dyn Engine, sealer: &Sealer, entropy: &dyn Entropy) -> Result<SecretKey> {
    let kept =
        run(engine, Mode::Read, |sql| -> Result<_> { Ok(store::secret::get(sql, ROTATION_KEY)?) }).await?;
    if let Some(sealed) = kept {
        return sealer.open_key(ROTATION_KEY, &sealed);
    }
    let key = generate_key(entropy)?;
    let sealed = sealer.seal(entropy, ROTATION_KEY, key.to_bytes().as_slice())?;
    run(engine, Mode::Write, move |sql| -> Result<()> {
        store::secret::insert(sql, ROTATION_KEY, &sealed).map_err(internal)
    })
    .await?;
    Ok(key)
}
