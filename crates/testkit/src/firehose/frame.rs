//! Frames, read strictly (event stream spec, "Framing"; lexicon `com.atproto.sync.subscribeRepos`).
//!
//! Other readers ignore members that they do not know. This one refuses them: a server under test sends what the lexicon
//! has and nothing else, deprecated members with the values that the sync spec asks for.

use bytes::Bytes;
use rookery_atproto::data::cbor::{self, CborError, Limits, Reader};
use rookery_atproto::data::{Cid, Map, Value};
use rookery_atproto::syntax::{Datetime, Did, Handle, Tid};

/// Bytes of a frame at most (sync spec, "Repository Event Stream").
pub const MAX_FRAME: usize = 5_000_000;
/// Bytes of the `blocks` of a `#commit` at most.
pub const MAX_COMMIT_BLOCKS: usize = 2_000_000;
/// Bytes of the `blocks` of a `#sync` at most.
pub const MAX_SYNC_BLOCKS: usize = 10_000;
/// Operations of one `#commit` at most.
pub const MAX_OPS: usize = 200;
/// Sequence numbers stay below what a 64-bit float holds exactly (event stream spec, "Sequence Numbers").
pub const SEQ_END: u64 = 1 << 53;

/// A message of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Something that happened, with its number.
    Event(Event),
    /// `#info`: about the stream, without a number.
    Info(Notice),
    /// The last message before the stream is closed.
    Error(Notice),
}

/// A name for programs and a text for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// `OutdatedCursor`, `FutureCursor`, …
    pub name: String,
    /// What it says.
    pub message: Option<String>,
}

/// What all events have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its number.
    pub seq: u64,
    /// The account; called `repo` in a `#commit`.
    pub did: Did,
    /// When.
    pub time: Datetime,
    /// What happened.
    pub body: Body,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// A new commit.
    Commit(Commit),
    /// The state of a repo.
    Sync {
        /// Of the commit.
        rev: Tid,
        /// A CAR of the commit.
        blocks: Bytes,
    },
    /// The DID document or the handle may have changed.
    Identity {
        /// The handle now.
        handle: Option<Handle>,
    },
    /// Whether the repo is served.
    Account {
        /// True when it is.
        active: bool,
        /// Why it is not.
        status: Option<String>,
    },
}

/// `#commit` without what all events have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The commit.
    pub commit: Cid,
    /// Its revision.
    pub rev: Tid,
    /// The revision before.
    pub since: Option<Tid>,
    /// The root of the tree before.
    pub prev_data: Option<Cid>,
    /// What changed.
    pub ops: Vec<Op>,
    /// A CAR of what is new.
    pub blocks: Bytes,
}

/// A record operation as it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Op {
    /// `create`, `update` or `delete`, if it is right.
    pub action: String,
    /// `collection/rkey`.
    pub path: String,
    /// The record after.
    pub cid: Option<Cid>,
    /// The record before.
    pub prev: Option<Cid>,
}

