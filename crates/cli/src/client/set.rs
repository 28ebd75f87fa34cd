//! `regrant client set`, `disable` and `enable`: a client of the store is read, changed, and put back whole.

use regrant_server::admin::{ClientDetail, ClientWritten, Command as Ask};
use regrant_server::config::ClientDefinition;
use serde_json::{Map, Value};

use super::{Add, described};
use crate::context::{Context, Done, Failure};
use crate::output;

/// What to change, in the flags of `client add`.
#[derive(clap::Args, Debug)]
#[command(
    mut_arg("secret_hash", |arg| arg.help("The hash of another secret, as `regrant client secret` prints it. The one before it is dead at once; `regrant client rotate-secret` is kinder")),
    after_help = "A list that is named is replaced whole: name all that it shall hold. What a client loses by it\ncan end grants: see on_redirect_uris_reduced in [revocation]. Clients of the file are changed there.\n\nExamples:\n  regrant client set web --redirect-uri https://app.example/cb --redirect-uri https://new.example/cb\n  regrant client set web --name \"Notes\" --access-token-lifetime 15m\n  regrant client set web --unset skip_consent --unset logo_uri"
)]
pub(crate) struct Set {
    #[command(flatten)]
    flags: Add,
    /// Give a setting its default again, by its name in the configuration, like skip_consent; may be repeated.
    #[arg(long, value_name = "SETTING")]
    unset: Vec<String>,
}

/// Whether a client may do anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Switch {
    /// It may.
    On,
    /// Everything is refused it.
    Off,
}

pub(super) fn run(context: &Context, set: Set) -> Done {
    let Set { flags, unset } = set;
    let id = flags.id.clone();
    let given = members(&described(flags));
    if given.len() < 2 && unset.is_empty() {
        let remedy = "name settings like --name or --redirect-uri, or --unset SETTING; see `regrant client set --help`";
        return Err(Failure::new(2, format!("there is nothing to change\n  remedy: {remedy}")));
    }
    change(context, &id, "changed", |definition| merge(definition, given, &unset))
}

pub(super) fn switch(context: &Context, id: &str, switch: Switch) -> Done {
    let (word, is_off) = match switch {
        Switch::On => ("is switched on", false),
        Switch::Off => ("is switched off", true),
    };
    change(context, id, word, |definition| {
        definition.insert("disabled".to_owned(), is_off.into());
        Ok(())
    })
}

fn change(
    context: &Context,
    id: &str,
    done: &str,
    work: impl FnOnce(&mut Map<String, Value>) -> Result<(), Failure>,
) -> Done {
    let written = context.operate(|hands| {
        let found: ClientDetail = hands.ask(Ask::ClientDetail { id: id.to_owned() })?;
        let mut definition = members(&found.definition);
        work(&mut definition)?;
        let definition: ClientDefinition = serde_json::from_value(Value::Object(definition))
            .map_err(|error| Failure::new(65, format!("client {id}: {error}")))?;
        hands.ask::<ClientWritten>(Ask::PutClient { definition: Box::new(definition), version: Some(found.version) })
    })?;
    if context.json {
        output::json(&written.detail.client);
    } else {
        output::done(&format!("client {id} {done}"));
    }
    Ok(())
}

/// A definition by the names of its settings; those that are not set are not there.
fn members(definition: &ClientDefinition) -> Map<String, Value> {
    match serde_json::to_value(definition) {
        Ok(Value::Object(members)) => members,
        Ok(_) | Err(_) => Map::new(),
    }
}

/// What is given stands in place of what was there; what is unset is not there any more.
fn merge(definition: &mut Map<String, Value>, given: Map<String, Value>, unset: &[String]) -> Result<(), Failure> {
    for name in unset {
        let key = name.trim_start_matches("--").replace('-', "_");
        if key == "id" || !is_setting(&key) {
            let set: Vec<&str> = definition.keys().map(String::as_str).filter(|key| *key != "id").collect();
            return Err(Failure::new(
                1,
                format!(
                    "--unset {name}: that is no setting that can be unset, and nothing was changed\n  remedy: these are set: {}",
                    set.join(", ")
                ),
            ));
        }
        // What is not set has its default already.
        definition.remove(&key);
    }
    definition.extend(given);
    Ok(())
}

/// Whether a client has a setting of that name, set or not: a definition takes no member that it does not know.
fn is_setting(key: &str) -> bool {
    let probe = serde_json::json!({"id": "x", key: null});
    match serde_json::from_value::<ClientDefinition>(probe) {
        Ok(_) => true,
        Err(error) => !error.to_string().starts_with("unknown field"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(object) => object,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn what_is_not_named_stays_as_it_is() {
        let mut definition = object(json!({"id": "web", "name": "Notes", "skip_consent": true, "scopes": ["a", "b"]}));
        let unset = ["--skip-consent".to_owned()];
        merge(&mut definition, object(json!({"id": "web", "scopes": ["c"]})), &unset).expect("a change");
        assert_eq!(Value::Object(definition.clone()), json!({"id": "web", "name": "Notes", "scopes": ["c"]}));
        for not_set in ["skip_consent", "redirect_uris", "--logo-uri", "static_claims"] {
            let before = definition.clone();
            merge(&mut definition, Map::new(), &[not_set.to_owned()]).expect("it has its default already");
            assert_eq!(definition, before);
        }
        let refused = merge(&mut definition, Map::new(), &["skip_consnet".to_owned()]).expect_err("a slip");
        assert!(refused.to_string().contains("these are set: name, scopes"), "{refused}");
        assert!(merge(&mut definition, Map::new(), &["id".to_owned()]).is_err(), "a client keeps its identifier");
    }
}
