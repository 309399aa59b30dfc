//! JSON that is wrong, doubtful or beyond every range (F53, F55): each is refused, nothing of it is kept, and no digit of an
//! amount is ever guessed.

use crate::test_app::{Answer, Backend, TestApp, on_both_stores, order_body};
use ordermill_core::account::Role;
use ordermill_core::inbox::InboxState;
use serde_json::{Value, json};

on_both_stores! {
    numbers_that_are_none_or_beyond_range_are_refused;
    what_is_said_twice_is_refused;
    bytes_that_are_no_json_are_refused;
    a_body_cut_off_anywhere_orders_nothing;
    depth_has_an_end;
    packed_bodies_are_refused_unread;
    amounts_beyond_every_range_are_refused;
}

async fn send(app: &TestApp, path: &str, token: &str, body: Vec<u8>) -> Answer {
    let request = app.http.post(app.at(path)).bearer_auth(token).header("content-type", "application/json").body(body);
    Answer::of(request.send().await.expect("an answer")).await
}

/// Refused as what it is, not by accident.
fn assert_refused(answer: &Answer, about: &str) {
    assert!(matches!(answer.status, 400 | 413 | 422), "{about}: {} {}", answer.status, answer.body);
    assert_eq!(answer.header("content-type"), "application/problem+json", "{about}");
}

async fn assert_nothing_ordered(app: &TestApp, token: &str) {
    assert_eq!(app.get("/api/orders", token).await.body["data"], json!([]));
    let stock = app.app.store.stock(&["CUP".to_owned()]).await.expect("the store answers");
    assert_eq!((stock[0].available, stock[0].reserved), (1_000, 0));
    app.fsck().await;
}

async fn numbers_that_are_none_or_beyond_range_are_refused(backend: Backend) {
    let app = TestApp::start(backend).await;
    let cup = app.product("CUP", 25_000, 1_000).await;
    let token = app.customer("an@example.com").await;
    let numbers = [
        "NaN",
        "Infinity",
        "-Infinity",
        "1e999",
        "-1e999",
        "1.5",
        "1.0",
        "1e2",
        "0.1e1",
        "0x10",
        "01",
        "+1",
        "1_000",
        ".5",
        "5.",
        "- 1",
        "--1",
        "1e",
        "\"2\"",
        "true",
        "null",
        "[1]",
        "{}",
        "",
        "-1",
        "0",
        "10001",
        "2147483648",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "99999999999999999999999999999999999999",
        "1\u{a0}",
        "\u{661}",
        "1/1",
    ];
    let giant = "9".repeat(100_000);
    let body = order_body(&cup, 7_777, "cod").to_string();
    assert!(body.contains("7777"));
    for number in numbers.into_iter().chain([giant.as_str()]) {
        let answer = send(&app, "/api/orders", &token, body.replace("7777", number).into_bytes()).await;
        assert_refused(&answer, &format!("a quantity of {number:.40}"));
        let with_total = format!("{{\"totalAmount\":{number},{}", &body.replace("7777", "1")[1..]);
        if number != "null" {
            let answer = send(&app, "/api/orders", &token, with_total.into_bytes()).await;
            let is_other_total = answer.status == 409 && answer.text("/code") == "total_mismatch";
            assert!(is_other_total || matches!(answer.status, 400 | 422), "a total of {number:.40}: {} {}", answer.status, answer.body);
        }
    }
    assert_nothing_ordered(&app, &token).await;
}

async fn what_is_said_twice_is_refused(backend: Backend) {
    let app = TestApp::start(backend).await;
    let cup = app.product("CUP", 25_000, 1_000).await;
    let token = app.customer("an@example.com").await;
    let body = order_body(&cup, 1, "cod").to_string();
    for (once, twice) in [
        ("\"quantity\":1", "\"quantity\":1,\"quantity\":2"),
        ("\"quantity\":1", "\"quantity\":1,\"quantit\\u0079\":2"),
        ("\"paymentMethod\":\"cod\"", "\"paymentMethod\":\"cod\",\"paymentMethod\":\"stripe\""),
        ("\"paymentMethod\":\"cod\"", "\"paymentMethod\":\"cod\",\"totalAmount\":25000,\"totalAmount\":1"),
        ("\"paymentMethod\":\"cod\"", "\"paymentMethod\":\"cod\",\"products\":[]"),
        ("\"country\":\"VN\"", "\"country\":\"VN\",\"country\":\"VN\""),
        // Not twice, but not ours to know: prices are never the client's to say.
        ("\"quantity\":1", "\"quantity\":1,\"unitAmount\":1"),
        ("\"paymentMethod\":\"cod\"", "\"paymentMethod\":\"cod\",\"currency\":\"USD\""),
        ("\"paymentMethod\":\"cod\"", "\"paymentMethod\":\"cod\",\"status\":\"completed\""),
        ("\"paymentMethod\":\"cod\"", "\"paymentMethod\":\"cod\",\"__proto__\":{}"),
    ] {
        assert!(body.contains(once), "{once}");
        let answer = send(&app, "/api/orders", &token, body.replacen(once, twice, 1).into_bytes()).await;
        assert_refused(&answer, twice);
    }
    assert_nothing_ordered(&app, &token).await;
}

