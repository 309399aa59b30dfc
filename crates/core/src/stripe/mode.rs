//! Test and live: the two worlds of a Stripe account, which share nothing but its name.

/// Whether money is real.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Real cards, real money.
    Live,
    /// Test cards, no money.
    Test,
}

impl Mode {
    /// The mode that a secret or restricted key works in; `None` when the key does not say.
    pub fn of_key(key: &str) -> Option<Self> {
        let key = key.trim();
        let begins_with = |marks: [&str; 2]| marks.iter().any(|mark| key.starts_with(mark));
        match () {
            () if begins_with(["sk_live_", "rk_live_"]) => Some(Self::Live),
            () if begins_with(["sk_test_", "rk_test_"]) => Some(Self::Test),
            () => None,
        }
    }

    /// The mode that an object's `livemode` says.
    pub(super) const fn of_livemode(livemode: bool) -> Self {
        if livemode { Self::Live } else { Self::Test }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_says_its_mode() {
        for (key, mode) in [
            ("sk_live_abc", Some(Mode::Live)),
            ("rk_live_abc\n", Some(Mode::Live)),
            ("sk_test_abc", Some(Mode::Test)),
            ("rk_test_abc", Some(Mode::Test)),
            ("pk_live_abc", None),
            ("sk_livemode", None),
            ("", None),
        ] {
            assert_eq!(Mode::of_key(key), mode, "{key}");
        }
    }
}
