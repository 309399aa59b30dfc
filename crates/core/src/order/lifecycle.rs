//! Which state of an order may follow which, as one table. Code, API answers (`allowed`) and documentation all read it.

use crate::order::OrderStatus::{
    Cancelled, Completed, Delivered, Expired, NeedsAttention, PartiallyCompleted, Pending, Processing, Shipped,
};
use serde::{Deserialize, Serialize};

/// How far an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    /// Waits for money.
    Pending,
    /// Paid (or to be paid on delivery); being worked on.
    Processing,
    /// With the carrier.
    Shipped,
    /// Arrived.
    Delivered,
    /// Everything is done.
    Completed,
    /// Done except for deliveries that failed.
    PartiallyCompleted,
    /// Its time ran out unpaid.
    Expired,
    /// Called off.
    Cancelled,
    /// A person must decide.
    NeedsAttention,
}

impl OrderStatus {
    /// Every status.
    pub const ALL: [Self; 9] = [Pending, Processing, Shipped, Delivered, Completed, PartiallyCompleted, Expired, Cancelled, NeedsAttention];

    /// The name in storage and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Pending => "pending",
            Processing => "processing",
            Shipped => "shipped",
            Delivered => "delivered",
            Completed => "completed",
            PartiallyCompleted => "partially_completed",
            Expired => "expired",
            Cancelled => "cancelled",
            NeedsAttention => "needs_attention",
        }
    }

    /// The status of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// Where this trigger leads from here; `None` when it does not apply.
    pub fn after(self, trigger: Trigger) -> Option<Self> {
        TRANSITIONS.iter().find(|(from, cause, _)| *from == self && *cause == trigger).map(|(_, _, to)| *to)
    }

    /// Where staff may move an order from here.
    pub fn allowed(self) -> Vec<Self> {
        let mut allowed: Vec<_> =
            TRANSITIONS.iter().filter(|(from, cause, _)| *from == self && cause.is_a_command()).map(|(_, _, to)| *to).collect();
        allowed.dedup();
        allowed
    }
}

/// What can move an order: a fact about its money or goods, the clock, or a person's command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// Enough money arrived.
    Paid,
    /// Enough money arrived after the goods were given back, and they could be had again.
    PaidLate,
    /// Enough money arrived after the goods were given back, and they are gone.
    PaidTooLate,
    /// It is paid on delivery, so work begins without money.
    PaidOnDelivery,
    /// Its time ran out and nothing arrived.
    TimeRanOut,
    /// Its time ran out and something arrived.
    TimeRanOutPartPaid,
    /// The customer or staff calls it off.
    Cancel,
    /// Staff hands it to the carrier.
    Ship,
    /// Staff or the carrier says it arrived.
    Deliver,
    /// Staff closes it.
    Complete,
    /// Every delivery is done.
    EverythingDone,
    /// Every delivery ended, some failed.
    SomeFailed,
    /// Every delivery failed.
    AllFailed,
    /// Money arrived that no rule can weigh.
    MoneyUnclear,
    /// Staff solved what needed attention.
    Resolve,
}

impl Trigger {
    /// Whether staff may pull it through `PUT …/status`.
    pub const fn is_a_command(self) -> bool {
        matches!(self, Self::Cancel | Self::Ship | Self::Deliver | Self::Complete | Self::Resolve)
    }
}

/// Every move there is.
pub const TRANSITIONS: &[(OrderStatus, Trigger, OrderStatus)] = &[
    (Pending, Trigger::Paid, Processing),
    (Pending, Trigger::PaidOnDelivery, Processing),
    (Pending, Trigger::TimeRanOut, Expired),
    (Pending, Trigger::TimeRanOutPartPaid, NeedsAttention),
    (Pending, Trigger::Cancel, Cancelled),
    (Processing, Trigger::Ship, Shipped),
    (Processing, Trigger::Complete, Completed),
    (Processing, Trigger::Cancel, Cancelled),
    (Processing, Trigger::EverythingDone, Completed),
    (Processing, Trigger::SomeFailed, PartiallyCompleted),
    (Processing, Trigger::AllFailed, NeedsAttention),
    (Shipped, Trigger::Deliver, Delivered),
    (Shipped, Trigger::Complete, Completed),
    (Delivered, Trigger::Complete, Completed),
    (Delivered, Trigger::EverythingDone, Completed),
    (PartiallyCompleted, Trigger::EverythingDone, Completed),
    (Expired, Trigger::PaidLate, Processing),
    (Expired, Trigger::PaidTooLate, NeedsAttention),
    (Cancelled, Trigger::PaidLate, Processing),
    (Cancelled, Trigger::PaidTooLate, NeedsAttention),
    (Pending, Trigger::MoneyUnclear, NeedsAttention),
    (Expired, Trigger::MoneyUnclear, NeedsAttention),
    (Cancelled, Trigger::MoneyUnclear, NeedsAttention),
    // Enough of its own money may come before or after the money that was unclear, and must end the same (F3).
    (NeedsAttention, Trigger::Paid, Processing),
    (NeedsAttention, Trigger::PaidLate, Processing),
    (NeedsAttention, Trigger::PaidTooLate, NeedsAttention),
    (NeedsAttention, Trigger::Resolve, Processing),
    (NeedsAttention, Trigger::Cancel, Cancelled),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_move_is_decided_once() {
        let mut seen = HashSet::new();
        for (from, trigger, _) in TRANSITIONS {
            assert!(seen.insert((from, trigger)), "{from:?} + {trigger:?} stands twice");
        }
    }

    #[test]
    fn every_state_can_be_reached_and_only_completed_is_the_end() {
        for status in OrderStatus::ALL {
            let reachable = status == Pending || TRANSITIONS.iter().any(|(_, _, to)| *to == status);
            let leaves = TRANSITIONS.iter().any(|(from, _, _)| *from == status);
            assert!(reachable, "{status:?}");
            assert_eq!(leaves, status != Completed, "{status:?}");
            assert_eq!(OrderStatus::from_name(status.name()), Some(status));
        }
    }

    #[test]
    fn staff_sees_where_an_order_may_go() {
        assert_eq!(Pending.allowed(), [Cancelled]);
        assert_eq!(Processing.allowed(), [Shipped, Completed, Cancelled]);
        assert_eq!(Completed.allowed(), []);
    }
}
