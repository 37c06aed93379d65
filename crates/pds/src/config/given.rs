//! What every host lets its operator decide, out of the words that were given; without one there is a default.

use super::units::{self, Unusable};
use super::{BlobRules, Rate, RateLimits, Retention};
use std::time::Duration;

/// How long the firehose can be read back.
pub const EVENT_RETENTION: &str = "72h";
/// Events that are kept.
pub const EVENT_LIMIT: &str = "2000000";
/// The largest blob.
pub const BLOB_LIMIT: &str = "60MiB";
/// How long a blob is kept that no record refers to.
pub const BLOB_GRACE: &str = "6h";
/// Accounts that a relay takes.
pub const RELAY_ACCOUNT_CAP: &str = "100";
/// Writes of an account, in points.
pub const RATE_WRITES: &str = "5000/1h,35000/1d";
/// Uploads of an account.
pub const RATE_UPLOADS: &str = "1000/1d";
/// Requests from an address that are not writes.
pub const RATE_READS: &str = "3000/5m";
/// Exports to an address.
pub const RATE_EXPORTS: &str = "6000/5m";
/// Enrollments from an address.
pub const RATE_SIGNUPS: &str = "100/5m";
/// Failed authentications from an address.
pub const RATE_FAILURES: &str = "300/5m";

/// What S3 takes in one request.
const LARGEST_BLOB: u64 = 5 * 1024 * 1024 * 1024;
/// A year is as good as for ever.
const LONGEST_WINDOW: Duration = Duration::from_secs(366 * 24 * 3_600);

/// The words of [`RateLimits`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Rates<'a> {
    /// `on` or `off`, for all of them.
    pub limits: Option<&'a str>,
    /// Writes of an account.
    pub writes: Option<&'a str>,
    /// Uploads of an account.
    pub uploads: Option<&'a str>,
    /// Requests from an address.
    pub reads: Option<&'a str>,
    /// Exports to an address.
    pub exports: Option<&'a str>,
    /// Enrollments from an address.
    pub signups: Option<&'a str>,
    /// Failed authentications from an address.
    pub failures: Option<&'a str>,
}

impl Rates<'_> {
    /// False when there are to be none.
    pub fn are_on(&self) -> Result<bool, Unusable> {
        match self.limits.map(str::trim) {
            None | Some("on") => Ok(true),
            Some("off") => Ok(false),
            Some(other) => Err(Unusable(format!("the rate limits are on or off, not {other}"))),
        }
    }

    /// The rates; none when they are off.
    pub fn read(&self) -> Result<RateLimits, Unusable> {
        if !self.are_on()? {
            return Ok(RateLimits::default());
        }
        let read = |given: Option<&str>, default| rates(given.unwrap_or(default));
        Ok(RateLimits {
            writes: read(self.writes, RATE_WRITES)?,
            uploads: read(self.uploads, RATE_UPLOADS)?,
            reads: read(self.reads, RATE_READS)?,
            exports: read(self.exports, RATE_EXPORTS)?,
            signups: read(self.signups, RATE_SIGNUPS)?,
            failures: read(self.failures, RATE_FAILURES)?,
        })
    }
}

/// How much of the event log is kept.
pub fn retention(age: Option<&str>, events: Option<&str>) -> Result<Retention, Unusable> {
    Ok(Retention {
        age: units::duration(age.unwrap_or(EVENT_RETENTION))?,
        events: units::count(events.unwrap_or(EVENT_LIMIT), "events")?,
    })
}

/// Bounds on blobs.
pub fn blobs(limit: Option<&str>, grace: Option<&str>) -> Result<BlobRules, Unusable> {
    let (limit, grace) = (limit.unwrap_or(BLOB_LIMIT), grace.unwrap_or(BLOB_GRACE));
    let (bytes, span) = (units::bytes(limit)?, units::duration(grace)?);
    if !(1..=LARGEST_BLOB).contains(&bytes) {
        return Err(Unusable(format!("the blob limit, {limit}, must be from 1B to 5GiB")));
    }
    if span.is_zero() {
        let problem = format!("the grace for blobs, {grace}, must be at least 1s, and better hours");
        return Err(Unusable(problem));
    }
    Ok(BlobRules { limit: bytes, grace: span })
}

