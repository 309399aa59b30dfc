//! The shop of the benchmarks: goods with more stock than can be ordered, customers who are signed in already. Every id
//! and token follows from one seed, so that the process that orders knows them without being told.

use crate::app::commit::commit;
use crate::app::{App, Fault};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::{StreamExt, TryStreamExt, stream};
use ordermill_core::account::{Notifications, Role, Session, User};
use ordermill_core::catalogue::{Product, ProductKind};
use ordermill_core::change::{Cause, Change, Row, StockKey, StockMove};
use ordermill_core::contact::{Email, Phone};
use ordermill_core::digest::Digest;
use ordermill_core::id::{ProductId, UserId};
use ordermill_core::locale::Locale;
use ordermill_core::money::Currency;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What an id's time is, so that it can be known beforehand.
const MADE_AT_MS: u64 = 1_768_705_445_000;
/// How much of each product there is.
const STOCK: i64 = 1_000_000_000;
/// How many products, and how many accounts with a session, fit into one change.
const PRODUCTS_AT_ONCE: u32 = 16;
const CUSTOMERS_AT_ONCE: u32 = 20;
/// How many changes are under way at once.
const COMMITS_AT_ONCE: usize = 64;
/// Stands where a password's hash would: nobody can sign in with it.
const NO_PASSWORD: &str = "$argon2id$v=19$m=19456,t=2,p=1$none$none";

/// A shop, as both processes know it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct World {
    pub(super) seed: String,
    pub(super) products: u32,
    pub(super) customers: u32,
}

impl World {
    /// The id of a product.
    pub(super) fn product_id(&self, number: u32) -> ProductId {
        ProductId::new(MADE_AT_MS, self.ten("product", number))
    }

    /// The token of a customer's session.
    pub(super) fn token(&self, number: u32) -> String {
        URL_SAFE_NO_PAD.encode(self.drawn("token", number).bytes())
    }

    /// Fills an empty store.
    pub(super) async fn fill(&self, app: &App) -> Result<(), Fault> {
        let products = slices(self.products, PRODUCTS_AT_ONCE).map(|numbers| self.products(app, numbers));
        let customers = slices(self.customers, CUSTOMERS_AT_ONCE).map(|numbers| self.customers(app, numbers));
        let changes: Vec<Change> = products.chain(customers.collect::<Result<Vec<_>, _>>()?).collect();
        let commits = stream::iter(changes).map(|change| async move { commit(app, &Arc::new(change)).await.map_err(Fault::from) });
        commits.buffer_unordered(COMMITS_AT_ONCE).try_collect().await
    }

    fn products(&self, app: &App, numbers: std::ops::Range<u32>) -> Change {
        let mut change = Change::new(app.change_id());
        for number in numbers {
            let sku = format!("BENCH-{number:05}");
            let key = StockKey::main(sku.clone());
            change.stock.push(StockMove { key, available_delta: STOCK, reserved_delta: 0, cause: Cause::Change(change.id) });
            change.insert(Row::Product(Product {
                id: self.product_id(number),
                sku,
                title: format!("Áo thun cỡ {number}"),
                kind: ProductKind::Physical,
                url: None,
                unit_amount: 90_000 + i64::from(number % 100) * 1_000,
                currency: Currency::VND,
                is_active: true,
                version: 1,
            }));
        }
        change
    }

    fn customers(&self, app: &App, numbers: std::ops::Range<u32>) -> Result<Change, Fault> {
        let mut change = Change::new(app.change_id());
        let now = app.now();
        for number in numbers {
            let unreadable = || Fault::Internal(format!("customer {number} cannot be reached"));
            let user = User {
                id: UserId::new(MADE_AT_MS, self.ten("user", number)),
                email: Email::parse(&format!("customer-{number:05}@bench.example")).ok_or_else(unreadable)?,
                password_hash: NO_PASSWORD.to_owned(),
                role: Role::Customer,
                name: Some("Nguyễn Thị Ánh".to_owned()),
                phone: Phone::parse(&format!("+8490{number:07}")),
                locale: Locale::Vi,
                fcm_token: None,
                notifications: Notifications::default(),
                generation: 0,
                is_dev: false,
                created_at: now,
                version: 1,
            };
            change.insert(Row::Session(Session {
                token: Digest::of(self.token(number).as_bytes()),
                user_id: user.id,
                created_at: now,
                expires_at: now.plus_ms(app.config.server.session_ttl_s.saturating_mul(1_000)),
                generation: 0,
                is_dev: false,
            }));
            change.insert(Row::User(user));
        }
        Ok(change)
    }

    fn drawn(&self, what: &str, number: u32) -> Digest {
        Digest::of_parts(&[self.seed.as_bytes(), what.as_bytes(), &number.to_be_bytes()])
    }

    fn ten(&self, what: &str, number: u32) -> [u8; 10] {
        let mut ten = [0; 10];
        ten.copy_from_slice(&self.drawn(what, number).bytes()[..10]);
        ten
    }
}

/// The numbers below `count`, so many at once.
fn slices(count: u32, at_once: u32) -> impl Iterator<Item = std::ops::Range<u32>> {
    (0..count.div_ceil(at_once)).map(move |slice| slice * at_once..((slice + 1) * at_once).min(count))
}