/// Why bytes are not a frame of this stream.
#[derive(Debug, thiserror::Error)]
pub enum FrameFault {
    /// Longer than [`MAX_FRAME`].
    #[error("the frame has {0} bytes, more than {MAX_FRAME}")]
    TooLong(usize),
    /// Not two items of strict DAG-CBOR, one after the other.
    #[error("the frame is not strict DAG-CBOR: {0}")]
    Cbor(#[from] CborError),
    /// A header or body that is no map.
    #[error("{0} is not an object")]
    NotAMap(&'static str),
    /// `op` and `t` that mean nothing here.
    #[error("the header has op {op} and t {t:?}")]
    Header {
        /// As given.
        op: i64,
        /// As given.
        t: Option<String>,
    },
    /// A member that must be there.
    #[error("{place} lacks {name:?}")]
    Missing {
        /// Which object.
        place: &'static str,
        /// Which member.
        name: &'static str,
    },
    /// A member that the lexicon does not have.
    #[error("{place} has a member {name:?}, which it must not have")]
    Unknown {
        /// Which object.
        place: &'static str,
        /// Which member.
        name: String,
    },
    /// A member of another type or value than it must have.
    #[error("{name:?} of {place} must be {expected}")]
    Wrong {
        /// Which object.
        place: &'static str,
        /// Which member.
        name: &'static str,
        /// What it must be.
        expected: &'static str,
    },
}

impl Frame {
    /// Reads a frame.
    pub fn decode(bytes: &[u8]) -> Result<Self, FrameFault> {
        if bytes.len() > MAX_FRAME {
            return Err(FrameFault::TooLong(bytes.len()));
        }
        let mut reader = Reader::new(bytes);
        let (head, body) = bytes.split_at(reader.skip(1)?.len());
        let mut header = Members::read("the header", head)?;
        let op = header.int("op")?;
        let t = header.optional("t", Members::text)?;
        header.finish()?;
        match (op, t.as_deref()) {
            (1, Some("#commit")) => commit(Members::read("#commit", body)?),
            (1, Some("#sync")) => sync(Members::read("#sync", body)?),
            (1, Some("#identity")) => identity(Members::read("#identity", body)?),
            (1, Some("#account")) => account(Members::read("#account", body)?),
            (1, Some("#info")) => Ok(Self::Info(notice(Members::read("#info", body)?, "name")?)),
            (-1, None) => Ok(Self::Error(notice(Members::read("the error", body)?, "error")?)),
            _ => Err(FrameFault::Header { op, t }),
        }
    }

    /// The event, if it is one.
    pub fn event(&self) -> Option<&Event> {
        match self {
            Self::Event(event) => Some(event),
            Self::Info(_) | Self::Error(_) => None,
        }
    }
}

fn commit(mut body: Members) -> Result<Frame, FrameFault> {
    let (seq, time) = (body.seq()?, body.parsed("time", "a datetime", |text| Datetime::parse(text).ok())?);
    let did = body.parsed("repo", "a DID", |text| Did::parse(text).ok())?;
    body.constant("rebase", &Value::Bool(false), "false")?;
    body.constant("tooBig", &Value::Bool(false), "false")?;
    body.constant("blobs", &Value::List(Vec::new()), "an empty list")?;
    let items = body.list("ops")?;
    if items.len() > MAX_OPS {
        return Err(body.wrong("ops", "at most 200 operations"));
    }
    let since = match body.take("since")? {
        Value::Null => None,
        Value::Text(text) => Some(Tid::parse(&text).map_err(|_| body.wrong("since", "a TID or null"))?),
        _ => return Err(body.wrong("since", "a TID or null")),
    };
    let commit = Commit {
        commit: body.link("commit")?,
        rev: body.parsed("rev", "a TID", |text| Tid::parse(text).ok())?,
        since,
        prev_data: body.optional("prevData", Members::link)?,
        ops: items.into_iter().map(op).collect::<Result<_, _>>()?,
        blocks: body.bytes("blocks", MAX_COMMIT_BLOCKS)?,
    };
    body.finish()?;
    Ok(Frame::Event(Event { seq, did, time, body: Body::Commit(commit) }))
}

fn op(item: Value) -> Result<Op, FrameFault> {
    let mut members = Members::of("an operation", item)?;
    let cid = match members.take("cid")? {
        Value::Null => None,
        Value::Link(cid) => Some(cid),
        _ => return Err(members.wrong("cid", "a link or null")),
    };
    let op = Op {
        action: members.text("action")?,
        path: members.text("path")?,
        cid,
        prev: members.optional("prev", Members::link)?,
    };
    members.finish()?;
    Ok(op)
}

fn sync(mut body: Members) -> Result<Frame, FrameFault> {
    let rev = body.parsed("rev", "a TID", |text| Tid::parse(text).ok())?;
    let blocks = body.bytes("blocks", MAX_SYNC_BLOCKS)?;
    body.event(Body::Sync { rev, blocks })
}

fn identity(mut body: Members) -> Result<Frame, FrameFault> {
    let handle =
        body.optional("handle", |body, name| body.parsed(name, "a handle", |text| Handle::parse(text).ok()))?;
    body.event(Body::Identity { handle })
}

fn account(mut body: Members) -> Result<Frame, FrameFault> {
    let active = match body.take("active")? {
        Value::Bool(active) => active,
        _ => return Err(body.wrong("active", "a boolean")),
    };
    let status = body.optional("status", Members::text)?;
    body.event(Body::Account { active, status })
}

fn notice(mut body: Members, name: &'static str) -> Result<Notice, FrameFault> {
    let notice = Notice { name: body.text(name)?, message: body.optional("message", Members::text)? };
    body.finish()?;
    Ok(notice)
}

/// The members of an object that are not read yet.
struct Members {
    place: &'static str,
    map: Map,
}

impl Members {
    fn read(place: &'static str, bytes: &[u8]) -> Result<Self, FrameFault> {
        // Deep enough for a list of operations, which have links.
        Self::of(place, cbor::decode_with(bytes, Limits { bytes: MAX_FRAME, depth: 3 })?)
    }

    fn of(place: &'static str, value: Value) -> Result<Self, FrameFault> {
        match value {
            Value::Map(map) => Ok(Self { place, map }),
            _ => Err(FrameFault::NotAMap(place)),
        }
    }

    fn wrong(&self, name: &'static str, expected: &'static str) -> FrameFault {
        FrameFault::Wrong { place: self.place, name, expected }
    }

    fn take(&mut self, name: &'static str) -> Result<Value, FrameFault> {
        self.map.remove(name).ok_or(FrameFault::Missing { place: self.place, name })
    }

    fn optional<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Self, &'static str) -> Result<T, FrameFault>,
    ) -> Result<Option<T>, FrameFault> {
        if self.map.get(name).is_some() { read(self, name).map(Some) } else { Ok(None) }
    }

    fn int(&mut self, name: &'static str) -> Result<i64, FrameFault> {
        self.take(name)?.as_int().ok_or_else(|| self.wrong(name, "an integer"))
    }

    fn text(&mut self, name: &'static str) -> Result<String, FrameFault> {
        match self.take(name)? {
            Value::Text(text) => Ok(text),
            _ => Err(self.wrong(name, "text")),
        }
    }

    fn parsed<T>(
        &mut self,
        name: &'static str,
        expected: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, FrameFault> {
        parse(&self.text(name)?).ok_or_else(|| self.wrong(name, expected))
    }

    fn link(&mut self, name: &'static str) -> Result<Cid, FrameFault> {
        self.take(name)?.as_link().ok_or_else(|| self.wrong(name, "a link"))
    }

    fn list(&mut self, name: &'static str) -> Result<Vec<Value>, FrameFault> {
        match self.take(name)? {
            Value::List(items) => Ok(items),
            _ => Err(self.wrong(name, "a list")),
        }
    }

    fn bytes(&mut self, name: &'static str, most: usize) -> Result<Bytes, FrameFault> {
        match self.take(name)? {
            Value::Bytes(bytes) if bytes.len() <= most => Ok(bytes.into()),
            Value::Bytes(_) => Err(self.wrong(name, "within the limit of the lexicon")),
            _ => Err(self.wrong(name, "bytes")),
        }
    }

    fn constant(
        &mut self,
        name: &'static str,
        value: &Value,
        expected: &'static str,
    ) -> Result<(), FrameFault> {
        if self.take(name)? == *value { Ok(()) } else { Err(self.wrong(name, expected)) }
    }

    fn seq(&mut self) -> Result<u64, FrameFault> {
        let seq = self.int("seq")?;
        u64::try_from(seq)
            .ok()
            .filter(|seq| (1..SEQ_END).contains(seq))
            .ok_or_else(|| self.wrong("seq", "from 1 to 2^53 - 1"))
    }

    /// The event with this body, once `seq`, `did` and `time` are taken too and nothing is left.
    fn event(mut self, body: Body) -> Result<Frame, FrameFault> {
        let seq = self.seq()?;
        let did = self.parsed("did", "a DID", |text| Did::parse(text).ok())?;
        let time = self.parsed("time", "a datetime", |text| Datetime::parse(text).ok())?;
        self.finish()?;
        Ok(Frame::Event(Event { seq, did, time, body }))
    }

    fn finish(self) -> Result<(), FrameFault> {
        match self.map.iter().next() {
            Some((name, _)) => Err(FrameFault::Unknown { place: self.place, name: name.to_owned() }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
