//! The closed sets of words in requests and answers, as schemas: taken from the tables in core, so that a new word is in
//! the document by itself.

use ordermill_core::account::Role;
use ordermill_core::api_key::Scope;
use ordermill_core::catalogue::ProductKind;
use ordermill_core::inbox::InboxState;
use ordermill_core::locale::Locale;
use ordermill_core::order::{OrderStatus, PaymentMethod};
use ordermill_core::payment::{PaymentStatus, Provider};
use utoipa::openapi::schema::{Array, ArrayBuilder, Object, ObjectBuilder, Type};

fn one_of<const N: usize>(words: [&'static str; N]) -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).build()
}

pub(in crate::http) fn order_status() -> Object {
    one_of(OrderStatus::ALL.map(OrderStatus::name))
}

pub(in crate::http) fn payment_status() -> Object {
    one_of(PaymentStatus::ALL.map(PaymentStatus::name))
}

pub(in crate::http) fn payment_method() -> Object {
    one_of(PaymentMethod::ALL.map(PaymentMethod::name))
}

pub(in crate::http) fn provider() -> Object {
    one_of(Provider::ALL.map(Provider::name))
}

pub(in crate::http) fn product_kind() -> Object {
    one_of(ProductKind::ALL.map(ProductKind::name))
}

pub(in crate::http) fn role() -> Object {
    one_of(Role::ALL.map(Role::name))
}

pub(in crate::http) fn scope() -> Object {
    one_of(Scope::ALL.map(Scope::name))
}

/// At least one scope.
pub(in crate::http) fn scopes() -> Array {
    ArrayBuilder::new().items(scope()).min_items(Some(1)).build()
}

pub(in crate::http) fn locale() -> Object {
    one_of(Locale::ALL.map(Locale::name))
}

pub(in crate::http) fn inbox_state() -> Object {
    one_of(InboxState::ALL.map(InboxState::name))
}
