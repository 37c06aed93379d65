//! Tree nodes.
//!
//! A node has a *place*, a number, and is rewritten in it: rows keyed by hash would dirty a random page for each node of a
//! write. The nodes that the last commit wrote are not in rows of their own at all but together in the head's row
//! ([`Recent`]), which every commit rewrites anyway. Most writes append: they rewrite the path that the last one wrote,
//! so that they read and write no other row of the tree. A node goes to its place when a commit leaves it alone.
//!
//! *Tricky:* a node that comes back from its place to the head's row leaves its old row behind, out of date. Whoever reads
//! nodes looks at the recent ones first.

use super::{cid, column_error, one, parsed};
use crate::ports::{RepoId, Row, Sql, SqlError, Value};
use bytes::{Buf, Bytes};
use rookery_atproto::data::Cid;
use rookery_atproto::mst::{
    Change, Link, NodeSource, Place, StoredNode, WrittenNode, decode_places, encode_places,
};
use rookery_atproto::repo::Head;
use rookery_atproto::syntax::Tid;
use std::collections::HashSet;

/// Bits of a node's row id that are its place; the rest is the account. 2^28 places and 2^25 accounts stay below 2^53.
const PLACE_BITS: u32 = 28;
/// Bytes of nodes in the head's row at most. The path to a record takes some 500 bytes for each layer of the tree, of which
/// a repo of a million records has ten.
const RECENT_BYTES: usize = 8 * 1024;

/// The nodes that the commit at the head wrote, as far as they are in its row.
#[derive(Debug, Default)]
pub struct Recent(Vec<WrittenNode>);

/// What a commit does to the stored tree.
#[derive(Debug)]
pub struct TreeChange {
    /// For the head's row.
    pub recent: Recent,
    /// Nodes that go to their places, and the commits that wrote them.
    flushed: Vec<(Tid, WrittenNode)>,
    /// Places that are empty now.
    removed: Vec<Link>,
}

impl Recent {
    /// What a new repo has.
    pub fn of_first(change: Change) -> Self {
        Self(change.written)
    }

    /// Takes over from the nodes that the commit `since` wrote: what `change`, which is commit `rev`, wrote stays in the
    /// head's row as far as it fits, and the rest goes to its place.
    pub fn follow(self, since: Tid, change: Change, rev: Tid) -> TreeChange {
        let Change { written, removed, .. } = change;
        let gone: HashSet<Place> =
            written.iter().map(|node| node.link.place).chain(removed.iter().map(|link| link.place)).collect();
        let left_alone = self.0.into_iter().filter(|node| !gone.contains(&node.link.place));
        let mut flushed: Vec<_> = left_alone.map(|node| (since, node)).collect();
        let mut recent = Vec::new();
        let mut room = RECENT_BYTES;
        // The top node is the last. Of a batch that appends, the path to its last record comes right before.
        for node in written.into_iter().rev() {
            match room.checked_sub(node.block.len()) {
                Some(left) => {
                    room = left;
                    recent.push(node);
                }
                None => {
                    room = 0;
                    flushed.push((rev, node));
                }
            }
        }
        // Neighbours in the file one after the other.
        flushed.sort_unstable_by_key(|(_, node)| node.link.place);
        TreeChange { recent: Self(recent), flushed, removed }
    }

    /// The nodes.
    pub fn nodes(&self) -> &[WrittenNode] {
        &self.0
    }

    fn at(&self, place: Place) -> Option<&WrittenNode> {
        self.0.iter().find(|node| node.link.place == place)
    }

    /// As bytes for its column: for each node place, CID, block and the places of its subtrees; numbers and lengths in
    /// front of what they measure, as LEB128.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.0.iter().map(|node| node.block.len() + 64).sum());
        let mut put = |bytes: &[u8]| {
            out.extend_from_slice(&encode_places(&[Place(bytes.len() as u64)]));
            out.extend_from_slice(bytes);
        };
        for node in &self.0 {
            put(&encode_places(&[node.link.place]));
            put(node.link.cid.as_bytes());
            put(&node.block);
            put(&encode_places(&node.children));
        }
        out
    }

    pub(super) fn read(row: &dyn Row, column: usize) -> Result<Self, SqlError> {
        let mut bytes = Bytes::copy_from_slice(row.blob(column)?);
        let mut nodes = Vec::new();
        let broken = |problem: &dyn std::fmt::Display| column_error(column, problem);
        while !bytes.is_empty() {
            let mut part = || piece(&mut bytes).ok_or_else(|| broken(&"the recent nodes are cut short"));
            let (place, cid, block, children) = (part()?, part()?, part()?, part()?);
            let [place] = *decode_places(&place).map_err(|error| broken(&error))? else {
                return Err(broken(&"a recent node without its place"));
            };
            nodes.push(WrittenNode {
                link: Link { cid: Cid::from_bytes(&cid).map_err(|error| broken(&error))?, place },
                block,
                children: decode_places(&children).map_err(|error| broken(&error))?,
            });
        }
        Ok(Self(nodes))
    }
}

