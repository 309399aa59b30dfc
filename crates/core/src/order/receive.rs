//! What a payment fact does to an order. The order's money is the join of its facts, whatever order they come in; its
//! state moves by the table in [`super::lifecycle`]. This file must not know where a fact came from.

use super::edit::{Context, Edit, Goods};
use super::{Order, StockHold, Trigger};
use crate::change::{Account, Change, PaymentRow, Row};
use crate::event::EventKind;
use crate::payment::{DisputeProgress, Fact, FactKind, PaymentProgress, RefundProgress, Summary};
use serde_json::{Value, json};

/// Whether goods that an ended order gave back can still be had. The store alone can tell: decide hopefully first, and
/// again with `Gone` when the commit says that stock is short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GoodsOutlook {
    /// Try to take them.
    Hopeful,
    /// They are gone.
    Gone,
}

/// Lets a fact move an order. `None` when the order already knew it; then nothing is to be written for the order.
pub fn receive(order: &Order, fact: &Fact, outlook: GoodsOutlook, context: Context) -> Option<(Order, Change)> {
    let before = order.summary();
    let earlier = order.facts.about(fact.provider, &fact.reference).cloned();
    let at = context.now;
    let mut edit = Edit::new(order.clone(), context);
    if !edit.order.facts.learn(fact) {
        return None;
    }
    if earlier.is_none() {
        let row = PaymentRow { provider: fact.provider, reference: fact.reference.clone(), order_id: order.id, at };
        edit.change().insert(Row::Payment(row));
    }
    let after = edit.order.summary();
    edit.order.payment_status = after.status;
    record_fact(&mut edit, fact, earlier.as_ref(), &before);
    book_difference(&mut edit, &before, &after);
    book_foreign(&mut edit, fact, earlier.as_ref());
    if after.is_settled && !before.is_settled {
        settle(&mut edit, outlook);
    }
    if after.has_foreign_money && !before.has_foreign_money {
        move_order(&mut edit, Trigger::MoneyUnclear, EventKind::OrderNeedsAttention, json!({ "reason": "foreign_currency" }));
    }
    Some(edit.finish())
}

/// Says on the timeline what the fact means.
fn record_fact(edit: &mut Edit, fact: &Fact, earlier: Option<&Fact>, before: &Summary) {
    let mut data = json!({
        "provider": fact.provider,
        "reference": fact.reference,
        "amount": fact.amount,
        "currency": fact.currency,
    });
    let kind = match fact.kind {
        FactKind::Payment(PaymentProgress::Succeeded) if before.is_settled || fact.currency != edit.order.currency => {
            EventKind::PaymentExtra
        }
        FactKind::Payment(PaymentProgress::Succeeded) => EventKind::PaymentReceived,
        FactKind::Payment(PaymentProgress::Failed | PaymentProgress::Cancelled) => EventKind::PaymentFailed,
        FactKind::Payment(PaymentProgress::Pending | PaymentProgress::Authorised) => EventKind::PaymentCreated,
        FactKind::Refund(RefundProgress::Pending) => EventKind::RefundRequested,
        FactKind::Refund(RefundProgress::Succeeded) => EventKind::RefundSucceeded,
        FactKind::Refund(RefundProgress::Failed) => EventKind::RefundFailed,
        FactKind::Dispute(DisputeProgress::Open) => EventKind::PaymentDisputed,
        FactKind::Dispute(DisputeProgress::Lost) if earlier.is_none() => EventKind::PaymentDisputed,
        FactKind::Dispute(_) => EventKind::PaymentDisputeClosed,
    };
    let progress = serde_json::to_value(fact.kind).ok().and_then(|kind| kind.get("progress").cloned());
    if let Some(data) = data.as_object_mut() {
        data.insert("progress".to_owned(), progress.unwrap_or(Value::Null));
    }
    edit.record(kind, data);
}

/// Books what the fact changed in the sums.
fn book_difference(edit: &mut Edit, before: &Summary, after: &Summary) {
    let captured = after.captured_amount - before.captured_amount;
    let credit = after.credit_amount - before.credit_amount;
    let refunded = after.refunded_amount - before.refunded_amount;
    edit.book(Account::ProviderClearing, Account::Order, captured);
    edit.book(Account::ProviderClearing, Account::CreditOwed, credit);
    edit.book(Account::Order, Account::ProviderClearing, refunded);
    edit.book(Account::ProviderClearing, Account::Order, -refunded);
}

/// Books what arrived of this one money object in another currency: it waits in suspense for a person.
fn book_foreign(edit: &mut Edit, fact: &Fact, earlier: Option<&Fact>) {
    let own = edit.order.currency;
    let arrived = |known: Option<&Fact>| match known {
        Some(known) if known.kind == FactKind::Payment(PaymentProgress::Succeeded) && known.currency != own => known.amount,
        _ => 0,
    };
    let difference = arrived(edit.order.facts.about(fact.provider, &fact.reference)) - arrived(earlier);
    edit.book_in(fact.currency, Account::ProviderClearing, Account::Suspense, difference);
}

/// Enough money is there for the first time: the order is paid, once and for all (I2).
fn settle(edit: &mut Edit, outlook: GoodsOutlook) {
    edit.order.expires_at = None;
    let summary = edit.order.summary();
    edit.record(EventKind::OrderPaid, json!({ "amount": summary.captured_amount, "currency": edit.order.currency }));
    let status = edit.order.status;
    let has_its_goods = edit.order.stock_hold == StockHold::Reserved || edit.order.goods().is_empty();
    if has_its_goods && status.after(Trigger::Paid).is_some() {
        if edit.order.stock_hold == StockHold::Reserved {
            edit.move_goods(Goods::Take);
            edit.order.stock_hold = StockHold::Taken;
        }
        move_order(edit, Trigger::Paid, EventKind::OrderProcessing, json!({ "reason": "paid" }));
    } else if status.after(Trigger::PaidLate).is_some() {
        revive(edit, outlook);
    }
}

/// Money came after the goods were given back: the order lives again if its goods can be had, otherwise a person must give it back.
fn revive(edit: &mut Edit, outlook: GoodsOutlook) {
    match outlook {
        GoodsOutlook::Hopeful => {
            move_order(edit, Trigger::PaidLate, EventKind::OrderRevived, json!({ "reason": "paid_late" }));
            if !edit.order.goods().is_empty() {
                edit.move_goods(Goods::ReserveAndTake);
                edit.order.stock_hold = StockHold::Taken;
            }
        }
        GoodsOutlook::Gone => {
            move_order(edit, Trigger::PaidTooLate, EventKind::OrderNeedsAttention, json!({ "reason": "paid_too_late" }));
        }
    }
}

/// Moves the order if the table has a way for the trigger.
fn move_order(edit: &mut Edit, trigger: Trigger, kind: EventKind, data: Value) {
    if let Some(next) = edit.order.status.after(trigger) {
        edit.order.status = next;
        edit.record(kind, data);
    }
}