/// Accounts that a relay takes.
pub fn account_cap(given: Option<&str>) -> Result<u64, Unusable> {
    let cap = given.unwrap_or(RELAY_ACCOUNT_CAP);
    match units::count(cap, "accounts")? {
        0 => Err(Unusable(format!("the account cap of the relays, {cap}, must be at least 1"))),
        accounts => Ok(accounts),
    }
}

/// `off`, or one or two of points and time, such as `5000/1h,35000/1d`.
fn rates(text: &str) -> Result<Vec<Rate>, Unusable> {
    if text.trim() == "off" {
        return Ok(Vec::new());
    }
    let unusable = |problem: &str| {
        let form = "expected points and time, such as 100/5m, two of them with a comma, or off";
        Unusable(format!("the rate {text} cannot be used: {form} ({problem})"))
    };
    let rates: Result<Vec<Rate>, String> = text.split(',').map(rate).collect();
    match rates {
        Ok(rates) if rates.len() <= 2 => Ok(rates),
        Ok(_) => Err(unusable("there are more than two")),
        Err(problem) => Err(unusable(&problem)),
    }
}

fn rate(text: &str) -> Result<Rate, String> {
    let (points, window) = text.split_once('/').ok_or("there is no slash in it")?;
    let points = points.trim().parse().ok().filter(|points| *points > 0);
    let points = points.ok_or_else(|| format!("the points must be from 1 to {}", u32::MAX))?;
    let window = units::duration(window).map_err(|error| error.to_string())?;
    if window.is_zero() || window > LONGEST_WINDOW {
        return Err("the time must be from 1s to 366d".to_owned());
    }
    Ok(Rate { points, window })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_points_in_a_time_and_the_defaults_are_the_networks() {
        let rate = |points, seconds| Rate { points, window: Duration::from_secs(seconds) };
        let read = Rates { reads: Some("off"), ..Rates::default() }.read().unwrap();
        assert_eq!(read.writes, [rate(5_000, 3_600), rate(35_000, 86_400)]);
        assert_eq!((read.uploads, read.reads), (vec![rate(1_000, 86_400)], vec![]));
        assert_eq!((read.exports, read.signups), (vec![rate(6_000, 300)], vec![rate(100, 300)]));
        assert_eq!(rates(" 3 / 2 s ").unwrap(), [rate(3, 2)]);
    }

    #[test]
    fn off_is_off_for_all() {
        let off = Rates { limits: Some("off"), writes: Some("1/1s"), ..Rates::default() };
        assert_eq!(off.read().unwrap(), RateLimits::default());
    }

    #[test]
    fn what_is_no_rate_is_refused_by_name() {
        for text in [
            "",
            "100",
            "100/",
            "/5m",
            "0/5m",
            "1/0s",
            "1/367d",
            "-1/5m",
            "4294967296/5m",
            "1/1s,1/2s,1/3s",
            "1/1s,",
        ] {
            let refusal = rates(text).unwrap_err().to_string();
            assert!(refusal.contains(&format!("the rate {text} ")), "{refusal}");
        }
        let maybe = Rates { limits: Some("maybe"), ..Rates::default() };
        assert!(maybe.read().unwrap_err().to_string().contains("maybe"));
    }

    #[test]
    fn blobs_and_events_have_bounds_that_make_sense() {
        let usual = BlobRules { limit: 60 * 1024 * 1024, grace: Duration::from_secs(6 * 3_600) };
        assert_eq!(blobs(None, None).unwrap(), usual);
        for (limit, grace) in
            [("0", "6h"), ("6GiB", "6h"), ("60MiB", "0s"), ("much", "6h"), ("60MiB", "long")]
        {
            assert!(blobs(Some(limit), Some(grace)).is_err(), "{limit} {grace}");
        }
        let usual = Retention { age: Duration::from_secs(72 * 3_600), events: 2_000_000 };
        assert_eq!(retention(None, None).unwrap(), usual);
        assert!(retention(Some("72"), None).is_err() && retention(None, Some("all")).is_err());
    }

    #[test]
    fn relays_take_one_account_at_least() {
        assert_eq!((account_cap(None).unwrap(), account_cap(Some("250")).unwrap()), (100, 250));
        for cap in ["0", "many", "-1"] {
            assert!(account_cap(Some(cap)).is_err(), "{cap}");
        }
    }
}
