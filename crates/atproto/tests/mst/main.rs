//! The tree against a plain second construction of it, a store that knows nodes by place, hostile blocks and the
//! published vectors.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests may end the process"
)]

mod costs;
mod edits;
mod hostile;
mod nodes;
mod proofs;
mod reads;
mod reference;
mod refusals;
mod store;
mod vectors;

use rookery_atproto::data::Cid;
use rookery_atproto::mst::key_layer;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// What a tree should hold.
type Model = BTreeMap<String, Cid>;

/// How many [`KEYS`] there are.
const KEY_COUNT: usize = 58;

/// Keys of every layer from 0 to 5, so that small trees have many shapes.
static KEYS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut wanted = [24, 14, 10, 6, 3, 1];
    let mut keys = Vec::new();
    for n in 0.. {
        let key = format!("com.example.n{}/{n}", n % 3);
        if let Some(left) = wanted.get_mut(usize::from(key_layer(&key)))
            && *left > 0
        {
            *left -= 1;
            keys.push(key);
        }
        if wanted == [0; 6] {
            break;
        }
    }
    assert_eq!(keys.len(), KEY_COUNT);
    keys
});

fn value(n: u8) -> Cid {
    Cid::dag_cbor(&[n])
}

/// The model of some of the keys, all with one value.
fn model_of(keys: impl IntoIterator<Item = usize>) -> Model {
    keys.into_iter().map(|key| (KEYS[key].clone(), value(1))).collect()
}
