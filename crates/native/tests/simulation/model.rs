//! What a repo must be: a sorted map, changed by one request after the other.
//!
//! The order of requests is that of the event log, which alone says what took effect. Whether it is one that could have
//! been is what is checked here: every acknowledged write is in it, between its request and its answer, with just the
//! effect that the map has; every refusal was right at some moment between the two; and what is in it was asked for.

use rookery_atproto::data::Cid;
use rookery_atproto::syntax::Tid;
use std::collections::BTreeMap;

/// CIDs by path.
pub(crate) type Records = BTreeMap<String, Cid>;
/// What becomes of paths: the CID before, and after.
pub(crate) type Effects = BTreeMap<String, (Option<Cid>, Option<Cid>)>;

/// How a write changes a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Create,
    Update,
    Put,
    Delete,
}

/// One write of a request.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    pub(crate) collection: &'static str,
    /// None where the server chooses it.
    pub(crate) rkey: Option<String>,
    pub(crate) action: Action,
    /// The record; of every request another one.
    pub(crate) cid: Option<Cid>,
    pub(crate) swap: Option<Option<Cid>>,
}

/// The writes of a request.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) writes: Vec<Write>,
    pub(crate) swap_commit: Option<Cid>,
    /// Whether it names a blob that is not there.
    pub(crate) no_blob: bool,
}

/// What a request comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// An error of this name.
    Refused(&'static str),
    /// A commit, unless there are no effects.
    Effects(Effects),
}

/// A repo at one moment.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) commit: Cid,
    pub(crate) rev: Tid,
    pub(crate) records: Records,
    pub(crate) active: bool,
    /// What the commit did, if it was one that led here.
    pub(crate) effects: Option<Effects>,
    /// The request behind it.
    pub(crate) by: Option<usize>,
}

/// Everything that became of a repo, from its first commit on.
#[derive(Clone, Debug, Default)]
pub(crate) struct History(pub(crate) Vec<State>);

impl Batch {
    /// What it comes to at a state. A record key that the server chose is looked up in `chosen`.
    pub(crate) fn on(&self, state: &State, chosen: Option<&Effects>) -> Outcome {
        if !state.active {
            return Outcome::Refused("inactive");
        }
        if self.swap_commit.is_some_and(|swap| swap != state.commit) {
            return Outcome::Refused("InvalidSwap");
        }
        let mut after = state.records.clone();
        for (at, write) in self.writes.iter().enumerate() {
            let path = write.path(chosen).unwrap_or_else(|| format!("{}/chosen-{at}", write.collection));
            let found = after.get(&path).copied();
            if write.swap.is_some_and(|swap| swap != found) {
                return Outcome::Refused("InvalidSwap");
            }
            match (write.action, found) {
                (Action::Create, Some(_)) => return Outcome::Refused("RecordAlreadyExists"),
                (Action::Update, None) => return Outcome::Refused("RecordNotFound"),
                (Action::Delete, _) => drop(after.remove(&path)),
                (Action::Create | Action::Update | Action::Put, _) => {
                    after.insert(path, write.cid.expect("a record"));
                }
            }
        }
        let effects = effects(&state.records, &after);
        if self.no_blob && !effects.is_empty() {
            return Outcome::Refused("BlobNotFound");
        }
        Outcome::Effects(effects)
    }
}

impl Write {
    fn path(&self, chosen: Option<&Effects>) -> Option<String> {
        match &self.rkey {
            Some(rkey) => Some(format!("{}/{rkey}", self.collection)),
            None => chosen?.iter().find(|(_, (_, after))| *after == self.cid).map(|(path, _)| path.clone()),
        }
    }
}

fn effects(before: &Records, after: &Records) -> Effects {
    let paths = before.keys().chain(after.keys());
    let changes = paths.map(|path| (path.clone(), (before.get(path).copied(), after.get(path).copied())));
    changes.filter(|(_, (before, after))| before != after).collect()
}

impl History {
    pub(crate) fn last(&self) -> &State {
        self.0.last().expect("a repo has its first commit")
    }

    /// How many states there have been.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// A commit came.
    pub(crate) fn commit(&mut self, commit: Cid, rev: Tid, effects: Effects) {
        let Some(before) = self.0.last() else {
            assert!(effects.is_empty(), "the first commit has records");
            let (records, by) = (Records::new(), None);
            self.0.push(State { commit, rev, records, active: true, effects: None, by });
            return;
        };
        assert!(before.rev < rev, "the revision {rev} is not above {}", before.rev);
        assert!(before.active, "a commit of an account that is not active");
        assert!(!effects.is_empty(), "a commit of nothing");
        let mut records = before.records.clone();
        for (path, (from, to)) in &effects {
            let found = match to {
                Some(cid) => records.insert(path.clone(), *cid),
                None => records.remove(path),
            };
            assert_eq!(found, *from, "the operation on {path} replaces something else than it says");
        }
        self.0.push(State { commit, rev, records, active: true, effects: Some(effects), by: None });
    }

    /// The account is active from here on, or is not.
    pub(crate) fn status(&mut self, active: bool) {
        if let Some(last) = self.0.last().cloned() {
            self.0.push(State { active, effects: None, by: None, ..last });
        }
    }

    /// A request that came when there were `since` states has been told that this commit is its own.
    pub(crate) fn acknowledged(
        &mut self,
        request: usize,
        since: usize,
        batch: &Batch,
        commit: Cid,
        rev: Tid,
    ) {
        let at = self.0.iter().position(|state| state.commit == commit && state.effects.is_some());
        let at = at.unwrap_or_else(|| panic!("acknowledged, but not in the log: {commit}"));
        assert!(at >= since, "the commit {commit} is older than its request");
        let before = self.0[at - 1].clone();
        let state = &mut self.0[at];
        assert_eq!(state.rev, rev);
        assert_eq!(state.by.replace(request), None, "{commit} was acknowledged to two requests");
        let effects = state.effects.clone().expect("it was a commit");
        assert_eq!(batch.on(&before, Some(&effects)), Outcome::Effects(effects), "{batch:?}");
    }

    /// A request has been told this without a commit: it must have been so at some moment since it came.
    pub(crate) fn told(&self, since: usize, batch: &Batch, told: &Outcome) {
        let states = self.0.iter().skip(since.saturating_sub(1));
        let mut outcomes = states.map(|state| batch.on(state, None));
        assert!(outcomes.any(|outcome| outcome == *told), "{batch:?} was told {told:?}, which was never so");
    }

    /// Nobody waits any more: the commits that nobody was told of must be those of requests that were given up.
    pub(crate) fn settle<'a>(&mut self, given_up: impl Iterator<Item = (usize, usize, &'a Batch)>) {
        let mut given_up: Vec<_> = given_up.collect();
        // Those that say most about when they can have been go first.
        given_up.sort_by_key(|(_, _, batch)| batch.swap_commit.is_none());
        for at in 1..self.0.len() {
            let Some(effects) = self.0[at].effects.clone().filter(|_| self.0[at].by.is_none()) else {
                continue;
            };
            let before = &self.0[at - 1];
            let wanted = Outcome::Effects(effects.clone());
            let found = given_up
                .iter()
                .position(|(_, since, batch)| at >= *since && batch.on(before, Some(&effects)) == wanted);
            let found = found.unwrap_or_else(|| panic!("nobody asked for {effects:?}, or it was done twice"));
            self.0[at].by = Some(given_up.remove(found).0);
        }
    }
}
