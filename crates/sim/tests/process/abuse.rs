//! Malformed requests at every endpoint of the real server.

use sim::abuse::{ENDPOINTS, Options, run};
use sim::process::{Scratch, fresh_seed};

/// Checks I2, X7: 5,000 malformed requests at each endpoint and 20,000 keys that nobody has used before: no answer is 5xx, nothing panics,
/// nobody gets a token, every honest refresh beside them succeeds, and memory does not grow with what strangers send. A million each, and
/// the time of the honest, by command: `sim abuse`.
#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_at_every_endpoint_disturb_nobody() {
    let scratch = Scratch::new("abuse");
    let options = Options { each: 5_000, distinct: 20_000, connections: 4, rounds: 100, seed: fresh_seed() };
    let report = run(options, scratch.path(), &|_, _| {}).await;
    println!("{report}");
    assert!(report.is_safe(), "{report}");
    assert!(report.honest > 0 && report.rows.len() == ENDPOINTS.len(), "{report}");
}

#[test]
fn every_route_is_abused() {
    let router = include_str!("../../../server/src/router.rs");
    for route in router.split(".route(").skip(1) {
        let path = route.split('"').nth(1).unwrap_or_default();
        let by_name = route.starts_with("&base") || route.starts_with("&at(alias)") || path.ends_with("{base}");
        assert!(by_name || ENDPOINTS.iter().any(|endpoint| endpoint.path == path), "{path} is not abused");
    }
}
