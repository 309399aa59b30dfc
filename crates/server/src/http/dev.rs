//! What only `dev` has, and answers only to the machine itself: a loopback peer, a loopback `Host`, and no sign of a proxy
//! in between.

use super::Shared;
use super::client::Peer;
use super::problem::Problem;
use crate::app::accounts::Way;
use axum::Json as Answer;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, Uri, header};
use serde_json::{Value, json};
use std::convert::Infallible;

/// Headers that only a proxy or a tunnel adds, besides all that begin with [`FORWARDED`].
const FORWARDING: [&str; 7] =
    ["forwarded", "via", "x-real-ip", "x-original-host", "x-original-forwarded-for", "cf-connecting-ip", "true-client-ip"];
const FORWARDED: &str = "x-forwarded-";

/// `GET /dev/mail`
pub(super) async fn mail(State(shared): State<Shared>) -> Answer<Value> {
    let caught = shared.catcher.map(|catcher| catcher.list()).unwrap_or_default();
    Answer(json!({ "data": caught }))
}

/// Refuses requests for anything of `dev`'s that did not come straight from this machine, as if the route did not exist.
pub(super) fn check_local(request: &Request) -> Result<(), Problem> {
    if !request.uri().path().starts_with("/dev/") {
        return Ok(());
    }
    if is_straight_from_here(request.uri(), request.headers(), request.extensions()) {
        Ok(())
    } else {
        Err(Problem::new("not_found", "there is no such route"))
    }
}

/// How a request to sign in came.
pub(super) struct Arrival(pub(super) Way);

impl<S: Send + Sync> FromRequestParts<S> for Arrival {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let is_local = is_straight_from_here(&parts.uri, &parts.headers, &parts.extensions);
        Ok(Self(if is_local { Way::Local } else { Way::Remote }))
    }
}

/// Whether a request comes from this machine, names it as its server, everywhere it names one, and shows no sign of anybody
/// in between. A browser that was lured here by another name, or a tunnel that leads here, does not pass; nor does somebody
/// elsewhere who merely says `localhost`.
fn is_straight_from_here(uri: &Uri, headers: &HeaderMap, extensions: &Extensions) -> bool {
    // Without a peer it came over the control socket or from this very process.
    let is_near = extensions.get::<Peer>().is_none_or(|peer| peer.0.to_canonical().is_loopback());
    let mut hosts = headers.get_all(header::HOST).iter().map(|value| value.to_str().unwrap_or_default());
    let is_named_once = hosts.next().is_some_and(is_loopback) && hosts.next().is_none();
    let is_named_the_same = uri.authority().is_none_or(|authority| is_loopback(authority.as_str()));
    let is_forwarded = |name: &str| FORWARDING.contains(&name) || name.starts_with(FORWARDED);
    is_near && is_named_once && is_named_the_same && !headers.keys().any(|name| is_forwarded(name.as_str()))
}

fn is_loopback(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, port)| if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { host });
    matches!(name, "127.0.0.1" | "localhost" | "[::1]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    fn passes(uri: &str, headers: &[(&'static str, &str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"));
        }
        is_straight_from_here(&uri.parse().expect("a URI"), &map, &Extensions::new())
    }

    #[test]
    fn whoever_says_localhost_must_be_here() {
        let mut headers = HeaderMap::new();
        headers.append(header::HOST, HeaderValue::from_static("localhost"));
        let from = |peer: &str| {
            let mut extensions = Extensions::new();
            extensions.insert(Peer(peer.parse().expect("an address")));
            is_straight_from_here(&Uri::from_static("/dev/mail"), &headers, &extensions)
        };
        for (peer, is_here) in
            [("127.0.0.1", true), ("::1", true), ("::ffff:127.0.0.1", true), ("192.0.2.1", false), ("2001:db8::1", false)]
        {
            assert_eq!(from(peer), is_here, "{peer}");
        }
    }

    #[test]
    fn only_this_machine_by_its_own_names_passes() {
        for host in ["127.0.0.1", "127.0.0.1:8080", "localhost:1", "localhost", "[::1]:8080", "[::1]"] {
            assert!(passes("/dev/mail", &[("host", host)]), "{host}");
        }
        let strangers =
            ["shop.example", "127.0.0.1.shop.example", "localhost.shop.example:8080", "localhost:8080:x", "", "10.0.0.1", "[::2]"];
        for host in strangers {
            assert!(!passes("/dev/mail", &[("host", host)]), "{host}");
        }
        assert!(!passes("/dev/mail", &[]));
        assert!(!passes("/dev/mail", &[("host", "localhost"), ("host", "shop.example")]), "two names");
        assert!(!passes("http://shop.example/dev/mail", &[("host", "localhost")]), "another name in the request line");
        assert!(passes("http://localhost:8080/dev/mail", &[("host", "localhost:8080")]));
    }

    #[test]
    fn whatever_came_through_somebody_else_does_not() {
        let more = ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"];
        for name in FORWARDING.into_iter().chain(more) {
            assert!(!passes("/dev/mail", &[("host", "localhost"), (name, "127.0.0.1")]), "{name}");
        }
    }
}
