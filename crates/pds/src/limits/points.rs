//! What writes cost, as in the reference PDS.

use rookery_atproto::repo::Action;

/// Points for one write.
pub(crate) fn points(action: Action) -> u32 {
    match action {
        Action::Create(_) => 3,
        Action::Update(_) | Action::Put(_) => 2,
        Action::Delete => 1,
    }
}
