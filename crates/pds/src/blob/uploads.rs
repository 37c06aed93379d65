//! Places for uploads in progress: each holds a connection, a file and its part of the disk.

use crate::config::limits::UPLOADS;
use crate::error::{Error, Result};
use crate::ports::RepoId;
use http::StatusCode;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// How many there are, by account. A mutex, held for one look-up and never across an await.
#[derive(Default)]
pub(crate) struct Uploads(Mutex<HashMap<RepoId, usize>>);

/// A place; free again when dropped.
pub(super) struct Place<'a> {
    uploads: &'a Uploads,
    account: RepoId,
}

impl Uploads {
    /// Takes a place, if the account and the server have one left.
    pub(super) fn enter(&self, account: RepoId) -> Result<Place<'_>> {
        let (most, most_in_all) = UPLOADS;
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if accounts.values().sum::<usize>() >= most_in_all {
            return Err(Error::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "Overloaded",
                "The server takes no more uploads at once; nothing was stored. Try again in a few seconds.",
            ));
        }
        let of_account = accounts.entry(account).or_default();
        if *of_account >= most {
            return Err(Error::new(
                StatusCode::TOO_MANY_REQUESTS,
                "RateLimitExceeded",
                format!("{most} uploads of this account are in progress already. Wait until one has ended."),
            ));
        }
        *of_account += 1;
        Ok(Place { uploads: self, account })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut accounts = self.uploads.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = accounts.get_mut(&self.account) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                accounts.remove(&self.account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_for_each_account_and_for_all_and_come_back() {
        let uploads = Uploads::default();
        let (most, most_in_all) = UPLOADS;
        let mut places: Vec<_> = (0..most).map(|_| uploads.enter(RepoId(1)).unwrap()).collect();
        assert_eq!(uploads.enter(RepoId(1)).err().unwrap().status, StatusCode::TOO_MANY_REQUESTS);
        places.pop();
        places.push(uploads.enter(RepoId(1)).unwrap());
        let mut account = 2;
        while places.len() < most_in_all {
            account += 1;
            places.push(uploads.enter(RepoId(account)).unwrap());
        }
        assert_eq!(uploads.enter(RepoId(2)).err().unwrap().status, StatusCode::SERVICE_UNAVAILABLE);
        drop(places);
        assert!(uploads.0.lock().unwrap().is_empty());
    }
}
