//! The ways it misbehaves, and their names on the control route.

/// How it behaves. The first group is about answers, the second about webhooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Well.
    #[default]
    Ok,
    /// Does what it is asked, then closes the connection without an answer.
    AcceptThenReset,
    /// Does what it is asked, then waits before it answers; its key stays in flight meanwhile.
    Slow {
        /// How long.
        ms: u64,
    },
    /// Answers 503 and does nothing.
    Unreachable,
    /// Does what it is asked, then answers 500, as when a gateway lost the answer: the same key gets the true one later.
    Error500After,
    /// Does what it is asked, then answers 500 and remembers that as *the* answer: the same key gets it again.
    Error500Stored,

    /// Delivers each webhook several times at once.
    Duplicate {
        /// How often in all.
        copies: u32,
    },
    /// Holds webhooks back for half a second, or until the mode changes, and delivers the newest first.
    OutOfOrder,
    /// Delivers webhooks late.
    Late {
        /// By how much.
        ms: u64,
    },
}

/// The longest wait that a mode may ask for.
const MS_MAX: u64 = 600_000;
/// The most copies of one webhook.
const COPIES_MAX: u32 = 1_000;

impl Mode {
    /// Reads `ok`, `accept_then_reset`, `slow(500)`, `unreachable`, `error_500_after`, `error_500_stored`,
    /// `duplicate(3)`, `out_of_order` or `late(2000)`.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, argument) = match text.strip_suffix(')') {
            Some(call) => call.split_once('(').map(|(name, argument)| (name, Some(argument)))?,
            None => (text, None),
        };
        let ms = || argument?.parse().ok().filter(|ms| *ms <= MS_MAX);
        match (name, argument) {
            ("ok", None) => Some(Self::Ok),
            ("accept_then_reset", None) => Some(Self::AcceptThenReset),
            ("slow", _) => Some(Self::Slow { ms: ms()? }),
            ("unreachable", None) => Some(Self::Unreachable),
            ("error_500_after", None) => Some(Self::Error500After),
            ("error_500_stored", None) => Some(Self::Error500Stored),
            ("duplicate", Some(copies)) => {
                Some(Self::Duplicate { copies: copies.parse().ok().filter(|copies| (1..=COPIES_MAX).contains(copies))? })
            }
            ("out_of_order", None) => Some(Self::OutOfOrder),
            ("late", _) => Some(Self::Late { ms: ms()? }),
            _ => None,
        }
    }
}

/// The mode of answers and the mode of webhooks.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Modes {
    pub(super) answers: Mode,
    pub(super) webhooks: Mode,
}

impl Modes {
    pub(super) fn set(&mut self, mode: Mode) {
        match mode {
            Mode::Ok => *self = Self::default(),
            Mode::Duplicate { .. } | Mode::OutOfOrder | Mode::Late { .. } => self.webhooks = mode,
            Mode::AcceptThenReset | Mode::Slow { .. } | Mode::Unreachable | Mode::Error500After | Mode::Error500Stored => {
                self.answers = mode;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_read_by_name() {
        assert_eq!(Mode::parse("slow(500)"), Some(Mode::Slow { ms: 500 }));
        assert_eq!(Mode::parse("duplicate(3)"), Some(Mode::Duplicate { copies: 3 }));
        assert_eq!(Mode::parse("out_of_order"), Some(Mode::OutOfOrder));
        for wrong in ["", "slow", "slow()", "slow(-1)", "slow(600001)", "duplicate(0)", "ok(1)", "out_of_order(", "nonsense"] {
            assert_eq!(Mode::parse(wrong), None, "{wrong}");
        }
    }
}
