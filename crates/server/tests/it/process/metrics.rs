//! What is scraped, what its page says, and what the alert rules and the dashboard ask for: one set of names.

use super::shop::{Shop, eventually};
use super::world::Keeping;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What is scraped: names as one asks for them, each with the labels that it has.
type Scraped = BTreeMap<String, BTreeSet<String>>;

fn scraped(text: &str) -> Scraped {
    let mut scraped = Scraped::new();
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            scraped.insert(if kind == "counter" { format!("{name}_total") } else { name.to_owned() }, BTreeSet::new());
        } else if let Some((name, labels)) = line.split_once('{') {
            let labels = labels.split('}').next().unwrap_or_default().split("\",").filter_map(|label| label.split_once("=\""));
            let found = scraped.get_mut(without_part(name)).unwrap_or_else(|| panic!("{name} has no type"));
            found.extend(labels.map(|(label, _)| label.to_owned()));
        }
    }
    scraped
}

/// The histogram of a bucket, sum or count.
fn without_part(name: &str) -> &str {
    ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part)).unwrap_or(name)
}

/// A value of the scrape by its name and labels, as they are written there.
fn value(text: &str, sample: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    let line = line.unwrap_or_else(|| panic!("{sample} is not there:\n{text}"));
    line.split(' ').next().and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{sample} is no number: {line}"))
}

fn page(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every metric that a text asks for, with the labels that it selects by.
fn asked_for(text: &str) -> Vec<(String, Vec<String>)> {
    let mut asked = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("ordermill_") {
        let name_end = rest[at..].find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').map_or(rest.len(), |end| at + end);
        let selector = rest[name_end..].strip_prefix('{').and_then(|inner| inner.split('}').next()).unwrap_or_default();
        let labels = selector.split(',').filter_map(|label| label.split(['=', '!']).next());
        let labels = labels.map(|label| label.trim().to_owned()).filter(|label| !label.is_empty());
        asked.push((without_part(&rest[at..name_end]).to_owned(), labels.collect()));
        rest = &rest[name_end..];
    }
    asked
}

/// What a text asks for and nobody counts.
fn unknown(text: &str, scraped: &Scraped) -> Vec<String> {
    let asked = asked_for(text).into_iter();
    let unknown = asked.filter(|(name, labels)| {
        let is_label = |label: &String, known: &BTreeSet<String>| matches!(label.as_str(), "le" | "instance") || known.contains(label);
        !scraped.get(name).is_some_and(|known| labels.iter().all(|label| is_label(label, known)))
    });
    unknown.map(|(name, labels)| format!("{name} {labels:?}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_counted_is_documented_and_what_is_watched_is_counted() {
    let shop = Shop::new(Keeping::Sqlite).await;
    let server = shop.open().await;
    let fresh = shop.metrics().await;
    let token = shop.customer("lien@example.com", "Liên").await;
    let code = shop.order(&token, "stripe", "").await;
    shop.pay(&code).await;
    let forged = shop.world.http.post(shop.world.server.url("/api/webhook/stripe")).header("stripe-signature", "t=1,v1=00").body("{}");
    assert_eq!(forged.send().await.expect("an answer").status(), 400);
    let text = eventually("the mail is counted", async || {
        let text = shop.metrics().await;
        (value(&text, "ordermill_order_mailed_after_seconds_count") > 0.0).then_some(text)
    })
    .await;
    for (sample, expected) in [
        ("ordermill_orders_placed_total", 1.0),
        ("ordermill_orders_paid_total", 1.0),
        ("ordermill_order_paid_after_seconds_count", 1.0),
        ("ordermill_order_mailed_after_seconds_count", 1.0),
        ("ordermill_webhooks_received_total", 1.0),
        ("ordermill_store_up", 1.0),
        ("ordermill_jobs_died_total{queue=\"email\"}", 0.0),
        ("ordermill_queue_dead{queue=\"email\"}", 0.0),
        ("ordermill_requests_shed_total{share=\"webhooks\"}", 0.0),
        ("ordermill_webhook_faults_total{reason=\"quarantined\"}", 0.0),
    ] {
        assert!((value(&text, sample) - expected).abs() < f64::EPSILON, "{sample} is {}", value(&text, sample));
    }
    assert_eq!(shop.mail.mails().len(), 1);
    let faults: f64 = ["malformed_header", "bad_signature", "stale"]
        .iter()
        .map(|reason| value(&text, &format!("ordermill_webhook_faults_total{{reason=\"{reason}\"}}")))
        .sum();
    assert!((faults - 1.0).abs() < f64::EPSILON, "{text}");
    assert!(value(&text, "ordermill_store_seconds_count{verb=\"commit\"}") > 3.0);

    let scraped = scraped(&text);
    let documented: BTreeSet<String> = asked_for(&page("docs/metrics.md")).into_iter().map(|(name, _)| name).collect();
    let counted: BTreeSet<String> = scraped.keys().cloned().collect();
    assert_eq!(documented, counted, "docs/metrics.md and what is counted");
    let at_first: BTreeSet<String> = self::scraped(&fresh).into_keys().collect();
    assert_eq!(at_first, counted, "everything is there before anything happens, so that a first rise is seen");
    for watched in ["deploy/prometheus/alerts.yml", "deploy/prometheus/alerts.test.yml", "deploy/grafana/ordermill.json"] {
        let text = page(watched).replace("\\\"", "\"");
        assert!(asked_for(&text).len() > 10, "{watched}");
        assert_eq!(unknown(&text, &scraped), [""; 0], "{watched}");
    }
    let dashboard: serde_json::Value = serde_json::from_str(&page("deploy/grafana/ordermill.json")).expect("JSON");
    assert!(dashboard["panels"].as_array().is_some_and(|panels| panels.len() > 10));
    server.stop().await;
}

#[test]
fn control_a_name_that_nobody_counts_is_found() {
    let scraped = scraped(
        "# TYPE ordermill_a counter\nordermill_a_total{queue=\"x\"} 1\n# TYPE ordermill_b histogram\nordermill_b_bucket{le=\"1\"} 2\n",
    );
    let text = "rate(ordermill_a_total{queue=~\"y\", instance=\"z\"}[5m]) > ordermill_b_bucket{le=\"1\"} and ordermill_b_sum";
    assert_eq!(unknown(text, &scraped), [""; 0]);
    assert_eq!(unknown("ordermill_c > 1", &scraped), ["ordermill_c []"]);
    assert_eq!(unknown("ordermill_a_total{reason!=\"x\"}", &scraped), ["ordermill_a_total [\"reason\"]"]);
}
