//! For every invariant, records that break it: one record of the clean history is changed, added or removed, and that
//! invariant must fire (others may as well).

use super::history::History;
use super::{clean, fired, judged};
use ordermill_core::change::{Cause, Effect, IdempotencyRow, LedgerEntry, PaymentRow, Row, StockKey};
use ordermill_core::digest::Digest;
use ordermill_core::event::{Event, EventKind};
use ordermill_core::id::OrderId;
use ordermill_core::inbox::InboxEntry;
use ordermill_core::job::{DeadLetter, Past};
use ordermill_core::order::{Order, OrderStatus, StockHold};
use ordermill_core::payment::{Fact, Facts, PaymentStatus};
use ordermill_store::fsck::{Invariant, Snapshot};
use ordermill_store::{Record, Table};

/// Spoils one record and expects the invariant to notice.
async fn fires(invariant: Invariant, spoil: impl FnOnce(&mut Snapshot, &History)) {
    let (history, before) = clean().await;
    let mut after = before.clone();
    spoil(&mut after, &history);
    let changed: usize = Table::ALL.iter().map(|table| changes(before.records(*table), after.records(*table))).sum();
    assert_eq!(changed, 1, "a corruption spoils exactly one record");
    let report = judged(&after);
    assert!(fired(&report).contains(invariant.id()), "{invariant} should fire: {:#?}", report.violations);
}

/// How many records differ: one that was changed counts once.
fn changes(before: &[Record], after: &[Record]) -> usize {
    missing(before, after).max(missing(after, before))
}

/// How many of these records do not stand in the others.
fn missing(these: &[Record], others: &[Record]) -> usize {
    let mut others: Vec<&Record> = others.iter().collect();
    let mut count = 0;
    for record in these {
        match others.iter().position(|other| *other == record) {
            Some(index) => drop(others.swap_remove(index)),
            None => count += 1,
        }
    }
    count
}

fn order(snapshot: &mut Snapshot, id: OrderId) -> &mut Order {
    let orders = snapshot.records_mut(Table::Orders).iter_mut();
    let mut found = orders.filter_map(|record| if let Record::Row { row: Row::Order(order), .. } = record { Some(order) } else { None });
    found.find(|order| order.id == id).expect("the order")
}

fn event<'a>(snapshot: &'a mut Snapshot, id: OrderId, kind: &EventKind) -> &'a mut Event {
    let events = snapshot.records_mut(Table::Events).iter_mut();
    let mut found = events.filter_map(|record| if let Record::Event(event) = record { Some(event) } else { None });
    found.find(|event| event.order_id == id && event.kind == *kind).expect("the event")
}

fn booking(snapshot: &mut Snapshot, id: OrderId) -> &mut LedgerEntry {
    let entries = snapshot.records_mut(Table::Ledger).iter_mut();
    let mut found = entries.filter_map(|record| if let Record::Ledger(entry) = record { Some(entry) } else { None });
    found.find(|entry| matches!(entry.cause, Cause::Order(order, _) if order == id)).expect("a booking")
}

fn payment<'a>(snapshot: &'a mut Snapshot, wanted: &str) -> &'a mut PaymentRow {
    let rows = snapshot.records_mut(Table::Payments).iter_mut();
    let mut found = rows.filter_map(|record| if let Record::Row { row: Row::Payment(row), .. } = record { Some(row) } else { None });
    found.find(|row| row.reference == wanted).expect("the payment")
}

fn inbox<'a>(snapshot: &'a mut Snapshot, wanted: &str) -> &'a mut InboxEntry {
    let rows = snapshot.records_mut(Table::Inbox).iter_mut();
    let mut found = rows.filter_map(|record| if let Record::Row { row: Row::Inbox(row), .. } = record { Some(row) } else { None });
    found.find(|row| row.event_id == wanted).expect("the received event")
}

fn effect<'a>(snapshot: &'a mut Snapshot, id: OrderId, kind: &str) -> &'a mut Effect {
    let rows = snapshot.records_mut(Table::Effects).iter_mut();
    let mut found = rows.filter_map(|record| if let Record::Row { row: Row::Effect(row), .. } = record { Some(row) } else { None });
    found.find(|row| row.order_id == id && row.kind == kind).expect("the effect")
}

fn idempotency(snapshot: &mut Snapshot) -> &mut IdempotencyRow {
    let rows = snapshot.records_mut(Table::Idempotency).iter_mut();
    let mut found = rows.filter_map(|record| if let Record::Row { row: Row::Idempotency(row), .. } = record { Some(row) } else { None });
    found.next().expect("an idempotency row")
}

