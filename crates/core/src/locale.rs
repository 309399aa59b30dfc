//! The languages ordermill speaks to people. This file must not hold texts or formats: those live beside their use.

use serde::{Deserialize, Serialize};

/// A language that mails, pages and amounts are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Locale {
    /// Vietnamese as written in Viet Nam.
    #[default]
    Vi,
    /// English as written in the United States.
    En,
}

impl Locale {
    /// Every locale, for templates and tests.
    pub const ALL: [Self; 2] = [Self::Vi, Self::En];

    /// The language tag used in storage, JSON and HTML.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vi => "vi",
            Self::En => "en",
        }
    }

    /// The locale of a language tag; a region is ignored (`vi-VN`, `en_GB`), case too.
    pub fn parse(tag: &str) -> Option<Self> {
        let language = tag.split(['-', '_']).next()?;
        Self::ALL.into_iter().find(|locale| locale.name().eq_ignore_ascii_case(language))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_read_by_its_language() {
        for (tag, locale) in [("vi", Some(Locale::Vi)), ("VI-vn", Some(Locale::Vi)), ("en_US", Some(Locale::En)), ("de", None), ("", None)]
        {
            assert_eq!(Locale::parse(tag), locale, "{tag}");
        }
        assert_eq!(Locale::default(), Locale::Vi);
    }

    #[test]
    fn json_uses_the_same_name() {
        for locale in Locale::ALL {
            assert_eq!(serde_json::to_value(locale).unwrap(), locale.name());
            assert_eq!(serde_json::from_value::<Locale>(locale.name().into()).unwrap(), locale);
        }
    }
}
