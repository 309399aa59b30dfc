//! What a template may show: texts only, amounts written out, everything that strangers wrote made safe for
//! display. These names are what operators write in their own templates, so none may change its meaning.

use super::display_text;
use minijinja::{Value, context};
use ordermill_core::account::RESET_TOKEN_TTL_MS;
use ordermill_core::locale::Locale;
use ordermill_core::money::{Currency, Money, format_money};
use ordermill_core::order::{Order, OrderStatus, PaymentMethod};
use ordermill_core::time::Timestamp;

/// The account that customers transfer to.
#[derive(Debug, Clone, Copy)]
pub struct BankAccount<'a> {
    /// The bank's number (six digits).
    pub bank: Option<&'a str>,
    /// The account's number.
    pub number: Option<&'a str>,
    /// Whose account it is.
    pub holder: Option<&'a str>,
}

/// The values of the mails `order_received` and `order_paid`.
#[derive(Debug)]
pub(super) struct OrderView {
    lang: &'static str,
    public_url: String,
    customer_name: Option<String>,
    code: String,
    lines: Vec<Line>,
    subtotal: String,
    discount: Option<String>,
    shipping: Option<String>,
    total: String,
    paid: Option<String>,
    credit: Option<String>,
    payment: &'static str,
    transfer: Option<Transfer>,
}

/// What is still to be transferred, and where to.
#[derive(Debug)]
struct Transfer {
    amount: String,
    until: Option<String>,
    bank: Option<String>,
    number: String,
    holder: Option<String>,
    content: String,
}

#[derive(Debug)]
struct Line {
    title: String,
    sku: String,
    quantity: i64,
    unit: String,
    total: String,
}

impl OrderView {
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
            paid: Some(amount(summary.received_amount)),
            credit: if_any(summary.credit_amount),
            payment: order.payment.method.name(),
            transfer: None,
        }
    }

    /// What the mail shows that tells of the order itself.
    pub(super) fn received(order: &Order, account: BankAccount<'_>, locale: Locale, public_url: &str) -> Self {
        let has_money = order.summary().received_amount > 0;
        let view = Self::of(order, locale, public_url);
        Self { paid: view.paid.filter(|_| has_money), transfer: Transfer::of(order, account, locale), ..view }
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
            paid: Some(amount(50_000)),
            credit: None,
            payment: PaymentMethod::Stripe.name(),
            transfer: None,
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

    /// The same for the mail that tells of the order itself: to be transferred, by card, in cash.
    pub(super) fn samples_received(locale: Locale) -> [Self; 4] {
        let text = || "Sample".to_owned();
        let bare = || Transfer { amount: text(), until: None, bank: None, number: text(), holder: None, content: text() };
        let full = Transfer { until: Some(text()), bank: Some(text()), holder: Some(text()), ..bare() };
        let ([one, two], [three, four]) = (Self::samples(locale), Self::samples(locale));
        let (transfer, cash) = (PaymentMethod::BankTransfer.name(), PaymentMethod::Cod.name());
        [
            Self { payment: transfer, transfer: Some(full), ..one },
            Self { payment: transfer, transfer: Some(bare()), paid: None, ..two },
            Self { payment: cash, paid: None, ..three },
            Self { paid: None, ..four },
        ]
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
                payment => self.payment,
            },
            transfer => self.transfer.as_ref().map(Transfer::value),
        }
    }
}

impl Transfer {
    /// Nothing when nothing is to be transferred (any more), or nobody says where to.
    fn of(order: &Order, account: BankAccount<'_>, locale: Locale) -> Option<Self> {
        let due = order.total_amount.saturating_sub(order.summary().received_amount);
        if order.payment.method != PaymentMethod::BankTransfer || order.status != OrderStatus::Pending || due <= 0 {
            return None;
        }
        Some(Self {
            amount: format_money(Money::new(due, order.currency), locale),
            until: order.expires_at.and_then(|time| until(time, locale)),
            bank: account.bank.map(display_text),
            number: display_text(account.number?),
            holder: account.holder.map(display_text),
            content: display_text(&order.code),
        })
    }

    fn value(&self) -> Value {
        context! {
            amount => &self.amount,
            until => &self.until,
            bank => &self.bank,
            number => &self.number,
            holder => &self.holder,
            content => &self.content,
        }
    }
}

/// A time as people of that language write it, with its zone: we do not know theirs.
fn until(time: Timestamp, locale: Locale) -> Option<String> {
    let format = match locale {
        Locale::Vi => "%H:%M %d/%m/%Y (UTC)",
        Locale::En => "%-d %B %Y, %H:%M (UTC)",
    };
    let time = jiff::Timestamp::from_second(time.unix_s()).ok()?;
    jiff::fmt::strtime::format(format, time).ok()
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
