//! What every identifier that is a checked string has in common.

/// Defines a type around checked text. The module adds `fn check(text: &str) -> Result<(), &'static str>`, whose error is
/// the rule that was broken; `$kind` names the identifier in messages.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        checked_text!(@type $(#[$doc])* $name);

        impl $name {
            /// Checks `text` against the syntax of its spec.
            pub fn parse(text: &str) -> Result<Self, crate::syntax::SyntaxError> {
                match check(text) {
                    Ok(()) => Ok(Self(text.into())),
                    Err(reason) => Err(crate::syntax::SyntaxError::new($kind, text, reason)),
                }
            }
        }
    };
    // Only the type and its traits, for those that write their own `parse`.
    (@type $(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Box<str>);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::syntax::SyntaxError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::parse(text)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(crate) use checked_text;
