//! `bench batcher`: what so many nodes would do over one database, by a simulation ([`world`]) whose parameters are measured, and which is held
//! against a measurement of up to three nodes before it is believed.
//!
//! What a refresh and a batch cost in processor time is fitted to what one node was seen to take, at several sizes of batches. Two numbers are
//! not seen: what no processor explains of a batch's time, and how much of a refresh's work the one writer of a node does. They are fitted to
//! two figures of one node, at the fewest connections and at the most. Everything else that was measured is predicted, and compared: one
//! node in between, two nodes, three nodes.

pub mod world;

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::postgres;
use crate::report::{round, thousands};
use world::{Costs, Line, Seen, Shape, simulate};

/// How far a prediction may be from what was measured: of three nodes, and of anything.
const TOLERANCE_OF_THREE: f64 = 0.2;
const TOLERANCE: f64 = 0.35;
/// Virtual seconds, of what is compared and of each try of the fit.
const SECONDS: f64 = 2.0;
const FITTED_SECONDS: f64 = 0.5;
/// Rounds of the fit, and halvings of each number in it.
const ROUNDS: usize = 4;
const HALVINGS: usize = 18;
/// The share of the wait of a batch that is the device's; the rest is spent on wake-ups. Only of more than one node does it matter.
const FLUSH: f64 = 0.5;

/// What to simulate, and what with.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// How many nodes, in the end.
    #[arg(long, default_value_t = 50)]
    nodes: usize,
    /// Clients of each node, each of which asks again as soon as it is answered.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Processors of each node.
    #[arg(long, default_value_t = 2)]
    node_processors: usize,
    /// Processors of the database.
    #[arg(long, default_value_t = 16)]
    database_processors: usize,
    /// Microseconds from a node to the database and back.
    #[arg(long, default_value_t = 200.0)]
    network: f64,
    /// Microseconds of a commit that is durable: the device's flush, and the standby's.
    #[arg(long, default_value_t = 1000.0)]
    flush: f64,
    /// Take what `bench postgres --nodes 3 --json FILE` has measured; without it, that is done first.
    #[arg(long, value_name = "FILE")]
    measured: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Seconds for each server in each case of the measurement.
    #[arg(long, default_value_t = 6.0)]
    seconds: f64,
    /// Where the homes of the measured nodes are made.
    #[arg(long, default_value = "target/bench")]
    directory: PathBuf,
}

/// A line of the measurement.
#[derive(Clone, Copy, Debug)]
struct Point {
    nodes: usize,
    connections: usize,
    per_second: f64,
    batch: f64,
    node_us: f64,
    database_us: f64,
    load_us: f64,
}