/// Takes a length and as many bytes off the front.
fn piece(bytes: &mut Bytes) -> Option<Bytes> {
    let digits = bytes.iter().position(|byte| byte & 0x80 == 0)? + 1;
    let [Place(length)] = *decode_places(bytes.get(..digits)?).ok()? else { return None };
    bytes.advance(digits);
    let length = usize::try_from(length).ok().filter(|length| *length <= bytes.len())?;
    Some(bytes.split_to(length))
}

/// The tree of one repo, node by node.
pub struct Nodes<'a> {
    /// The snapshot.
    pub sql: &'a dyn Sql,
    /// Whose tree.
    pub repo: RepoId,
    /// What the row of its head holds, in the same snapshot.
    pub recent: &'a Recent,
}

impl NodeSource for Nodes<'_> {
    type Error = SqlError;

    fn load(&self, at: &Link) -> Result<Option<StoredNode>, SqlError> {
        let found = match self.recent.at(at.place) {
            Some(node) => Some((
                node.link.cid,
                StoredNode { block: node.block.clone(), children: node.children.clone() },
            )),
            None => one(
                self.sql,
                "SELECT cid, block, children FROM node WHERE id = ?1",
                &[Value::Int(node_id(self.repo, at.place)?)],
                |row| {
                    let node = StoredNode {
                        block: Bytes::copy_from_slice(row.blob(1)?),
                        children: decode_places(row.blob(2)?).map_err(|error| column_error(2, error))?,
                    };
                    Ok((cid(row, 0)?, node))
                },
            )?,
        };
        match found {
            // The parent says which node it means: a place that holds another one is corruption, not data.
            Some((cid, _)) if cid != at.cid => {
                Err(SqlError::Other(format!("place {} holds {cid}, not {}", at.place.0, at.cid)))
            }
            other => Ok(other.map(|(_, node)| node)),
        }
    }
}

impl Nodes<'_> {
    /// The revision that last wrote a node of the tree of `head`.
    pub fn rev(&self, head: &Head, at: Place) -> Result<Tid, SqlError> {
        if self.recent.at(at).is_some() {
            return Ok(head.rev);
        }
        let id = Value::Int(node_id(self.repo, at)?);
        let rev = one(self.sql, "SELECT rev FROM node WHERE id = ?1", &[id], |row| parsed(row, 0))?;
        rev.ok_or_else(|| SqlError::Other(format!("no node at place {}", at.0)))
    }
}

/// Writes the nodes that go to their places and removes those that are gone. The recent ones go with the head.
pub fn write(sql: &dyn Sql, repo: RepoId, change: &TreeChange) -> Result<(), SqlError> {
    for (rev, node) in &change.flushed {
        sql.exec(
            "INSERT INTO node (id, rev, cid, block, children) VALUES (?1, ?2, ?3, ?4, ?5) \
             ON CONFLICT DO UPDATE SET rev = excluded.rev, cid = excluded.cid, block = excluded.block, \
             children = excluded.children",
            &[
                Value::Int(node_id(repo, node.link.place)?),
                Value::Text(&rev.to_string()),
                Value::Blob(node.link.cid.as_bytes()),
                Value::Blob(&node.block),
                Value::Blob(&encode_places(&node.children)),
            ],
        )?;
    }
    for link in &change.removed {
        sql.exec("DELETE FROM node WHERE id = ?1", &[Value::Int(node_id(repo, link.place)?)])?;
    }
    Ok(())
}

/// Row ids of the nodes of a repo: from the first to before the second.
pub(super) fn node_ids(repo: RepoId) -> (i64, i64) {
    (repo.0 << PLACE_BITS, (repo.0 + 1) << PLACE_BITS)
}