async fn bytes_that_are_no_json_are_refused(backend: Backend) {
    let app = TestApp::start(backend).await;
    let cup = app.product("CUP", 25_000, 1_000).await;
    let token = app.customer("an@example.com").await;
    let good = order_body(&cup, 1, "cod").to_string();
    let with_note = |note: &[u8]| [b"{\"note\":\"", note, b"\",", &good.as_bytes()[1..]].concat();
    let strange: Vec<(&str, Vec<u8>)> = vec![
        ("a mark at the beginning", [b"\xef\xbb\xbf", good.as_bytes()].concat()),
        ("UTF-16", good.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("UTF-16 with a mark", [0xfeff].into_iter().chain(good.encode_utf16()).flat_map(u16::to_le_bytes).collect()),
        ("bytes that are no UTF-8", with_note(b"\xff\xfe")),
        ("an overlong slash", with_note(b"\xc0\xaf")),
        ("half a character", with_note(b"\xe1\xba")),
        ("a surrogate in UTF-8", with_note(b"\xed\xa0\x80")),
        ("half a pair", with_note(br"\ud800")),
        ("a pair the wrong way round", with_note(br"\udc00\ud800")),
        ("an unknown escape", with_note(br"\x41")),
        ("half an escape", with_note(br"\u12")),
        ("a line break in a text", with_note(b"a\nb")),
        ("a zero character", with_note(b"a\0b")),
        ("an escaped zero character", with_note(br"a\u0000b")),
        ("a comma too many", good.replacen('}', ",}", 1).into_bytes()),
        ("a remark", [b"/* */", good.as_bytes()].concat()),
        ("single quotes", good.replace('"', "'").into_bytes()),
        ("something behind it", [good.as_bytes(), b" x"].concat()),
        ("another one behind it", [good.as_bytes(), good.as_bytes()].concat()),
        ("nothing", Vec::new()),
        ("white space", b" \n".to_vec()),
        ("a list of it", format!("[{good}]").into_bytes()),
        ("it as text", serde_json::to_vec(&good).expect("text is JSON")),
    ];
    for (about, body) in strange {
        assert_refused(&send(&app, "/api/orders", &token, body).await, about);
    }
    assert_nothing_ordered(&app, &token).await;
    // The control: none of this is because of the order itself.
    assert_eq!(send(&app, "/api/orders", &token, with_note("xin chào".as_bytes())).await.status, 201);
}

async fn a_body_cut_off_anywhere_orders_nothing(backend: Backend) {
    let app = TestApp::start(backend).await;
    let cup = app.product("CUP", 25_000, 1_000).await;
    let token = app.customer("an@example.com").await;
    let good = order_body(&cup, 1, "cod").to_string().into_bytes();
    for length in 0..good.len() {
        assert_refused(&send(&app, "/api/orders", &token, good[..length].to_vec()).await, &format!("the first {length} bytes"));
    }
    assert_nothing_ordered(&app, &token).await;
}

async fn depth_has_an_end(backend: Backend) {
    let app = TestApp::start(backend).await;
    app.product("CUP", 25_000, 1_000).await;
    let token = app.customer("an@example.com").await;
    let nested = |open: &str, close: &str, depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
    for depth in [100, 127, 128, 129, 500, 40_000] {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let deep = nested(open, close, depth);
            if deep.len() > 200_000 {
                continue;
            }
            for body in
                [deep.clone(), format!("{{\"products\":{deep}}}"), format!("{{\"note\":{deep}}}"), format!("{{\"no such\":{deep}}}")]
            {
                assert_refused(&send(&app, "/api/orders", &token, body.into_bytes()).await, &format!("{depth} of {open}"));
            }
        }
    }
    let unended = "[".repeat(250_000);
    assert_refused(&send(&app, "/api/orders", &token, unended.into_bytes()).await, "no end at all");
    // What a provider signed is kept, however deep it is, and a person looks at it.
    let deep = format!("{{\"id\":\"evt_deep\",\"object\":\"event\",\"type\":\"a\",\"data\":{}}}", nested("[", "]", 5_000));
    let header = ordermill_core::stripe::sign(crate::test_app::WEBHOOK_SECRET, app.app.now().unix_s(), deep.as_bytes());
    assert_eq!(app.webhook_raw(&header, deep.into_bytes()).await.status, 200);
    assert_eq!(app.inbox(InboxState::Quarantined).await.len(), 1);
    assert_nothing_ordered(&app, &token).await;
}

