//! A recording of system calls: what a SIGKILL cannot show, for it does not lose the page cache (law L1).

use std::process::Command;

use regrant_store::Writes;
use sim::process::{Home, Scratch, skip};
use sim::syscalls::{Checked, can_record, check, record};

async fn recorded(name: &str, writes: Writes, off: bool) -> Option<Checked> {
    if let Err(why) = can_record() {
        skip("the recording of system calls", &why);
        return None;
    }
    let scratch = Scratch::new(name);
    let home = Home::make(scratch.path());
    home.write_by(writes);
    home.add_user();
    let instead = off.then(|| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sim"));
        command.arg("serve").arg("--store").arg(home.store()).arg("--root").arg(home.root_key_file());
        command.args(["--synchronous", "off"]);
        command
    });
    let (recording, told) = record(&home, 8, 20, instead).await;
    let checked = check(&recording, &told);
    println!("{} answers, {} log writes, {} syncs", checked.answers, checked.log_writes, checked.syncs);
    Some(checked)
}

/// Law L1: every 200 is written to its socket after the device has confirmed the batch that holds its row.
#[tokio::test(flavor = "multi_thread")]
async fn every_answer_comes_after_the_device_has_confirmed_its_batch() {
    for writes in [Writes::Journal, Writes::Rows] {
        let Some(checked) = recorded("syscalls", writes, false).await else { return };
        assert_eq!(checked.violations, [""; 0], "{writes:?}");
        assert!(checked.answers > 100 && checked.syncs > 20, "{writes:?}: {checked:?}");
    }
}

/// Law L1: the same check fails where COMMIT does not wait.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_wait_for_the_device_is_noticed() {
    let Some(checked) = recorded("syscalls-off", Writes::Journal, true).await else { return };
    assert!(checked.answers > 100, "{checked:?}");
    let early = checked.violations.iter().filter(|violation| violation.contains("had not confirmed it"));
    assert_eq!(early.count(), checked.answers, "every answer came too early: {:?}", checked.violations.first());
}
