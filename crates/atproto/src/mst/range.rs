//! Keys from a start on, in either direction.

use super::course::{Ahead, Course};
use super::{Link, MstError, NodeSource};
use crate::data::Cid;

/// Keys and values of a tree in ascending order, or descending if `reverse`, from `from` on (included). Only nodes
/// that can hold such keys are loaded. Ends after the first error.
pub fn range<S: NodeSource>(source: S, root: Link, from: Option<&str>, reverse: bool) -> Range<S> {
    Range { source, course: Course::new(root, reverse), from: from.map(str::to_owned) }
}

/// See [`range`].
#[derive(Debug)]
pub struct Range<S> {
    source: S,
    course: Course,
    /// Until the first key has been found; all others are beyond it.
    from: Option<String>,
}

impl<S: NodeSource> Iterator for Range<S> {
    type Item = Result<(String, Cid), MstError<S::Error>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.course.next()? {
                Ahead::Leaf(key, value) => {
                    self.from = None;
                    return Some(Ok((key.into(), value)));
                }
                Ahead::Subtree(link, layer) => match self.course.load(&self.source, link, layer) {
                    Ok(node) => self.course.enter(node, self.from.as_deref()),
                    Err(error) => {
                        self.course.stop();
                        return Some(Err(error));
                    }
                },
            }
        }
    }
}
