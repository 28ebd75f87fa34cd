//! Conditional requests: RFC 9110 section 13. `If-Match` with what was read makes sure that nobody changed it since;
//! `If-None-Match: *` makes sure that nothing is replaced; on a read, `If-None-Match` saves the answer.

use axum::http::HeaderMap;
use axum::http::header::{HeaderName, IF_MATCH, IF_NONE_MATCH};

use super::problem::Problem;
use crate::admin::Condition;

/// The most versions that one request names.
const MOST_TAGS: usize = 16;

/// A list of entity tags.
enum Tags {
    Any,
    These(Vec<Tag>),
}

/// Section 8.8.3: an entity tag, and whether it was weakened on its way. Ours are strong.
struct Tag {
    text: String,
    is_weak: bool,
}

/// What a write wants to find.
///
/// # Errors
/// A header that cannot be read, or both of them.
pub(super) fn of_a_write(headers: &HeaderMap) -> Result<Condition, Problem> {
    match (tags(headers, &IF_MATCH)?, tags(headers, &IF_NONE_MATCH)?) {
        (None, None) => Ok(Condition::None),
        (Some(Tags::Any), None) => Ok(Condition::There),
        // Section 13.1.1: "strong comparison", by which a weak tag is equal to nothing.
        (Some(Tags::These(tags)), None) => {
            let strong = tags.into_iter().filter(|tag| !tag.is_weak);
            Ok(Condition::Version(strong.map(|tag| tag.text).collect()))
        }
        (None, Some(Tags::Any)) => Ok(Condition::Absent),
        (None, Some(Tags::These(_))) => {
            Err(Problem::at("If-None-Match", "it names versions, and this is a write", "Write *, or use If-Match."))
        }
        (Some(_), Some(_)) => {
            Err(Problem::at("If-None-Match", "If-Match is there, too", "Send one of them: they cannot both be meant."))
        }
    }
}

/// Whether whoever reads has this version already.
///
/// # Errors
/// A header that cannot be read.
pub(super) fn is_known(headers: &HeaderMap, tag: &str) -> Result<bool, Problem> {
    Ok(match tags(headers, &IF_NONE_MATCH)? {
        None => false,
        Some(Tags::Any) => true,
        // Section 13.1.2: "A recipient MUST use the weak comparison function when comparing entity tags for If-None-Match".
        Some(Tags::These(tags)) => tags.iter().any(|known| known.text == tag),
    })
}

/// Whether any condition is there.
pub(super) fn is_there(headers: &HeaderMap) -> bool {
    headers.contains_key(IF_MATCH) || headers.contains_key(IF_NONE_MATCH)
}

fn tags(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Tags>, Problem> {
    let bad = || Problem::at(name.as_str(), "it cannot be read", "Write * or the ETag that was read, with its quotes.");
    let lines: Vec<_> = headers.get_all(name).iter().collect();
    if lines.is_empty() {
        return Ok(None);
    }
    let mut these = Vec::new();
    for line in &lines {
        let line = line.to_str().map_err(|_| bad())?;
        if line.trim() == "*" {
            return if lines.len() == 1 { Ok(Some(Tags::Any)) } else { Err(bad()) };
        }
        for tag in line.split(',').map(str::trim) {
            let weak = tag.strip_prefix("W/");
            let text = weak.unwrap_or(tag).strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).ok_or_else(bad)?;
            if text.contains('"') || these.len() == MOST_TAGS {
                return Err(bad());
            }
            these.push(Tag { text: text.to_owned(), is_weak: weak.is_some() });
        }
    }
    Ok(Some(Tags::These(these)))
}
