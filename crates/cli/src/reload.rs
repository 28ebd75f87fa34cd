//! `regrant reload`: the running server reads its configuration again, and says here what came of it.

use regrant_server::admin::Command;
use regrant_server::app::Reloaded;

use crate::context::{Context, Done, Failure};
use crate::output;

pub(crate) fn run(context: &Context) -> Done {
    let reloaded: Reloaded = context.operate(|hands| {
        if !hands.is_running() {
            return Err(Failure::new(69, "no server runs on this store, so there is nothing to reload\n  remedy: `regrant serve` starts one, and reads the configuration as it is"));
        }
        hands.ask(Command::Reload)
    })?;
    if context.json {
        output::json(&reloaded);
        return Ok(());
    }
    for notice in &reloaded.notices {
        output::note(notice);
    }
    for ended in &reloaded.ended {
        output::note(&ended.to_string());
    }
    for back in &reloaded.can_return {
        let way = back.way_back().unwrap_or_default();
        output::note(&format!(
            "client {} is back, and the sessions that ended when it went stay ended: {way}",
            back.client
        ));
    }
    output::done(&format!("the server reads its configuration anew: {}", output::count(reloaded.clients, "client")));
    if !reloaded.needs_restart.is_empty() {
        let keys = reloaded.needs_restart.join(", ");
        output::note(&format!("these stay as they are until the server is restarted: {keys}"));
    }
    Ok(())
}