fn dead(snapshot: &mut Snapshot) -> &mut DeadLetter {
    let mut letters = snapshot.records_mut(Table::DeadLetters).iter_mut();
    letters.find_map(|record| if let Record::DeadLetter(dead) = record { Some(dead) } else { None }).expect("a dead letter")
}

/// The past of a job, by its group.
fn past<'a>(snapshot: &'a mut Snapshot, group: &str) -> &'a mut Past {
    let jobs = snapshot.records_mut(Table::Jobs).iter_mut();
    let mut found = jobs.filter_map(|record| match record {
        Record::Job { key, past, .. } if key.group == group => Some(past),
        _ => None,
    });
    found.next().expect("the job")
}

/// Removes the records of a table that are meant; there must be one.
fn remove(snapshot: &mut Snapshot, table: Table, is_meant: impl Fn(&Record) -> bool) {
    snapshot.records_mut(table).retain(|record| !is_meant(record));
}

/// Puts a copy of the first record that is meant right behind it.
fn repeat(snapshot: &mut Snapshot, table: Table, is_meant: impl Fn(&Record) -> bool) {
    let records = snapshot.records_mut(table);
    let index = records.iter().position(is_meant).expect("the record");
    records.insert(index, records[index].clone());
}

fn is_event(record: &Record, id: OrderId, wanted: &EventKind) -> bool {
    matches!(record, Record::Event(event) if event.order_id == id && event.kind == *wanted)
}

fn is_job(record: &Record, wanted: &str) -> bool {
    matches!(record, Record::Job { key, .. } if key.group == wanted)
}

/// The facts of an order, each changed.
fn change_facts(order: &mut Order, change: impl Fn(&mut Fact)) {
    let mut facts = Facts::default();
    for mut fact in order.facts.iter().cloned() {
        change(&mut fact);
        facts.learn(&fact);
    }
    order.facts = facts;
}

/// An order that nobody placed, between the others.
fn nobody() -> OrderId {
    OrderId::new(1, [7; 10])
}

macro_rules! corruptions {
    ($($invariant:ident { $($name:ident => $spoil:expr;)+ })+) => {
        /// The invariants that have a corruption here.
        pub(super) const CORRUPTED: &[Invariant] = &[$(Invariant::$invariant,)+];

        $($(
            #[tokio::test]
            async fn $name() {
                fires(Invariant::$invariant, $spoil).await;
            }
        )+)+
    };
}

