//! Reading objects that an event only hints at. What they mean is for `core::stripe` to say.

use super::{StripeClient, StripeError, checked_id};
use serde_json::Value;

impl StripeClient {
    /// A payment intent, as it is now.
    pub async fn read_payment_intent(&self, id: &str) -> Result<Value, StripeError> {
        self.read_object("read_payment_intent", &format!("/v1/payment_intents/{}", checked_id(id)?)).await
    }

    /// A charge, as it is now.
    pub async fn read_charge(&self, id: &str) -> Result<Value, StripeError> {
        self.read_object("read_charge", &format!("/v1/charges/{}", checked_id(id)?)).await
    }

    /// The latest hundred refunds of a charge.
    pub async fn read_refunds(&self, charge: &str) -> Result<Value, StripeError> {
        self.read_object("read_refunds", &format!("/v1/refunds?charge={}&limit=100", checked_id(charge)?)).await
    }

    /// A Checkout Session, as it is now.
    pub async fn read_checkout_session(&self, id: &str) -> Result<Value, StripeError> {
        self.read_object("read_checkout_session", &format!("/v1/checkout/sessions/{}", checked_id(id)?)).await
    }

    /// An invoice with its payments, as it is now.
    pub async fn read_invoice(&self, id: &str) -> Result<Value, StripeError> {
        self.read_object("read_invoice", &format!("/v1/invoices/{}?expand[0]=payments", checked_id(id)?)).await
    }

    async fn read_object(&self, operation: &'static str, path: &str) -> Result<Value, StripeError> {
        self.call(operation, self.http.get(self.url(path))).await
    }
}
