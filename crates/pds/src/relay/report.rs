//! What `_health` tells of accounts and relays.

use super::accounts;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// What is known now.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// Active accounts; none before they were counted.
    active: Option<u64>,
    /// The newest event at that time or later.
    newest: i64,
    /// Accounts that relays take.
    cap: u64,
    /// In the order of the configuration.
    relays: Vec<RelayReport>,
}

/// What is known of one relay. Members without a value are left out.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RelayReport {
    pub(super) host: String,
    /// When it last accepted a request for a crawl.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last_crawl: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) seq: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) accounts: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) problem: Option<String>,
}

impl Report {
    /// Nothing is known yet.
    pub(crate) fn new(relays: &crate::config::Relays) -> Self {
        let cap = relays.account_cap;
        let relays = relays.origins.iter().map(|origin| RelayReport::of(origin)).collect();
        Self { active: None, newest: 0, cap, relays }
    }

    /// Whether there is an account to crawl, and the newest event.
    pub(super) fn situation(&self) -> (bool, i64) {
        (self.active.is_some_and(|active| active > 0), self.newest)
    }

    /// Keeps what the store holds.
    pub(super) fn set_accounts(&mut self, active: Option<u64>, newest: i64) {
        (self.active, self.newest) = (active, newest);
    }

    /// Keeps what is known of a relay.
    pub(super) fn set(&mut self, index: usize, report: RelayReport) {
        if let Some(relay) = self.relays.get_mut(index) {
            *relay = report;
        }
    }

    /// Adds itself to the members of a health report.
    pub(crate) fn add_to(&self, health: &mut Map<String, Value>) {
        if let Some(active) = self.active {
            let mut accounts = json!({ "active": active, "relayCap": self.cap });
            if let (Some(warning), Some(members)) =
                (accounts::warning(active, self.cap), accounts.as_object_mut())
            {
                members.insert("warning".to_owned(), warning.into());
            }
            health.insert("accounts".to_owned(), accounts);
        }
        if !self.relays.is_empty() {
            health.insert("relays".to_owned(), json!(self.relays));
        }
    }
}

impl RelayReport {
    /// A relay that was not asked yet.
    pub(super) fn of(origin: &str) -> Self {
        let host = origin.strip_prefix("https://").unwrap_or(origin).to_owned();
        Self { host, ..Self::default() }
    }
}
