//! The origins a server answers as: its canonical one and any others that reach it.

use thiserror::Error;

use crate::htu::Target;

/// One or more `scheme://host[:port]`, normalised. The first is canonical.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origins {
    canonical: String,
    others: Vec<String>,
}

/// Why a text is not an origin.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OriginError {
    /// The list is empty.
    #[error("no origin given; name at least one, as in https://pds.example.com")]
    Empty,
    /// Has a path, user information, an unknown scheme, ...
    #[error("`{0}` is not an origin; write scheme, host and port only, as in https://pds.example.com")]
    Invalid(String),
}

impl Origins {
    /// The origins of a server, the canonical one first.
    pub fn new(origins: &[&str]) -> Result<Self, OriginError> {
        let mut normal = origins
            .iter()
            .map(|text| normalise(text).ok_or_else(|| OriginError::Invalid((*text).to_owned())))
            .collect::<Result<Vec<_>, _>>()?
            .into_iter();
        let canonical = normal.next().ok_or(OriginError::Empty)?;
        Ok(Self { canonical, others: normal.collect() })
    }

    /// The one that goes into documents and tokens.
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// Is `origin` one of these? Spellings are normalised, and one trailing slash is tolerated.
    pub fn matches(&self, origin: &str) -> bool {
        normalise(origin).is_some_and(|origin| self.contains_normal(&origin))
    }

    /// All of them, the canonical one first.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.canonical).chain(&self.others).map(String::as_str)
    }

    pub(crate) fn contains_normal(&self, origin: &str) -> bool {
        self.iter().any(|own| own == origin)
    }
}

fn normalise(text: &str) -> Option<String> {
    let bare = text.strip_suffix('/').unwrap_or(text);
    let (_, authority) = bare.split_once("://")?;
    if authority.contains(['/', '?', '#']) {
        return None;
    }
    Target::parse(bare).map(|target| target.origin)
}

#[cfg(test)]
mod tests;
