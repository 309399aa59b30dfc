//! One request from its idempotency key to its answer: replay, refuse, or do it, write it down, and then say so.
//!
//! Runs on blocking threads, one request at a time: a key decides before anything is done, and nothing is answered before
//! it is on the disk.

use super::answer::Answer;
use super::intents::{self, Fresh, Performed};
use super::journal::{Accepted, Execution};
use super::ledger::Ledger;
use super::mode::Mode;
use super::params::Params;
use super::{StripeSimulator, lock};
use ordermill_core::digest::Digest;
use ordermill_core::time::Timestamp;
use serde_json::{Value, json};

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Op {
    Create,
    Retrieve { id: String },
    Confirm { id: String },
    Cancel { id: String },
    RetrieveCharge { id: String },
}

impl Op {
    /// Its name in the journal.
    const fn name(&self) -> &'static str {
        match self {
            Self::Create => "payment_intents.create",
            Self::Retrieve { .. } => "payment_intents.retrieve",
            Self::Confirm { .. } => "payment_intents.confirm",
            Self::Cancel { .. } => "payment_intents.cancel",
            Self::RetrieveCharge { .. } => "charges.retrieve",
        }
    }

    /// The object in its path.
    fn object_id(&self) -> &str {
        match self {
            Self::Create => "",
            Self::Retrieve { id } | Self::Confirm { id } | Self::Cancel { id } | Self::RetrieveCharge { id } => id,
        }
    }

    /// Whether it changes nothing, so that it needs no key.
    pub(super) const fn is_reading(&self) -> bool {
        matches!(self, Self::Retrieve { .. } | Self::RetrieveCharge { .. })
    }
}

/// A request that may speak for the account and can be read.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) op: Op,
    pub(super) params: Params,
    /// Its idempotency key; reading needs none.
    pub(super) key: Option<String>,
    /// `req_…`
    pub(super) id: String,
    pub(super) api_version: String,
}

/// An answer, and whether an earlier request got it first.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) answer: Answer,
    pub(super) is_replay: bool,
}

impl StripeSimulator {
    /// Answers a request, having done what it asks for at most once per key.
    pub(super) fn answer(&self, request: &Request) -> Answered {
        let now = self.clock.now();
        let mut ledger = lock(&self.ledger);
        let fresh_answer = |answer| Answered { answer, is_replay: false };
        let fingerprint = request.params.fingerprint(&format!("{} {}", request.op.name(), request.op.object_id()));
        if let Some(known) = request.key.as_ref().and_then(|key| ledger.remembered(key, now)) {
            if known.fingerprint != fingerprint {
                return fresh_answer(key_reused());
            }
            return Answered { answer: known.answer.clone(), is_replay: true };
        }
        let performed = match self.perform(&ledger, request, now) {
            Ok(performed) => performed,
            // Nothing is remembered, and the key may come again.
            Err(answer) => return fresh_answer(answer),
        };
        let execution = self.execution(request, performed, fingerprint, now);
        let (answer, event) = (execution.answer.clone(), execution.event.clone());
        if let Err(error) = ledger.record(execution) {
            tracing::error!(%error, "the Stripe simulator cannot write its journal");
            return fresh_answer(Answer::broken(503, "The simulator cannot write its journal."));
        }
        if let Some(event) = event {
            self.enqueue(&event);
        }
        fresh_answer(answer)
    }

    /// Does what is asked for; `Err` is the answer to what changes nothing, a refusal or a reading.
    fn perform(&self, ledger: &Ledger, request: &Request, now: Timestamp) -> Result<Performed, Answer> {
        let fresh = Fresh {
            intent_id: self.fresh_id("pi_"),
            secret: self.fresh_id(""),
            charge_id: self.fresh_id("ch_"),
            payment_method_id: self.fresh_id("pm_"),
            now_s: now.unix_s(),
        };
        match &request.op {
            Op::Create => intents::create(&request.params, &fresh),
            Op::Confirm { id } => intents::confirm(find(ledger, id)?, &request.params, &fresh),
            Op::Cancel { id } => intents::cancel(find(ledger, id)?, &request.params, &fresh),
            Op::Retrieve { id } => {
                request.params.only(&[])?;
                Err(Answer::object(find(ledger, id)?))
            }
            Op::RetrieveCharge { id } => {
                request.params.only(&[])?;
                let intent = ledger.intent_of_charge(id).ok_or_else(|| Answer::missing("charge", id))?;
                Err(Answer::object(intents::charge(intent, id)))
            }
        }
    }

    fn execution(&self, request: &Request, performed: Performed, fingerprint: Digest, now: Timestamp) -> Execution {
        let Performed { object, event, answer } = performed;
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let accepted = Accepted {
            key: request.key.clone(),
            op: request.op.name().to_owned(),
            object_id: text(object.get("id")).unwrap_or_default(),
            payment_id: text(object.get("metadata").and_then(|metadata| metadata.get("paymentId"))),
            at: now,
        };
        let event = event.map(|kind| self.event(kind, &object, request, now));
        let is_lost = self.modes().answers == Mode::Error500Stored;
        let answer = if is_lost { Answer::broken(500, "Something went wrong on the simulator's end.") } else { answer };
        Execution { accepted, fingerprint, answer, object, event }
    }

    fn event(&self, kind: &str, object: &Value, request: &Request, now: Timestamp) -> Value {
        json!({
            "id": self.fresh_id("evt_"),
            "object": "event",
            "api_version": request.api_version,
            "created": now.unix_s(),
            "data": { "object": object },
            "livemode": false,
            "pending_webhooks": 1,
            "request": { "id": request.id, "idempotency_key": request.key },
            "type": kind,
        })
    }
}

fn find(ledger: &Ledger, id: &str) -> Result<Value, Answer> {
    ledger.object(id).cloned().ok_or_else(|| Answer::missing("payment_intent", id))
}

fn key_reused() -> Answer {
    let message = "Keys for idempotent requests can only be used with the same parameters they were first used with. \
                   Try using a different Idempotency-Key if you meant to execute a different request.";
    Answer::error(400, "idempotency_error", None, message)
}
