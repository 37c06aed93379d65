//! What is different between two trees.

use super::node::load;
use super::walk::{Ahead, expand};
use super::{Link, MstError, NodeSource};
use crate::data::Cid;
use std::cmp::Ordering;

/// A key whose value differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// `collection/rkey`.
    pub key: String,
    /// Its value in the old tree; none if it was created.
    pub old: Option<Cid>,
    /// Its value in the new tree; none if it was deleted.
    pub new: Option<Cid>,
}

/// One side of the comparison.
struct Side<S> {
    source: S,
    ahead: Vec<Ahead>,
}

impl<S: NodeSource> Side<S> {
    fn new(source: S, root: Link) -> Self {
        Self { source, ahead: vec![Ahead::Subtree(root, None)] }
    }

    /// Loads the subtree that is next.
    fn open(&mut self) -> Result<(), MstError<S::Error>> {
        if let Some(Ahead::Subtree(link, layer)) =
            self.ahead.pop_if(|next| matches!(next, Ahead::Subtree(..)))
        {
            expand(load(&self.source, link, layer)?, &mut self.ahead);
        }
        Ok(())
    }

    /// Takes the leaf that is next.
    fn leaf(&mut self) -> Option<(Box<str>, Cid)> {
        match self.ahead.pop_if(|next| matches!(next, Ahead::Leaf(..)))? {
            Ahead::Leaf(key, value) => Some((key, value)),
            Ahead::Subtree(..) => None,
        }
    }
}

/// The keys that differ, in order. A subtree that both trees have at the same point is not loaded.
pub fn diff<S: NodeSource>(
    (old, old_root): (S, Link),
    (new, new_root): (S, Link),
) -> Result<Vec<Difference>, MstError<S::Error>> {
    let (mut old, mut new) = (Side::new(old, old_root), Side::new(new, new_root));
    let mut found = Vec::new();
    loop {
        match (old.ahead.last(), new.ahead.last()) {
            (None, None) => return Ok(found),
            (Some(Ahead::Subtree(a, _)), Some(Ahead::Subtree(b, _))) if a.cid == b.cid => {
                old.ahead.pop();
                new.ahead.pop();
            }
            (Some(Ahead::Subtree(_, a)), Some(Ahead::Subtree(_, b))) => match (a, b) {
                // The higher one is opened first, so that equal subtrees meet. A top's layer is not known yet.
                (Some(a), Some(b)) if a > b => old.open()?,
                (Some(a), Some(b)) if a < b => new.open()?,
                _ => {
                    old.open()?;
                    new.open()?;
                }
            },
            (Some(Ahead::Subtree(..)), _) => old.open()?,
            (_, Some(Ahead::Subtree(..))) => new.open()?,
            (a, b) => {
                let order = match (a, b) {
                    (Some(Ahead::Leaf(a, _)), Some(Ahead::Leaf(b, _))) => a.cmp(b),
                    (Some(_), _) => Ordering::Less,
                    _ => Ordering::Greater,
                };
                let before = if order.is_le() { old.leaf() } else { None };
                let after = if order.is_ge() { new.leaf() } else { None };
                let (was, is) = (before.as_ref().map(|leaf| leaf.1), after.as_ref().map(|leaf| leaf.1));
                if was != is
                    && let Some((key, _)) = after.or(before)
                {
                    found.push(Difference { key: key.into(), old: was, new: is });
                }
            }
        }
    }
}