corruptions! {
    I1 {
        an_idempotency_row_names_nothing => |snapshot, _| idempotency(snapshot).result = nobody().into();
        an_idempotency_row_names_an_order_of_the_future => |snapshot, _| {
            idempotency(snapshot).result = OrderId::new(u64::from(u32::MAX) << 8, [9; 10]).into();
        };
        the_product_of_a_request_is_gone => |snapshot, history| {
            remove(snapshot, Table::Products, |record| {
                matches!(record, Record::Row { row: Row::Product(row), .. } if row.id == history.requested)
            });
        };
        an_idempotency_row_forgets_its_request => |snapshot, _| {
            idempotency(snapshot).fingerprint = Digest::from_bytes(&[0; 32]).expect("32 bytes");
        };
    }
    I2 {
        a_paid_order_loses_its_paid_event => |snapshot, history| {
            event(snapshot, history.paid, &EventKind::OrderPaid).kind = EventKind::OrderNote;
        };
        an_order_is_paid_twice => |snapshot, history| {
            event(snapshot, history.paid, &EventKind::PaymentReceived).kind = EventKind::OrderPaid;
        };
        an_unpaid_order_has_a_paid_event => |snapshot, history| {
            event(snapshot, history.waiting, &EventKind::PaymentCreated).kind = EventKind::OrderPaid;
        };
    }
    I3 {
        a_booking_is_missing => |snapshot, history| {
            remove(snapshot, Table::Ledger, |record| {
                matches!(record, Record::Ledger(LedgerEntry { cause: Cause::Order(id, _), .. }) if *id == history.paid)
            });
        };
        a_booking_has_another_amount => |snapshot, history| booking(snapshot, history.refunded).amount += 1;
        a_booking_is_negative => |snapshot, history| booking(snapshot, history.paid).amount *= -1;
        a_booking_has_another_currency => |snapshot, history| {
            booking(snapshot, history.paid).currency = ordermill_core::money::Currency::USD;
        };
        a_booking_of_foreign_money_has_another_amount => |snapshot, history| booking(snapshot, history.foreign).amount += 1;
        a_booking_stands_twice => |snapshot, history| {
            repeat(snapshot, Table::Ledger, |record| {
                matches!(record, Record::Ledger(LedgerEntry { cause: Cause::Order(id, _), .. }) if *id == history.overpaid)
            });
        };
        a_booking_is_for_an_event_that_never_was => |snapshot, history| {
            booking(snapshot, history.paid).cause = Cause::Order(history.paid, 99);
        };
        a_booking_is_for_an_order_that_never_was => |snapshot, _| {
            let Some(Record::Ledger(entry)) = snapshot.records(Table::Ledger).first().cloned() else { panic!("no booking") };
            snapshot.records_mut(Table::Ledger).insert(0, Record::Ledger(LedgerEntry { cause: Cause::Order(nobody(), 1), ..entry }));
        };
        a_payment_status_is_wrong => |snapshot, history| order(snapshot, history.waiting).payment_status = PaymentStatus::Paid;
        a_fact_moved_less_than_nothing => |snapshot, history| {
            change_facts(order(snapshot, history.paid), |fact| fact.amount = -fact.amount);
        };
        a_line_is_miscalculated => |snapshot, history| order(snapshot, history.paid).lines[0].quantity += 1;
        a_total_is_miscalculated => |snapshot, history| order(snapshot, history.waiting).shipping_amount = 1;
    }
    I4 {
        a_status_is_not_that_of_the_events => |snapshot, history| {
            order(snapshot, history.waiting).status = OrderStatus::Processing;
        };
        a_fact_is_not_that_of_the_events => |snapshot, history| {
            event(snapshot, history.refunded, &EventKind::RefundSucceeded).data["amount"] = 1.into();
        };
        a_fact_was_never_told => |snapshot, history| {
            event(snapshot, history.waiting, &EventKind::PaymentCreated).kind = EventKind::OrderNote;
        };
        an_order_moves_against_the_rules => |snapshot, history| {
            event(snapshot, history.completed, &EventKind::OrderProcessing).kind = EventKind::OrderShipped;
        };
        an_order_was_never_placed => |snapshot, history| {
            event(snapshot, history.waiting, &EventKind::OrderCreated).kind = EventKind::OrderNote;
        };
        a_total_is_not_the_one_it_was_placed_with => |snapshot, history| {
            event(snapshot, history.paid, &EventKind::OrderCreated).data["totalAmount"] = 1.into();
        };
        a_reference_is_not_that_of_the_events => |snapshot, history| {
            order(snapshot, history.waiting).payment.reference = Some("pi_other".to_owned());
        };
        a_paid_order_still_expires => |snapshot, history| {
            order(snapshot, history.paid).expires_at = Some(ordermill_core::time::Timestamp::default());
        };
    }
    I5 {
        a_payment_row_is_missing => |snapshot, _| {
            remove(snapshot, Table::Payments, |record| {
                matches!(record, Record::Row { row: Row::Payment(row), .. } if row.reference == "pi_paid")
            });
        };
        a_payment_row_names_another_order => |snapshot, history| payment(snapshot, "pi_paid").order_id = history.waiting;
        a_payment_row_is_unknown_to_its_order => |snapshot, _| payment(snapshot, "pi_paid").reference = "pi_gone".to_owned();
        a_money_object_belongs_to_two_orders => |snapshot, history| {
            change_facts(order(snapshot, history.paid), |fact| fact.reference = "pi_waiting".to_owned());
        };
    }
    I6 {
        a_waiting_event_loses_its_job => |snapshot, _| remove(snapshot, Table::Jobs, |record| is_job(record, "stripe:evt_early"));
        a_reading_event_loses_its_dead_letter => |snapshot, _| {
            remove(snapshot, Table::DeadLetters, |record| {
                matches!(record, Record::DeadLetter(dead) if dead.key.group == "stripe:evt_hint")
            });
        };
        an_applied_event_names_no_order => |snapshot, _| inbox(snapshot, "evt_applied").order_id = None;
        an_applied_event_names_an_order_that_never_was => |snapshot, _| inbox(snapshot, "evt_applied").order_id = Some(nobody());
        a_final_event_has_no_outcome => |snapshot, _| inbox(snapshot, "evt_odd").outcome.clear();
    }
    I7 {
        a_confirmed_effect_has_no_reference => |snapshot, history| effect(snapshot, history.paid, "email.order_paid").reference = None;
        an_intended_effect_loses_its_job => |snapshot, history| {
            let group = history.refunded.to_string();
            remove(snapshot, Table::Jobs, |record| is_job(record, &group));
        };
        a_reference_is_not_that_of_its_effect => |snapshot, history| {
            effect(snapshot, history.waiting, "stripe.create_intent").reference = Some("pi_second".to_owned());
        };
        a_reference_has_no_effect => |snapshot, history| {
            remove(snapshot, Table::Effects, |record| {
                matches!(record, Record::Row { row: Row::Effect(row), .. } if row.order_id == history.waiting)
            });
        };
    }
    I8 {
        a_job_has_fewer_attempts_than_none => |snapshot, _| past(snapshot, "again").attempt = -1;
        a_job_has_more_uncounted_attempts_than_attempts => |snapshot, _| past(snapshot, "lost").uncounted = 9;
        a_history_has_a_hole => |snapshot, _| past(snapshot, "lost").attempt = 7;
        a_history_goes_backwards => |snapshot, _| dead(snapshot).past.history.reverse();
        a_job_runs_without_an_attempt => |snapshot, _| {
            *past(snapshot, "lost") = Past::default();
        };
    }
    I9 {
        an_attempt_that_ended_still_runs => |snapshot, _| past(snapshot, "lost").attempt -= 1;
        a_dead_letter_died_of_an_earlier_attempt => |snapshot, _| drop(dead(snapshot).past.history.pop());
    }
    I10 {
        a_job_is_tried_too_often => |snapshot, _| {
            for record in snapshot.records_mut(Table::Jobs) {
                if let Record::Job { key, max_attempts, .. } = record && key.group == "lost" {
                    *max_attempts = 1;
                }
            }
        };
        a_dead_letter_forgets_its_history => |snapshot, _| dead(snapshot).past.history.clear();
        a_dead_letter_waits_as_well => |snapshot, history| {
            let group = history.refunded.to_string();
            let running = snapshot.records(Table::Jobs).iter().find(|record| is_job(record, &group)).cloned();
            let Some(Record::Job { key, .. }) = running else { panic!("no running job") };
            let mut letter = dead(snapshot).clone();
            letter.key = key;
            snapshot.push(Record::DeadLetter(letter));
        };
        a_job_without_attempts_left_is_not_buried => |snapshot, _| {
            for record in snapshot.records_mut(Table::Jobs) {
                if let Record::Job { key, max_attempts, is_running, due_for_ms, .. } = record && key.group == "lost" {
                    (*max_attempts, *is_running, *due_for_ms) = (2, false, 86_400_000);
                }
            }
        };
    }
    I11 {
        a_completed_order_was_never_completed => |snapshot, history| {
            event(snapshot, history.completed, &EventKind::OrderCompleted).kind = EventKind::OrderNote;
        };
        an_order_is_completed_and_goes_on => |snapshot, history| {
            event(snapshot, history.paid, &EventKind::PaymentFailed).kind = EventKind::OrderCompleted;
        };
    }
    I14 {
        a_paid_order_has_no_mail => |snapshot, history| {
            remove(snapshot, Table::Effects, |record| {
                matches!(record, Record::Row { row: Row::Effect(row), .. } if row.order_id == history.paid && row.kind == "email.order_paid")
            });
        };
        a_mail_was_thrown_away_by_nobody => |snapshot, _| {
            remove(snapshot, Table::Audit, |record| {
                matches!(record, Record::Row { row: Row::Audit(entry), .. } if entry.action == "dead_letter.discarded")
            });
        };
        a_mail_answers_another_event => |snapshot, history| {
            effect(snapshot, history.paid, "email.order_paid").key = Digest::of(b"another event");
        };
    }
    I15 {
        an_event_is_missing => |snapshot, history| {
            remove(snapshot, Table::Events, |record| is_event(record, history.paid, &EventKind::PaymentFailed));
        };
        the_last_event_is_missing => |snapshot, history| {
            remove(snapshot, Table::Events, |record| is_event(record, history.cancelled, &EventKind::OrderCancelled));
        };
        an_event_stands_twice => |snapshot, history| {
            repeat(snapshot, Table::Events, |record| is_event(record, history.paid, &EventKind::OrderPaid));
        };
        a_version_is_behind => |snapshot, history| order(snapshot, history.paid).version -= 1;
        an_order_is_gone => |snapshot, history| {
            remove(snapshot, Table::Orders, |record| {
                matches!(record, Record::Row { row: Row::Order(order), .. } if order.id == history.cancelled)
            });
        };
    }
    I16 {
        more_is_reserved_than_orders_reserve => |snapshot, _| {
            for record in snapshot.records_mut(Table::Stock) {
                if let Record::Stock { key, level } = record && key.sku == "TEE" {
                    (level.available, level.reserved) = (level.available - 1, level.reserved + 1);
                }
            }
        };
        more_is_on_hand_than_came_in => |snapshot, _| {
            for record in snapshot.records_mut(Table::Stock) {
                if let Record::Stock { key, level } = record && key.sku == "MUG" {
                    level.available += 1;
                }
            }
        };
        a_count_is_below_zero => |snapshot, _| {
            let (key, level) = (StockKey::main("GONE"), ordermill_core::admit::StockLevel { available: -1, reserved: 1 });
            snapshot.push(Record::Stock { key, level });
        };
        a_first_delivery_is_forgotten => |snapshot, _| {
            remove(snapshot, Table::StockMovements, |record| {
                matches!(record, Record::StockMovement { cause: Cause::Change(_), key, .. } if key.sku == "MUG")
            });
        };
        a_stock_row_is_gone => |snapshot, _| {
            remove(snapshot, Table::Stock, |record| matches!(record, Record::Stock { key, .. } if key.sku == "TEE"));
        };
    }
    I17 {
        goods_leave_twice => |snapshot, history| {
            repeat(snapshot, Table::StockMovements, |record| {
                matches!(record, Record::StockMovement { cause: Cause::Order(id, _), .. } if *id == history.paid)
            });
        };
        goods_never_left => |snapshot, history| {
            remove(snapshot, Table::StockMovements, |record| {
                matches!(record, Record::StockMovement { cause: Cause::Order(id, _), .. } if *id == history.paid)
            });
        };
        a_delivery_is_booked_twice => |snapshot, _| {
            repeat(snapshot, Table::StockMovements, |record| {
                matches!(record, Record::StockMovement { cause: Cause::Change(_), .. })
            });
        };
        goods_moved_for_an_order_that_never_was => |snapshot, _| {
            let (cause, key) = (Cause::Order(nobody(), 1), StockKey::main("TEE"));
            snapshot.records_mut(Table::StockMovements).insert(0, Record::StockMovement { cause, key, on_hand_delta: -1 });
        };
    }
    I18 {
        a_cancelled_order_still_reserves => |snapshot, history| {
            order(snapshot, history.cancelled).stock_hold = StockHold::Reserved;
        };
    }
    I19 {
        a_payment_belongs_to_no_order => |snapshot, _| payment(snapshot, "pi_paid").order_id = nobody();
        an_effect_belongs_to_no_order => |snapshot, history| {
            effect(snapshot, history.paid, "email.order_paid").order_id = nobody();
        };
        two_orders_have_one_number => |snapshot, history| {
            let number = order(snapshot, history.paid).number;
            order(snapshot, history.waiting).number = number;
        };
        two_orders_have_one_code => |snapshot, history| {
            let code = order(snapshot, history.paid).code.clone();
            order(snapshot, history.waiting).code = code;
        };
        a_code_is_not_that_of_its_number => |snapshot, history| order(snapshot, history.waiting).code = "DH999999".to_owned();
        two_products_have_one_sku => |snapshot, _| {
            for record in snapshot.records_mut(Table::Products) {
                if let Record::Row { row: Row::Product(product), .. } = record && product.sku == "TEE" {
                    product.sku = "MUG".to_owned();
                }
            }
        };
        two_api_keys_have_one_secret => |snapshot, _| {
            let keys = snapshot.records_mut(Table::ApiKeys).iter_mut();
            let mut keys = keys.filter_map(|record| if let Record::Row { row: Row::ApiKey(key), .. } = record { Some(key) } else { None });
            let (one, other) = (keys.next().expect("a key"), keys.next().expect("another key"));
            other.secret = one.secret;
        };
    }
    I20 {
        a_paid_order_still_waits_for_money => |snapshot, history| order(snapshot, history.paid).status = OrderStatus::Pending;
        a_job_is_due_for_a_day => |snapshot, _| {
            for record in snapshot.records_mut(Table::Jobs) {
                if let Record::Job { key, due_for_ms, .. } = record && key.group == "stripe:evt_early" {
                    *due_for_ms = 86_400_000;
                }
            }
        };
    }
}
