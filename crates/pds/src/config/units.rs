//! Durations and sizes as an operator writes them: `72h`, `20m`, `60MiB`.

use std::time::Duration;

/// Something an operator wrote that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(pub String);

const SPANS: [(&str, u64); 4] = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)];
const SIZES: [(&str, u64); 7] = [
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// A number and one of `s`, `m`, `h`, `d`.
pub fn duration(text: &str) -> Result<Duration, Unusable> {
    let seconds = measure(text, &SPANS).map_err(|problem| {
        let form = "expected a number and s, m, h or d, such as 72h";
        Unusable(format!("{text} is not a duration: {form} ({problem})"))
    })?;
    Ok(Duration::from_secs(seconds))
}

/// A number of bytes, or a number and a unit of bytes such as `MB` (1,000,000) or `MiB` (1,048,576).
pub fn bytes(text: &str) -> Result<u64, Unusable> {
    let text = text.trim();
    let plain = text.parse().ok();
    plain.map_or_else(|| measure(text, &SIZES), Ok).map_err(|problem| {
        let form = "expected a number of bytes, or a number and a unit such as 60MiB";
        Unusable(format!("{text} is not a size: {form} ({problem})"))
    })
}

/// A whole number. `what` is what it counts.
pub fn count(text: &str, what: &str) -> Result<u64, Unusable> {
    text.trim().parse().map_err(|error| Unusable(format!("{text} is not a number of {what} ({error})")))
}

fn measure(text: &str, units: &[(&str, u64)]) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = text.strip_prefix(digits).unwrap_or_default().trim();
    let known = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit));
    let (_, factor) = known.ok_or_else(|| format!("the unit is {unit:?}"))?;
    let number: u64 = digits.trim().parse().map_err(|error| format!("{error}"))?;
    number.checked_mul(*factor).ok_or_else(|| "it is too large".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_read() {
        assert_eq!(duration("72h").unwrap(), Duration::from_secs(72 * 3_600));
        assert_eq!(duration(" 20 m ").unwrap(), Duration::from_secs(1_200));
        assert_eq!(bytes("60MiB").unwrap(), 60 * 1_048_576);
        assert_eq!(bytes("60 mb").unwrap(), 60_000_000);
        assert_eq!(bytes("512").unwrap(), 512);
        assert_eq!(count("1000", "subscribers").unwrap(), 1000);
    }

    #[test]
    fn what_has_no_unit_or_no_number_or_is_too_large_is_refused() {
        for bad in
            ["", "72", "h", "-1h", "1.5h", "1 fortnight", "99999999999999999999h", "18446744073709551615d"]
        {
            assert!(duration(bad).is_err(), "{bad}");
        }
        for bad in ["", "MiB", "-1", "1.5MiB", "60XiB", "18446744073709551615GiB"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
        assert!(count("many", "events").is_err());
    }
}
