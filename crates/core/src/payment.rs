//! What providers told us about money, free of the order in which they told it.
//!
//! A [`Fact`] says how far one money object (a payment intent, a refund, a dispute, a transfer) got. Facts about one
//! object join to the furthest one, and a [`Summary`] is a function of the *set* of joined facts, so webhooks may
//! repeat and arrive in any order (F2, F3). This file must not know any provider's wire format.

use crate::code;
use crate::id::{OrderId, PaymentId};
use crate::money::Currency;
use serde::{Deserialize, Serialize};

/// Who moved the money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// Cards and wallets through Stripe.
    Stripe,
    /// Bank transfers seen by `SePay`.
    Sepay,
    /// Cash on delivery, recorded by staff.
    Cash,
}

impl Provider {
    /// Every provider.
    pub const ALL: [Self; 3] = [Self::Stripe, Self::Sepay, Self::Cash];

    /// The stable name used in storage, JSON and references.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stripe => "stripe",
            Self::Sepay => "sepay",
            Self::Cash => "cash",
        }
    }

    /// The provider of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|provider| provider.name() == name)
    }
}

/// How far a payment got. The order of the variants is the rank: a join keeps the greater one, so a late `Failed`
/// never undoes `Succeeded`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentProgress {
    /// Made or under way; nothing is decided.
    Pending,
    /// An attempt failed; the customer may try again.
    Failed,
    /// Authorised, to be captured; authorised is not paid.
    Authorised,
    /// Ended without money.
    Cancelled,
    /// The money is ours.
    Succeeded,
}

/// How far a refund got; the order of the variants is the rank (a refund may still fail after it "succeeded").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundProgress {
    /// Asked for.
    Pending,
    /// Paid back.
    Succeeded,
    /// It did not reach the customer; the money is ours again.
    Failed,
}

/// How a dispute stands; the order of the variants is the rank (only an appeal turns `Lost` into `Won`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisputeProgress {
    /// Being fought, or only an inquiry.
    Open,
    /// The customer's bank kept the money.
    Lost,
    /// Over, and the money stays with us.
    Won,
}

/// What kind of money object a fact is about, and how far it got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", content = "progress", rename_all = "snake_case")]
pub enum FactKind {
    /// Money coming in.
    Payment(PaymentProgress),
    /// Money going back.
    Refund(RefundProgress),
    /// Money being fought over.
    Dispute(DisputeProgress),
}

/// One thing a provider told us about one money object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fact {
    /// Who told us.
    pub provider: Provider,
    /// The provider's name for the money object (`pi_…`, `re_…`, `dp_…`, a bank key); with the provider it is unique.
    pub reference: String,
    /// What the object is and how far it got.
    #[serde(flatten)]
    pub kind: FactKind,
    /// How much, in the currency's minor unit. For a payment: received when it succeeded, asked for before.
    pub amount: i64,
    /// In which currency.
    pub currency: Currency,
}

impl Fact {
    /// Joins a newer or older telling of the same money object into this one. Commutative, associative, idempotent.
    /// Facts of different objects do not join: `self` stays.
    #[must_use]
    pub fn join(&self, other: &Self) -> Self {
        if (self.provider, &self.reference) != (other.provider, &other.reference) {
            return self.clone();
        }
        self.max(other).clone()
    }
}

/// The facts known about one order: at most one per money object, kept sorted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Facts(Vec<Fact>);

impl Facts {
    /// Adds a telling. `true` if it changed what is known.
    pub fn learn(&mut self, fact: &Fact) -> bool {
        let place =
            self.0.binary_search_by(|known| (known.provider, known.reference.as_str()).cmp(&(fact.provider, fact.reference.as_str())));
        match place {
            Ok(index) => {
                let Some(known) = self.0.get_mut(index) else { return false };
                let joined = known.join(fact);
                let changed = joined != *known;
                *known = joined;
                changed
            }
            Err(index) => {
                self.0.insert(index, fact.clone());
                true
            }
        }
    }

