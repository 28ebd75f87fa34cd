//! The dashboard and the alert rules name series, and the server tells them.

use std::collections::BTreeSet;

use sim::wire::World;

fn file(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/monitoring").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Everything in a text that looks like one of our series.
fn series(text: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
    let words = text.split(|c: char| !is_name(c) && !c.is_ascii_digit());
    words.filter(|word| word.starts_with("regrant_") || word.starts_with("process_")).map(str::to_owned).collect()
}

async fn told() -> BTreeSet<String> {
    let world = World::new().await;
    let code = world.code("phone").await;
    let _ = world.redeem("phone", &code).await.expect_status(200);
    let text = world.app.metrics_text();
    let heads = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let mut names = BTreeSet::new();
    for (name, kind) in heads {
        names.insert(name.to_owned());
        if kind == "histogram" {
            names.extend(["_bucket", "_sum", "_count"].map(|end| format!("{name}{end}")));
        }
    }
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn every_series_of_the_dashboard_the_alerts_and_the_guide_is_told() {
    let told = told().await;
    for name in ["dashboard.json", "alerts.yml", "README.md"] {
        let named = series(&file(name));
        assert!(named.len() >= 8, "{name}: {named:?}");
        let missing: Vec<_> = named.difference(&told).collect();
        assert_eq!(missing, Vec::<&String>::new(), "{name} names what is not told; told is {told:#?}");
    }
    // And the guide leaves none out.
    let guide = series(&file("README.md"));
    let whole = told.iter().filter(|name| !["_bucket", "_sum", "_count"].iter().any(|end| name.ends_with(end)));
    let unexplained: Vec<_> = whole.filter(|name| !guide.contains(*name)).collect();
    assert_eq!(unexplained, Vec::<&String>::new());
    let dashboard: serde_json::Value = serde_json::from_str(&file("dashboard.json")).expect("JSON");
    assert!(dashboard["panels"].as_array().is_some_and(|panels| panels.len() >= 8));
}
