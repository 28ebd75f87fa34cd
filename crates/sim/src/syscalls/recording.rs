//! Reading what strace wrote: which write to the log, which wait for the device, which answer, in the order in which they
//! began and ended.
//!
//! A call that others overtook stands on two lines, `… <unfinished ...>` and `<... name resumed> …`; any other began and
//! ended with nothing in between. So the numbers of the lines are the order, and no clock is needed.

use std::collections::HashMap;

use super::Answered;

/// What the recording shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// 200s that were written to a socket.
    pub answers: usize,
    /// Writes to the write-ahead log.
    pub log_writes: usize,
    /// Times that the device confirmed it.
    pub syncs: usize,
    /// What must not be.
    pub violations: Vec<String>,
}

/// A system call: the lines on which it began and ended.
#[derive(Clone, Debug)]
struct Call<'a> {
    name: &'a str,
    /// What was passed.
    passed: &'a str,
    began: usize,
    ended: usize,
    result: &'a str,
}

/// Checks that every answer came after the device had confirmed its own batch.
#[must_use]
pub fn check(recording: &str, told: &[Answered]) -> Checked {
    let calls = calls(recording);
    let is_log = |call: &&Call<'_>| call.passed.split(',').next().is_some_and(|file| file.contains("-wal>"));
    let writes: Vec<_> = calls.iter().filter(|call| call.name.starts_with("pwrite")).filter(is_log).collect();
    let syncs: Vec<_> =
        calls.iter().filter(|call| call.name.ends_with("sync") && call.result == "0").filter(is_log).collect();
    let answers: Vec<_> = calls.iter().filter(|call| call.passed.contains("\"HTTP/1.1 200 OK")).collect();
    let mut checked =
        Checked { answers: answers.len(), log_writes: writes.len(), syncs: syncs.len(), violations: Vec::new() };
    if answers.len() != told.len() {
        let both = format!("{} answers in the recording, and {} were heard", answers.len(), told.len());
        checked.violations.push(both);
    }
    for Answered { token, hash } in told {
        let hash: String = hash.iter().map(|byte| format!("\\x{byte:02x}")).collect();
        let answer = answers.iter().find(|call| call.passed.contains(token.as_str()));
        let write = writes.iter().find(|call| call.passed.contains(&hash));
        let (Some(answer), Some(write)) = (answer, write) else {
            checked.violations.push("an answer without its write in the log".to_owned());
            continue;
        };
        // The first sync behind the write is the one of its batch: SQLite waits once for each commit.
        let sync = syncs.iter().find(|sync| sync.began > write.ended);
        if sync.is_none_or(|sync| sync.ended > answer.began) {
            let what = format!("written on line {}, answered on line {}", write.ended + 1, answer.began + 1);
            checked.violations.push(format!("{what}, and the device had not confirmed it"));
        }
    }
    checked
}

fn calls(recording: &str) -> Vec<Call<'_>> {
    let mut calls: Vec<Call<'_>> = Vec::new();
    let mut under_way: HashMap<&str, usize> = HashMap::new();
    for (number, line) in recording.lines().enumerate() {
        // Short process ids are padded.
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let Some((_time, rest)) = rest.trim_start().split_once(' ') else { continue };
        if rest.starts_with("<... ") {
            if let Some(call) = under_way.remove(thread).and_then(|index| calls.get_mut(index)) {
                call.ended = number;
                call.result = result(rest);
            }
            continue;
        }
        let Some((name, passed)) = rest.split_once('(') else { continue };
        let call = Call { name, passed, began: number, ended: number, result: result(rest) };
        if rest.ends_with("<unfinished ...>") {
            under_way.insert(thread, calls.len());
            calls.push(Call { ended: usize::MAX, result: "", ..call });
        } else {
            calls.push(call);
        }
    }
    calls
}

fn result(line: &str) -> &str {
    line.rsplit_once(" = ").map_or("", |(_, result)| result.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITE: &str = r#"7 1.0 pwrite64(9</d/regrant.db-wal>, "HASH", 8192, 32) = 8192"#;
    const SYNC: &str = "7 1.1 fdatasync(9</d/regrant.db-wal>) = 0";
    const ANSWER: &str =
        r#"8 1.2 writev(11<socket:[5]>, [{iov_base="HTTP/1.1 200 OK\r\n\r\n{\"refresh_token\":\"rgr_x\"}"}], 1) = 99"#;

    fn checked(lines: &[&str]) -> Checked {
        let hash: String = [5_u8; 32].iter().map(|byte| format!("\\x{byte:02x}")).collect();
        let recording = lines.join("\n").replace("HASH", &hash);
        check(&recording, &[Answered { token: "rgr_x".to_owned(), hash: [5; 32] }])
    }

    #[test]
    fn an_answer_after_the_device_is_fine() {
        assert_eq!(checked(&[WRITE, SYNC, ANSWER]).violations, [""; 0]);
    }

    #[test]
    fn an_answer_before_the_device_is_not() {
        for lines in [[WRITE, ANSWER, SYNC], [SYNC, WRITE, ANSWER], [WRITE, ANSWER, ""]] {
            assert_eq!(checked(&lines).violations.len(), 1, "{lines:?}");
        }
    }

    #[test]
    fn a_sync_that_ends_after_the_answer_or_fails_confirms_nothing() {
        let (begun, ended) =
            ("7 1.1 fdatasync(9</d/regrant.db-wal> <unfinished ...>", "7 1.3 <... fdatasync resumed>) = 0");
        assert_eq!(checked(&[WRITE, begun, ANSWER, ended]).violations.len(), 1);
        assert_eq!(checked(&[WRITE, begun, ended, ANSWER]).violations, [""; 0]);
        let failed = "7 1.1 fdatasync(9</d/regrant.db-wal>) = -1 EIO (Input/output error)";
        assert_eq!(checked(&[WRITE, failed, ANSWER]).violations.len(), 1);
        let another = "7 1.1 fdatasync(9</d/regrant.db>) = 0";
        assert_eq!(checked(&[WRITE, another, ANSWER]).violations.len(), 1);
    }
}
