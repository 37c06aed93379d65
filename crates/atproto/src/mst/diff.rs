//! What is different between two trees.

use super::course::{Ahead, Course};
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

/// The keys that differ, in order. A subtree that both trees have at the same point is not loaded.
pub fn diff<S: NodeSource>(
    (old_source, old_root): (S, Link),
    (new_source, new_root): (S, Link),
) -> Result<Vec<Difference>, MstError<S::Error>> {
    let (mut old, mut new) = (Course::new(old_root, false), Course::new(new_root, false));
    let mut found = Vec::new();
    loop {
        match (old.peek(), new.peek()) {
            (None, None) => return Ok(found),
            (Some(Ahead::Subtree(a, _)), Some(Ahead::Subtree(b, _))) if a.cid == b.cid => {
                old.next();
                new.next();
            }
            (Some(Ahead::Subtree(_, a)), Some(Ahead::Subtree(_, b))) => {
                // The higher one is opened first, so that equal subtrees meet. A top's layer is not known yet.
                let order = a.zip(*b).map_or(Ordering::Equal, |(a, b)| a.cmp(&b));
                if order.is_ge() {
                    open(&mut old, &old_source)?;
                }
                if order.is_le() {
                    open(&mut new, &new_source)?;
                }
            }
            (Some(Ahead::Subtree(..)), _) => open(&mut old, &old_source)?,
            (_, Some(Ahead::Subtree(..))) => open(&mut new, &new_source)?,
            (a, b) => {
                let order = match (a, b) {
                    (Some(Ahead::Leaf(a, _)), Some(Ahead::Leaf(b, _))) => a.cmp(b),
                    (Some(_), _) => Ordering::Less,
                    _ => Ordering::Greater,
                };
                let before = if order.is_le() { leaf(&mut old) } else { None };
                let after = if order.is_ge() { leaf(&mut new) } else { None };
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

/// Enters the subtree that is next.
fn open<S: NodeSource>(side: &mut Course, source: &S) -> Result<(), MstError<S::Error>> {
    if let Some(Ahead::Subtree(link, layer)) = side.next() {
        let node = side.load(source, link, layer)?;
        side.enter(node, None);
    }
    Ok(())
}

/// Takes the leaf that is next.
fn leaf(side: &mut Course) -> Option<(Box<str>, Cid)> {
    match side.next()? {
        Ahead::Leaf(key, value) => Some((key, value)),
        Ahead::Subtree(..) => None,
    }
}
