//! The figures as a picture: answers in a second over connections, a line for each case, and the ceilings above them. An SVG that
//! is read on a light and on a dark page.

use std::fmt::Write as _;

use crate::report::{Row, thousands};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 240.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 46.0;
/// Told apart by people who do not see all colours (Okabe and Ito).
const COLOURS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d46"];

struct Line {
    name: String,
    class: &'static str,
    /// Connections and answers in a second.
    points: Vec<(usize, f64)>,
}

/// The picture of these rows; of the largest store, if they are of several.
#[must_use]
pub fn svg(rows: &[Row], title: &str) -> String {
    let grants = rows.iter().map(|row| row.grants).max().unwrap_or_default();
    let rows: Vec<&Row> = rows.iter().filter(|row| row.grants == grants).collect();
    let lines = lines(&rows);
    let mut connections: Vec<usize> = rows.iter().map(|row| row.connections).collect();
    connections.sort_unstable();
    connections.dedup();
    let most = lines.iter().flat_map(|line| &line.points).map(|point| point.1).fold(1.0, f64::max);
    let step = step(most);
    let top = (most / step).ceil() * step;
    let x = |count: usize| {
        let index = connections.iter().position(|known| *known == count).unwrap_or_default();
        LEFT + (WIDTH - LEFT - RIGHT) * (index as f64 + 0.5) / connections.len().max(1) as f64
    };
    let y = |per_second: f64| HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * per_second / top;
    let mut out = head(title);
    let mut mark = 0.0;
    while mark <= top {
        let at = y(mark);
        let _ = writeln!(
            out,
            "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{:.1}\" y2=\"{at:.1}\"/>",
            WIDTH - RIGHT
        );
        text(&mut out, LEFT - 8.0, at + 4.0, "end", &thousands(mark));
        mark += step;
    }
    for count in &connections {
        text(&mut out, x(*count), HEIGHT - BOTTOM + 20.0, "middle", &count.to_string());
    }
    text(&mut out, LEFT + (WIDTH - LEFT - RIGHT) / 2.0, HEIGHT - 8.0, "middle", "connections");
    text(&mut out, LEFT, TOP - 12.0, "middle", "answers per second");
    for (index, line) in lines.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let points: Vec<String> =
            line.points.iter().map(|(count, value)| format!("{:.1},{:.1}", x(*count), y(*value))).collect();
        let stroke = if line.class == "case" { format!(" stroke=\"{colour}\"") } else { String::new() };
        let _ = writeln!(out, "<polyline class=\"{}\"{stroke} points=\"{}\"/>", line.class, points.join(" "));
        let at = TOP + 4.0 + 20.0 * index as f64;
        let legend = WIDTH - RIGHT + 14.0;
        let _ = writeln!(
            out,
            "<polyline class=\"{}\"{stroke} points=\"{legend:.1},{at:.1} {:.1},{at:.1}\"/>",
            line.class,
            legend + 22.0
        );
        text(&mut out, legend + 28.0, at + 4.0, "start", &line.name);
    }
    out + "</svg>\n"
}

/// The ceilings, of the best minute of each, and the cases.
fn lines(rows: &[&Row]) -> Vec<Line> {
    let of = |value: fn(&Row) -> f64, name: &str, class| {
        let mut points: Vec<(usize, f64)> = Vec::new();
        for row in rows {
            match points.iter_mut().find(|point| point.0 == row.connections) {
                Some(point) => point.1 = point.1.max(value(row)),
                None => points.push((row.connections, value(row))),
            }
        }
        points.sort_unstable_by_key(|point| point.0);
        Line { name: name.to_owned(), class, points }
    };
    let mut lines = vec![
        of(|row| row.ceiling_per_second, "bare HTTP", "ceiling"),
        of(|row| row.durable_ceiling_per_second, "bare HTTP + fdatasync", "durable"),
    ];
    for row in rows {
        match lines.iter_mut().find(|line| line.name == row.case) {
            Some(line) => line.points.push((row.connections, row.per_second)),
            None => lines.push(Line {
                name: row.case.clone(),
                class: "case",
                points: vec![(row.connections, row.per_second)],
            }),
        }
    }
    lines.iter_mut().for_each(|line| line.points.sort_unstable_by_key(|point| point.0));
    lines
}

fn head(title: &str) -> String {
    let title = title.replace('&', "&amp;").replace('<', "&lt;");
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">\n\
         <title>{title}</title>\n\
         <style>\n\
         text {{ font: 12px system-ui, sans-serif; fill: #24292f }}\n\
         .grid {{ stroke: #8886; stroke-width: 1 }}\n\
         .case {{ fill: none; stroke-width: 2.5 }}\n\
         .ceiling, .durable {{ fill: none; stroke: #6e7781; stroke-width: 2 }}\n\
         .ceiling {{ stroke-dasharray: 8 4 }}\n\
         .durable {{ stroke-dasharray: 2 3 }}\n\
         @media (prefers-color-scheme: dark) {{ text {{ fill: #e6edf3 }} .ceiling, .durable {{ stroke: #9198a1 }} }}\n\
         </style>\n"
    )
}

fn text(out: &mut String, x: f64, y: f64, anchor: &str, words: &str) {
    let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>");
}

/// 1, 2 or 5 times a power of ten, so that there are four to nine marks.
fn step(most: f64) -> f64 {
    let power = 10_f64.powf((most / 4.0).log10().floor());
    [5.0, 2.0].into_iter().map(|times| times * power).find(|step| most / step >= 4.0).unwrap_or(power)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Case;
    use crate::load::Measured;

    #[test]
    fn each_case_has_a_line_and_the_ceilings_are_above() {
        let row = |connections, per_second| Row {
            per_second,
            ceiling_per_second: 90_000.0,
            durable_ceiling_per_second: 70_000.0,
            ..Row::new(Case::ALL[0], connections, &[const { None::<Measured> }; 3].map(Option::unwrap_or_default))
        };
        let drawn = svg(&[row(1, 4_000.0), row(64, 60_000.0)], "refreshes & more");
        assert_eq!(drawn.matches("<polyline class=\"case\"").count(), 2, "a line and its legend");
        assert!(drawn.contains("refreshes &amp; more") && drawn.contains(">100,000</text>"), "{drawn}");
    }

    #[test]
    fn marks_are_round_numbers() {
        for (most, wanted) in [(87_000.0, 20_000.0), (42.0, 10.0), (500.0, 100.0), (1_999.0, 200.0)] {
            assert!((step(most) - wanted).abs() < 1e-6, "{most}: {}", step(most));
        }
    }
}
