//! Two nodes of one store: what operators of both do at once.

use std::sync::Arc;

use regrant_core::keys::RootKey;
use regrant_server::admin::{AdminError, Command};
use regrant_server::config::ClientDefinition;
use regrant_server::{App, Clock};
use regrant_store::{Answer, Memory, Question};
use sim::wire::{CONFIG, PASSWORD, ROOT, config};

fn node(memory: &Memory) -> Arc<App> {
    App::open_with(config(CONFIG), Box::new(memory.clone()), RootKey::new(ROOT), Clock::system()).expect("opens")
}

fn definition(name: &str) -> ClientDefinition {
    let text = format!(r#"{{"id": "new", "name": "{name}", "redirect_uris": ["https://new.example/cb"]}}"#);
    serde_json::from_str(&text).expect("a definition")
}

fn hash(byte: &str) -> String {
    format!("sha256:{}", byte.repeat(32))
}

async fn stored(app: &App) -> ClientDefinition {
    let found = app.engine.ask(Question::Client("new".to_owned())).await.expect("an answer");
    let Answer::Clients(found) = found else { panic!("not clients") };
    serde_json::from_str(&found[0].1).expect("a definition")
}

/// Neither has heard of the other yet. What one has changed, the other judges and keeps: a secret that was replaced does not come back.
#[tokio::test]
async fn what_another_node_has_changed_is_not_undone() {
    let memory = Memory::new();
    let (here, there) = (node(&memory), node(&memory));
    let first = ClientDefinition { secret_hash: Some(hash("ab")), ..definition("first") };
    here.admin().add_client(first.clone()).await.expect("added");
    assert!(matches!(there.admin().add_client(first).await, Err(AdminError::Exists(_))));
    let written = there.admin().put_client(definition("second")).await.expect("put");
    assert!(!written.is_new);
    let read = here.admin().client_detail("new").expect("it is there");
    assert_eq!(read.definition.name.as_deref(), Some("first"), "nobody has told it");
    let put = Command::PutClient { definition: Box::new(definition("third")), version: Some(read.version) };
    assert!(matches!(here.admin().run(put).await, Err(AdminError::Changed(_))));
    let overlap = std::time::Duration::from_secs(60);
    there.admin().rotate_client_secret("new", &hash("cd"), overlap).await.expect("replaced");
    here.admin().put_client(definition("fourth")).await.expect("put");
    let found = stored(&here).await;
    assert_eq!((found.secret_hash, found.previous_secret_hash), (Some(hash("cd")), Some(hash("ab"))));
    assert_eq!(found.name.as_deref(), Some("fourth"));
    there.admin().remove_client("new").await.expect("removed");
    let again = here.admin().put_client(definition("fifth")).await;
    assert!(matches!(again, Err(AdminError::Invalid(_))), "the secret of the removed one is gone with it: {again:?}");
}

/// Of those who write at once some are refused, and write again: each change is told once, and none that was not made.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_write_is_told_in_no_event() {
    let memory = Memory::new();
    let nodes = [node(&memory), node(&memory)];
    nodes[0].admin().add_user("bob", PASSWORD.to_owned().into()).await.expect("added");
    let writers: Vec<_> = (0..64)
        .map(|writer| {
            let admin = nodes[writer % 2].admin();
            tokio::spawn(async move { admin.set_user_disabled("bob", writer % 3 == 0).await })
        })
        .collect();
    let mut made = 0;
    for writer in writers {
        made += usize::from(writer.await.expect("a writer").is_ok());
    }
    let question = Question::Events { grant: None, limit: 1_000 };
    let Answer::Events(events) = nodes[0].engine.ask(question).await.expect("an answer") else { panic!("not events") };
    let told = events.iter().filter(|event| event.detail.starts_with("user bob") && !event.detail.ends_with("added"));
    assert_eq!(told.count(), made);
}
