//! Texts of strangers cannot become markup, headers or lines of their own, and an operator's mistake is found at start-up.

use super::*;
use ordermill_core::catalogue::ProductKind;
use ordermill_core::contact::Email;
use ordermill_core::id::{OrderId, PaymentId, ProductId};
use ordermill_core::money::Currency;
use ordermill_core::order::{Customer, Line, OrderStatus, Payment, PaymentMethod, StockHold};
use ordermill_core::payment::{Fact, FactKind, Facts, PaymentProgress, PaymentStatus, Provider};
use ordermill_core::time::Timestamp;
use proptest::prelude::*;
use std::path::PathBuf;

const HOSTILE: &str = "<script>alert('x')</script>\r\nBcc: evil@example.com\0\u{202e}moc.live\u{2066} {{ order.code }} &amp; \"q\"";

fn order(name: Option<&str>, title: &str) -> Order {
    let mut facts = Facts::default();
    facts.learn(&Fact {
        provider: Provider::Sepay,
        reference: "bank:1".to_owned(),
        kind: FactKind::Payment(PaymentProgress::Succeeded),
        amount: 50_000,
        currency: Currency::VND,
    });
    let line = Line {
        product_id: ProductId::new(1, [1; 10]),
        sku: "SKU-1".to_owned(),
        title: title.to_owned(),
        kind: ProductKind::Physical,
        quantity: 2,
        unit_amount: 25_000,
        total_amount: 50_000,
    };
    Order {
        id: OrderId::new(1, [2; 10]),
        number: 123,
        code: "DH000123".to_owned(),
        customer: Customer {
            id: None,
            email: Email::parse("ann@example.com").unwrap(),
            phone: None,
            name: name.map(str::to_owned),
            locale: Locale::Vi,
        },
        status: OrderStatus::Processing,
        payment_status: PaymentStatus::Paid,
        currency: Currency::VND,
        lines: vec![line],
        subtotal_amount: 50_000,
        discount_amount: 0,
        shipping_amount: 0,
        total_amount: 50_000,
        tolerance_amount: 0,
        payment: Payment {
            id: PaymentId::new(1, [3; 10]),
            method: PaymentMethod::BankTransfer,
            amount: 50_000,
            reference: None,
            client_secret: None,
        },
        facts,
        stock_hold: StockHold::Taken,
        shipping_address: None,
        note: None,
        expires_at: None,
        created_at: Timestamp::default(),
        updated_at: Timestamp::default(),
        version: 2,
    }
}

fn render(order: &Order, locale: Locale) -> Rendered {
    Templates::load(None).unwrap().render_order_paid(order, locale, "https://shop.example").unwrap()
}

#[test]
fn every_language_names_code_lines_amounts_and_customer() {
    for (locale, amount, greeting) in [(Locale::Vi, "50.000 ₫", "Xin chào Ánh,"), (Locale::En, "₫50,000", "Hello Ánh,")] {
        let mail = render(&order(Some("Ánh"), "Áo thun"), locale);
        assert!(mail.subject.as_str().ends_with("DH000123"), "{:?}", mail.subject);
        assert!(mail.text.starts_with(greeting), "{}", mail.text);
        for text in [&mail.text, &mail.html] {
            for shown in ["DH000123", "Áo thun", "Ánh", amount] {
                assert!(text.contains(shown), "{shown} is missing in {text}");
            }
        }
        assert!(mail.html.starts_with("<!doctype html>\n"), "{}", mail.html);
        assert!(mail.html.contains(&format!("<html lang=\"{}\">", locale.name())));
    }
}

#[test]
fn a_nameless_customer_is_greeted_all_the_same() {
    for name in [None, Some(""), Some("\u{202e}\0\r\n")] {
        assert!(render(&order(name, "x"), Locale::En).text.starts_with("Hello,\n"));
    }
}