/// Measures unless it is done, fits, compares, and predicts. `false` if the simulation is not to be believed.
///
/// # Errors
/// If a server or the disk fails, or the file holds no measurement.
#[expect(clippy::print_stdout, reason = "a program for people at a terminal")]
pub fn run(options: &Options, runtime: &Runtime) -> std::io::Result<bool> {
    let file = match &options.measured {
        Some(file) => file.clone(),
        None => {
            let file = options.directory.join("batcher.json");
            postgres::possible()?;
            if !postgres::run(&postgres::Options::of_three(&options.directory, &file, options.seconds), runtime)? {
                return Ok(false);
            }
            file
        }
    };
    let points = points(&serde_json::from_str(&std::fs::read_to_string(file)?)?)?;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let costs = fit(&points, processors)?;
    let compared: Vec<(Point, Seen, f64)> = points
        .iter()
        .map(|point| {
            let seen = simulate(here(point, processors), costs, SECONDS);
            (*point, seen, seen.per_second / point.per_second - 1.0)
        })
        .collect();
    let worst = |least: usize| {
        let errors = compared.iter().filter(|(point, ..)| point.nodes >= least).map(|(.., error)| error.abs());
        errors.fold(None, |worst: Option<f64>, error| Some(worst.map_or(error, |worst| worst.max(error))))
    };
    let (worst, of_three) = (worst(1).unwrap_or(1.0), worst(3).unwrap_or(1.0));
    let holds = worst <= TOLERANCE && of_three <= TOLERANCE_OF_THREE;
    let counts = [1, 2, 3, 5, 10, 20, options.nodes];
    let predicted: Vec<(usize, Seen)> = counts
        .into_iter()
        .filter(|nodes| *nodes <= options.nodes)
        .map(|nodes| {
            (
                nodes,
                simulate(
                    there(options, nodes),
                    Costs { network: options.network, flush: options.flush, ..costs },
                    SECONDS,
                ),
            )
        })
        .collect();
    if options.json {
        let compared: Vec<Value> = compared
            .iter()
            .map(|(point, seen, error)| {
                json!({"nodes": point.nodes, "connections": point.connections, "measured": point.per_second,
                    "simulated": round(seen.per_second, 0), "error": round(*error, 3), "batch_measured": point.batch,
                    "batch_simulated": round(seen.batch, 1)})
            })
            .collect();
        let predicted: Vec<Value> = predicted
            .iter()
            .map(|(nodes, seen)| {
                json!({"nodes": nodes, "per_second": round(seen.per_second, 0), "batch": round(seen.batch, 1),
                    "p50_ms": round(seen.p50_ms, 2), "p99_ms": round(seen.p99_ms, 2), "database_busy": round(seen.database_busy, 3)})
            })
            .collect();
        let costs = json!({"load_us": costs.load, "node_batch_us": costs.node.batch, "node_row_us": costs.node.row,
            "writer_share": costs.writer, "database_batch_us": costs.database.batch, "database_row_us": costs.database.row, "flush_us": costs.flush,
            "wake_us": costs.wake});
        println!(
            "{}",
            json!({"costs": costs, "compared": compared, "worst_error": round(worst, 3), "tolerance": TOLERANCE,
                "worst_error_of_three": round(of_three, 3), "tolerance_of_three": TOLERANCE_OF_THREE, "predicted": predicted, "holds": holds})
        );
        return Ok(holds);
    }
    println!(
        "a refresh costs the node {:.1} µs ({:.0} % of them its writer's) and {:.0} µs a batch, the database {:.1} µs and {:.0} µs a batch; \
         a batch waits {:.0} µs more",
        costs.node.row,
        100.0 * costs.writer,
        costs.node.batch,
        costs.database.row,
        costs.database.batch,
        costs.flush + costs.wake
    );
    println!("\n| nodes | connections | measured | simulated | error | batch, measured | simulated |");
    println!("|--:|--:|--:|--:|--:|--:|--:|");
    for (point, seen, error) in &compared {
        println!(
            "| {} | {} | {} | {} | {:+.0} % | {:.0} | {:.0} |",
            point.nodes,
            point.connections,
            thousands(point.per_second),
            thousands(seen.per_second),
            100.0 * error,
            point.batch,
            seen.batch
        );
    }
    println!(
        "\nworst error {:.0} % (at most {:.0} %), of three nodes {:.0} % (at most {:.0} %)\n",
        100.0 * worst,
        100.0 * TOLERANCE,
        100.0 * of_three,
        100.0 * TOLERANCE_OF_THREE
    );
    println!("| nodes | a second | batch | p50 / p99 ms | database busy |");
    println!("|--:|--:|--:|--:|--:|");
    for (nodes, seen) in &predicted {
        println!(
            "| {nodes} | {} | {:.0} | {:.1} / {:.1} | {:.0} % |",
            thousands(seen.per_second),
            seen.batch,
            seen.p50_ms,
            seen.p99_ms,
            100.0 * seen.database_busy
        );
    }
    Ok(holds)
}

fn here(point: &Point, processors: usize) -> Shape {
    let shared = Some(processors);
    Shape { nodes: point.nodes, clients: point.connections, shared, node_processors: 0, database_processors: 0 }
}

const fn there(options: &Options, nodes: usize) -> Shape {
    Shape {
        nodes,
        clients: nodes * options.connections,
        shared: None,
        node_processors: options.node_processors,
        database_processors: options.database_processors,
    }
}

fn points(measured: &Value) -> std::io::Result<Vec<Point>> {
    let wrong = || std::io::Error::other("the file holds no measurement of `bench postgres`");
    let rows = measured["rows"].as_array().ok_or_else(wrong)?;
    rows.iter()
        .map(|row| {
            let number = |name: &str| row[name].as_f64().filter(|number| *number > 0.0).ok_or_else(wrong);
            Ok(Point {
                nodes: number("nodes")? as usize,
                connections: number("connections")? as usize,
                per_second: number("per_second")?,
                batch: number("batch")?,
                node_us: number("cpu_us")?,
                database_us: number("database_cpu_us")?,
                load_us: number("load_cpu_us")?,
            })
        })
        .collect()
}

