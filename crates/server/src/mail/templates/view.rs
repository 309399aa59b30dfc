//! What a template may show: texts only, amounts written out, everything that strangers wrote made safe for
//! display. These names are what operators write in their own templates, so none may change its meaning.

use super::display_text;
use minijinja::{Value, context};
use ordermill_core::account::RESET_TOKEN_TTL_MS;
use ordermill_core::locale::Locale;
use ordermill_core::money::{Currency, Money, format_money};
use ordermill_core::order::Order;

/// The values of the mail `order_paid`.
#[derive(Debug)]
pub(super) struct OrderPaid {
    lang: &'static str,
    public_url: String,
    customer_name: Option<String>,
    code: String,
    lines: Vec<Line>,
    subtotal: String,
    discount: Option<String>,
    shipping: Option<String>,
    total: String,
    paid: String,
    credit: Option<String>,
}

#[derive(Debug)]
struct Line {
    title: String,
    sku: String,
    quantity: i64,
    unit: String,
    total: String,
}

impl OrderPaid {
    /// What the mail about this order shows.
    pub(super) fn of(order: &Order, locale: Locale, public_url: &str) -> Self {
        let amount = |amount: i64| format_money(Money::new(amount, order.currency), locale);
        let if_any = |value: i64| (value != 0).then(|| amount(value));
        let summary = order.summary();
        let line = |line: &ordermill_core::order::Line| Line {
            title: display_text(&line.title),
            sku: display_text(&line.sku),
            quantity: line.quantity,
            unit: amount(line.unit_amount),
            total: amount(line.total_amount),
        };
        Self {
            lang: locale.name(),
            public_url: public_url.to_owned(),
            customer_name: order.customer.name.as_deref().map(display_text).filter(|name| !name.is_empty()),
            code: display_text(&order.code),
            lines: order.lines.iter().map(line).collect(),
            subtotal: amount(order.subtotal_amount),
            discount: if_any(order.discount_amount.saturating_neg()),
            shipping: if_any(order.shipping_amount),
            total: amount(order.total_amount),
            paid: amount(summary.received_amount),
            credit: if_any(summary.credit_amount),
        }
    }

    /// Made-up values to try a template with: everything present, then as little as there can be.
    pub(super) fn samples(locale: Locale) -> [Self; 2] {
        let amount = |amount: i64| format_money(Money::new(amount, Currency::VND), locale);
        let line =
            || Line { title: "Sample".to_owned(), sku: "SAMPLE".to_owned(), quantity: 2, unit: amount(25_000), total: amount(50_000) };
        let sample = |lines| Self {
            lang: locale.name(),
            public_url: "https://shop.example".to_owned(),
            customer_name: None,
            code: "DH000123".to_owned(),
            lines,
            subtotal: amount(50_000),
            discount: None,
            shipping: None,
            total: amount(50_000),
            paid: amount(50_000),
            credit: None,
        };
        let full = Self {
            customer_name: Some("Sample".to_owned()),
            discount: Some(amount(-1)),
            shipping: Some(amount(1)),
            credit: Some(amount(1)),
            ..sample(vec![line(), line()])
        };
        [full, sample(vec![line()])]
    }

    /// The same as the template engine takes it.
    pub(super) fn value(&self) -> Value {
        let line = |line: &Line| {
            context! { title => &line.title, sku => &line.sku, quantity => line.quantity, unit => &line.unit, total => &line.total }
        };
        context! {
            lang => self.lang,
            public_url => &self.public_url,
            customer => context! { name => &self.customer_name },
            order => context! {
                code => &self.code,
                lines => self.lines.iter().map(line).collect::<Vec<_>>(),
                subtotal => &self.subtotal,
                discount => &self.discount,
                shipping => &self.shipping,
                total => &self.total,
                paid => &self.paid,
                credit => &self.credit,
            },
        }
    }
}

/// The values of the mail `password_reset`.
#[derive(Debug)]
pub(super) struct PasswordReset {
    lang: &'static str,
    public_url: String,
    customer_name: Option<String>,
    link: String,
}

impl PasswordReset {
    /// What the mail to somebody of this name shows.
    pub(super) fn of(name: Option<&str>, link: &str, locale: Locale, public_url: &str) -> Self {
        Self {
            lang: locale.name(),
            public_url: public_url.to_owned(),
            customer_name: name.map(display_text).filter(|name| !name.is_empty()),
            link: link.to_owned(),
        }
    }

    /// Made-up values to try a template with.
    pub(super) fn samples(locale: Locale) -> [Self; 2] {
        let sample = |name| Self::of(name, "https://shop.example/reset-password?token=sample", locale, "https://shop.example");
        [sample(Some("Sample")), sample(None)]
    }

    /// The same as the template engine takes it.
    pub(super) fn value(&self) -> Value {
        context! {
            lang => self.lang,
            public_url => &self.public_url,
            customer => context! { name => &self.customer_name },
            link => &self.link,
            minutes => RESET_TOKEN_TTL_MS / 60_000,
        }
    }
}