pub(super) fn node_id(repo: RepoId, place: Place) -> Result<i64, SqlError> {
    let place = number(place)?;
    if place >> PLACE_BITS != 0 {
        return Err(SqlError::Other(format!("place {place} is past the last one")));
    }
    Ok((repo.0 << PLACE_BITS) | place)
}

/// A place as a column.
pub(super) fn number(place: Place) -> Result<i64, SqlError> {
    i64::try_from(place.0).map_err(|error| SqlError::Other(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rookery_atproto::syntax::Tid;

    /// A row with one column.
    struct Column(Vec<u8>);

    impl Row for Column {
        fn int(&self, i: usize) -> Result<i64, SqlError> {
            Err(column_error(i, "not an integer"))
        }

        fn text(&self, i: usize) -> Result<&str, SqlError> {
            Err(column_error(i, "not text"))
        }

        fn blob(&self, _: usize) -> Result<&[u8], SqlError> {
            Ok(&self.0)
        }

        fn is_null(&self, _: usize) -> Result<bool, SqlError> {
            Ok(false)
        }
    }

    fn node(place: u64, size: usize) -> WrittenNode {
        let block = Bytes::from(vec![u8::try_from(place % 251).unwrap(); size]);
        let children = (0..place % 5).map(|n| Place(n * 1000)).collect();
        WrittenNode { link: Link { cid: Cid::dag_cbor(&block), place: Place(place) }, block, children }
    }

    fn change(written: Vec<WrittenNode>, removed: Vec<Link>) -> Change {
        let root = written.last().unwrap().link;
        Change { root, written, removed, new_blocks: vec![], replaced: vec![], next_place: Place(1 << 20) }
    }

    fn places<'a>(nodes: impl IntoIterator<Item = &'a WrittenNode>) -> Vec<u64> {
        nodes.into_iter().map(|node| node.link.place.0).collect()
    }

    fn tid(n: u64) -> Tid {
        Tid::new(n, 0)
    }

    proptest! {
        #[test]
        fn recent_nodes_read_back(nodes in prop::collection::vec((0..1u64 << 28, 0..400usize), 0..12)) {
            let nodes: Vec<_> = nodes.into_iter().map(|(place, size)| node(place, size)).collect();
            let read = Recent::read(&Column(Recent(nodes.clone()).encode()), 0).unwrap();
            prop_assert_eq!(format!("{:?}", read.0), format!("{nodes:?}"));
        }

        #[test]
        fn arbitrary_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Recent::read(&Column(bytes), 0);
        }
    }

    #[test]
    fn what_is_cut_short_is_refused() {
        let whole = Recent(vec![node(3, 50), node(1, 70)]).encode();
        let ends: Vec<_> = (0..=whole.len())
            .filter(|end| Recent::read(&Column(whole[..*end].to_vec()), 0).is_ok())
            .collect();
        assert_eq!(ends.len(), 3, "nothing, one node, both: {ends:?}");
    }

    #[test]
    fn nodes_that_a_commit_leaves_alone_go_to_their_places() {
        let before = Recent(vec![node(1, 100), node(2, 100), node(3, 100), node(4, 100)]);
        let gone = before.0[3].link;
        let after = before.follow(tid(1), change(vec![node(9, 90), node(1, 110)], vec![gone]), tid(2));
        assert_eq!(places(after.recent.nodes()), [1, 9]);
        let flushed: Vec<_> = after.flushed.iter().map(|(rev, node)| (*rev, node.link.place.0)).collect();
        assert_eq!(flushed, [(tid(1), 2), (tid(1), 3)]);
        assert_eq!(after.removed, [gone]);
    }

    #[test]
    fn what_does_not_fit_in_the_head_s_row_goes_to_its_place_and_the_top_stays() {
        let written: Vec<_> = (0..40).map(|place| node(place, 500)).collect();
        let after = Recent::default().follow(tid(1), change(written, vec![]), tid(2));
        assert_eq!(places(after.recent.nodes()), (24..40).rev().collect::<Vec<_>>());
        assert_eq!(places(after.flushed.iter().map(|(_, node)| node)), (0..24).collect::<Vec<_>>());
        assert!(after.flushed.iter().all(|(rev, _)| *rev == tid(2)));
    }
}
