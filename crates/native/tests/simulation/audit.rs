//! What must hold whenever it is looked at: the log, the repos, and every table that is derived from others.

use crate::agent::Message;
use crate::connection::Session;
use crate::model::Effects;
use crate::outside::DIRECTORY;
use crate::requests::{Answer, call};
use crate::world::{GRACE, World};
use bytes::Bytes;
use rookery_atproto::car;
use rookery_atproto::crypto::PublicKey;
use rookery_atproto::data::record::check_record;
use rookery_atproto::data::{Cid, cbor};
use rookery_atproto::identity::did_doc::DidDocument;
use rookery_atproto::mst::{Link, Step, walk};
use rookery_atproto::repo::{VerifiedRepo, verify_repo};
use rookery_atproto::syntax::Did;
use rookery_pds::ports::{HttpRequest, Method, Net, RepoId};
use rookery_pds::store::repo::head_and_recent;
use rookery_testkit::firehose::{Body, Event, Frame};
use rusqlite::Row;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

impl World {
    /// Reads what is new in the log. It is called after every commit, so that nothing is forgotten before.
    pub(crate) fn observe(&mut self) {
        loop {
            let last = self.log.last().map_or(0, |(seq, _)| *seq);
            let page = self.now(self.app.log.events(last, 1 << 20)).expect("the log can be read");
            assert!(page.ends.floor <= last, "events were forgotten before anybody could read them");
            if page.frames.is_empty() {
                assert_eq!(page.ends.newest.seq, last);
                return;
            }
            for frame in page.frames {
                let (seq, bytes) = (frame.position.seq, Bytes::from(frame.bytes));
                assert_eq!(frame.position.number, i64::try_from(self.log.len()).unwrap() + 1);
                let Frame::Event(event) = Frame::decode(&bytes).expect("a frame") else { panic!("no event") };
                assert_eq!(i64::try_from(event.seq), Ok(seq));
                self.note(|| format!("event {seq}: {event:.200?}"));
                self.take(&event);
                self.log.push((seq, bytes));
            }
        }
    }

    /// Checks an event as a relay does, and notes what it tells.
    fn take(&mut self, event: &Event) {
        let did = event.did.as_str().to_owned();
        if !self.checker.knows(&event.did) {
            self.checker.introduce(event.did.clone(), self.key_of(&event.did));
        }
        let now = u64::try_from(self.time.latest()).unwrap();
        self.checker.take(event, now).unwrap_or_else(|fault| panic!("{event:?}: {fault}"));
        match &event.body {
            Body::Commit(commit) => {
                let effects: Effects =
                    commit.ops.iter().map(|op| (op.path.clone(), (op.prev, op.cid))).collect();
                assert_eq!(effects.len(), commit.ops.len());
                self.repos.entry(did).or_default().commit(commit.commit, commit.rev, effects);
            }
            Body::Account { active, .. } => {
                if let Some(history) = self.repos.get_mut(&did) {
                    history.status(*active);
                }
            }
            Body::Identity { handle } => {
                let handle = handle.as_ref().expect("nobody is deleted").to_string();
                *self.handles.entry((did, handle)).or_default() += 1;
            }
            Body::Sync { .. } => {}
        }
    }

    fn key_of(&self, did: &Did) -> PublicKey {
        let document = if self.embedded {
            self.get(&format!("/{did}"))
        } else {
            let request = HttpRequest {
                method: Method::Get,
                url: format!("{DIRECTORY}/{did}"),
                body: None,
                timeout: Duration::ZERO,
                max_response: 0,
                trusted: true,
            };
            self.now(self.others.fetch(request)).unwrap().body
        };
        DidDocument::parse_for(did, &document).unwrap().signing_key().unwrap()
    }

    /// An answer that must be good.
    fn get(&self, path: &str) -> Bytes {
        match self.now(call(self.router.clone(), Message::query(path))) {
            Answer::Http(200, body) => body,
            other => panic!("{path} is answered {other:?}"),
        }
    }

