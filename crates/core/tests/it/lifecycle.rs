//! The table of an order's states, written out once more by hand: a move that changes must be changed in two places.

use ordermill_core::order::lifecycle::TRANSITIONS;
use ordermill_core::order::{OrderStatus, Trigger};

/// From where by which triggers to where; everything else is impossible.
const EXPECTED: &str = "
pending: Paid>processing PaidOnDelivery>processing TimeRanOut>expired TimeRanOutPartPaid>needs_attention Cancel>cancelled MoneyUnclear>needs_attention
processing: Cancel>cancelled Ship>shipped Complete>completed EverythingDone>completed SomeFailed>partially_completed AllFailed>needs_attention
shipped: Deliver>delivered Complete>completed
delivered: Complete>completed EverythingDone>completed
completed:
partially_completed: EverythingDone>completed
expired: PaidLate>processing PaidTooLate>needs_attention MoneyUnclear>needs_attention
cancelled: PaidLate>processing PaidTooLate>needs_attention MoneyUnclear>needs_attention
needs_attention: Paid>processing PaidLate>processing PaidTooLate>needs_attention Cancel>cancelled Resolve>processing
";

const TRIGGERS: [Trigger; 15] = [
    Trigger::Paid,
    Trigger::PaidLate,
    Trigger::PaidTooLate,
    Trigger::PaidOnDelivery,
    Trigger::TimeRanOut,
    Trigger::TimeRanOutPartPaid,
    Trigger::Cancel,
    Trigger::Ship,
    Trigger::Deliver,
    Trigger::Complete,
    Trigger::EverythingDone,
    Trigger::SomeFailed,
    Trigger::AllFailed,
    Trigger::MoneyUnclear,
    Trigger::Resolve,
];

#[test]
fn every_state_answers_every_trigger_as_written() {
    let mut moves = 0;
    let mut found = String::from("\n");
    for status in OrderStatus::ALL {
        let ways: Vec<String> =
            TRIGGERS.into_iter().filter_map(|trigger| status.after(trigger).map(|to| format!(" {trigger:?}>{}", to.name()))).collect();
        moves += ways.len();
        found.extend([status.name(), ":", &ways.concat(), "\n"]);
    }
    assert_eq!(found, EXPECTED);
    assert_eq!(moves, TRANSITIONS.len(), "a trigger is missing in the list of this test");
}

#[test]
fn money_may_come_in_every_state_that_is_not_worked_on() {
    for status in OrderStatus::ALL {
        let ways = match status {
            OrderStatus::Pending | OrderStatus::Expired | OrderStatus::Cancelled => 1,
            // It may still have its goods or not.
            OrderStatus::NeedsAttention => 2,
            _ => 0,
        };
        let listens = [Trigger::Paid, Trigger::PaidLate].into_iter().filter(|trigger| status.after(*trigger).is_some()).count();
        assert_eq!(listens, ways, "{status:?}");
        assert_eq!(status.after(Trigger::PaidLate).is_some(), status.after(Trigger::PaidTooLate).is_some(), "{status:?}");
    }
}

#[test]
fn staff_moves_orders_only_by_commands() {
    for status in OrderStatus::ALL {
        let mut allowed: Vec<_> =
            TRIGGERS.into_iter().filter(|trigger| trigger.is_a_command()).filter_map(|trigger| status.after(trigger)).collect();
        let mut listed = status.allowed();
        allowed.sort_unstable();
        allowed.dedup();
        listed.sort_unstable();
        assert_eq!(listed, allowed, "{status:?}");
        assert!(!listed.contains(&status), "{status:?} leads to itself");
    }
}
