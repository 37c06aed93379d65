//! What an account with a store of its own delivers to the log that it shares: events, and how the account is.
//!
//! All of a delivery is read in one snapshot, so how the account is goes with its events or is newer. Of collections it says those
//! in which the events create or delete records, each with whether there are records in it now: so what is told is bounded by
//! the events, and telling it again does no harm.

use crate::app::App;
use crate::config::limits;
use crate::error::{Result, internal};
use crate::ports::{Listed, RepoId, Sql, SqlError};
use crate::store;
use bytes::Bytes;
use rookery_atproto::data::cbor::{CborError, Reader, Writer, key_order};
use rookery_atproto::event::{self, Unsequenced};
use rookery_atproto::syntax::{Nsid, SyntaxError};
use std::collections::BTreeSet;

/// An event on its way from the store of its account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// Its number in that store.
    pub seq: i64,
    /// The frame without a number.
    pub frame: Unsequenced,
}

/// Events of one account, and how it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The account, as it is after these events or later.
    pub account: Listed,
    /// Collections that the events touch, in canonical order, and whether the account has records in them.
    pub collections: Vec<(Nsid, bool)>,
    /// All events after the last one known to have come, or the first of them; in order, at least one.
    pub events: Vec<Delivered>,
}

/// Why bytes are no delivery.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// There are more than there may be.
    #[error("a delivery has at most {0} bytes")]
    TooLong(usize),
    /// Not the one encoding of anything.
    #[error(transparent)]
    Cbor(#[from] CborError),
    /// An identifier that is none.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// A map or list with more or less in it.
    #[error("a map or list of {expected} has {found}")]
    Members {
        /// As many as there must be.
        expected: usize,
        /// As many as there are.
        found: usize,
    },
    /// A status that there is not.
    #[error("{0}")]
    Status(String),
    /// There is nothing to deliver.
    #[error("a delivery has at least one event")]
    Empty,
    /// An event that cannot be where it is.
    #[error("event {0} is not after the one before it, or its gap is not inside it")]
    Event(i64),
}

impl App {
    /// What is to be delivered after an event: as many of the next ones as have `most` bytes together, but one at least. `None`
    /// when there is nothing. In a store with several accounts it ends where events of another one begin.
    pub async fn undelivered(&self, after: i64, most: usize) -> Result<Option<Delivery>> {
        let most = most.min(limits::DELIVERY_EVENTS);
        self.read(move |sql| {
            let Some((account, events)) = events(sql, after, most)? else { return Ok(None) };
            let collections = collections(sql, account, &events)?;
            let account = store::repo::listed_by_id(sql, account)?;
            Ok(Some(Delivery { account, collections, events }))
        })
        .await
    }

    /// Forgets what was delivered, up to an event. The newest event is kept, since the next one follows on it.
    pub async fn delivered(&self, upto: i64) -> Result<()> {
        self.write(move |sql| Ok(store::event::forget(sql, upto).map(drop)?)).await
    }
}

fn events(sql: &dyn Sql, after: i64, most: usize) -> Result<Option<(RepoId, Vec<Delivered>)>, SqlError> {
    let (mut account, mut events, mut bytes) = (None, Vec::new(), 0);
    store::event::after(sql, after, |event| {
        bytes += event.frame.bytes.len();
        if account.is_some_and(|account| account != event.account) || !events.is_empty() && bytes > most {
            return Ok(false);
        }
        account = Some(event.account);
        let frame = Unsequenced { bytes: Bytes::copy_from_slice(event.frame.bytes), gap: event.frame.gap };
        events.push(Delivered { seq: event.position.seq, frame });
        Ok(true)
    })?;
    Ok(account.map(|account| (account, events)))
}

fn collections(sql: &dyn Sql, account: RepoId, events: &[Delivered]) -> Result<Vec<(Nsid, bool)>> {
    let mut touched = BTreeSet::new();
    for event in events {
        touched.extend(event::touched_collections(&event.frame.bytes).map_err(internal)?);
    }
    let state = |name: &str| -> Result<_> {
        Ok((Nsid::parse(name).map_err(internal)?, store::collection::has(sql, account, name)?))
    };
    let mut collections = touched.into_iter().map(state).collect::<Result<Vec<_>>>()?;
    collections.sort_by(|(left, _), (right, _)| key_order(left.as_str(), right.as_str()));
    Ok(collections)
}

impl Delivery {
    /// As DAG-CBOR.
    pub fn encode(&self) -> Vec<u8> {
        let frames: usize = self.events.iter().map(|event| event.frame.bytes.len() + 32).sum();
        let mut out = Writer::with_capacity(frames + self.collections.len() * 64 + 256);
        out.map(6);
        out.text("did");
        out.text(self.account.did.as_str());
        out.text("rev");
        out.text(&self.account.rev.to_string());
        out.text("head");
        out.link(&self.account.commit);
        out.text("events");
        out.array(self.events.len());
        for event in &self.events {
            out.array(3);
            out.int(event.seq);
            out.uint(u64::try_from(event.frame.gap).unwrap_or(u64::MAX));
            out.bytes(&event.frame.bytes);
        }
        out.text("status");
        out.text(&self.account.status.to_string());
        out.text("collections");
        out.map(self.collections.len());
        for (collection, has) in &self.collections {
            out.text(collection.as_str());
            out.bool(*has);
        }
        out.into_bytes()
    }

    /// Reads what [`encode`](Self::encode) wrote, and nothing else.
    pub fn decode(bytes: &[u8]) -> Result<Self, DeliveryError> {
        if bytes.len() > limits::DELIVERY {
            return Err(DeliveryError::TooLong(limits::DELIVERY));
        }
        let mut input = Reader::new(bytes);
        members(input.map()?, 6)?;
        input.expect_key("did")?;
        let did = input.text()?.parse()?;
        input.expect_key("rev")?;
        let rev = input.text()?.parse()?;
        input.expect_key("head")?;
        let commit = input.link()?;
        input.expect_key("events")?;
        let events = decode_events(&mut input)?;
        input.expect_key("status")?;
        let status = input.text()?.parse().map_err(DeliveryError::Status)?;
        input.expect_key("collections")?;
        let mut collections = Vec::new();
        let mut previous = None;
        for _ in 0..input.map()? {
            let collection = input.key(previous)?;
            previous = Some(collection);
            collections.push((collection.parse()?, input.bool()?));
        }
        input.finish()?;
        Ok(Self { account: Listed { did, status, commit, rev }, collections, events })
    }
}

fn decode_events(input: &mut Reader<'_>) -> Result<Vec<Delivered>, DeliveryError> {
    let (mut events, mut last) = (Vec::new(), 0);
    for _ in 0..input.array()? {
        members(input.array()?, 3)?;
        let seq = input.int()?;
        let gap = usize::try_from(input.uint()?).map_err(|_| DeliveryError::Event(seq))?;
        let bytes = input.bytes()?;
        if seq <= last || seq >= 1 << 53 || gap > bytes.len() {
            return Err(DeliveryError::Event(seq));
        }
        last = seq;
        events.push(Delivered { seq, frame: Unsequenced { bytes: Bytes::copy_from_slice(bytes), gap } });
    }
    if events.is_empty() { Err(DeliveryError::Empty) } else { Ok(events) }
}

fn members(found: usize, expected: usize) -> Result<(), DeliveryError> {
    if found == expected { Ok(()) } else { Err(DeliveryError::Members { expected, found }) }
}
