//! What a request to place an order may say.

use crate::app::App;
use crate::app::orders::Ordered;
use crate::http::openapi::vocabulary;
use crate::http::problem::Problem;
use crate::http::text::{checked_text, invalid};
use ordermill_core::account::User;
use ordermill_core::change::MAX_LINES;
use ordermill_core::event::Actor;
use ordermill_core::id::ProductId;
use ordermill_core::order::place::Wanted;
use ordermill_core::order::{Address, PaymentMethod};
use ordermill_core::refusal::Refusal;
use serde::Deserialize;
use utoipa::ToSchema;

/// The longest note, in characters.
const NOTE_MAX: usize = 2_000;
/// The longest part of an address, in characters.
const ADDRESS_PART_MAX: usize = 200;

/// What the customer wants.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = CreateOrderRequest)]
pub(in crate::http) struct CreateRequest {
    /// Left out: what is in the cart, which is empty afterwards.
    #[schema(max_items = 40)]
    products: Option<Vec<WantedLine>>,
    /// The total the customer saw; when it differs from the shop's, the order is refused.
    total_amount: Option<i64>,
    #[schema(schema_with = vocabulary::payment_method)]
    payment_method: PaymentMethod,
    /// Needed for goods that are sent.
    shipping_address: Option<AddressRequest>,
    #[schema(max_length = 2000)]
    note: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = WantedLine)]
struct WantedLine {
    #[schema(format = "uuid")]
    product_id: String,
    #[schema(minimum = 1, maximum = 10000)]
    quantity: i64,
}

/// Where a parcel goes.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = AddressRequest)]
struct AddressRequest {
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    #[schema(min_length = 1, max_length = 200)]
    phone: String,
    #[schema(min_length = 1, max_length = 200)]
    line1: String,
    #[schema(max_length = 200)]
    ward: Option<String>,
    #[schema(max_length = 200)]
    district: Option<String>,
    #[schema(max_length = 200)]
    province: Option<String>,
    #[schema(max_length = 200)]
    postal_code: Option<String>,
    /// ISO 3166 alpha-2.
    #[schema(pattern = "^[A-Za-z]{2}$")]
    country: String,
}

impl CreateRequest {
    /// The request in the domain's words.
    pub(super) fn into_ordered(self, app: &App, user: &User) -> Result<Ordered, Problem> {
        let is_cart = self.products.is_none();
        let products = self.products.unwrap_or_default();
        if products.len() > MAX_LINES {
            return Err(Refusal::TooManyLines { max: MAX_LINES, found: products.len() }.into());
        }
        if self.payment_method == PaymentMethod::Stripe {
            check_takes_cards(app)?;
        }
        let bank = &app.config.sepay;
        let has_account = bank.bank_bin.is_some() && bank.account_number.is_some();
        if self.payment_method == PaymentMethod::BankTransfer && !has_account {
            return Err(Problem::new("payment_method_unavailable", "bank transfers are not set up here"));
        }
        let line = |line: WantedLine| match ProductId::parse(&line.product_id) {
            Some(id) => Ok((id, line.quantity)),
            None => Err(Problem::from(Refusal::UnknownProduct { product_id: line.product_id })),
        };
        let wanted = Wanted {
            lines: products.into_iter().map(line).collect::<Result<_, _>>()?,
            expected_total: self.total_amount,
            method: self.payment_method,
            shipping_address: self.shipping_address.map(check_address).transpose()?,
            note: self.note.map(|note| checked_text("note", &note, NOTE_MAX)).transpose()?,
        };
        Ok(Ordered { wanted, is_cart, placed_by: Actor::customer(user.id) })
    }
}

/// Refuses where cards are not set up.
pub(in crate::http) fn check_takes_cards(app: &App) -> Result<(), Problem> {
    let refused = || Problem::new("payment_method_unavailable", "card payments are not set up here");
    if app.stripe.is_configured() { Ok(()) } else { Err(refused()) }
}

fn check_address(address: AddressRequest) -> Result<Address, Problem> {
    let part = |path: &str, text: String| checked_text(&format!("shippingAddress.{path}"), &text, ADDRESS_PART_MAX);
    let needed = |path: &str, text: String| match part(path, text)? {
        text if text.is_empty() => Err(invalid(&format!("shippingAddress.{path}"), "must not be empty")),
        text => Ok(text),
    };
    let maybe = |path: &str, text: Option<String>| text.map(|text| part(path, text)).transpose();
    let country = address.country.to_ascii_uppercase();
    if country.len() != 2 || !country.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Err(invalid("shippingAddress.country", "two letters, as in VN"));
    }
    Ok(Address {
        name: needed("name", address.name)?,
        phone: needed("phone", address.phone)?,
        line1: needed("line1", address.line1)?,
        ward: maybe("ward", address.ward)?,
        district: maybe("district", address.district)?,
        province: maybe("province", address.province)?,
        postal_code: maybe("postalCode", address.postal_code)?,
        country,
    })
}
