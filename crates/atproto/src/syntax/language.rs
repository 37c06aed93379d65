//! Language tags (spec: lexicon, "language"; RFC 5646).

use std::collections::BTreeSet;

use super::newtype::checked_text;

/// Far above any useful tag.
const MAX_BYTES: usize = 128;

/// Tags of RFC 5646 section 2.2.8 that its grammar does not give.
const IRREGULAR: [&str; 17] = [
    "en-gb-oed",
    "i-ami",
    "i-bnn",
    "i-default",
    "i-enochian",
    "i-hak",
    "i-klingon",
    "i-lux",
    "i-mingo",
    "i-navajo",
    "i-pwn",
    "i-tao",
    "i-tay",
    "i-tsu",
    "sgn-be-fr",
    "sgn-be-nl",
    "sgn-ch-de",
];

checked_text! {
    /// A well-formed language tag such as `pt-BR`. The first part is in lowercase, as the protocol has it.
    Language, "language"
}

impl Language {
    /// Whether it is also valid as RFC 5646 section 2.2.9 defines it, as far as that can be told without a registry: no
    /// variant and no extension appears twice.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let lower = self.0.to_ascii_lowercase();
        let mut extension = false;
        let mut seen = BTreeSet::new();
        for part in lower.split('-').skip(1) {
            let singleton = part.len() == 1;
            if part == "x" {
                break;
            }
            extension |= singleton;
            if (singleton || (!extension && is_variant(part))) && !seen.insert(part) {
                return false;
            }
        }
        true
    }
}

fn check(text: &str) -> Result<(), &'static str> {
    const FORM: &str = "write a language tag like en, pt-BR or zh-Hant";
    if text.len() > MAX_BYTES {
        return Err("a language tag has at most 128 characters");
    }
    if IRREGULAR.contains(&text.to_ascii_lowercase().as_str()) {
        return Ok(());
    }
    let parts: Vec<&str> = text.split('-').collect();
    match parts.split_first() {
        Some((&("x" | "X"), rest)) if is_private_use(rest) => Ok(()),
        Some((primary, rest)) if is_primary(primary) && is_rest(rest) => Ok(()),
        _ => Err(FORM),
    }
}

/// All after the primary language: extended languages, script, region, variants, extensions and private use, in this order.
fn is_rest(mut rest: &[&str]) -> bool {
    let mut skip = |at_most: usize, wanted: fn(&str) -> bool| {
        for _ in 0..at_most {
            match rest.split_first() {
                Some((part, after)) if wanted(part) => rest = after,
                _ => break,
            }
        }
    };
    skip(3, |part| is_alpha(part, 3..=3));
    skip(1, |part| is_alpha(part, 4..=4));
    skip(1, |part| {
        is_alpha(part, 2..=2) || (part.len() == 3 && part.bytes().all(|byte| byte.is_ascii_digit()))
    });
    skip(usize::MAX, is_variant);
    while let Some((singleton, after)) = rest.split_first() {
        if singleton.eq_ignore_ascii_case("x") {
            return is_private_use(after);
        }
        let parts = after.iter().take_while(|part| is_alphanumeric(part, 2..=8)).count();
        if !is_alphanumeric(singleton, 1..=1) || parts == 0 {
            return false;
        }
        rest = after.get(parts..).unwrap_or_default();
    }
    true
}

fn is_primary(part: &str) -> bool {
    (2..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_lowercase())
}

fn is_variant(part: &str) -> bool {
    is_alphanumeric(part, 5..=8)
        || (is_alphanumeric(part, 4..=4) && part.starts_with(|first: char| first.is_ascii_digit()))
}

fn is_private_use(parts: &[&str]) -> bool {
    !parts.is_empty() && parts.iter().all(|part| is_alphanumeric(part, 1..=8))
}

fn is_alpha(part: &str, length: std::ops::RangeInclusive<usize>) -> bool {
    length.contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphabetic())
}

fn is_alphanumeric(part: &str, length: std::ops::RangeInclusive<usize>) -> bool {
    length.contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
