//! Dead letters by what they died of: the first line of the reason, with what differs between two of a kind made equal.
//! This file only reads, and looks at so many letters and no more.

use crate::app::{App, Fault};
use ordermill_core::time::Timestamp;
use ordermill_store::DeadLetterQuery;
use std::collections::HashMap;

/// How many dead letters are looked at, latest death first.
const LOOKED_AT_MAX: usize = 10_000;
/// How many are read at once.
const PAGE: usize = 1_000;
/// How many reads there are at most: a page that a text filters may come back short.
const READS_MAX: usize = 20;
/// How many characters of a reason tell two kinds apart.
const WHY_CHARACTERS_MAX: usize = 160;
/// A word of letters and digits that is longer than this is an id, and no two are alike.
const ID_CHARACTERS_MIN: usize = 12;

/// Which dead letters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupQuery {
    /// Only this queue's.
    pub queue: Option<String>,
    /// Only those that died of something with this text in it.
    pub text: Option<String>,
}

/// Dead letters of one queue that died of the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The queue.
    pub queue: String,
    /// What they died of, with `N` for numbers and ids.
    pub why: String,
    /// How many.
    pub count: usize,
    /// When the first of them died.
    pub oldest: Timestamp,
    /// When the last of them died.
    pub newest: Timestamp,
    /// The key of the last of them.
    pub example: String,
}

/// What a walk over the dead letters found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Groups {
    /// Largest first.
    pub groups: Vec<Group>,
    /// How many dead letters there were.
    pub counted: usize,
    /// Whether there are older ones that were not looked at.
    pub is_cut: bool,
}

/// Groups the dead letters.
pub async fn groups(app: &App, wanted: &GroupQuery) -> Result<Groups, Fault> {
    let mut found: HashMap<(String, String), Group> = HashMap::new();
    let mut query = DeadLetterQuery { queue: wanted.queue.clone(), text: wanted.text.clone(), limit: PAGE, ..DeadLetterQuery::default() };
    let (mut counted, mut reads) = (0, 0);
    loop {
        let page = app.store.dead_letters(&query).await?;
        reads += 1;
        for dead in page.rows {
            counted += 1;
            let why = kind_of(&dead.why);
            let group = found.entry((dead.key.queue.clone(), why.clone())).or_insert_with(|| Group {
                queue: dead.key.queue.clone(),
                why,
                count: 0,
                oldest: dead.died_at,
                newest: dead.died_at,
                example: dead.key.to_string(),
            });
            group.count += 1;
            group.oldest = group.oldest.min(dead.died_at);
            group.newest = group.newest.max(dead.died_at);
        }
        query.cursor = page.cursor;
        if query.cursor.is_none() || counted >= LOOKED_AT_MAX || reads >= READS_MAX {
            break;
        }
    }
    let mut groups: Vec<Group> = found.into_values().collect();
    groups
        .sort_by(|one, other| other.count.cmp(&one.count).then_with(|| one.why.cmp(&other.why)).then_with(|| one.queue.cmp(&other.queue)));
    Ok(Groups { groups, counted, is_cut: query.cursor.is_some() })
}

/// The first line of a reason, with `N` for every number and id in it.
fn kind_of(why: &str) -> String {
    let line = why.lines().next().unwrap_or_default().trim();
    let mut kind = String::new();
    let mut word = String::new();
    for character in line.chars() {
        if character.is_ascii_alphanumeric() || matches!(character, '-' | '_') {
            word.push(character);
        } else {
            kind.push_str(&without_numbers(&word));
            kind.push(character);
            word.clear();
        }
    }
    kind.push_str(&without_numbers(&word));
    kind.chars().take(WHY_CHARACTERS_MAX).collect()
}

fn without_numbers(word: &str) -> String {
    let has_digit = word.bytes().any(|byte| byte.is_ascii_digit());
    if has_digit && word.len() >= ID_CHARACTERS_MIN {
        return "N".to_owned();
    }
    let mut plain = String::new();
    for character in word.chars() {
        match character {
            digit if !digit.is_ascii_digit() => plain.push(digit),
            _ if plain.ends_with('N') => {}
            _ => plain.push('N'),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::kind_of;

    #[test]
    fn what_differs_between_two_of_a_kind_is_made_equal() {
        for (why, kind) in [
            ("refused with 550: no such user 17", "refused with N: no such user N"),
            ("452 4.2.2 mailbox full\nsecond line", "N N.N.N mailbox full"),
            ("order DH000123 at Stripe", "order DHN at Stripe"),
            ("order 01a1fe5b-bbd1-7fa5-b9cd-9bd18293da39 is away", "order N is away"),
            ("evt_3MtwBwLkdIwHu7ix28a3tqPa: gone", "N: gone"),
            ("", ""),
        ] {
            assert_eq!(kind_of(why), kind);
        }
    }
}
