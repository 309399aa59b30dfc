//! Who may use which route: every route of the table of access, asked by everybody there is (F60). A route that is not in
//! the table answers nobody, and a route of the table that nobody implements fails here.

use crate::test_app::{Backend, TestApp, on_both_stores};
use ordermill::http::access::{Access, ROUTES};
use ordermill_core::account::Role;
use reqwest::{Method, StatusCode};
use serde_json::json;

on_both_stores! {
    every_route_lets_in_whom_the_table_says;
    another_customers_order_is_not_there;
}

/// Everybody there is; the roles with their tokens, and whoever has none or a wrong one.
struct People {
    tokens: Vec<(&'static str, Option<Role>, String)>,
}

impl People {
    async fn of(app: &TestApp) -> Self {
        let mut tokens = vec![("anonymous", None, String::new()), ("a forger", None, "not-a-token".to_owned())];
        tokens.push(("customer A", Some(Role::Customer), app.customer("a@example.com").await));
        tokens.push(("customer B", Some(Role::Customer), app.customer("b@example.com").await));
        for role in [Role::Student, Role::Staff, Role::Admin] {
            tokens.push((role.name(), Some(role), app.account(&format!("{}@example.com", role.name()), role).await));
        }
        Self { tokens }
    }
}

/// What the table says must come back, as far as access goes.
fn expected(access: Access, role: Option<Role>) -> Option<StatusCode> {
    match (access, role) {
        (Access::Public | Access::Signature, _) | (Access::Account, Some(_)) => None,
        (_, None) => Some(StatusCode::UNAUTHORIZED),
        (Access::Staff, Some(role)) => (!role.is_staff()).then_some(StatusCode::FORBIDDEN),
        (Access::Admin, Some(role)) => (role != Role::Admin).then_some(StatusCode::FORBIDDEN),
    }
}

async fn every_route_lets_in_whom_the_table_says(backend: Backend) {
    let app = TestApp::start(backend).await;
    let people = People::of(&app).await;
    for (method, route, access) in ROUTES {
        let path = route.replace("{order}", "DH999999").replace("{id}", "none").replace("{key}", "email:none:1");
        let path = path.replace("{provider}", "stripe").replace("{event}", "evt_none").replace("{scope}", "none");
        assert!(!path.contains('{'), "{route}: a parameter that this test does not fill");
        for (who, role, token) in &people.tokens {
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
            match expected(*access, *role) {
                Some(refused) => assert_eq!(status, refused, "{about}"),
                None => assert!(!matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN), "{about}"),
            }
            assert!(status.as_u16() < 500, "{about}");
        }
    }
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
