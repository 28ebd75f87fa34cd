//! The two text formats: OpenMetrics 1.0, which the library writes, and Prometheus 0.0.4, which is made of it.
//!
//! They differ in how the head of a counter names it (with `_total` in the older one), in `# UNIT` and in `# EOF`.

use std::collections::HashSet;

use prometheus_client::registry::Registry;

/// In which words the series are told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// `text/plain; version=0.0.4`: what every scraper reads.
    Prometheus,
    /// `application/openmetrics-text; version=1.0.0`: for those that ask for it.
    OpenMetrics,
}

impl Format {
    /// What an `Accept` header asks for.
    #[must_use]
    pub fn accepted(accept: &str) -> Self {
        let wants = accept.split(',').any(|range| range.trim().starts_with("application/openmetrics-text"));
        if wants { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// The media type.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

pub(super) fn write(registry: &Registry, format: Format) -> String {
    let mut text = String::with_capacity(32 * 1024);
    if prometheus_client::encoding::text::encode(&mut text, registry).is_err() {
        return String::new();
    }
    match format {
        Format::OpenMetrics => text,
        Format::Prometheus => older(&text),
    }
}

fn older(text: &str) -> String {
    let typed = |line: &str, kind: &str| {
        let name = line.strip_prefix("# TYPE ")?.strip_suffix(kind)?;
        Some(name.trim_end().to_owned())
    };
    let counters: HashSet<String> = text.lines().filter_map(|line| typed(line, " counter")).collect();
    let infos: HashSet<String> = text.lines().filter_map(|line| typed(line, " info")).collect();
    let mut older = String::with_capacity(text.len());
    for line in text.lines().filter(|line| !line.starts_with("# UNIT ") && *line != "# EOF") {
        let head = ["# HELP ", "# TYPE "].into_iter().find_map(|head| Some((head, line.strip_prefix(head)?)));
        match head.and_then(|(head, rest)| Some((head, rest.split_once(' ')?))) {
            Some((head, (name, rest))) if counters.contains(name) => {
                older.push_str(&format!("{head}{name}_total {rest}"));
            }
            Some((head, (name, rest))) if infos.contains(name) => {
                let rest = if head == "# TYPE " { "gauge" } else { rest };
                older.push_str(&format!("{head}{name}_info {rest}"));
            }
            _ => older.push_str(line),
        }
        older.push('\n');
    }
    older
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_format_names_a_counter_by_its_sample() {
        let text = "# HELP a_b Help.\n# TYPE a_b counter\na_b_total{x=\"# EOF\"} 1\n# HELP c_seconds S.\n\
                    # TYPE c_seconds gauge\n# UNIT c_seconds seconds\nc_seconds 2\n# HELP v V.\n# TYPE v info\nv_info{a=\"1\"} 1\n# EOF\n";
        let expected = "# HELP a_b_total Help.\n# TYPE a_b_total counter\na_b_total{x=\"# EOF\"} 1\n# HELP c_seconds S.\n\
                        # TYPE c_seconds gauge\nc_seconds 2\n# HELP v_info V.\n# TYPE v_info gauge\nv_info{a=\"1\"} 1\n";
        assert_eq!(older(text), expected);
    }

    #[test]
    fn a_scraper_gets_the_format_that_it_asks_for() {
        let newer = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
        assert_eq!(Format::accepted(newer), Format::OpenMetrics);
        for other in ["", "*/*", "text/plain", "text/html, application/json"] {
            assert_eq!(Format::accepted(other), Format::Prometheus);
        }
    }
}
