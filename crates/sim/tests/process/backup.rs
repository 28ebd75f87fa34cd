//! `regrant backup` beside a server that has other directories than the command, as systemd gives them: no copy is told of that is not there.

use std::path::Path;
use std::process::{Command, Output};

use sim::process::{Home, Scratch, Server, regrant, skip};

/// `regrant backup FILE` where another file system, mounted so, lies over the directory for the command alone.
fn beside_another_mount(home: &Home, directory: &Path, file: &Path) -> Output {
    let script = "mount -t tmpfs tmpfs \"$0\" && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script]).arg(directory).arg(regrant());
    command.arg("--config").arg(home.config_file()).arg("backup").arg(file).output().expect("unshare")
}

/// Why such a mount cannot be made here, if it cannot.
fn no_mounts(directory: &Path) -> Option<String> {
    let script = "mount -t tmpfs tmpfs \"$0\"";
    match Command::new("unshare").args(["--mount", "sh", "-c", script]).arg(directory).output() {
        Ok(done) if done.status.success() => None,
        Ok(done) => Some(String::from_utf8_lossy(&done.stderr).into_owned()),
        Err(error) => Some(error.to_string()),
    }
}

/// A server with a /tmp of its own writes the copy there: the command looks for it, and says what to do.
#[test]
fn a_copy_in_a_directory_of_the_servers_own_is_no_success() {
    let scratch = Scratch::new("backup-private");
    let home = Home::make(&scratch.path().join("home"));
    let directory = scratch.path().join("shared");
    std::fs::create_dir_all(&directory).expect("a directory");
    if let Some(why) = no_mounts(&directory) {
        return skip("the backup into a directory of the server's own", &why);
    }
    let server = Server::start(&home);
    let file = directory.join("copy.db");
    let done = beside_another_mount(&home, &directory, &file);
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains("PrivateTmp") && said.contains("ReadWritePaths="), "{said}");
    assert!(file.exists(), "the server wrote it where it sees that name");
    // The same directory for both.
    let done = home.command(&["backup"]).arg(directory.join("other.db")).output().expect("regrant runs");
    assert!(done.status.success(), "{done:?}");
    server.stop();
}

/// What the server may not write is told with the line of the unit that opens it.
#[test]
fn a_directory_that_the_server_may_not_write_is_told_with_its_remedy() {
    let scratch = Scratch::new("backup-read-only");
    let home = Home::make(&scratch.path().join("home"));
    let directory = scratch.path().join("closed");
    std::fs::create_dir_all(&directory).expect("a directory");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "ro,size=1m", "tmpfs"]).arg(&directory).output();
    let why = match &mounted {
        Ok(done) if done.status.success() => None,
        Ok(done) => Some(String::from_utf8_lossy(&done.stderr).into_owned()),
        Err(error) => Some(error.to_string()),
    };
    if let Some(why) = why {
        return skip("the backup into a read-only directory", &why);
    }
    let server = Server::start(&home);
    let done = home.command(&["backup"]).arg(directory.join("copy.db")).output().expect("regrant runs");
    server.stop();
    let _ = Command::new("umount").arg("--lazy").arg(&directory).status();
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(69), "{said}");
    assert!(said.contains("ReadWritePaths=") && said.contains("remedy"), "{said}");
}