#[test]
fn hostile_names_come_out_as_harmless_text() {
    for locale in Locale::ALL {
        let mail = render(&order(Some(HOSTILE), HOSTILE), locale);
        let plain = render(&order(Some("n"), "t"), locale);
        assert_eq!(mail.text.lines().count(), plain.text.lines().count(), "no line is added: {}", mail.text);
        assert!(!mail.html.contains("<script"), "{}", mail.html);
        assert!(mail.html.contains("&lt;script&gt;"), "{}", mail.html);
        assert!(mail.html.contains("{{ order.code }}"), "values are never templates: {}", mail.html);
        for text in [mail.subject.as_str(), &mail.text, &mail.html] {
            assert!(!text.contains(|c: char| matches!(c, '\0' | '\r' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')), "{text:?}");
        }
    }
}

proptest! {
    #[test]
    fn no_name_or_title_adds_a_tag_or_a_line(name in ".{0,60}", title in "[<>&\"'/a-z\\x00-\\x1f\u{202e}]{0,60}") {
        let mail = render(&order(Some(&name), &title), Locale::En);
        let plain = render(&order(Some("n"), "t"), Locale::En);
        prop_assert_eq!(mail.text.lines().count(), plain.text.lines().count());
        let tags = |html: &str| html.matches('<').count();
        // A customer without a visible name is greeted without the tag around it.
        let missing = if display_text(&name).is_empty() { 2 } else { 0 };
        prop_assert_eq!(tags(&mail.html) + missing, tags(&plain.html));
    }
}

#[test]
fn a_mail_for_a_new_password_has_its_link_and_nothing_of_a_hostile_name() {
    let templates = Templates::load(None).unwrap();
    for locale in Locale::ALL {
        let link = "https://shop.example/reset-password?token=abc-_1";
        let mail = templates.render_password_reset(Some(HOSTILE), link, locale, "https://shop.example").unwrap();
        assert!(mail.text.contains(&format!("\n{link}\n")) && mail.text.contains("60"), "{}", mail.text);
        let shown = mail.html.replace("&#x2f;", "/");
        assert_eq!(shown.matches(link).count(), 2, "{}", mail.html);
        assert!(!mail.html.contains("<script"), "{}", mail.html);
        assert!(templates.render_password_reset(None, link, locale, "https://shop.example").is_ok());
    }
}

/// A folder of an operator's texts that is removed when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn with(name: &str, file: &str, text: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("ordermill-templates-{name}-{}", std::process::id()));
        let file = path.join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
        Self(path)
    }

    fn error(&self) -> String {
        Templates::load(Some(&self.0)).err().unwrap().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn an_operators_text_replaces_the_built_in_one() {
    let folder = Folder::with("replace", "vi/order_paid.subject.txt", "Cửa hàng Hoa: {{ order.code }}\n".as_bytes());
    let mail = Templates::load(Some(&folder.0)).unwrap().render_order_paid(&order(None, "x"), Locale::Vi, "https://shop.example").unwrap();
    assert_eq!(mail.subject.as_str(), "Cửa hàng Hoa: DH000123");
    assert!(mail.text.starts_with("Xin chào,"));
}

#[test]
fn an_operators_mistake_names_file_and_line() {
    for (name, file, text, line, why) in [
        ("syntax", "vi/order_paid.txt", "one\n{% if %}\n".as_bytes(), ", line 2: ", "syntax error"),
        ("undefined", "en/order_paid.html", b"<p>\n\n{{ order.kode }}</p>", ", line 3: ", "undefined value"),
        ("rare", "en/order_paid.txt", b"{{ order.code }}\n{% if order.credit %}{{ credit }}{% endif %}", ", line 2: ", "undefined value"),
        ("layout", "layout.html", b"{% block content %}{% endblock %}\n{{ nobody }}", ", line 2: ", "undefined value"),
        ("filter", "order_table.html", b"\n{{ order.code | shout }}", ", line 2: ", "unknown filter"),
        ("encoding", "vi/order_paid.txt", b"one\n\xff\n", ", line 2: ", "not UTF-8"),
        ("empty", "vi/order_paid.subject.txt", b" \n", ": ", "no text"),
        ("stray", "vi/order_payed.txt", b"x", ": ", "replaces no text"),
    ] {
        let folder = Folder::with(name, file, text);
        let error = folder.error();
        assert!(error.starts_with(&format!("{}{line}", folder.0.join(file).display())), "{error}");
        assert!(error.contains(why), "{error}");
    }
    assert!(Templates::load(Some(Path::new("/nowhere/at/all"))).err().unwrap().to_string().starts_with("/nowhere/at/all: "));
}

#[test]
fn notes_beside_an_operators_texts_are_left_alone() {
    let folder = Folder::with("notes", "vi/README.md", b"how we wrote these");
    std::fs::write(folder.0.join("vi/.order_paid.txt"), "an editor's file").unwrap();
    assert!(Templates::load(Some(&folder.0)).is_ok());
}
