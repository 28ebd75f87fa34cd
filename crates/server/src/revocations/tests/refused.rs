//! What is no journal.

use super::*;

/// Whatever else an operator names by mistake is refused, however short, and nothing is written to it.
#[test]
fn a_file_that_is_no_journal_is_refused_and_not_written_over() {
    let path = place("other");
    for other in
        [&b"x"[..], b"RGANCHR2", b"a short secret", b"rgroot_of_somebody, long enough for a header\n", &[0; 600]]
    {
        std::fs::write(&path, other).expect("writable");
        let refused = Revocations::open(&path, key(), HERE, |_| {}).expect_err("it is no journal");
        assert_eq!(refused.kind(), ErrorKind::InvalidData);
        assert_eq!(std::fs::read(&path).expect("readable"), other, "as it was");
    }
    let _ = std::fs::remove_file(&path);
}
