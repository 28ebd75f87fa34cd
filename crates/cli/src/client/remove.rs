//! `regrant client remove`: says what became of the grants, as the policy has it.

use regrant_server::admin::{ClientRemoved, Command as Ask};

use crate::context::{Context, Done};
use crate::output;

pub(super) fn run(context: &Context, id: &str) -> Done {
    let removed: ClientRemoved = context.operate(|hands| hands.ask(Ask::RemoveClient { id: id.to_owned() }))?;
    if context.json {
        let mut value = serde_json::to_value(&removed).unwrap_or_default();
        if let Some(members) = value.as_object_mut() {
            members.insert("ok".to_owned(), true.into());
        }
        output::json(&value);
        return Ok(());
    }
    let (what, note) = told(&removed);
    output::done(&what);
    if let Some(note) = note {
        output::note(&note);
    }
    Ok(())
}

/// What was done, and how to take it back.
fn told(removed: &ClientRemoved) -> (String, Option<String>) {
    let ClientRemoved { id, grants_ended, revocation, undo_until } = removed;
    if !grants_ended {
        return (format!("client {id} removed; its grants are unusable until it returns"), None);
    }
    let note = match (revocation, undo_until) {
        (Some(number), Some(until)) => {
            let until = output::minute(until);
            format!(
                "add {id} again and run `regrant revoke --undo {number}` to bring them back; that works until {until}"
            )
        }
        (Some(number), None) => format!("bulk revocation {number} cannot be taken back: undo_window is 0s"),
        (None, _) => "`regrant revoke list` has the number of the revocation and its undo".to_owned(),
    };
    (format!("client {id} removed; its grants have ended"), Some(note))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_of_the_grants_is_told_as_the_policy_has_it() {
        let removed = |grants_ended, revocation, undo_until: Option<&str>| {
            let undo_until = undo_until.map(str::to_owned);
            told(&ClientRemoved { id: "web".to_owned(), grants_ended, revocation, undo_until })
        };
        let (what, note) = removed(true, Some(7), Some("2026-12-01T01:30:00Z"));
        let note = note.expect("a way back");
        assert!(what.ends_with("its grants have ended"), "{what}");
        assert!(note.contains("`regrant revoke --undo 7`") && note.ends_with("2026-12-01 01:30 UTC"), "{note}");
        assert!(removed(true, Some(7), None).1.is_some_and(|note| note.contains("cannot be taken back")));
        let (what, note) = removed(false, None, None);
        assert!(what.ends_with("are unusable until it returns") && note.is_none(), "{what}");
    }
}
