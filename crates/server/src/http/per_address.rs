//! How often one client address may try what others must be protected from: guessing passwords, making accounts, filling
//! mailboxes. Counted in this process, without a commit, so that it costs less than what it holds off; failed log-ins of one
//! account are counted in the store besides, for all nodes together.

use super::client::{self, Peer};
use super::problem::Problem;
use crate::app::Clock;
use crate::config::{Cidr, ServerConfig};
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use quick_cache::sync::Cache;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// How many addresses are remembered; whoever has more is not held off by a limit per address anyway.
const CAPACITY: usize = 50_000;
/// The span that the limits speak of. A client may use all of it at once.
const MINUTE_MS: i64 = 60_000;

/// What one address may do, and what each did lately.
#[derive(Clone)]
pub(super) struct Limits(Arc<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    trusted_proxies: Vec<Cidr>,
    /// The limited routes; each costs so many milliseconds of its minute.
    routes: Vec<(&'static str, i64)>,
    /// Until when each address has used up its time, per route.
    used: Cache<(usize, IpAddr), Arc<AtomicI64>>,
}

impl Limits {
    pub(super) fn new(settings: &ServerConfig, clock: Arc<dyn Clock>) -> Self {
        let limits = [
            ("/api/users/login", settings.login_per_minute),
            ("/api/users/register", settings.register_per_minute),
            ("/api/users/password/forgot", settings.forgot_per_minute),
        ];
        let cost = |per_minute: u64| i64::try_from(per_minute).ok().filter(|count| *count > 0).map(|count| (MINUTE_MS / count).max(1));
        let routes = limits.into_iter().filter_map(|(route, per_minute)| cost(per_minute).map(|cost| (route, cost))).collect();
        Self(Arc::new(Inner { clock, trusted_proxies: settings.trusted_proxies.clone(), routes, used: Cache::new(CAPACITY) }))
    }

    /// How long the request has to wait, if it has to.
    fn wait_ms(&self, request: &Request) -> Option<i64> {
        let path = request.extensions().get::<MatchedPath>()?.as_str();
        let (index, (_, cost)) = self.0.routes.iter().enumerate().find(|(_, (route, _))| *route == path)?;
        // Whoever comes over the control socket has no address, and owns the machine.
        let peer = *request.extensions().get::<Peer>()?;
        let network = client::network(client::address(peer, request.headers(), &self.0.trusted_proxies));
        let fresh = || Ok::<_, Infallible>(Arc::new(AtomicI64::new(i64::MIN)));
        let Ok(used_until) = self.0.used.get_or_insert_with(&(index, network), fresh);
        spend(&used_until, i64::try_from(self.0.clock.now().unix_ms()).unwrap_or(i64::MAX), *cost).err()
    }
}

/// Uses up a piece of the minute that begins now, or says how long until there is room for it.
fn spend(used_until: &AtomicI64, now_ms: i64, cost_ms: i64) -> Result<(), i64> {
    let after = |until: i64| until.max(now_ms).saturating_add(cost_ms);
    let over = |until: i64| after(until).saturating_sub(now_ms.saturating_add(MINUTE_MS));
    let spent = used_until.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |until| (over(until) <= 0).then(|| after(until)));
    spent.map(|_| ()).map_err(over)
}

/// Lets a request in if its address has not used up the route.
pub(super) async fn admit(State(limits): State<Limits>, request: Request, next: Next) -> Response {
    let Some(wait_ms) = limits.wait_ms(&request) else { return next.run(request).await };
    let seconds = u32::try_from(wait_ms.div_euclid(1_000) + 1).unwrap_or(u32::MAX);
    Problem::new("too_many_attempts", "too many of these requests came from this address").retry_after(seconds).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_holds_as_many_as_the_limit_and_fills_up_again() {
        let (used, cost) = (AtomicI64::new(i64::MIN), MINUTE_MS / 10);
        for _ in 0..10 {
            assert_eq!(spend(&used, 1_000, cost), Ok(()));
        }
        assert_eq!(spend(&used, 1_000, cost), Err(cost));
        assert_eq!(spend(&used, 1_000 + cost - 1, cost), Err(1));
        assert_eq!(spend(&used, 1_000 + cost, cost), Ok(()));
        assert_eq!(spend(&used, 1_000 + cost, cost), Err(cost), "a refused one costs nothing, a let-in one does");
        assert!((0..10).all(|_| spend(&used, 1_000 + 2 * MINUTE_MS, cost).is_ok()));
    }

    #[test]
    fn a_house_is_one_client() {
        let of = |text: &str| client::network(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), of("2001:db8:1:2::1"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
