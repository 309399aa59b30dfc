//! Who hears of an event: from one event of an order to the jobs that only the consumers it concerns get.
//! This file must not do any of the work; a consumer that has nothing to do gets no job.

use crate::event::{Event, EventKind};
use crate::job::{JobKey, NewJob, Payload, Queue};
use crate::order::Order;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Which consumers this installation has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routing {
    /// Whether customers get mail.
    pub email: bool,
    /// Whether nodes share copies of customers' order lists.
    pub order_lists: bool,
    /// Whether this customer hears by mail that the order stands. What was decided goes into the event `order.created`, so
    /// that who must hear of it stays the same when installation or customer change their mind.
    pub order_received: bool,
}

/// What the event `order.created` says when the customer hears of it by mail.
const RECEIVED_MAIL: &str = "receivedMail";

impl Routing {
    /// Takes note in the data of `order.created` whether the customer hears of it by mail. Guests do not: the page on which
    /// they ordered is where they pay.
    pub(crate) fn note_created(self, data: &mut Value, order: &Order) {
        if self.email && self.order_received && order.customer.id.is_some() {
            data[RECEIVED_MAIL] = Value::Bool(true);
        }
    }
}

/// What every installation has: the mails that nobody can do without.
impl Default for Routing {
    fn default() -> Self {
        Self { email: true, order_received: false, order_lists: false }
    }
}

/// The jobs that an event of an order causes. The job's identity is (queue, order, number of the event), so that
/// deciding twice never queues twice.
pub fn route(event: &Event, order: &Order, routing: Routing) -> Vec<NewJob> {
    let group = || event.order_id.to_string();
    match event.kind {
        EventKind::OrderCreated if routing.email && event.data.get(RECEIVED_MAIL) == Some(&Value::Bool(true)) => {
            let payload = Payload::EmailOrderReceived { order_id: order.id };
            vec![NewJob::new(JobKey::new(Queue::Email, group(), event.seq), &payload)]
        }
        EventKind::OrderPaid if routing.email => {
            let payload = Payload::EmailOrderPaid { order_id: order.id };
            vec![NewJob::new(JobKey::new(Queue::Email, group(), event.seq), &payload)]
        }
        _ => Vec::new(),
    }
}

/// The job that a whole edit of an order causes, however many events it has: whoever keeps copies of the customer's order
/// list must let go of them, also if this process dies right after its commit.
pub fn route_edit(order: &Order, routing: Routing) -> Option<NewJob> {
    let customer_id = order.customer.id.filter(|_| routing.order_lists)?;
    let payload = Payload::CacheForgetOrders { order_id: order.id, customer_id };
    Some(NewJob::new(JobKey::new(Queue::Cache, order.id.to_string(), order.version), &payload))
}
