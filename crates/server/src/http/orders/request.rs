//! What a request to place an order may say, and how its repetition is recognised.

use crate::app::App;
use crate::app::orders::RequestKey;
use crate::http::openapi::vocabulary;
use crate::http::problem::Problem;
use axum::http::{HeaderMap, Method};
use ordermill_core::account::User;
use ordermill_core::change::MAX_LINES;
use ordermill_core::digest::Digest;
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
    #[schema(max_items = 40)]
    products: Vec<WantedLine>,
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
    pub(super) fn into_wanted(self, app: &App) -> Result<Wanted, Problem> {
        if self.products.len() > MAX_LINES {
            return Err(Refusal::TooManyLines { max: MAX_LINES, found: self.products.len() }.into());
        }
        if self.payment_method == PaymentMethod::Stripe && !app.stripe.is_configured() {
            return Err(Problem::new("payment_method_unavailable", "card payments are not set up here"));
        }
        let line = |line: WantedLine| match ProductId::parse(&line.product_id) {
            Some(id) => Ok((id, line.quantity)),
            None => Err(Problem::from(Refusal::UnknownProduct { product_id: line.product_id })),
        };
        Ok(Wanted {
            lines: self.products.into_iter().map(line).collect::<Result<_, _>>()?,
            expected_total: self.total_amount,
            method: self.payment_method,
            shipping_address: self.shipping_address.map(check_address).transpose()?,
            note: self.note.map(|note| check_text("note", &note, NOTE_MAX)).transpose()?,
        })
    }
}

fn check_address(address: AddressRequest) -> Result<Address, Problem> {
    let part = |path: &str, text: String| check_text(&format!("shippingAddress.{path}"), &text, ADDRESS_PART_MAX);
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

fn check_text(path: &str, text: &str, characters_max: usize) -> Result<String, Problem> {
    let text = text.trim();
    let has_control = text.chars().any(|character| character.is_control() && character != '\n');
    if has_control || text.chars().count() > characters_max {
        return Err(invalid(path, &format!("at most {characters_max} characters, and no control characters")));
    }
    Ok(text.to_owned())
}

fn invalid(path: &str, message: &str) -> Problem {
    Problem::new("invalid_request", format!("{path}: {message}")).at(path, message)
}

/// The request's identity, if it carries an Idempotency-Key: unquoted or as a quoted structured-field string.
pub(super) fn request_key(
    headers: &HeaderMap,
    user: &User,
    method: &Method,
    route: &str,
    raw: &[u8],
) -> Result<Option<RequestKey>, Problem> {
    let Some(header) = headers.get("idempotency-key") else { return Ok(None) };
    let wrong = || Problem::new("idempotency_key_invalid", "8 to 255 visible ASCII characters");
    let text = header.to_str().map_err(|_| wrong())?;
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    if !(8..=255).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(wrong());
    }
    let key = Digest::of_parts(&[user.id.uuid().as_bytes(), method.as_str().as_bytes(), route.as_bytes(), text.as_bytes()]);
    Ok(Some(RequestKey { key, fingerprint: fingerprint(method.as_str(), route, raw) }))
}

/// SHA-256 of method, path and raw body.
fn fingerprint(method: &str, path: &str, raw: &[u8]) -> Digest {
    let mut message = format!("{method}\n{path}\n").into_bytes();
    message.extend_from_slice(raw);
    Digest::of(&message)
}

#[cfg(test)]
mod tests {
    use super::fingerprint;

    // reference/money-tax-ids.md §7
    #[test]
    fn fingerprints_as_the_reference_does() {
        let body = |quantity| format!(r#"{{"email":"a@example.com","items":[{{"sku":"C1","qty":{quantity}}}]}}"#);
        let of = |quantity| fingerprint("POST", "/api/v1/orders", body(quantity).as_bytes()).to_string();
        assert_eq!(of(1), "3525eb2cc636ff1e309b19cb4cb785e22df5a9003709ea7fa6a95108571e7866");
        assert_eq!(of(2), "d5e54c364f41ef2e46cac9fb1eda08a35d92bc90e76de8144879fe3fa2192afa");
    }
}