    /// What is known about one money object.
    pub fn about(&self, provider: Provider, reference: &str) -> Option<&Fact> {
        self.0.iter().find(|fact| fact.provider == provider && fact.reference == reference)
    }

    /// All of them, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = &Fact> {
        self.0.iter()
    }

    /// What they add up to for an order of `due` minor units in `currency`, of which `tolerance` may be missing.
    pub fn summary(&self, due: i64, tolerance: i64, currency: Currency) -> Summary {
        let mut sums = Sums::default();
        for fact in &self.0 {
            sums.add(fact, currency);
        }
        sums.summary(due, tolerance)
    }
}

/// The payment status that the API shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// Nothing arrived yet.
    #[default]
    Pending,
    /// Some arrived, not enough.
    Underpaid,
    /// Enough arrived.
    Paid,
    /// Every attempt so far failed or was cancelled.
    Failed,
    /// Paid, then partly given back.
    PartiallyRefunded,
    /// Paid, then given back whole.
    Refunded,
    /// The customer's bank disputes it.
    Disputed,
}

impl PaymentStatus {
    /// Every status, for documentation and tests.
    pub const ALL: [Self; 7] =
        [Self::Pending, Self::Underpaid, Self::Paid, Self::Failed, Self::PartiallyRefunded, Self::Refunded, Self::Disputed];

    /// The name the API and the stores use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Underpaid => "underpaid",
            Self::Paid => "paid",
            Self::Failed => "failed",
            Self::PartiallyRefunded => "partially_refunded",
            Self::Refunded => "refunded",
            Self::Disputed => "disputed",
        }
    }

    /// The status of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }
}

/// What a set of facts adds up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// The status shown to people.
    pub status: PaymentStatus,
    /// Received in all, in the order's currency.
    pub received_amount: i64,
    /// What of it pays for the order: at most what was due.
    pub captured_amount: i64,
    /// What came on top and belongs to the customer.
    pub credit_amount: i64,
    /// Paid back by refunds that succeeded.
    pub refunded_amount: i64,
    /// Whether enough arrived, whatever happened to it later.
    pub is_settled: bool,
    /// Whether money in another currency arrived, which no rule can weigh: a person must look.
    pub has_foreign_money: bool,
}

#[derive(Default)]
struct Sums {
    received: i64,
    refunded: i64,
    disputed: bool,
    attempts: u32,
    ended_attempts: u32,
    foreign: bool,
}

impl Sums {
    fn add(&mut self, fact: &Fact, currency: Currency) {
        match fact.kind {
            FactKind::Payment(PaymentProgress::Succeeded) if fact.currency != currency => self.foreign = true,
            FactKind::Payment(PaymentProgress::Succeeded) => {
                self.attempts = self.attempts.saturating_add(1);
                self.received = self.received.saturating_add(fact.amount);
            }
            FactKind::Payment(progress) => {
                self.attempts = self.attempts.saturating_add(1);
                if matches!(progress, PaymentProgress::Failed | PaymentProgress::Cancelled) {
                    self.ended_attempts = self.ended_attempts.saturating_add(1);
                }
            }
            FactKind::Refund(RefundProgress::Succeeded) if fact.currency == currency => {
                self.refunded = self.refunded.saturating_add(fact.amount);
            }
            FactKind::Refund(_) => {}
            FactKind::Dispute(progress) => self.disputed |= progress != DisputeProgress::Won,
        }
    }

