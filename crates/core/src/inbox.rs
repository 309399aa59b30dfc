//! What providers sent us, kept as it came before anything is done with it. This file must not interpret bodies.

use crate::digest::Digest;
use crate::id::OrderId;
use crate::payment::Provider;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// What became of a received event. Every row reaches one of these in the commit that stores it; `Waiting` and
/// `Reading` have a job that moves them on (I6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InboxState {
    /// Its fact is part of an order.
    Applied,
    /// It names an order of ours that does not exist yet; a job tries again for 72 hours.
    Waiting,
    /// It only hints at a change, or names nothing but a payment that no order has yet; a job reads from the provider what
    /// it is about.
    Reading,
    /// It could not be understood; a person must look.
    Quarantined,
    /// It moves nothing of ours: money of others, of the other mode, or of a kind that no order waits for.
    Unrelated,
}

impl InboxState {
    /// Every state, for documentation and tests.
    pub const ALL: [Self; 5] = [Self::Applied, Self::Waiting, Self::Reading, Self::Quarantined, Self::Unrelated];

    /// The name used in JSON and storage.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Waiting => "waiting",
            Self::Reading => "reading",
            Self::Quarantined => "quarantined",
            Self::Unrelated => "unrelated",
        }
    }

    /// The state of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether a job still has to move it on.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Waiting | Self::Reading)
    }
}

/// The most bytes that a body may take in an entry: the rest of a change's [`MAX_BYTES`](crate::change::MAX_BYTES) is for
/// the order that the event moves. Stripe's largest events have about 40 KiB.
pub const BODY_BYTES_MAX: usize = 160 * 1024;

/// A body as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The body, or its beginning and a last line that says so.
    pub text: String,
    /// Whether that is all of it, byte for byte.
    pub is_whole: bool,
}

/// Makes text of a received body. What cannot be kept whole, because it is no UTF-8 or because the JSON text that it
/// becomes part of would be too long, is cut, and its last line says how long it was and which digest it had.
pub fn keep(body: &[u8], digest: &Digest) -> Kept {
    let text = String::from_utf8_lossy(body);
    let mut bytes = 0_usize;
    let fits = |(_, character): &(usize, char)| {
        bytes = bytes.saturating_add(json_bytes(*character));
        bytes <= BODY_BYTES_MAX
    };
    let end = text.char_indices().take_while(fits).last().map_or(0, |(index, character)| index.saturating_add(character.len_utf8()));
    if end == body.len() && matches!(text, Cow::Borrowed(_)) {
        return Kept { text: text.into_owned(), is_whole: true };
    }
    let beginning = text.get(..end).unwrap_or_default();
    Kept { text: format!("{beginning}\n[cut by ordermill: {} bytes, SHA-256 {digest}]", body.len()), is_whole: false }
}

/// How many bytes a character takes in JSON text.
const fn json_bytes(character: char) -> usize {
    match character {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..='\u{1f}' => 6,
        _ => character.len_utf8(),
    }
}

/// One received event, unique by provider and event id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboxEntry {
    /// Who sent it.
    pub provider: Provider,
    /// The provider's id of the event (never of the delivery attempt).
    pub event_id: String,
    /// The provider's type, such as `payment_intent.succeeded`; empty when the body could not be read.
    pub kind: String,
    /// The body exactly as it was signed, or as much of it as can be kept: see [`keep`].
    pub body: String,
    /// SHA-256 of the whole body: the same id with another digest is not the same event.
    pub body_digest: Digest,
    /// What became of it.
    pub state: InboxState,
    /// One line that says why, for people.
    pub outcome: String,
    /// The order it moved, once known.
    pub order_id: Option<OrderId>,
    /// When it came.
    pub received_at: Timestamp,
    /// Counts the writes of this row, from 1.
    pub version: i64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kept(body: &[u8]) -> Kept {
        keep(body, &Digest::of(body))
    }

    #[test]
    fn what_fits_is_kept_byte_for_byte() {
        for body in [String::new(), "{\"id\":\"evt_1\"}\n".to_owned(), "ă".repeat(BODY_BYTES_MAX / 2), "\"".repeat(BODY_BYTES_MAX / 2)] {
            assert_eq!(kept(body.as_bytes()), Kept { text: body, is_whole: true });
        }
    }

    #[test]
    fn what_does_not_fit_is_cut_and_says_so() {
        let quotes = "\"".repeat(BODY_BYTES_MAX / 2 + 1);
        let ends = |kept: &Kept, body: &[u8]| {
            kept.text.ends_with(&format!("\n[cut by ordermill: {} bytes, SHA-256 {}]", body.len(), Digest::of(body)))
        };
        let invalid = vec![0xff; 3 * BODY_BYTES_MAX];
        let controls = vec![1; BODY_BYTES_MAX];
        for body in [quotes.as_bytes(), &[b'{', 0xff, b'}'], &invalid, &controls, &[0xc4]] {
            let kept = kept(body);
            assert!(!kept.is_whole && ends(&kept, body));
        }
        assert!(kept(&[b'{', 0xff, b'}']).text.starts_with("{\u{fffd}}\n["));
    }

    proptest! {
        #[test]
        fn a_body_is_measured_as_it_is_written(body in "[\"\\\\a\u{1}\u{0}\n\u{8}\u{1f}😀ă\u{7f}\u{2028}]{0,64}") {
            let measured: usize = body.chars().map(json_bytes).sum();
            prop_assert_eq!(measured, serde_json::to_string(&body).unwrap().len() - 2);
        }
    }
}
