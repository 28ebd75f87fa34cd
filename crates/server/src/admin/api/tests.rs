//! The table is whole: each example is as its type says, each operation plans the command that it names, and every command is one.

use serde_json::{Map, Value, json};

use super::judge::{Judge, unjudged};
use super::operation::{Asked, Operation, PAGE};
use super::operations::table;
use super::problem::Kind;
use crate::admin::Command;

/// Commands that have no path of their own, with the reason.
const WITHOUT_A_PATH: [(&str, &str); 2] = [
    ("client", "client_detail tells more"),
    ("backup", "it writes a file of the server's machine, and is asked for there"),
];

fn judge(schema: &Value, value: &Value, what: &str) {
    let faults = Judge { definitions: &table().definitions }.faults(schema, value);
    assert!(faults.is_empty(), "{what}: {faults:?}\n{value}");
}

fn asked(operation: &Operation) -> Asked {
    let path = operation
        .path_parameters()
        .map(|name| {
            let body = operation.body.as_ref().map_or(Value::Null, |body| body.example.clone());
            (name.to_owned(), body[name].as_str().unwrap_or("7").to_owned())
        })
        .collect();
    let body = operation.body.as_ref().map_or(Value::Null, |body| body.example.clone());
    Asked { path, query: json!({}), body, after: None, limit: PAGE }
}

#[test]
fn each_example_is_as_its_type_says() {
    for operation in &table().operations {
        for (word, typed) in [("body", &operation.body), ("answer", &operation.answer), ("query", &operation.query)] {
            if let Some(typed) = typed {
                assert!(!typed.example.is_null(), "{}: the example of its {word} is no JSON", operation.id);
                judge(&typed.schema, &typed.example, &format!("{} {word}", operation.id));
            }
        }
    }
}

#[test]
fn nothing_in_a_schema_goes_unjudged() {
    let typed = table().operations.iter().flat_map(|operation| [&operation.query, &operation.body, &operation.answer]);
    let schemas = typed.flatten().map(|typed| &typed.schema).chain(table().definitions.values());
    for schema in schemas {
        assert_eq!(unjudged(schema), Vec::<String>::new(), "{schema}");
    }
}

/// What can be sent is named: another member is refused, in every body.
#[test]
fn an_unknown_member_is_refused_in_every_body() {
    for operation in &table().operations {
        let Some(body) = operation.body.as_ref().filter(|_| operation.id != "runCommand") else { continue };
        let mut members: Map<String, Value> = body.example.as_object().expect("an object").clone();
        members.insert("surprise".to_owned(), json!(1));
        let faults = Judge { definitions: &table().definitions }.faults(&body.schema, &Value::Object(members));
        assert!(faults.len() == 1 && faults[0].at == "/surprise", "{}: {faults:?}", operation.id);
    }
}

#[test]
fn each_operation_plans_the_command_that_it_names() {
    for operation in table().operations.iter().filter(|operation| operation.id != "runCommand") {
        let plan = (operation.plan)(&asked(operation)).expect(operation.id);
        let command = serde_json::to_value(&plan.command).expect("JSON");
        assert_eq!(command["command"], operation.command, "{}", operation.id);
    }
}

/// Everything the command line does, this API does, too. Whoever adds a command adds its entry to the table.
#[test]
fn every_command_has_an_operation() {
    let unknown = serde_json::from_str::<Command>(r#"{"command":"?"}"#).expect_err("no command").to_string();
    let (_, list) = unknown.split_once("expected one of ").expect("the list of variants");
    let commands: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
    assert!(commands.len() > 20 && commands.contains(&"revoke_grant"), "{unknown}");
    let has_one = |command: &str| table().operations.iter().any(|operation| operation.command == command);
    let without = |command: &str| WITHOUT_A_PATH.iter().any(|(without, _)| *without == command);
    let missing: Vec<_> = commands.into_iter().filter(|command| !has_one(command) && !without(command)).collect();
    assert!(missing.is_empty(), "no operation for {missing:?}");
}

#[test]
fn identifiers_and_types_are_there_once() {
    let mut ids: Vec<&str> = table().operations.iter().map(|operation| operation.id).collect();
    let mut words: Vec<&str> = Kind::ALL.iter().map(|kind| kind.word()).collect();
    for list in [&mut ids, &mut words] {
        let all = list.len();
        list.sort_unstable();
        list.dedup();
        assert_eq!(list.len(), all);
    }
}
