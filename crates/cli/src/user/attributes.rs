//! `regrant user set` and `show`: what is known of a user, and tokens can carry.

use regrant_server::admin::Command as Ask;
use regrant_server::admin::users::UserDetail;
use regrant_server::claims::attributes::UserChange;
use serde_json::Value;

use crate::context::{Context, Done};
use crate::output;

/// What to change, carried out in the order: unset, set, remove, add.
#[derive(clap::Args, Debug)]
pub(crate) struct Set {
    /// The user.
    name: String,
    /// An attribute and its text: email=ann@example.com, address.country=DE, department=research.
    #[arg(value_name = "KEY=VALUE", value_parser = pair)]
    attributes: Vec<(String, String)>,
    /// An attribute of the operator's own with JSON as its value.
    #[arg(long, value_name = "KEY=JSON", value_parser = json_pair)]
    json_value: Vec<(String, Value)>,
    /// Put an entry into groups, roles or entitlements.
    #[arg(long, value_name = "LIST=ENTRY", value_parser = pair)]
    add: Vec<(String, String)>,
    /// Take an entry out of groups, roles or entitlements.
    #[arg(long, value_name = "LIST=ENTRY", value_parser = pair)]
    remove: Vec<(String, String)>,
    /// Forget an attribute.
    #[arg(long, value_name = "KEY")]
    unset: Vec<String>,
}

pub(crate) fn set(context: &Context, set: Set) -> Done {
    let Set { name, attributes, json_value, add, remove, unset } = set;
    let change = UserChange { unset, texts: attributes, values: json_value, remove, add };
    if change == UserChange::default() {
        return Err(crate::context::Failure::new(
            2,
            "there is nothing to set\n  remedy: name attributes like email=ann@example.com, or --add groups=admin",
        ));
    }
    let user: UserDetail = context.operate(|hands| hands.ask(Ask::SetUser { name, change: Box::new(change) }))?;
    if context.json {
        output::json(&user);
    } else {
        output::done(&format!("user {} changed; tokens made from now on carry it", user.name));
    }
    Ok(())
}

pub(crate) fn show(context: &Context, name: &str) -> Done {
    let user: UserDetail = context.operate(|hands| hands.ask(Ask::User { name: name.to_owned() }))?;
    if context.json {
        output::json(&user);
        return Ok(());
    }
    let UserDetail { name, subject, created_at, updated_at, disabled_at, password, attributes, .. } = user;
    let state = disabled_at.map_or("enabled".to_owned(), |at| format!("disabled since {}", output::minute(&at)));
    output::pairs([
        ("user", name),
        ("sub", subject),
        ("state", state),
        ("password", password),
        ("added", output::minute(&created_at)),
        ("changed", output::minute(&updated_at)),
    ]);
    output::pairs(attributes.iter().map(|(name, value)| {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Array(entries) if entries.iter().all(Value::is_string) => {
                entries.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
            }
            other => other.to_string(),
        };
        (name.as_str(), text)
    }));
    Ok(())
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it is not of the form KEY=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn json_pair(text: &str) -> Result<(String, Value), String> {
    let (name, value) = pair(text)?;
    let value = serde_json::from_str(&value).map_err(|error| format!("the value is no JSON: {error}"))?;
    Ok((name, value))
}