    /// Everything, while nobody writes.
    pub(crate) fn audit(&self) {
        let accounts = self.rows("SELECT id, did, handle, status FROM account ORDER BY id", |row| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, String>(2)?,
                row.get::<_, String>(3)?,
            ))
        });
        assert_eq!(accounts.len(), self.repos.len(), "every account has told of itself");
        let mut referred = BTreeSet::new();
        let mut collections = BTreeSet::new();
        let mut nodes = 0;
        for (id, did, handle, status) in &accounts {
            let account = &self.checker.accounts()[&Did::parse(did).unwrap()];
            let history = &self.repos[did];
            assert!(account.is_settled());
            assert_eq!(account.handle.as_ref().map(ToString::to_string).as_ref(), Some(handle));
            assert_eq!((status == "active", account.active), (history.last().active, history.last().active));
            let mirror = account.repo.as_ref().expect("a repo");
            let contents = mirror.contents.as_ref().expect("known from its beginning");
            let records: BTreeMap<_, _> =
                contents.records.iter().map(|(path, (cid, _))| (path.clone(), *cid)).collect();
            assert_eq!(records, history.last().records);
            if account.active {
                let export = self.get(&format!("/xrpc/com.atproto.sync.getRepo?did={did}"));
                let export = car::read_all(&export).unwrap();
                let rebuilt = mirror.export().expect("known from its beginning").expect("it can be built");
                assert!(export.blocks == rebuilt, "the export of {did} is not what its events make");
                assert_eq!(export.roots, [history.last().commit]);
            }
            self.rows_agree(*id, &contents.records);
            nodes += mirror.export().unwrap().unwrap().len() - 1 - distinct(&records);
            for (path, (_, block)) in &contents.records {
                let (collection, _) = path.split_once('/').unwrap();
                collections.insert((collection.to_owned(), *id));
                for blob in check_record(&cbor::decode(block).unwrap()).unwrap().blobs {
                    referred.insert((*id, path.clone(), blob.cid));
                }
            }
        }
        let active = accounts.iter().filter(|(.., status)| status == "active").count();
        assert_eq!(self.count("SELECT count(*) FROM account WHERE status = 'active'"), active);
        assert_eq!(self.count("SELECT count(*) FROM repo"), accounts.len());
        let ids = accounts.iter().map(|(id, ..)| *id);
        assert_eq!(self.places(ids).len(), nodes, "no node is left over, and none is missing");
        let kept = self.rows("SELECT collection, account FROM repo_collection", |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
        });
        assert_eq!(kept.into_iter().collect::<BTreeSet<_>>(), collections);
        self.log_agrees();
        self.blobs_agree(&referred);
    }

    /// Where nodes are: in rows of their own, or recent.
    fn places(&self, accounts: impl Iterator<Item = i64>) -> BTreeSet<(i64, i64)> {
        let rows =
            self.rows("SELECT id >> 28, id & 0xfffffff FROM node", |row| Ok((row.get(0)?, row.get(1)?)));
        let mut places: BTreeSet<_> = rows.into_iter().collect();
        for id in accounts {
            let recent = self.disk.look(|disk| head_and_recent(&Session(disk), RepoId(id)).unwrap().1);
            places.extend(recent.nodes().iter().map(|node| (id, i64::try_from(node.link.place.0).unwrap())));
        }
        places
    }

    /// The rows of records are those that the events have told of.
    fn rows_agree(&self, account: i64, records: &BTreeMap<String, (Cid, Bytes)>) {
        let rows = self.rows("SELECT account, collection || '/' || rkey, cid, body FROM record", |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, cid(row, 2)?, row.get::<_, Vec<u8>>(3)?))
        });
        let rows = rows.into_iter().filter(|(of, ..)| *of == account);
        let rows: BTreeMap<_, _> =
            rows.map(|(_, path, cid, body)| (path, (cid, Bytes::from(body)))).collect();
        assert!(rows == *records, "the rows of account {account} are not what its events say");
    }

    /// What is left of the log is its end, without gaps.
    fn log_agrees(&self) {
        let rows = self.rows("SELECT seq, number FROM event ORDER BY seq", |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
        });
        let numbered = (1..).zip(&self.log).map(|(number, (seq, _))| (*seq, number));
        let end: Vec<_> = numbered.skip(self.log.len() - rows.len()).collect();
        assert_eq!(rows, end, "the log has another end than it had");
        assert!(self.log.is_empty() || !rows.is_empty(), "the newest event is always kept");
    }

    /// References, releases and objects.
    fn blobs_agree(&self, referred: &BTreeSet<(i64, String, Cid)>) {
        let kept = self.rows("SELECT account, collection || '/' || rkey, cid FROM blob_ref", |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, cid(row, 2)?))
        });
        assert_eq!(
            kept.into_iter().collect::<BTreeSet<_>>(),
            *referred,
            "references are those of the records"
        );
        let blobs = self.rows("SELECT account, cid, key, released_at IS NULL FROM blob", |row| {
            Ok((row.get::<_, i64>(0)?, cid(row, 1)?, row.get::<_, String>(2)?, row.get::<_, bool>(3)?))
        });
        let mut named = BTreeSet::new();
        let objects = self.others.objects.lock().unwrap();
        for (account, cid, key, referenced) in &blobs {
            let wanted = referred.iter().any(|(of, _, to)| of == account && to == cid);
            assert_eq!(
                *referenced, wanted,
                "{cid} is released while it is referred to, or the other way round"
            );
            let object = objects.get(key).unwrap_or_else(|| panic!("the object of {cid} is gone"));
            assert!(cid.verifies(object));
            assert!(named.insert(key.clone()), "two blobs have one object");
        }
        for (account, path, cid) in referred {
            assert!(
                blobs.iter().any(|(of, to, ..)| of == account && to == cid),
                "{path} refers to {cid}, which is gone"
            );
        }
        let garbage = self.rows("SELECT key FROM blob_garbage", |row| row.get::<_, String>(0));
        assert!(garbage.iter().all(|key| !named.contains(key)), "an object is a blob's and garbage");
        named.extend(garbage);
        assert!(objects.keys().all(|key| named.contains(key)), "an object that nothing names");
    }

    /// Whether a blob that was just acknowledged is there, or was sent so long ago that it may have been collected.
    pub(crate) fn blob_is_kept(&self, did: &str, of: &Cid, sent_at: i64) -> bool {
        let rows = self.rows("SELECT a.did, b.cid FROM blob b JOIN account a ON a.id = b.account", |row| {
            Ok((row.get::<_, String>(0)?, cid(row, 1)?))
        });
        // Half of it: the clock may have been set back meanwhile.
        let grace = i64::try_from(GRACE.as_micros() / 2).unwrap();
        rows.iter().any(|(owner, cid)| owner == did && cid == of) || self.time.latest() > sent_at + grace
    }

    /// An export is the repo as it was at one moment since it was asked for.
    pub(crate) fn exported(&self, did: &str, since: usize, body: &[u8]) {
        let car = car::read_all(body).unwrap_or_else(|error| panic!("the export of {did}: {error}"));
        let parsed = Did::parse(did).unwrap();
        let VerifiedRepo { commit, records } = verify_repo(&car, &parsed, &self.key_of(&parsed))
            .unwrap_or_else(|error| panic!("{did}: {error}"));
        let mut states = self.repos[did].0.iter().skip(since.saturating_sub(1));
        let state = states.find(|state| state.rev == commit.rev).expect("a revision from then on");
        assert_eq!([state.commit].as_slice(), car.roots);
        assert_eq!(records.into_iter().collect::<BTreeMap<_, _>>(), state.records);
        let nodes = walk(&car.blocks, Link::to_cid(commit.data), |_| true);
        let nodes = nodes.filter(|step| matches!(step, Ok(Step::Node { .. }))).count();
        assert_eq!(car.blocks.len(), 1 + nodes + distinct(&state.records), "blocks that nobody needs");
    }

    /// A subscriber misses nothing and is sent nothing twice, unless it was told that events are gone.
    pub(crate) fn followed(&self, cursor: i64, events: &[(i64, Bytes)], later: bool) {
        let Some((first, _)) = events.first() else { return };
        let begin = self.log.iter().position(|(seq, _)| seq == first).expect("an event of the log");
        let wanted = self.log.partition_point(|(seq, _)| *seq <= cursor);
        assert!(begin == wanted || begin > wanted && later, "after {cursor} comes {first}");
        assert_eq!(self.log.get(begin..begin + events.len()), Some(events));
    }

    fn count(&self, sql: &str) -> usize {
        self.disk.look(|disk| {
            usize::try_from(disk.query_row(sql, (), |row| row.get::<_, i64>(0)).unwrap()).unwrap()
        })
    }

    fn rows<T>(&self, sql: &str, read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>) -> Vec<T> {
        self.disk.look(|disk| {
            let mut statement = disk.prepare_cached(sql).unwrap();
            statement.query_map((), read).unwrap().collect::<rusqlite::Result<_>>().unwrap()
        })
    }
}

fn cid(row: &Row<'_>, column: usize) -> rusqlite::Result<Cid> {
    Ok(Cid::from_bytes(&row.get::<_, Vec<u8>>(column)?).expect("a CID"))
}

/// Records that have a block of their own.
fn distinct(records: &BTreeMap<String, Cid>) -> usize {
    records.values().collect::<BTreeSet<_>>().len()
}