/// What one node was seen to take; the wait and the writer's share so that its figures at the fewest and the most connections are met.
fn fit(points: &[Point], processors: usize) -> std::io::Result<Costs> {
    let one: Vec<Point> = points.iter().filter(|point| point.nodes == 1).copied().collect();
    let fewest = one.iter().min_by_key(|point| point.connections);
    let most = one.iter().max_by_key(|point| point.connections);
    let (fewest, most) = fewest.zip(most).ok_or_else(|| std::io::Error::other("one node was not measured"))?;
    let line =
        |of: fn(&Point) -> f64| least_squares(&one.iter().map(|point| (point.batch, of(point))).collect::<Vec<_>>());
    let load = one.iter().map(|point| point.load_us).sum::<f64>() / one.len() as f64;
    let costs = |wait: f64, writer: f64| Costs {
        load,
        node: line(|point| point.node_us),
        writer,
        database: line(|point| point.database_us),
        flush: wait * FLUSH,
        wake: wait * (1.0 - FLUSH),
        network: 0.0,
    };
    let seen = |at: &Point, costs: Costs| simulate(here(at, processors), costs, FITTED_SECONDS).per_second;
    let (mut wait, mut writer) = (0.0, 0.0);
    for _ in 0..ROUNDS {
        // The longer the wait, the fewer there are; and the more one thread does, the fewer there are.
        wait = bisect(100_000.0, |wait| seen(fewest, costs(wait, writer)) > fewest.per_second);
        writer = bisect(1.0, |writer| seen(most, costs(wait, writer)) > most.per_second);
    }
    Ok(costs(wait, writer))
}

/// The greatest number up to `most` of which this holds, if it holds of smaller ones.
fn bisect(most: f64, holds: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0, most);
    for _ in 0..HALVINGS {
        let middle = (low + high) / 2.0;
        if holds(middle) { low = middle } else { high = middle }
    }
    low
}

/// For each refresh `row + batch / (rows of the batch)`; neither is less than nothing.
fn least_squares(seen: &[(f64, f64)]) -> Line {
    let count = seen.len() as f64;
    let (x, y): (Vec<f64>, Vec<f64>) = seen.iter().map(|(rows, cost)| (1.0 / rows.max(1.0), *cost)).unzip();
    let (mean_x, mean_y) = (x.iter().sum::<f64>() / count, y.iter().sum::<f64>() / count);
    let spread: f64 = x.iter().map(|x| (x - mean_x).powi(2)).sum();
    let together: f64 = x.iter().zip(&y).map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let batch = if spread > 0.0 { (together / spread).max(0.0) } else { 0.0 };
    Line { batch, row: (mean_y - batch * mean_x).max(0.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_split_into_rows_and_batches() {
        let Line { batch, row } = least_squares(&[(10.0, 50.0), (20.0, 35.0), (100.0, 23.0)]);
        assert!((batch - 300.0).abs() < 1e-6 && (row - 20.0).abs() < 1e-6, "{batch} {row}");
    }

    /// A world is measured by itself: what it was made with is found again, and other worlds are predicted.
    #[test]
    fn a_fit_to_one_node_predicts_three() {
        let made = Costs {
            load: 20.0,
            node: Line { batch: 150.0, row: 30.0 },
            writer: 0.5,
            database: Line { batch: 300.0, row: 20.0 },
            flush: 400.0,
            wake: 400.0,
            network: 0.0,
        };
        let point = |nodes, connections| {
            let blank = Point {
                nodes,
                connections,
                per_second: 0.0,
                batch: 0.0,
                node_us: 0.0,
                database_us: 0.0,
                load_us: 20.0,
            };
            let Seen { per_second, batch, .. } = simulate(here(&blank, 2), made, SECONDS);
            let each = |line: Line| line.row + line.batch / batch;
            Point { per_second, batch, node_us: each(made.node), database_us: each(made.database), ..blank }
        };
        let points = [point(1, 16), point(1, 64), point(1, 256)];
        let costs = fit(&points, 2).expect("it fits");
        for (nodes, connections) in [(1, 64), (2, 64), (3, 256)] {
            let known = point(nodes, connections);
            let seen = simulate(here(&known, 2), costs, SECONDS);
            assert!((seen.per_second / known.per_second - 1.0).abs() < 0.05, "{known:?} {seen:?}");
        }
    }
}
