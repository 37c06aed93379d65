//! Keys from a start on, in either direction.

use super::node::load;
use super::walk::{Ahead, expand};
use super::{Link, MstError, NodeSource};
use crate::data::Cid;

/// Keys and values of a tree in ascending order, or descending if `reverse`, from `from` on (included). Only nodes
/// that can hold such keys are loaded.
pub fn range<S: NodeSource>(source: S, root: Link, from: Option<&str>, reverse: bool) -> Range<S> {
    Range { source, from: from.map(str::to_owned), reverse, ahead: vec![Ahead::Subtree(root, None)] }
}

/// See [`range`].
#[derive(Debug)]
pub struct Range<S> {
    source: S,
    from: Option<String>,
    reverse: bool,
    /// What is still to come, last first.
    ahead: Vec<Ahead>,
}

impl<S: NodeSource> Iterator for Range<S> {
    type Item = Result<(String, Cid), MstError<S::Error>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.ahead.pop()? {
                Ahead::Leaf(key, value) => return Some(Ok((key.into(), value))),
                Ahead::Subtree(link, layer) => match load(&self.source, link, layer) {
                    Ok(node) => {
                        let mut inside = Vec::new();
                        expand(node, &mut inside);
                        self.narrow(inside);
                    }
                    Err(error) => {
                        self.ahead.clear();
                        return Some(Err(error));
                    }
                },
            }
        }
    }
}

impl<S> Range<S> {
    /// Puts the content of a node ahead (it comes last first), without what is before the start.
    fn narrow(&mut self, mut inside: Vec<Ahead>) {
        if self.reverse {
            inside.reverse();
        }
        // Everything that comes before the last leaf that is out of range is out of range too.
        let out = |ahead: &Ahead| match (ahead, self.from.as_deref()) {
            (Ahead::Leaf(key, _), Some(from)) if self.reverse => **key > *from,
            (Ahead::Leaf(key, _), Some(from)) => **key < *from,
            _ => false,
        };
        if let Some(at) = inside.iter().position(out) {
            inside.truncate(at);
        }
        self.ahead.append(&mut inside);
    }
}
