//! Who may use which route: every route of the table of access, asked by everybody there is (F60). A route that is not in
//! the table answers nobody, and a route of the table that nobody implements fails here.

use crate::test_app::{Backend, TestApp, on_both_stores};
use ordermill::http::access::{Access, ROUTES};
use ordermill_core::account::Role;
use ordermill_core::api_key::Scope;
use reqwest::{Method, StatusCode};
use serde_json::json;
use std::collections::BTreeSet;

on_both_stores! {
    every_route_lets_in_whom_the_table_says;
    another_customers_order_is_not_there;
}

/// What somebody shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shows {
    /// Nothing, or what nobody made.
    Nothing,
    /// The session of an account.
    Session(Role),
    /// An API key with one scope.
    Key(Scope),
}

/// Everybody there is.
struct People {
    all: Vec<(String, Shows, String)>,
}

impl People {
    async fn of(app: &TestApp) -> Self {
        let mut all = vec![("anonymous".to_owned(), Shows::Nothing, String::new())];
        for forged in ["not-a-token", "omk_live_not-a-key"] {
            all.push((format!("a forger with {forged}"), Shows::Nothing, forged.to_owned()));
        }
        all.push(("customer A".to_owned(), Shows::Session(Role::Customer), app.customer("a@example.com").await));
        for role in Role::ALL {
            let token = app.account(&format!("{}@example.com", role.name()), role).await;
            all.push((role.name().to_owned(), Shows::Session(role), token));
        }
        for scope in Scope::ALL {
            all.push((format!("a key with {}", scope.name()), Shows::Key(scope), app.api_key(&[scope]).await));
        }
        Self { all }
    }
}

/// What the table says must come back, as far as access goes.
fn expected(access: Access, shows: Shows) -> Option<StatusCode> {
    match (access, shows) {
        (Access::Public | Access::Signature, _) | (Access::Account | Access::Token | Access::AccountOrKey(_), Shows::Session(_)) => None,
        (Access::Key(needed) | Access::AccountOrKey(needed) | Access::StaffOrKey(needed), Shows::Key(scope)) => {
            (scope != needed).then_some(StatusCode::FORBIDDEN)
        }
        (Access::Staff | Access::StaffOrKey(_), Shows::Session(role)) => (!role.is_staff()).then_some(StatusCode::FORBIDDEN),
        (Access::Admin, Shows::Session(role)) => (role != Role::Admin).then_some(StatusCode::FORBIDDEN),
        (Access::Key(_), _) | (_, Shows::Nothing | Shows::Key(_)) => Some(StatusCode::UNAUTHORIZED),
    }
}

async fn every_route_lets_in_whom_the_table_says(backend: Backend) {
    let app = TestApp::start(backend).await;
    let people = People::of(&app).await;
    let mut asked = BTreeSet::new();
    for (method, route, access) in ROUTES {
        let path = route.replace("{order}", "DH999999").replace("{id}", "none").replace("{key}", "email:none:1");
        let path =
            path.replace("{provider}", "stripe").replace("{event}", "evt_none").replace("{scope}", "none").replace("{queue}", "email");
        assert!(!path.contains('{'), "{route}: a parameter that this test does not fill");
        for (who, shows, token) in &people.all {
            let method = Method::from_bytes(method.as_bytes()).expect("a method");
            let mut request = app.http.request(method.clone(), app.at(&path));
            if !token.is_empty() {
                request = request.bearer_auth(token);
            }
            if method != Method::GET {
                // Nothing that any route could take: whoever is let in is refused for it, and changes nothing.
                request = request.json(&json!({ "nobody": "knows this" }));
            }
            let status = request.send().await.expect("an answer").status();
            let about = format!("{who}: {method} {path} answered {status}");
            match expected(*access, *shows) {
                Some(refused) => assert_eq!(status, refused, "{about}"),
                None => assert!(!matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN), "{about}"),
            }
            assert!(status.as_u16() < 500, "{about}");
            asked.insert((method.as_str().to_lowercase(), (*route).to_owned(), who.clone()));
        }
    }
    let missing = not_asked(&app, &people, &asked).await;
    assert!(missing.is_empty(), "nobody asked these: {missing:?}");
}

/// Every route that the server says it has, times everybody, less what was asked.
async fn not_asked(app: &TestApp, people: &People, asked: &BTreeSet<(String, String, String)>) -> Vec<(String, String, String)> {
    let document = app.get("/openapi.json", "").await.body;
    let routes = document["paths"].as_object().expect("paths").iter();
    let routes: Vec<_> =
        routes.flat_map(|(path, item)| item.as_object().expect("methods").keys().map(move |method| (method, path))).collect();
    assert!(routes.len() >= ROUTES.len(), "the document has {} routes, the table {}", routes.len(), ROUTES.len());
    let all = routes
        .iter()
        .flat_map(|(method, path)| people.all.iter().map(move |(who, _, _)| ((*method).clone(), (*path).clone(), who.clone())));
    all.filter(|combination| !asked.contains(combination)).collect()
}

async fn another_customers_order_is_not_there(backend: Backend) {
    let app = TestApp::start(backend).await;
    let product = app.product("CUP", 120_000, 5).await;
    let (owner, other) = (app.customer("a@example.com").await, app.customer("b@example.com").await);
    let staff = app.account("staff@example.com", Role::Staff).await;
    let placed = app.order(&owner, &product, 1, "bank_transfer").await;
    for name in [placed.text("/id"), placed.text("/code")] {
        for path in [format!("/api/orders/{name}"), format!("/api/orders/{name}/events")] {
            assert_eq!(app.get(&path, &owner).await.status, 200, "{path}");
            assert_eq!(app.get(&path, &staff).await.status, 200, "{path}");
            app.get(&path, &other).await.assert_problem(404, "not_found");
        }
    }
    assert_eq!(app.get("/api/orders", &other).await.body["data"], json!([]));
}
