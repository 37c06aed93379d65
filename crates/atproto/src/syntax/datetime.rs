//! Points in time as text (spec: lexicon, "datetime").

use jiff::Timestamp;
use jiff::civil::DateTime;

use super::newtype::checked_text;

/// Far above any useful precision.
const MAX_BYTES: usize = 64;
const FORM: &str = "write it as 1985-04-12T23:20:50.123Z, the time zone as Z or +01:00";

checked_text! {
    /// A date and time with time zone, such as `1985-04-12T23:20:50.123Z`, kept as written: its digits are hashed.
    Datetime, "datetime"
}

impl Datetime {
    /// The usual text of a time given in microseconds since 1970: UTC with milliseconds. Times outside the years 0 to
    /// 9999 become the nearest inside.
    #[must_use]
    pub fn from_micros(micros: i64) -> Self {
        let nearest = if micros < 0 { EARLIEST_MICROS } else { LATEST_MICROS };
        let micros = micros.clamp(EARLIEST_MICROS, LATEST_MICROS);
        let time = Timestamp::from_microsecond(micros)
            .or_else(|_| Timestamp::from_microsecond(nearest))
            .unwrap_or_default();
        Self(format!("{time:.3}").into())
    }

    /// Microseconds since 1970, cut, not rounded.
    #[must_use]
    pub fn micros(&self) -> i64 {
        read(&self.0).unwrap_or_default()
    }
}

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
/// 0000-01-01T00:00:00Z.
const EARLIEST_MICROS: i64 = -62_167_219_200_000_000;
/// 9999-12-30T22:00:00.999Z: a little before the end of the last year, where the time library stops.
const LATEST_MICROS: i64 = 253_402_207_200_999_000;

fn check(text: &str) -> Result<(), &'static str> {
    read(text).map(drop)
}

fn read(text: &str) -> Result<i64, &'static str> {
    if text.len() > MAX_BYTES {
        return Err("a datetime has at most 64 characters");
    }
    let (date, time) = text.split_once('T').ok_or(FORM)?;
    let zone_at = time.find(['Z', '+', '-']).ok_or("a time zone is required: Z, or an offset like +01:00")?;
    let (clock, zone) = time.split_at_checked(zone_at).ok_or(FORM)?;
    let (clock, fraction) = match clock.split_once('.') {
        Some((clock, fraction)) => (clock, micros_of(fraction).ok_or(FORM)?),
        None => (clock, 0),
    };
    let [year, month, day] = numbers(date, '-', [4, 2, 2]).ok_or(FORM)?;
    let [hour, minute, second] = numbers(clock, ':', [2, 2, 2]).ok_or(FORM)?;
    let part = |number: i16| i8::try_from(number).map_err(|_| FORM);
    let civil = DateTime::new(year, part(month)?, part(day)?, part(hour)?, part(minute)?, part(second)?, 0)
        .map_err(|_| "there is no such day or time of day")?;
    let seconds = civil.duration_since(EPOCH).as_secs() - i64::from(offset_seconds(zone)?);
    let micros = seconds * 1_000_000 + fraction;
    if micros < EARLIEST_MICROS {
        return Err("times before the year 0 are not allowed");
    }
    Ok(micros)
}

fn offset_seconds(zone: &str) -> Result<i32, &'static str> {
    if zone == "Z" {
        return Ok(0);
    }
    if zone == "-00:00" {
        return Err("the offset -00:00 is not allowed, write Z");
    }
    let (sign, offset) = match zone.strip_prefix('-') {
        Some(offset) => (-1, offset),
        None => (1, zone.strip_prefix('+').ok_or(FORM)?),
    };
    let [hours, minutes] = numbers(offset, ':', [2, 2]).ok_or(FORM)?;
    if hours > 23 || minutes > 59 {
        return Err("there is no such time zone offset");
    }
    Ok(sign * (i32::from(hours) * 60 + i32::from(minutes)) * 60)
}

/// The first six digits of a fraction, which must be all digits and at least one.
fn micros_of(fraction: &str) -> Option<i64> {
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    format!("{fraction:0<6}").get(..6)?.parse().ok()
}

/// Exactly `N` numbers of exactly these many digits.
fn numbers<const N: usize>(text: &str, separator: char, digits: [usize; N]) -> Option<[i16; N]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; N];
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part = parts.next()?;
        if part.len() != digits || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn microseconds_become_text_and_back() {
        let time = Datetime::from_micros(482_196_050_123_000);
        assert_eq!(time.as_str(), "1985-04-12T23:20:50.123Z");
        assert_eq!(time.micros(), 482_196_050_123_000);
        assert_eq!(Datetime::parse("1985-04-13T00:20:50.1239999Z").unwrap().micros(), 482_199_650_123_999);
        assert_eq!(Datetime::parse("1985-04-13T01:20:50.123+02:00").unwrap().micros(), 482_196_050_123_000);
    }

    #[test]
    fn every_number_of_microseconds_has_a_valid_text() {
        for micros in [i64::MIN, EARLIEST_MICROS, -1, 0, 1, LATEST_MICROS, i64::MAX] {
            let time = Datetime::from_micros(micros);
            assert_eq!(Datetime::parse(time.as_str()).as_ref(), Ok(&time));
        }
        assert_eq!(Datetime::from_micros(0).as_str(), "1970-01-01T00:00:00.000Z");
    }
}