/// Whatever a packed body would become: nobody unpacks it, also where a signature holds.
async fn packed_bodies_are_refused_unread(backend: Backend) {
    let app = TestApp::start(backend).await;
    app.product("CUP", 25_000, 1_000).await;
    let token = app.customer("an@example.com").await;
    let event = json!({ "id": "evt_packed", "object": "event", "type": "a", "data": { "object": {} } }).to_string();
    for encodings in [&["gzip"][..], &["br"], &["deflate, gzip"], &["identity", "gzip"], &["x-unknown"]] {
        for path in ["/api/orders", "/api/webhook/stripe", "/webhook/stripe"] {
            let signature = ordermill_core::stripe::sign(crate::test_app::WEBHOOK_SECRET, app.app.now().unix_s(), event.as_bytes());
            let request = app.http.post(app.at(path)).bearer_auth(&token).header("content-type", "application/json");
            let request = request.header("stripe-signature", signature).body(event.clone());
            let request = encodings.iter().fold(request, |request, encoding| request.header("content-encoding", *encoding));
            Answer::of(request.send().await.expect("an answer")).await.assert_problem(415, "unsupported_media_type");
        }
    }
    for state in [InboxState::Quarantined, InboxState::Unrelated, InboxState::Applied] {
        assert_eq!(app.inbox(state).await.len(), 0);
    }
    assert_nothing_ordered(&app, &token).await;
}

async fn amounts_beyond_every_range_are_refused(backend: Backend) {
    let app = TestApp::start(backend).await;
    let staff = app.account("staff@example.com", Role::Staff).await;
    let token = app.customer("an@example.com").await;
    let product = |sku: &str, amount: Value| json!({ "sku": sku, "title": "A", "kind": "digital", "unitAmount": amount });
    let dear = app.post("/api/products", &staff, &product("DEAR", json!(999_999_999_999_i64))).await;
    assert_eq!(dear.status, 201, "{}", dear.body);
    for amount in [json!(1_000_000_000_000_i64), json!(i64::MAX), json!(i64::MIN), json!(-1), json!(u64::MAX), json!(1.5), json!("1")] {
        assert_refused(&app.post("/api/products", &staff, &product("B", amount.clone())).await, &format!("a price of {amount}"));
    }
    // Each within its range, and together beyond what an order may come to.
    let body = json!({ "products": [{ "productId": dear.text("/id"), "quantity": 10_000 }], "paymentMethod": "bank_transfer" });
    app.post("/api/orders", &token, &body).await.assert_problem(422, "amount_out_of_range");
    let lines: Vec<Value> = (0..40).map(|_| json!({ "productId": dear.text("/id"), "quantity": 10_000 })).collect();
    let refused = app.post("/api/orders", &token, &json!({ "products": lines, "paymentMethod": "bank_transfer" })).await;
    assert_refused(&refused, "forty lines of it");
    let cup = app
        .post("/api/products", &staff, &json!({ "sku": "CUP", "title": "A", "kind": "physical", "unitAmount": 1, "stock": 1_000 }))
        .await;
    let path = format!("/api/products/{}/stock", cup.text("/id"));
    for delta in [json!(i64::MAX), json!(i64::MIN), json!(1_000_000_001), json!(0), json!(0.5)] {
        let moved = app.post(&path, &staff, &json!({ "delta": delta, "reason": "a test" })).await;
        assert_refused(&moved, &format!("stock by {delta}"));
    }
    assert_nothing_ordered(&app, &token).await;
}