    fn summary(&self, due: i64, tolerance: i64) -> Summary {
        let captured_amount = self.received.min(due);
        let is_settled = self.received > 0 && self.received >= due.saturating_sub(tolerance);
        let status = match () {
            () if self.disputed => PaymentStatus::Disputed,
            () if self.refunded > 0 && self.refunded >= self.received => PaymentStatus::Refunded,
            () if self.refunded > 0 => PaymentStatus::PartiallyRefunded,
            () if is_settled => PaymentStatus::Paid,
            () if self.received > 0 => PaymentStatus::Underpaid,
            () if self.attempts > 0 && self.attempts == self.ended_attempts => PaymentStatus::Failed,
            () => PaymentStatus::Pending,
        };
        Summary {
            status,
            received_amount: self.received,
            captured_amount,
            credit_amount: self.received.saturating_sub(captured_amount),
            refunded_amount: self.refunded,
            is_settled,
            has_foreign_money: self.foreign,
        }
    }
}

/// How a provider's message names the order it is about. All optional: whatever the message carried.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OrderLinks {
    /// Metadata `orderId`.
    pub order_id: Option<String>,
    /// Metadata `orderCode` or `order_code`.
    pub order_code: Option<String>,
    /// Metadata `paymentId`: our own attempt.
    pub payment_id: Option<String>,
    /// A Checkout Session's `client_reference_id`.
    pub client_reference: Option<String>,
    /// The payment a refund or dispute belongs to, as the provider names it.
    pub payment_reference: Option<String>,
}

/// Whose money a message is about, by its own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner<'a> {
    /// An order of ours: it is named in a way that only we name orders.
    Ours,
    /// Whoever this payment belongs to; the provider knows more about it.
    OfPayment(&'a str),
    /// Nobody whom we could know.
    Stranger,
}

impl OrderLinks {
    /// Whose money the message is about, where codes of ours begin with this prefix. Other programs may take money through
    /// the same account and write names of their own on it, so a name counts only in the form in which we give it.
    pub fn owner(&self, code_prefix: &str) -> Owner<'_> {
        let is_order_id = |text: &str| OrderId::parse(text).is_some_and(OrderId::is_version_7);
        let is_ours = |text: &String| is_order_id(text) || code::parse_number(code_prefix, text).is_some();
        let is_payment_id = |text: &String| PaymentId::parse(text).is_some_and(PaymentId::is_version_7);
        let names = [&self.order_id, &self.order_code, &self.client_reference];
        if names.into_iter().flatten().any(is_ours) || self.payment_id.as_ref().is_some_and(is_payment_id) {
            return Owner::Ours;
        }
        self.payment_reference.as_deref().map_or(Owner::Stranger, Owner::OfPayment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
    const VERSION_4: &str = "6f1c9f0e-8b0a-4c43-9c1e-0d8d6d1f2b11";

    #[test]
    fn only_names_in_our_form_claim_an_order_of_ours() {
        let nothing = OrderLinks::default;
        let text = |text: &str| Some(text.to_owned());
        for links in [
            OrderLinks { order_id: text(OURS), ..nothing() },
            OrderLinks { order_id: text("dh000123"), ..nothing() },
            OrderLinks { order_code: text("DH000123"), ..nothing() },
            OrderLinks { client_reference: text("DH1000000"), ..nothing() },
            OrderLinks { client_reference: text("cart 7"), payment_id: text(OURS), ..nothing() },
        ] {
            assert_eq!(links.owner("DH"), Owner::Ours, "{links:?}");
        }
        for links in [
            nothing(),
            OrderLinks { order_id: text("10045"), client_reference: text("cart 7"), ..nothing() },
            OrderLinks { order_id: text(VERSION_4), payment_id: text(VERSION_4), ..nothing() },
            OrderLinks { order_code: text("XX000123"), payment_id: text("DH000123"), ..nothing() },
        ] {
            assert_eq!(links.owner("DH"), Owner::Stranger, "{links:?}");
            let of_payment = OrderLinks { payment_reference: text("pi_1"), ..links };
            assert_eq!(of_payment.owner("DH"), Owner::OfPayment("pi_1"));
        }
        let named = OrderLinks { order_code: text("DH000123"), payment_reference: text("pi_1"), ..nothing() };
        assert_eq!(named.owner("DH"), Owner::Ours);
    }
}
